//! What the decoder of a direction is told, and what it tells.

use crate::capture::event::Monotonic;
use crate::stream::Piece;
use crate::wire::http2::frame::{ErrorCode, Settings};
use crate::wire::{At, Kind};

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

/// Hears what a [`Decoder`](super::Decoder) finds, in the order of the stream.
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
