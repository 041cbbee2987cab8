//! Framing of HTTP/2 against frames written by hand from RFC 9113, under every cut into calls.

use super::*;
use crate::limits::{FRAME_MAX, PAYLOAD_COPIED, PREFIXES_MAX, WEB_TRAILERS_MAX, WINDOW};

/// RFC 9113 section 3.4, in hexadecimal as it is there.
const PREFACE: [u8; 24] = [
    0x50, 0x52, 0x49, 0x20, 0x2a, 0x20, 0x48, 0x54, 0x54, 0x50, 0x2f, 0x32, 0x2e, 0x30, 0x0d, 0x0a,
    0x0d, 0x0a, 0x53, 0x4d, 0x0d, 0x0a, 0x0d, 0x0a,
];
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// A stream, and for each byte whether it has to be copied.
#[derive(Clone, Debug, Default)]
struct Marked {
    bytes: Vec<u8>,
    copied: Vec<bool>,
    /// Where frames begin.
    frames: Vec<usize>,
}

impl Marked {
    fn client() -> Self {
        Self::default().copied(&PREFACE)
    }

    fn copied(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self.copied.resize(self.bytes.len(), true);
        self
    }

    fn skipped(mut self, n: usize) -> Self {
        // What is passed over looks like a frame of headers, and like a message.
        self.bytes.extend([0, 0, 0, 1, 1, 4, 0, 0, 1, 0x82].iter().cycle().take(n));
        self.copied.resize(self.bytes.len(), false);
        self
    }

    fn head(mut self, kind: u8, flags: u8, stream: u32, length: usize) -> Self {
        self.frames.push(self.bytes.len());
        let length = u32::try_from(length).unwrap().to_be_bytes();
        self.copied(&[length[1], length[2], length[3], kind, flags]).copied(&stream.to_be_bytes())
    }

    fn whole(self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        self.head(kind, flags, stream, payload.len()).copied(payload)
    }

    /// Walks it whole, byte by byte, and cut in two.
    fn check(&self, mode: Mode) -> Framer {
        let whole = self.walk(&[]);
        let every: Vec<usize> = (1..self.bytes.len()).collect();
        assert_eq!((whole.mode, self.walk(&every).mode), (mode as u8, mode as u8));
        for cut in (1..self.bytes.len()).step_by(1 + self.bytes.len() / 2000) {
            assert_eq!(self.walk(&[cut]).mode, mode as u8, "cut at {cut}");
        }
        whole
    }

    fn walk(&self, cuts: &[usize]) -> Framer {
        let mut framer = Framer::default();
        let outcome = walk_with(&self.bytes, cuts, &mut framer, &mut Pairing::default());
        let wrong = outcome.copied.iter().zip(&self.copied).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "at this byte; cut at {cuts:?}");
        framer
    }
}

/// A message's prefix.
fn prefix(flag: u8, length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [vec![flag], length.to_vec()].concat()
}

#[test]
fn what_says_something_of_a_stream_is_copied_whole() {
    let block = [0x82; 3000];
    Marked::client()
        .whole(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
        .whole(SETTINGS, 1, 0, &[])
        .whole(HEADERS, END_STREAM, 1, &block)
        .whole(CONTINUATION, END_HEADERS, 1, &block)
        .whole(PUSH_PROMISE, END_HEADERS, 1, &block)
        .whole(RST_STREAM, 0, 1, &[0, 0, 0, 8])
        .whole(GOAWAY, 0, 0, &[0; 300])
        .check(Mode::FrameHead);
}

#[test]
fn what_does_not_is_passed_over_where_it_is_long() {
    Marked::client()
        .whole(PRIORITY, 0, 1, &[0; 5])
        .whole(PING, 0, 0, &[0; 8])
        .whole(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])
        .head(10, 0, 0, 200)
        .skipped(200)
        .whole(255, 255, 0, &[1; PAYLOAD_COPIED as usize])
        .head(255, 255, 0, PAYLOAD_COPIED as usize + 1)
        .skipped(PAYLOAD_COPIED as usize + 1)
        .check(Mode::FrameHead);
}

#[test]
fn data_is_passed_over_up_to_its_end() {
    let body = [b"<html>".to_vec(), vec![b' '; 20]].concat();
    Marked::client()
        .whole(DATA, 0, 1, &body)
        .whole(DATA, END_STREAM, 1, &[])
        // One byte tells that it is no message.
        .head(DATA, END_STREAM, 3, 70_000)
        .text(70_000)
        // The length of padding; then padding, which is not taken for messages.
        .head(DATA, PADDED, 5, 1 + 500 + 200)
        .copied(&[200])
        .text(500)
        .skipped(200)
        .head(DATA, PADDED, 5, 1 + 10)
        .copied(&[10])
        .copied(&[0; 10])
        // Padding that is longer than the frame: an error, but the frame ends where it says.
        .head(DATA, PADDED, 5, 1 + 200)
        .copied(&[255])
        .skipped(200)
        .whole(HEADERS, END_HEADERS, 7, &[0x82])
        .check(Mode::FrameHead);
}

impl Marked {
    /// Payload that is no message.
    fn text(mut self, n: usize) -> Self {
        self.bytes.extend(core::iter::repeat_n(b'<', n));
        self.copied.resize(self.bytes.len(), false);
        self
    }
}

#[test]
fn prefixes_of_messages_are_copied_wherever_they_fall() {
    Marked::client()
        // Two messages in a frame, the second of which goes on over two others.
        .head(DATA, 0, 1, 5 + 300 + 5 + 400)
        .copied(&prefix(0, 300))
        .skipped(300)
        .copied(&prefix(1, 400 + 1000 + 200))
        .skipped(400)
        .whole(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])
        // A whole message of another stream between.
        .head(DATA, END_STREAM, 3, 5 + 500)
        .copied(&prefix(0, 500))
        .skipped(500)
        .head(DATA, PADDED, 1, 1 + 1000 + 255)
        .copied(&[255])
        .skipped(1000 + 255)
        .head(DATA, 0, 1, 200 + 5 + 2)
        .skipped(200)
        .copied(&prefix(0, 7))
        .copied(&[0, 0])
        // What is left of it is short, and so is the rest; a prefix is cut by the frame's end.
        .whole(DATA, 0, 1, &[0, 0, 0, 0, 0, 0, 0, 0])
        .whole(DATA, PADDED, 1, &[3, 1, 0, 0, 0])
        .head(DATA, 0, 1, 1 + 200)
        .copied(&[200])
        .skipped(200)
        .whole(DATA, END_STREAM, 1, &[])
        .check(Mode::FrameHead);
}

#[test]
fn a_stream_that_ends_within_a_message_does_not_go_on() {
    for end in [(RST_STREAM, 0, vec![0, 0, 0, 8]), (HEADERS, 5, vec![0xbf]), (DATA, 1, vec![])] {
        let (kind, flags, payload) = end;
        Marked::client()
            .head(DATA, 0, 1, 5 + 200)
            .copied(&prefix(0, 1000))
            .skipped(200)
            .whole(kind, flags, 1, &payload)
            .head(DATA, 0, 1, 5 + 300)
            .copied(&prefix(0, 300))
            .skipped(300)
            .check(Mode::FrameHead);
    }
}

#[test]
fn trailers_of_grpc_web_are_copied_up_to_a_limit() {
    let limit = WEB_TRAILERS_MAX as usize;
    Marked::client()
        .head(DATA, END_STREAM, 1, 5 + 200 + 5 + limit + 300)
        .copied(&prefix(0, 200))
        .skipped(200)
        .copied(&prefix(0x80, limit + 300))
        .copied(&vec![b'g'; limit])
        .skipped(300)
        .check(Mode::FrameHead);
    // The prefix ends with its frame.
    Marked::client()
        .whole(DATA, 0, 1, &prefix(0x80, 300))
        .whole(DATA, END_STREAM, 1, &[b'g'; 300])
        .check(Mode::FrameHead);
}

#[test]
fn so_many_messages_of_a_frame_are_looked_for() {
    let max = PREFIXES_MAX as usize;
    let mut stream = Marked::client().head(DATA, 0, 1, (max + 1) * 205);
    for _ in 0..max {
        stream = stream.copied(&prefix(0, 200)).skipped(200);
    }
    stream.skipped(205).whole(RST_STREAM, 0, 1, &[0; 4]).check(Mode::FrameHead);
}

#[test]
fn a_frame_of_headers_is_copied_up_to_a_limit() {
    let limit = FRAME_MAX as usize;
    let stream = Marked::client()
        .head(HEADERS, END_HEADERS, 1, limit + 1000)
        .copied(&vec![0x82; limit])
        .skipped(1000)
        .whole(RST_STREAM, 0, 1, &[0; 4]);
    assert_eq!(stream.walk(&[]).mode, Mode::FrameHead as u8);
    assert_eq!(stream.walk(&[100, 70_000]).mode, Mode::FrameHead as u8);
}

/// What `stream` comes to, in calls that end at `cuts`.
fn mode(stream: &[u8], cuts: &[usize]) -> (u8, u8) {
    let mut framer = Framer::default();
    walk_with(stream, cuts, &mut framer, &mut Pairing::default());
    (framer.mode, framer.confirmed)
}

/// The same under every cut.
fn opens(stream: &[u8], expected: Mode, confirmed: u8) {
    let every: Vec<usize> = (1..stream.len()).collect();
    assert_eq!(mode(stream, &every), (expected as u8, confirmed), "{stream:02x?}");
    for cut in 1..stream.len() {
        assert_eq!(mode(stream, &[cut]), (expected as u8, confirmed), "{stream:02x?} at {cut}");
    }
}

#[test]
fn the_client_opens_with_its_preface() {
    for end in 5..24 {
        opens(&PREFACE[..end], Mode::Preface, 0);
        let mut wrong = PREFACE[..end].to_vec();
        wrong[end - 1] ^= 1;
        opens(&wrong, Mode::Other, 0);
    }
    opens(&PREFACE, Mode::FrameHead, confirmed::HTTP2);
    let upgraded = [b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", &PREFACE[..]].concat();
    opens(&upgraded, Mode::FrameHead, confirmed::HTTP2);
}

#[test]
fn a_server_may_open_with_settings_and_that_is_not_certain() {
    opens(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Mode::FrameHead, 0);
    opens(b"\0\0\0\x04\0\0\0\0\0", Mode::FrameHead, 0);
    for len in 1..9 {
        opens(&b"\0\0\0\x04\0\0\0\0\0"[..len], Mode::Try, 0);
    }
    for other in [
        // PostgreSQL, Kafka, an SMB session; an answer, on a stream, of an odd length, too long.
        &b"\0\0\0\x08\x04\xd2\x16\x2f"[..],
        b"\0\0\0\x43\0\x03\0\x0c",
        b"\0\0\0\x85\xffSMB",
        b"\0\0\0\x04\x01",
        b"\0\0\x06\x04\0\0\0\0\x01",
        b"\0\0\x05\x04",
        b"\0\x40\x0e\x04",
        // What follows is no frame that this side may send.
        b"\0\0\0\x04\0\0\0\0\0\0\0\0\x0a\0\0\0\0\0",
        b"\0\0\0\x04\0\0\0\0\0\0\x40\x01\0\0\0\0\0\x01",
    ] {
        opens(other, Mode::Other, 0);
    }
}

#[test]
fn after_an_upgrade_a_server_opens_with_settings() {
    let head = &b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"[..];
    opens(head, Mode::Try, confirmed::HTTP1);
    let settings = [head, b"\0\0\0\x04\0\0\0\0\0"].concat();
    opens(&settings, Mode::FrameHead, confirmed::HTTP1);
    // And goes on: nothing of the 101 is left, its code least of all.
    let answers = Marked::default()
        .copied(head)
        .whole(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
        .whole(HEADERS, END_HEADERS, 1, &[0x88])
        .whole(DATA, END_STREAM, 1, b"<html>")
        .whole(HEADERS, END_HEADERS, 3, &[0x88])
        .head(DATA, END_STREAM, 3, 500)
        .text(500)
        .whole(HEADERS, END_HEADERS | END_STREAM, 5, &[0x88]);
    assert_eq!(answers.check(Mode::FrameHead).status, 0);
    // A text frame of WebSocket.
    opens(&[head, b"\x81\x05Hello"].concat(), Mode::Opaque, confirmed::HTTP1);
}

#[test]
fn an_older_connection_is_known_by_a_frame_of_headers() {
    // GET of RFC 7541 appendix C.4.1; a response of C.6.1; with padding and priority.
    let request = b"\0\0\x11\x01\x05\0\0\0\x09\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    opens(request, Mode::FrameHead, confirmed::HTTP2);
    opens(b"\0\0\x01\x01\x04\0\0\0\x09\x88", Mode::FrameHead, confirmed::HTTP2);
    opens(
        b"\0\0\x09\x01\x2d\0\0\0\x09\x02\0\0\0\0\x10\x82\0\0\0",
        Mode::FrameHead,
        confirmed::HTTP2,
    );
    // `:authority` of the dynamic table, as Go sends it (0xbe is the newest entry, section 2.3.3), and
    // before a path by name; `:authority`, `:path` and a method of it.
    opens(b"\0\0\x05\x01\x05\0\0\0\x09\xbe\x82\x84\x86\xc0", Mode::FrameHead, confirmed::HTTP2);
    opens(b"\0\0\x05\x01\x04\0\0\0\x09\xfe\x44\x01\x2f\x82", Mode::FrameHead, confirmed::HTTP2);
    opens(b"\0\0\x04\x01\x04\0\0\0\x09\xc0\xbf\xbe\x86", Mode::FrameHead, confirmed::HTTP2);
    // A header alone does not do, nor does anything up to the block's first byte.
    for len in 1..9 {
        opens(&request[..len], Mode::Try, 0);
    }
    opens(&request[..9], Mode::Block, 0);
    for other in [
        // No END_HEADERS, an undefined flag, no stream, a reserved bit, too long, no block, padding
        // only, and blocks that begin otherwise.
        &b"\0\0\x01\x01\x01\0\0\0\x09\x82"[..],
        b"\0\0\x01\x01\x06\0\0\0\x09\x82",
        b"\0\0\x01\x01\x04\0\0\0\x00\x82",
        b"\0\0\x01\x01\x04\x80\0\0\x09\x82",
        b"\0\x40\x01\x01\x04\0\0\0\x09\x82",
        b"\0\0\x00\x01\x04\0\0\0\x09\x82",
        b"\0\0\x01\x01\x0c\0\0\0\x09\0\x82",
        b"\0\0\x01\x01\x04\0\0\0\x09\x81",
        b"\0\0\x01\x01\x04\0\0\0\x09\x8f",
        b"\0\0\x01\x01\x04\0\0\0\x09\x20",
        b"\0\0\x01\x01\x04\0\0\0\x09\x00",
        b"\0\0\x01\x01\x04\0\0\0\x09\xbe",
        // The dynamic table only; more of it than a request has; an index of two bytes; no table.
        b"\0\0\x03\x01\x04\0\0\0\x09\xbe\xbf\xc0",
        b"\0\0\x05\x01\x04\0\0\0\x09\xbe\xbf\xc0\xc1\x82",
        b"\0\0\x03\x01\x04\0\0\0\x09\xff\0\x82",
        b"\0\0\x02\x01\x04\0\0\0\x09\xbd\x82",
        // Another frame.
        b"\0\0\x05\0\x01\0\0\0\x09\0\0\0\0\0",
    ] {
        opens(other, Mode::Other, 0);
    }
}

/// What begins like a frame is no reason to give an older connection up: the next may decide.
#[test]
fn what_begins_like_a_frame_decides_nothing() {
    let reason = |stream: &[u8]| {
        let mut framer = Framer::default();
        let outcome = walk_with(stream, &[], &mut framer, &mut Pairing::default());
        assert_eq!(outcome.mode, Mode::Other as u8, "{stream:02x?}");
        outcome.reason
    };
    for frame in [
        // DATA, PRIORITY, RST_STREAM, SETTINGS with an answer, PUSH_PROMISE, PING, GOAWAY,
        // WINDOW_UPDATE, CONTINUATION; HEADERS that go on, and with another block.
        &b"\0\0\x05\0\0\0\0\0\x01\0\0\0\0\0"[..],
        b"\0\0\x05\x02\0\0\0\0\x01",
        b"\0\0\x04\x03\0\0\0\0\x01",
        b"\0\0\0\x04\x01\0\0\0\0",
        b"\0\0\x09\x05\x04\0\0\0\x01",
        b"\0\0\x08\x06\0\0\0\0\0",
        b"\0\0\x08\x07\0\0\0\0\0",
        b"\0\0\x04\x08\0\0\0\0\0",
        b"\0\x40\0\x09\x04\0\0\0\x01",
        b"\0\0\x05\x01\x01\0\0\0\x01",
        b"\0\0\x05\x01\x04\0\0\0\x01\x0f",
    ] {
        assert_eq!(reason(frame), Reason::Undecided as u8, "{frame:02x?}");
    }
    for other in [
        // A type that is not defined, lengths that the types do not have; PostgreSQL, Kafka.
        &b"\0\0\x05\x0a\0\0\0\0\x01"[..],
        b"\0\0\x04\x02\0\0\0\0\x01",
        b"\0\0\x05\x03\0\0\0\0\x01",
        b"\0\0\x05\x04\0\0\0\0\x01",
        b"\0\0\x07\x06\0\0\0\0\0",
        b"\0\0\x05\x08\0\0\0\0\0",
        b"\0\x41\0\0\0\0\0\0\x01",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\0\0\0\x43\0\x03\0\x0c",
    ] {
        assert_eq!(reason(other), Reason::NotHttp as u8, "{other:02x?}");
    }
}

#[test]
fn a_lost_place_is_found_by_headers_at_the_beginning_of_a_call_only() {
    let block = b"\0\0\x01\x01\x04\0\0\0\x09\x88";
    let lost = || {
        let mut framer = Framer::default();
        walk_with(&PREFACE, &[], &mut framer, &mut Pairing::default());
        framer.lose_place();
        assert_eq!(framer.mode, Mode::FrameLost as u8);
        framer
    };
    let mut pairing = Pairing::default();
    let mut framer = lost();
    let found = walk_with(block, &[], &mut framer, &mut pairing);
    assert!(framer.at_frame() && found.copied.iter().all(|&copied| copied));
    // However often it is not; not within a call; and SETTINGS do not do.
    framer = lost();
    for other in [&[b"x", &block[..]].concat()[..], b"\0\0\0\x04\0\0\0\0\0", &PREFACE, b"\xff"] {
        for _ in 0..100 {
            let outcome = walk_with(other, &[], &mut framer, &mut pairing);
            assert_eq!(outcome.mode, Mode::FrameLost as u8, "{other:02x?}");
        }
    }
    walk_with(block, &[9], &mut framer, &mut pairing);
    assert!(framer.at_frame());
}

#[test]
fn a_frame_in_which_the_place_was_lost_is_over() {
    // In padding, in a message, in the prefix of one, and in a frame that follows such a one.
    let half = Marked::client().head(DATA, 0, 1, 7).copied(&prefix(0, 1000)).copied(&[0; 2]);
    for lost in [
        Marked::client().head(DATA, PADDED, 1, 1 + 300).copied(&[200]),
        Marked::client().head(DATA, 0, 1, 5 + 1000).copied(&prefix(0, 1000)).skipped(10),
        Marked::client().head(DATA, 0, 1, 5 + 1000).copied(&prefix(0, 1000)[..3]),
        half.clone(),
        half.head(DATA, 0, 3, 100),
    ] {
        let mut framer = lost.walk(&[]);
        framer.lose_place();
        let found = Marked::default()
            .whole(HEADERS, END_HEADERS, 1, &[0x88])
            .whole(DATA, 0, 1, &prefix(0, 0))
            .whole(HEADERS, END_HEADERS | END_STREAM, 3, &[0x88]);
        let outcome = walk_with(&found.bytes, &[], &mut framer, &mut Pairing::default());
        assert!(framer.at_frame() && outcome.copied == found.copied, "{lost:02x?}");
    }
}

#[test]
fn the_other_direction_makes_it_certain() {
    // A server's SETTINGS before the client's preface, and what comes after it.
    let mut framer = Framer::default();
    let mut pairing = Pairing::default();
    walk_with(b"\0\0\0\x04\0\0\0\0\0", &[], &mut framer, &mut pairing);
    assert!(framer.is_tentative() && !framer.began_frame(false, true, 0x0400_0000));
    framer.begin_call(confirmed::HTTP2, 0);
    assert!(framer.at_frame() && framer.began_frame(true, false, 0));
    // The same bytes on a connection that speaks HTTP/1.
    let mut framer = Framer::default();
    walk_with(b"\0\0\0\x04\0\0\0\0\0", &[], &mut framer, &mut pairing);
    framer.begin_call(confirmed::HTTP1, 0);
    assert_eq!(framer.mode, Mode::Lost as u8);
    // A direction of HTTP/2 that was silent may open; one that was not has to be found.
    let mut framer = Framer::default();
    framer.begin_call(confirmed::HTTP2, 0);
    walk_with(b"\0\0\0\x04\0\0\0\0\0", &[], &mut framer, &mut pairing);
    assert!(framer.began_frame(false, true, 0x0400_0000));
    let mut framer = Framer { mode: Mode::Lost as u8, ..Framer::default() };
    framer.begin_call(confirmed::HTTP2, 0);
    walk_with(b"\0\0\0\x04\0\0\0\0\0", &[], &mut framer, &mut pairing);
    assert_eq!(framer.mode, Mode::FrameLost as u8);
}

#[test]
fn a_record_begins_with_a_frame_for_certain_or_is_not_marked() {
    let begins = |stream: &[u8], from: usize| {
        let mut framer = Framer::default();
        let mut pairing = Pairing::default();
        walk_with(&stream[..from], &[], &mut framer, &mut pairing);
        framer.begin_call(0, 0);
        let (at_frame, at_opening) = (framer.at_frame(), framer.at_opening());
        walk_with(&stream[from..], &[], &mut framer, &mut pairing);
        let window = SliceWindow(&stream[from..]);
        framer.began_frame(at_frame, at_opening, window.word(0) as u32)
    };
    let stream = Marked::client().whole(SETTINGS, 0, 0, &[0; 6]).whole(PING, 0, 0, &[0; 8]);
    let starts = [&[0][..], &stream.frames].concat();
    for from in 0..stream.bytes.len() {
        assert_eq!(begins(&stream.bytes, from), starts.contains(&from), "{from}");
    }
    // Half a preface may become anything; an empty line or a request before it is no part of it.
    assert!(!begins(&PREFACE[..23], 0));
    assert!(!begins(&[b"\r\n", &PREFACE[..]].concat(), 0));
    assert!(!begins(&[b"GET / HTTP/1.1\r\n\r\n", &PREFACE[..]].concat(), 0));
    assert!(!begins(&[b"PUT / HTTP/1.1\r\n\r\n", &PREFACE[..]].concat(), 0));
    assert!(begins(b"\0\0\x01\x01\x04\0\0\0\x09\x88", 0));
    assert!(!begins(b"\0\0\x01\x01\x04\0\0\0\x09\x88", 9));
}

/// A response whose `:status` is in the dynamic table (RFC 7541 section 6.1), and trailers: by the
/// stream that the other direction is at.
#[test]
fn streams_of_the_other_direction_find_a_lost_place() {
    let find = |bytes: &[u8], known: u8, other: u32| {
        let mut framer = Framer::default();
        framer.begin_call(known, other);
        let begins = (framer.at_frame(), framer.at_opening());
        let window = SliceWindow(bytes);
        scan(&mut framer, &mut Pairing::default(), &window, 0, bytes.len() as u32);
        framer.began_frame(begins.0, begins.1, window.word(0) as u32)
    };
    let response = b"\0\0\x03\x01\x04\0\0\x10\x01\xbe\xbf\xc0";
    let trailers = b"\0\0\x02\x01\x05\0\0\x10\x01\xc3\xc4";
    for frame in [&response[..], trailers] {
        for other in [0x1001 - 2048, 0x0fff, 0x1001, 0x1003, 0x1001 + 2048] {
            assert!(find(frame, confirmed::HTTP2, other), "{other}");
        }
        for other in [0, 1, 0x1001 - 2050, 0x1001 + 2050, 0x7fff_ffff] {
            assert!(!find(frame, confirmed::HTTP2, other), "{other}");
        }
        // The other direction is not certain itself.
        assert!(!find(frame, 0, 0x1001));
    }
    for other in [
        // The server's stream, the connection's, a part of a block, no block; DATA.
        &b"\0\0\x03\x01\x04\0\0\x10\x02\xbe\xbf\xc0"[..],
        b"\0\0\x03\x01\x04\0\0\0\0\xbe\xbf\xc0",
        b"\0\0\x03\x01\0\0\0\x10\x01\xbe\xbf\xc0",
        b"\0\0\0\x01\x04\0\0\x10\x01\xbe\xbf\xc0",
        b"\0\0\x03\0\x01\0\0\x10\x01\xbe\xbf\xc0",
    ] {
        assert!(!find(other, confirmed::HTTP2, 0x1001), "{other:02x?}");
    }
}

/// Frames of any kind.
fn frames() -> impl Strategy<Value = Vec<(u8, u8, u32, Vec<u8>)>> {
    let byte = || prop_oneof![Just(0_u8), Just(1), Just(0x80), any::<u8>()];
    let payload = proptest::collection::vec(byte(), 0..700);
    proptest::collection::vec((0..12_u8, any::<u8>(), 0..4_u32, payload), 0..12)
}

proptest! {
    /// Whatever the frames hold: their headers are copied, and all that says something of a stream,
    /// and a cut changes nothing.
    #[test]
    fn headers_are_copied_under_any_cut(
        frames in frames(),
        cuts in proptest::collection::btree_set(1..9000_usize, 0..40),
    ) {
        let mut stream = Marked::client();
        let mut must = vec![true; PREFACE.len()];
        for (kind, flags, id, payload) in &frames {
            stream = stream.whole(*kind, *flags, *id, payload);
            let whole = [1, 3, 4, 5, 7, 9].contains(kind);
            must.resize(stream.bytes.len() - payload.len(), true);
            must.resize(stream.bytes.len(), whole);
        }
        let cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < must.len()).collect();
        let mut framer = Framer::default();
        let whole = walk_with(&stream.bytes, &[], &mut framer, &mut Pairing::default());
        prop_assert!(framer.at_frame());
        prop_assert!(whole.copied.iter().zip(&must).all(|(copied, must)| *copied || !must));
        let cut = walk_with(&stream.bytes, &cuts, &mut Framer::default(), &mut Pairing::default());
        prop_assert_eq!(whole, cut);
    }

    /// The messages of a stream, in frames that end anywhere, with others between: each prefix is
    /// copied, and long messages are not.
    #[test]
    fn prefixes_are_copied_under_any_cut(
        messages in proptest::collection::vec(0..3000_usize, 1..12),
        lengths in proptest::collection::vec((1..4000_usize, proptest::option::of(0..255_u8)), 40),
        others in proptest::collection::vec(0..600_usize, 40),
        cuts in proptest::collection::btree_set(1..40_000_usize, 0..40),
    ) {
        // The stream's bytes: true for those of prefixes.
        let mut data = Vec::new();
        for length in &messages {
            data.extend(prefix(u8::from(length % 2 == 1), *length).into_iter().map(|b| (b, true)));
            data.resize(data.len() + length, (0, false));
        }
        let mut stream = Marked::client();
        let mut must = vec![true; PREFACE.len()];
        let mut parts = lengths.iter().cycle().zip(others.iter().cycle());
        let mut at = 0;
        while at < data.len() {
            let ((length, padding), other) = parts.next().unwrap();
            let part = &data[at..data.len().min(at + length)];
            at += part.len();
            let pad = padding.map_or(0, usize::from);
            let flags = if padding.is_some() { PADDED } else { 0 };
            stream = stream.head(DATA, flags, 1, part.len() + pad + usize::from(padding.is_some()));
            stream = stream.copied(padding.as_slice());
            must.resize(stream.bytes.len(), true);
            stream.bytes.extend(part.iter().map(|(byte, _)| byte));
            must.extend(part.iter().map(|(_, prefix)| prefix));
            stream.bytes.resize(stream.bytes.len() + pad, 0);
            must.resize(stream.bytes.len(), false);
            // A whole message of another stream.
            stream = stream.head(DATA, 0, 3, 5 + other).copied(&prefix(0, *other));
            must.resize(stream.bytes.len(), true);
            stream.bytes.resize(stream.bytes.len() + other, 1);
            must.resize(stream.bytes.len(), false);
        }
        let cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < must.len()).collect();
        let outcome = walk_with(&stream.bytes, &cuts, &mut Framer::default(), &mut Pairing::default());
        // Frames of up to so many messages are looked at whole.
        if messages.len() <= PREFIXES_MAX as usize {
            prop_assert!(outcome.copied.iter().zip(&must).all(|(copied, must)| *copied || !must));
        }
        // Of each part that is not said, at most so much is copied.
        for run in outcome.copied.chunk_by(|a, b| a == b) {
            prop_assert!(run.is_empty() || !run[0] || run.len() < 24 + 40 * WINDOW);
        }
    }

    /// Whatever follows the preface, or a frame of headers: the walk ends, and a cut changes
    /// nothing.
    #[test]
    fn any_bytes_are_walked_as_frames(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(0_u8), 1 => 0..10_u8, 1 => any::<u8>()], 0..600),
        cut in 1..600_usize,
    ) {
        let stream = [&PREFACE, &bytes[..]].concat();
        prop_assume!(cut < stream.len());
        let whole = walk_with(&stream, &[], &mut Framer::default(), &mut Pairing::default());
        let halves = walk_with(&stream, &[cut], &mut Framer::default(), &mut Pairing::default());
        prop_assert_eq!(whole, halves);
    }
}
