//! What is counted, added to the shared counters once per call.

use crate::metrics::{Counter, Metrics};

/// What is to be added.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    pub(super) text: u64,
    pub(super) cut: u64,
    pub(super) ends: u64,
    pub(super) lost: u64,
    pub(super) lines: u64,
    pub(super) empty: u64,
    pub(super) incomplete: u64,
    pub(super) mixed: u64,
    pub(super) evicted: u64,
}

impl Tally {
    /// Adds all of it, and begins anew.
    pub(super) fn settle(&mut self, metrics: &Metrics) {
        let Self { bytes, text, cut, ends, lost, lines, empty, incomplete, mixed, evicted } =
            std::mem::take(self);
        for (counter, count) in [
            (Counter::LogBytes, bytes),
            (Counter::LogTextBytes, text),
            (Counter::LogCutBytes, cut),
            (Counter::LogLineEndBytes, ends),
            (Counter::LogLostBytes, lost),
            (Counter::LogLines, lines),
            (Counter::LogLinesEmpty, empty),
            (Counter::LogIncomplete, incomplete),
            (Counter::LogMixed, mixed),
            (Counter::LogWritersEvicted, evicted),
        ] {
            if count > 0 {
                metrics.add(counter, count);
            }
        }
    }
}
