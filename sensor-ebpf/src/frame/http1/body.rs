//! Bodies (RFC 9112 sections 6 and 7): their length, chunk lines, and passing over them.

use super::super::{Framer, Mode, Pairing, Reason, flag, http2};
use super::{digit, lose, web};

/// A byte of a chunk-size.
#[inline(always)]
pub(super) fn size(framer: &mut Framer, byte: u8) {
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
pub(super) fn end_of_size(framer: &mut Framer) {
    framer.matched = 0;
    framer.head = 0;
    if framer.number == 0 {
        framer.flags |= flag::TRAILER;
        framer.mode = Mode::Line as u8;
    } else if framer.flags & flag::WEB != 0 {
        web::begin(framer);
    } else {
        // The data and the CRLF after it.
        framer.number = framer.number.wrapping_add(2);
        framer.mode = Mode::Data as u8;
    }
}

/// The empty line: what follows is a body, or the next message (RFC 9112 section 6.3).
#[inline(always)]
pub(super) fn end_of_head(framer: &mut Framer, pairing: &mut Pairing) {
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
        if code == 101 {
            // To whatever was agreed on; it may be HTTP/2.
            http2::upgraded(framer);
            return;
        }
        if code < 300 && pairing.connect & bit != 0 {
            framer.mode = Mode::Opaque as u8;
            return;
        }
        if code == 204 || code == 304 || pairing.head & bit != 0 {
            framer.mode = Mode::Start as u8;
            return;
        }
    }
    if flags & flag::WEB != 0 {
        web::clear(framer);
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
    let goes_on = framer.mode == Mode::Body as u8 || framer.mode == Mode::UntilClose as u8;
    if flags & flag::WEB != 0 && goes_on {
        web::begin(framer);
    }
}
