//! Questions to the looker, and the effect of its answers.

use std::time::{Duration, Instant};

use super::looks::{Answer, Question};
use super::search::{self, Found};
use super::{Lines, Verdict, held};
use crate::capture::Raw;
use crate::capture::event::{FileId, ProcessKey};
use crate::metrics::Counter;

/// How long the reader waits for look-ups when a process ends, and for all processes in a second.
const WAIT: Duration = Duration::from_millis(2);
const WAITS: Duration = Duration::from_millis(20);

/// The same, when the capture ends.
const LAST_WAIT: Duration = Duration::from_millis(50);

impl Lines {
    /// Queues a record until its file has a verdict.
    pub(super) fn hold(&mut self, key: ProcessKey, question: search::Question, bytes: &[u8]) {
        let file = question.file;
        let mut record = bytes.to_vec();
        held::add_lost(&mut record, self.dropped);
        held::leave_out_evidence(&mut record);
        let waits = (self.held.has(file) || self.ask(key, Question::File(question)))
            && self.held.take(key, file, record, Instant::now());
        if !waits {
            self.lose(1);
        }
    }

    /// Counts records of files that were dropped without a verdict. Later records carry the number,
    /// so that nothing is joined across the gap.
    fn lose(&mut self, records: u64) {
        self.dropped += records;
        self.metrics.add(Counter::LogWritesLostFile, records);
    }

    /// Applies the answers that have arrived.
    pub(in crate::capture::live) fn settle(&mut self, sink: &mut dyn FnMut(Raw<'_>)) {
        while let Some((key, answer)) = self.looks.answer() {
            self.take(key, answer, sink);
        }
        let now = Instant::now();
        if let Some(key) = self.looks.tend(now) {
            self.metrics.inc(Counter::LogLooksStuck);
            tracing::warn!(
                pid = key.tgid.0,
                "a file system of this process does not answer (a mount whose server is gone, an \
                 automount): its log files are not looked up until it does"
            );
        }
        if !self.held.is_empty() {
            let records = self.held.expire(now);
            self.lose(records);
        }
    }

    fn take(&mut self, key: ProcessKey, answer: Answer, sink: &mut dyn FnMut(Raw<'_>)) {
        match answer {
            Answer::File(file, found) => self.found(file, &found, sink),
            Answer::Pipe(life, fd, place) if life == self.life(key) => {
                let Some(place) = place else { return };
                if fd != 0 {
                    self.captured(place, key);
                } else if let Some(process) = self.processes.get_mut(key) {
                    process.input = Some(place);
                    if self.outputs.get(place).is_some_and(|&who| who != key) {
                        self.passes_on(key);
                    }
                }
            }
            Answer::Copier(life, result) if life == self.life(key) => {
                if let Some(process) = self.processes.get_mut(key) {
                    process.checked = None;
                }
                match result {
                    Ok(executable) => {
                        self.metrics.inc(Counter::LogCopiers);
                        tracing::info!(
                            pid = key.tgid.0,
                            ?executable,
                            "lines of this process are not captured: it copies those of others"
                        );
                        self.leave_out(key);
                    }
                    Err(reason) => tracing::debug!(
                        pid = key.tgid.0,
                        reason,
                        "lines of this process are captured despite its name"
                    ),
                }
            }
            // The process runs another program, or has ended.
            Answer::Pipe(..) | Answer::Copier(..) => {}
        }
    }

    /// A file has a verdict: passes its records on, or drops them.
    fn found(&mut self, file: FileId, found: &Found, sink: &mut dyn FnMut(Raw<'_>)) {
        let records = self.held.release(file);
        let path = match found {
            Found::As(path) => Some(path.as_str()),
            Found::Unwanted => None,
            Found::Unknown => return self.lose(records.len() as u64),
        };
        if let Verdict::WantedAs(path) = self.files.settle(file, path) {
            sink(Raw::LogFile { file, path: &path });
            for (key, record) in records {
                if self.processes.get(key).is_some_and(|process| process.on) {
                    sink(Raw::Record(&record));
                }
            }
        }
    }

    /// A process ends or runs another program: its records cannot be passed on later. Waits up to
    /// [`WAIT`] for the look-ups of their files, then drops them.
    pub(in crate::capture::live) fn part(
        &mut self,
        key: ProcessKey,
        sink: &mut dyn FnMut(Raw<'_>),
    ) {
        if !self.held.has_of(key) {
            return;
        }
        let begun = Instant::now();
        let (since, waited) = &mut self.waited;
        if since.is_none_or(|since| begun - since >= Duration::from_secs(1)) {
            (*since, *waited) = (Some(begun), Duration::ZERO);
        }
        let deadline = begun + WAIT.min(WAITS.saturating_sub(*waited));
        while self.held.has_of(key)
            && let Some((of, answer)) = self.looks.wait(deadline)
        {
            self.take(of, answer, sink);
        }
        self.waited.1 += begun.elapsed();
        let records = self.held.forget(key);
        self.lose(records);
    }

    /// The capture ends: waits up to [`LAST_WAIT`] for look-ups, then drops the records that still
    /// wait.
    pub(in crate::capture::live) fn finish(&mut self, sink: &mut dyn FnMut(Raw<'_>)) {
        let deadline = Instant::now() + LAST_WAIT;
        while !self.held.is_empty()
            && let Some((key, answer)) = self.looks.wait(deadline)
        {
            self.take(key, answer, sink);
        }
        let records = self.held.clear();
        self.lose(records);
    }
}
