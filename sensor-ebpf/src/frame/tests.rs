//! Framing against messages written by hand from RFC 9112, under every cut into calls.

extern crate std;

use proptest::prelude::*;
use std::vec::Vec;
use std::{format, vec};

use super::*;

mod http2;
mod web;

/// What became of a stream: for each byte, whether it was copied.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    copied: Vec<bool>,
    mode: u8,
    reason: u8,
}

/// Walks `stream`, in calls that end at `cuts`, as the kernel side does.
fn walk(stream: &[u8], cuts: &[usize], pairing: &mut Pairing) -> Outcome {
    walk_with(stream, cuts, &mut Framer::default(), pairing)
}

/// The same, from where `framer` stands.
fn walk_with(stream: &[u8], cuts: &[usize], framer: &mut Framer, pairing: &mut Pairing) -> Outcome {
    let mut copied = vec![false; stream.len()];
    let ends = cuts.iter().copied().chain([stream.len()]);
    let mut at = 0;
    for end in ends {
        framer.begin_call(0, 0);
        while at < end {
            if Mode::passes(framer.mode) {
                let left = (end - at) as u64;
                at += framer.pass(left) as usize;
                if framer.mode >= Mode::UntilClose as u8 {
                    at = end;
                }
                continue;
            }
            let len = (end - at).min(crate::limits::WINDOW);
            let window = SliceWindow(&stream[at..at + len]);
            let n = scan(framer, pairing, &window, 0, len as u32) as usize;
            if framer.mode == Mode::Other as u8 {
                break;
            }
            copied[at..at + n].fill(true);
            at += n;
            assert!(n > 0 || Mode::passes(framer.mode), "a step makes progress");
        }
    }
    Outcome { copied, mode: framer.mode, reason: framer.reason }
}

/// A stream whose copied parts are marked: what is in `«»` is body.
fn marked(text: &str) -> (Vec<u8>, Vec<bool>) {
    let (mut bytes, mut copied) = (Vec::new(), Vec::new());
    let mut head = true;
    for c in text.chars() {
        match c {
            '«' => head = false,
            '»' => head = true,
            _ => {
                bytes.push(u8::try_from(c).unwrap());
                copied.push(head);
            }
        }
    }
    (bytes, copied)
}

/// Checks a stream whole, byte by byte, and cut in two everywhere.
fn check_with(text: &str, mode: Mode, pairing: Pairing) {
    let (stream, copied) = marked(text);
    let expected = Outcome { copied, mode: mode as u8, reason: 0 };
    let every: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(walk(&stream, &[], &mut pairing.clone()), expected, "whole");
    assert_eq!(walk(&stream, &every, &mut pairing.clone()), expected, "byte by byte");
    for cut in 1..stream.len() {
        assert_eq!(walk(&stream, &[cut], &mut pairing.clone()), expected, "cut at {cut}");
    }
}

fn check(text: &str, mode: Mode) {
    check_with(text, mode, Pairing::default());
}

#[test]
fn requests_without_a_body_follow_each_other() {
    check(
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b?c HTTP/1.0\r\n\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\n",
        Mode::Start,
    );
    check("GET http://a.example/ HTTP/1.1\nHost: a\n\nBREW /pot HTTP/1.1\r\n\r\n", Mode::Start);
    check("CONNECT a.example:80 HTTP/1.1\r\n\r\n", Mode::Start);
}

#[test]
fn a_body_of_known_length_is_passed_over() {
    check(
        "POST /a HTTP/1.1\r\nContent-Type: t\r\ncontent-LENGTH:  5 \r\nTE: x\r\n\r\n«GET /»PUT /b \
         HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        Mode::Start,
    );
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n«abc»HTTP/1.1 404 \r\nContent-Length:2\r\n\r\n«xy»",
        Mode::Start,
    );
    check("HTTP/1.1 200\r\nContent-Length: 30\r\n\r\n«abc»", Mode::Body);
}

#[test]
fn chunks_are_passed_over_and_their_lines_are_not() {
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked \r\nContent-Length: 7\r\n\r\n4;x=\"y\"\r\n«wiki\r\n»0A\r\n«0123456789\r\n»0\r\nTrailer: \
         content-length: 9\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        Mode::Start,
    );
}

#[test]
fn a_response_without_length_lasts_until_the_end() {
    check("HTTP/1.0 200 OK\r\nServer: s\r\n\r\n«HTTP/1.1 200 OK\r\n\r\n»", Mode::UntilClose);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n«abc»", Mode::UntilClose);
}

#[test]
fn responses_whose_length_is_not_that_of_a_body() {
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\nHTTP/1.1 304 Not \
         Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        Mode::Start,
    );
    // The second request was a HEAD.
    let pairing = Pairing { requests: 2, head: 0b10, ..Pairing::default() };
    check_with(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n«a»HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        Mode::Start,
        pairing,
    );
}

#[test]
fn another_protocol_takes_over() {
    check(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n«HTTP/1.1 200 OK\r\n\r\n»",
        Mode::Opaque,
    );
    let pairing = Pairing { requests: 1, connect: 1, ..Pairing::default() };
    check_with("HTTP/1.1 200 Established\r\n\r\n«abc»", Mode::Opaque, pairing);
}

#[test]
fn a_head_request_is_noted() {
    let mut pairing = Pairing::default();
    walk(
        b"GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
        &[],
        &mut pairing,
    );
    assert_eq!(pairing, Pairing { requests: 3, responses: 0, head: 0b010, connect: 0b100 });
}

#[test]
fn other_protocols_are_told_at_their_first_bytes() {
    let other = |stream: &[u8]| {
        let outcome = walk(stream, &[], &mut Pairing::default());
        assert_eq!(outcome.mode, Mode::Other as u8, "{stream:?}");
        outcome.reason
    };
    assert_eq!(other(b"\x16\x03\x01\x02\x00\x01"), Reason::Tls as u8);
    for stream in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"get key\r\n",
        b"get /key\r\n",
        b"EHLO mail.example\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET /\r\n",
        b"HTTP/2 200\r\n",
        b"HTTP/1.1 20x\r\n",
        b"PRI * HTTP/1.1\r\n",
        b"\x00\x00\x12\x85",
        b" GET / HTTP/1.1\r\n",
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n",
    ] {
        assert_eq!(other(stream), Reason::NotHttp as u8, "{stream:?}");
    }
}

#[test]
fn broken_framing_is_lost_and_says_so() {
    for stream in [
        &b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1234567890123456789\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1111111111111111\r\n",
        b"GET / HTTP/1.1\r\n\r\n\x00",
    ] {
        let outcome = walk(stream, &[], &mut Pairing::default());
        assert_eq!(outcome.mode, Mode::Lost as u8, "{stream:?}");
        assert_ne!(outcome.reason, 0);
    }
}

#[test]
fn a_head_beyond_the_limit_is_lost_with_its_reason() {
    let head = |len: usize| {
        let mut stream = b"GET / HTTP/1.1\r\nX: ".to_vec();
        stream.resize(len - 4, b'x');
        stream.extend(b"\r\n\r\n");
        walk(&stream, &[], &mut Pairing::default())
    };
    let limit = crate::limits::HEAD_MAX as usize;
    assert_eq!(head(limit).mode, Mode::Start as u8);
    assert!(head(limit).copied.iter().all(|&copied| copied));
    let over = head(limit + 4096);
    assert_eq!((over.mode, over.reason), (Mode::Lost as u8, Reason::HeadTooLarge as u8));
}

#[test]
fn the_eight_bytes_from_any_place() {
    let window = SliceWindow(b"0123456789abcdefghijklmn");
    for at in 0..12 {
        let expected = &window.0[at as usize..at as usize + 8];
        assert_eq!(window.eight(at).to_le_bytes(), expected, "{at}");
    }
}

fn message() -> impl Strategy<Value = (Vec<u8>, Vec<bool>)> {
    let field = "(Server|connection|cookie|t|C|Content-Lengt|Transfer-Encodingx|X-Content-Length): [ -~]{0,60}";
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    (proptest::collection::vec(field, 0..6), body, 0..3_u8, any::<bool>()).prop_map(
        |(fields, body, framing, crlf)| {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut stream = format!("POST /p HTTP/1.1{end}").into_bytes();
            for field in fields {
                stream.extend(field.bytes());
                stream.extend(end.bytes());
            }
            let mut copied;
            match framing {
                0 => {
                    stream.extend(end.bytes());
                    copied = vec![true; stream.len()];
                }
                1 => {
                    stream.extend(format!("Content-Length: {}{end}{end}", body.len()).bytes());
                    copied = vec![true; stream.len()];
                    stream.extend(&body);
                    copied.resize(stream.len(), false);
                }
                _ => {
                    stream.extend(format!("Transfer-Encoding: chunked{end}{end}").bytes());
                    copied = vec![true; stream.len()];
                    for chunk in body.chunks(40) {
                        stream.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        copied.resize(stream.len(), true);
                        stream.extend(chunk);
                        stream.extend(b"\r\n");
                        copied.resize(stream.len(), false);
                    }
                    stream.extend(b"0\r\n\r\n");
                    copied.resize(stream.len(), true);
                }
            }
            (stream, copied)
        },
    )
}

proptest! {
    /// Heads are copied and bodies are not, for any messages and any cut into calls.
    #[test]
    fn any_cut_gives_the_same(
        messages in proptest::collection::vec(message(), 1..5),
        cuts in proptest::collection::btree_set(1..2000_usize, 0..40),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let copied: Vec<bool> = messages.iter().flat_map(|(_, copied)| copied.clone()).collect();
        let cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < stream.len()).collect();
        let outcome = walk(&stream, &cuts, &mut Pairing::default());
        prop_assert_eq!(outcome, Outcome { copied, mode: Mode::Start as u8, reason: 0 });
    }

    /// Whatever the bytes are, the walk ends, and a cut changes nothing.
    #[test]
    fn any_bytes_are_walked(
        start in "(GET / HTTP/1\\.1\r\n|HTTP/1\\.1 200 OK\r\n|)",
        rest in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), any::<u8>()], 0..400),
        cut in 1..400_usize,
    ) {
        let mut stream = start.into_bytes();
        stream.extend(rest);
        prop_assume!(cut < stream.len());
        let whole = walk(&stream, &[], &mut Pairing::default());
        let halves = walk(&stream, &[cut], &mut Pairing::default());
        prop_assert_eq!(whole.mode, halves.mode);
        // A direction that is not HTTP after all shows more or less of its beginning.
        if whole.mode != Mode::Other as u8 && whole.mode != Mode::Lost as u8 {
            prop_assert_eq!(whole.copied, halves.copied);
        }
    }
}
