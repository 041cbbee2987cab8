//! A file that a process writes to: whose line goes on where someone writes.

use super::{By, Joiner, Key, look};
use crate::capture::event::{FileId, Monotonic, Tgid};

/// Buffers that several fill are no smaller: that of C's stdio for a pipe, of Go's bufio. (Java's and Python's have
/// twice as much.)
const BUFFER: usize = 4096;

/// Who flushes a buffer from time to time waits for longer, in nanoseconds.
const FLUSH_NS: u64 = 5_000_000;

/// For how long after its first part there may be more of a call, in nanoseconds: it takes far less to copy one.
const CALL_NS: u64 = 1_000_000;

/// What is known of a file that a process writes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// Who wrote last, if that did not end with the end of a line.
    pub(super) tail: Option<Key>,
    /// Records lost by anyone until it was written to last.
    pub(super) lost_records: u64,
    /// Calls so far of which the end is lost.
    pub(super) ends_lost: u32,
    /// Lines may have been begun in what was lost, until then.
    pub(super) doubt_until: Monotonic,
    /// Some call has ended within a line.
    pub(super) pieces: bool,
    /// All that stood alone was begun by a logger.
    pub(super) loggers_only: bool,
    pub(super) flushing: Flushing,
}

/// Whether who writes to a file is who made what is written, as far as the calls of all writers tell.
///
/// A record that fills no call with others may still have come out of a buffer: it was alone in there when somebody
/// came with one that had no room beside it. So what a buffer holds is no more than what was written last and the
/// first record of what is written next together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flushing {
    kind: Kind,
    /// The longest call so far.
    longest: usize,
    /// The call before, if it was one record.
    before: Option<(By, Monotonic, usize)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    /// Several records came with one call.
    Buffered,
    /// Two calls in a row, since, with a record each that would have had room in one buffer.
    EachByItself,
}

impl Flushing {
    /// A call has `len` bytes, or more. Returns whether what is in it may have been made by another than who calls.
    pub(super) fn begin(&mut self, len: usize) -> bool {
        self.longest = self.longest.max(len);
        match self.kind {
            Kind::Unknown => len + self.longest >= BUFFER,
            Kind::Buffered => true,
            Kind::EachByItself => false,
        }
    }

    /// Such a call is over, `whole` if it was of whole lines.
    pub(super) fn end(&mut self, by: By, at: Monotonic, len: usize, several: bool, whole: bool) {
        if several {
            self.kind = Kind::Buffered;
        }
        let now = (!several && whole).then_some((by, at, len));
        if let (Some(before), Some(now)) = (self.before, now)
            && before.2 + now.2 < BUFFER
            && (before.0 != now.0 || now.1.0 < before.1.0.saturating_add(FLUSH_NS))
        {
            self.kind = Kind::EachByItself;
        }
        self.before = now;
    }
}

impl<T: Copy> Joiner<T> {
    /// What is known of a file, with what this write tells of losses.
    pub(super) fn stream(&mut self, place: (Tgid, FileId), lost_records: u64) -> Stream {
        let new = Stream {
            tail: None,
            lost_records,
            ends_lost: 0,
            doubt_until: Monotonic(0),
            pieces: false,
            loggers_only: true,
            flushing: Flushing::default(),
        };
        let Some(known) = self.streams.get(&place) else {
            if self.streams.len() >= self.limits.writers {
                // All of it can be learned again; until then, less is proven.
                self.streams.clear();
            }
            return new;
        };
        let mut stream = *known;
        if lost_records > stream.lost_records {
            stream.lost_records = lost_records;
            // Where what goes on there is the next to write, that may be among what was lost.
            if let Some(line) = stream.tail.take().and_then(|tail| self.writers.get_mut(tail)) {
                line.line.as_mut().into_iter().for_each(|line| line.crossed |= line.flushed);
            }
            if stream.pieces {
                stream.doubt_until = Monotonic(self.now.0.saturating_add(self.limits.line_wait_ns));
            }
        }
        stream
    }

    /// `own` writes while the line of `tail` is the last in the file, and has no end.
    pub(super) fn crossing(&mut self, tail: Key, own: Key, bytes: &[u8]) -> Crossing {
        let threads = tail.by.is_thread() && own.by.is_thread();
        let has_line = self.writers.get_mut(own).is_some_and(|own| {
            if threads {
                own.mix();
            }
            own.line.is_some()
        });
        let now = self.now;
        let Some(writer) = self.writers.get_mut(tail) else {
            return Crossing::Apart { mixed: false };
        };
        let begins = begins_record(bytes);
        let Some(line) = &mut writer.line else {
            // It was handed over, but goes on in the file.
            let within = writer.midway && !begins && !has_line;
            return match writer.flushed {
                true if within => Crossing::GoesOn,
                _ => Crossing::Apart { mixed: within && threads },
            };
        };
        let (last, full) = line.last;
        let is_over = !full || now.0 > last.0.saturating_add(CALL_NS);
        if line.flushed {
            // A time that is cut in two begins twice.
            let begins = begins && !line.is_part_of_time();
            if is_over && !begins && !has_line {
                return Crossing::GoesOn;
            }
            line.crossed = true;
        } else if !has_line && threads {
            let end = bytes.iter().position(|&byte| byte != b'\r').filter(|&at| at <= 1);
            if let Some(end) = end.filter(|&end| bytes[end] == b'\n') {
                writer.mix();
                return Crossing::Ends(end + 1);
            }
        }
        if threads && !begins {
            writer.mix();
        }
        Crossing::Apart { mixed: threads && !begins }
    }
}

/// What it is to someone's open line that someone else writes.
pub(super) enum Crossing {
    /// Nothing: it is a line of its own, which may be `mixed` with the other.
    Apart { mixed: bool },
    /// It goes on with that line.
    GoesOn,
    /// The first so many bytes end that line, and no more.
    Ends(usize),
}

/// Whether the first line there, or its beginning, is one that a logger began a record with.
pub(super) fn begins_record(bytes: &[u8]) -> bool {
    let line = memchr::memchr(b'\n', bytes).map_or(bytes, |end| &bytes[..end]);
    look::begins_record(&line[..line.len().min(256)])
}
