//! Framing of HTTP/1.0 and 1.1 (RFC 9112): start line, header section, chunk lines.

use super::lines::{is_token, line_feed};
use super::{Framer, Mode, Pairing, Reason, Window, flag};
use crate::limits::HEAD_MAX;

/// Steps that a window is given: a header line takes one to three, a byte-wise value one for each byte.
/// What is left of the window is for the next scan, so this bounds work, not what can be framed.
pub const STEPS: u32 = 256;

/// Longest method that is taken for one.
const METHOD_MAX: u8 = 24;

/// Bytes of a value looked at in one step.
const VALUE_BYTES: u32 = 8;

/// Digits of a Content-Length that is taken for one (the largest fit in a u64).
const DIGITS_MAX: u8 = 18;

const fn eight(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

const CASE: u64 = 0x2020_2020_2020_2020;
const CONTENT_: u64 = eight(b"content-");
const LENGTH: u64 = eight(b"length:\0");
const TRANSFER: u64 = eight(b"transfer");
const ENCODING: u64 = eight(b"-encodin");
const SEVEN: u64 = 0x00ff_ffff_ffff_ffff;
const HTTP_1: u64 = eight(b"HTTP/1.\0");

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
    let mode = framer.mode;
    // The frequent modes first.
    if mode == Mode::Rest as u8 || mode == Mode::Ext as u8 {
        let (next, found) = line_feed(window, at, len);
        if found {
            if mode == Mode::Rest as u8 {
                framer.mode = Mode::Line as u8;
            } else {
                end_of_size(framer);
            }
        }
        return next;
    }
    if mode == Mode::Line as u8 {
        return line(framer, pairing, window, at, len);
    }
    if mode == Mode::FirstLine as u8 {
        return first_line(framer, pairing, window, at, len);
    }
    if mode == Mode::Start as u8 {
        return start(framer, pairing, window, at, len);
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

/// Between messages: empty lines before a start line are skipped (RFC 9112 2.2).
#[inline(always)]
fn start<W: Window>(
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
            framer.confirmed = 1;
            framer.mode = Mode::FirstLine as u8;
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

#[inline(always)]
const fn digit(byte: u64) -> bool {
    byte >= 48 && byte <= 57
}

/// The first token, byte by byte.
#[inline(always)]
fn token(framer: &mut Framer, pairing: &mut Pairing, byte: u8) {
    const PREFIX: u64 = eight(b"HTTP/1.\0");
    let matched = framer.matched;
    if framer.flags & flag::MAYBE_RESPONSE != 0 {
        if byte == (PREFIX >> (u64::from(matched & 7) * 8)) as u8 {
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

/// A request's method is known: remember what its response will look like.
#[inline(always)]
fn begin_request(framer: &mut Framer, pairing: &mut Pairing, method: u64) {
    // A connection opens with "PRI * HTTP/2.0": leave it to those who speak it.
    if method == tail(b"PRI") {
        other(framer, Reason::Http2);
    }
    let bit = 1u64 << (u64::from(pairing.requests) & 63);
    let (head, connect) = (pairing.head & !bit, pairing.connect & !bit);
    pairing.head = if method == tail(b"HEAD") { head | bit } else { head };
    pairing.connect = if method == tail(b"CONNECT") { connect | bit } else { connect };
}

/// `1.` was matched: a digit, a space, three digits.
#[inline(always)]
fn status(framer: &mut Framer, byte: u8) {
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
        framer.confirmed = 1;
        framer.mode = Mode::FirstLine as u8;
    }
}

/// The target's first byte: `/` (origin), `*` (asterisk), a scheme or an authority.
#[inline(always)]
fn target(framer: &mut Framer, pairing: &Pairing, byte: u8) {
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

/// The rest of a start line. A request's has to end in `HTTP/1.` and a digit.
#[inline(always)]
fn first_line<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
    let (next, found) = line_feed(window, at, len);
    if framer.flags & flag::RESPONSE != 0 {
        if found {
            framer.mode = Mode::Line as u8;
        }
        return next;
    }
    // The last nine bytes before the line feed decide; a window may hold only some of them.
    let end = if found { next.wrapping_sub(1) } else { next };
    remember(framer, window, at, end);
    if found {
        let history = framer.history;
        let version = if history & 0xff == 0x0d { history >> 8 } else { history };
        // Seven of the eight bytes suffice with a CR: "TTP/1.1\r".
        if version & 0xffff_ffff_ff00 == tail(b"TP/1.\0") && digit(version & 0xff) {
            pairing.requests = pairing.requests.wrapping_add(1);
            framer.confirmed = 1;
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

/// The first byte of a header line: the end of the head, a name that frames, or another.
#[inline(always)]
fn line<W: Window>(
    framer: &mut Framer,
    pairing: &mut Pairing,
    window: &W,
    at: u32,
    len: u32,
) -> u32 {
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
        } else if first == TRANSFER && window.eight(at.wrapping_add(8)) | CASE == ENCODING {
            framer.matched = 16;
            framer.flags |= flag::NAME_TRANSFER;
            framer.mode = Mode::Name as u8;
            return at.wrapping_add(16);
        }
    }
    framer.mode = Mode::Rest as u8;
    // Not a step of its own: most lines are of this kind.
    let (next, found) = line_feed(window, at, len);
    if found {
        framer.mode = Mode::Line as u8;
    }
    next
}

/// A field name, byte by byte. Its first byte has matched.
#[inline(always)]
fn name(framer: &mut Framer, byte: u8) {
    let at = u64::from(framer.matched);
    let transfer = framer.flags & flag::NAME_TRANSFER != 0;
    let (first, second, third) = if transfer {
        (TRANSFER, ENCODING, eight(b"g:\0\0\0\0\0\0"))
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
        begin_value(framer, if transfer { Mode::Transfer } else { Mode::Length });
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
    } else {
        framer.flags = (framer.flags | flag::TRANSFER) & !flag::CHUNKED;
    }
}

/// As much of the value of Content-Length as is at hand, up to [`VALUE_BYTES`].
#[inline(always)]
fn length_line<W: Window>(framer: &mut Framer, window: &W, at: u32, len: u32) -> u32 {
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
fn transfer(framer: &mut Framer, byte: u8) {
    if byte == b'\n' {
        if framer.history & SEVEN == tail(b"chunked") {
            framer.flags |= flag::CHUNKED;
        }
        framer.mode = Mode::Line as u8;
    } else if byte != b' ' && byte != b'\t' && byte != b'\r' {
        framer.history = framer.history << 8 | u64::from(byte | 0x20);
    }
}

/// A byte of a chunk-size.
#[inline(always)]
fn size(framer: &mut Framer, byte: u8) {
    let lower = byte | 0x20;
    let value = if digit(u64::from(byte)) {
        u64::from(byte) - 48
    } else if (b'a'..=b'f').contains(&lower) {
        u64::from(lower) - 87
    } else if framer.matched == 0 {
        lose(framer, Reason::Broken);
        return;
    } else if byte == b'\n' {
        end_of_size(framer);
        return;
    } else {
        // CR, white space, or an extension.
        framer.mode = Mode::Ext as u8;
        return;
    };
    if framer.matched >= 15 {
        lose(framer, Reason::Broken);
        return;
    }
    framer.number = framer.number << 4 | value;
    framer.matched = framer.matched.wrapping_add(1);
}

/// The line of a chunk's size has ended.
#[inline(always)]
fn end_of_size(framer: &mut Framer) {
    framer.matched = 0;
    framer.head = 0;
    if framer.number == 0 {
        framer.flags |= flag::TRAILER;
        framer.mode = Mode::Line as u8;
    } else {
        // The data and the CRLF after it.
        framer.number = framer.number.wrapping_add(2);
        framer.mode = Mode::Data as u8;
    }
}

/// The empty line: what follows is a body, or the next message (RFC 9112 section 6.3).
#[inline(always)]
fn end_of_head(framer: &mut Framer, pairing: &mut Pairing) {
    let flags = framer.flags;
    framer.matched = 0;
    if flags & flag::TRAILER != 0 {
        framer.mode = Mode::Start as u8;
        return;
    }
    if flags & flag::RESPONSE != 0 {
        let code = framer.status;
        if code < 200 && code != 101 {
            framer.mode = Mode::Start as u8;
            return;
        }
        let bit = 1u64 << (u64::from(pairing.responses) & 63);
        pairing.responses = pairing.responses.wrapping_add(1);
        if code == 101 || (code < 300 && pairing.connect & bit != 0) {
            framer.mode = Mode::Opaque as u8;
            return;
        }
        if code == 204 || code == 304 || pairing.head & bit != 0 {
            framer.mode = Mode::Start as u8;
            return;
        }
    }
    if flags & flag::CHUNKED != 0 {
        framer.number = 0;
        framer.mode = Mode::Size as u8;
    } else if flags & flag::TRANSFER != 0 {
        if flags & flag::RESPONSE != 0 {
            framer.mode = Mode::UntilClose as u8;
        } else {
            lose(framer, Reason::Broken);
        }
    } else if flags & flag::LENGTH != 0 {
        framer.mode = if framer.number == 0 { Mode::Start as u8 } else { Mode::Body as u8 };
    } else if flags & flag::RESPONSE != 0 {
        framer.mode = Mode::UntilClose as u8;
    } else {
        framer.mode = Mode::Start as u8;
    }
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

impl Framer {
    /// Passes over up to `n` bytes in a mode that passes, and returns how many. When a body or the
    /// data of a chunk ends, framing goes on behind it.
    #[inline(always)]
    pub fn pass(&mut self, n: u64) -> u64 {
        if self.mode != Mode::Body as u8 && self.mode != Mode::Data as u8 {
            return n;
        }
        let taken = if n < self.number { n } else { self.number };
        self.number = self.number.wrapping_sub(taken);
        if self.number == 0 {
            self.matched = 0;
            self.mode =
                if self.mode == Mode::Body as u8 { Mode::Start as u8 } else { Mode::Size as u8 };
        }
        taken
    }

    /// Whether eight bytes at the beginning of a call look like the beginning of a response.
    #[inline(always)]
    pub const fn looks_like_response(first: u64) -> bool {
        first & SEVEN == HTTP_1
    }
}
