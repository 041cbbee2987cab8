//! One writer: the line that it has begun, and the record that may go on.

use std::borrow::Cow;

use memchr::memchr;

use super::shape::{Before, Shape, Verdict};
use super::stream::Flushing;
use super::tally::Tally;
use super::{Joined, Limits};
use crate::capture::event::{FileId, LogStream, Monotonic, ProcessKey};

/// Where records go, and what of a file and its process they all have in common.
pub(super) struct Sink<'a, T> {
    pub(super) limits: Limits,
    pub(super) process: ProcessKey,
    pub(super) file: FileId,
    pub(super) tally: &'a mut Tally,
    /// See [`Before::loggers_only`].
    pub(super) loggers_only: bool,
    /// A call was seen that had several records in it.
    pub(super) several: bool,
    /// Who makes what is written there, as far as that is known.
    pub(super) flushing: Flushing,
    /// Whether it matters who made what is written now.
    pub(super) working: bool,
    pub(super) out: &'a mut dyn FnMut(Joined<T>),
}

/// What a writer has written and what is not handed over.
#[derive(Debug)]
pub(super) struct Writer<T> {
    /// The line that has no end yet.
    pub(super) line: Option<Open<T>>,
    /// The lines before that, which may belong to what follows.
    record: Option<Record<T>>,
    /// What it writes next may be the middle of a line.
    pub(super) midway: bool,
    /// That is what was flushed last out of a buffer: see [`Open::flushed`].
    pub(super) flushed: bool,
    /// Records lost by anyone until it wrote last.
    pub(super) lost_records: u64,
    /// Calls to its file of which the end was lost until then.
    pub(super) ends_lost: u32,
}

/// A line without its end.
#[derive(Debug)]
pub(super) struct Open<T> {
    text: Vec<u8>,
    /// Bytes beyond the limit.
    beyond: u64,
    marks: Marks<T>,
    /// It was flushed out of a buffer, most likely: whoever writes next goes on with it.
    pub(super) flushed: bool,
    /// Someone else wrote before it was gone on with, and `flushed` does not tell whose that was.
    pub(super) crossed: bool,
    /// When its last part was written, and that this may not have been all of the call.
    pub(super) last: (Monotonic, bool),
}

/// What is known of a line apart from its text.
#[derive(Clone, Copy, Debug)]
struct Marks<T> {
    stream: LogStream,
    time: Monotonic,
    with: T,
    /// The call that its first byte came with.
    call: u64,
    /// Its beginning is not known to be that.
    broken: bool,
    /// See [`Joined::mixed`].
    mixed: bool,
    /// See [`Joined::flushed`].
    flushed: bool,
}

/// A line that is over.
#[derive(Debug)]
struct Line<'a, T> {
    text: Cow<'a, [u8]>,
    beyond: u64,
    /// Bytes after it that were lost.
    lost: u64,
    marks: Marks<T>,
    /// How: `\n` is one byte, `\r\n` two, and without either there is none.
    end: u8,
}

/// A record that may go on.
#[derive(Debug)]
struct Record<T> {
    text: Vec<u8>,
    marks: Marks<T>,
    shape: Shape,
    lines: u32,
    cut: u64,
    incomplete: bool,
    /// Its last line had an end.
    ended: bool,
    /// Empty lines after that.
    blanks: u32,
    /// A line after it that is only a part of it if the next line is, too; with what it looks like then.
    held: Option<Box<(Line<'static, T>, Shape)>>,
}

/// One call's bytes, or a part of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a, T> {
    pub(super) bytes: &'a [u8],
    pub(super) stream: LogStream,
    pub(super) time: Monotonic,
    pub(super) with: T,
    /// A number of the call.
    pub(super) call: u64,
    /// There were bytes of the call before these.
    pub(super) continues: bool,
    /// Who wrote them works for a request.
    pub(super) working: bool,
    /// The writer that these are taken for is not who wrote them.
    pub(super) taken_over: bool,
    /// The first line that begins here does so within another's.
    pub(super) mixed: bool,
}

impl<T> Default for Writer<T> {
    fn default() -> Self {
        Self {
            line: None,
            record: None,
            midway: false,
            flushed: false,
            lost_records: 0,
            ends_lost: 0,
        }
    }
}

impl<T: Copy> Writer<T> {
    /// Nothing is to be remembered of it.
    pub(super) fn is_idle(&self) -> bool {
        self.line.is_none() && self.record.is_none() && !self.midway
    }

    /// Something may be handed over later.
    pub(super) fn holds_text(&self) -> bool {
        self.line.is_some() || self.record.is_some()
    }

    /// Bytes of text that it holds.
    pub(super) fn held(&self) -> usize {
        let line = self.line.as_ref().map_or(0, |line| line.text.capacity());
        let record = self.record.as_ref().map_or(0, |record| {
            record.text.capacity() + record.held.as_ref().map_or(0, |held| held.0.text.len())
        });
        line + record
    }

    /// Takes bytes that go on where it has come to.
    pub(super) fn write(&mut self, part: Part<'_, T>, sink: &mut Sink<'_, T>) {
        let mut rest = part.bytes;
        let mut mixed = part.mixed;
        let marks = |flushed: bool, broken: bool, mixed: bool| Marks {
            stream: part.stream,
            time: part.time,
            with: part.with,
            call: part.call,
            broken,
            mixed,
            flushed: flushed || part.taken_over,
        };
        let mut flushed = part.continues;
        while let Some(end) = memchr(b'\n', rest) {
            let (text, after) = rest.split_at(end);
            rest = &after[1..];
            let line = match self.line.take() {
                Some(mut line) => {
                    line.extend(text, sink.limits.record_bytes);
                    line.marks.flushed |= part.taken_over;
                    line.over(true)
                }
                None => {
                    let marks = marks(flushed, self.midway, std::mem::take(&mut mixed));
                    Line::whole(text, marks, sink.limits.record_bytes)
                }
            };
            self.midway = false;
            flushed = true;
            let more = rest.iter().any(|byte| !matches!(byte, b'\n' | b'\r'));
            self.take(line, more, sink);
        }
        if rest.is_empty() {
            return;
        }
        let line = self.line.get_or_insert_with(|| Open {
            text: Vec::new(),
            beyond: 0,
            marks: marks(flushed, self.midway, mixed),
            flushed: false,
            crossed: false,
            last: (part.time, false),
        });
        self.midway = false;
        let full = part.bytes.len() >= sink.limits.part_bytes;
        line.flushed |= flushed || full || part.taken_over;
        line.marks.flushed |= part.taken_over;
        line.last = (part.time, full);
        line.extend(rest, sink.limits.record_bytes);
    }

    /// Hands over all of it, as it goes on no more, or `lost` bytes of it are missing here.
    pub(super) fn give_up(&mut self, lost: u64, sink: &mut Sink<'_, T>) {
        match self.line.take() {
            Some(line) => {
                self.flushed = line.flushed;
                let mut line = line.over(false);
                line.lost = lost;
                self.take(line, false, sink);
                if let Some(record) = &mut self.record {
                    record.last_line_is_incomplete();
                }
                self.flush(sink);
                self.midway = true;
            }
            None => self.flush(sink),
        }
    }

    /// Something may have been lost after what it has written.
    pub(super) fn lose(&mut self, lost: u64, sink: &mut Sink<'_, T>) {
        if self.line.is_none()
            && let Some(record) = &mut self.record
        {
            record.incomplete |= record.shape.is_trace();
        }
        self.give_up(lost, sink);
    }

    /// The line that it has begun may be another's.
    pub(super) fn mix(&mut self) {
        if let Some(line) = &mut self.line {
            line.marks.mixed = true;
        }
    }

    /// A line is over; its record goes at once if nothing can belong to it.
    fn take(&mut self, line: Line<'_, T>, more: bool, sink: &mut Sink<'_, T>) {
        sink.tally.ends += u64::from(line.end.saturating_sub(1));
        if line.text.is_empty() && line.lost == 0 {
            return self.blank(sink);
        }
        if line.marks.broken {
            self.flush(sink);
        } else {
            self.release(&line.text, sink);
        }
        let Some(record) = &mut self.record else { return self.begin(line, more, sink) };
        let before = Before {
            text: &record.text,
            blank: record.blanks > 0,
            loggers_only: sink.loggers_only,
        };
        match record.shape.next(before, &line.text) {
            Verdict::Joins(shape) => {
                record.append(&line, sink);
                record.shape = shape;
                if shape == Shape::Alone && record.ended {
                    self.flush(sink);
                }
            }
            Verdict::Perhaps(shape) if !before.blank => {
                record.held = Some(Box::new((line.into_owned(), shape)));
            }
            Verdict::Perhaps(_) | Verdict::Begins => {
                record.is_followed_by(&line, sink);
                self.flush(sink);
                self.begin(line, more, sink);
            }
        }
    }

    /// An empty line.
    fn blank(&mut self, sink: &mut Sink<'_, T>) {
        self.release(b"", sink);
        match &mut self.record {
            Some(record) if record.shape.spans_blank() => record.blanks += 1,
            _ => {
                self.flush(sink);
                sink.tally.empty += 1;
                sink.tally.ends += 1;
            }
        }
    }

    /// Decides upon a line that is held, by the next one.
    fn release(&mut self, next: &[u8], sink: &mut Sink<'_, T>) {
        let Some(record) = &mut self.record else { return };
        let Some(held) = record.held.take() else { return };
        let (line, shape) = *held;
        let before = Before { text: &record.text, blank: false, loggers_only: sink.loggers_only };
        if !next.is_empty() && matches!(shape.next(before, next), Verdict::Joins(_)) {
            record.append(&line, sink);
            record.shape = shape;
        } else {
            record.is_followed_by(&line, sink);
            self.flush(sink);
            self.begin(line, false, sink);
        }
    }

    /// A record begins with this line; `more` of the same call follows it.
    fn begin(&mut self, line: Line<'_, T>, more: bool, sink: &mut Sink<'_, T>) {
        let shape = Shape::begin(&line.text);
        if shape == (Shape::Line { log: false }) {
            sink.loggers_only = false;
        }
        sink.tally.cut += line.beyond;
        let mut record = Record {
            marks: line.marks,
            shape,
            lines: 1,
            cut: line.beyond + line.lost,
            incomplete: line.marks.broken || line.lost > 0,
            ended: line.end > 0,
            blanks: 0,
            held: None,
            text: line.text.into_owned(),
        };
        let is_alone = shape == Shape::Alone && record.ended;
        if is_alone && more {
            record.marks.flushed = true;
            sink.several = true;
        }
        let may_tell = sink.working && !more && sink.flushing.is_open();
        if is_alone && !may_tell {
            record.hand_over(sink);
        } else {
            self.record = Some(record);
        }
    }

    /// Hands over the record, and a line that is held.
    fn flush(&mut self, sink: &mut Sink<'_, T>) {
        while let Some(mut record) = self.record.take() {
            let held = record.held.take();
            record.incomplete |= record.shape.is_open();
            record.hand_over(sink);
            if let Some(held) = held {
                self.begin(held.0, false, sink);
            }
        }
    }
}

impl<T: Copy> Open<T> {
    /// There is nothing but a part of a time.
    pub(super) fn is_part_of_time(&self) -> bool {
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"-/:.,T+Z[( ".contains(byte);
        self.text.len() < 40 && self.text.iter().all(is_part)
    }

    fn extend(&mut self, bytes: &[u8], limit: usize) {
        let (text, beyond) = bytes.split_at(bytes.len().min(limit - self.text.len().min(limit)));
        self.text.extend_from_slice(text);
        self.beyond += beyond.len() as u64;
    }

    /// By `\n`, or without an end.
    fn over(self, ended: bool) -> Line<'static, T> {
        let Self { mut text, beyond, marks, .. } = self;
        let mut end = u8::from(ended);
        if ended && beyond == 0 && text.last() == Some(&b'\r') {
            text.pop();
            end += 1;
        }
        Line { text: Cow::Owned(text), beyond, lost: 0, marks, end }
    }
}

impl<'a, T: Copy> Line<'a, T> {
    /// A line, the end of which came with its beginning.
    fn whole(text: &'a [u8], marks: Marks<T>, limit: usize) -> Self {
        let (mut text, beyond) = text.split_at(text.len().min(limit));
        let mut end = 1;
        if let (Some(before), true) = (text.strip_suffix(b"\r"), beyond.is_empty()) {
            text = before;
            end = 2;
        }
        Self { text: Cow::Borrowed(text), beyond: beyond.len() as u64, lost: 0, marks, end }
    }

    fn into_owned(self) -> Line<'static, T> {
        let Self { text, beyond, lost, marks, end } = self;
        Line { text: Cow::Owned(text.into_owned()), beyond, lost, marks, end }
    }
}

impl<T: Copy> Record<T> {
    /// Puts a line after the others.
    fn append(&mut self, line: &Line<'_, T>, sink: &mut Sink<'_, T>) {
        let Limits { record_bytes, record_lines, .. } = sink.limits;
        let ends = 1 + self.blanks;
        self.lines = self.lines.saturating_add(ends);
        self.blanks = 0;
        let mut cut = line.beyond;
        // Once something is left out, so is all that follows.
        let room = match self.cut == 0 && self.lines <= record_lines {
            true => record_bytes.saturating_sub(self.text.len()),
            false => 0,
        };
        let kept = (ends as usize).min(room);
        self.text.extend(std::iter::repeat_n(b'\n', kept));
        let (text, rest) = line.text.split_at(line.text.len().min(room - kept));
        self.text.extend_from_slice(text);
        cut += (ends as usize - kept + rest.len()) as u64;
        sink.tally.cut += cut;
        self.cut += cut + line.lost;
        self.ended = line.end > 0;
        self.incomplete |= line.lost > 0;
        self.marks.mixed |= line.marks.mixed;
    }

    /// This line begins another record, maybe in the same call.
    fn is_followed_by(&mut self, line: &Line<'_, T>, sink: &mut Sink<'_, T>) {
        let several = self.marks.call == line.marks.call;
        self.marks.flushed |= several;
        sink.several |= several;
    }

    /// Its last line had no end.
    fn last_line_is_incomplete(&mut self) {
        if self.held.is_none() {
            self.incomplete = true;
        }
        if let Some(held) = &mut self.held {
            held.0.marks.broken = true;
        }
    }

    fn hand_over(self, sink: &mut Sink<'_, T>) {
        let Self { text, marks, lines, cut, incomplete, ended, blanks, .. } = self;
        let tally = &mut *sink.tally;
        tally.text += text.len() as u64;
        tally.lines += u64::from(lines);
        tally.ends += u64::from(ended) + u64::from(blanks);
        tally.empty += u64::from(blanks);
        tally.incomplete += u64::from(incomplete);
        tally.mixed += u64::from(marks.mixed);
        (sink.out)(Joined {
            process: sink.process,
            file: sink.file,
            stream: marks.stream,
            time: marks.time,
            with: marks.with,
            text,
            lines,
            cut,
            incomplete,
            mixed: marks.mixed,
            flushed: marks.flushed || sink.flushing.is_doubtful(),
        });
    }
}
