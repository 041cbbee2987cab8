//! However the same bytes are cut, the spans are the same; whatever is lost, there are fewer of
//! them and never others.

use std::collections::HashMap;

use proptest::prelude::*;

use super::cuts::{Cut, Message, WHOLE, choices, cut, feed, finish};
use super::world::{SERVER, World, int, text};
use super::*;

#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Length(usize),
    Chunked(usize),
}

fn message(direction: Direction, time: u64, head: &str, body: Body, empty: bool) -> Message {
    let mut bytes: Vec<(u8, bool)> = Vec::new();
    let mut push = |text: &[u8], body| bytes.extend(text.iter().map(|&byte| (byte, body)));
    push(head.as_bytes(), false);
    match body {
        Body::None => push(b"\r\n", false),
        Body::Length(n) => {
            push(format!("Content-Length: {n}\r\n\r\n").as_bytes(), false);
            if !empty {
                push(&vec![b'G'; n], true);
            }
        }
        Body::Chunked(n) => {
            push(b"Transfer-Encoding: chunked\r\n\r\n", false);
            for size in [n, 3] {
                push(format!("{size:x};x\r\n").as_bytes(), false);
                push(&vec![b'\n'; size], true);
                push(b"\r\n", true);
            }
            push(b"0\r\nT: x\r\n\r\n", false);
        }
    }
    Message { direction, time, bytes }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::None),
        (0..40usize).prop_map(Body::Length),
        (1..40usize).prop_map(Body::Chunked)
    ]
}

/// Batches of requests that are sent together, each then answered in its order. The status code
/// of an answer says which request it belongs to.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let exchange = (prop_oneof!["GET", "POST", "HEAD"], body(), body(), any::<bool>());
    let batch = prop::collection::vec(exchange, 1..4);
    let alone = (prop_oneof!["GET", "POST", "HEAD"], body(), body(), any::<bool>())
        .prop_map(|exchange| vec![exchange]);
    prop::collection::vec(prop_oneof![3 => alone, 1 => batch], 1..6).prop_map(|batches| {
        let (mut messages, mut id, mut time) = (Vec::new(), 0, 100);
        for batch in batches {
            let first = id;
            for (method, request, ..) in &batch {
                time += 10;
                let head = format!("{method} /{id} HTTP/1.1\r\nHost: a\r\n");
                messages.push(message(Direction::Receive, time, &head, *request, false));
                id += 1;
            }
            for (id, (method, _, response, interim)) in (first..).zip(&batch) {
                time += 10;
                let interim = if *interim { "HTTP/1.1 100 Continue\r\n\r\n" } else { "" };
                let head = format!("{interim}HTTP/1.1 {} OK\r\n", 205 + id);
                let (response, empty) = match (response, *method == "HEAD") {
                    // A body that ends with the connection would swallow what follows.
                    (Body::None, _) => (Body::Length(0), false),
                    (Body::Chunked(n), true) => (Body::Length(*n), true),
                    (body, head) => (*body, head),
                };
                messages.push(message(Direction::Send, time, &head, response, empty));
            }
        }
        messages
    })
}

/// Runs cuts, except the lost ones, and ends the connection.
fn run(cuts: &[Cut], lost: impl Fn(usize) -> bool) -> (World, Vec<Span>) {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    feed(&mut world, &flow, cuts, false, lost);
    finish(world, &flow)
}

/// What must not differ, by path. An answer carries the number of its request.
fn told(spans: &[Span]) -> HashMap<String, (u64, u64, String, i64)> {
    let each = spans.iter().map(|span| {
        let path = text(span, "url.path").unwrap();
        let status = int(span, "http.response.status_code").unwrap();
        assert_eq!(path, format!("/{}", status - 205), "a response of another request");
        assert_eq!(text(span, "error.type"), None);
        let ids = format!("{} {}", span.trace_id, span.span_id);
        (path.to_owned(), (span.start_unix_ns, span.end_unix_ns, ids, status))
    });
    each.collect()
}

proptest! {
    #[test]
    fn cutting_changes_nothing(messages in conversation(), choices in choices()) {
        let (world, whole) = run(&cut(&messages, WHOLE), |_| false);
        let exchanges = messages.len() / 2;
        prop_assert_eq!(whole.len(), exchanges);
        prop_assert_eq!(told(&whole).len(), exchanges);
        prop_assert_eq!(world.count(Counter::ExchangesSeen), exchanges as u64);
        let (_, spans) = run(&cut(&messages, &choices), |_| false);
        prop_assert_eq!(spans, whole);
    }

    #[test]
    fn losing_makes_fewer_never_others(
        messages in conversation(),
        choices in choices(),
        lost in prop::collection::vec(prop::bool::weighted(0.15), 1..80),
    ) {
        let cuts = cut(&messages, &choices);
        let (_, whole) = run(&cuts, |_| false);
        let (_, spans) = run(&cuts, |i| lost[i % lost.len()]);
        let whole = told(&whole);
        for (path, span) in told(&spans) {
            prop_assert_eq!(Some(&span), whole.get(&path));
        }
    }

    #[test]
    fn anything_at_all_is_survived(
        segments in prop::collection::vec(
            (any::<bool>(), prop_oneof![Just(0u64), 0..50u64, any::<u64>()], 0..30u64, 0..30u64,
             prop_oneof![
                 prop::collection::vec(any::<u8>(), 0..40),
                 "(GET|HEAD|CONNECT) /[a-z]{0,3} HTTP/1\\.[01]\r\n(Upgrade: x\r\n|Content-Length: [0-9]\r\n|Transfer-Encoding: chunked\r\n)?\r\n".prop_map(String::into_bytes),
                 "HTTP/1\\.1 (100|101|200|204|500) x\r\n(Content-Length: [0-9]\r\n|Transfer-Encoding: chunked\r\n)?\r\n".prop_map(String::into_bytes),
                 "[0-3]\r\n[ab]{0,3}\r\n".prop_map(String::into_bytes),
             ], any::<(bool, bool, bool)>()),
            0..60),
        from_start in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut flow = world.flow(SERVER);
        flow.from_start = from_start;
        for (send, jump, before, after, bytes, (unreadable, cut, jumps)) in segments {
            let direction = if send { Direction::Send } else { Direction::Receive };
            // The world checks the equation after every event.
            world.segment(&flow, direction, 5, &bytes, after, |segment| {
                if jumps && cut {
                    segment.position = jump;
                }
                segment.skipped_before = before;
                segment.unreadable_after = unreadable;
                segment.head_too_large = cut && !jumps;
            });
        }
        world.end(&flow, 10, true);
        prop_assert_eq!(world.pipeline.open_exchanges(), 0);
        prop_assert_eq!(world.pipeline.core.contexts.open_len(), 0);
    }
}
