//! What counts as evidence by identifiers, from when, until when, and against whom.

use super::causes::{Service, event_loop, goroutine, thread};
use super::world::{TestFlow, World, texts};
use super::*;
use crate::capture::event::{Caller, ClockSync, Direction};
use crate::model::{LogIds, SpanId, Text, TraceId};

const SECOND: u64 = 1_000_000_000;
/// How long after the end of an exchange a line can be its.
const AFTER: u64 = 5 * SECOND;

const R1: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
const R2: &str = "444535f9378a3dfa1b8604bc9e05a303";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Nobody in particular: no evidence of its own.
fn nobody() -> Caller {
    event_loop(None)
}

fn names(requests: &[&str]) -> LogIds {
    LogIds { requests: requests.iter().map(|it| Text::copy(it)).collect(), ..LogIds::default() }
}

fn in_trace(hex: &str) -> LogIds {
    let trace_id = TraceId::new(u128::from_str_radix(hex, 16).unwrap().to_be_bytes());
    LogIds { trace_id, ..LogIds::default() }
}

impl Service {
    fn asked_with(&mut self, flow: &TestFlow, time: u64, caller: Caller, fields: &str) {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        self.go(flow, Direction::Receive, time, caller, request.as_bytes());
    }

    fn asks_with(&mut self, flow: &TestFlow, time: u64, caller: Caller, fields: &str) {
        let request = format!("GET /out HTTP/1.1\r\nHost: b\r\n{fields}\r\n\r\n");
        self.go(flow, Direction::Send, time, caller, request.as_bytes());
    }

    /// The path of the exchange that a record which names these requests belongs to, and by what.
    fn line(&mut self, time: u64, by: Caller, requests: &[&str]) -> Option<(u64, &'static str)> {
        let owner = self.writes(time, by);
        self.line_of(time, owner, requests)
    }

    fn line_of(&mut self, time: u64, by: Owner, requests: &[&str]) -> Option<(u64, &'static str)> {
        match self.record(time, by, &names(requests)) {
            Belongs::To(told) => {
                let start = |span: &&Span| Some(span.span_id) == told.span_id;
                let span = self.world.spans.iter().find(start).expect("its span");
                Some((span.start_unix_ns - 3_600 * SECOND, told.evidence))
            }
            Belongs::Pending(server) => {
                self.world.pipeline.watch(server);
                match self.record(time, by, &names(requests)) {
                    Belongs::To(told) => Some((0, told.evidence)),
                    other => panic!("{other:?}"),
                }
            }
            Belongs::Nothing => None,
        }
    }

    fn at(&mut self, time: u64) {
        let sync = ClockSync { monotonic: Monotonic(time), unix_ns: 3_600 * SECOND + time };
        self.world.handle(&Event::Clock(sync));
    }
}

#[test]
fn a_line_that_names_a_request() {
    let mut service = Service::new().with_lines();
    let (first, second) = (service.server(1), service.server(2));
    for (flow, start, id) in [(&first, 1_000, R1), (&second, 1_500, R2)] {
        service.asked_with(flow, start, nobody(), &format!("X-Request-ID: {id}"));
        service.answers(flow, 2_000, nobody());
    }
    service.late();
    assert_eq!(service.line(3_000, nobody(), &[R1]), Some((1_000, "request_id")));
    assert_eq!(service.line(3_000, nobody(), &[R2]), Some((1_500, "request_id")));
    assert_eq!(service.line(3_000, nobody(), &[TRACE]), None);
    assert_eq!(service.line(500, nobody(), &[R1]), None, "it was written before the request");
    assert_eq!(service.line(3_000, nobody(), &[R1, R2]), None, "they contradict each other");
}

/// A client may send whatever it likes; what others may have by chance is no evidence.
#[test]
fn a_word_for_nothing_is_no_request() {
    for id in ["None", "null", "unknown", "00000000-0000-0000-0000-000000000000", "order-1042"] {
        let mut service = Service::new().with_lines();
        let (server, client) = (service.server(1), service.client(2));
        service.asked_with(&server, 1_000, nobody(), &format!("X-Request-ID: {id}"));
        service.asks_with(&client, 1_500, nobody(), &format!("X-Request-ID: {id}"));
        service.answered(&client, 1_600, nobody());
        service.answers(&server, 2_000, nobody());
        assert_eq!(service.line(3_000, nobody(), &[id]), None, "{id}");
        let spans = service.spans();
        let told = texts(&spans[0], "http.request.header.x-request-id");
        assert_eq!(told, Some(vec![id.to_owned()]));
        assert_eq!(spans[1].parent_span_id, None, "{id}");
    }
}

#[test]
fn a_request_is_evidence_for_a_while_after_its_end() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    service.asked_with(&server, 1_000, nobody(), &format!("X-Request-ID: {R1}"));
    service.answers(&server, 2_000, nobody());
    service.late();
    for (time, is) in [(2_000, true), (AFTER + 2_000, true), (AFTER + 2_001, false)] {
        assert_eq!(service.line(time, nobody(), &[R1]).is_some(), is, "{time}");
    }
    let over = service.record(3_000, Owner::default(), &names(&[R1]));
    let Belongs::To(over) = over else { panic!("{over:?}") };
    assert!(over.after_response);
}

/// While two exchanges have the same identifier, it proves nothing by itself; for neither, as lines of both have it.
/// What was written before the second one came stays the first one's, and so does what other evidence gives it.
#[test]
fn who_repeats_an_identifier_takes_nothing() {
    let mut service = Service::new().with_lines();
    let (victim, other) = (service.server(1), service.server(2));
    let id = format!("X-Request-ID: {R1}");
    service.asked_with(&victim, 1_000, thread(7), &id);
    service.asked_with(&other, 3_000, thread(8), &id);
    let before = service.writes(2_000, nobody());
    let (by_7, by_8) = (service.writes(4_000, thread(7)), service.writes(4_000, thread(8)));
    let by_9 = service.writes(4_000, thread(9));
    service.answers(&other, 5_000, thread(8));
    service.answers(&victim, 2 * AFTER, thread(7));
    service.at(2 * AFTER + 50_000_000);
    assert_eq!(service.line_of(2_000, before, &[R1]), Some((1_000, "request_id")));
    assert_eq!(service.line_of(4_000, by_7, &[R1]), Some((1_000, "thread")));
    assert_eq!(service.line_of(4_000, by_8, &[R1]), Some((3_000, "thread")));
    assert_eq!(service.line_of(4_000, by_9, &[R1]), None);
    // The other one is long over.
    let late = AFTER + 6_000;
    assert_eq!(service.line(late, nobody(), &[R1]), Some((1_000, "request_id")));
}

/// One that several have beside one that is its own: a caller's correlation id, and the id of each of its requests.
#[test]
fn two_identifiers_tell_more_than_one() {
    let mut service = Service::new().with_lines();
    let flows = [service.server(1), service.server(2)];
    for (flow, start, id) in [(&flows[0], 1_000, R1), (&flows[1], 1_500, R2)] {
        let fields = format!("X-Correlation-ID: {TRACE}\r\nX-Request-ID: {id}");
        service.asked_with(flow, start, nobody(), &fields);
    }
    for flow in &flows {
        service.answers(flow, 3_000, nobody());
    }
    service.late();
    assert_eq!(service.line(2_000, nobody(), &[TRACE]), None);
    assert_eq!(service.line(2_000, nobody(), &[TRACE, R2]), Some((1_500, "request_id")));
    assert_eq!(service.line(2_000, nobody(), &[R1, TRACE]), Some((1_000, "request_id")));
}

/// The parent of a call that the service makes with the identifier of its own request.
fn parent_of_call(again: Option<&str>, caller: Caller) -> (Option<u64>, Option<String>) {
    let mut service = Service::new();
    let (server, other, client) = (service.server(1), service.server(2), service.client(3));
    let id = format!("X-Request-ID: {R1}");
    service.asked_with(&server, 1_000, goroutine(7, 1), &id);
    if again.is_some() {
        service.asked_with(&other, 1_500, goroutine(8, 1), &id);
    }
    if again == Some("over") {
        service.answers(&other, 1_600, goroutine(8, 1));
    }
    service.asks_with(&client, 2_000, caller, &id);
    service.answered(&client, 3_000, caller);
    if again == Some("open") {
        service.answers(&other, 4_000, goroutine(8, 1));
    }
    service.answers(&server, 5_000, goroutine(7, 1));
    let spans = service.spans();
    let call = spans.iter().find(|span| span.kind == SpanKind::Client).unwrap();
    let parent = spans.iter().find(|span| Some(span.span_id) == call.parent_span_id);
    let why = text(call, EVIDENCE).or_else(|| text(call, DOUBT)).map(str::to_owned);
    (parent.map(|span| span.start_unix_ns - 3_600 * SECOND), why)
}

#[test]
fn who_repeats_an_identifier_takes_no_calls() {
    let by = |why: &str| Some(why.to_owned());
    assert_eq!(parent_of_call(None, nobody()), (Some(1_000), by("request_id")));
    for again in ["open", "over"] {
        let of = |caller| parent_of_call(Some(again), caller);
        assert_eq!(of(goroutine(7, 1)), (Some(1_000), by("goroutine")), "{again}");
        assert_eq!(of(goroutine(9, 1)), (None, by("ambiguous")), "{again}");
    }
    assert_eq!(parent_of_call(Some("open"), goroutine(8, 1)), (Some(1_500), by("goroutine")));
}

/// However many have one identifier, it takes the same time to find out that it proves nothing.
#[test]
fn an_identifier_that_everybody_has() {
    let mut service = Service::new().with_lines();
    let fields = format!("X-Request-ID: {R1}\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    let flows: Vec<_> = (0..300)
        .map(|n| {
            let mut flow = service.server(u8::try_from(n % 250).unwrap());
            if let Endpoints::Tcp { remote, .. } = &mut flow.endpoints {
                remote.1 = 1_000 + n;
            }
            service.asked_with(&flow, 1_000 + u64::from(n), thread(100 + u32::from(n)), &fields);
            flow
        })
        .collect();
    assert_eq!(service.line(2_000, nobody(), &[R1]), None);
    // Who forwards the context that they came with has no span of that name; and other evidence says which of them
    // it is all the same.
    let context = |parent: &str| format!("traceparent: 00-{TRACE}-{parent}-01");
    let calls = [
        (251, nobody(), "00f067aa0ba902b7"),
        (252, thread(390), "00f067aa0ba902b7"),
        (253, thread(391), "b7ad6b7169203331"),
    ];
    for (flow, caller, parent) in calls {
        let client = service.client(flow);
        service.asks_with(&client, 2_000 + u64::from(flow), caller, &context(parent));
        service.answered(&client, 2_500, caller);
    }
    for (n, flow) in (0..).zip(&flows).skip(1) {
        service.answers(flow, 3_000, thread(100 + n));
    }
    // One is open, and the others were lately.
    assert_eq!(service.line(4_000, nobody(), &[R1]), None);
    service.at(2 * AFTER + SECOND);
    service.answers(&flows[0], 2 * AFTER + 2 * SECOND, thread(100));
    service.at(2 * AFTER + 3 * SECOND);
    let alone = service.line(2 * AFTER + SECOND, nobody(), &[R1]);
    assert_eq!(alone, Some((1_000, "request_id")));
    let spans = service.spans();
    let calls: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Client).collect();
    let parent = |call: &Span| {
        let parent = spans.iter().find(|span| Some(span.span_id) == call.parent_span_id)?;
        Some(parent.start_unix_ns - 3_600 * SECOND)
    };
    let why = |call: &Span| text(call, EVIDENCE).or_else(|| text(call, DOUBT)).map(str::to_owned);
    let told = |call: &&Span| (parent(call), why(call).unwrap(), call.span_id.to_string());
    let [alone, forwards, own] = &calls[..] else { panic!("{calls:#?}") };
    assert_eq!((parent(alone), why(alone).as_deref()), (None, Some("ambiguous")));
    assert_ne!(alone.span_id.to_string(), "00f067aa0ba902b7");
    let (from, evidence, span_id) = told(forwards);
    assert_eq!((from, evidence.as_str()), (Some(1_290), "context"));
    assert_ne!(span_id, "00f067aa0ba902b7");
    let minted = (Some(1_291), "context".to_owned(), "b7ad6b7169203331".to_owned());
    assert_eq!(told(own), minted);
    assert!(calls.iter().all(|call| call.trace_id.to_string() == TRACE));
}

fn evidence(service: &mut Service, ids: &LogIds) -> &'static str {
    match service.record(9_000, Owner::default(), ids) {
        Belongs::To(told) => told.evidence,
        other => panic!("{other:?}"),
    }
}

/// The trace that a line names stays; whether anything confirms it is another matter.
#[test]
fn a_trace_that_only_the_line_names() {
    let mut service = Service::new().with_lines();
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, thread(7));
    service.answers(&server, 2_000, thread(7));
    assert_eq!(evidence(&mut service, &in_trace(TRACE)), "claimed");
    // A batch job's own trace, from its first call on.
    let context = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    service.asks_with(&client, 3_000, thread(7), &context);
    assert_eq!(evidence(&mut service, &in_trace(TRACE)), "line");
    assert_eq!(evidence(&mut service, &in_trace(&TRACE[16..])), "line", "its lower half");
    assert_eq!(evidence(&mut service, &in_trace(&TRACE[..16])), "claimed");
    let span_id = SpanId::new([7; 8]);
    let with_span = LogIds { span_id, ..in_trace(TRACE) };
    assert_eq!(evidence(&mut service, &with_span), "line");
}

#[test]
fn a_trace_that_a_request_came_with() {
    // B3 alone names the trace and no parent in the third.
    for fields in [
        format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01"),
        format!("X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: 00f067aa0ba902b7"),
        "X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736".to_owned(),
    ] {
        let mut service = Service::new().with_lines();
        let server = service.server(1);
        service.asked_with(&server, 1_000, nobody(), &fields);
        assert_eq!(evidence(&mut service, &in_trace(TRACE)), "line", "{fields}");
        // It was another process's request.
        let mut other = service.world.flow(SERVER);
        other.pid = 77;
        let theirs = TRACE.replace('4', "5");
        let context = format!("traceparent: 00-{theirs}-00f067aa0ba902b7-01");
        service.asked_with(&other, 2_000, nobody(), &context);
        assert_eq!(evidence(&mut service, &in_trace(&theirs)), "claimed", "{fields}");
    }
}

/// Without lines nothing is remembered for them.
#[test]
fn nobody_asks_for_lines() {
    let mut service = Service { world: World::new() };
    let server = service.server(1);
    let context = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    service.asked_with(&server, 1_000, nobody(), &context);
    assert_eq!(evidence(&mut service, &in_trace(TRACE)), "claimed");
}

/// What is over is known for a while and up to a number; then the oldest makes room.
#[test]
fn identifiers_do_not_pile_up() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    let id = |n: u64| format!("f47ac10b-58cc-4372-a567-0e02b2{n:06x}");
    for n in 0..=32_768 {
        service.asked_with(&server, 1_000 + n, nobody(), &format!("X-Request-ID: {}", id(n)));
        service.answers(&server, 1_000 + n, nobody());
    }
    service.late();
    assert_eq!(service.line(50_000, nobody(), &[&id(0)]), None);
    assert_eq!(service.line(50_000, nobody(), &[&id(1)]), Some((1_001, "request_id")));
    service.asked_with(&server, 3 * AFTER, nobody(), &format!("X-Request-ID: {R1}"));
    service.answers(&server, 3 * AFTER, nobody());
    assert_eq!(service.line(50_000, nobody(), &[&id(1)]), None);
}
