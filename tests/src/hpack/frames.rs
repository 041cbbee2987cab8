//! Header blocks as HTTP/2 sends them, and the sensor's decoder of that.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use sensor::capture::event::Monotonic;
use sensor::stream::Piece;
use sensor::wire::http2::hpack::{self, Field, Scratch};
use sensor::wire::http2::{Begun, Block, Decoder, ErrorCode, Failure, Settings, Sink, Start};
use sensor::wire::{At, Kind};

use super::Set;

/// HEADERS; END_STREAM and END_HEADERS (RFC 9113 section 6.2).
const HEADERS: u8 = 1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// DATA (section 6.1).
const DATA: u8 = 0;

/// Frames of one direction of a connection: each block opens a stream.
pub(super) struct Wire {
    pub(super) bytes: Vec<u8>,
    /// Frames.
    pub(super) frames: usize,
}

impl Wire {
    /// After each block, `data` in a frame of DATA, unless it is empty.
    ///
    /// # Errors
    /// A block is too long for a frame.
    pub(super) fn new(blocks: &[Vec<u8>], data: &[u8]) -> Result<Self> {
        let mut wire = Self { bytes: Vec::new(), frames: 0 };
        for (stream, block) in (1_u32..).step_by(2).zip(blocks) {
            if data.is_empty() {
                wire.frame(HEADERS, END_HEADERS | END_STREAM, stream, block)?;
            } else {
                wire.frame(HEADERS, END_HEADERS, stream, block)?;
                wire.frame(DATA, END_STREAM, stream, data)?;
            }
        }
        Ok(wire)
    }

    /// A frame (section 4.1): length in 24 bits, type, flags, stream, payload.
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u16::try_from(payload.len()).ok().filter(|length| *length <= 1 << 14);
        let length = u32::from(length.context("a block that is too long for a frame")?);
        self.bytes.extend_from_slice(&length.to_be_bytes()[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream.to_be_bytes());
        self.bytes.extend_from_slice(payload);
        self.frames += 1;
        Ok(())
    }
}

/// Decodes the frames of all connections of a set. Gives the fields.
pub(super) fn decode(set: &Set) -> Result<usize> {
    let mut fields = 0;
    for wire in &set.wires {
        let mut told = Told {
            hpack: hpack::Decoder::new_complete(),
            scratch: Scratch::default(),
            fields: 0,
            ends: 0,
            failed: false,
        };
        let at = At { time: Monotonic(0), position: 0, tcp_seq: None };
        Decoder::server().feed(Piece::Bytes(&wire.bytes), Start::Frame, at, &mut told);
        ensure!(!told.failed, "a frame or a block of {} is refused", set.name);
        fields += told.fields;
    }
    Ok(fields)
}

/// What the decoder tells of.
struct Told {
    hpack: hpack::Decoder,
    scratch: Scratch,
    fields: usize,
    ends: usize,
    failed: bool,
}

impl Sink for Told {
    fn block(&mut self, block: &Block<'_>) {
        let tell = |field: Field<'_>| {
            black_box(field);
        };
        match self.hpack.decode(block.bytes, &mut self.scratch, tell) {
            Ok(told) => self.fields += told.fields as usize,
            Err(_) => self.failed = true,
        }
    }

    fn block_lost(&mut self, _: Option<Begun>, _: Failure) {
        self.failed = true;
    }

    fn data(&mut self, _: u32, payload: Piece<'_>) {
        black_box(payload);
    }

    fn data_unsized(&mut self, _: u32) {
        self.failed = true;
    }

    fn end_stream(&mut self, _: u32, _: Option<Monotonic>) {
        self.ends += 1;
    }

    fn reset(&mut self, _: u32, _: Option<ErrorCode>, _: Monotonic) {
        self.failed = true;
    }

    fn settings(&mut self, _: Option<Settings>) {
        self.failed = true;
    }

    fn settings_acked(&mut self) {
        self.failed = true;
    }

    fn goaway(&mut self, _: Option<(u32, ErrorCode)>, _: Monotonic) {
        self.failed = true;
    }

    fn failed(&mut self, _: Failure) {
        self.failed = true;
    }

    fn resumed(&mut self, _: Option<Kind>, _: bool) {
        self.failed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{requests, set};
    use super::{Wire, decode};

    #[test]
    fn frames_are_as_the_rfc_draws_them() {
        let wire = Wire::new(&[vec![0x82], vec![0x83, 0x84]], b"abc").expect("short");
        let expected: &[u8] = b"\
            \0\0\x01\x01\x04\0\0\0\x01\x82\
            \0\0\x03\x00\x01\0\0\0\x01abc\
            \0\0\x02\x01\x04\0\0\0\x03\x83\x84\
            \0\0\x03\x00\x01\0\0\0\x03abc";
        assert_eq!((&*wire.bytes, wire.frames), (expected, 4));
        let wire = Wire::new(&[vec![0x82]], b"").expect("short");
        assert_eq!(wire.bytes, b"\0\0\x01\x01\x05\0\0\0\x01\x82");
        assert!(Wire::new(&[vec![0; 20_000]], b"").is_err());
    }

    /// Each decoder has to come to the number that nghttp2 came to.
    #[test]
    fn all_decoders_decode_all_of_it() {
        let set = set("calls", vec![requests()], b"message").expect("calls");
        assert_eq!(set.fields, 9_000);
        assert_eq!(decode(&set).ok(), Some(9_000));
        assert_eq!(super::super::h2::decode(&set).ok(), Some(9_000));
    }
}
