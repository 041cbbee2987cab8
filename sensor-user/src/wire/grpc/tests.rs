use super::*;
use crate::stream::Piece;

#[test]
fn content_types() {
    for (value, framing) in [
        ("application/grpc", Some(Framing::Grpc)),
        ("application/grpc+proto", Some(Framing::Grpc)),
        ("application/grpc;charset=utf-8", Some(Framing::Grpc)),
        ("Application/gRPC+json; x=y", Some(Framing::Grpc)),
        ("application/grpc-web", Some(Framing::Web)),
        ("application/grpc-web+proto", Some(Framing::Web)),
        ("application/grpc-web-text", Some(Framing::WebText)),
        ("application/grpc-web-text+proto", Some(Framing::WebText)),
        ("application/grpc-webx", None),
        ("application/json", None),
        ("text/application/grpc", None),
        ("", None),
    ] {
        assert_eq!(Framing::of(value.as_bytes()), framing, "{value}");
    }
}

/// The names and numbers of grpc's `statuscodes.md`.
#[test]
fn statuses() {
    assert_eq!(Status::parse(b"0").unwrap().name(), Some("OK"));
    assert_eq!(Status::parse(b"4"), Some(Status::DEADLINE_EXCEEDED));
    assert_eq!(Status::parse(b"14").unwrap().name(), Some("UNAVAILABLE"));
    assert_eq!(Status::parse(b"16").unwrap().name(), Some("UNAUTHENTICATED"));
    assert_eq!(Status::parse(b"17").unwrap().name(), None);
    for bad in [&b""[..], b"00", b"-1", b"1 ", b"OK", b"99999999999"] {
        assert_eq!(Status::parse(bad), None);
    }
    // The conventions' list for server spans.
    let errors: Vec<_> = (0..=16).filter(|&code| Status(code).is_server_error()).collect();
    assert_eq!(errors, [2, 4, 12, 13, 14, 15]);
}

#[test]
fn paths() {
    assert_eq!(method(b"/helloworld.Greeter/SayHello"), Some(("helloworld.Greeter", "SayHello")));
    assert_eq!(method(b"/a/b.C/M"), Some(("a/b.C", "M")));
    for bad in [&b"/"[..], b"/a", b"//a", b"/a/", b"a/b", b"/a/b?c=d", b"/a/\xff"] {
        assert_eq!(method(bad), None);
    }
    assert_eq!(class("grpc.health.v1.Health"), Some("health_check"));
    assert_eq!(class("grpc.reflection.v1alpha.ServerReflection"), Some("reflection"));
    assert_eq!(class("shop.Health"), None);
}

/// PROTOCOL-HTTP2: `TimeoutValue TimeoutUnit`, at most eight digits.
#[test]
fn timeouts() {
    for (value, ns) in [
        ("1S", Some(1_000_000_000)),
        ("99999999n", Some(99_999_999)),
        ("100m", Some(100_000_000)),
        ("2M", Some(120_000_000_000)),
        ("1H", Some(3_600_000_000_000)),
        ("250u", Some(250_000)),
        ("99999999H", Some(u64::MAX)),
        ("123456789S", None),
        ("S", None),
        ("1", None),
        ("", None),
        ("-1S", None),
        ("1s", None),
    ] {
        assert_eq!(timeout(value.as_bytes()), ns, "{value}");
    }
}

#[test]
fn messages_of_a_status() {
    assert_eq!(message(b"not found"), "not found");
    assert_eq!(message(b"50%25 of %E2%98%83"), "50% of \u{2603}");
    // What is no escape, and what is no UTF-8 once decoded, stays.
    assert_eq!(message(b"100% %zz %4"), "100% %zz %4");
    assert_eq!(message(b"%ff"), "%ff");
}

#[test]
fn trailers_of_grpc_web() {
    let block = b"grpc-status: 5\r\ngrpc-message: no%20such\r\nx: y\r\n";
    assert_eq!(web_trailers(block), (Some(Status(5)), Some("no such".to_owned())));
    assert_eq!(web_trailers(b"grpc-status:0\r\n"), (Some(Status(0)), None));
    assert_eq!(web_trailers(b"garbage"), (None, None));
}

/// Three messages (one of them empty, one compressed), and gRPC-Web's trailers.
const BODY: &[u8] = b"\0\0\0\0\x03abc\x01\0\0\0\x02de\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n";

#[test]
fn messages_are_counted_however_they_are_cut() {
    for size in 1..=BODY.len() {
        let mut messages = Messages::new(Framing::Web);
        BODY.chunks(size).for_each(|chunk| messages.feed(Piece::Bytes(chunk)));
        assert_eq!(messages.count(), Some((3, 1)), "{size}");
        assert_eq!(messages.trailers(), Some(&b"grpc-status: 0\r\n"[..]), "{size}");
    }
}

#[test]
fn messages_may_be_passed_over_but_not_their_prefixes() {
    let mut messages = Messages::new(Framing::Web);
    messages.feed(Piece::Bytes(&BODY[..5]));
    messages.feed(Piece::Skip(3));
    messages.feed(Piece::Bytes(&BODY[8..13]));
    messages.feed(Piece::Lost(2));
    messages.feed(Piece::Bytes(&BODY[15..25]));
    messages.feed(Piece::Skip(16));
    assert_eq!((messages.count(), messages.trailers()), (Some((3, 1)), None));
    messages.feed(Piece::Skip(1));
    assert_eq!(messages.count(), None);

    // A message that goes on, then one whose prefix is passed over.
    let mut messages = Messages::new(Framing::Grpc);
    messages.feed(Piece::Bytes(&BODY[..6]));
    messages.feed(Piece::Skip(4));
    messages.feed(Piece::Bytes(&BODY[10..]));
    assert_eq!(messages.count(), None);
}

#[test]
fn an_unfinished_message_does_not_count() {
    let mut messages = Messages::new(Framing::Grpc);
    messages.feed(Piece::Bytes(&BODY[..14]));
    assert_eq!(messages.count(), Some((1, 0)));
    assert_eq!(Messages::unknown().count(), None);
}

/// What is no message at all.
#[test]
fn other_bytes_are_no_messages() {
    let mut messages = Messages::new(Framing::Grpc);
    messages.feed(Piece::Bytes(b"{\"json\": true}"));
    assert_eq!(messages.count(), None);
}

/// `BODY` as base64, in one piece and message by message (`base64` of coreutils).
#[test]
fn text_is_decoded() {
    for (text, count) in [
        (&b"AAAAAANhYmMBAAAAAmRlAAAAAACAAAAAEGdycGMtc3RhdHVzOiAwDQo="[..], (3, 1)),
        (b"AAAAAANhYmM=AQAAAAJkZQ==AAAAAAA=gAAAABBncnBjLXN0YXR1czogMA0K", (3, 1)),
    ] {
        for size in [1, 2, 3, 5, 100] {
            let mut messages = Messages::new(Framing::WebText);
            text.chunks(size).for_each(|chunk| messages.feed(Piece::Bytes(chunk)));
            assert_eq!(messages.count(), Some(count), "{size}");
            assert_eq!(messages.trailers(), Some(&b"grpc-status: 0\r\n"[..]), "{size}");
        }
    }
    let mut messages = Messages::new(Framing::WebText);
    messages.feed(Piece::Bytes(b"AAAA"));
    messages.feed(Piece::Skip(1));
    assert_eq!(messages.count(), None);
    let mut messages = Messages::new(Framing::WebText);
    messages.feed(Piece::Bytes(b"AA*A"));
    assert_eq!(messages.count(), None);
}
