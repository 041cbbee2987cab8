//! Messages of RFC 9110 and RFC 9112, whole and byte by byte.

use super::*;

/// What a sink hears, as text: short to write down by hand.
struct Heard {
    asked: Asked,
    log: Vec<String>,
}

impl Sink for Heard {
    fn start(&mut self, _: Kind, first: At) {
        self.log.push(format!("start {}", first.position));
    }

    fn head(&mut self, head: &Head<'_>, _: At, _: At) -> Asked {
        self.log.push(match head.line {
            StartLine::Request { method, target, .. } => {
                let text = |bytes| std::str::from_utf8(bytes).unwrap();
                format!("{} {}", text(method), text(target))
            }
            StartLine::Response { status, .. } => format!("{status}"),
        });
        self.asked
    }

    fn end(&mut self, end: MessageEnd) {
        self.log.push(match end.body {
            Some(size) => format!("end {size}"),
            None => "end".to_owned(),
        });
        if end.time.is_none() {
            self.log.push("at an unknown time".to_owned());
        }
    }

    fn failed(&mut self, _: Option<Kind>, failure: Failure) {
        self.log.push(format!("{failure:?}"));
    }

    fn not_http(&mut self) {
        self.log.push("not http".to_owned());
    }

    fn upgraded(&mut self, _next: At) {
        self.log.push("upgraded".to_owned());
    }
}

const MAX: u32 = 1024;

/// Decodes pieces; a finish closes the stream.
fn pieces(asked: Asked, pieces: &[Piece<'_>]) -> (Vec<String>, Decoder, Heard) {
    let mut decoder = Decoder::new(true, MAX);
    let mut heard = Heard { asked, log: Vec::new() };
    let mut position = 0;
    for piece in pieces {
        let at = At { position, ..At::default() };
        decoder.feed(*piece, at, &mut heard);
        position += piece.length();
    }
    (std::mem::take(&mut heard.log), decoder, heard)
}

/// Decodes a stream whole, byte by byte and in two at every place: always the same.
fn stream(asked: Asked, data: &str) -> Vec<String> {
    let data = data.as_bytes();
    let (whole, ..) = pieces(asked, &[Piece::Bytes(data)]);
    let single: Vec<Piece<'_>> = data.chunks(1).map(Piece::Bytes).collect();
    assert_eq!(pieces(asked, &single).0, whole, "byte by byte");
    for at in 1..data.len() {
        let (a, b) = data.split_at(at);
        assert_eq!(pieces(asked, &[Piece::Bytes(a), Piece::Bytes(b)]).0, whole, "split at {at}");
    }
    whole
}

#[test]
fn requests_one_after_the_other() {
    let data = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n\
                POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\r\n\
                DELETE /c HTTP/1.0\n\n";
    let expected = [
        "start 0",
        "GET /a",
        "end",
        "start 28",
        "POST /b",
        "end 5",
        "start 74",
        "DELETE /c",
        "end",
    ];
    assert_eq!(stream(Asked::Other, data), expected);
}

#[test]
fn chunked_with_extensions_and_trailers() {
    let data = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                4;name=\"v\"\r\nWiki\r\n00A \r\npedia in\n\n\r\n0\r\nExpires: never\r\nX:\r\n\r\nGET /n HTTP/1.1\r\n\r\n";
    let next = data.find("GET").unwrap();
    let start = format!("start {next}");
    assert_eq!(
        stream(Asked::Other, data),
        ["start 0", "POST /", "end 14", &start, "GET /n", "end"]
    );
}

#[test]
fn chunk_lines_that_are_broken() {
    for body in ["\r\n", "x\r\n", "4\n", "4\rX", "4;a\n", "1\r\nab\r\n", "10000000000000000\r\n"] {
        let data = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(stream(Asked::Other, &data).last().unwrap(), "Malformed", "{body:?}");
    }
    // A chunk line without an end is bounded.
    let data =
        format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;{}", "x".repeat(2000));
    assert_eq!(
        pieces(Asked::Other, &[Piece::Bytes(data.as_bytes())]).0.last().unwrap(),
        "Malformed"
    );
}

#[test]
fn responses_without_a_body() {
    let next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (asked, head) in [
        (Asked::Head, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (Asked::Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Asked::Other, "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"),
        (Asked::Other, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    ] {
        let heard = stream(asked, &format!("{head}{next}"));
        assert_eq!(heard.iter().filter(|line| line.starts_with("end")).count(), 2, "{head}");
        assert_eq!(heard[3], format!("start {}", head.len()));
    }
}

#[test]
fn interim_responses_belong_to_what_follows() {
    let data = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let expected = ["start 0", "100", "start 25", "103", "start 65", "200", "end 2"];
    assert_eq!(stream(Asked::Other, data), expected);
}

#[test]
fn until_the_end_of_the_stream() {
    for head in ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"] {
        let data = format!("{head}HTTP/1.1 200 is body");
        let (log, mut decoder, mut heard) =
            pieces(Asked::Other, &[Piece::Bytes(data.as_bytes()), Piece::Skip(10), Piece::Lost(5)]);
        assert_eq!(log, ["start 0", "200"]);
        decoder.finish(Monotonic(9), &mut heard);
        assert_eq!(heard.log, ["end 35"]);
    }
    // Any other message is incomplete, and stays so.
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
    let (_, mut decoder, mut heard) = pieces(Asked::Other, &[Piece::Bytes(cut.as_bytes())]);
    decoder.finish(Monotonic(9), &mut heard);
    assert!(heard.log.is_empty());
}

#[test]
fn another_protocol_takes_over() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x01\x02HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(stream(Asked::Other, switch), ["start 0", "101", "end", "upgraded"]);
    let tunnel =
        "HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(stream(Asked::Connect, tunnel), ["start 0", "200", "end", "upgraded"]);
    let refused = "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(stream(Asked::Connect, refused), ["start 0", "407", "end 2"]);
}

#[test]
fn after_connect_nothing_is_read_until_the_answer() {
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    let tunnelled = "GET / HTTP/1.1\r\n\r\n";
    let both = format!("{connect}{tunnelled}");
    assert_eq!(stream(Asked::Other, &both), ["start 0", "CONNECT a:1", "end"]);

    let (_, mut decoder, mut heard) = pieces(Asked::Other, &[Piece::Bytes(connect.as_bytes())]);
    decoder.resume();
    decoder.feed(Piece::Bytes(tunnelled.as_bytes()), At::default(), &mut heard);
    assert_eq!(heard.log, ["start 0", "GET /", "end"]);
}

#[test]
fn what_is_missing_in_a_body_of_known_length_does_no_harm() {
    let head = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n";
    let next = b"GET /n HTTP/1.1\r\n\r\n";
    let log = |middle: &[Piece<'_>]| {
        let mut all = vec![Piece::Bytes(head)];
        all.extend_from_slice(middle);
        all.push(Piece::Bytes(next));
        pieces(Asked::Other, &all).0
    };
    let body = [b'x'; 100];
    let expected = ["start 0", "POST /", "end 100", "start 140", "GET /n", "end"];
    assert_eq!(log(&[Piece::Skip(100)]), expected);
    assert_eq!(log(&[Piece::Lost(60), Piece::Bytes(&body[60..])]), expected);
    assert_eq!(log(&[Piece::Skip(30), Piece::Bytes(&body[30..50]), Piece::Skip(50)]), expected);
    assert_eq!(log(&[Piece::Lost(100)])[2..4], ["end 100", "at an unknown time"]);
    // One byte beyond it: a message may be missing.
    assert_eq!(
        log(&[Piece::Lost(101)])[2..],
        ["end 100", "at an unknown time", "Gap", "start 141", "GET /n", "end"]
    );
}

#[test]
fn chunk_data_and_the_line_end_after_it_may_be_missing() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n";
    let log = |middle: &[Piece<'_>]| {
        let mut all = vec![Piece::Bytes(head)];
        all.extend_from_slice(middle);
        all.push(Piece::Bytes(b"0\r\n\r\n"));
        pieces(Asked::Other, &all).0
    };
    let expected = ["start 0", "200", "end 16"];
    for middle in [
        &[Piece::Skip(18)][..],
        &[Piece::Skip(16), Piece::Bytes(b"\r\n")],
        &[Piece::Skip(17), Piece::Bytes(b"\n")],
        &[Piece::Bytes(b"0123456789abcdef"), Piece::Skip(2)],
        &[Piece::Bytes(b"0123456789abcdef\r"), Piece::Lost(1)],
        &[Piece::Lost(3), Piece::Skip(15)],
    ] {
        assert_eq!(log(middle), expected, "{middle:?}");
    }
    assert_eq!(log(&[Piece::Skip(19)])[2..], ["Gap"]);
    assert_eq!(log(&[Piece::Skip(16), Piece::Bytes(b"\r\n"), Piece::Skip(1)])[2..], ["Gap"]);
}

#[test]
fn a_head_with_a_hole_is_given_up_and_never_joined() {
    let (a, b) = (b"GET /a HTTP/1.1\r\nHost: x\r\n", b"Cookie: y\r\n\r\n");
    let next = b"GET /b HTTP/1.1\r\n\r\n";
    let (log, ..) = pieces(
        Asked::Other,
        &[Piece::Bytes(a), Piece::Lost(5), Piece::Bytes(b), Piece::Bytes(next)],
    );
    assert_eq!(log, ["start 0", "Gap", "start 44", "GET /b", "end"]);
    let (log, ..) =
        pieces(Asked::Other, &[Piece::Bytes(&a[..8]), Piece::Skip(1), Piece::Bytes(next)]);
    assert_eq!(log, ["Gap", "start 9", "GET /b", "end"]);
}

#[test]
fn heads_up_to_the_limit() {
    let head = |n: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(n - 23));
    let max = MAX as usize;
    assert_eq!(stream(Asked::Other, &head(max)), ["start 0", "GET /", "end"]);
    assert_eq!(stream(Asked::Other, &head(max + 1)), ["start 0", "HeadTooLarge"]);
    // A request line that is over the limit by itself was a request, too.
    let long = format!("GET /{}", "x".repeat(2 * max));
    assert_eq!(
        pieces(Asked::Other, &[Piece::Bytes(long.as_bytes())]).0,
        ["start 0", "HeadTooLarge"]
    );
}

#[test]
fn not_http_is_told_once() {
    assert_eq!(
        stream(Asked::Other, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        ["not http"]
    );
    assert_eq!(stream(Asked::Other, "SSH-2.0-x\r\nGET / HTTP/1.1\r\n\r\n"), ["not http"]);
}

#[test]
fn in_the_middle_of_a_connection_only_a_message_at_the_start_of_a_segment_counts() {
    let mut decoder = Decoder::new(false, MAX);
    let mut heard = Heard { asked: Asked::Other, log: Vec::new() };
    for bytes in
        ["rest of a body", "x GET / HTTP/1.1\r\n\r\n", "GET /", "a HTTP/1.1\r\n", "\r\nGET "]
    {
        decoder.feed(Piece::Bytes(bytes.as_bytes()), At::default(), &mut heard);
    }
    assert_eq!(heard.log, ["start 0", "GET /a", "end", "start 2"]);
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 120, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(true, MAX);
    let mut heard = Heard { asked: Asked::Other, log: Vec::new() };
    for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".chunks(1) {
        decoder.feed(Piece::Bytes(byte), At::default(), &mut heard);
    }
    assert_eq!(decoder.head.capacity(), 0);
}
