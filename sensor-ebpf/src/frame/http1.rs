//! Framing of HTTP/1.0 and 1.1 (RFC 9112): start line, header section, chunk lines.

mod body;
mod fields;
mod start;
pub mod web;

use super::lines::line_feed;
use super::{Framer, Mode, Pairing, Reason, Window};
use crate::limits::HEAD_MAX;
use body::{end_of_head, end_of_size, size};
use fields::{length_line, lines, name, transfer, type_line};
use start::{first_line, start, status, target, token};

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

/// One step from `at`. Returns the next position: `at` itself when all is done, because the window
/// has ended, or what follows is passed over or not HTTP/1.
#[inline(always)]
pub fn step<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    if at >= len || !Mode::is_http1(framer.mode) {
        return at;
    }
    let next = examine(framer, pairing, window, at, len);
    framer.head = framer.head.wrapping_add(next.wrapping_sub(at));
    if framer.head > HEAD_MAX && Mode::is_http1(framer.mode) && framer.mode != Mode::Start as u8 {
        lose(framer, Reason::HeadTooLarge);
    }
    next
}

/// One step from `at`, where `at < len`. Returns the next position, more than `at` unless the mode
/// has become another protocol's, or one that passes.
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
    } else if mode == Mode::Type as u8 {
        return type_line(framer, window, at, len);
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
pub(super) fn other(framer: &mut Framer, reason: Reason) {
    framer.reason = reason as u8;
    framer.mode = if framer.confirmed != 0 { Mode::Lost as u8 } else { Mode::Other as u8 };
}

#[inline(always)]
fn lose(framer: &mut Framer, reason: Reason) {
    framer.reason = reason as u8;
    framer.mode = Mode::Lost as u8;
}
