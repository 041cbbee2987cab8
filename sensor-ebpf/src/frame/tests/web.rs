//! Framing of gRPC-Web over HTTP/1.1 against bodies written by hand from PROTOCOL-WEB, under every cut
//! into calls.

use super::*;
use crate::limits::{PAYLOAD_COPIED, WEB_MESSAGES_MAX, WEB_TEXT_COPIED, WEB_TRAILERS_MAX, WINDOW};

/// A stream, and for each byte whether it has to be copied.
#[derive(Clone, Debug, Default)]
struct Marked {
    bytes: Vec<u8>,
    copied: Vec<bool>,
}

impl Marked {
    /// A response with such a Content-Type, and this framing.
    fn response(of: &str, framing: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {of}\r\n{framing}\r\n\r\n");
        Self::default().copied(head.as_bytes())
    }

    fn copied(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self.copied.resize(self.bytes.len(), true);
        self
    }

    fn skipped(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self.copied.resize(self.bytes.len(), false);
        self
    }

    /// What is passed over looks like a message of trailers.
    fn payload(self, n: usize) -> Self {
        let like: Vec<u8> = [0x80, 0, 0, 0, 9].into_iter().cycle().take(n).collect();
        self.skipped(like)
    }

    /// These as one chunk.
    fn chunk(self, data: &Self) -> Self {
        let mut next = self.copied(format!("{:x}\r\n", data.bytes.len()));
        next.bytes.extend(&data.bytes);
        next.copied.extend(&data.copied);
        next.skipped("\r\n")
    }

    /// Walks it whole, byte by byte, and cut in two.
    fn check(&self, mode: Mode) -> Framer {
        let whole = self.walk(&[], mode);
        let every: Vec<usize> = (1..self.bytes.len()).collect();
        self.walk(&every, mode);
        for cut in (1..self.bytes.len()).step_by(1 + self.bytes.len() / 2000) {
            self.walk(&[cut], mode);
        }
        whole
    }

    fn walk(&self, cuts: &[usize], mode: Mode) -> Framer {
        let mut framer = Framer::default();
        let outcome = walk_with(&self.bytes, cuts, &mut framer, &mut Pairing::default());
        let wrong = outcome.copied.iter().zip(&self.copied).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "at this byte; cut at {cuts:?}");
        assert_eq!(outcome.mode, mode as u8, "cut at {cuts:?}");
        framer
    }
}

fn part() -> Marked {
    Marked::default()
}

/// A message's prefix.
fn prefix(flag: u8, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [vec![flag], length.to_vec()].concat()
}

const NEXT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked";
const STATUS: &str = "grpc-status:5\r\ngrpc-message:no\r\n";
const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

#[test]
fn prefixes_and_trailers_are_copied_in_a_body_of_known_length() {
    let body = 5 + 1000 + 5 + 5 + 300 + 5 + 3 + 5 + STATUS.len();
    Marked::response(WEB, &format!("Content-Length: {body}"))
        .copied(prefix(0, 1000))
        .payload(1000)
        .copied(prefix(0, 0))
        .copied(prefix(1, 300))
        .payload(300)
        .copied(prefix(0, 3))
        .copied("abc")
        .copied(prefix(0x80, STATUS.len()))
        .copied(STATUS)
        .copied(NEXT)
        .check(Mode::Start);
    let request = format!(
        "POST /a HTTP/1.1\r\nContent-Length: {}\r\nCONTENT-TYPE:Application/gRPC-Web\r\n\r\n",
        5 + 1000
    );
    part()
        .copied(request)
        .copied(prefix(0, 1000))
        .payload(1000)
        .copied("GET / HTTP/1.1\r\n\r\n")
        .check(Mode::Start);
}

#[test]
fn messages_and_chunks_end_where_they_like() {
    Marked::response(WEB, CHUNKED)
        // A whole message, and the beginning of a prefix.
        .chunk(&part().copied(prefix(0, 200)).payload(200).copied([0, 0]))
        .chunk(&part().copied([0]))
        .chunk(&part().copied([1, 0x90]).payload(250))
        // The rest of it is short, and so is the next one's beginning.
        .chunk(&part().payload(0).copied([9; 100]).copied([9; 28]))
        .chunk(&part().copied([9; 22]).copied(prefix(0, 500)).copied([9; 50]))
        .chunk(&part().payload(450))
        .chunk(&part().copied(prefix(0x80, STATUS.len())).copied(&STATUS[..10]))
        .chunk(&part().copied(&STATUS[10..]))
        .copied("0\r\ngrpc-status: 1\r\n\r\n")
        .copied(NEXT)
        .check(Mode::Start);
}

#[test]
fn a_body_without_a_length_is_walked_to_the_end() {
    let stream = Marked::response(WEB, "Server: s")
        .copied(prefix(0, 700))
        .payload(700)
        .copied(prefix(0x80, STATUS.len()))
        .copied(STATUS);
    stream.check(Mode::WebPrefix);
    stream.copied(prefix(0, 700)).payload(5).check(Mode::WebData);
}

#[test]
fn what_is_not_grpc_web_is_passed_over() {
    for of in ["application/grpc", "application/grpc+web", "application/gRPCweb", "text/html", "x"]
    {
        Marked::response(of, "Content-Length: 30").skipped([0; 30]).copied(NEXT).check(Mode::Start);
    }
    // The field is in the trailer section, or said of a message that has no body.
    Marked::response("a", CHUNKED)
        .copied("3\r\n")
        .skipped("abc\r\n")
        .copied("0\r\nContent-Type: application/grpc-web\r\n\r\n")
        .copied("HTTP/1.1 304 \r\nContent-Type: application/grpc-web\r\n\r\n")
        .copied("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        .skipped([0; 8])
        .check(Mode::Start);
}

#[test]
fn trailers_are_copied_up_to_a_limit() {
    let limit = WEB_TRAILERS_MAX as usize;
    Marked::response(WEB, CHUNKED)
        .chunk(&part().copied(prefix(0x80, limit + 600)).copied([b'g'; 100]))
        .chunk(&part().copied(vec![b'g'; limit - 100]).skipped([b'g'; 300]))
        .chunk(&part().skipped([b'g'; 300]).copied(prefix(0, 200)).payload(200))
        .copied("0\r\n\r\n")
        .check(Mode::Start);
}

#[test]
fn a_body_that_is_no_messages_is_framed_nevertheless() {
    Marked::response(WEB, "Content-Length: 300")
        .copied([2, 0, 0, 0, 1])
        .skipped([0; 295])
        .copied(NEXT)
        .check(Mode::Start);
    Marked::response(WEB, CHUNKED)
        .chunk(&part().copied("<html").skipped("></html>"))
        .chunk(&part().skipped([0; 20]))
        .copied("0\r\n\r\n")
        .copied(NEXT)
        .check(Mode::Start);
    // One of them goes beyond the body.
    Marked::response(WEB, "Content-Length: 205")
        .copied(prefix(0, 1000))
        .payload(200)
        .copied(NEXT)
        .check(Mode::Start);
    for size in ["100000000", "ffffffff"] {
        let stream = Marked::response(WEB, CHUNKED).copied(format!("{size}\r\n")).skipped([0; 50]);
        stream.check(Mode::Data);
    }
    let stream = Marked::response(WEB, "Content-Length: 4294967296").skipped([0; 50]);
    stream.check(Mode::Body);
}

#[test]
fn so_many_messages_are_followed() {
    let max = WEB_MESSAGES_MAX as usize;
    let mut body = part();
    for _ in 0..max {
        body = body.copied(prefix(0, 0));
    }
    let stream = Marked::response(WEB, CHUNKED)
        .chunk(&body)
        .chunk(&body.clone().copied(prefix(0, 0)).skipped([0; 20]))
        .chunk(&part().skipped([0; 20]))
        .copied("0\r\n\r\n");
    stream.walk(&[], Mode::Start);
    stream.walk(&[100, max * 5 + 3, max * 8], Mode::Start);
}

#[test]
fn base64_is_read_at_the_prefixes() {
    // 3,000 bytes that follow a prefix of five: one byte of them is in the prefix's last group, and two in
    // the group that the next prefix begins with, or that is padded.
    let long = "gAAA".repeat((3000 - 3) / 3);
    let trailers = "gAAAABBncnBjLXN0YXR1czogMA0K";
    // `printf '\0\0\0\x0b\xb8' | base64`, and a third byte.
    Marked::response(TEXT, &format!("Content-Length: {}", 8 + long.len() + 4 + trailers.len()))
        .copied("AAAAC7gA")
        .skipped(&long)
        .copied("AAA=")
        .copied(trailers)
        .copied(NEXT)
        .check(Mode::Start);
    // Without padding, the next prefix begins in that group; what is shorter is copied.
    let short = "AAAA".repeat(WEB_TEXT_COPIED as usize / 4);
    let length = 1 + WEB_TEXT_COPIED / 4 * 3;
    assert_eq!(length, 0x601);
    Marked::response("application/grpc-web-text+proto", CHUNKED)
        .chunk(&part().copied("AAAAC7gA").skipped(&long[..1001]))
        .chunk(&part().skipped(&long[1001..]).copied("A"))
        .chunk(&part().copied("ACAAAAAEGdycGMtc3Rhd"))
        .chunk(&part().copied("HVzOiAwDQo=AAAABgEA"))
        .chunk(&part().copied(&short).copied("gAAAABBn"))
        .copied("0\r\n\r\n")
        .copied(NEXT)
        .check(Mode::Start);
    // Trailers beyond the limit.
    let long = "eeee".repeat(WEB_TEXT_COPIED as usize);
    let (first, rest) = long.split_at(WEB_TEXT_COPIED as usize);
    // `printf '\x80\0\0\x18\x01' | base64`, and a third byte: 6,145 bytes.
    Marked::response(TEXT, "Server: s")
        .copied("gAAAGAFl")
        .copied(first)
        .copied(&rest[..4])
        .skipped(&rest[4..])
        .copied("AAAA")
        .check(Mode::WebPrefix);
    // No base64.
    for bad in ["AA*", "====", "A\r"] {
        let length = bad.len() + 30;
        Marked::response(TEXT, &format!("Content-Length: {length}"))
            .copied(bad)
            .skipped([b'A'; 30])
            .copied(NEXT)
            .check(Mode::Start);
    }
}

/// Bytes that were not seen cost the messages, and not the framing of HTTP.
#[test]
fn bytes_that_are_missing_end_the_messages_only() {
    for (framing, left, mode) in [
        ("Content-Length: 1000", 1000, Mode::Body),
        ("Transfer-Encoding: chunked\r\n\r\n3e8", 1002, Mode::Data),
        ("Server: s", 0, Mode::UntilClose),
    ] {
        for seen in [&[][..], &[0, 0], &[0, 0, 0, 0, 50], &[0, 0, 0, 1, 0, 7, 7]] {
            let start = Marked::response(WEB, framing);
            // The chunk's line takes the place of the head's end.
            let cut = if mode == Mode::Data { start.bytes.len() - 2 } else { start.bytes.len() };
            let stream = [&start.bytes[..cut], seen].concat();
            let mut framer = Framer::default();
            walk_with(&stream, &[], &mut framer, &mut Pairing::default());
            assert!(Mode::is_web(framer.mode) || framer.mode == Mode::WebData as u8);
            framer.leave_messages();
            let left = u64::try_from(left - seen.len().min(left)).unwrap();
            assert_eq!((framer.mode, framer.number), (mode as u8, left), "{framing} {seen:?}");
        }
    }
    let mut other = Framer { mode: Mode::Body as u8, number: 7, ..Framer::default() };
    other.leave_messages();
    assert_eq!((other.mode, other.number), (Mode::Body as u8, 7));
}

proptest! {
    /// Prefixes and trailers are copied, for any messages, chunks and calls; nothing that is long is.
    #[test]
    fn any_messages_in_any_chunks(
        lengths in proptest::collection::vec(prop_oneof![0..20_usize, 100..1500_usize], 0..8),
        sizes in proptest::collection::vec(1..700_usize, 1..30),
        cuts in proptest::collection::btree_set(1..9000_usize, 0..40),
    ) {
        // The body's bytes: true for those that matter.
        let mut data: Vec<(u8, bool)> = Vec::new();
        for &length in &lengths {
            data.extend(prefix(0, length).into_iter().map(|byte| (byte, true)));
            data.extend(std::iter::repeat_n((0x80, false), length));
        }
        data.extend(prefix(0x80, STATUS.len()).into_iter().map(|byte| (byte, true)));
        data.extend(STATUS.bytes().map(|byte| (byte, true)));
        let mut stream = Marked::response(WEB, CHUNKED);
        let mut sizes = sizes.into_iter().cycle();
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            let mut part = part();
            for &(byte, matters) in chunk {
                part = if matters { part.copied([byte]) } else { part.skipped([byte]) };
            }
            stream = stream.chunk(&part);
            rest = after;
        }
        stream = stream.copied("0\r\n\r\n").copied(NEXT);
        let cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < stream.bytes.len()).collect();
        let outcome = walk(&stream.bytes, &cuts, &mut Pairing::default());
        prop_assert_eq!(outcome.mode, Mode::Start as u8);
        let mut run = 0;
        for (copied, must) in outcome.copied.iter().zip(&stream.copied) {
            prop_assert!(*copied || !must);
            run = if *copied && !must { run + 1 } else { 0 };
            prop_assert!(run <= PAYLOAD_COPIED as usize);
        }
        prop_assert_eq!(outcome, walk(&stream.bytes, &[], &mut Pairing::default()));
    }

    /// Whatever the body is, its own framing holds, and a cut changes nothing.
    #[test]
    fn any_body_is_framed(
        text in any::<bool>(),
        body in proptest::collection::vec(prop_oneof![Just(0), Just(0x80), Just(b'A'), Just(b'='), any::<u8>()], 1..300),
        cut in 1..300_usize,
    ) {
        let of = if text { TEXT } else { WEB };
        let head = Marked::response(of, &format!("Content-Length: {}", body.len()));
        let from = head.bytes.len();
        let stream = head.skipped(&body).copied(NEXT);
        let whole = walk(&stream.bytes, &[], &mut Pairing::default());
        prop_assert_eq!(whole.mode, Mode::Start as u8);
        prop_assert!(whole.copied[from + body.len()..].iter().all(|&copied| copied));
        let cut = from + cut.min(body.len());
        prop_assert_eq!(&whole, &walk(&stream.bytes, &[cut], &mut Pairing::default()));
        let every: Vec<usize> = (1..stream.bytes.len()).collect();
        prop_assert_eq!(&whole, &walk(&stream.bytes, &every, &mut Pairing::default()));
        prop_assert!(stream.bytes.len() < WINDOW);
    }
}
