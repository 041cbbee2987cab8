//! The decoder of one direction: from pieces of the stream to header blocks, data, and ends.
//!
//! ```text
//!  Preface --> Header <----------------------------------------+
//!               |  |  \                                        |
//!               |  |   +--> Payload  (header blocks, RST_STREAM, SETTINGS, GOAWAY: read whole)
//!               |  +------> Data     (DATA: counted; bytes are told where there are some)
//!               |  +------> Pass     (the rest: passed over)   |
//!               v                                              |
//!            Skipped --- the kernel side says that a frame begins here
//!               |
//!               v  it does not say so
//!  Seek <--- from anywhere: bytes missing where they were needed, or a broken frame
//!   |
//!   +--> Header: see [`super::seek`]
//! ```
//!
//! A frame's payload may be missing without the place being lost: how long it is, its header said.
//! What was in it is then unknown, and told so.

mod data;
mod sink;
mod whole;

use super::frame::{self, FrameHeader, Malformed, PREFACE, Type};
use super::hpack;
use super::opening::{Opening, opening};
use super::seek::{Found, Seeker};
use crate::stream::Piece;
use crate::wire::{At, Kind};
use data::{Data, Padding};
pub use sink::{Begun, Block, Failure, Sink, Start};
use whole::Open;

/// Longest payload of HEADERS, PUSH_PROMISE or CONTINUATION that is read: a whole block, padding
/// and what stands before it.
#[expect(clippy::cast_possible_truncation, reason = "128 KiB")]
const BLOCK_MAX: u32 = hpack::MAX_BLOCK as u32 + 512;

/// The decoder of one direction. Holds bytes only while a frame that has to be read whole, or a
/// header block, is split.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// Bytes of a frame's header or payload that came in earlier pieces.
    kept: Vec<u8>,
    /// First byte of the current frame.
    first: At,
    /// The header block whose CONTINUATION is to come.
    block: Option<Open>,
    /// No frame was read since the place was found.
    fresh: bool,
    /// What the direction carries, where it is known.
    kind: Option<Kind>,
    /// Where the place is looked for: the first byte since.
    since: Option<u64>,
}

#[derive(Debug)]
enum State {
    Preface(u8),
    Header,
    Payload(FrameHeader),
    Data(Data),
    Pass(u32),
    /// Bytes were passed over where a frame begins.
    Skipped,
    Seek(Box<Seeker>),
}

impl Decoder {
    /// For what a client sends, from its first byte on.
    pub fn client() -> Self {
        Self::new(State::Preface(0), Some(Kind::Request))
    }

    /// For what a server sends, from its first frame on.
    pub fn server() -> Self {
        Self::new(State::Header, Some(Kind::Response))
    }

    /// For a direction that is seen from anywhere.
    pub fn seeking() -> Self {
        Self::new(State::Seek(Box::default()), None)
    }

    fn new(state: State, kind: Option<Kind>) -> Self {
        let (kept, first) = (Vec::new(), At::default());
        Self { state, kept, first, block: None, fresh: true, kind, since: None }
    }

    /// What the direction carries is known from elsewhere.
    pub fn expect(&mut self, kind: Kind) {
        self.kind = Some(kind);
    }

    /// It does not know where a frame begins.
    pub fn is_seeking(&self) -> bool {
        matches!(self.state, State::Seek(_))
    }

    /// Bytes were passed over where a frame begins, and nothing has said yet whether they were frames.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.state, State::Skipped)
    }

    /// The next piece of the stream; `at` is its first byte, and `start` what that is known to be.
    pub fn feed(&mut self, piece: Piece<'_>, start: Start, at: At, sink: &mut impl Sink) {
        if self.is_seeking() {
            self.since.get_or_insert(at.position);
        }
        match piece {
            Piece::Bytes(data) => self.bytes(data, start, at, sink),
            Piece::Skip(n) => self.missing(n, Piece::Skip, at, sink),
            Piece::Lost(n) => self.missing(n, Piece::Lost, at, sink),
        }
    }

    fn bytes(&mut self, data: &[u8], start: Start, at: At, sink: &mut impl Sink) {
        let mut used = 0;
        match self.state {
            State::Skipped if start == Start::Frame => self.state = State::Header,
            State::Skipped => self.fail(Failure::Gap, sink),
            _ => {}
        }
        if self.is_seeking() {
            match self.seek(data, start, at, sink) {
                Some(from) => used = from,
                None => return,
            }
        }
        while used < data.len() {
            let rest = &data[used..];
            let here = at.advance(used);
            let taken = match &mut self.state {
                State::Preface(matched) => {
                    let expected = &PREFACE[usize::from(*matched)..];
                    let n = expected.len().min(rest.len());
                    if rest[..n] == expected[..n] {
                        #[expect(clippy::cast_possible_truncation, reason = "at most 24")]
                        let n_u8 = n as u8;
                        *matched += n_u8;
                        if usize::from(*matched) == PREFACE.len() {
                            self.state = State::Header;
                        }
                        Ok(n)
                    } else {
                        Err(Malformed)
                    }
                }
                State::Header => self.header(rest, here, sink),
                State::Payload(header) => {
                    let header = *header;
                    self.payload(header, rest, here, sink)
                }
                State::Data(_) => self.data(Piece::Bytes(rest), here, sink).map(|n| n as usize),
                State::Pass(left) => {
                    let n = rest.len().min(*left as usize);
                    #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
                    let n_u32 = n as u32;
                    *left -= n_u32;
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    Ok(n)
                }
                // Both were seen to above, and only failures lead there.
                State::Skipped | State::Seek(_) => return,
            };
            match taken {
                Ok(n) => used += n,
                Err(Malformed) => return self.fail(Failure::Malformed, sink),
            }
        }
    }

    /// Looks for a frame's first byte. Gives where in `data` to go on, if it was found.
    fn seek(&mut self, data: &[u8], start: Start, at: At, sink: &mut impl Sink) -> Option<usize> {
        let State::Seek(seeker) = &mut self.state else {
            return Some(0);
        };
        if start == Start::Frame {
            self.resume(None, at, sink);
            // That of a connection whose beginning is taken for its middle.
            if data.first() == PREFACE.first() && opening(data) != Opening::Neither {
                self.state = State::Preface(0);
            }
            return Some(0);
        }
        let Found { kind, frame, first, from } =
            seeker.bytes(data, start == Start::Segment, at, self.kind)?;
        self.resume(Some(kind), first, sink);
        // What came of the frame in earlier pieces.
        self.bytes(&frame, Start::Middle, first, sink);
        Some(from)
    }

    fn resume(&mut self, kind: Option<Kind>, first: At, sink: &mut impl Sink) {
        self.state = State::Header;
        self.fresh = true;
        let missed = self.since.take() != Some(first.position);
        sink.resumed(kind, missed);
    }

    /// Bytes of a frame's header, or more. Gives how many were used.
    fn header(&mut self, data: &[u8], at: At, sink: &mut impl Sink) -> Result<usize, Malformed> {
        if self.kept.is_empty() {
            self.first = at;
            if let Some(bytes) = data.first_chunk() {
                self.begin(FrameHeader::new(bytes), at, sink)?;
                return Ok(frame::HEADER);
            }
        }
        let n = (frame::HEADER - self.kept.len()).min(data.len());
        self.kept.extend_from_slice(&data[..n]);
        if let Some(bytes) = self.kept.first_chunk() {
            let header = FrameHeader::new(bytes);
            self.kept.clear();
            self.begin(header, at.advance(n - 1), sink)?;
        }
        Ok(n)
    }

    /// A frame whose header ends at `at`.
    fn begin(
        &mut self,
        header: FrameHeader,
        at: At,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        header.check()?;
        let continues = header.kind == Type::Continuation;
        match &self.block {
            // Nothing may come between the frames of a block (section 6.10).
            Some(open) if !continues || open.begun.stream != header.stream => {
                return Err(Malformed);
            }
            Some(open) if open.lost => {
                if header.has(frame::END_HEADERS) {
                    self.block = None;
                }
                self.state = State::Pass(header.length);
            }
            None if continues && !self.fresh => return Err(Malformed),
            // The rest of a block whose beginning is in the gap.
            None if continues => {
                sink.block_lost(None, Failure::Gap);
                // More of it may come.
                self.state = State::Pass(header.length);
                self.pass_nothing();
                return Ok(());
            }
            _ => {
                self.state = match header.kind {
                    Type::Data => State::Data(Data {
                        stream: header.stream,
                        end_stream: header.has(frame::END_STREAM),
                        left: header.length,
                        padding: match header.has(frame::PADDED) {
                            true => Padding::Unread,
                            false => Padding::Known(0),
                        },
                    }),
                    Type::Priority | Type::Ping | Type::WindowUpdate | Type::Other(_) => {
                        State::Pass(header.length)
                    }
                    Type::Headers | Type::PushPromise | Type::Continuation => {
                        if header.length > BLOCK_MAX {
                            self.lose_frame(header, Failure::TooLarge, at, sink);
                            State::Pass(header.length)
                        } else {
                            State::Payload(header)
                        }
                    }
                    Type::RstStream | Type::Settings | Type::Goaway => State::Payload(header),
                };
            }
        }
        self.fresh = false;
        if header.length == 0 {
            match self.state {
                State::Data(data) => self.data_ended(data, Some(at.time), sink)?,
                State::Payload(header) => {
                    self.state = State::Header;
                    self.frame(header, &[], at, sink)?;
                }
                _ => self.pass_nothing(),
            }
        }
        Ok(())
    }

    fn pass_nothing(&mut self) {
        if let State::Pass(0) = self.state {
            self.state = State::Header;
        }
    }

    /// `n` bytes that did not come, passed over (`of` is [`Piece::Skip`]) or lost.
    fn missing(&mut self, n: u64, of: fn(u64) -> Piece<'static>, at: At, sink: &mut impl Sink) {
        let lost = matches!(of(n), Piece::Lost(_));
        let mut left = n;
        while left > 0 {
            match &mut self.state {
                State::Data(_) => match self.data(of(left), at, sink) {
                    Ok(taken) => left -= taken,
                    Err(Malformed) => return self.fail(Failure::Malformed, sink),
                },
                State::Pass(remaining) => {
                    let taken = left.min(u64::from(*remaining));
                    #[expect(clippy::cast_possible_truncation, reason = "at most `remaining`")]
                    let taken_u32 = taken as u32;
                    *remaining -= taken_u32;
                    left -= taken;
                    self.pass_nothing();
                }
                State::Payload(header) => {
                    let header = *header;
                    #[expect(clippy::cast_possible_truncation, reason = "less than the payload")]
                    let there = self.kept.len() as u32;
                    self.lose_frame(header, Failure::Gap, at, sink);
                    self.state = State::Pass(header.length - there);
                }
                State::Header | State::Skipped if !lost && self.kept.is_empty() => {
                    self.state = State::Skipped;
                    return;
                }
                State::Seek(seeker) => return seeker.missing(left, lost),
                State::Preface(_) | State::Header | State::Skipped => {
                    return self.fail(Failure::Gap, sink);
                }
            }
        }
    }

    fn fail(&mut self, failure: Failure, sink: &mut impl Sink) {
        self.kept = Vec::new();
        self.since = None;
        self.state = State::Seek(Box::default());
        if let Some(open) = self.block.take().filter(|open| !open.lost) {
            sink.block_lost(Some(open.begun), failure);
        }
        sink.failed(failure);
    }
}

#[cfg(test)]
mod tests;
