//! What services write to their logs: bytes into lines, lines into records of one schema, and whose they are.
//!
//! ```text
//! Written ─► join: what belongs together ─► format: what it says ─► whose it is ─► LogRecord
//! ```
//!
//! Pure, like `trace` before it: no clock, no I/O.

pub mod format;
pub mod join;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::capture::event::{Event, FileId, LogStream, Tgid};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, LogIds, LogRecord, LogSource};
use crate::trace::{Belongs, Owner, Pipeline};

use format::{Formats, Parsed};
use join::{Joined, Joiner};

/// Attribute: the record is cut; how many bytes were left out.
pub const CUT: &str = "sensor.log.cut_bytes";

/// Attribute: the record's end may not be its end.
pub const INCOMPLETE: &str = "sensor.log.incomplete";

/// The bounds of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the joiner.
    pub join: join::Limits,
    /// Streams whose format is remembered.
    pub streams: usize,
    /// Records that wait until it is known whose they are.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { join: join::Limits::default(), streams: 8192, waiting: 65_536 }
    }
}

/// The whole of it.
#[derive(Debug)]
pub struct Lines {
    limits: Limits,
    metrics: Arc<Metrics>,
    joiner: Joiner<Owner>,
    formats: FxHashMap<(Tgid, FileId), Formats>,
    paths: FxHashMap<FileId, Arc<str>>,
    waiting: VecDeque<Waiting>,
}

/// A record of which it is not known yet whose it is.
#[derive(Debug)]
struct Waiting {
    tgid: Tgid,
    owner: Owner,
    ids: LogIds,
    record: LogRecord,
}

impl Lines {
    /// One that has seen nothing yet, counting into `metrics`.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            limits,
            joiner: Joiner::new(limits.join, Arc::clone(&metrics)),
            metrics,
            formats: FxHashMap::default(),
            paths: FxHashMap::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes the next event, after `pipeline` has, and hands over the records that are complete by it.
    pub fn handle(
        &mut self,
        event: &Event<'_>,
        pipeline: &mut Pipeline,
        out: &mut dyn FnMut(LogRecord),
    ) {
        let mut joined = Vec::new();
        let mut collect = |it| joined.push(it);
        match event {
            Event::Written(written) => {
                let owner = pipeline.owner(written);
                self.joiner.write(written, owner, &mut collect);
            }
            Event::LogFile { file, path } => {
                if self.paths.len() >= self.limits.streams {
                    self.paths.clear();
                }
                self.paths.insert(*file, Arc::clone(path));
            }
            Event::ProcessExit { tgid, .. } => {
                self.joiner.exit(*tgid, &mut collect);
                self.formats.retain(|(of, _), _| of != tgid);
            }
            Event::Clock(sync) => self.joiner.advance(sync.monotonic, &mut collect),
            _ => {}
        }
        for it in joined {
            self.record(it, pipeline);
        }
        self.settle(pipeline, false, out);
    }

    /// No more is to come.
    pub fn finish(&mut self, pipeline: &mut Pipeline, out: &mut dyn FnMut(LogRecord)) {
        let mut joined = Vec::new();
        self.joiner.finish(&mut |it| joined.push(it));
        for it in joined {
            self.record(it, pipeline);
        }
        self.settle(pipeline, true, out);
    }

    fn record(&mut self, joined: Joined<Owner>, pipeline: &mut Pipeline) {
        let Joined { tgid, file, stream, time, with, text, cut, incomplete, .. } = joined;
        if self.formats.len() >= self.limits.streams && !self.formats.contains_key(&(tgid, file)) {
            self.formats.clear();
        }
        let observed_unix_ns = pipeline.unix_ns(time);
        let formats = self.formats.entry((tgid, file)).or_default();
        let parsed = formats.read(&text, observed_unix_ns);
        let Parsed {
            format: _,
            time_unix_ns,
            severity,
            severity_text,
            message,
            caller,
            event,
            ids,
            class,
            mut attributes,
            breach,
        } = parsed;
        if cut > 0 {
            attributes.push(Attribute::new(CUT, i64::try_from(cut).unwrap_or(i64::MAX)));
        }
        if incomplete {
            attributes.push(Attribute::new(INCOMPLETE, true));
        }
        let source = match stream {
            LogStream::Stdout => LogSource::Stdout,
            LogStream::Stderr => LogSource::Stderr,
            LogStream::File => {
                LogSource::File(self.paths.get(&file).cloned().unwrap_or_else(|| "".into()))
            }
        };
        self.metrics.inc(Counter::LogRecords);
        if breach.is_some() {
            self.metrics.inc(Counter::LogRecordsBroken);
        }
        let resource = pipeline.process(tgid);
        self.waiting.push_back(Waiting {
            tgid,
            owner: with,
            ids,
            record: LogRecord {
                time_unix_ns,
                observed_unix_ns,
                severity,
                severity_text,
                message,
                caller,
                event,
                correlation: None,
                class,
                source,
                attributes,
                breach,
                resource,
            },
        });
    }

    /// Hands over the records of which it is known whose they are, or, if `all`, what is known of it.
    fn settle(&mut self, pipeline: &mut Pipeline, _all: bool, out: &mut dyn FnMut(LogRecord)) {
        while let Some(Waiting { tgid, owner, ids, mut record }) = self.waiting.pop_front() {
            if let Belongs::To(correlation) = pipeline.belongs(tgid, owner, &ids) {
                record.correlation = Some(correlation);
                self.metrics.inc(Counter::LogRecordsCorrelated);
            }
            out(record);
        }
    }
}
