//! A file that a process writes to: whose line goes on where someone writes.

use super::{By, Joiner, Key, look};
use crate::capture::event::{FileId, Monotonic, ProcessKey};

/// Buffers that threads share are no smaller: that of C's stdio for a pipe, of Go's bufio. (Java's and Python's
/// have twice as much.)
const BUFFER: usize = 4096;

/// A thread that is there to flush them waits for longer in between, in nanoseconds.
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

/// Whether who writes to a file is who made what is written.
///
/// A buffer that threads share is written out by who finds no room in it for a record. So it need not hold several:
/// there may be one, if a long one came next. That is the first of what is written next, then. Where this would have
/// had room, nobody was short of it: who wrote did so for what was written, unless it is there only to flush from
/// time to time. Such a thread works for no request, and then waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flushing {
    kind: Kind,
    /// The call before, if it was one record, and short.
    before: Option<Short>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Nothing speaks against it.
    #[default]
    Unknown,
    /// Several records came with one call, or there was no room for the next one. Nothing since was proof of the
    /// opposite.
    Shared,
    /// It has been seen that somebody who is not there to flush wrote one record, with room for the next.
    EachByItself,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    pub(super) len: usize,
    pub(super) by: By,
    pub(super) at: Monotonic,
    /// Who wrote it did so on somebody's behalf.
    pub(super) working: bool,
}

impl Flushing {
    /// A call begins, with so many bytes, or more.
    pub(super) fn begin(&mut self, len: usize, by: By, at: Monotonic) {
        if let Some(before) = self.before {
            let goes_on = before.by == by && at.0 < before.at.0.saturating_add(FLUSH_NS);
            if before.len + len >= BUFFER {
                self.doubt(before.working);
            } else if before.working || goes_on {
                self.kind = Kind::EachByItself;
            }
        }
        self.doubt(len >= BUFFER);
    }

    /// It had several records, or else it was `short`, if it was one.
    pub(super) fn end(&mut self, several: bool, short: Option<Short>) {
        if several {
            self.kind = Kind::Shared;
        }
        self.before = short.filter(|short| !several && short.len < BUFFER);
    }

    /// What is written next need not be what came next.
    pub(super) fn lose(&mut self) {
        self.before = None;
    }

    fn doubt(&mut self, speaks_against: bool) {
        if speaks_against && self.kind == Kind::Unknown {
            self.kind = Kind::Shared;
        }
    }

    /// What is handed over may have been made by another than who wrote it.
    pub(super) fn is_doubtful(&self) -> bool {
        self.kind == Kind::Shared
    }

    /// It is not known yet: what is written next may tell.
    pub(super) fn is_open(&self) -> bool {
        self.kind == Kind::Unknown
    }
}

impl<T: Copy> Joiner<T> {
    /// What is known of a file, with what this write tells of losses.
    pub(super) fn stream(&mut self, place: (ProcessKey, FileId), lost_records: u64) -> Stream {
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
            stream.flushing.lose();
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
