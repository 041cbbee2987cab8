//! Trace contexts other than W3C's, and identifiers, on HTTP/1.

use super::world::texts;
use super::*;

const T: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const S: &str = "e457b5a2e4d86bd1";

fn ask(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// What both ends of a request make of it, the server's first; without those that are not sampled.
fn both(fields: &str) -> (World, Vec<Span>) {
    let mut world = World::new();
    let (client, server) = (world.flow(CLIENT), world.flow(SERVER));
    world.send(&client, 1_000, &ask(fields));
    world.receive(&server, 1_500, &ask(fields));
    world.send(&server, 2_000, RESPONSE_EMPTY);
    world.receive(&client, 2_500, RESPONSE_EMPTY);
    let mut spans = std::mem::take(&mut world.spans);
    // The server's first.
    spans.sort_by_key(|span| span.kind == SpanKind::Client);
    (world, spans)
}

const RESPONSE_EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn each_format_names_the_parent() {
    let root = format!("1-{}-{}", &T[..8], &T[8..]);
    let low = u64::from_str_radix(&T[16..], 16).unwrap();
    let parent = u64::from_str_radix(S, 16).unwrap();
    for (fields, format) in [
        (format!("B3: {T}-{S}-1\r\n"), "b3"),
        (format!("X-B3-TraceId: {T}\r\nX-B3-SpanId: {S}\r\nX-B3-Sampled: 1\r\n"), "b3multi"),
        (format!("Uber-Trace-Id: {T}:{S}:0:1\r\n"), "jaeger"),
        (
            format!(
                "x-datadog-trace-id: {low}\r\nx-datadog-parent-id: {parent}\r\n\
                 x-datadog-tags: _dd.p.tid={}\r\n",
                &T[..16]
            ),
            "datadog",
        ),
        (format!("X-Amzn-Trace-Id: Root={root};Parent={S};Sampled=1\r\n"), "xray"),
    ] {
        let (_, spans) = both(&fields);
        let [server, client] = &spans[..] else { panic!("{fields}: {spans:?}") };
        for span in [server, client] {
            assert_eq!(span.trace_id.to_string(), T, "{fields}");
            assert_eq!(text(span, "sensor.context.format"), Some(format));
            assert_eq!(span.flags.0, 1);
        }
        // The client's span is the one that the application minted.
        assert_eq!(client.span_id.to_string(), S);
        assert_eq!(server.parent_span_id.map(|id| id.to_string()).as_deref(), Some(S));
    }
}

#[test]
fn the_sampling_decision_is_honoured() {
    for fields in [
        format!("b3: {T}-{S}-0\r\n"),
        "b3: 0\r\n".to_owned(),
        "X-B3-Sampled: 0\r\n".to_owned(),
        format!("uber-trace-id: {T}:{S}:0:0\r\n"),
        "x-datadog-trace-id: 5\r\nx-datadog-sampling-priority: -1\r\n".to_owned(),
        format!("x-amzn-trace-id: Root=1-{}-{};Sampled=0\r\n", &T[..8], &T[8..]),
    ] {
        let (_, spans) = both(&fields);
        for span in &spans {
            let sampled = (span.flags.sampled(), span.remote_sampled);
            assert_eq!(sampled, (false, Some(false)), "{fields}");
        }
        assert_eq!(spans.len(), 2);
    }
    // Deferred, or nothing but a decision to record it.
    for fields in [format!("b3: {T}-{S}\r\n"), "b3: d\r\n".to_owned()] {
        assert_eq!(both(&fields).1.len(), 2, "{fields}");
    }
}

#[test]
fn a_trace_without_a_parent() {
    let root = format!("1-{}-{}", &T[..8], &T[8..]);
    let (_, spans) = both(&format!("X-Amzn-Trace-Id: Self=1-67891234-12456789;Root={root}\r\n"));
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(server.trace_id.to_string(), T);
    assert_eq!(client.trace_id.to_string(), T);
    assert_ne!(server.span_id, client.span_id);
    assert_eq!((server.parent_span_id, client.parent_span_id), (Some(client.span_id), None));
    // Only a decision: the trace is derived, the same at both ends.
    let (_, spans) = both("b3: 1\r\n");
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(server.trace_id, client.trace_id);
    assert_eq!((server.parent_span_id, client.parent_span_id), (Some(client.span_id), None));
}

#[test]
fn w3c_counts_first_and_the_state_is_its_own() {
    let w3c = format!("traceparent: 00-{T}-{S}-01\r\ntracestate: a=1\r\n");
    let (world, spans) = both(&format!("uber-trace-id: abc:1:0:1\r\n{w3c}"));
    assert_eq!(spans[0].trace_id.to_string(), T);
    assert_eq!(spans[0].trace_state.as_deref(), Some("a=1"));
    assert_eq!(text(&spans[0], "sensor.context.format"), None);
    assert_eq!(texts(&spans[0], "sensor.context.conflict"), Some(vec!["jaeger".to_owned()]));
    assert_eq!(world.count(Counter::ContextsConflicting), 2);
    // A malformed one is not there, and its state is nobody's.
    let (world, spans) =
        both("traceparent: 00-x\r\ntracestate: a=1\r\nb3: abc\r\nuber-trace-id: abc:1:0:1\r\n");
    assert_eq!(
        spans[0].parent_span_id.map(|id| id.to_string()).as_deref(),
        Some("0000000000000001")
    );
    assert_eq!(spans[0].trace_state, None);
    let counters =
        [Counter::TraceparentMalformed, Counter::B3Malformed, Counter::ContextsConflicting];
    assert_eq!(counters.map(|counter| world.count(counter)), [2, 2, 0]);
}

#[test]
fn identifiers_of_both_messages() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1_000, &ask("X-Request-ID: abc\r\nX-Correlation-Id: d\r\n"));
    world.send(
        &flow,
        2_000,
        "HTTP/1.1 204 No Content\r\nX-Request-Id: abc\r\ntraceresponse: 00-x\r\n\
         X-Amzn-Trace-Id: Root=1-x\r\nDate: x\r\n\r\n",
    );
    let span = world.one();
    let values = [
        ("http.request.header.x-request-id", "abc"),
        ("http.request.header.x-correlation-id", "d"),
        ("http.response.header.x-request-id", "abc"),
        ("http.response.header.traceresponse", "00-x"),
        ("http.response.header.x-amzn-trace-id", "Root=1-x"),
    ];
    for (key, value) in values {
        assert_eq!(texts(&span, key), Some(vec![value.to_owned()]), "{key}");
    }
    // None of these is a context.
    assert_eq!(text(&span, "sensor.context.format"), None);
    assert_eq!(span.parent_span_id, None);
}

#[test]
fn an_answer_that_is_seen_first_has_its_identifiers_too() {
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    world.receive(&flow, 1_000, "HTTP/1.1 204 No Content\r\nX-Trace-Id: t\r\n\r\n");
    world.send(&flow, 2_000, &ask(""));
    let told = texts(&world.one(), "http.response.header.x-trace-id");
    assert_eq!(told, Some(vec!["t".to_owned()]));
}

#[test]
fn what_is_read_can_be_chosen() {
    let mut world = World::new();
    let settings = context::Settings::new(Some(&["X-Order".to_owned()]), &["tier".to_owned()]);
    let empty = Pipeline::new(Limits::default(), Arc::default());
    let pipeline = std::mem::replace(&mut world.pipeline, empty);
    world.pipeline = pipeline.reading(settings.unwrap());
    let flow = world.flow(SERVER);
    let fields = "x-order: 7\r\nx-request-id: no\r\nbaggage: tier=gold,user=x\r\n";
    world.exchange(&flow, &ask(fields));
    let span = world.one();
    assert_eq!(texts(&span, "http.request.header.x-order"), Some(vec!["7".to_owned()]));
    assert_eq!(texts(&span, "http.request.header.x-request-id"), None);
    assert_eq!(text(&span, "baggage.tier"), Some("gold"));
    assert_eq!(text(&span, "baggage.user"), None);
}
