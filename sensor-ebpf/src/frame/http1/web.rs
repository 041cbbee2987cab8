//! Bodies of gRPC-Web (PROTOCOL-WEB): messages of gRPC, the last of which holds the trailers.
//!
//! Copied are the five bytes that each message begins with, and the trailers: five bytes at a time the
//! walk goes to the end. The other messages are passed over where they are long. They need not end where
//! chunks do: `held` and `message` live on from one chunk to the next.
//!
//! `application/grpc-web-text` is base64 of the same. There, prefixes are read a group of four characters
//! at a time, and a long message is passed over by whole groups. Padding within what is passed over (of a
//! sender that encodes a message piece by piece) is not seen, and loses the place; user space judges.
//!
//! Where the place among the messages is lost, the rest of the body is passed over as any other: its own
//! framing does not depend on them.

use super::super::{Framer, Mode, Window, flag};
use crate::limits::{PAYLOAD_COPIED, WEB_MESSAGES_MAX, WEB_TEXT_COPIED, WEB_TRAILERS_MAX};

/// Bits of [`Framer::held_matched`] in such a body, beside the bytes matched of a prefix.
pub mod state {
    /// The body is base64.
    pub const TEXT: u8 = 0x20;
    /// What is counted of it is passed over, however short the parts are that chunks make of it.
    pub const LONG: u8 = 0x10;
    /// The place among the messages is lost.
    pub const PLAIN: u8 = 0x40;
    /// The message holds trailers, none of which was copied yet.
    pub const TRAILERS: u8 = 0x80;
    pub(super) const MATCHED: u8 = 0x07;
}

/// Bytes of the prefix of a message: a flag, and the length.
const PREFIX: u8 = 5;

/// The flag of a message that holds the trailers.
const TRAILERS: u8 = 0x80;

/// [`Framer::frame_left`] of a body that ends with the connection.
const ENDLESS: u32 = u32::MAX;

/// In [`Framer::history`]: no character of a group was read yet. Each character moves it up by six bits, and
/// four make it [`GROUP`] or more; above that, the padding is counted.
const EMPTY: u64 = 1;
const GROUP: u64 = 1 << 24;
const PADDING: u64 = 1 << 32;

/// A body is to begin.
#[inline(always)]
pub(super) fn clear(framer: &mut Framer) {
    framer.held_matched &= state::TEXT;
    framer.message = 0;
    framer.held = 0;
    framer.history = EMPTY;
}

/// A body begins, of the length and in the mode that it would have if it were any other; or the data of
/// a chunk of it, `number` bytes.
#[inline(always)]
pub(super) fn begin(framer: &mut Framer) {
    framer.status = 0;
    framer.frame_left = if framer.mode == Mode::UntilClose as u8 {
        ENDLESS
    } else if framer.number < u64::from(ENDLESS) {
        framer.number as u32
    } else {
        // Not a size of messages that anybody sends. It is passed over whole.
        framer.held_matched |= state::PLAIN;
        if framer.flags & flag::CHUNKED != 0 {
            framer.number = framer.number.wrapping_add(2);
            framer.mode = Mode::Data as u8;
        }
        return;
    };
    framer.number = 0;
    next_part(framer);
}

/// A part was passed over. A function of its own: the stack of those who pass has no room for it.
#[inline(never)]
pub(in super::super) fn passed(framer: &mut Framer) {
    next_part(framer);
}

/// A part is done: what follows it.
#[inline(always)]
fn next_part(framer: &mut Framer) {
    let left = framer.frame_left;
    if left == 0 || framer.held_matched & state::PLAIN != 0 {
        pass_rest(framer);
        return;
    }
    let text = framer.held_matched & state::TEXT != 0;
    if framer.held == 0 {
        if text || framer.message == 0 || framer.held_matched & state::MATCHED != 0 {
            framer.mode = Mode::WebPrefix as u8;
            return;
        }
        // What is left of trailers beyond those that are copied.
        framer.held_matched &= !state::TRAILERS;
        framer.held = framer.message;
        framer.message = 0;
    }
    let n = if framer.held < left { framer.held } else { left };
    framer.held = framer.held.wrapping_sub(n);
    if left != ENDLESS {
        framer.frame_left = left.wrapping_sub(n);
    }
    framer.number = u64::from(n);
    let copied = if text {
        framer.held_matched & state::LONG == 0
    } else {
        n <= PAYLOAD_COPIED || framer.held_matched & state::TRAILERS != 0
    };
    framer.mode = if copied { Mode::WebCopy as u8 } else { Mode::WebData as u8 };
}

/// What is left of the body, or of the chunk, is passed over.
#[inline(always)]
fn pass_rest(framer: &mut Framer) {
    let left = framer.frame_left;
    framer.frame_left = 0;
    framer.matched = 0;
    if framer.flags & flag::CHUNKED != 0 {
        // With the CRLF after the data.
        framer.number = u64::from(left).wrapping_add(2);
        framer.mode = Mode::Data as u8;
    } else if left == ENDLESS {
        framer.number = 0;
        framer.mode = Mode::UntilClose as u8;
    } else {
        framer.number = u64::from(left);
        framer.mode = if left == 0 { Mode::Start as u8 } else { Mode::Body as u8 };
    }
}

/// One step from `at`, where `at < len`. Returns the next position, more than `at` unless the mode has
/// become one that passes.
#[inline(always)]
pub fn step<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let (next, done) = if framer.mode == Mode::WebCopy as u8 {
        copy(framer, at, len)
    } else if framer.held_matched & state::TEXT != 0 {
        (at.wrapping_add(1), character(framer, window.byte(at)))
    } else {
        prefix(framer, window, at, len)
    };
    // In one place, for it is inlined: the stack of old kernels has no room for another call.
    if done {
        next_part(framer);
    }
    next
}

/// Bytes that are copied. Returns the next position, and whether the part is done.
#[inline(always)]
fn copy(framer: &mut Framer, at: u32, len: u32) -> (u32, bool) {
    let room = u64::from(len.wrapping_sub(at));
    let n = if framer.number < room { framer.number } else { room };
    framer.number = framer.number.wrapping_sub(n);
    (at.wrapping_add(n as u32), framer.number == 0)
}

/// The prefix of a message, as much of it as is at hand and in the body or chunk. Returns the next position,
/// and whether the part is done.
#[inline(always)]
fn prefix<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> (u32, bool) {
    let bytes = window.eight(at).swap_bytes();
    let matched = framer.held_matched & state::MATCHED;
    let mut n = u32::from(PREFIX.wrapping_sub(matched));
    if n > framer.frame_left {
        n = framer.frame_left;
    }
    if n > len.wrapping_sub(at) {
        n = len.wrapping_sub(at);
    }
    if framer.frame_left != ENDLESS {
        framer.frame_left = framer.frame_left.wrapping_sub(n);
    }
    let mut i = 0;
    while i < PREFIX {
        if u32::from(i) < n {
            prefix_byte(framer, (bytes >> (56 - 8 * u32::from(i))) as u8);
        }
        i += 1;
    }
    if framer.held_matched & state::MATCHED == 0 {
        let trailers = framer.held_matched & state::TRAILERS != 0;
        let long = trailers && framer.message > WEB_TRAILERS_MAX;
        framer.held = if long { WEB_TRAILERS_MAX } else { framer.message };
        framer.message = framer.message.wrapping_sub(framer.held);
        return (at.wrapping_add(n), true);
    }
    (at.wrapping_add(n), framer.frame_left == 0)
}

/// A byte of a prefix. After the last one, `message` is the length of the message and nothing is matched.
#[inline(always)]
fn prefix_byte(framer: &mut Framer, byte: u8) {
    let matched = framer.held_matched & state::MATCHED;
    if matched == 0 {
        framer.message = 0;
        framer.status = framer.status.wrapping_add(1);
        framer.held_matched &= !state::TRAILERS;
        if byte & TRAILERS != 0 {
            framer.held_matched |= state::TRAILERS;
        }
        if byte & !TRAILERS > 1 || u32::from(framer.status) > WEB_MESSAGES_MAX {
            framer.held_matched |= state::PLAIN;
        }
    } else {
        framer.message = framer.message << 8 | u32::from(byte);
    }
    framer.held_matched = if matched.wrapping_add(1) == PREFIX {
        framer.held_matched & !state::MATCHED
    } else {
        framer.held_matched.wrapping_add(1)
    };
}

/// A character of base64. Returns whether the part is done.
#[inline(always)]
fn character(framer: &mut Framer, byte: u8) -> bool {
    if framer.frame_left != ENDLESS {
        framer.frame_left = framer.frame_left.wrapping_sub(1);
    }
    let lower = byte | 0x20;
    let value = if lower.is_ascii_lowercase() {
        // In capitals first.
        u64::from(lower - b'a') + if byte == lower { 26 } else { 0 }
    } else if byte.is_ascii_digit() {
        u64::from(byte - b'0') + 52
    } else if byte == b'+' || byte == b'-' {
        62
    } else if byte == b'/' || byte == b'_' {
        63
    } else {
        if byte != b'=' {
            framer.held_matched |= state::PLAIN;
        }
        framer.history = framer.history.wrapping_add(PADDING);
        0
    };
    let padding = framer.history & !(PADDING - 1);
    let group = (framer.history & (PADDING - 1)) << 6 | value;
    framer.history = padding | group;
    if group < GROUP {
        return framer.frame_left == 0 || framer.held_matched & state::PLAIN != 0;
    }
    framer.history = EMPTY;
    if padding > 2 * PADDING {
        framer.held_matched |= state::PLAIN;
    }
    let bytes = 3u64.wrapping_sub(padding / PADDING);
    let mut i = 0;
    while i < 3 {
        if i < bytes {
            text_byte(framer, (group >> (16 - 8 * i)) as u8);
        }
        i += 1;
    }
    // Of a message, whole groups need not be read.
    if framer.held_matched & state::MATCHED == 0 && framer.message >= 3 {
        let mut groups = framer.message / 3;
        if framer.held_matched & state::TRAILERS != 0 && groups > WEB_TEXT_COPIED / 4 {
            groups = WEB_TEXT_COPIED / 4;
            // The rest of them is no different from any message.
            framer.held_matched &= !state::TRAILERS;
        }
        framer.message = framer.message.wrapping_sub(groups * 3);
        if groups >= ENDLESS / 4 {
            framer.held_matched |= state::PLAIN;
        }
        framer.held = groups.wrapping_mul(4);
        framer.held_matched &= !state::LONG;
        if framer.held > WEB_TEXT_COPIED {
            framer.held_matched |= state::LONG;
        }
    }
    true
}

/// A byte that base64 stands for: of a message, or of the prefix of one.
#[inline(always)]
fn text_byte(framer: &mut Framer, byte: u8) {
    if framer.held_matched & state::MATCHED == 0 && framer.message != 0 {
        framer.message = framer.message.wrapping_sub(1);
    } else {
        prefix_byte(framer, byte);
    }
}

impl Framer {
    /// Bytes of a body of gRPC-Web cannot be read, or went by unseen: the rest of it is passed over as any
    /// other body. Without effect in other modes.
    #[inline(never)]
    pub fn leave_messages(&mut self) {
        let web = Mode::is_web(self.mode) || self.mode == Mode::WebData as u8;
        if !web {
            return;
        }
        let part = if self.mode == Mode::WebPrefix as u8 { 0 } else { self.number as u32 };
        if self.frame_left != ENDLESS {
            self.frame_left = self.frame_left.wrapping_add(part);
        }
        self.held_matched |= state::PLAIN;
        passed(self);
    }
}
