//! What is inferred of values whose names are unknown, and what is not.

use super::super::Field;
use super::super::infer::{Inference, Shape, shape};
use super::encoder::{Encoder, How, Literal};
use super::{Decoder, Scratch, pair};

/// The example of W3C Trace Context section 3.2.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The test vector of the OpenCensus BinaryEncoding specification, in Base64.
const BINARY: &str = "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE";

#[test]
fn traceparents() {
    assert_eq!(shape(TRACEPARENT.as_bytes()), Some(Shape::Traceparent));
    for wrong in [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-012",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-g1",
    ] {
        assert_eq!(shape(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn binary_contexts() {
    assert_eq!(shape(BINARY.as_bytes()), Some(Shape::GrpcTraceBin));
    assert_eq!(shape(format!("{BINARY}=").as_bytes()), Some(Shape::GrpcTraceBin));
    let mut inference = Inference::default();
    inference.see(&unnamed(BINARY.as_bytes()));
    let bytes = inference.grpc_trace_bin().unwrap();
    assert_eq!(bytes[2..18], *b"@ABCDEFGHIJKLMNO");
    assert_eq!(bytes[19..27], *b"abcdefgh");
    assert_eq!(bytes[28], 1);
    for wrong in [
        format!("{BINARY}=="),
        format!("{BINARY}A"),
        format!("{BINARY}AA"),
        BINARY[1..].to_owned(),
        // Bits that are left over; the version; the fields; characters; identifiers of zeroes.
        BINARY.replace("AgE", "AgF"),
        BINARY.replace("AABA", "AQBA"),
        BINARY.replace("PAWFi", "PAmFi"),
        BINARY.replace("AgE", "AwE"),
        BINARY.replace("REVG", "RE-G"),
        BINARY.replace("WFiY2RlZmdo", "QAAAAAAAAAA"),
        "AAAAAAAAAAAAAAAAAAAAAAAAAWFiY2RlZmdoAgE".to_owned(),
    ] {
        assert_eq!(shape(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn paths() {
    for path in ["/helloworld.Greeter/SayHello", "/grpc.health.v1.Health/Check", "/a.b_1._C/_d"] {
        assert_eq!(shape(path.as_bytes()), Some(Shape::GrpcPath), "{path}");
    }
    let long = format!("/a.B/{}", "c".repeat(1_020));
    for path in [
        "/",
        "/index.html",
        "/Greeter/SayHello",
        "helloworld.Greeter/SayHello",
        "/helloworld.Greeter/",
        "/helloworld.Greeter/SayHello/",
        "/helloworld.Greeter/SayHello?x=1",
        "/helloworld.Greeter/Say-Hello",
        "//helloworld.Greeter/SayHello",
        "/v1.0/users",
        "/.Greeter/SayHello",
        "/helloworld./SayHello",
        "/a..B/C",
        long.as_str(),
    ] {
        assert_eq!(shape(path.as_bytes()), None, "{path}");
    }
}

fn named<'a>(name: &'a str, value: &'a str) -> Field<'a> {
    let (name, value) = (Some(name.as_bytes()), Some(value.as_bytes()));
    Field { name, value, sensitive: false }
}

fn unnamed(value: &[u8]) -> Field<'_> {
    Field { name: None, value: Some(value), sensitive: false }
}

fn inferred(fields: &[Field<'_>]) -> Inference {
    let mut inference = Inference::default();
    fields.iter().for_each(|field| inference.see(field));
    inference
}

#[test]
fn of_a_request() {
    let path = b"/helloworld.Greeter/SayHello";
    let unknown = Field { name: None, value: None, sensitive: false };
    let fields = [
        named(":method", "POST"),
        unknown,
        unnamed(path),
        named("te", "trailers"),
        unnamed(TRACEPARENT.as_bytes()),
    ];
    let inference = inferred(&fields);
    assert_eq!(inference.path(), Some(&path[..]));
    assert_eq!(inference.traceparent().map(|it| &it[..]), Some(TRACEPARENT.as_bytes()));
    assert_eq!(inference.grpc_trace_bin(), None);
    // A path after a regular field is another field's.
    let fields = [named("te", "trailers"), unnamed(path)];
    assert_eq!(inferred(&fields).path(), None);
    assert_eq!(inferred(&[unnamed(TRACEPARENT.as_bytes()), unnamed(path)]).path(), None);
}

#[test]
fn ambiguous() {
    let other = TRACEPARENT.replace("4bf9", "5bf9");
    let (one, other) = (unnamed(TRACEPARENT.as_bytes()), unnamed(other.as_bytes()));
    assert!(inferred(&[one, one]).traceparent().is_some());
    assert!(inferred(&[one, other]).traceparent().is_none());
    assert!(inferred(&[one, other, one]).traceparent().is_none());
    // What is there under its name is not something else, before or after it.
    let there = named("traceparent", "what the sender wrote");
    assert!(inferred(&[one, there]).traceparent().is_none());
    assert!(inferred(&[there, one]).traceparent().is_none());
    let fields = [unnamed(b"/a.B/C"), named(":path", "/"), unnamed(b"/a.B/C")];
    assert!(inferred(&fields).path().is_none());
}

/// An encoder that always refers to the last `traceparent` for its name never sends that name again.
/// Whoever joins has every one of them all the same.
#[test]
fn on_a_connection_joined() {
    let how = How {
        whole: true,
        name: true,
        dynamic: true,
        literal: Literal::Insert,
        huffman: [true, true],
    };
    let (mut encoder, mut blocks) = (Encoder::new(), Vec::new());
    for call in 1..=200 {
        let mut block = Vec::new();
        let traceparent = format!("00-{:032x}-{:016x}-01", 0xabc_0000 + call, call * 77);
        for (name, value) in [
            (":method", "POST"),
            (":path", "/helloworld.Greeter/SayHello"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("traceparent", &traceparent),
        ] {
            encoder.field(&pair(name, value), how, &mut block);
        }
        blocks.push((block, traceparent));
    }
    for first in 1..blocks.len() {
        let mut decoder = Decoder::joining();
        for (at, (block, traceparent)) in blocks.iter().enumerate().skip(first) {
            let (mut inference, mut paths) = (Inference::default(), Vec::new());
            let told = decoder.decode(block, &mut Scratch::default(), |field| {
                inference.see(&field);
                if field.name == Some(b":path") {
                    paths.extend(field.value.map(<[u8]>::to_vec));
                }
            });
            assert_eq!(told.unwrap().fields, 5);
            assert_eq!(inference.traceparent().map(|it| &it[..]), Some(traceparent.as_bytes()));
            // Those that are evicted and inserted again are known then: a table is 40 calls.
            assert!(at < first + 50 || paths == [b"/helloworld.Greeter/SayHello"]);
        }
    }
}
