//! What services write to their logs: bytes into lines, lines into records of one schema, and whose they are.
//!
//! ```text
//! Written ─► join: what belongs together ─► format: what it says ─► whose it is ─► LogRecord
//! ```
//!
//! Pure, like `trace` before it: no clock, no I/O.

pub mod format;
pub mod join;

#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;

use crate::capture::event::{Event, FileId, LogStream, Monotonic, ProcessKey};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, LogRecord, LogSource};
use crate::table::Table;
use crate::trace::{Belongs, Owner, Pipeline, ServerId};

use format::{Formats, Parsed};
use join::{Joined, Joiner};
use waiting::{Unsettled, Waiting};

/// Attribute: the record is cut; how many bytes were left out.
pub const CUT: &str = "sensor.log.cut_bytes";

/// Attribute: the record's end may not be its end.
pub const INCOMPLETE: &str = "sensor.log.incomplete";

/// Attribute: others wrote in between, and it rests on who wrote what belongs together.
pub const MIXED: &str = "sensor.log.mixed";

/// How often it is looked for lines that have waited for long enough, in nanoseconds.
const ADVANCE: u64 = 50_000_000;

/// The bounds of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the joiner.
    pub join: join::Limits,
    /// Streams whose format is remembered, and files whose path is.
    pub streams: usize,
    /// Records that wait until it is known whose they are.
    pub waiting: usize,
    /// Bytes of text that they have.
    pub waiting_bytes: usize,
    /// Of what one record says.
    pub format: format::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            join: join::Limits::default(),
            streams: 8192,
            waiting: 65_536,
            waiting_bytes: 32 << 20,
            format: format::Limits::default(),
        }
    }
}

/// The whole of it: events in, records out.
#[derive(Debug)]
pub struct Lines {
    limits: Limits,
    metrics: Arc<Metrics>,
    joiner: Joiner<Stamp>,
    formats: Table<(ProcessKey, FileId), Formats>,
    paths: Table<FileId, Arc<str>>,
    /// What the joiner has just handed over.
    joined: Vec<Joined<Stamp>>,
    waiting: Waiting,
    /// Seconds that the services' clocks are ahead of UTC, if they do not say.
    utc_offset: i32,
    /// When it is looked next for lines that have waited for long enough.
    advance_at: Monotonic,
}

/// What is taken down of a write: of the time too, since the clocks' next comparison may move it.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    owner: Owner,
    observed_unix_ns: u64,
}

impl Lines {
    /// One that has seen nothing yet, counting into `metrics`. Times without a zone are of UTC, or so many seconds
    /// ahead of it.
    pub fn new(limits: Limits, utc_offset: i32, metrics: Arc<Metrics>) -> Self {
        Self {
            limits,
            joiner: Joiner::new(limits.join, Arc::clone(&metrics)),
            metrics,
            formats: Table::new(limits.streams),
            paths: Table::new(limits.streams),
            joined: Vec::new(),
            waiting: Waiting::new(limits.waiting, limits.waiting_bytes),
            utc_offset,
            advance_at: Monotonic(0),
        }
    }

    /// Records that wait until it is known whose they are.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Looks at the next event before `pipeline` takes it: where a process ends, or becomes another program, what it
    /// has written is still its own.
    pub fn before(
        &mut self,
        event: &Event<'_>,
        pipeline: &mut Pipeline,
        out: &mut dyn FnMut(LogRecord),
    ) {
        let (Event::ProcessExit { process, .. } | Event::Process { process, exec: true, .. }) =
            event
        else {
            return;
        };
        let Self { joiner, joined, .. } = self;
        joiner.exit(*process, &mut |it| joined.push(it));
        self.take_joined(pipeline, out);
        self.formats.retain(|(of, _)| of != process);
    }

    /// Takes the next event, after `pipeline` has, and hands over the records that are complete by it.
    pub fn handle(
        &mut self,
        event: &Event<'_>,
        pipeline: &mut Pipeline,
        out: &mut dyn FnMut(LogRecord),
    ) {
        let Self { joiner, joined, .. } = self;
        let mut collect = |it| joined.push(it);
        match event {
            Event::Written(written) => {
                let owner = pipeline.owner(written);
                let observed_unix_ns = pipeline.unix_ns(written.time);
                let stamp = Stamp { owner, observed_unix_ns };
                joiner.write(written, stamp, owner != Owner::default(), &mut collect);
            }
            Event::LogFile { file, path } => {
                self.paths.insert(*file, Arc::clone(path));
            }
            _ if pipeline.now() >= self.advance_at => {
                self.advance_at = Monotonic(pipeline.now().0.saturating_add(ADVANCE));
                joiner.advance(pipeline.now(), &mut collect);
            }
            _ => {}
        }
        self.take_joined(pipeline, out);
        for server in pipeline.news() {
            self.waited_for(server, pipeline, false, out);
        }
        while let Some(server) = self.waiting.overdue(pipeline.now()) {
            self.waited_for(server, pipeline, true, out);
        }
    }

    /// No more is to come, of `pipeline` either.
    pub fn finish(&mut self, pipeline: &mut Pipeline, out: &mut dyn FnMut(LogRecord)) {
        let Self { joiner, joined, .. } = self;
        joiner.finish(&mut |it| joined.push(it));
        self.take_joined(pipeline, out);
        while let Some(server) = self.waiting.next() {
            self.waited_for(server, pipeline, true, out);
        }
    }

    fn take_joined(&mut self, pipeline: &mut Pipeline, out: &mut dyn FnMut(LogRecord)) {
        for joined in std::mem::take(&mut self.joined) {
            let unsettled = self.record(joined, pipeline);
            self.settle(unsettled, pipeline, false, out);
        }
    }

    /// Something is known of an exchange that records wait for, or, at `last`, will not be known any more.
    fn waited_for(
        &mut self,
        server: ServerId,
        pipeline: &mut Pipeline,
        last: bool,
        out: &mut dyn FnMut(LogRecord),
    ) {
        let (known, left) = self.waiting.take(server, |it| {
            let belongs = pipeline.belongs(it.process, it.owner, &it.ids, false);
            last || !matches!(belongs, Belongs::Pending(_))
        });
        if !left {
            pipeline.unwatch(server);
        }
        for unsettled in known {
            self.settle(unsettled, pipeline, last, out);
        }
    }

    /// Hands a record over if it is known whose it is, and at `last` in any case.
    fn settle(
        &mut self,
        unsettled: Unsettled,
        pipeline: &mut Pipeline,
        last: bool,
        out: &mut dyn FnMut(LogRecord),
    ) {
        match pipeline.belongs(unsettled.process, unsettled.owner, &unsettled.ids, last) {
            Belongs::Pending(server) => {
                if self.waiting.add(server, unsettled, pipeline.now()) {
                    pipeline.watch(server);
                }
            }
            Belongs::To(correlation) => {
                self.metrics.inc(match correlation.is_claimed() {
                    true => Counter::LogRecordsClaimed,
                    false => Counter::LogRecordsCorrelated,
                });
                out(LogRecord { correlation: Some(correlation), ..*unsettled.record });
            }
            Belongs::Nothing => {
                if last {
                    self.metrics.inc(Counter::LogRecordsUnsettled);
                }
                out(*unsettled.record);
            }
        }
    }

    /// What a record says.
    fn record(&mut self, joined: Joined<Stamp>, pipeline: &mut Pipeline) -> Unsettled {
        let Joined {
            process,
            file,
            stream,
            time,
            with: Stamp { owner, observed_unix_ns },
            text,
            lines: _,
            cut,
            incomplete,
            mixed,
            flushed,
        } = joined;
        // Who empties a buffer that several fill is not who wrote what is in it.
        let owner = if mixed || flushed { Owner::default() } else { owner };
        let Self { formats, limits, utc_offset, .. } = self;
        let make = || Formats::new(limits.format, *utc_offset);
        let (formats, _) = formats.get_or_insert_with((process, file), make);
        let parsed = match cut > 0 || incomplete {
            true => formats.read_cut(&text, observed_unix_ns),
            false => formats.read(&text, observed_unix_ns),
        };
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
        let owner = pipeline.owner_by_request(process, owner, time, &ids.requests);
        if cut > 0 {
            attributes.push(Attribute::new(CUT, i64::try_from(cut).unwrap_or(i64::MAX)));
        }
        if incomplete {
            attributes.push(Attribute::new(INCOMPLETE, true));
        }
        if mixed {
            attributes.push(Attribute::new(MIXED, true));
        }
        let source = match stream {
            LogStream::Stdout => LogSource::Stdout,
            LogStream::Stderr => LogSource::Stderr,
            LogStream::File => {
                LogSource::File(self.paths.get_mut(file).cloned().unwrap_or_default())
            }
        };
        self.metrics.inc(Counter::LogRecords);
        if breach.is_some() {
            self.metrics.inc(Counter::LogRecordsBroken);
        }
        let record = Box::new(LogRecord {
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
            resource: pipeline.process(process),
        });
        Unsettled { process, owner, ids, record }
    }
}
