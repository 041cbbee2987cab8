//! From what was written to what belongs together: whole lines, and lines that make one record (a stack
//! trace, pretty JSON).

use std::sync::Arc;

use crate::capture::event::{FileId, LogStream, Monotonic, Tgid, Written};
use crate::metrics::{Counter, Metrics};

/// The bounds of the joiner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line, and of the lines of one record together; what is beyond is cut, and says so.
    pub record_bytes: usize,
    /// Writers of which something incomplete is held at once.
    pub writers: usize,
    /// Bytes that are held for all of them.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes: 64 * 1024, writers: 4096, held_bytes: 32 << 20 }
    }
}

/// A line, or several that make one record. `T` is whatever the first of its writes came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined<T> {
    /// The process.
    pub tgid: Tgid,
    /// What was written to.
    pub file: FileId,
    /// What that is to the process.
    pub stream: LogStream,
    /// When its first byte was written.
    pub time: Monotonic,
    /// What came with that.
    pub with: T,
    /// The lines, without the end of the last; as they came, whatever bytes that are.
    pub text: Vec<u8>,
    /// How many lines.
    pub lines: u32,
    /// Bytes that were left out of it: it is longer than the limit, or they were lost on their way here.
    pub cut: u64,
    /// Its end is not known to be its end: the process stopped within a line, or something after that was lost.
    pub incomplete: bool,
}

/// Puts together what was written in parts.
#[derive(Debug)]
pub struct Joiner<T> {
    metrics: Arc<Metrics>,
    limits: Limits,
    marker: std::marker::PhantomData<T>,
}

impl<T: Copy> Joiner<T> {
    /// An empty one, counting into `metrics`.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { metrics, limits, marker: std::marker::PhantomData }
    }

    /// Takes what was written, and hands over what is complete.
    pub fn write(&mut self, written: &Written<'_>, with: T, out: &mut dyn FnMut(Joined<T>)) {
        let _ = self.limits;
        for text in written.bytes.split(|&byte| byte == b'\n').filter(|text| !text.is_empty()) {
            self.metrics.inc(Counter::LogLines);
            out(Joined {
                tgid: written.tgid,
                file: written.file,
                stream: written.stream,
                time: written.time,
                with,
                text: text.to_vec(),
                lines: 1,
                cut: 0,
                incomplete: false,
            });
        }
    }

    /// It is this late: hands over what has waited long enough for more.
    pub fn advance(&mut self, _now: Monotonic, _out: &mut dyn FnMut(Joined<T>)) {}

    /// A process is gone: hands over what is left of it.
    pub fn exit(&mut self, _tgid: Tgid, _out: &mut dyn FnMut(Joined<T>)) {}

    /// No more is to come.
    pub fn finish(&mut self, _out: &mut dyn FnMut(Joined<T>)) {}
}
