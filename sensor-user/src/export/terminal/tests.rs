//! Golden output, written by hand from the contract.

mod records;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    Clock, JsonLines, Pretty, PrettyOptions, ServiceCount, SpanWriter, Summary, Tree, footer,
};
use crate::export::testing::{resource, span_of};
use crate::metrics::{Counter, Metrics};
use crate::model::{
    Attribute, Link, Span, SpanEvent, SpanId, SpanKind, Status, TraceFlags, TraceId,
};

fn json(span: &Span) -> String {
    let mut out = Vec::new();
    JsonLines::new(&mut out).span(span).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_json_line_carries_everything() {
    let span = Span {
        parent_span_id: SpanId::new([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]),
        trace_state: Some("congo=t61rcWkgMzE".into()),
        name: "GET /cart".into(),
        status: Status::Error,
        attributes: vec![
            Attribute::new("url.path", "/\"\\\n\u{1b}\u{7f}é\u{fffd}"),
            Attribute::new("http.response.status_code", 503),
            Attribute::new("sensor.inferred", true),
            Attribute::new("http.request.header.x", vec!["a".to_owned(), "b".to_owned()]),
        ],
        events: vec![
            SpanEvent {
                time_unix_ns: 1_700_000_000_124_000_000,
                name: "http.response.first_byte",
                attributes: vec![Attribute::new("n", -1)],
            },
            SpanEvent { time_unix_ns: 1, name: "bare", attributes: vec![] },
        ],
        links: vec![Link {
            trace_id: TraceId::new([7; 16]).unwrap(),
            span_id: SpanId::new([8; 8]).unwrap(),
            attributes: vec![Attribute::new("why", "pipelined")],
        }],
        ..span_of(&resource("shop"), 0xb7)
    };
    let expected = [
        r#"{"type":"span","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""span_id":"00f067aa0ba902b7","parent_span_id":"b7ad6b7169203331","trace_flags":1,"#,
        r#""trace_state":"congo=t61rcWkgMzE","name":"GET /cart","kind":"server","#,
        r#""start_time_unix_nano":1700000000123456789,"end_time_unix_nano":1700000000125000000,"#,
        r#""status":"error","attributes":{"url.path":"/\"\\\n\u001b"#,
        "\u{7f}é\u{fffd}",
        r#"","http.response.status_code":503,"sensor.inferred":true,"#,
        r#""http.request.header.x":["a","b"]},"resource":{"service.name":"shop"},"#,
        r#""events":[{"time_unix_nano":1700000000124000000,"name":"http.response.first_byte","#,
        r#""attributes":{"n":-1}},{"time_unix_nano":1,"name":"bare"}],"#,
        r#""links":[{"trace_id":"07070707070707070707070707070707","span_id":"0808080808080808","#,
        r#""attributes":{"why":"pipelined"}}]}"#,
        "\n",
    ]
    .concat();
    assert_eq!(json(&span), expected);
}

#[test]
fn in_json_the_unknown_is_absent() {
    let span = Span {
        kind: SpanKind::Client,
        flags: TraceFlags(0),
        attributes: vec![],
        resource: Arc::default(),
        ..span_of(&Arc::default(), 1)
    };
    assert_eq!(
        json(&span),
        "{\"type\":\"span\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\
         \"span_id\":\"00f067aa0ba90201\",\"trace_flags\":0,\"name\":\"GET\",\"kind\":\"client\",\
         \"start_time_unix_nano\":1700000000123456789,\"end_time_unix_nano\":1700000000125000000,\
         \"status\":\"unset\"}\n"
    );
}

#[test]
fn what_goes_on_has_no_end_and_no_status() {
    let span = Span { attributes: vec![], ..span_of(&Arc::default(), 1) };
    let mut out = Vec::new();
    JsonLines::new(&mut out).open(&span).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"type\":\"open\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\
         \"span_id\":\"00f067aa0ba90201\",\"trace_flags\":1,\"name\":\"GET\",\"kind\":\"server\",\
         \"start_time_unix_nano\":1700000000123456789,\"seen_time_unix_nano\":1700000000125000000}\n"
    );
    let mut out = Vec::new();
    Pretty::new(&mut out, PLAIN).open(&span_of(&resource("shop"), 1)).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "22:13:20.123   ⇐ shop             GET     /cart                  open   1.54ms  -                     4bf92f35\n"
    );
}

#[test]
fn a_call_ends_with_its_own_status() {
    let mut span = span_of(&resource("shop"), 1);
    span.attributes.push(Attribute::new("rpc.grpc.status_code", 5));
    let line = pretty(PLAIN, &[span]);
    assert!(line.contains(" NOT_FOUND "), "{line}");
}

#[test]
fn the_json_summary_carries_every_counter() {
    let metrics = Metrics::default();
    metrics.add(Counter::ExchangesSpans, 7);
    let summary = Summary {
        elapsed: Duration::from_millis(1500),
        counters: metrics.snapshot().map(|(name, n)| (name.to_owned(), n)).collect(),
        by_service: vec![("shop".into(), ServiceCount { server: 4, client: 3, errors: 1 })],
    };
    let mut out = Vec::new();
    JsonLines::new(&mut out).summary(&summary).unwrap();
    assert_eq!(out.last(), Some(&b'\n'));
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["type"], "summary");
    assert_eq!(value["elapsed_nano"], 1_500_000_000);
    let counters = value["counters"].as_object().unwrap();
    assert_eq!(counters.len(), crate::metrics::CATALOGUE.len());
    assert_eq!(counters["exchanges.spans"], 7);
    assert_eq!(counters["otlp.lost.failed"], 0);
    let count = serde_json::json!({"shop": {"server": 4, "client": 3, "errors": 1}});
    assert_eq!(value["spans_by_service"], count);
}

#[test]
fn a_closed_pipe_is_told() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = JsonLines::new(Closed).span(&span_of(&Arc::default(), 1)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

const PLAIN: PrettyOptions =
    PrettyOptions { colour: false, width: Some(110), full_trace_ids: false, clock: Clock::Utc };

fn pretty(options: PrettyOptions, spans: &[Span]) -> String {
    let mut out = Vec::new();
    let mut pretty = Pretty::new(&mut out, options);
    spans.iter().for_each(|span| pretty.span(span).unwrap());
    String::from_utf8(out).unwrap()
}

/// 1,700,000,000 s after the epoch is 22:13:20 UTC.
#[test]
fn pretty_lines_are_aligned() {
    let mut server = span_of(&resource("shop"), 1);
    server.attributes.extend([
        Attribute::new("url.query", "user=7"),
        Attribute::new("client.address", "10.0.0.7"),
        Attribute::new("client.port", 41822),
    ]);
    let mut client = Span { kind: SpanKind::Client, ..span_of(&resource("front"), 2) };
    client.status = Status::Error;
    client.end_unix_ns = client.start_unix_ns + 2_345_000_000;
    client.attributes = vec![
        Attribute::new("http.request.method", "POST"),
        Attribute::new("url.full", "http://shop:8080/cart"),
        Attribute::new("error.type", "connection_reset"),
        Attribute::new("server.address", "fd00::1"),
        Attribute::new("server.port", 8080),
    ];
    let mut other = span_of(&Arc::default(), 3);
    other.trace_id = TraceId::new([9; 16]).unwrap();
    other.attributes.clear();
    assert_eq!(
        pretty(PLAIN, &[server, client, other]),
        "22:13:20.123   ⇐ shop             GET     /cart?user=7            200   1.54ms  10.0.0.7:41822        4bf92f35\n\
         22:13:20.123  └⇒ front            POST    http://shop… connection_reset    2.34s  [fd00::1]:8080        4bf92f35\n\
         22:13:20.123   ⇐ -                -       -                         -   1.54ms  -                     09090909\n"
    );
}

#[test]
fn pretty_fits_the_width() {
    let mut span = span_of(&resource("a-service-with-a-long-name"), 1);
    span.attributes[1] = Attribute::new("url.path", "/long".repeat(50));
    for width in [100, 120, 200] {
        let line =
            pretty(PrettyOptions { width: Some(width), ..PLAIN }, std::slice::from_ref(&span));
        assert_eq!(line.trim_end_matches('\n').chars().count(), width, "{line}");
        assert!(line.contains(" a-service-with-… "), "{line}");
    }
    // Too narrow is long, not broken; and without a terminal nothing is cut.
    assert!(
        pretty(PrettyOptions { width: Some(1), ..PLAIN }, std::slice::from_ref(&span))
            .contains("/long/long/…")
    );
    assert!(pretty(PrettyOptions { width: None, ..PLAIN }, &[span]).contains(&"/long".repeat(50)));
}

#[test]
fn colour_only_where_asked_for() {
    let span = span_of(&resource("shop"), 1);
    assert!(!pretty(PLAIN, std::slice::from_ref(&span)).contains('\u{1b}'));
    let coloured = pretty(PrettyOptions { colour: true, ..PLAIN }, std::slice::from_ref(&span));
    assert!(coloured.contains("\u{1b}[32m200\u{1b}[0m"), "{coloured:?}");
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((text, after)) = rest.split_once("\u{1b}[") {
        stripped += text;
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(stripped + rest, pretty(PLAIN, std::slice::from_ref(&span)));
    let full = pretty(PrettyOptions { full_trace_ids: true, ..PLAIN }, &[span]);
    assert!(full.ends_with(" 4bf92f3577b34da6a3ce929d0e0e4736\n"), "{full}");
}

#[test]
fn durations_for_people() {
    for (ns, text) in [
        (0, "0ns"),
        (812, "812ns"),
        (4_209, "4.20µs"),
        (31_560_000, "31.5ms"),
        (117_900_000, "117ms"),
        (999_999_999, "999ms"),
        (1_250_000_000, "1.25s"),
        (59_999_999_999, "59.9s"),
        (123_000_000_000, "2m03s"),
    ] {
        assert_eq!(super::text::duration(ns), text);
    }
}

proptest! {
    /// Whatever the wire carried, it is one line and moves no cursor.
    #[test]
    fn nothing_from_the_wire_acts_on_the_terminal(
        path in ".*",
        texts in proptest::collection::vec(any::<String>(), 4),
    ) {
        let [service, method, error, address] = texts.try_into().unwrap();
        let mut span = span_of(&Arc::new(crate::model::Resource {
            attributes: vec![Attribute::new("service.name", service.clone())],
            ..crate::model::Resource::default()
        }), 1);
        span.attributes = vec![
            Attribute::new("url.path", path),
            Attribute::new("http.request.method", method),
            Attribute::new("error.type", error),
            Attribute::new("client.address", address),
        ];
        let line = pretty(PLAIN, std::slice::from_ref(&span));
        let body = line.strip_suffix('\n').unwrap();
        let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        prop_assert_eq!(body.find(acts), None);

        // And as JSON it is one line that reads back as it was.
        let line = json(&span);
        prop_assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(value["resource"]["service.name"].as_str(), Some(service.as_str()));
    }
}

#[test]
fn the_footer_names_every_loss() {
    let counters = [
        ("connections.seen", 12),
        ("connections.not_http", 3),
        ("exchanges.seen", 110),
        ("exchanges.spans", 100),
        ("exchanges.lost.gap", 4),
        ("exchanges.lost.evicted", 0),
        ("otlp.lost.queue_full", 5),
        ("otlp.sent", 95),
        ("output.lost", 1),
    ];
    let line = "connections 12 · captured 110 · spans 100 · lost 10 (gap 4, otlp queue full 5, \
                output 1) · not HTTP 3";
    assert_eq!(footer(counters, None), line);
    assert_eq!(footer(counters, Some(20)), "connections 12 · ca…");
    assert_eq!(footer([], None), "connections 0 · captured 0 · spans 0 · lost 0");
}

#[test]
fn the_pretty_summary_counts_by_service() {
    let mut summary = Summary { elapsed: Duration::from_secs(20), ..Summary::default() };
    summary.count(&span_of(&resource("shop"), 1));
    summary.count(&Span { status: Status::Error, ..span_of(&resource("shop"), 2) });
    summary.count(&Span { kind: SpanKind::Client, ..span_of(&resource("front"), 3) });
    summary.count(&span_of(&Arc::default(), 4));
    summary.counters = vec![("exchanges.spans".into(), 4), ("exchanges.lost.gap".into(), 0)];
    let mut out = Vec::new();
    Pretty::new(&mut out, PLAIN).summary(&summary).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "20.0s of traffic",
        "shop                              2          0          1",
        "front                             0          1          0",
        "connections 0 · captured 0 · spans 4 · lost 0",
    ] {
        assert!(text.lines().any(|it| it.trim_end() == line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("exchanges.lost.gap"));
}

/// The exchanges of a trace as a tree, whatever the order in which they come.
#[test]
fn a_tree_per_trace() {
    let of = |service, kind, id, parent: u8, start, path: &'static str| {
        let mut span = Span { kind, ..span_of(&resource(service), id) };
        span.parent_span_id = (parent > 0).then(|| span_of(&resource(service), parent).span_id);
        span.start_unix_ns += start;
        span.attributes[1] = Attribute::new("url.path", path);
        span
    };
    let (client, server) = (SpanKind::Client, SpanKind::Server);
    let mut audit = of("shop", client, 4, 2, 300, "/audit");
    audit.attributes.push(Attribute::new("sensor.parent.evidence", "event_loop"));
    let mut stray = of("late", server, 7, 99, 900, "/stray");
    stray.attributes.push(Attribute::new("sensor.parent.missing", "outlived"));
    let mut spans = [
        of("front", client, 1, 0, 0, "/cart"),
        of("shop", server, 2, 1, 0, "/cart"),
        of("shop", client, 3, 2, 200, "/stock"),
        of("inventory", server, 5, 3, 250, "/stock"),
        audit,
        stray,
    ];
    let options = PrettyOptions { width: None, ..PLAIN };
    for _ in 0..spans.len() {
        spans.rotate_left(1);
        let mut out = Vec::new();
        let mut tree = Tree::new(&mut out, options);
        spans.iter().for_each(|span| tree.span(span).unwrap());
        let due = tree.due().expect("a trace waits");
        tree.rest(due - Duration::from_millis(1)).unwrap();
        assert!(tree.due().is_some());
        tree.rest(due).unwrap();
        assert_eq!(tree.due(), None);
        let expected = "\
22:13:20.123  ⇒ front                            GET     /cart                                200   1.54ms  4bf92f35
              └ ⇐ shop                           GET     /cart                                200   1.54ms
                ├ ⇒ shop                         GET     /stock                               200   1.54ms
                │ └ ⇐ inventory                  GET     /stock                               200   1.54ms
                └ ⇒ shop                         GET     /audit                               200   1.54ms  by event loop
22:13:20.123  ⇐ late                             GET     /stray                               200   1.54ms  4bf92f35  outlived
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

/// A loop of parents, which only a broken application can make, is written and not followed for ever.
#[test]
fn a_tree_of_a_loop() {
    let mut spans = [span_of(&resource("a"), 1), span_of(&resource("b"), 2)];
    spans[0].parent_span_id = Some(spans[1].span_id);
    spans[1].parent_span_id = Some(spans[0].span_id);
    let mut twice = span_of(&resource("c"), 1);
    twice.parent_span_id = None;
    let mut out = Vec::new();
    let mut tree = Tree::new(&mut out, PLAIN);
    for span in spans.iter().chain([&twice]) {
        tree.span(span).unwrap();
    }
    tree.summary(&Summary::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    let services: Vec<_> = text
        .lines()
        .filter(|line| line.contains("/cart"))
        .map(|line| line.contains(" b "))
        .collect();
    assert_eq!(services, [false, true, false], "{text}");
}
