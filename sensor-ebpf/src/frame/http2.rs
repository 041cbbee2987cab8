//! Framing of HTTP/2 (RFC 9113): frame headers, and in DATA the prefixes of gRPC messages.
//!
//! ```text
//!   +-----------------------------------------------+
//!   |                 Length (24)                   |
//!   +---------------+---------------+---------------+
//!   |   Type (8)    |   Flags (8)   |
//!   +-+-------------+---------------+-------------------------------+
//!   |R|                 Stream Identifier (31)                      |
//!   +=+=============================================================+
//!   |                   Frame Payload (0...)                      ...
//! ```
//!
//! Copied are all frame headers, and the payload of the frames that say what happens on a stream. Of
//! DATA: the length of padding, and five bytes wherever a gRPC message may begin. DATA that is not
//! gRPC is told at the payload's first byte, or is copied in a few places for nothing.

mod open;

use super::{Framer, Mode, Reason, Window, confirmed};
use crate::limits::{FRAME_MAX, PAYLOAD_COPIED, PREFIXES_MAX, WEB_TRAILERS_MAX};
use open::{attempt, block, fail, preface_byte};
pub(super) use open::{opening, preface, upgraded};

/// Bits of [`Framer::flags`] in HTTP/2. They live as long as a frame, but for [`UPGRADED`].
///
/// [`UPGRADED`]: flag::UPGRADED
pub mod flag {
    /// The frame ends its sender's half of the stream.
    pub const END_STREAM: u8 = 1;
    /// It is a DATA frame.
    pub const DATA: u8 = 2;
    /// What is left of the frame is not looked at.
    pub const PLAIN: u8 = 4;
    /// The message is one of gRPC-Web that holds trailers, none of which was copied yet.
    pub const TRAILERS: u8 = 8;
    /// HTTP/1 has switched protocols in this direction; the other has not shown yet that to HTTP/2.
    pub const UPGRADED: u8 = 16;
    /// The frame is of a stream that the other direction has named.
    pub const EXPECTED: u8 = 32;
    /// The frame may be a server's first one.
    pub const FIRST: u8 = 64;
    /// The next byte says how much padding the frame has.
    pub const PADDED: u8 = 128;
}

/// Flags of a frame.
mod frame_flag {
    pub(super) const END_STREAM: u32 = 1;
    pub(super) const END_HEADERS: u32 = 4;
    pub(super) const PADDED: u32 = 8;
    pub(super) const PRIORITY: u32 = 0x20;
}

/// Types of frames (section 6).
mod kind {
    pub(super) const DATA: u32 = 0;
    pub(super) const HEADERS: u32 = 1;
    pub(super) const PRIORITY: u32 = 2;
    pub(super) const RST_STREAM: u32 = 3;
    pub(super) const SETTINGS: u32 = 4;
    pub(super) const PUSH_PROMISE: u32 = 5;
    pub(super) const PING: u32 = 6;
    pub(super) const GOAWAY: u32 = 7;
    pub(super) const WINDOW_UPDATE: u32 = 8;
    pub(super) const CONTINUATION: u32 = 9;
}

/// Bytes of a frame's header.
const HEADER: u8 = 9;

/// Longest frame that is sent to those who have not asked for more (section 6.5.2).
const LENGTH_DEFAULT: u32 = 16_384;

/// Bytes of the prefix of a gRPC message: a flag, and the length.
const PREFIX: u8 = 5;

/// The flag of a message that holds the trailers of gRPC-Web.
const WEB_TRAILERS: u8 = 0x80;

/// One step from `at`, where `at < len` and the mode is one of HTTP/2 that examines bytes. Returns
/// the next position; `at` itself where only the mode has changed.
#[inline(always)]
pub fn step<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let mode = framer.mode;
    if mode == Mode::FrameHead as u8 {
        head(framer, window, at, len)
    } else if mode == Mode::FrameCopy as u8 {
        copy(framer, at, len)
    } else if mode == Mode::Prefix as u8 {
        prefix(framer, window, at, len)
    } else {
        let byte = window.byte(at);
        let taken = if mode == Mode::Preface as u8 {
            preface_byte(framer, byte)
        } else if mode == Mode::Try as u8 {
            attempt(framer, byte)
        } else {
            block(framer, byte)
        };
        at.wrapping_add(u32::from(taken))
    }
}

/// A frame's header: whole where it can be, otherwise byte by byte.
#[inline(always)]
fn head<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let next;
    if framer.matched == 0 && at.wrapping_add(u32::from(HEADER)) <= len {
        let first = window.eight(at).swap_bytes();
        framer.frame_left = (first >> 40) as u32;
        framer.history = first << 8 | u64::from(window.byte(at.wrapping_add(8)));
        next = at.wrapping_add(u32::from(HEADER));
    } else {
        header_byte(framer, window.byte(at));
        next = at.wrapping_add(1);
        if framer.matched < HEADER {
            return next;
        }
    }
    begin(framer);
    next
}

/// Collects a byte of a frame's header: the length in `frame_left`, the rest in `history`.
#[inline(always)]
fn header_byte(framer: &mut Framer, byte: u8) {
    if framer.matched == 0 {
        framer.frame_left = 0;
        framer.history = 0;
    }
    if framer.matched < 3 {
        framer.frame_left = framer.frame_left << 8 | u32::from(byte);
    } else {
        framer.history = framer.history << 8 | u64::from(byte);
    }
    framer.matched = framer.matched.wrapping_add(1);
}

/// A frame's header is read.
#[inline(always)]
fn begin(framer: &mut Framer) {
    let of = (framer.history >> 40) as u32 & 0xff;
    let flags = (framer.history >> 32) as u32 & 0xff;
    let stream = framer.history as u32 & 0x7fff_ffff;
    let length = framer.frame_left;
    if framer.confirmed != confirmed::HTTP2 && (of > kind::CONTINUATION || length > LENGTH_DEFAULT)
    {
        // Not certain to be HTTP/2, and now it is certain not to be.
        fail(framer, Reason::NotHttp);
        return;
    }
    framer.matched = 0;
    framer.history = 0;
    framer.head = 0;
    framer.status = 0;
    framer.number = 0;
    framer.message = 0;
    framer.flags &= flag::UPGRADED;
    if stream == 0 {
        // Of the connection; DATA cannot be.
        framer.flags |= flag::PLAIN;
    } else {
        framer.frame_stream = stream;
    }
    if of == kind::DATA {
        framer.flags |= flag::DATA;
        if flags & frame_flag::END_STREAM != 0 {
            framer.flags |= flag::END_STREAM;
        }
        if framer.held_stream == stream && stream != 0 {
            framer.held_stream = 0;
            framer.message = framer.held;
            framer.matched = framer.held_matched & 7;
            if framer.held_matched & 0x80 != 0 {
                framer.flags |= flag::TRAILERS;
            }
        }
        if flags & frame_flag::PADDED != 0 && length != 0 {
            framer.flags |= flag::PADDED;
            framer.mode = Mode::Prefix as u8;
            return;
        }
    } else {
        framer.flags |= flag::PLAIN;
        if framer.held_stream == stream && (of == kind::HEADERS || of == kind::RST_STREAM) {
            // Trailers, or an end: no message goes on.
            framer.held_stream = 0;
        }
        if of == kind::HEADERS
            || (kind::RST_STREAM..=kind::PUSH_PROMISE).contains(&of)
            || of == kind::GOAWAY
            || of == kind::CONTINUATION
        {
            whole(framer);
            return;
        }
    }
    next_part(framer);
}

/// What is left of the frame is copied.
#[inline(always)]
fn whole(framer: &mut Framer) {
    let n = if framer.frame_left < FRAME_MAX { framer.frame_left } else { FRAME_MAX };
    framer.frame_left = framer.frame_left.wrapping_sub(n);
    framer.number = u64::from(n);
    if n == 0 {
        end_of_frame(framer);
    } else {
        framer.mode = Mode::FrameCopy as u8;
    }
}

/// The next `n` bytes of the frame are one part.
#[inline(always)]
fn part(framer: &mut Framer, n: u32) {
    framer.number = u64::from(n);
    framer.mode = if n <= PAYLOAD_COPIED { Mode::FrameCopy as u8 } else { Mode::FrameData as u8 };
}

/// A part of the frame is done: what follows it.
#[inline(always)]
pub(super) fn next_part(framer: &mut Framer) {
    let left = framer.frame_left;
    if left == 0 {
        let padding = u32::from(framer.status);
        framer.status = 0;
        if padding == 0 {
            end_of_frame(framer);
        } else {
            part(framer, padding);
        }
        return;
    }
    let within = framer.message != 0 && framer.matched == 0;
    if framer.flags & flag::PLAIN == 0 && !within {
        if framer.matched != 0 || framer.head < PREFIXES_MAX {
            framer.head = framer.head.wrapping_add(1);
            framer.mode = Mode::Prefix as u8;
            return;
        }
        framer.flags |= flag::PLAIN;
    }
    if framer.flags & flag::PLAIN != 0 {
        framer.frame_left = 0;
        part(framer, left);
        return;
    }
    let mut n = if framer.message < left { framer.message } else { left };
    let trailers = framer.flags & flag::TRAILERS != 0;
    if trailers && n > WEB_TRAILERS_MAX {
        n = WEB_TRAILERS_MAX;
    }
    framer.message = framer.message.wrapping_sub(n);
    framer.frame_left = left.wrapping_sub(n);
    part(framer, n);
    if trailers {
        framer.flags &= !flag::TRAILERS;
        framer.mode = Mode::FrameCopy as u8;
    }
}

/// The frame is done. A message that goes on in the stream's next one is remembered, if only the last
/// such.
#[inline(always)]
fn end_of_frame(framer: &mut Framer) {
    let goes_on = framer.message != 0 || framer.matched != 0;
    if goes_on && framer.flags & (flag::END_STREAM | flag::PLAIN) == 0 {
        framer.held_stream = framer.frame_stream;
        framer.held = framer.message;
        framer.held_matched = framer.matched;
        if framer.flags & flag::TRAILERS != 0 {
            framer.held_matched |= 0x80;
        }
    }
    framer.matched = 0;
    framer.mode = Mode::FrameHead as u8;
}

/// Bytes that are copied.
#[inline(always)]
fn copy(framer: &mut Framer, at: u32, len: u32) -> u32 {
    let room = u64::from(len.wrapping_sub(at));
    let n = if framer.number < room { framer.number } else { room };
    framer.number = framer.number.wrapping_sub(n);
    if framer.number == 0 {
        next_part(framer);
    }
    at.wrapping_add(n as u32)
}

/// The length of padding; or the prefix of a message, as much of it as is at hand and in the frame.
#[inline(always)]
fn prefix<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let bytes = window.eight(at).swap_bytes();
    let first = (bytes >> 56) as u8;
    if framer.flags & flag::PADDED != 0 {
        framer.flags &= !flag::PADDED;
        framer.frame_left = framer.frame_left.wrapping_sub(1);
        if u32::from(first) > framer.frame_left {
            // An error of the connection (section 6.1). The frame's length still holds.
            framer.flags |= flag::PLAIN;
        } else {
            framer.status = u16::from(first);
            framer.frame_left = framer.frame_left.wrapping_sub(u32::from(first));
        }
        next_part(framer);
        return at.wrapping_add(1);
    }
    let matched = framer.matched;
    if matched == 0 {
        framer.message = 0;
        framer.flags &= !flag::TRAILERS;
        if first > 1 && first != WEB_TRAILERS {
            framer.flags |= flag::PLAIN;
            next_part(framer);
            return at;
        }
        if first == WEB_TRAILERS {
            framer.flags |= flag::TRAILERS;
        }
    }
    let mut n = u32::from(PREFIX.wrapping_sub(matched));
    if n > framer.frame_left {
        n = framer.frame_left;
    }
    if n > len.wrapping_sub(at) {
        n = len.wrapping_sub(at);
    }
    // One to five bytes; the flag goes out at the top.
    let length = u64::from(framer.message) << (8 * n) | bytes >> ((64 - 8 * n) & 63);
    let mask = u64::from(u32::MAX) >> if matched == 0 { (8 * (5 - n)) & 63 } else { 0 };
    framer.message = (length & mask) as u32;
    framer.matched = matched.wrapping_add(n as u8);
    framer.frame_left = framer.frame_left.wrapping_sub(n);
    if framer.matched >= PREFIX {
        framer.matched = 0;
        next_part(framer);
    } else if framer.frame_left == 0 {
        next_part(framer);
    }
    at.wrapping_add(n)
}

impl Framer {
    /// Whether the next byte is a frame's first, as far as this direction knows.
    #[inline(always)]
    pub const fn at_frame(&self) -> bool {
        self.mode == Mode::FrameHead as u8 && self.matched == 0
    }

    /// Whether the next byte may be the first of HTTP/2, or of a frame after a loss.
    #[inline(always)]
    pub const fn at_opening(&self) -> bool {
        self.mode == Mode::Start as u8 || (self.mode == Mode::Try as u8 && self.matched == 0)
    }

    /// Whether bytes that began with `first` (four bytes, the first one lowest) where
    /// [`Self::at_frame`] or [`Self::at_opening`] said so began with a frame for certain, now that
    /// they are framed.
    #[inline(always)]
    pub const fn began_frame(&self, at_frame: bool, at_opening: bool, first: u32) -> bool {
        // Between two messages of HTTP/1 and an upgrade there is a head.
        let opened = at_opening && (first & 0xff == 0 || first == u32::from_le_bytes(*b"PRI "));
        self.confirmed == confirmed::HTTP2
            && self.mode >= Mode::FrameHead as u8
            && self.mode <= Mode::FrameData as u8
            && (at_frame || opened)
    }

    /// A call begins. What the flow is known to speak, by the other direction too, is one of
    /// [`confirmed`], or 0; `stream` is the other direction's
    /// [`Framer::frame_stream`].
    #[inline(always)]
    pub fn begin_call(&mut self, known: u8, stream: u32) {
        if known == confirmed::HTTP1 && self.is_tentative() && !self.switched() {
            self.mode = Mode::Lost as u8;
        }
        if known == confirmed::HTTP2 && self.confirmed != confirmed::HTTP2 {
            self.confirmed = confirmed::HTTP2;
            if self.mode == Mode::Start as u8 {
                opening(self);
            } else if self.mode < Mode::Preface as u8 || self.mode > Mode::FrameData as u8 {
                self.mode = Mode::FrameLost as u8;
            }
        }
        if self.mode == Mode::FrameLost as u8 {
            self.flags = 0;
            self.matched = 0;
            self.mode = Mode::Try as u8;
        }
        if self.mode == Mode::Try as u8 && self.matched == 0 {
            self.message = stream;
        }
    }

    /// Whether HTTP/1 has switched protocols here, and not for certain to HTTP/2.
    #[inline(always)]
    pub const fn switched(&self) -> bool {
        self.is_tentative() && self.flags & flag::UPGRADED != 0
    }

    /// Whether frames are walked that may be none.
    #[inline(always)]
    pub const fn is_tentative(&self) -> bool {
        self.confirmed != confirmed::HTTP2
            && self.mode >= Mode::Try as u8
            && self.mode <= Mode::FrameData as u8
    }
}
