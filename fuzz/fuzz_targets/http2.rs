//! Any bytes in any pieces, with any gaps, are frames or a failure; what is told is in the order of the
//! stream; without gaps it is the same for every cut, and with gaps it is survived.
//!
//! The first byte says how the stream is seen, the next one how the rest is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::capture::event::Monotonic;
use sensor::stream::Piece;
use sensor::wire::http2::{
    Begun, Block, Decoder, ErrorCode, Failure, Settings, Sink, Start, hpack,
};
use sensor::wire::{At, Kind};

/// Checks what it hears, and keeps what may not depend on the cut.
#[derive(Default)]
struct Heard {
    log: Vec<String>,
    /// Bytes of the stream that were fed so far, and those of them that were told as data.
    fed: u64,
    data: u64,
    /// Where the last block began.
    last: u64,
    lost: bool,
}

impl Heard {
    fn note(&mut self, text: String) {
        assert!(!self.lost, "told while the place is lost: {text}");
        self.log.push(text);
    }
}

impl Sink for Heard {
    fn block(&mut self, block: &Block<'_>) {
        let Block { begun, promised, bytes, last } = block;
        assert!(bytes.len() <= hpack::MAX_BLOCK);
        assert!(bytes.len() as u64 <= self.fed && begun.stream != 0 && *promised != Some(0));
        assert!(self.last <= begun.first.position && begun.first.position < self.fed);
        assert!(begun.first.time <= *last);
        assert_eq!(begun.promise, promised.is_some());
        self.last = begun.first.position;
        let (at, end) = (begun.first.position, begun.end_stream);
        self.note(format!("block {} {at} {end} {promised:?} {bytes:?}", begun.stream));
    }

    fn block_lost(&mut self, begun: Option<Begun>, why: Failure) {
        self.note(format!("block lost {:?} {why:?}", begun.map(|begun| begun.stream)));
    }

    fn data(&mut self, stream: u32, payload: Piece<'_>) {
        let n = payload.length();
        assert!(n > 0 && stream != 0);
        self.data += n;
        assert!(self.data <= self.fed, "more data than the stream has bytes");
    }

    fn data_unsized(&mut self, stream: u32) {
        self.note(format!("unsized {stream}"));
    }

    fn end_stream(&mut self, stream: u32, _time: Option<Monotonic>) {
        let data = self.data;
        self.note(format!("end {stream} {data}"));
    }

    fn reset(&mut self, stream: u32, code: Option<ErrorCode>, _time: Monotonic) {
        self.note(format!("reset {stream} {code:?}"));
    }

    fn settings(&mut self, settings: Option<Settings>) {
        self.note(format!("settings {settings:?}"));
    }

    fn settings_acked(&mut self) {
        self.note("acked".to_owned());
    }

    fn goaway(&mut self, last: Option<(u32, ErrorCode)>, _time: Monotonic) {
        self.note(format!("goaway {last:?}"));
    }

    fn failed(&mut self, failure: Failure) {
        self.note(format!("failed {failure:?}"));
        self.lost = true;
    }

    fn resumed(&mut self, _kind: Option<Kind>, _missed: bool) {
        assert!(self.lost, "resumed without a loss");
        self.lost = false;
    }
}

/// Feeds the pieces, and tells what was heard.
fn decode<'a>(
    mut decoder: Decoder,
    start: Start,
    pieces: impl Iterator<Item = Piece<'a>>,
) -> Vec<String> {
    let mut heard = Heard { lost: decoder.is_seeking(), ..Heard::default() };
    let mut position = 0;
    for (piece, time) in pieces.zip(1..) {
        let at = At { time: Monotonic(time), position, tcp_seq: Some(position as u32) };
        position += piece.length();
        heard.fed = position;
        decoder.feed(piece, start, at, &mut heard);
    }
    heard.log
}

fuzz_target!(|input: &[u8]| {
    let [first, cut, data @ ..] = input else { return };
    let decoder: fn() -> Decoder = match first & 3 {
        0 => Decoder::client,
        1 | 2 => Decoder::server,
        _ => Decoder::seeking,
    };
    let size = usize::from(*cut).max(1);
    let whole = decode(decoder(), Start::Middle, std::iter::once(Piece::Bytes(data)));
    // What follows a failure in the same piece is not looked at.
    let cuts = [size, 1];
    for size in cuts {
        let chunks = data.chunks(size).map(Piece::Bytes);
        assert_eq!(decode(decoder(), Start::Middle, chunks), whole, "in pieces of {size}");
    }
    // Some of the pieces are missing, and some are skipped.
    let gaps = data.chunks(size).enumerate().map(|(i, chunk)| match first >> 2 & 7 {
        0 => Piece::Bytes(chunk),
        n if i % usize::from(n) == 1 => Piece::Lost(chunk.len() as u64),
        n if i % usize::from(n) == 2 => Piece::Skip(chunk.len() as u64),
        _ => Piece::Bytes(chunk),
    });
    let start = if first >> 5 & 1 == 0 { Start::Segment } else { Start::Frame };
    decode(decoder(), start, gaps);
});
