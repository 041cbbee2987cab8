//! Framing of HTTP/1.0 and 1.1 (RFC 9112): start line, header section, chunk lines.

mod body;
mod fields;
mod start;

use super::lines::line_feed;
use super::{Framer, Mode, Pairing, Reason, Window};
use crate::limits::HEAD_MAX;
use body::{end_of_head, end_of_size, size};
use fields::{length_line, lines, name, transfer};
use start::{first_line, start, status, target, token};

/// Steps that a window is given: a header line takes one to three, a byte-wise value one for each byte.
/// What is left of the window is for the next scan, so this bounds work, not what can be framed.
pub const STEPS: u32 = 256;

const fn eight(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

/// The low seven of eight bytes.
const SEVEN: u64 = 0x00ff_ffff_ffff_ffff;

/// Newest byte lowest, as [`Framer::history`] has it.
const fn tail(text: &[u8]) -> u64 {
    let mut value = 0;
    let mut i = 0;
    while i < text.len() {
        value = value << 8 | text[i] as u64;
        i += 1;
    }
    value
}

/// Frames bytes `from..len` of `window` and returns the position reached: `len`, or less when a
/// part that is passed over begins there ([`Mode::passes`]), or when the steps ran out.
///
/// On the host; the programs run the same steps in a loop of the kernel's.
#[cfg(any(test, feature = "user"))]
pub fn scan<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    from: u32,
    len: u32,
) -> u32 {
    let mut at = from;
    for _ in 0..STEPS {
        let next = step(framer, pairing, window, at, len);
        if next == at {
            break;
        }
        at = next;
    }
    at
}

/// One step from `at`. Returns the next position: `at` itself when all is done, because the window
/// has ended or what follows is passed over.
#[inline(always)]
pub fn step<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    if at >= len || Mode::passes(framer.mode) {
        return at;
    }
    let next = examine(framer, pairing, window, at, len);
    framer.head = framer.head.wrapping_add(next.wrapping_sub(at));
    if framer.head > HEAD_MAX && !Mode::passes(framer.mode) && framer.mode != Mode::Start as u8 {
        lose(framer, Reason::HeadTooLarge);
    }
    next
}

/// One step from `at`, where `at < len`. Returns the next position, more than `at` unless the mode
/// has become one that passes.
#[inline(always)]
fn examine<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    // The frequent modes first. A message's first bytes and what follows are one step where that is
    // decided at once.
    let mut at = at;
    if framer.mode == Mode::Start as u8 {
        at = start(framer, pairing, window, at, len);
        if at >= len || framer.mode != Mode::Rest as u8 {
            return at;
        }
    }
    let mode = framer.mode;
    if mode == Mode::Rest as u8 || mode == Mode::Line as u8 {
        return lines(framer, pairing, window, at, len);
    }
    if mode == Mode::FirstLine as u8 {
        return first_line(framer, pairing, window, at, len);
    }
    if mode == Mode::Ext as u8 {
        let (next, found) = line_feed(window, at, len);
        if found {
            end_of_size(framer);
        }
        return next;
    }
    let byte = window.byte(at);
    if mode == Mode::EndCr as u8 {
        if byte == b'\n' {
            end_of_head(framer, pairing);
        } else {
            // A bare CR within a line (RFC 9112 2.2 has it replaced or refused): go on in it.
            framer.mode = Mode::Rest as u8;
        }
    } else if mode == Mode::Length as u8 {
        return length_line(framer, window, at, len);
    } else if mode == Mode::Size as u8 {
        size(framer, byte);
    } else if mode == Mode::Name as u8 {
        name(framer, byte);
    } else if mode == Mode::Transfer as u8 {
        transfer(framer, byte);
    } else if mode == Mode::Token as u8 {
        token(framer, pairing, byte);
    } else if mode == Mode::Status as u8 {
        status(framer, byte);
    } else {
        target(framer, pairing, byte);
    }
    at.wrapping_add(1)
}

#[inline(always)]
const fn digit(byte: u64) -> bool {
    byte >= 48 && byte <= 57
}

/// These bytes are not HTTP/1. A direction that has spoken it before has only lost its place.
#[inline(always)]
fn other(framer: &mut Framer, reason: Reason) {
    framer.reason = reason as u8;
    framer.mode = if framer.confirmed != 0 { Mode::Lost as u8 } else { Mode::Other as u8 };
}

#[inline(always)]
fn lose(framer: &mut Framer, reason: Reason) {
    framer.reason = reason as u8;
    framer.mode = Mode::Lost as u8;
}
