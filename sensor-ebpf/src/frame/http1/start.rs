//! Start lines (RFC 9112 sections 3 and 4), and what a request's method says of its response.

use super::super::lines::{is_token, line_feed};
use super::super::{Framer, Mode, Pairing, Reason, Window, confirmed, flag, http2};
use super::{SEVEN, digit, eight, other, tail};

/// Longest method that is taken for one.
const METHOD_MAX: u8 = 24;

const HTTP_1: u64 = eight(b"HTTP/1.\0");

/// Between messages: empty lines before a start line are skipped (RFC 9112 2.2).
#[inline(always)]
pub(super) fn start<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    framer.head = 0;
    framer.status = 0;
    let first = window.eight(at);
    // The usual response, whole: "HTTP/1.1 200".
    if first & SEVEN == HTTP_1 && at.wrapping_add(12) <= len {
        let code = window.eight(at.wrapping_add(8));
        let (a, b, c) = ((code >> 8) & 0xff, (code >> 16) & 0xff, (code >> 24) & 0xff);
        if code & 0xff == 0x20 && digit(a) && digit(b) && digit(c) {
            framer.status = ((a - 48) * 100 + (b - 48) * 10 + (c - 48)) as u16;
            framer.flags = flag::RESPONSE;
            framer.confirmed = confirmed::HTTP1;
            // The reason phrase does not matter.
            framer.mode = Mode::Rest as u8;
            return at.wrapping_add(12);
        }
    }
    // The usual request: "GET /".
    if first & 0xff_ffff_ffff == tail_le(b"GET /") && at.wrapping_add(5) <= len {
        framer.flags = flag::NONE;
        begin_request(framer, pairing, tail(b"GET"));
        framer.history = 0;
        framer.mode = Mode::FirstLine as u8;
        return at.wrapping_add(5);
    }
    let byte = (first & 0xff) as u8;
    if byte == b'\r' || byte == b'\n' {
        return at.wrapping_add(1);
    }
    if byte == 0 && framer.confirmed != confirmed::HTTP1 {
        // As the length of a frame begins, and no message of HTTP/1.
        http2::opening(framer);
        return at;
    }
    framer.flags = flag::MAYBE_RESPONSE;
    framer.matched = 0;
    framer.history = 0;
    framer.mode = Mode::Token as u8;
    if byte == 0x16 {
        other(framer, Reason::Tls);
        return at;
    }
    token(framer, pairing, byte);
    at.wrapping_add(1)
}

const fn tail_le(text: &[u8; 5]) -> u64 {
    eight(&[text[0], text[1], text[2], text[3], text[4], 0, 0, 0])
}

/// The first token, byte by byte.
#[inline(always)]
pub(super) fn token(framer: &mut Framer, pairing: &mut Pairing, byte: u8) {
    let matched = framer.matched;
    if framer.flags & flag::MAYBE_RESPONSE != 0 {
        if byte == (HTTP_1 >> (u64::from(matched & 7) * 8)) as u8 {
            framer.history = framer.history << 8 | u64::from(byte);
            framer.matched = matched.wrapping_add(1);
            if framer.matched == 7 {
                framer.flags = flag::RESPONSE;
                framer.matched = 0;
                framer.mode = Mode::Status as u8;
            }
            return;
        }
        framer.flags = flag::NONE;
    }
    if byte == b' ' && matched > 0 {
        framer.mode = Mode::Target as u8;
        begin_request(framer, pairing, framer.history);
    } else if is_token(byte) && matched < METHOD_MAX {
        framer.history = framer.history << 8 | u64::from(byte);
        framer.matched = matched.wrapping_add(1);
    } else {
        other(framer, Reason::NotHttp);
    }
}

/// A request's method is known: remember what its response will look like. May end the framing, so
/// the mode of what follows the method is set before.
#[inline(always)]
fn begin_request(framer: &mut Framer, pairing: &mut Pairing, method: u64) {
    // A connection with HTTP/2 opens with "PRI * HTTP/2.0", with prior knowledge or after an upgrade.
    if method == tail(b"PRI") {
        http2::preface(framer);
    }
    let bit = 1u64 << (u64::from(pairing.requests) & 63);
    let (head, connect) = (pairing.head & !bit, pairing.connect & !bit);
    pairing.head = if method == tail(b"HEAD") { head | bit } else { head };
    pairing.connect = if method == tail(b"CONNECT") { connect | bit } else { connect };
}

/// `1.` was matched: a digit, a space, three digits.
#[inline(always)]
pub(super) fn status(framer: &mut Framer, byte: u8) {
    let matched = framer.matched;
    let is_digit = digit(u64::from(byte));
    if matched == 1 {
        if byte != b' ' {
            other(framer, Reason::NotHttp);
        }
    } else if !is_digit {
        other(framer, Reason::NotHttp);
    } else if matched >= 2 {
        framer.status =
            framer.status.wrapping_mul(10).wrapping_add(u16::from(byte).wrapping_sub(48));
    }
    framer.matched = matched.wrapping_add(1);
    if matched >= 4 && framer.mode == Mode::Status as u8 {
        framer.confirmed = confirmed::HTTP1;
        framer.mode = Mode::Rest as u8;
    }
}

/// The target's first byte: `/` (origin), `*` (asterisk), a scheme or an authority.
#[inline(always)]
pub(super) fn target(framer: &mut Framer, pairing: &Pairing, byte: u8) {
    let bit = 1u64 << (u64::from(pairing.requests) & 63);
    let authority = byte.is_ascii_alphanumeric() || byte == b'[' || byte == b'_';
    // Only CONNECT has an authority; a scheme is `http` or `https` here.
    let connect = pairing.connect & bit != 0;
    framer.history = u64::from(byte);
    if byte == b'/' || byte == b'*' || byte | 0x20 == b'h' || (connect && authority) {
        framer.mode = Mode::FirstLine as u8;
    } else {
        other(framer, Reason::NotHttp);
    }
}

/// The rest of a request line. It has to end in `HTTP/1.` and a digit.
#[inline(always)]
pub(super) fn first_line<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    let (next, found) = line_feed(window, at, len);
    // The last nine bytes before the line feed decide; a window may hold only some of them.
    let end = if found { next.wrapping_sub(1) } else { next };
    remember(framer, window, at, end);
    if found {
        let history = framer.history;
        let version = if history & 0xff == 0x0d { history >> 8 } else { history };
        // Seven of the eight bytes suffice with a CR: "TTP/1.1\r".
        if version & 0xffff_ffff_ff00 == tail(b"TP/1.\0") && digit(version & 0xff) {
            pairing.requests = pairing.requests.wrapping_add(1);
            framer.confirmed = confirmed::HTTP1;
            framer.mode = Mode::Line as u8;
        } else {
            other(framer, Reason::NotHttp);
        }
    }
    next
}

/// Puts bytes `from..to` of the window at the end of the history.
#[inline(always)]
fn remember<W: Window>(framer: &mut Framer, window: &W, from: u32, to: u32) {
    let count = to.wrapping_sub(from);
    if count >= 8 {
        framer.history = window.eight(to.wrapping_sub(8)).swap_bytes();
    } else if count > 0 {
        let fresh = window.eight(from).swap_bytes() >> (64 - u64::from(count & 7) * 8);
        framer.history = framer.history << (u64::from(count & 7) * 8) | fresh;
    }
}

impl Framer {
    /// Whether eight bytes at the beginning of a call look like the beginning of a response.
    #[inline(always)]
    pub const fn looks_like_response(first: u64) -> bool {
        first & SEVEN == HTTP_1
    }
}
