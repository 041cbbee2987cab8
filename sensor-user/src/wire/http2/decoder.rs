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

use super::frame::{self, ErrorCode, FrameHeader, Malformed, PREFACE, Settings, Type};
use super::hpack;
use super::opening::{Opening, opening};
use super::seek::{Found, Seeker};
use crate::capture::event::Monotonic;
use crate::stream::Piece;
use crate::wire::{At, Kind};

/// Most bytes of SETTINGS that are read: the last of them count, but nobody sends so many.
const SETTINGS_MAX: u32 = frame::LENGTH_DEFAULT;

/// Longest payload of HEADERS, PUSH_PROMISE or CONTINUATION that is read: a whole block, padding
/// and what stands before it.
#[expect(clippy::cast_possible_truncation, reason = "128 KiB")]
const BLOCK_MAX: u32 = hpack::MAX_BLOCK as u32 + 512;

/// What the first byte of a piece is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A frame's first, by who walked all frames before it.
    Frame,
    /// The first that a call (or a packet) brought.
    Segment,
    /// Any.
    Middle,
}

/// Why a direction lost its place, or a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Bytes that were needed are missing.
    Gap,
    /// A header block goes beyond the limit.
    TooLarge,
    /// The bytes break the protocol.
    Malformed,
}

/// What the frame that begins a header block says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The frame's stream. For a PUSH_PROMISE, the one that the promise belongs to.
    pub stream: u32,
    /// It is a PUSH_PROMISE.
    pub promise: bool,
    /// The sender's half of the stream ends with the block.
    pub end_stream: bool,
    /// First byte of the frame.
    pub first: At,
}

/// A whole header block.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Where it begins.
    pub begun: Begun,
    /// The stream that a PUSH_PROMISE promises.
    pub promised: Option<u32>,
    /// Its fragments, joined.
    pub bytes: &'a [u8],
    /// When its last byte went by.
    pub last: Monotonic,
}

/// Hears what a [`Decoder`] finds, in the order of the stream.
pub trait Sink {
    /// A whole header block. It has to go through the direction's HPACK decoder, whosever it is.
    fn block(&mut self, block: &Block<'_>);
    /// A header block of which bytes are missing, or that is too long. Without `begun`, nothing of
    /// it is known.
    fn block_lost(&mut self, begun: Option<Begun>, why: Failure);
    /// Payload of DATA, without padding. Bytes that were passed over or are missing are told too.
    fn data(&mut self, stream: u32, payload: Piece<'_>);
    /// Payload of DATA of which it is not known how much is padding.
    fn data_unsized(&mut self, stream: u32);
    /// A DATA frame was the last; its end went by at `time`, unknown where that is in a gap.
    fn end_stream(&mut self, stream: u32, time: Option<Monotonic>);
    /// RST_STREAM; without a code where its payload is missing.
    fn reset(&mut self, stream: u32, code: Option<ErrorCode>, time: Monotonic);
    /// SETTINGS; none where they are missing.
    fn settings(&mut self, settings: Option<Settings>);
    /// SETTINGS that acknowledge those of the other direction.
    fn settings_acked(&mut self);
    /// GOAWAY: the last stream that was or will be processed; none where it is missing.
    fn goaway(&mut self, last: Option<(u32, ErrorCode)>, time: Monotonic);
    /// The direction lost its place: anything may have been in what follows, up to `resumed`.
    fn failed(&mut self, failure: Failure);
    /// It found a frame's first byte. `kind` is what the frames looked like, where they were recognised
    /// by that; `missed` says that bytes went by since it lost its place, or since it began.
    fn resumed(&mut self, kind: Option<Kind>, missed: bool);
}

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

/// A header block between frames.
#[derive(Debug)]
struct Open {
    begun: Begun,
    promised: Option<u32>,
    bytes: Vec<u8>,
    /// It was told as lost.
    lost: bool,
}

/// A DATA frame.
#[derive(Clone, Copy, Debug)]
struct Data {
    stream: u32,
    end_stream: bool,
    /// Bytes of payload to come, padding among them.
    left: u32,
    padding: Padding,
}

#[derive(Clone, Copy, Debug)]
enum Padding {
    /// The next byte says how much.
    Unread,
    Known(u32),
    Unknown,
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

    /// Bytes of the payload of a frame that is read whole. Gives how many were used.
    fn payload(
        &mut self,
        header: FrameHeader,
        data: &[u8],
        at: At,
        sink: &mut impl Sink,
    ) -> Result<usize, Malformed> {
        let wanted = match header.kind {
            Type::Goaway => 8,
            Type::Settings => header.length.min(SETTINGS_MAX),
            _ => header.length,
        };
        let n = (wanted as usize - self.kept.len()).min(data.len());
        let last = at.advance(n.saturating_sub(1));
        if self.kept.is_empty() && n == wanted as usize {
            self.after(header, wanted);
            self.frame(header, &data[..n], last, sink)?;
            return Ok(n);
        }
        self.kept.extend_from_slice(&data[..n]);
        if self.kept.len() == wanted as usize {
            self.after(header, wanted);
            let payload = std::mem::take(&mut self.kept);
            self.frame(header, &payload, last, sink)?;
        }
        Ok(n)
    }

    /// What follows once `wanted` bytes of a payload were read.
    fn after(&mut self, header: FrameHeader, wanted: u32) {
        self.state = State::Pass(header.length - wanted);
        self.pass_nothing();
    }

    /// A frame whose payload is there, as far as it is wanted; its last byte is `last`.
    fn frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        last: At,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        match header.kind {
            Type::Headers | Type::PushPromise | Type::Continuation => {
                return self.fragment(header, payload, last, sink);
            }
            Type::RstStream => {
                let code = payload.first_chunk().map(|code| ErrorCode(u32::from_be_bytes(*code)));
                sink.reset(header.stream, code, last.time);
            }
            Type::Settings if header.has(frame::ACK) => sink.settings_acked(),
            Type::Settings => sink.settings(Some(Settings::new(payload))),
            Type::Goaway => {
                let word = |at: usize| {
                    let bytes = payload.get(at..)?.first_chunk()?;
                    Some(u32::from_be_bytes(*bytes))
                };
                let stated = word(0).zip(word(4));
                let stated = stated.map(|(id, code)| (id & 0x7fff_ffff, ErrorCode(code)));
                sink.goaway(stated, last.time);
            }
            Type::Data | Type::Priority | Type::Ping | Type::WindowUpdate | Type::Other(_) => {}
        }
        Ok(())
    }

    /// A fragment of a header block.
    fn fragment(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        last: At,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        let (fragment, promised) = frame::fragment(&header, payload)?;
        let ends = header.has(frame::END_HEADERS);
        match self.block.take() {
            None if ends => {
                let begun = self.begun(header);
                sink.block(&Block { begun, promised, bytes: fragment, last: last.time });
            }
            None => {
                let (begun, bytes) = (self.begun(header), fragment.to_vec());
                self.block = Some(Open { begun, promised, bytes, lost: false });
            }
            Some(mut open) => {
                if open.bytes.len() + fragment.len() > hpack::MAX_BLOCK {
                    open.lost = true;
                    open.bytes = Vec::new();
                    sink.block_lost(Some(open.begun), Failure::TooLarge);
                } else {
                    open.bytes.extend_from_slice(fragment);
                    if ends {
                        let Open { begun, promised, bytes, lost: _ } = &open;
                        let (begun, promised) = (*begun, *promised);
                        sink.block(&Block { begun, promised, bytes, last: last.time });
                    }
                }
                self.block = (!ends).then_some(open);
            }
        }
        Ok(())
    }

    /// The header block that the current frame begins.
    fn begun(&self, header: FrameHeader) -> Begun {
        Begun {
            stream: header.stream,
            promise: header.kind == Type::PushPromise,
            end_stream: header.kind == Type::Headers && header.has(frame::END_STREAM),
            first: self.first,
        }
    }

    /// A frame of which payload is missing that was needed; its header is known.
    fn lose_frame(&mut self, header: FrameHeader, why: Failure, at: At, sink: &mut impl Sink) {
        self.kept = Vec::new();
        match header.kind {
            Type::Headers | Type::PushPromise | Type::Continuation => {
                let begun = match self.block.take() {
                    Some(open) => open.begun,
                    None => self.begun(header),
                };
                sink.block_lost(Some(begun), why);
                if !header.has(frame::END_HEADERS) {
                    let (promised, bytes) = (None, Vec::new());
                    self.block = Some(Open { begun, promised, bytes, lost: true });
                }
            }
            Type::RstStream => sink.reset(header.stream, None, at.time),
            Type::Settings => sink.settings(None),
            Type::Goaway => sink.goaway(None, at.time),
            Type::Data | Type::Priority | Type::Ping | Type::WindowUpdate | Type::Other(_) => {}
        }
    }

    /// Payload of DATA, there or not. Gives how much of it was used.
    fn data(&mut self, piece: Piece<'_>, at: At, sink: &mut impl Sink) -> Result<u64, Malformed> {
        let State::Data(mut data) = self.state else {
            return Ok(0);
        };
        let taken = piece.length().min(u64::from(data.left));
        let mut from = 0;
        if let Padding::Unread = data.padding {
            match piece {
                Piece::Bytes([length, ..]) => {
                    // As long as the payload or longer: section 6.1.
                    data.left = data.left.checked_sub(1).ok_or(Malformed)?;
                    from = 1;
                    let padding = u32::from(*length);
                    if padding > data.left {
                        return Err(Malformed);
                    }
                    data.padding = Padding::Known(padding);
                }
                _ if piece.length() > 0 => {
                    data.padding = Padding::Unknown;
                    sink.data_unsized(data.stream);
                }
                _ => return Ok(0),
            }
        }
        if let Padding::Known(padding) = data.padding {
            let body = (taken - from).min(u64::from(data.left.saturating_sub(padding)));
            if body > 0 {
                sink.data(data.stream, part(piece, from, body));
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
        let consumed = (taken - from) as u32;
        data.left -= consumed;
        self.state = State::Data(data);
        if data.left == 0 {
            let time = (!matches!(piece, Piece::Lost(_))).then_some(at.time);
            self.data_ended(data, time, sink)?;
        }
        Ok(taken)
    }

    fn data_ended(
        &mut self,
        data: Data,
        time: Option<Monotonic>,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        if let Padding::Unread = data.padding {
            return Err(Malformed);
        }
        self.state = State::Header;
        if data.end_stream {
            sink.end_stream(data.stream, time);
        }
        Ok(())
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

/// `length` bytes of a piece, from `from` on.
fn part(piece: Piece<'_>, from: u64, length: u64) -> Piece<'_> {
    match piece {
        Piece::Bytes(bytes) => {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            Piece::Bytes(rest.get(..length).unwrap_or(rest))
        }
        Piece::Skip(_) => Piece::Skip(length),
        Piece::Lost(_) => Piece::Lost(length),
    }
}

#[cfg(test)]
mod tests;
