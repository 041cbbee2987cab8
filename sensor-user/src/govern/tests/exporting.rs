use super::*;

/// Left out, counted.
fn skips(world: &mut World, span: Span) -> bool {
    let before = world.count(Counter::SpansExisting);
    let shown = world.governor.shows(&span);
    let skipped = world.govern(span).is_none();
    assert_eq!(skipped, !shown);
    assert_eq!(world.count(Counter::SpansExisting) - before, u64::from(skipped));
    skipped
}

#[test]
fn what_a_process_exports_is_left_out() {
    let mut world = World::with(Existing::Skip);
    assert!(!skips(&mut world, server(1)) && !skips(&mut world, client(1, true)));
    assert!(!skips(&mut world, export(2)), "nobody else tells of the export");
    assert_eq!(world.count(Counter::ProcessesExporting), 1);
    // It had begun before.
    assert!(!skips(&mut world, server(2)));
    assert!(skips(&mut world, server(3)) && skips(&mut world, client(3, true)));
    // What the application does not know of, has not sampled, or another process did.
    assert!(!skips(&mut world, client(3, false)));
    assert!(!skips(&mut world, Span { parent_span_id: None, ..client(3, false) }));
    let unsampled = |span| Span { remote_sampled: Some(false), ..span };
    assert!(world.govern(unsampled(server(3))).is_none());
    assert_eq!(world.count(Counter::SpansNotSampled), 1, "that was sampling");
    for resource in [process(8, "shop"), process(7, "cart"), Arc::default()] {
        assert!(!skips(&mut world, Span { resource, ..server(3) }));
    }
    assert_eq!(world.count(Counter::SpansExisting), 2);
}

#[test]
fn an_unsampled_trace_exists_nowhere() {
    let sampler = Sampler::Fixed { root: Root::AlwaysOn, parent_based: false };
    let mut world =
        World::new(Settings { sampler, existing: Existing::Skip, ..Settings::default() });
    drop(world.govern(export(1)));
    for span in [server(2), client(2, true), client(2, false)] {
        let span = Span { remote_sampled: Some(false), ..span };
        let kept = world.govern(span.clone()).unwrap();
        assert_eq!(kept.parent_span_id, span.parent_span_id);
    }
}

#[test]
fn no_parent_is_left_hanging() {
    let mut world = World::with(Existing::Skip);
    let left = world.govern(client(1, false)).unwrap();
    assert!(left.parent_span_id.is_some());
    drop(world.govern(export(1)));
    let mut span = client(2, false);
    span.attributes.push(Attribute::new("sensor.parent.evidence", "context"));
    let left = world.govern(span).unwrap();
    assert_eq!(left.parent_span_id, None);
    assert_eq!(text(&left, existing::PARENT_MISSING), Some("existing"));
    assert_eq!(text(&left, "sensor.parent.evidence"), None);
    // One that never had a parent misses none.
    let root = world.govern(Span { parent_span_id: None, ..client(2, false) }).unwrap();
    assert_eq!(text(&root, existing::PARENT_MISSING), None);
}

#[test]
fn linked_ones_have_an_id_of_their_own() {
    let mut world = World::with(Existing::Link);
    drop(world.govern(export(1)));
    let before = client(2, true);
    let after = world.govern(before.clone()).unwrap();
    assert!(is_marked(&after));
    assert_ne!(after.span_id, before.span_id);
    assert_eq!(after.parent_span_id, before.parent_span_id);
    let Link { trace_id, span_id, .. } = after.links[0];
    assert_eq!((trace_id, span_id), (before.trace_id, before.span_id));
    assert_eq!(world.govern(before).unwrap().span_id, after.span_id, "always the same");
    let unlike = Span { span_id: SpanId::new([3; 8]).unwrap(), ..client(2, true) };
    assert_ne!(world.govern(unlike).unwrap().span_id, after.span_id);
    let before = server(2);
    let after = world.govern(before.clone()).unwrap();
    assert!(is_marked(&after) && after.span_id == before.span_id && after.links.is_empty());
    let beside = world.govern(client(2, false)).unwrap();
    assert!(!is_marked(&beside) && beside.parent_span_id.is_some());
    assert_eq!(world.count(Counter::SpansExisting), 0);
}

#[test]
fn kept_ones_are_as_they_were() {
    let mut world = World::with(Existing::Keep);
    drop(world.govern(export(1)));
    for span in [server(2), client(2, true), client(2, false)] {
        assert_eq!(world.govern(span.clone()), Some(span));
    }
    assert_eq!(world.count(Counter::ProcessesExporting), 1);
}

#[test]
fn only_exports_that_were_taken_count() {
    let mut world = World::with(Existing::Skip);
    let answered = |status: i64| {
        let mut span = export(1);
        span.attributes[1] = Attribute::new("http.response.status_code", status);
        span
    };
    let call = |code: Option<i64>| {
        let mut span = answered(200);
        span.attributes[0] = Attribute::new(
            "url.path",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        );
        let code = code.map(|code| Attribute::new("rpc.grpc.status_code", code));
        span.attributes.extend(code);
        span
    };
    let mut unanswered = export(1);
    unanswered.attributes.truncate(1);
    let unknown = Span { resource: Arc::default(), ..export(1) };
    for span in [answered(404), answered(503), unanswered, call(Some(14)), call(None), unknown] {
        drop(world.govern(span));
        assert!(!skips(&mut world, server(2)));
    }
    drop(world.govern(call(Some(0))));
    assert!(skips(&mut world, server(2)));
}

/// Each is sent and taken, and has its service hidden if it is believed.
#[test]
fn no_stranger_makes_an_exporter_of_a_service() {
    let webhook = |at| {
        let attributes = vec![
            Attribute::new("url.path", "/v1/traces"),
            Attribute::new("http.response.status_code", 200),
            Attribute::new("network.peer.address", "192.0.2.66"),
            Attribute::new("network.peer.port", 80),
        ];
        Span { attributes, exports_spans: Some(SpanExport::Plain), ..export(at) }
    };
    let mut world = World::with(Existing::Skip);
    for at in 1..100 {
        drop(world.govern(webhook(at)));
        assert!(!skips(&mut world, server(at + 1)), "{at} requests with JSON");
    }
    // What looks like an exporter's, but is sent within requests, at once, or to ever another address.
    let within =
        |at| Span { parent_span_id: SpanId::new([2; 8]), ..export_to([192, 0, 2, 66], at) };
    let at_once = |at| {
        let nanoseconds = 100_000_000 + at * 20_000_000;
        Span { end_unix_ns: 200 * SECOND + nanoseconds, ..export_to([192, 0, 2, 66], 200) }
    };
    let elsewhere = |at: u64| export_to([192, 0, 2, u8::try_from(at).unwrap()], at);
    let slowly = |at| export_to([192, 0, 2, 66], 301 * at);
    let exports: [&dyn Fn(u64) -> Span; 4] = [&within, &at_once, &elsewhere, &slowly];
    for export in exports {
        let mut world = World::with(Existing::Skip);
        for at in 1..40 {
            drop(world.govern(export(at)));
            assert!(!skips(&mut world, server(100_000)));
        }
        assert_eq!(world.count(Counter::ProcessesExporting), 0);
    }
}

#[test]
fn the_third_typical_export_is_proof() {
    let mut world = World::with(Existing::Skip);
    let to = |at: u64, tenths: u64| {
        let span = export_to([192, 0, 2, 66], at);
        Span { end_unix_ns: at * SECOND + tenths * 100_000_000, ..span }
    };
    // Two destinations, as some have them; one of them too early to count.
    for span in [to(1, 0), export_to([192, 0, 2, 67], 1), to(1, 4), to(1, 5)] {
        drop(world.govern(span));
        assert!(!skips(&mut world, server(10)));
    }
    drop(world.govern(to(2, 0)));
    assert!(!skips(&mut world, server(1)), "it had begun before");
    assert!(skips(&mut world, server(10)));
    assert_eq!(world.count(Counter::ProcessesExporting), 1);
}

/// Where a process is configured to export, by the variables of the specification.
#[test]
fn an_export_to_the_configured_endpoint_is_proof() {
    const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let proves = |host: &str, of_http: &str, name: &'static str, address: &str, port: i64, path| {
        let mut world = World::with(Existing::Skip);
        let endpoint = SpanEndpoint { host: host.into(), port: 4318, path: of_http.into() };
        let resource = Resource {
            attributes: process(7, "shop").attributes.clone(),
            span_endpoints: vec![endpoint],
        };
        let attributes = vec![
            Attribute::new("url.path", path),
            Attribute::new("http.response.status_code", 200),
            Attribute::new("rpc.grpc.status_code", 0),
            Attribute::new("server.address", name),
            Attribute::new("network.peer.address", address.to_owned()),
            Attribute::new("network.peer.port", port),
        ];
        let exports_spans = Some(SpanExport::Plain);
        let resource = Arc::new(resource);
        drop(world.govern(Span { attributes, exports_spans, resource, ..export(1) }));
        skips(&mut world, server(2))
    };
    let traces = "/v1/traces";
    assert!(proves("collector", traces, "Collector.", "10.0.0.9", 4318, traces));
    assert!(proves("10.0.0.9", traces, "collector", "10.0.0.9", 4318, traces));
    assert!(proves("localhost", traces, "localhost", "127.0.0.1", 4318, traces));
    assert!(proves("localhost", traces, "localhost", "::1", 4318, traces));
    assert!(
        proves("collector", "/", "collector", "10.0.0.9", 4318, EXPORT),
        "gRPC has its own path"
    );
    assert!(!proves("collector", traces, "attacker", "10.0.0.9", 4318, traces));
    assert!(!proves("collector", traces, "collector", "10.0.0.9", 80, traces));
    assert!(!proves("collector", traces, "collector", "10.0.0.9", 4318, "/hooks/v1/traces"));
    assert!(!proves("10.0.0.9", traces, "10.0.0.9", "192.0.2.66", 4318, traces));
    assert!(!proves("localhost", traces, "localhost", "192.0.2.66", 4318, traces));
}

/// A collector, an agent, a proxy: first its own export ends, then the request that it is of.
#[test]
fn who_passes_on_spans_of_others_has_none_of_its_own() {
    let mut world = World::with(Existing::Skip);
    let received = Span { exports_spans: Some(SpanExport::Plain), ..server(1) };
    drop(world.govern(export(1)));
    // It began before its export ended, as that is what it waited for.
    assert!(world.keeps(received.clone()));
    assert!(!skips(&mut world, server(2)));
    drop(world.govern(export(3)));
    assert!(!skips(&mut world, server(4)), "it stays what it is");
    assert!(!skips(&mut world, client(4, true)));
}

#[test]
fn who_exports_no_more_is_forgotten_and_who_is_quiet_is_not() {
    let mut world = World::with(Existing::Skip);
    drop(world.govern(export(1)));
    let day = 24 * 3600;
    assert!(skips(&mut world, server(day)), "nothing to export until then");
    assert!(skips(&mut world, server(day + 299)));
    drop(world.govern(export(day + 300)));
    assert!(skips(&mut world, server(2 * day)));
    assert!(skips(&mut world, server(2 * day + 299)));
    assert!(!skips(&mut world, server(2 * day + 301)), "its own would have come by now");
    assert!(!skips(&mut world, server(2 * day + 302)));
    drop(world.govern(export(2 * day + 303)));
    assert!(skips(&mut world, server(2 * day + 304)));
    assert_eq!(world.count(Counter::ProcessesExporting), 1);
}

#[test]
fn many_processes_are_bounded() {
    let mut world = World::with(Existing::Skip);
    let of = |pid, span| Span { resource: process(pid, "shop"), ..span };
    for pid in 1..=4097 {
        drop(world.govern(of(pid, export(pid.unsigned_abs()))));
    }
    assert!(!skips(&mut world, of(1, server(5000))), "its export is the oldest");
    assert!(skips(&mut world, of(2, server(5000))) && skips(&mut world, of(4097, server(5000))));
}

/// Another program under the id of one that exported.
#[test]
fn an_id_is_used_again() {
    let mut world = World::with(Existing::Skip);
    drop(world.govern(export(1)));
    let cart = |span| Span { resource: process(7, "cart"), ..span };
    assert!(!skips(&mut world, cart(server(2))));
    drop(world.govern(cart(export(3))));
    assert!(skips(&mut world, cart(server(4))));
    assert!(!skips(&mut world, server(4)));
}
