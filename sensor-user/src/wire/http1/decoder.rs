//! The decoder of one direction.
//!
//! ```text
//!             not HTTP
//!  Detect ----------------> Opaque <---- 101, or 2xx to CONNECT
//!    |                        ^
//!    | start line recognised  |
//!    v                        |
//!  Head -----> Length | Chunked | UntilClose
//!    ^  \          |                  |
//!    |   \ no body | end              | end of the stream
//!    |    v        v                  v
//!    +--- Start <--+----------------- +
//!    ^      \ after CONNECT or Upgrade: Paused, until it is answered
//!    |
//!    | a segment that begins like a message
//!  Seek <---- from anywhere: bytes missing where they were needed, or a broken head
//! ```
//!
//! The bias in `Seek` is to lose: only bytes at the beginning of a segment count, they have to be
//! a whole request line or a status line's first half, and what came before is never joined with
//! what comes after. Who pairs requests with responses has to start anew as well.

use super::chunked::Chunked;
use super::detect::{Detection, Detector};
use super::head::{Body, Head, StartLine};
use super::line::Line;
use super::{At, Kind};
use crate::capture::event::Monotonic;
use crate::stream::Piece;

/// What a response answers: that decides how its body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: no body, whatever the fields say.
    Head,
    /// CONNECT: with a 2xx the connection becomes a tunnel.
    Connect,
    /// Any other method.
    Other,
    /// It cannot be told, so where this response ends cannot either.
    Unknown,
}

/// Where a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEnd {
    /// Which message.
    pub kind: Kind,
    /// When its last byte went by; none where that byte is in a gap.
    pub time: Option<Monotonic>,
    /// Bytes of its body without the transfer coding; none where it has no body.
    pub body: Option<u64>,
}

/// Why a direction lost its place. Whatever was in flight is unknown from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Bytes that were needed are missing.
    Gap,
    /// A head goes beyond the limit.
    HeadTooLarge,
    /// The bytes break the protocol.
    Malformed,
}

/// Hears what a [`Decoder`] finds, in the order of the stream.
pub trait Sink {
    /// A message begins: its first byte. Its head comes later, or a failure.
    fn start(&mut self, kind: Kind, first: At);
    /// A head is complete; `last` is its last byte. For a final response, and only then, the
    /// answer matters: which kind of request it answers.
    fn head(&mut self, head: &Head<'_>, first: At, last: At) -> Asked;
    /// Bytes of the body of the message of the last head, without the transfer coding: there, passed
    /// over or missing.
    fn body(&mut self, _kind: Kind, _piece: Piece<'_>) {}
    /// The message of the last head ended. Never called for interim responses.
    fn end(&mut self, end: MessageEnd);
    /// The direction lost its place.
    fn failed(&mut self, kind: Option<Kind>, failure: Failure);
    /// The stream does not begin like HTTP/1; nothing more will come from this decoder.
    fn not_http(&mut self);
    /// The connection was given over to another protocol, whose first byte is to be `next`; nothing
    /// more will come.
    fn upgraded(&mut self, next: At);
}

/// The decoder of one direction. Small when idle: it holds bytes only while a head is split over
/// segments.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    kind: Option<Kind>,
    /// After this request no other is read until it is answered.
    pause: bool,
    head_max: u32,
    /// Bytes of a head that came in earlier pieces.
    head: Vec<u8>,
    /// First byte of the current message.
    first: At,
    /// Bytes of its body, so far.
    size: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Detect(Detector),
    /// With a detector while a candidate's start line is incomplete.
    Seek(Option<Detector>),
    Start,
    Head(Line),
    Length {
        remaining: u64,
    },
    Chunked(Chunked),
    UntilClose,
    Paused {
        missed: bool,
    },
    Opaque,
}

impl Decoder {
    /// A decoder for a direction that is seen from its first byte (`from_start`), or from anywhere.
    /// Heads and chunk lines of more than `head_max` bytes are given up.
    pub fn new(from_start: bool, head_max: u32) -> Self {
        let state = if from_start { State::Detect(Detector::default()) } else { State::Seek(None) };
        Self {
            state,
            kind: None,
            pause: false,
            head_max,
            head: Vec::new(),
            first: At::default(),
            size: 0,
        }
    }

    /// The other direction carries the opposite: what this one carries needs no detection.
    pub fn expect(&mut self, kind: Kind) {
        self.kind = Some(kind);
        if let State::Detect(detector) = self.state
            && detector.is_fresh()
        {
            self.state = State::Start;
        }
    }

    /// HTTP has ended on this connection.
    pub fn give_over(&mut self) {
        self.state = State::Opaque;
        self.head = Vec::new();
    }

    /// The request after which this direction paused was answered, and HTTP goes on.
    pub fn resume(&mut self) {
        self.pause = false;
        if let State::Paused { missed } = self.state {
            self.state = if missed { State::Seek(None) } else { State::Start };
        }
    }

    /// It paused after a request, and nothing has come since.
    pub fn is_unseen(&self) -> bool {
        matches!(self.state, State::Paused { missed: false })
    }

    /// The next piece of the stream; `at` is its first byte.
    pub fn feed(&mut self, piece: Piece<'_>, at: At, sink: &mut impl Sink) {
        match piece {
            Piece::Bytes(data) => self.bytes(data, at, sink),
            Piece::Skip(n) => self.missing(n, false, at, sink),
            Piece::Lost(n) => self.missing(n, true, at, sink),
        }
    }

    /// The head that is being read was cut by the kernel side: it is over the limit.
    pub fn cut(&mut self, sink: &mut impl Sink) {
        match self.state {
            State::Detect(detector) | State::Seek(Some(detector)) => {
                self.too_large(detector, sink);
            }
            State::Head(_) => self.fail(Failure::HeadTooLarge, sink),
            _ => {}
        }
    }

    /// A start line that is itself over the limit. One with a target is a request that was seen.
    fn too_large(&mut self, detector: Detector, sink: &mut impl Sink) {
        if detector.in_target() && self.kind != Some(Kind::Response) {
            self.kind = Some(Kind::Request);
            sink.start(Kind::Request, self.first);
        }
        self.fail(Failure::HeadTooLarge, sink);
    }

    /// The stream ended in order at `time`. That ends a body that goes on until then; all else
    /// that is incomplete stays so.
    pub fn finish(&mut self, time: Monotonic, sink: &mut impl Sink) {
        if let State::UntilClose = self.state {
            self.end(Some(time), Some(self.size), sink);
        }
    }

    fn bytes(&mut self, data: &[u8], at: At, sink: &mut impl Sink) {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            let here = at.advance(used);
            used += match &mut self.state {
                State::Detect(_) | State::Seek(_) => self.look(rest, here, used == 0, sink),
                State::Start => self.begin(rest, here, sink),
                State::Head(_) => self.head_bytes(rest, 0, 0, here, sink),
                State::Length { remaining } => {
                    let taken = (rest.len() as u64).min(*remaining);
                    *remaining -= taken;
                    let left = *remaining;
                    let body = usize::try_from(taken).ok().and_then(|taken| rest.get(..taken));
                    sink.body(
                        self.kind.unwrap_or(Kind::Request),
                        Piece::Bytes(body.unwrap_or(rest)),
                    );
                    if left == 0 {
                        self.end(Some(at.time), Some(self.size), sink);
                    }
                    usize::try_from(taken).unwrap_or(rest.len())
                }
                State::Chunked(chunked) => {
                    let kind = self.kind.unwrap_or(Kind::Request);
                    let body = |data: &[u8]| sink.body(kind, Piece::Bytes(data));
                    match chunked.bytes(rest, &mut self.size, self.head_max, body) {
                        Ok((taken, done)) => {
                            if done {
                                self.end(Some(at.time), Some(self.size), sink);
                            }
                            taken
                        }
                        Err(_) => return self.fail(Failure::Malformed, sink),
                    }
                }
                State::UntilClose => {
                    self.size = self.size.saturating_add(rest.len() as u64);
                    sink.body(self.kind.unwrap_or(Kind::Response), Piece::Bytes(rest));
                    return;
                }
                State::Paused { missed } => {
                    *missed = true;
                    return;
                }
                State::Opaque => return,
            };
        }
    }

    /// Looks for a start line where it is not known that one begins here. Gives the bytes used.
    fn look(&mut self, data: &[u8], at: At, segment_start: bool, sink: &mut impl Sink) -> usize {
        let (mut detector, detecting) = match self.state {
            State::Detect(detector) => (detector, true),
            State::Seek(Some(detector)) => (detector, false),
            _ if segment_start => (Detector::default(), false),
            _ => return data.len(),
        };
        let mut from = 0;
        for (i, &byte) in data.iter().enumerate() {
            if detector.is_fresh() && matches!(byte, b'\r' | b'\n') {
                from = i + 1;
                continue;
            }
            if detector.is_fresh() {
                self.first = at.advance(i);
            }
            let kind = match detector.push(byte) {
                // At this very byte, wherever the segments end.
                Detection::NeedMore
                    if self.head.len() + (i + 1 - from) > self.head_max as usize =>
                {
                    self.too_large(detector, sink);
                    return data.len();
                }
                Detection::NeedMore => continue,
                Detection::Http(kind) if self.kind.is_none_or(|known| known == kind) => kind,
                Detection::Http(_) | Detection::NotHttp => {
                    self.head = Vec::new();
                    if detecting {
                        self.state = State::Opaque;
                        sink.not_http();
                    } else {
                        self.state = State::Seek(None);
                    }
                    return data.len();
                }
            };
            self.kind = Some(kind);
            self.state = State::Head(match kind {
                Kind::Request => Line::Empty,
                Kind::Response => Line::Text,
            });
            sink.start(kind, self.first);
            return self.head_bytes(data, from, i + 1, at, sink);
        }
        self.head.extend_from_slice(&data[from..]);
        self.state = match detecting {
            true => State::Detect(detector),
            false => State::Seek(Some(detector)),
        };
        data.len()
    }

    /// The first byte of a message, between messages. Gives the bytes used.
    fn begin(&mut self, data: &[u8], at: At, sink: &mut impl Sink) -> usize {
        let kind = self.kind.unwrap_or(Kind::Request);
        // Empty lines before a request line are passed over (RFC 9112 section 2.2).
        let empty = |byte: &u8| kind == Kind::Request && matches!(byte, b'\r' | b'\n');
        let Some(from) = data.iter().position(|byte| !empty(byte)) else {
            return data.len();
        };
        self.first = at.advance(from);
        self.state = State::Head(Line::Empty);
        sink.start(kind, self.first);
        self.head_bytes(data, from, from, at, sink)
    }

    /// Bytes of a head: those from `from` on belong to it, those before `fresh` were scanned. A
    /// head that is whole in one piece is read in place, and one that is well-formed in one go.
    /// Gives the bytes used.
    fn head_bytes(
        &mut self,
        data: &[u8],
        from: usize,
        fresh: usize,
        at: At,
        sink: &mut impl Sink,
    ) -> usize {
        let State::Head(line) = &mut self.state else {
            return data.len();
        };
        if self.head.is_empty()
            && let Ok(head) = &Head::prefix(self.kind.unwrap_or(Kind::Request), &data[from..])
            && head.raw.len() <= self.head_max as usize
        {
            let end = from + head.raw.len();
            self.head_read(head, at.advance(end - 1), sink);
            return if matches!(self.state, State::Seek(_)) { data.len() } else { end };
        }
        let found = line.scan(&data[fresh..]);
        let end = found.map_or(data.len(), |length| fresh + length);
        if self.head.len() + (end - from) > self.head_max as usize {
            self.fail(Failure::HeadTooLarge, sink);
            return data.len();
        }
        match found {
            None => self.head.extend_from_slice(&data[from..end]),
            Some(_) if self.head.is_empty() => {
                self.head_done(&data[from..end], at.advance(end - 1), sink);
            }
            Some(_) => {
                let mut head = std::mem::take(&mut self.head);
                head.extend_from_slice(&data[from..end]);
                self.head_done(&head, at.advance(end - 1), sink);
            }
        }
        // A head that failed leaves nothing to go on with in this piece.
        if matches!(self.state, State::Seek(_)) { data.len() } else { end }
    }

    fn head_done(&mut self, raw: &[u8], last: At, sink: &mut impl Sink) {
        let kind = self.kind.unwrap_or(Kind::Request);
        let Ok(head) = Head::parse(kind, raw) else {
            return self.fail(Failure::Malformed, sink);
        };
        self.head_read(&head, last, sink);
    }

    fn head_read(&mut self, head: &Head<'_>, last: At, sink: &mut impl Sink) {
        let kind = self.kind.unwrap_or(Kind::Request);
        let asked = sink.head(head, self.first, last);
        self.size = 0;
        let over = match head.line {
            StartLine::Request { method, .. } => {
                self.pause = head.upgrade || method == b"CONNECT";
                None
            }
            // Interim: the message to come is still the answer.
            StartLine::Response { status: 100 | 102..=199, .. } => {
                self.state = State::Start;
                return;
            }
            StartLine::Response { status: 101, .. } => Some(true),
            StartLine::Response { status: 200..=299, .. } if asked == Asked::Connect => Some(true),
            StartLine::Response { .. } if asked == Asked::Unknown => {
                self.state = State::Seek(None);
                return;
            }
            StartLine::Response { status: 204 | 304, .. } => Some(false),
            StartLine::Response { .. } => (asked == Asked::Head).then_some(false),
        };
        match (over, head.body) {
            (Some(upgraded), _) => {
                self.end(Some(last.time), None, sink);
                if upgraded {
                    self.give_over();
                    sink.upgraded(last.advance(1));
                }
            }
            (None, Body::Length(0)) => self.end(Some(last.time), Some(0), sink),
            (None, Body::Length(length)) => {
                self.size = length;
                self.state = State::Length { remaining: length };
            }
            (None, Body::Chunked) => self.state = State::Chunked(Chunked::new()),
            (None, Body::Unstated) if kind == Kind::Request => {
                self.end(Some(last.time), None, sink);
            }
            (None, Body::Unstated | Body::UntilClose) => self.state = State::UntilClose,
        }
    }

    fn missing(&mut self, n: u64, lost: bool, at: At, sink: &mut impl Sink) {
        match &mut self.state {
            State::Detect(_) | State::Start | State::Head(_) => self.fail(Failure::Gap, sink),
            State::Seek(_) => {
                self.head = Vec::new();
                self.state = State::Seek(None);
                if lost {
                    sink.failed(self.kind, Failure::Gap);
                }
            }
            State::Length { remaining } if n < *remaining => {
                *remaining -= n;
                sink.body(self.kind.unwrap_or(Kind::Request), missed(n, lost));
            }
            State::Length { remaining } => {
                let beyond = n - *remaining;
                sink.body(self.kind.unwrap_or(Kind::Request), missed(*remaining, lost));
                self.end((!lost).then_some(at.time), Some(self.size), sink);
                if beyond > 0 {
                    self.missing(beyond, lost, at, sink);
                }
            }
            State::Chunked(chunked) => match chunked.missing(n, &mut self.size) {
                Ok(data) => {
                    sink.body(self.kind.unwrap_or(Kind::Request), missed(data, lost));
                }
                Err(_) => self.fail(Failure::Gap, sink),
            },
            State::UntilClose => {
                self.size = self.size.saturating_add(n);
                sink.body(self.kind.unwrap_or(Kind::Response), missed(n, lost));
            }
            State::Paused { missed } => *missed = true,
            State::Opaque => {}
        }
    }

    fn end(&mut self, time: Option<Monotonic>, body: Option<u64>, sink: &mut impl Sink) {
        let kind = self.kind.unwrap_or(Kind::Request);
        self.state = match self.pause {
            true => State::Paused { missed: false },
            false => State::Start,
        };
        sink.end(MessageEnd { kind, time, body });
    }

    fn fail(&mut self, failure: Failure, sink: &mut impl Sink) {
        self.head = Vec::new();
        self.state = State::Seek(None);
        sink.failed(self.kind, failure);
    }
}

/// Bytes that did not come.
fn missed(n: u64, lost: bool) -> Piece<'static> {
    if lost { Piece::Lost(n) } else { Piece::Skip(n) }
}

#[cfg(test)]
mod tests;
