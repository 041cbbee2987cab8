mod adaptively;
mod exporting;
mod logs;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Class, Link, LogSource, Resource, SpanEndpoint, SpanExport, SpanId, SpanKind, TraceFlags,
    TraceId, Value,
};

const SECOND: u64 = 1_000_000_000;
const T: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn trace(id: u128) -> TraceId {
    TraceId::new(id.to_be_bytes()).unwrap()
}

pub(super) fn process(pid: i64, service: &str) -> Arc<Resource> {
    let service = Attribute::new("service.name", service.to_owned());
    let attributes = vec![service, Attribute::new("process.pid", pid)];
    let (host, path) = ("10.0.0.9".into(), "/v1/traces".into());
    Arc::new(Resource { attributes, span_endpoints: vec![SpanEndpoint { host, port: 4318, path }] })
}

/// A server span of one millisecond that begins at second `at`, with a caller's parent.
pub(super) fn server(at: u64) -> Span {
    Span {
        trace_id: trace(T),
        span_id: SpanId::new([2; 8]).unwrap(),
        parent_span_id: SpanId::new([1; 8]),
        flags: TraceFlags(1),
        remote_sampled: None,
        flag_refused: false,
        minted: false,
        exports_spans: None,
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

/// A plain line of the same process, in that second.
pub(super) fn record(at: u64) -> LogRecord {
    LogRecord {
        time_unix_ns: None,
        observed_unix_ns: at * SECOND,
        severity: None,
        severity_text: None,
        message: "hello".into(),
        caller: None,
        event: None,
        correlation: None,
        class: Class::Business,
        source: LogSource::Stdout,
        attributes: Vec::new(),
        breach: None,
        resource: process(7, "shop"),
    }
}

fn client(at: u64, minted: bool) -> Span {
    Span { kind: SpanKind::Client, minted, ..server(at) }
}

/// A successful export of spans, to where the process is configured to export.
fn export(at: u64) -> Span {
    export_to([10, 0, 0, 9], at)
}

/// One that looks like an exporter's.
fn export_to(address: [u8; 4], at: u64) -> Span {
    let address = std::net::IpAddr::from(address).to_string();
    let attributes = vec![
        Attribute::new("url.path", "/v1/traces"),
        Attribute::new("http.response.status_code", 200),
        Attribute::new("network.peer.address", address),
        Attribute::new("network.peer.port", 4318),
    ];
    let exports_spans = Some(SpanExport::Typical);
    Span { exports_spans, attributes, parent_span_id: None, ..client(at, false) }
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
        self.governor.govern(span).exported()
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
}

/// A ratio is one: within five standard deviations. (Which ids there are is not left to chance: of as many
/// as a property tries, a few are further away, now and then.)
#[test]
fn a_ratio_keeps_its_part() {
    const COUNT: u32 = 4000;
    for ratio in [0.0, 0.000_1, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1.0] {
        let sampled = Ratio::new(ratio).unwrap();
        for seed in 0..8 {
            let ids = (0..COUNT).map(|n| {
                use std::hash::Hasher;
                let mut hash = siphasher::sip::SipHasher13::new_with_keys(seed, 0);
                hash.write_u32(n);
                trace(1 << 64 | u128::from(hash.finish()))
            });
            let kept = ids.filter(|&id| sampled.samples(id)).count() as f64;
            let expected = f64::from(COUNT) * ratio;
            let deviation = (expected * (1.0 - ratio)).sqrt();
            let off = (kept - expected).abs();
            assert!(off <= 5.0 * deviation, "{ratio}, {seed}: {kept} of {COUNT}");
        }
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
            // A stranger's request is as one without a decision.
            let strangers = Span { flag_refused: true, ..span.clone() };
            assert_eq!(world.governor.shows(&strangers), expected[0]);
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
fn a_strangers_decision_is_counted_and_has_no_bearing() {
    let mut world = World::new(Settings::default());
    let flags = TraceFlags(0);
    let deny = Span { remote_sampled: Some(false), flag_refused: true, flags, ..server(1) };
    let kept = world.govern(deny.clone()).unwrap();
    assert_eq!((kept.flags.0, text(&kept, SAMPLED_BY)), (1, None));
    assert!(!world.keeps(Span { flag_refused: false, ..deny.clone() }));
    let counters = [Counter::SpansFlagRefused, Counter::SpansNotSampledRemote];
    assert_eq!(counters.map(|counter| world.count(counter)), [1, 1]);
    let mut adaptive = World::new(Settings {
        sampler: Sampler::Adaptive(adaptive::Settings { min: 1.0, max: 1.0, ..Default::default() }),
        ..Settings::default()
    });
    assert!(adaptive.keeps(deny.clone()) && !adaptive.keeps(Span { flag_refused: false, ..deny }));
}

/// Whoever asks, and is trusted: what failed stays. What is sampled out here does not.
#[test]
fn no_caller_hides_errors() {
    let error = Span { status: Status::Error, ..server(1) };
    let mut world = World::new(Settings::default());
    let kept = world.govern(Span { remote_sampled: Some(false), ..error.clone() }).unwrap();
    assert_eq!((text(&kept, SAMPLED_BY), kept.flags.0), (Some("error"), 0));
    assert_eq!(world.count(Counter::SpansKeptError), 1);
    let mut off = World::fixed(Root::AlwaysOff, true);
    assert!(!off.keeps(error.clone()));
    assert!(off.keeps(Span { remote_sampled: Some(false), ..error.clone() }));
    assert!(!off.keeps(Span { remote_sampled: Some(false), flag_refused: true, ..error }));
}

/// Of each server exchange there is one, but for those that a rule drops.
#[test]
fn access_records_are_logs() {
    let record = |settings: Settings, span: &Span| {
        let mut world = World::new(settings);
        drop(world.govern(export(1)));
        match world.governor.govern(span.clone()) {
            Verdict::Record(span) => Some(span),
            Verdict::Export(_) | Verdict::Drop => None,
        }
    };
    let mut span = server(2);
    span.attributes.push(Attribute::new("url.query", "token=a"));
    let deny = Span { remote_sampled: Some(false), ..span.clone() };
    let wanted = || Settings { access_records: true, ..Settings::default() };
    let off = Sampler::Fixed { root: Root::AlwaysOff, parent_based: true };
    let none =
        Sampler::Fixed { root: Root::TraceIdRatio(Ratio::new(0.0).unwrap()), parent_based: false };
    let left_out = [
        (wanted(), &deny),
        (Settings { sampler: off, ..wanted() }, &span),
        (Settings { sampler: none, ..wanted() }, &span),
        (Settings { existing: Existing::Skip, ..wanted() }, &span),
    ];
    for (settings, span) in left_out {
        let found = record(settings.clone(), span).unwrap();
        assert_eq!(text(&found, "url.query"), Some("token=REDACTED"), "{settings:?}");
        assert_eq!((found.trace_id, found.span_id), (span.trace_id, span.span_id));
        assert_eq!(record(Settings { access_records: false, ..settings.clone() }, span), None);
        let client = Span { kind: SpanKind::Client, minted: true, ..span.clone() };
        assert_eq!(record(settings, &client), None);
    }
    let dropped = Settings { drop: vec![Expr::parse("kind = server").unwrap()], ..wanted() };
    assert_eq!(record(dropped, &span), None);
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
