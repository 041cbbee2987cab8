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
        assert_eq!(messages.trailers(false), Some(&b"grpc-status: 0\r\n"[..]), "{size}");
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
    assert_eq!((messages.count(), messages.trailers(false)), (Some((3, 1)), None));
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
            assert_eq!(messages.trailers(false), Some(&b"grpc-status: 0\r\n"[..]), "{size}");
        }
    }
    let mut messages = Messages::new(Framing::WebText);
    messages.feed(Piece::Bytes(b"AAAA"));
    messages.feed(Piece::Skip(4));
    assert_eq!(messages.count(), None);
    let mut messages = Messages::new(Framing::WebText);
    messages.feed(Piece::Bytes(b"AA*A"));
    assert_eq!(messages.count(), None);
}

/// What is there of trailers that were cut counts as far as it is whole.
#[test]
fn trailers_may_be_cut() {
    let prefix = [&b"\x80\0\0\x01\0"[..], b"grpc-status: 5\r\ngrpc-mess"].concat();
    let mut messages = Messages::new(Framing::Web);
    messages.feed(Piece::Bytes(&prefix));
    messages.feed(Piece::Skip(200));
    messages.feed(Piece::Bytes(&[b'a'; 30]));
    assert_eq!(messages.trailers(true), None, "one byte is to come");
    messages.feed(Piece::Bytes(b"\n"));
    assert_eq!(messages.trailers(false), Some(&b"grpc-status: 5\r\n"[..]));
    // They are the last of a body.
    messages.feed(Piece::Bytes(BODY));
    assert_eq!((messages.trailers(true), messages.count()), (None, None));
    // Nor are they read beyond a limit.
    let mut messages = Messages::new(Framing::Web);
    messages.feed(Piece::Bytes(&[&b"\x80\0\0\x20\0"[..], b"a: b\n"].concat()));
    messages.feed(Piece::Bytes(&[b'a'; 0x2000 - 5]));
    assert_eq!(messages.trailers(true), Some(&b"a: b\n"[..]));
}

/// 3,000 bytes as base64, the most of which went by unseen, in pieces that are no whole groups.
fn passed_over(skipped: [u64; 2], behind: &[u8]) -> Messages {
    let mut messages = Messages::new(Framing::WebText);
    messages.feed(Piece::Bytes(b"AAAAC7gA"));
    for n in skipped {
        messages.feed(Piece::Skip(n));
    }
    messages.feed(Piece::Bytes(behind));
    messages
}

#[test]
fn text_may_be_passed_over() {
    // `printf 'xx\x80\0\0\0\x10grpc-status: 0\r\n' | base64`, and with padding behind the message.
    for behind in [&b"eHiAAAAAEGdycGMtc3RhdHVzOiAwDQo="[..], b"eHg=gAAAABBncnBjLXN0YXR1czogMA0K"] {
        let messages = passed_over([1001, 2995], behind);
        assert_eq!(messages.trailers(true), Some(&b"grpc-status: 0\r\n"[..]));
        assert_eq!(messages.trailers(false), None, "not before the end");
        assert_eq!(messages.count(), None, "there may have been padding");
    }
    // Not where a group is cut, nor beyond the message.
    for skipped in [[1001, 2994], [1001, 2996], [1001, 2999]] {
        let messages = passed_over(skipped, b"eHiAAAAAEGdycGMtc3RhdHVzOiAwDQo=");
        assert_eq!(messages.trailers(true), None, "{skipped:?}");
    }
}

/// A message that is encoded in three pieces, each of which is padded: four bytes fewer than it seems. It
/// ends in what looks like trailers, and like the prefixes that the real ones begin with.
#[test]
fn padding_that_was_not_seen_makes_no_trailers() {
    let real = b"\x80\0\0\0\x10grpc-status: 0\r\n";
    let fake = b"\x80\0\0\0\x1agrpc-status: 5\r\n".to_vec();
    for behind in 0..8 {
        for length in 0..=40 {
            // What is read as the end of the message.
            let mut bytes = b"xx".to_vec();
            let mut fake = fake.clone();
            fake[4] = length;
            bytes.extend(fake);
            bytes.resize(bytes.len() + behind, b' ');
            bytes.extend(real);
            let text = base64(&bytes);
            let messages = passed_over([1001, 2995], text.as_bytes());
            assert_eq!(messages.trailers(true), None, "{behind} {length}");
        }
    }
}

/// As RFC 4648 has it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let mut whole = [0; 4];
        whole[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(whole);
        let characters =
            (0..4).map(move |i| ALPHABET[(bits >> (18 - 6 * i) & 63) as usize] as char);
        let padding = std::iter::repeat_n('=', 3 - group.len());
        characters.take(group.len() + 1).chain(padding).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}
