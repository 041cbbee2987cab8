//! Header sections (RFC 9112 section 5): the fields that frame a body, and the section's end.

use super::super::lines::{CASE, pass_lines};
use super::super::{Framer, Mode, Pairing, Reason, Window, flag};
use super::body::end_of_head;
use super::web::state;
use super::{SEVEN, digit, eight, lose, tail};

/// The low five of eight bytes.
const FIVE: u64 = 0xff_ffff_ffff;

/// Bytes of a value looked at in one step.
const VALUE_BYTES: u32 = 8;

/// Digits of a Content-Length that is taken for one (the largest fit in a u64).
const DIGITS_MAX: u8 = 18;

const CONTENT_: u64 = eight(b"content-");
const LENGTH: u64 = eight(b"length:\0");
const TYPE: u64 = eight(b"type:\0\0\0");
const TRANSFER: u64 = eight(b"transfer");
const ENCODING: u64 = eight(b"-encodin");

/// Header lines, from the first byte of one or from anywhere in one, to the first that matters: the
/// end of the head, or a name that frames.
#[inline(always)]
pub(super) fn lines<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    from: u32,
    len: u32,
) -> u32 {
    let (at, begins) = pass_lines(window, from, len, framer.mode == Mode::Line as u8);
    if !begins {
        framer.mode = Mode::Rest as u8;
        return at;
    }
    framer.mode = Mode::Line as u8;
    if at >= len {
        return at;
    }
    let eight = window.eight(at);
    let byte = eight as u8;
    if byte == b'\r' {
        if (eight >> 8) as u8 == b'\n' && at.wrapping_add(2) <= len {
            end_of_head(framer, pairing);
            return at.wrapping_add(2);
        }
        framer.mode = Mode::EndCr as u8;
        return at.wrapping_add(1);
    }
    if byte == b'\n' {
        end_of_head(framer, pairing);
        return at.wrapping_add(1);
    }
    let lower = byte | 0x20;
    if (lower == b'c' || lower == b't') && framer.flags & flag::TRAILER == 0 {
        if at.wrapping_add(16) > len {
            // Too near the window's end to compare eight at a time.
            framer.matched = 1;
            framer.history = 0;
            framer.flags = if lower == b't' {
                framer.flags | flag::NAME_TRANSFER
            } else {
                framer.flags & !flag::NAME_TRANSFER
            };
            framer.mode = Mode::Name as u8;
            return at.wrapping_add(1);
        }
        let first = eight | CASE;
        if first == CONTENT_ {
            if (window.eight(at.wrapping_add(8)) | CASE) & SEVEN == LENGTH {
                begin_value(framer, Mode::Length);
                return at.wrapping_add(15);
            }
            if (window.eight(at.wrapping_add(8)) | CASE) & FIVE == TYPE {
                begin_value(framer, Mode::Type);
                return at.wrapping_add(13);
            }
        } else if first == TRANSFER && window.eight(at.wrapping_add(8)) | CASE == ENCODING {
            framer.matched = 16;
            framer.flags |= flag::NAME_TRANSFER;
            framer.mode = Mode::Name as u8;
            return at.wrapping_add(16);
        }
    }
    framer.mode = Mode::Rest as u8;
    at.wrapping_add(1)
}

/// A field name, byte by byte. Its first byte has matched. Of the two that begin alike, `history` is 1 in
/// Content-Type.
#[inline(always)]
pub(super) fn name(framer: &mut Framer, byte: u8) {
    let at = u64::from(framer.matched);
    let transfer = framer.flags & flag::NAME_TRANSFER != 0;
    if at == 8 && !transfer && byte | 0x20 == b't' {
        framer.history = 1;
    }
    let typed = framer.history != 0;
    let (first, second, third) = if transfer {
        (TRANSFER, ENCODING, eight(b"g:\0\0\0\0\0\0"))
    } else if typed {
        (CONTENT_, TYPE, 0)
    } else {
        (CONTENT_, LENGTH, 0)
    };
    let part = if at < 8 {
        first
    } else if at < 16 {
        second
    } else {
        third
    };
    let expected = (part >> ((at & 7) * 8)) as u8;
    let lower = if byte.is_ascii_uppercase() { byte | 0x20 } else { byte };
    if lower != expected || expected == 0 {
        framer.mode = if byte == b'\n' { Mode::Line as u8 } else { Mode::Rest as u8 };
        return;
    }
    framer.matched = framer.matched.wrapping_add(1);
    if byte == b':' {
        let mode = if transfer {
            Mode::Transfer
        } else if typed {
            Mode::Type
        } else {
            Mode::Length
        };
        begin_value(framer, mode);
    }
}

#[inline(always)]
fn begin_value(framer: &mut Framer, mode: Mode) {
    framer.matched = 0;
    framer.history = 0;
    framer.mode = mode as u8;
    if mode as u8 == Mode::Length as u8 {
        framer.number = 0;
        framer.flags |= flag::LENGTH;
    } else if mode as u8 == Mode::Transfer as u8 {
        framer.flags = (framer.flags | flag::TRANSFER) & !flag::CHUNKED;
    }
}

/// The media types that matter begin so; what comes after the eighteenth byte tells them apart.
const MEDIA: [u64; 3] = [eight(b"applicat"), eight(b"ion/grpc"), eight(b"-web-t\0\0")];

/// Bytes of `application/grpc-web`, and of what is enough of `application/grpc-web-text`.
const WEB: u8 = 20;
const WEB_TEXT: u8 = 22;

/// As much of the value of Content-Type as is at hand, up to [`VALUE_BYTES`].
#[inline(always)]
pub(super) fn type_line<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let bytes = window.eight(at);
    let mut i = 0;
    while i < VALUE_BYTES {
        media(framer, (bytes >> (i * 8)) as u8);
        i += 1;
        if framer.mode != Mode::Type as u8 || at.wrapping_add(i) >= len {
            break;
        }
    }
    at.wrapping_add(i)
}

/// A byte of Content-Type. At most one blank before it, as everyone writes it: [`pass_lines`] looks no
/// further. What user space takes for gRPC-Web and this does not has no status.
#[inline(always)]
fn media(framer: &mut Framer, byte: u8) {
    let at = framer.matched;
    if at == 0 && framer.history == 0 && (byte == b' ' || byte == b'\t') {
        framer.history = 1;
        return;
    }
    let word = if at < 8 {
        MEDIA[0]
    } else if at < 16 {
        MEDIA[1]
    } else {
        MEDIA[2]
    };
    let lower = if byte.is_ascii_uppercase() { byte | 0x20 } else { byte };
    if lower != (word >> (u64::from(at & 7) * 8)) as u8 {
        framer.mode = if byte == b'\n' { Mode::Line as u8 } else { Mode::Rest as u8 };
        return;
    }
    framer.matched = at.wrapping_add(1);
    if framer.matched == WEB {
        framer.flags |= flag::WEB;
        framer.held_matched = 0;
    } else if framer.matched == WEB_TEXT {
        framer.held_matched = state::TEXT;
        framer.mode = Mode::Rest as u8;
    }
}

/// As much of the value of Content-Length as is at hand, up to [`VALUE_BYTES`].
#[inline(always)]
pub(super) fn length_line<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
    let bytes = window.eight(at);
    let mut i = 0;
    while i < VALUE_BYTES {
        length(framer, (bytes >> (i * 8)) as u8);
        i += 1;
        if framer.mode != Mode::Length as u8 || at.wrapping_add(i) >= len {
            break;
        }
    }
    at.wrapping_add(i)
}

/// A digit of Content-Length. What is not a plain number is for user space to judge: the framing
/// is lost here. A list of equal numbers (RFC 9110 8.6) keeps the last.
#[inline(always)]
fn length(framer: &mut Framer, byte: u8) {
    if digit(u64::from(byte)) && framer.matched < DIGITS_MAX {
        framer.number =
            framer.number.wrapping_mul(10).wrapping_add(u64::from(byte).wrapping_sub(48));
        framer.matched = framer.matched.wrapping_add(1);
    } else if byte == b'\n' {
        framer.mode = Mode::Line as u8;
    } else if byte == b',' {
        framer.number = 0;
        framer.matched = 0;
    } else if byte != b' ' && byte != b'\t' && byte != b'\r' {
        lose(framer, Reason::Broken);
    }
}

/// A byte of Transfer-Encoding: at the line's end the last seven letters tell.
#[inline(always)]
pub(super) fn transfer(framer: &mut Framer, byte: u8) {
    if byte == b'\n' {
        if framer.history & SEVEN == tail(b"chunked") {
            framer.flags |= flag::CHUNKED;
        }
        framer.mode = Mode::Line as u8;
    } else if byte != b' ' && byte != b'\t' && byte != b'\r' {
        framer.history = framer.history << 8 | u64::from(byte | 0x20);
    }
}
