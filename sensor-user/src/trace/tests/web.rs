//! gRPC-Web over HTTP/1.1 as the kernel side delivers it: its own framing says what is left out.

use proptest::prelude::*;
use sensor_ebpf::frame::{Framer, Mode, Pairing, SliceWindow, scan};
use sensor_ebpf::limits::WINDOW;

use super::super::*;
use super::world::{CLIENT, TestFlow, World, int, text};
use crate::capture::event::Direction;

/// Hands over `stream` in calls of these sizes, of each what the kernel side copies.
fn deliver(
    world: &mut World,
    flow: &TestFlow,
    direction: Direction,
    stream: &[u8],
    sizes: &[usize],
) {
    let (mut framer, mut pairing) = (Framer::default(), Pairing::default());
    let mut before = 0;
    let mut sizes = sizes.iter().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let (mut call, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = after;
        framer.begin_call(0, 0);
        while !call.is_empty() {
            let left = call.len();
            let mut n = 0;
            if !Mode::passes(framer.mode) {
                let window = &call[..left.min(WINDOW)];
                let len = u32::try_from(window.len()).unwrap();
                n = scan(&mut framer, &mut pairing, &SliceWindow(window), 0, len) as usize;
            }
            let mut passed = 0;
            while Mode::counts(framer.mode) && n + passed < left {
                passed += framer.pass((left - n - passed) as u64) as usize;
            }
            if framer.mode == Mode::UntilClose as u8 {
                passed = left - n;
            }
            if n == 0 {
                before += passed as u64;
                world.pass(flow, direction, passed as u64);
            } else {
                world.segment(flow, direction, 5, &call[..n], passed as u64, |segment| {
                    segment.skipped_before = std::mem::take(&mut before);
                });
            }
            call = &call[n + passed..];
        }
    }
    if before > 0 {
        // Where a body ends there is a record.
        world.segment(flow, direction, 5, b"", 0, |segment| segment.skipped_before = before);
    }
}

/// The span of a call whose messages have these lengths, with what the server says at the end.
fn call(framing: u8, body: &[u8], text_body: bool, sizes: &[usize]) -> Span {
    let of = if text_body { "application/grpc-web-text" } else { "application/grpc-web+proto" };
    let request = format!(
        "POST /shop.v1.Cart/Add HTTP/1.1\r\nHost: shop.example\r\nContent-Type: {of}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {of}\r\n");
    let response = match framing {
        0 => [format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes(), body.to_vec()]
            .concat(),
        1 => [format!("{head}\r\n").into_bytes(), body.to_vec()].concat(),
        n => {
            let mut stream = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(usize::from(n) * 10) {
                stream.extend(format!("{:X}\r\n", chunk.len()).bytes());
                stream.extend(chunk);
                stream.extend(b"\r\n");
            }
            stream.extend(b"0\r\n\r\n");
            stream
        }
    };
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    deliver(&mut world, &flow, Direction::Send, request.as_bytes(), sizes);
    deliver(&mut world, &flow, Direction::Receive, &response, sizes);
    world.end(&flow, 1_000_000, false);
    world.one()
}

/// Base64 as one goes, padded where `padded` bytes were encoded.
fn base64(bytes: &[u8], padded: usize) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for group in bytes.chunks(padded).flat_map(|part| part.chunks(3)) {
        let mut whole = [0; 4];
        whole[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(whole);
        out.extend((0..=group.len()).map(|i| ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
        out.resize(out.len().next_multiple_of(4), b'=');
    }
    out
}

proptest! {
    /// Status, message and count are those of the bytes, whatever the chunks and calls are; as text the status
    /// is, if the sender pads no more than whole messages; and never another one.
    #[test]
    fn the_end_of_a_call_is_seen(
        lengths in prop::collection::vec(prop_oneof![0..20_usize, 100..200_usize, 1000..5000_usize], 0..6),
        status in 0..17_u32,
        framing in 0..200_u8,
        sizes in prop::collection::vec(prop_oneof![1..8_usize, 1..5000_usize], 1..9),
        padded in prop_oneof![Just(None), (1..4000_usize).prop_map(Some)],
    ) {
        let mut messages: Vec<Vec<u8>> = lengths
            .iter()
            .map(|&length| {
                let prefix = [&[0], &u32::try_from(length).unwrap().to_be_bytes()[..]].concat();
                // As hostile as can be.
                let payload = b"\x80\0\0\0\x0fgrpc-status:9\r\n".iter().cycle().take(length);
                prefix.into_iter().chain(payload.copied()).collect()
            })
            .collect();
        let trailers = format!("grpc-status:{status}\r\ngrpc-message:50%25\r\n");
        let length = u8::try_from(trailers.len()).unwrap();
        messages.push([&[0x80, 0, 0, 0, length], trailers.as_bytes()].concat());
        let count = i64::try_from(lengths.len()).unwrap();

        let span = call(framing, &messages.concat(), false, &sizes);
        prop_assert_eq!(int(&span, "rpc.grpc.status_code"), Some(i64::from(status)));
        prop_assert_eq!(text(&span, "sensor.grpc.message"), Some("50%"));
        prop_assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(count));

        let each: Vec<u8> = messages.iter().flat_map(|message| base64(message, usize::MAX)).collect();
        let all = messages.concat();
        for (body, whole) in [
            (each, true),
            (base64(&all, usize::MAX), true),
            (base64(&all, padded.unwrap_or(usize::MAX)), padded.is_none()),
        ] {
            let span = call(framing, &body, true, &sizes);
            let said = int(&span, "rpc.grpc.status_code");
            if whole {
                prop_assert_eq!(said, Some(i64::from(status)));
                prop_assert_eq!(text(&span, "sensor.grpc.message"), Some("50%"));
            }
            prop_assert!(said.is_none() || said == Some(i64::from(status)));
            let counted = int(&span, "sensor.grpc.response.messages");
            prop_assert!(counted.is_none() || counted == Some(count));
            if whole && lengths.iter().all(|&length| length < 1500) {
                prop_assert!(counted.is_some());
            }
        }
    }
}
