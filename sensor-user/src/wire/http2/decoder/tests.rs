use proptest::prelude::*;

use super::*;
use crate::capture::event::Monotonic;
use crate::wire::http2::frame::{
    END_HEADERS, END_STREAM, ErrorCode, HEADER, PADDED, PRIORITY, Settings,
};

/// What was heard, as text. Parts of one DATA frame are one.
#[derive(Default)]
struct Heard(Vec<String>);

impl Heard {
    fn data(&mut self, stream: u32, what: &str, n: u64) {
        let prefix = format!("data {stream} {what} ");
        match self.0.last_mut().and_then(|last| last.strip_prefix(&prefix)?.parse::<u64>().ok()) {
            Some(before) => *self.0.last_mut().unwrap() = format!("{prefix}{}", before + n),
            None => self.0.push(format!("{prefix}{n}")),
        }
    }
}

impl Sink for Heard {
    fn block(&mut self, block: &Block<'_>) {
        let Block { begun, promised, bytes, last } = block;
        let end = if begun.end_stream { " end" } else { "" };
        let promised = promised.map_or_else(String::new, |id| format!(" promises {id}"));
        let (first, last, text) = (begun.first.position, last.0, String::from_utf8_lossy(bytes));
        self.0.push(format!("block {} {text:?} @{first} t{last}{end}{promised}", begun.stream));
    }

    fn block_lost(&mut self, begun: Option<Begun>, why: Failure) {
        self.0.push(format!("block lost {:?} {why:?}", begun.map(|begun| begun.stream)));
    }

    fn data(&mut self, stream: u32, payload: Piece<'_>) {
        match payload {
            Piece::Bytes(bytes) => self.data(stream, "bytes", bytes.len() as u64),
            Piece::Skip(n) => self.data(stream, "skip", n),
            Piece::Lost(n) => self.data(stream, "lost", n),
        }
    }

    fn data_unsized(&mut self, stream: u32) {
        self.0.push(format!("unsized {stream}"));
    }

    fn end_stream(&mut self, stream: u32, time: Option<Monotonic>) {
        self.0.push(format!("end {stream} {:?}", time.map(|time| time.0)));
    }

    fn reset(&mut self, stream: u32, code: Option<ErrorCode>, _time: Monotonic) {
        self.0.push(format!("reset {stream} {:?}", code.map(|code| code.0)));
    }

    fn settings(&mut self, settings: Option<Settings>) {
        self.0.push(format!("settings {:?}", settings.map(|it| it.header_table_size)));
    }

    fn settings_acked(&mut self) {
        self.0.push("acked".to_owned());
    }

    fn goaway(&mut self, last: Option<(u32, ErrorCode)>, _time: Monotonic) {
        self.0.push(format!("goaway {:?}", last.map(|(id, code)| (id, code.0))));
    }

    fn failed(&mut self, failure: Failure) {
        self.0.push(format!("failed {failure:?}"));
    }

    fn resumed(&mut self, kind: Option<Kind>, missed: bool) {
        let missed = if missed { ", missed" } else { "" };
        self.0.push(format!("resumed {kind:?}{missed}"));
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Decodes pieces; piece n went by at time n + 1.
fn decode(mut decoder: Decoder, pieces: &[(Piece<'_>, Start)]) -> Vec<String> {
    let mut heard = Heard::default();
    let mut position = 0;
    for (&(piece, start), time) in pieces.iter().zip(1..) {
        let at = At { time: Monotonic(time), position, tcp_seq: None };
        decoder.feed(piece, start, at, &mut heard);
        position += piece.length();
    }
    heard.0
}

fn server(pieces: &[Piece<'_>]) -> Vec<String> {
    let pieces: Vec<_> = pieces.iter().map(|piece| (*piece, Start::Segment)).collect();
    decode(Decoder::server(), &pieces)
}

fn bytes(bytes: &[u8]) -> Piece<'_> {
    Piece::Bytes(bytes)
}

#[test]
fn a_clients_first_flight() {
    let flight = [
        &PREFACE[..],
        b"\0\0\x0c\x04\0\0\0\0\0\0\x01\0\0\x20\0\0\x04\0\0\xff\xff",
        b"\0\0\x04\x08\0\0\0\0\0\0\x0f\0\x01",
        b"\0\0\x03\x01\x25\0\0\0\x01",
    ]
    .concat();
    // The priority does not fit in the HEADERS frame.
    let heard = decode(Decoder::client(), &[(bytes(&flight), Start::Segment)]);
    assert_eq!(heard, ["settings Some(Some(8192))", "failed Malformed"]);

    let flight = [&flight[..58], b"\0\0\x08\x01\x25\0\0\0\x01\0\0\0\0\x10abc"].concat();
    for size in 1..flight.len() {
        let pieces: Vec<_> =
            flight.chunks(size).map(|chunk| (bytes(chunk), Start::Segment)).collect();
        let heard = decode(Decoder::client(), &pieces);
        let last = flight.len().div_ceil(size);
        let block = format!("block 1 \"abc\" @58 t{last} end");
        assert_eq!(heard, ["settings Some(Some(8192))", &block]);
    }
    let heard = decode(Decoder::client(), &[(bytes(b"PRI * HTTP/2.1"), Start::Segment)]);
    assert_eq!(heard, ["failed Malformed"]);
}

#[test]
fn every_type() {
    let all = [
        frame(4, 0, 0, b"\0\x03\0\0\0\x64"),
        frame(4, 1, 0, b""),
        frame(1, PADDED, 1, b"\x02ab\0\0"),
        frame(9, 0, 1, b"cd"),
        frame(9, END_HEADERS, 1, b"e"),
        frame(0, 0, 1, b"12345"),
        frame(0, PADDED, 1, b"\x0312\0\0\0"),
        frame(6, 0, 0, b"12345678"),
        frame(0, END_STREAM, 1, b""),
        frame(2, 0, 1, b"12345"),
        frame(5, END_HEADERS, 1, b"\0\0\0\x02xy"),
        frame(0x1f, 0xff, 7, b"an extension's"),
        frame(1, END_HEADERS | END_STREAM | PRIORITY, 2, b"12345z"),
        frame(3, 0, 3, b"\0\0\0\x08"),
        frame(7, 0, 0, b"\x80\0\0\x05\0\0\0\x02why"),
        frame(0, END_STREAM | PADDED, 5, b"\0"),
    ]
    .concat();
    let expected = [
        "settings Some(None)",
        "acked",
        "block 1 \"abcde\" @24 t1",
        "data 1 bytes 7",
        "end 1 Some(1)",
        "block 1 \"xy\" @128 t1 promises 2",
        "block 2 \"z\" @166 t1 end",
        "reset 3 Some(8)",
        "goaway Some((5, 2))",
        "end 5 Some(1)",
    ];
    assert_eq!(server(&[bytes(&all)]), expected);
}

#[test]
fn a_header_block_stays_together() {
    let begin = frame(1, 0, 1, b"ab");
    for other in [
        frame(0, 0, 1, b"x"),
        frame(6, 0, 0, b"12345678"),
        frame(1, END_HEADERS, 1, b"x"),
        frame(9, END_HEADERS, 3, b"x"),
    ] {
        let heard = server(&[bytes(&begin), bytes(&other)]);
        assert_eq!(heard, ["block lost Some(1) Malformed", "failed Malformed"], "{other:?}");
    }
    assert_eq!(
        server(&[bytes(&frame(4, 1, 0, b"")), bytes(&frame(9, END_HEADERS, 1, b"x"))]),
        ["acked", "failed Malformed"]
    );
}

#[test]
fn padding_that_does_not_fit() {
    assert_eq!(server(&[bytes(&frame(0, PADDED, 1, b"\x02x"))]), ["failed Malformed"]);
    assert_eq!(server(&[bytes(&frame(0, PADDED, 1, b""))]), ["failed Malformed"]);
    assert_eq!(
        server(&[bytes(&frame(1, PADDED | END_HEADERS, 1, b"\x02x"))]),
        ["failed Malformed"]
    );
    assert_eq!(server(&[bytes(&frame(0, PADDED | END_STREAM, 1, b"\x02\0\0"))]), ["end 1 Some(1)"]);
}

#[test]
fn a_block_over_the_limit_costs_the_block_alone() {
    let part = vec![b'x'; 16_384];
    let mut all = frame(1, 0, 1, &part);
    for _ in 0..=hpack::MAX_BLOCK / part.len() {
        all.extend(frame(9, 0, 1, &part));
    }
    all.extend(frame(9, END_HEADERS, 1, b"x"));
    all.extend(frame(0, END_STREAM, 1, b"abc"));
    assert_eq!(
        server(&[bytes(&all)]),
        ["block lost Some(1) TooLarge", "data 1 bytes 3", "end 1 Some(1)"]
    );

    // In one frame, which a peer may allow (SETTINGS_MAX_FRAME_SIZE).
    let all = [frame(1, END_HEADERS, 1, &vec![0; 300_000]), frame(0, END_STREAM, 3, b"")].concat();
    assert_eq!(server(&[bytes(&all)]), ["block lost Some(1) TooLarge", "end 3 Some(1)"]);
}

#[test]
fn data_may_be_passed_over() {
    let whole = [frame(0, END_STREAM, 1, b"12345"), frame(3, 0, 1, b"\0\0\0\0")].concat();
    let heard = server(&[bytes(&whole[..HEADER]), Piece::Skip(5), bytes(&whole[HEADER + 5..])]);
    assert_eq!(heard, ["data 1 skip 5", "end 1 Some(2)", "reset 1 Some(0)"]);
    let heard = server(&[bytes(&whole[..HEADER + 2]), Piece::Skip(3), bytes(&whole[HEADER + 5..])]);
    assert_eq!(heard, ["data 1 bytes 2", "data 1 skip 3", "end 1 Some(2)", "reset 1 Some(0)"]);
    // How much of it is padding has to be seen.
    let padded = frame(0, END_STREAM | PADDED, 1, b"\x0212\0\0");
    let heard = server(&[bytes(&padded[..HEADER + 1]), Piece::Skip(4)]);
    assert_eq!(heard, ["data 1 skip 2", "end 1 Some(2)"]);
    let heard = server(&[bytes(&padded[..HEADER]), Piece::Skip(2), bytes(b"2\0\0")]);
    assert_eq!(heard, ["unsized 1", "end 1 Some(3)"]);
}

#[test]
fn what_is_lost_in_data_is_of_known_length() {
    let whole = [frame(0, END_STREAM, 1, b"12345"), frame(3, 0, 1, b"\0\0\0\0")].concat();
    // When the end went by is not known; where the next frame begins is.
    let heard = server(&[bytes(&whole[..HEADER + 1]), Piece::Lost(4), bytes(&whole[HEADER + 5..])]);
    assert_eq!(heard, ["data 1 bytes 1", "data 1 lost 4", "end 1 None", "reset 1 Some(0)"]);
    let heard = server(&[bytes(&whole[..HEADER]), Piece::Lost(6), bytes(&whole[HEADER + 6..])]);
    assert_eq!(heard, ["data 1 lost 5", "end 1 None", "failed Gap"]);
}

#[test]
fn what_is_lost_in_a_block_costs_the_block() {
    let whole = [frame(1, END_STREAM, 1, b"ab"), frame(9, END_HEADERS, 1, b"c")].concat();
    let rest = frame(0, END_STREAM, 3, b"");
    for (from, to) in [(HEADER, HEADER + 1), (HEADER + 1, HEADER + 2), (2 * HEADER + 2, 21)] {
        let lost = (to - from) as u64;
        for piece in [Piece::Lost(lost), Piece::Skip(lost)] {
            let heard = server(&[bytes(&whole[..from]), piece, bytes(&whole[to..]), bytes(&rest)]);
            assert_eq!(heard, ["block lost Some(1) Gap", "end 3 Some(4)"], "{from}..{to}");
        }
    }
    // With the place, where a frame's header is missing.
    let heard = server(&[bytes(&whole[..HEADER + 1]), Piece::Lost(2), bytes(&whole[HEADER + 3..])]);
    assert_eq!(heard, ["block lost Some(1) Gap", "failed Gap"]);
    let heard = server(&[bytes(&whole[..HEADER + 3]), Piece::Lost(1)]);
    assert_eq!(heard, ["block lost Some(1) Gap", "failed Gap"]);
    for (kind, payload, told) in [
        (3, &b"\0\0\0\x08"[..], "reset 1 None"),
        (4, b"\0\x03\0\0\0\x64", "settings None"),
        (7, b"\0\0\0\x05\0\0\0\x02", "goaway None"),
    ] {
        let stream = u32::from(kind == 3);
        let whole = frame(kind, 0, stream, payload);
        let lost = whole.len() - HEADER - 1;
        let heard = server(&[bytes(&whole[..=HEADER]), Piece::Lost(lost as u64), bytes(&rest)]);
        assert_eq!(heard, [told, "end 3 Some(3)"]);
    }
}

#[test]
fn whole_frames_may_be_passed_over_where_it_is_said_where_the_next_one_begins() {
    let (first, last) = (frame(4, 1, 0, b""), frame(0, END_STREAM, 1, b""));
    let pieces = |start| {
        [(bytes(&first), Start::Segment), (Piece::Skip(13), Start::Middle), (bytes(&last), start)]
    };
    assert_eq!(decode(Decoder::server(), &pieces(Start::Frame)), ["acked", "end 1 Some(3)"]);
    assert_eq!(decode(Decoder::server(), &pieces(Start::Segment)), ["acked", "failed Gap"]);
    // In the middle of a header it is a loss.
    let pieces = [(bytes(&first[..3]), Start::Segment), (Piece::Skip(6), Start::Middle)];
    assert_eq!(decode(Decoder::server(), &pieces), ["failed Gap"]);
}

/// A request's block, by static entries and one literal: `:method: GET`, `:scheme: http`,
/// `:path: /`, `:authority: www.example.com` (RFC 7541 appendix C.3.1).
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x0fwww.example.com";
/// `:status: 200`.
const RESPONSE: &[u8] = b"\x88";

#[test]
fn after_a_loss_a_marked_frame_is_certain() {
    let rest = frame(0, END_STREAM, 1, b"");
    let pieces = [
        (bytes(b"\0\0"), Start::Segment),
        (Piece::Lost(100), Start::Middle),
        (bytes(&rest), Start::Segment),
        (bytes(&rest), Start::Frame),
    ];
    let heard = decode(Decoder::server(), &pieces);
    assert_eq!(heard, ["failed Gap", "resumed None, missed", "end 1 Some(4)"]);
    // It may be in the middle of a header block.
    let block = [frame(9, 0, 1, b"x"), frame(9, END_HEADERS, 1, b"y"), rest].concat();
    let late = frame(9, END_HEADERS, 1, b"y");
    let pieces = [(bytes(&block), Start::Frame), (bytes(&late), Start::Segment)];
    assert_eq!(
        decode(Decoder::seeking(), &pieces),
        [
            "resumed None",
            "block lost None Gap",
            "block lost None Gap",
            "end 1 Some(1)",
            "failed Malformed"
        ]
    );
}

#[test]
fn frames_are_recognised_by_a_whole_head() {
    let ping = frame(6, 0, 0, b"12345678");
    let data = frame(0, 0, 1, &[0; 100]);
    let trailers = frame(1, END_HEADERS | END_STREAM, 1, b"\x40\x0bgrpc-status\x010");
    for (block, kind) in [(REQUEST, Kind::Request), (RESPONSE, Kind::Response)] {
        let head = frame(1, END_HEADERS, 3, block);
        let all = [&*ping, &data, &trailers, &head].concat();
        let end = all.len();
        let block = String::from_utf8_lossy(block);
        let at = end - head.len();
        // On every prefix: nothing before the head is whole.
        for length in 0..=end {
            let heard = decode(Decoder::seeking(), &[(bytes(&all[..length]), Start::Segment)]);
            if length < end {
                assert_eq!(heard, [""; 0], "{length}");
            } else {
                let told = format!("block 3 {block:?} @{at} t1");
                assert_eq!(heard, [&*format!("resumed Some({kind:?}), missed"), &told]);
            }
        }
        // However it is cut, as long as what comes first begins a frame.
        for size in 1..end {
            let pieces: Vec<_> =
                all.chunks(size).map(|chunk| (bytes(chunk), Start::Segment)).collect();
            let heard = decode(Decoder::seeking(), &pieces);
            let told = format!("block 3 {block:?} @{at} t{}", end.div_ceil(size));
            assert_eq!(heard, [&*format!("resumed Some({kind:?}), missed"), &told], "{size}");
        }
        // In the middle of something else, from a segment's first byte on only.
        let pieces = |start| [(bytes(b"rest of a body"), Start::Segment), (bytes(&head), start)];
        assert_eq!(decode(Decoder::seeking(), &pieces(Start::Segment)).len(), 2);
        assert_eq!(decode(Decoder::seeking(), &pieces(Start::Middle)), [""; 0]);
        // With data passed over, which nothing else may be.
        let (from, to) = (ping.len() + HEADER, ping.len() + data.len());
        let pieces = [bytes(&all[..from]), Piece::Skip(100), bytes(&all[to..])];
        let pieces = pieces.map(|piece| (piece, Start::Segment));
        assert_eq!(decode(Decoder::seeking(), &pieces).len(), 2);
        let pieces = [bytes(&all[..5]), Piece::Skip(4), bytes(&all[HEADER..])];
        let pieces = pieces.map(|piece| (piece, Start::Segment));
        assert_eq!(decode(Decoder::seeking(), &pieces), [""; 0]);
    }
}

#[test]
fn a_direction_that_is_known_recognises_its_own_kind() {
    let mut decoder = Decoder::seeking();
    decoder.expect(Kind::Response);
    let head = frame(1, END_HEADERS, 3, REQUEST);
    assert_eq!(decode(decoder, &[(bytes(&head), Start::Segment)]), [""; 0]);
}

#[test]
fn what_is_not_recognised() {
    let head = |flags, block: &[u8]| frame(1, flags, 3, block);
    for other in [
        // Half a request, a request's trailers, a status that is none, a block that is no HPACK.
        head(END_HEADERS, b"\x82"),
        head(END_HEADERS, b"\x40\x01a\x01b\x82\x86\x84"),
        head(END_HEADERS, b"\x48\x03abc"),
        head(END_HEADERS, b"\x48\x03600"),
        head(END_HEADERS, b"\x88\x80"),
        head(END_HEADERS, b"\x82\x86\x84\x41"),
        head(END_HEADERS, b"\x40\x01a\x01b"),
        // A request and a response at once, and a pseudo-header that there is not.
        head(END_HEADERS, b"\x82\x86\x88"),
        head(END_HEADERS, b"\x88\x40\x02:x\x01b"),
        // The rest of the block is to come.
        head(0, REQUEST),
        // A flag that is not defined, the reserved bit, an extension before it.
        head(END_HEADERS | 0x40, REQUEST),
        frame(1, END_HEADERS, 0x8000_0003, REQUEST),
        [frame(0x1f, 0, 0, b""), head(END_HEADERS, REQUEST)].concat(),
    ] {
        let heard = decode(Decoder::seeking(), &[(bytes(&other), Start::Segment)]);
        assert_eq!(heard, [""; 0], "{other:02x?}");
    }
    // First bytes of other protocols, each at the start of a segment, none of which is a frame.
    for other in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\x17\x03\x03\x00\x13\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\x4a\0\0\0\x0a8.0.36\0",
        b"\x01\0\0\x01\x01\x17\0\0\x02",
        b"\0\0\0\x43\0\x03\0\x0c\0\0\0\0\0\x07",
        b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x01",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x85\xffSMBr\0\0\0\0",
    ] {
        // What follows would be recognised if they were taken for frames.
        let pieces = [(bytes(other), Start::Segment), (bytes(REQUEST), Start::Middle)];
        assert_eq!(decode(Decoder::seeking(), &pieces), [""; 0], "{other:02x?}");
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..40);
    let stream = || (1..5u32).prop_map(|n| 2 * n - 1);
    let padded = |payload: Vec<u8>, padding: u8| {
        [&[padding][..], &payload, &vec![0; usize::from(padding)]].concat()
    };
    prop_oneof![
        3 => (stream(), payload(), any::<bool>())
            .prop_map(|(id, payload, end)| frame(0, u8::from(end), id, &payload)),
        2 => (stream(), payload(), 0..9u8).prop_map(move |(id, payload, padding)| {
            frame(0, PADDED | END_STREAM, id, &padded(payload, padding))
        }),
        3 => (stream(), payload(), any::<bool>()).prop_map(|(id, payload, end)| {
            frame(1, END_HEADERS | u8::from(end), id, &payload)
        }),
        2 => (stream(), payload(), 0..9u8, prop::collection::vec(payload(), 1..4)).prop_map(
            move |(id, payload, padding, rest)| {
                let mut all = frame(1, PADDED, id, &padded(payload, padding));
                let last = rest.len() - 1;
                for (i, part) in rest.iter().enumerate() {
                    all.extend(frame(9, if i == last { END_HEADERS } else { 0 }, id, part));
                }
                all
            }
        ),
        1 => Just(frame(4, 0, 0, b"\0\x01\0\0\x10\0")),
        1 => Just(frame(4, 1, 0, b"")),
        1 => Just(frame(6, 0, 0, b"12345678")),
        1 => (stream(), any::<u32>()).prop_map(|(id, code)| frame(3, 0, id, &code.to_be_bytes())),
        1 => payload().prop_map(|rest| frame(7, 0, 0, &[&[0; 8][..], &rest].concat())),
        1 => payload().prop_map(|rest| frame(0x20, 0, 0, &rest)),
        1 => stream().prop_map(|id| frame(8, 0, id, b"\0\0\0\x01")),
    ]
}

/// Without times.
fn timeless(heard: Vec<String>) -> Vec<String> {
    let each = heard.into_iter().map(|line| {
        let words =
            line.split(' ').filter(|word| !word.starts_with('t') && !word.starts_with("Some("));
        words.collect::<Vec<_>>().join(" ")
    });
    each.collect()
}

proptest! {
    #[test]
    fn cutting_changes_nothing(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(1..50usize, 1..20),
    ) {
        let all = frames.concat();
        let whole = server(&[bytes(&all)]);
        prop_assert!(whole.iter().all(|line| !line.contains("failed") && !line.contains("lost")));
        let mut pieces = Vec::new();
        let mut rest = &all[..];
        for &cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(bytes(piece));
            rest = after;
        }
        prop_assert_eq!(timeless(server(&pieces)), timeless(whole));
    }

    #[test]
    fn anything_at_all_is_survived(
        pieces in prop::collection::vec(
            (prop_oneof![
                any_frame(),
                prop::collection::vec(any::<u8>(), 0..40),
                Just(frame(1, END_HEADERS, 3, REQUEST)),
            ], 0..4u8, any::<u16>(), 0..3u8),
            0..40),
        seeking in any::<bool>(),
    ) {
        let pieces: Vec<_> = pieces.iter().map(|(data, what, n, start)| {
            let piece = match what {
                0 | 1 => Piece::Bytes(data),
                2 => Piece::Skip(u64::from(*n)),
                _ => Piece::Lost(u64::from(*n)),
            };
            (piece, [Start::Frame, Start::Segment, Start::Middle][usize::from(*start)])
        }).collect();
        decode(if seeking { Decoder::seeking() } else { Decoder::client() }, &pieces);
    }
}
