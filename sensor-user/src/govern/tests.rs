use proptest::prelude::*;

use super::*;
use crate::model::{Link, Resource, SpanId, SpanKind, TraceFlags, TraceId, Value};

const SECOND: u64 = 1_000_000_000;
const T: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn trace(id: u128) -> TraceId {
    TraceId::new(id.to_be_bytes()).unwrap()
}

fn process(pid: i64, service: &str) -> Arc<Resource> {
    let service = Attribute::new("service.name", service.to_owned());
    Arc::new(Resource { attributes: vec![service, Attribute::new("process.pid", pid)] })
}

/// A server span of one millisecond that begins at second `at`, with a caller's parent.
fn server(at: u64) -> Span {
    Span {
        trace_id: trace(T),
        span_id: SpanId::new([2; 8]).unwrap(),
        parent_span_id: SpanId::new([1; 8]),
        flags: TraceFlags(1),
        remote_sampled: None,
        minted: false,
        exports_spans: false,
        trace_state: None,
        name: "GET".into(),
        kind: SpanKind::Server,
        start_unix_ns: at * SECOND,
        end_unix_ns: at * SECOND + 1_000_000,
        status: Status::Unset,
        attributes: vec![
            Attribute::new("url.path", "/"),
            Attribute::new("http.response.status_code", 200),
        ],
        events: Vec::new(),
        links: Vec::new(),
        resource: process(7, "shop"),
    }
}

fn client(at: u64, minted: bool) -> Span {
    Span { kind: SpanKind::Client, minted, ..server(at) }
}

/// A successful export of spans.
fn export(at: u64) -> Span {
    Span { exports_spans: true, parent_span_id: None, ..client(at, false) }
}

struct World {
    governor: Governor,
    metrics: Arc<Metrics>,
}

impl World {
    fn new(settings: Settings) -> Self {
        let metrics = Arc::new(Metrics::default());
        Self { governor: Governor::new(settings, Arc::clone(&metrics)), metrics }
    }

    fn fixed(root: Root, parent_based: bool) -> Self {
        Self::new(Settings {
            sampler: Sampler::Fixed { root, parent_based },
            ..Settings::default()
        })
    }

    fn with(existing: Existing) -> Self {
        Self::new(Settings { existing, ..Settings::default() })
    }

    fn govern(&mut self, span: Span) -> Option<Span> {
        self.governor.govern(span)
    }

    fn keeps(&mut self, span: Span) -> bool {
        self.govern(span).is_some()
    }

    fn count(&self, counter: Counter) -> u64 {
        self.metrics.get(counter)
    }
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find(|it| it.key == key).and_then(|it| match &it.value {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    })
}

fn is_marked(span: &Span) -> bool {
    span.attributes.contains(&Attribute::new(existing::EXISTING, true))
}

/// What opentelemetry-sdk 1.45.2 (Python) and go.opentelemetry.io/otel/sdk 1.47.0 say of these traces
/// at 0, 0.01, 0.25, 0.5, 0.9 and 1.
#[test]
fn a_ratio_is_that_of_the_sdks() {
    const RATIOS: [f64; 6] = [0.0, 0.01, 0.25, 0.5, 0.9, 1.0];
    let golden = [
        ("4bf92f3577b34da6a3ce929d0e0e4736", [false, false, false, false, true, true]),
        ("0af7651916cd43dd8448eb211c80319c", [false, false, false, false, true, true]),
        ("00000000000000000000000000000001", [false, true, true, true, true, true]),
        ("0000000000000001ffffffffffffffff", [false, false, false, false, false, true]),
        ("00000000000000003fffffffffffffff", [false, false, true, true, true, true]),
        ("00000000000000004000000000000000", [false, false, false, true, true, true]),
        ("00000000000000007fffffffffffffff", [false, false, false, true, true, true]),
        ("00000000000000008000000000000000", [false, false, false, false, true, true]),
        ("ffffffffffffffff0000000000000000", [false, true, true, true, true, true]),
        ("0000000000000000028f5c28f5c28f5f", [false, true, true, true, true, true]),
        ("0000000000000000028f5c28f5c28f60", [false, false, true, true, true, true]),
        ("0000000000000000028f5c28f5c28f61", [false, false, true, true, true, true]),
        ("512f26ada3c3d634ac3c6b12b7b33cb5", [false, false, false, false, true, true]),
        ("628b49d96dcde97a430dd4f597705899", [false, false, false, true, true, true]),
        ("c44474038d459e40e4714afefa7bf8da", [false, false, false, false, true, true]),
        ("cece8a9cecfb6c7e7ee4f3346d5e2544", [false, false, false, true, true, true]),
        ("a2f1a68a3cf7bab14245ba34e6a348b6", [false, false, false, true, true, true]),
        ("f413e43d74f8178745c1acb48b274143", [false, false, false, true, true, true]),
    ];
    for (id, expected) in golden {
        let id = trace(u128::from_str_radix(id, 16).unwrap());
        assert_eq!(RATIOS.map(|ratio| Ratio::new(ratio).unwrap().samples(id)), expected, "{id}");
    }
    for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Ratio::new(wrong), None);
    }
    assert_eq!(Ratio::new(1.0), Some(Ratio::ONE));
}

proptest! {
    /// One trace, one decision, whatever else a span is; and more at a greater ratio.
    #[test]
    fn a_trace_stays_whole(
        id in 1..=u128::MAX,
        a in 0.0..=1.0f64,
        b in 0.0..=1.0f64,
        at in 0..1000u64,
        minted: bool,
    ) {
        let keeps = |ratio| {
            let mut world = World::fixed(Root::TraceIdRatio(Ratio::new(ratio).unwrap()), false);
            let spans = [server(at), client(at + 1, minted), server(1)];
            let kept = spans.map(|span| world.keeps(Span { trace_id: trace(id), ..span }));
            assert_eq!(kept, [kept[0]; 3]);
            kept[0]
        };
        prop_assert!(!keeps(a.min(b)) || keeps(a.max(b)));
    }

    /// A ratio is one: within five standard deviations.
    #[test]
    fn a_ratio_keeps_its_part(ratio in 0.0..=1.0f64, seed: u64) {
        const COUNT: u32 = 4000;
        let sampled = Ratio::new(ratio).unwrap();
        let ids = (0..COUNT).map(|n| {
            use std::hash::Hasher;
            let mut hash = siphasher::sip::SipHasher13::new_with_keys(seed, 0);
            hash.write_u32(n);
            trace(1 << 64 | u128::from(hash.finish()))
        });
        let kept = ids.filter(|&id| sampled.samples(id)).count() as f64;
        let count = f64::from(COUNT);
        let deviation = (count * ratio * (1.0 - ratio)).sqrt().max(1.0);
        prop_assert!((kept - count * ratio).abs() <= 5.0 * deviation);
    }
}

/// The table of ParentBased in the specification, and that the others ignore the parent.
#[test]
fn callers_decide_where_they_are_asked() {
    let half = Root::TraceIdRatio(Ratio::new(0.5).unwrap());
    let in_half = trace(1);
    // For: none, sampled, not sampled.
    for (root, parent_based, id, expected) in [
        (Root::AlwaysOn, true, trace(T), [true, true, false]),
        (Root::AlwaysOff, true, trace(T), [false, true, false]),
        (half, true, trace(T), [false, true, false]),
        (half, true, in_half, [true, true, false]),
        (Root::AlwaysOn, false, trace(T), [true; 3]),
        (Root::AlwaysOff, false, trace(T), [false; 3]),
        (half, false, trace(T), [false; 3]),
        (half, false, in_half, [true; 3]),
    ] {
        let mut world = World::fixed(root, parent_based);
        let kept = [None, Some(true), Some(false)].map(|remote_sampled| {
            let span = Span { trace_id: id, remote_sampled, ..server(1) };
            assert_eq!(world.governor.shows(&span), world.keeps(span.clone()));
            world.keeps(span)
        });
        assert_eq!(kept, expected, "{root:?} {parent_based}");
        let left_out = 2 * expected.iter().filter(|kept| !**kept).count() as u64;
        assert_eq!(world.count(Counter::SpansNotSampled), left_out);
        let remote = if parent_based { 2 } else { 0 };
        assert_eq!(world.count(Counter::SpansNotSampledRemote), remote);
    }
}

#[test]
fn the_flag_is_the_samplers_and_a_threshold_the_callers() {
    let told = |root, parent_based, remote: bool| {
        let mut world = World::fixed(root, parent_based);
        let trace_state = Some("ot=th:8,a=1".into());
        let flags = TraceFlags(2 | u8::from(remote));
        let span = Span { remote_sampled: Some(remote), flags, trace_state, ..server(1) };
        world.govern(span).map(|span| (span.flags.0, span.trace_state.unwrap().into_string()))
    };
    let kept = |state: &str| Some((3, state.to_owned()));
    assert_eq!(told(Root::AlwaysOff, true, true), kept("ot=th:8,a=1"));
    assert_eq!(told(Root::AlwaysOn, false, true), kept("a=1"));
    assert_eq!(told(Root::AlwaysOn, false, false), kept("a=1"));
}

#[test]
fn errors_and_slow_ones_are_kept_alone_and_say_so() {
    let mut world = World::new(Settings {
        keep_errors: true,
        keep_slow: Some(Duration::from_millis(500)),
        ..Settings::default()
    });
    let trace_state = Some("ot=th:8".into());
    let unsampled =
        Span { remote_sampled: Some(false), flags: TraceFlags(0), trace_state, ..server(1) };
    let end = |ns| unsampled.start_unix_ns + ns;
    let slow = Span { end_unix_ns: end(500_000_000), ..unsampled.clone() };
    let nearly = Span { end_unix_ns: end(499_999_999), ..unsampled.clone() };
    let error = Span { status: Status::Error, ..unsampled.clone() };
    let both = Span { status: Status::Error, ..slow.clone() };
    for (span, reason) in [(&slow, "slow"), (&error, "error"), (&both, "error")] {
        assert!(world.governor.shows(span));
        let kept = world.govern(span.clone()).unwrap();
        assert_eq!(text(&kept, SAMPLED_BY), Some(reason));
        assert_eq!((kept.flags.0, kept.trace_state), (0, None), "it stands for no others");
    }
    assert!(!world.governor.shows(&nearly) && !world.keeps(nearly) && !world.keeps(unsampled));
    // What is sampled anyway needs no reason.
    let sampled = world.govern(Span { remote_sampled: Some(true), ..both }).unwrap();
    assert_eq!(text(&sampled, SAMPLED_BY), None);
    assert_eq!(world.count(Counter::SpansNotSampled), 2);
    assert_eq!(world.count(Counter::SpansKeptError), 2);
    assert_eq!(world.count(Counter::SpansKeptSlow), 1);
}

mod adaptively {
    use super::*;

    fn world(settings: adaptive::Settings) -> World {
        World::new(Settings { sampler: Sampler::Adaptive(settings), ..Settings::default() })
    }

    /// Of `service`, called by another process of this node.
    fn inside(at: u64, service: &str, status: Status) -> Span {
        let mut span = Span { status, resource: process(7, service), ..server(at) };
        for key in ["network.local.address", "network.peer.address"] {
            span.attributes.push(Attribute::new(key, "10.0.0.7"));
        }
        span
    }

    /// The part of traces that are kept, by where the decision changes.
    fn rate(world: &mut World, span: &Span) -> f64 {
        let (mut kept, mut not) = (0u64, u64::MAX);
        while not - kept > 1 {
            let middle = kept + (not - kept) / 2;
            let trace_id = trace(1 << 64 | u128::from(middle));
            match world.governor.shows(&Span { trace_id, ..span.clone() }) {
                true => kept = middle,
                false => not = middle,
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "that is fine here")]
        let rate = not as f64 / u64::MAX as f64;
        rate
    }

    #[test]
    fn what_enters_is_kept() {
        let mut world = world(adaptive::Settings { min: 0.0, ..adaptive::Settings::default() });
        let inside = inside(1, "shop", Status::Unset);
        assert!(!world.keeps(inside.clone()));
        let mut outside = inside.clone();
        outside.attributes.pop();
        outside.attributes.push(Attribute::new("network.peer.address", "192.0.2.1"));
        assert!(world.keeps(outside.clone()), "from an address that is none of this node's");
        assert!(!world.keeps(Span { kind: SpanKind::Client, ..outside.clone() }));
        assert!(world.keeps(Span { parent_span_id: None, ..inside.clone() }));
        assert!(!world.keeps(Span { remote_sampled: Some(false), ..outside }));
        for local in ["127.0.0.1", "::1"] {
            let mut span = inside.clone();
            span.attributes.pop();
            span.attributes.push(Attribute::new("network.peer.address", local));
            assert!(!world.keeps(span));
        }
    }

    #[test]
    fn the_rate_follows_the_errors_of_the_service() {
        let mut world = world(adaptive::Settings::default());
        let ok = inside(1000, "shop", Status::Unset);
        let error = inside(1000, "shop", Status::Error);
        let near = |rate: f64, expected: f64| assert!((rate - expected).abs() < 1e-6, "{rate}");
        (0..95).for_each(|_| drop(world.govern(ok.clone())));
        near(rate(&mut world, &ok), 0.01);
        (0..5).for_each(|_| drop(world.govern(error.clone())));
        // 5 % of errors is half of what is many: halfway from 1 % to 20 %.
        near(rate(&mut world, &ok), 0.105);
        (0..50).for_each(|_| drop(world.govern(error.clone())));
        near(rate(&mut world, &ok), 0.2);
        // Another service has no part in them.
        let other = inside(1000, "cart", Status::Unset);
        near(rate(&mut world, &other), 0.01);
        // One that comes late counts where it belongs; after a minute, they count no more.
        let later = inside(1055, "shop", Status::Unset);
        drop(world.govern(later.clone()));
        near(rate(&mut world, &later), 0.2);
        drop(world.govern(inside(1060, "shop", Status::Unset)));
        drop(world.govern(error));
        near(rate(&mut world, &later), 0.01);
    }

    #[test]
    fn many_services_are_bounded() {
        let mut world = world(adaptive::Settings::default());
        for n in 0..3000 {
            drop(world.govern(inside(1000, &format!("s{n}"), Status::Error)));
        }
        let one_more = inside(1000, "more", Status::Unset);
        drop(world.govern(one_more.clone()));
        assert!(rate(&mut world, &one_more) > 0.19, "with the others");
        // Later there is room again.
        let later = inside(2000, "more", Status::Unset);
        drop(world.govern(later.clone()));
        assert!(rate(&mut world, &later) < 0.011);
    }
}

mod exporting {
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
        for span in [answered(404), answered(503), unanswered, call(Some(14)), call(None), unknown]
        {
            drop(world.govern(span));
            assert!(!skips(&mut world, server(2)));
        }
        drop(world.govern(call(Some(0))));
        assert!(skips(&mut world, server(2)));
    }

    /// A collector, an agent, a proxy: first its own export ends, then the request that it is of.
    #[test]
    fn who_passes_on_spans_of_others_has_none_of_its_own() {
        let mut world = World::with(Existing::Skip);
        let received = Span { exports_spans: true, ..server(1) };
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
        assert!(
            skips(&mut world, of(2, server(5000))) && skips(&mut world, of(4097, server(5000)))
        );
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
}
