//! However the same frames are cut, the spans are the same; whatever is lost, there are fewer of
//! them, some things about them are unknown, and nothing is different.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::cuts::{self, Choice, Cut, Message, WHOLE, choices, feed, finish};
use super::endpoint::{END_HEADERS, END_STREAM};
use super::upgrade::{SWITCH, UPGRADE};
use super::*;

/// A frame on its way.
#[derive(Clone, Debug)]
struct Sent {
    message: Message,
    /// The stream whose request this begins.
    begins: Option<u32>,
}

/// How a stream goes.
#[derive(Clone, Debug)]
struct Plan {
    grpc: bool,
    /// Payloads of DATA, and whether they are padded.
    request: Vec<(usize, bool)>,
    response: Vec<(usize, bool)>,
    interim: bool,
    trailers: bool,
    /// The context's name goes into the dynamic table.
    indexed: bool,
    split: bool,
    reset: Option<(bool, u32)>,
    /// What the payload is.
    filler: u8,
}

fn plan(fillers: &'static [u8]) -> impl Strategy<Value = Plan> {
    let bodies = || prop::collection::vec((0..60usize, any::<bool>()), 0..4);
    let reset = prop::option::weighted(0.15, (any::<bool>(), prop_oneof![Just(8u32), Just(2)]));
    let flags = any::<[bool; 5]>();
    (bodies(), bodies(), flags, reset, prop::sample::select(fillers)).prop_map(
        |(request, response, [grpc, interim, trailers, indexed, split], reset, filler)| Plan {
            grpc,
            request,
            response,
            interim,
            trailers,
            indexed,
            split,
            reset,
            filler,
        },
    )
}

/// All kinds of [`filler`].
const ALL: &[u8] = &[0, 1, 2, 3];

/// One step of a stream: who sends, and what.
type Step = (bool, Box<dyn Fn(&mut Endpoint) -> Vec<(u8, bool)>>);

fn plain(bytes: &[u8]) -> Vec<(u8, bool)> {
    bytes.iter().map(|&byte| (byte, false)).collect()
}

/// A payload: zeros, a repeated frame header, frames of HTTP/2 that anybody would believe, or bytes
/// of all kinds.
fn filler(kind: u8, length: usize) -> Vec<u8> {
    let frames = [
        Endpoint::default().headers(1, true, &GET),
        Endpoint::default().headers(1, true, &[(":status", "555")]),
    ]
    .concat();
    let all: Vec<u8> = match kind {
        0 => vec![0],
        1 => b"\0\0\x01\x01\x05\0\0\0\x01\x88".to_vec(),
        2 => frames,
        _ => (0..=255).collect(),
    };
    all.into_iter().cycle().take(length).collect()
}

fn payload(
    plan: &Plan,
    stream: u32,
    (length, padded): (usize, bool),
    end: bool,
) -> Vec<(u8, bool)> {
    let body = filler(plan.filler, length);
    let body = if plan.grpc { message(false, &body) } else { body };
    let prefix = if plan.grpc { 5 } else { 0 };
    let padding = if padded { vec![0; 7] } else { Vec::new() };
    let lead = if padded { vec![7] } else { Vec::new() };
    let flags = u8::from(end) | if padded { 8 } else { 0 };
    let whole = frame(0, flags, stream, &[lead.clone(), body, padding].concat());
    let copied = 9 + lead.len() + prefix;
    whole.iter().enumerate().map(|(at, &byte)| (byte, at >= copied)).collect()
}

/// HEADERS, with its block in one frame or in two.
fn headers(block: &[u8], stream: u32, end: bool, split: bool) -> Vec<(u8, bool)> {
    let flags = if end { END_STREAM } else { 0 };
    if !split || block.len() < 2 {
        return plain(&frame(1, flags | END_HEADERS, stream, block));
    }
    let (first, rest) = block.split_at(block.len() / 2);
    plain(&[frame(1, flags, stream, first), frame(9, END_HEADERS, stream, rest)].concat())
}

fn steps(number: u32, plan: &Plan) -> Vec<Step> {
    let stream = 2 * number + 1;
    let mut steps: Vec<Step> = Vec::new();
    let p = plan.clone();
    let traced = format!("00-{T}-00000000000000{:02x}-01", number + 1);
    let path = if p.grpc { format!("/a.B/{number}") } else { format!("/{number}") };
    let content = if p.grpc { "application/grpc" } else { "text/plain" };
    let ends = p.request.is_empty();
    let (indexed, split, grpc) = (p.indexed, p.split, p.grpc);
    steps.push((
        true,
        Box::new(move |client| {
            let context = if indexed { "traceparent" } else { "!traceparent" };
            let fields = [
                (":method", "POST"),
                (":scheme", "http"),
                ("!:path", &*path),
                (":authority", "shop.example"),
                ("user-agent", "x/1"),
                ("content-type", content),
                (context, &*traced),
                ("x-a", "1"),
            ];
            headers(&client.block(&fields), stream, ends, split)
        }),
    ));
    for (i, body) in p.request.iter().copied().enumerate() {
        let (p, last) = (p.clone(), i + 1 == p.request.len());
        steps.push((true, Box::new(move |_| payload(&p, stream, body, last))));
    }
    if p.interim {
        steps.push((
            false,
            Box::new(move |server| {
                headers(&server.block(&[(":status", "103"), ("link", "x")]), stream, false, false)
            }),
        ));
    }
    let trailers = p.trailers || p.grpc;
    let ends = p.response.is_empty() && !trailers;
    let status = (205 + number).to_string();
    steps.push((
        false,
        Box::new(move |server| {
            let fields = [(":status", &*status), ("server", "x"), ("content-type", content)];
            headers(&server.block(&fields), stream, ends, split)
        }),
    ));
    for (i, body) in p.response.iter().copied().enumerate() {
        let (p, last) = (p.clone(), !trailers && i + 1 == p.response.len());
        steps.push((false, Box::new(move |_| payload(&p, stream, body, last))));
    }
    if trailers {
        steps.push((
            false,
            Box::new(move |server| {
                let status = if grpc { "grpc-status" } else { "x-status" };
                headers(&server.block(&[(status, "5"), ("x-t", "1")]), stream, true, split)
            }),
        ));
    }
    if let Some((by_client, code)) = p.reset {
        let at = (steps.len() - 1).max(1);
        steps.truncate(at);
        steps.push((by_client, Box::new(move |_| plain(&reset(stream, code)))));
    }
    steps
}

/// Streams that begin one after the other and go on side by side, as `turns` has it.
fn conversation(fillers: &'static [u8]) -> impl Strategy<Value = Vec<Sent>> {
    let plans = prop::collection::vec(plan(fillers), 1..7);
    (plans, prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(plans, turns)| {
        let mut ends: [Endpoint; 2] = Default::default();
        let mut time = 100;
        let sent_by = |from_client, time, bytes, begins| {
            let direction = if from_client { Direction::Receive } else { Direction::Send };
            Sent { message: Message { direction, time, bytes }, begins }
        };
        let mut sent = vec![
            sent_by(true, time, plain(&preface()), None),
            sent_by(false, time, plain(&settings()), None),
        ];
        let mut going: Vec<(u32, std::collections::VecDeque<Step>)> = Vec::new();
        let mut coming = plans.iter().enumerate();
        let mut turns = turns.iter().cycle();
        loop {
            let turn = usize::from(*turns.next().unwrap());
            if (turn % 3 == 0 || going.is_empty())
                && let Some((number, plan)) = coming.next()
            {
                let number = u32::try_from(number).unwrap();
                going.push((2 * number + 1, steps(number, plan).into()));
            }
            if going.is_empty() {
                break;
            }
            // A new stream begins before anything else is sent, so that numbers grow.
            let at = match going.last() {
                Some((_, steps)) if !steps.is_empty() && turn % 3 == 0 => going.len() - 1,
                _ => turn % going.len(),
            };
            let fresh = going
                .iter()
                .position(|(id, _)| !sent.iter().any(|it: &Sent| it.begins == Some(*id)));
            let at = fresh.unwrap_or(at);
            let (id, steps) = &mut going[at];
            let (from_client, make) = steps.pop_front().unwrap();
            time += 10;
            let begins = fresh.map(|_| *id);
            let bytes = make(&mut ends[usize::from(from_client)]);
            sent.push(sent_by(from_client, time, bytes, begins));
            if steps.is_empty() {
                going.remove(at);
            }
        }
        sent
    })
}

/// Cuts frames by `choices`, which go round.
fn cut(sent: &[Sent], choices: &[Choice]) -> Vec<Cut> {
    cuts::cut(sent.iter().map(|sent| &sent.message), choices)
}

/// Runs cuts, except the lost ones, and ends the connection.
fn run(cuts: &[Cut], marks: bool, lost: impl Fn(usize) -> bool) -> (World, Vec<Span>) {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    feed(&mut world, &flow, cuts, marks, lost);
    finish(world, &flow)
}

fn by_path(spans: &[Span]) -> HashMap<&str, &Span> {
    spans.iter().filter_map(|span| Some((text(span, "url.path")?, span))).collect()
}

/// Everything that `span` says, `whole` says too.
fn says_no_more(span: &Span, whole: &Span) {
    let context = format!("{span:#?}\n{whole:#?}");
    assert_eq!(
        (span.start_unix_ns, span.end_unix_ns),
        (whole.start_unix_ns, whole.end_unix_ns),
        "{context}"
    );
    if text(span, "sensor.link") != Some("unknown") {
        let ids = |span: &Span| (span.trace_id, span.parent_span_id);
        assert_eq!(ids(span), ids(whole), "{context}");
    }
    for attribute in &span.attributes {
        let sensor = ["sensor.link", "sensor.inferred"].contains(&&*attribute.key);
        assert!(sensor || whole.attributes.contains(attribute), "{attribute:?} {context}");
    }
    assert!(span.events.iter().all(|event| whole.events.contains(event)), "{context}");
    assert!(span.name == whole.name || ["HTTP", "POST"].contains(&&*span.name), "{context}");
}

proptest! {
    #[test]
    fn cutting_changes_nothing(sent in conversation(ALL), choices in choices(), marks in any::<bool>()) {
        let (world, whole) = run(&cut(&sent, WHOLE), false, |_| false);
        let streams = sent.iter().filter(|it| it.begins.is_some()).count();
        prop_assert_eq!(whole.len(), streams);
        prop_assert_eq!(by_path(&whole).len(), streams);
        prop_assert_eq!(world.count(Counter::ExchangesSeen), streams as u64);
        prop_assert_eq!(world.count(Counter::Http2FieldsUnknown), 0);
        for span in &whole {
            let number: i64 = text(span, "url.path").unwrap().rsplit('/').next().unwrap().parse().unwrap();
            if let Some(status) = int(span, "http.response.status_code") {
                prop_assert_eq!(status, 205 + number);
            }
            prop_assert_eq!(span.parent_span_id.unwrap().to_string(), format!("{:016x}", number + 1));
        }
        let (_, spans) = run(&cut(&sent, &choices), marks, |_| false);
        prop_assert_eq!(spans, whole);
    }

    #[test]
    fn losing_makes_fewer_never_others(
        sent in conversation(ALL),
        choices in choices(),
        lost in prop::collection::vec(prop::bool::weighted(0.15), 1..80),
    ) {
        let cuts = cut(&sent, &choices);
        let (_, whole) = run(&cuts, true, |_| false);
        let (_, spans) = run(&cuts, true, |i| lost[i % lost.len()]);
        let whole = by_path(&whole);
        prop_assert!(spans.len() <= whole.len());
        for span in &spans {
            // Paths are never indexed.
            says_no_more(span, whole[text(span, "url.path").unwrap()]);
        }
    }

    /// Where the source does not say where frames begin. Payload that is itself HTTP/2 is the stated
    /// exception.
    #[test]
    fn losing_packets_makes_fewer_never_others(
        sent in conversation(&[0, 3]),
        choices in choices(),
        lost in prop::collection::vec(prop::bool::weighted(0.15), 1..80),
    ) {
        let cuts = cut(&sent, &choices);
        let (_, whole) = run(&cuts, false, |_| false);
        let (_, spans) = run(&cuts, false, |i| lost[i % lost.len()]);
        let whole = by_path(&whole);
        for span in &spans {
            says_no_more(span, whole[text(span, "url.path").unwrap()]);
        }
    }

    /// The sensor comes when frames have gone by already: whatever begins after that is there, and
    /// right.
    #[test]
    fn joining_tells_of_what_begins_after(sent in conversation(ALL), skip in 1..60usize, marks in any::<bool>()) {
        let skip = skip % sent.len();
        let cuts = cut(&sent, WHOLE);
        let (_, whole) = run(&cuts, false, |_| false);
        let mut world = World::new();
        let mut flow = world.flow(SERVER);
        flow.from_start = false;
        feed(&mut world, &flow, &cuts[skip..], marks, |_| false);
        let (_, spans) = finish(world, &flow);
        let whole = by_path(&whole);
        for span in &spans {
            says_no_more(span, whole[text(span, "url.path").unwrap()]);
        }
        if marks {
            let told = by_path(&spans);
            for begun in sent[skip..].iter().filter_map(|sent| sent.begins) {
                let number = (begun - 1) / 2;
                let known = [format!("/{number}"), format!("/a.B/{number}")];
                prop_assert!(known.iter().any(|path| told.contains_key(&**path)), "{begun} {:?}", told.keys());
            }
        }
    }

    #[test]
    fn anything_at_all_is_survived(
        segments in prop::collection::vec(
            (any::<bool>(), prop_oneof![Just(0u64), 0..50u64, any::<u64>()], 0..30u64, 0..30u64,
             prop_oneof![
                 prop::collection::vec(any::<u8>(), 0..40),
                 Just(preface()),
                 Just(settings()),
                 (0..9u32, any::<bool>()).prop_map(|(id, end)| Endpoint::default().headers(id, end, &GET)),
                 (0..9u32, any::<bool>()).prop_map(|(id, end)| Endpoint::default().headers(id, end, &GRPC)),
                 (0..9u32, any::<bool>()).prop_map(|(id, end)| Endpoint::default().headers(id, end, &[("grpc-status", "0")])),
                 (0..9u32, any::<bool>()).prop_map(|(id, end)| data(id, end, b"\0\0\0\0\x01a")),
                 (0..9u32, 0..10u32).prop_map(|(id, code)| reset(id, code)),
                 (0..9u32, 0..10u32).prop_map(|(id, code)| goaway(id, code)),
                 (0..9u32, 0..9u32).prop_map(|(id, promised)| frame(5, 4, id, &[&promised.to_be_bytes()[..], &Endpoint::default().block(&GET)].concat())),
                 Just(UPGRADE.as_bytes().to_vec()),
                 Just(SWITCH.as_bytes().to_vec()),
             ], any::<(bool, bool, bool)>()),
            0..60),
        from_start in any::<bool>(),
        sure in any::<bool>(),
    ) {
        let mut world = World::new();
        let mut flow = world.flow(SERVER);
        flow.from_start = from_start;
        for (send, jump, before, after, bytes, (unreadable, mark, jumps)) in segments {
            let direction = if send { Direction::Send } else { Direction::Receive };
            let after = if sure { 0 } else { after };
            // The world checks the equation after every event.
            world.segment(&flow, direction, 5, &bytes, after, |segment| {
                segment.frame_start = mark;
                if sure {
                    return;
                }
                if jumps {
                    segment.position = jump;
                }
                segment.skipped_before = before;
                segment.unreadable_after = unreadable;
            });
        }
        finish(world, &flow);
    }
}
