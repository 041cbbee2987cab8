//! Where HTTP/2 begins: the client's preface, a server's first frame, a frame of headers.
//!
//! The bias: to say no. The preface is certain, for it was made so that nothing else begins like it
//! (RFC 9113 section 3.4). A server's SETTINGS are not: they are walked, and the other direction has to
//! show what they are. On a connection that is older than the sensor, and after a loss, only this
//! counts: a call begins with the header of a HEADERS frame that is a whole header block, and the
//! block's first byte is a pseudo-header field of the static table, if need be after others of the
//! dynamic table (Go sends `:authority` first, grpc-java `:authority` and `:path`). That is some thirty
//! bits. A header alone, as many readers ask for it, decides nothing: the next call's first byte does.
//!
//! Where the other direction knows its place, its streams tell more than a block's first byte: then the
//! header has to name one of those that are in use. So the responses of a server are found that begin
//! with a `:status` of the dynamic table alone.

use super::super::http1::other;
use super::super::{Framer, Mode, Reason, confirmed};
use super::{HEADER, LENGTH_DEFAULT, flag, frame_flag, header_byte, kind, whole};

/// The client's preface (section 3.4).
const PREFACE: [u64; 3] = [
    u64::from_le_bytes(*b"PRI * HT"),
    u64::from_le_bytes(*b"TP/2.0\r\n"),
    u64::from_le_bytes(*b"\r\nSM\r\n\r\n"),
];

/// The method is `PRI`.
#[inline(always)]
pub(in super::super) fn preface(framer: &mut Framer) {
    framer.matched = 4;
    framer.mode = Mode::Preface as u8;
}

/// A byte of the preface. Returns whether it is one.
#[inline(always)]
pub(super) fn preface_byte(framer: &mut Framer, byte: u8) -> bool {
    let matched = framer.matched;
    let word = if matched < 8 {
        PREFACE[0]
    } else if matched < 16 {
        PREFACE[1]
    } else {
        PREFACE[2]
    };
    if byte != (word >> (u64::from(matched & 7) * 8)) as u8 {
        other(framer, Reason::NotHttp);
        return false;
    }
    framer.matched = matched.wrapping_add(1);
    if framer.matched == 24 {
        framer.matched = 0;
        framer.flags = 0;
        framer.confirmed = confirmed::HTTP2;
        framer.mode = Mode::FrameHead as u8;
    }
    true
}

/// A direction begins that may be HTTP/2.
#[inline(always)]
pub(in super::super) fn opening(framer: &mut Framer) {
    framer.flags = flag::FIRST;
    framer.matched = 0;
    framer.mode = Mode::Try as u8;
}

/// The head of a 101 has ended. What follows may be a server's first frame.
#[inline(always)]
pub(in super::super) fn upgraded(framer: &mut Framer) {
    framer.flags = flag::FIRST | flag::UPGRADED;
    framer.matched = 0;
    framer.mode = Mode::Try as u8;
}

/// A byte of what may be a frame's header. Returns whether it is possible.
///
/// SETTINGS: no flags, stream 0, whole settings of six bytes. HEADERS: END_HEADERS, no flag that is
/// not defined, a stream, and a block.
#[inline(always)]
pub(super) fn attempt(framer: &mut Framer, byte: u8) -> bool {
    let at = framer.matched;
    let first = framer.flags & flag::FIRST != 0;
    let value = u32::from(byte);
    let possible = if at == 0 {
        byte == 0
    } else if at == 3 {
        framer.frame_left <= LENGTH_DEFAULT
            && ((value == kind::SETTINGS && first && framer.frame_left.is_multiple_of(6))
                || (value == kind::HEADERS && framer.frame_left != 0))
    } else if at > 3 {
        let headers = (framer.history >> (u64::from(at.wrapping_sub(4) & 7) * 8)) & 0xff
            == u64::from(kind::HEADERS);
        if !headers {
            byte == 0
        } else if at == 4 {
            // All that is defined for HEADERS.
            byte & !0x2d == 0 && value & frame_flag::END_HEADERS != 0
        } else {
            at != 5 || byte < 0x80
        }
    } else {
        true
    };
    if !possible {
        let frame = at > 3 || (at == 3 && may_be(value, framer.frame_left));
        fail(framer, if frame { Reason::Undecided } else { Reason::NotHttp });
        return false;
    }
    header_byte(framer, byte);
    if framer.matched < HEADER {
        return true;
    }
    let other = framer.message;
    // What is left of HTTP/1, or of the frame in which the place was lost, is nothing of this one's.
    framer.matched = 0;
    framer.status = 0;
    framer.head = 0;
    framer.message = 0;
    framer.held_stream = 0;
    framer.flags &= flag::UPGRADED;
    if framer.history >> 40 == u64::from(kind::SETTINGS) {
        framer.flags |= flag::PLAIN;
        whole(framer);
        return true;
    }
    let flags = (framer.history >> 32) as u32;
    framer.number = 0;
    if flags & frame_flag::PADDED != 0 {
        framer.number = 1;
    }
    if flags & frame_flag::PRIORITY != 0 {
        framer.number = framer.number.wrapping_add(5);
    }
    let stream = framer.history as u32;
    if framer.confirmed == confirmed::HTTP2 && near(stream, other) {
        framer.flags |= flag::EXPECTED;
    }
    if stream == 0 || u64::from(framer.frame_left) <= framer.number {
        fail(framer, Reason::NotHttp);
        return true;
    }
    framer.mode = Mode::Block as u8;
    true
}

/// How far apart the streams may be that the two directions are at: most servers take some hundreds
/// at once.
const STREAMS_APART: u32 = 2 * 1024;

/// Whether `stream` is a client's, and near to that which the other direction was at last (0: not
/// known).
#[inline(always)]
const fn near(stream: u32, other: u32) -> bool {
    let between = stream.wrapping_sub(other).wrapping_add(STREAMS_APART);
    other != 0 && stream & 1 == 1 && between <= 2 * STREAMS_APART
}

/// Whether a frame of this type may be as long as this (RFC 9113 section 6).
#[inline(always)]
const fn may_be(of: u32, length: u32) -> bool {
    let fits = if of == kind::PRIORITY {
        length == 5
    } else if of == kind::RST_STREAM || of == kind::WINDOW_UPDATE {
        length == 4
    } else if of == kind::SETTINGS {
        length.is_multiple_of(6)
    } else if of == kind::PING {
        length == 8
    } else {
        of <= kind::CONTINUATION
    };
    fits && length <= LENGTH_DEFAULT
}

/// Fields of the dynamic table that a block is looked at behind: the other pseudo-header fields of a
/// request.
const INDEXED_MAX: u8 = 3;

/// A byte before the block of what may be HEADERS, or one that its first fields begin with. Returns
/// whether it was taken.
#[inline(always)]
pub(super) fn block(framer: &mut Framer, byte: u8) -> bool {
    let before = framer.number != 0;
    // An index of the dynamic table that is one byte.
    let indexed = matches!(byte, 0xbe..=0xfe) && framer.matched < INDEXED_MAX;
    if before || (indexed && framer.frame_left > 1) {
        if before {
            framer.number = framer.number.wrapping_sub(1);
        } else {
            framer.matched = framer.matched.wrapping_add(1);
        }
        framer.frame_left = framer.frame_left.wrapping_sub(1);
        return true;
    }
    if begins_block(byte) || framer.flags & flag::EXPECTED != 0 {
        framer.matched = 0;
        framer.flags = flag::PLAIN;
        framer.confirmed = confirmed::HTTP2;
        whole(framer);
    } else {
        fail(framer, Reason::Undecided);
    }
    false
}

/// Whether `byte` begins a pseudo-header field of the static table (RFC 7541 section 6, appendix A):
/// `:method`, `:path`, `:scheme`, `:status` by index, or one of them or `:authority` by name, with a value.
#[inline(always)]
const fn begins_block(byte: u8) -> bool {
    let indexed = byte >= 0x82 && byte <= 0x8e;
    let literal = byte & 0xf0 == 0x40 || byte & 0xe0 == 0;
    let name = byte & 0x0f;
    let known = name == 1 || name == 2 || name == 4 || name == 6 || name == 8;
    indexed || (literal && known)
}

/// This is not HTTP/2, or not where a frame begins.
#[inline(always)]
pub(super) fn fail(framer: &mut Framer, reason: Reason) {
    framer.matched = 0;
    if framer.confirmed == confirmed::HTTP2 {
        framer.mode = Mode::FrameLost as u8;
    } else if framer.flags & flag::UPGRADED != 0 {
        framer.mode = Mode::Opaque as u8;
    } else {
        other(framer, reason);
    }
}
