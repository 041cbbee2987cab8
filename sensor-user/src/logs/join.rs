//! From what was written to what belongs together: whole lines, and lines that make one record (a stack
//! trace, pretty JSON).
//!
//! # Lines
//!
//! A line ends with `\n`; a `\r` right before that goes with it. Any other `\r` is a byte like all others: what it
//! overwrites on a terminal is told all the same, as nobody is to hide anything by it. Empty lines are only
//! counted, unless they are within a record.
//!
//! Each *writer* (goroutine, or thread where that is not known) of a file has a line of its own: parts are
//! joined with what the same writer writes next. If anyone else writes in between, then whose line goes on?
//! The file alone would say: that which was written last. So what proves something else is looked for, and
//! the rest says of itself that it is not proven:
//!
//! - The open line is the rest of a call that had other lines before it, or filled a page: a buffer was flushed.
//!   Those are shared, and are flushed by whoever finds them full: the next write goes on where it ended,
//!   whoever makes it. Unless that begins like a record, or the call may not be over: then the line is handed
//!   over as it is, [incomplete](Joined::incomplete), and so is what the writer goes on with.
//! - Else it was written in pieces, and who writes in pieces goes on itself: two that do so at once are kept
//!   apart. Between threads, both lines are [mixed](Joined::mixed), unless the second begins like a record: it may
//!   have been one task that moved from thread to thread. A lone `\n` of a thread without a line ends the
//!   other's, as it does in the file.
//!
//! So no line is ever made of parts that are neither adjacent in the file nor of one writer; and one that is
//! not plainly a line in the file says `mixed` or `incomplete`.
//!
//! Where something may have been lost, nothing is joined across: the line before it is incomplete, and so is the
//! one after it, where it may have begun before. A line not gone on with for [`Limits::line_wait_ns`] is handed
//! over as incomplete, and so is what it then goes on with. The rest of a buffer waits for longer, as buffers do.
//!
//! # Records
//!
//! Lines of one writer are one record where their text proves it: see `shape`. What a logger began a record with
//! (a time, a level, the syntax of its format) always begins one. Of Go's panics, of the traces of Java, Node,
//! Python and Rust, and of JSON in several lines, each line has its place; lines that are indented belong to the
//! logger's line before them.
//!
//! Any line may have a trace after it. So a line waits for [`Limits::record_wait_ns`], or until its writer begins
//! another record, writes an empty line, or ends. These go at once: a line that is a JSON object, logfmt or an
//! access record, the end of JSON in several lines, and the last line of what Node tells of an uncaught error.
//!
//! # What is counted
//!
//! `logs.bytes = logs.text_bytes + logs.line_end_bytes + logs.cut_bytes`, and bytes that wait, none after
//! [`Joiner::finish`]; `logs.text_bytes = Σ text`, `logs.lines = Σ lines`, and
//! `Σ cut = logs.cut_bytes + those of logs.lost_bytes that were lost within a line`.

mod look;
mod shape;
mod stream;
mod tally;
mod writer;
mod writers;

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::capture::event::{Caller, FileId, LogStream, Monotonic, ProcessKey, Written};
use crate::metrics::Metrics;

use stream::{Crossing, Short, Stream, begins_record};
use tally::Tally;
use writer::{Part, Sink};
use writers::{Queue, Writers};

/// The bounds of the joiner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line, and of the lines of one record together; what is beyond is cut, and says so.
    pub record_bytes: usize,
    /// Lines of one record; what is beyond is cut.
    pub record_lines: u32,
    /// Writers of which something incomplete is held at once, and files of which anything is remembered.
    pub writers: usize,
    /// Bytes that are held for all of them.
    pub held_bytes: usize,
    /// Most bytes that one part of a call has: one with fewer is the call's last.
    pub part_bytes: usize,
    /// How long a line waits for its end, in nanoseconds.
    pub line_wait_ns: u64,
    /// How long one does of which the rest is in a buffer of the process, until that is flushed again.
    pub flushed_wait_ns: u64,
    /// How long a record waits for another line, in nanoseconds.
    pub record_wait_ns: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes: 64 * 1024,
            record_lines: 1000,
            writers: 4096,
            held_bytes: 32 << 20,
            part_bytes: 4096,
            line_wait_ns: 1_000_000_000,
            flushed_wait_ns: 10_000_000_000,
            record_wait_ns: 300_000_000,
        }
    }
}

/// A line, or several that make one record. `T` is whatever the first of its writes came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined<T> {
    /// The process.
    pub process: ProcessKey,
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
    /// How many lines, with those that were cut.
    pub lines: u32,
    /// Bytes that were left out of it: it is longer than the limit, or they were lost on their way here.
    pub cut: u64,
    /// Its beginning or its end is not known to be that: the process stopped within a line, or something next
    /// to it was lost.
    pub incomplete: bool,
    /// Another thread wrote in between, or it was itself written within another thread's line: it rests on who
    /// wrote, not on the file, what belongs together.
    pub mixed: bool,
    /// It came out of a buffer with others, or may have come out of one: who wrote it to the file, and when, may
    /// not be who made it.
    pub flushed: bool,
}

/// Who writes to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    process: ProcessKey,
    file: FileId,
    by: By,
}

/// A writer within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum By {
    Goroutine(NonZeroU64),
    Thread(u32),
}

impl By {
    fn new(caller: &Caller) -> Self {
        match caller.goroutine {
            Some(goroutine) => Self::Goroutine(goroutine.id),
            None => Self::Thread(caller.tid),
        }
    }

    fn is_thread(self) -> bool {
        matches!(self, Self::Thread(_))
    }
}

/// Puts together what was written in parts.
#[derive(Debug)]
pub struct Joiner<T> {
    metrics: Arc<Metrics>,
    limits: Limits,
    tally: Tally,
    writers: Writers<T>,
    streams: FxHashMap<(ProcessKey, FileId), Stream>,
    /// The latest time that was told.
    now: Monotonic,
    /// Calls so far.
    calls: u64,
}

impl<T: Copy> Joiner<T> {
    /// An empty one, counting into `metrics`.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            limits,
            tally: Tally::default(),
            writers: Writers::new(),
            streams: FxHashMap::default(),
            now: Monotonic(0),
            calls: 0,
        }
    }

    /// Takes what was written, and hands over what is complete. `working` says whether who wrote is known to work
    /// for a request.
    pub fn write(
        &mut self,
        written: &Written<'_>,
        with: T,
        working: bool,
        out: &mut dyn FnMut(Joined<T>),
    ) {
        self.now = self.now.max(written.time);
        self.expire(out);
        self.calls += u64::from(!written.continues);
        self.tally.bytes += written.bytes.len() as u64;
        self.tally.lost += u64::from(written.lost_after);

        let place = (written.process, written.file);
        let mut stream = self.stream(place, written.lost_records);
        let own =
            Key { process: written.process, file: written.file, by: By::new(&written.caller) };
        if !written.continues {
            stream.flushing.begin(written.bytes.len(), own.by, written.time);
        }
        let mut part = Part {
            bytes: written.bytes,
            stream: written.stream,
            time: written.time,
            with,
            call: self.calls,
            continues: written.continues,
            working,
            taken_over: false,
            mixed: false,
        };
        let mut by = own;
        let tail = stream.tail.filter(|&tail| tail != own && !written.continues);
        if let Some(tail) = tail {
            match self.crossing(tail, own, part.bytes) {
                Crossing::Apart { mixed } => part.mixed = mixed,
                Crossing::GoesOn => {
                    by = tail;
                    part.taken_over = true;
                }
                Crossing::Ends(length) => {
                    let (end, rest) = part.bytes.split_at(length);
                    self.part(tail, Part { bytes: end, ..part }, &mut stream, written, out);
                    part.bytes = rest;
                    part.continues = true;
                }
            }
        }
        self.part(by, part, &mut stream, written, out);
        self.streams.insert(place, stream);
        self.make_room(out);
        self.tally.settle(&self.metrics);
    }

    /// It is this late: hands over what has waited long enough for more.
    pub fn advance(&mut self, now: Monotonic, out: &mut dyn FnMut(Joined<T>)) {
        self.now = self.now.max(now);
        self.expire(out);
        self.tally.settle(&self.metrics);
    }

    /// A process is gone: hands over what is left of it.
    pub fn exit(&mut self, process: ProcessKey, out: &mut dyn FnMut(Joined<T>)) {
        self.end(|key| key.process == process, out);
        self.streams.retain(|(of, _), _| *of != process);
    }

    /// No more is to come.
    pub fn finish(&mut self, out: &mut dyn FnMut(Joined<T>)) {
        self.end(|_| true, out);
        self.streams.clear();
    }

    /// Hands over what is left of some, in the order in which it was begun.
    fn end(&mut self, of: impl Fn(Key) -> bool, out: &mut dyn FnMut(Joined<T>)) {
        let keys: Vec<Key> = self.writers.keys().filter(|&key| of(key)).collect();
        let mut left = Vec::new();
        for key in keys {
            if let Some(mut writer) = self.writers.take(key) {
                self.with_sink(key, &mut |it| left.push(it), |sink| writer.give_up(0, sink));
            }
        }
        left.sort_by_key(|it: &Joined<T>| it.time);
        left.into_iter().for_each(out);
        self.tally.settle(&self.metrics);
    }

    /// Takes bytes as those of one writer.
    fn part(
        &mut self,
        by: Key,
        part: Part<'_, T>,
        stream: &mut Stream,
        written: &Written<'_>,
        out: &mut dyn FnMut(Joined<T>),
    ) {
        let now = self.now;
        let known = self.writers.take(by);
        let is_known = known.is_some();
        let mut writer = known.unwrap_or_default();
        let goes_on = writer.line.is_some() || part.continues || part.taken_over;
        let mut sink = Sink {
            limits: self.limits,
            process: by.process,
            file: by.file,
            tally: &mut self.tally,
            loggers_only: stream.loggers_only,
            several: false,
            flushing: stream.flushing,
            working: part.working,
            out,
        };
        if is_known && written.lost_records > writer.lost_records {
            writer.midway |= written.continues || stream.pieces;
            writer.lose(0, &mut sink);
        } else if !is_known || (writer.line.is_none() && stream.ends_lost != writer.ends_lost) {
            if now < stream.doubt_until && !begins_record(part.bytes) {
                writer.lose(0, &mut sink);
                writer.midway = true;
            }
        } else if writer.line.as_ref().is_some_and(|line| line.crossed) && !written.continues {
            writer.give_up(0, &mut sink);
        }
        writer.lost_records = written.lost_records;
        writer.write(part, &mut sink);
        if written.lost_after > 0 {
            writer.lose(written.lost_after.into(), &mut sink);
            writer.midway = true;
            // If it was a buffer that others share, they go on within a line.
            stream.ends_lost = stream.ends_lost.wrapping_add(1);
            stream.doubt_until = Monotonic(now.0.saturating_add(self.limits.line_wait_ns));
        }
        writer.ends_lost = stream.ends_lost;
        stream.loggers_only = sink.loggers_only;
        let several = sink.several;
        let is_whole = !goes_on && writer.line.is_none() && written.lost_after == 0;
        let Part { working, time: at, .. } = part;
        let short = is_whole.then_some(Short { len: part.bytes.len(), by: by.by, at, working });
        stream.flushing.end(several, short);
        stream.pieces |= writer.line.is_some() || written.lost_after > 0;
        stream.tail = writer.line.is_some().then_some(by);
        if !writer.is_idle() {
            self.writers.put(by, writer, now);
        }
    }

    /// Hands over what has waited for too long.
    fn expire(&mut self, out: &mut dyn FnMut(Joined<T>)) {
        for (queue, wait) in [
            (Queue::Record, self.limits.record_wait_ns),
            (Queue::Line, self.limits.line_wait_ns),
            (Queue::Flushed, self.limits.flushed_wait_ns),
        ] {
            while let Some((key, touched)) = self.writers.oldest(queue)
                && touched.0.saturating_add(wait) <= self.now.0
            {
                self.give_up(key, out);
            }
        }
    }

    /// Keeps to the bounds: who was not heard of for longest makes room.
    fn make_room(&mut self, out: &mut dyn FnMut(Joined<T>)) {
        let Limits { writers, held_bytes, .. } = self.limits;
        while self.writers.len() > writers || self.writers.held() > held_bytes {
            let oldest = [Queue::Line, Queue::Flushed, Queue::Record]
                .into_iter()
                .filter_map(|queue| self.writers.oldest(queue))
                .min_by_key(|(_, touched)| *touched);
            // Those that hold nothing go first, where it is about their number.
            let midway = self.writers.oldest(Queue::Midway);
            let Some((key, _)) =
                (if self.writers.len() > writers { midway } else { None }).or(oldest)
            else {
                return;
            };
            self.tally.evicted += 1;
            self.give_up(key, out);
            // What it goes on with is not known to be that any more.
            if self.writers.len() > writers && self.writers.take(key).is_some() {
                self.doubt(key);
            }
        }
    }

    /// Hands over what a writer has, which is not to be gone on with.
    fn give_up(&mut self, key: Key, out: &mut dyn FnMut(Joined<T>)) {
        let Some(mut writer) = self.writers.take(key) else { return };
        self.with_sink(key, out, |sink| writer.give_up(0, sink));
        if !writer.is_idle() {
            self.writers.put(key, writer, self.now);
        }
    }

    /// For a while, writers of a file may be within a line without that being known.
    fn doubt(&mut self, key: Key) {
        let until = Monotonic(self.now.0.saturating_add(self.limits.line_wait_ns));
        if let Some(stream) = self.streams.get_mut(&(key.process, key.file)) {
            stream.doubt_until = stream.doubt_until.max(until);
        }
    }

    /// Runs something for a writer's file, which is not written to just now.
    fn with_sink(
        &mut self,
        key: Key,
        out: &mut dyn FnMut(Joined<T>),
        run: impl FnOnce(&mut Sink<'_, T>),
    ) {
        let stream = self.streams.get_mut(&(key.process, key.file));
        let mut sink = Sink {
            limits: self.limits,
            process: key.process,
            file: key.file,
            tally: &mut self.tally,
            loggers_only: stream.as_ref().is_some_and(|stream| stream.loggers_only),
            several: false,
            flushing: stream.as_ref().map(|stream| stream.flushing).unwrap_or_default(),
            working: false,
            out,
        };
        run(&mut sink);
        if let Some(stream) = stream {
            stream.loggers_only = sink.loggers_only;
        }
    }
}
