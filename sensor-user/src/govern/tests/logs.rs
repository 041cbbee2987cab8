//! Records of logs: class, drop, sample, rate, and what becomes of identifiers.

use super::*;
use crate::govern::records::Sample;
use crate::model::{Class, Correlation, LogSource, Severity, Text};

fn expr(text: &str) -> Expr {
    Expr::parse(text).unwrap()
}

fn logs(records: records::Settings) -> World {
    World::new(Settings { records, ..Settings::default() })
}

impl World {
    fn keeps_record(&mut self, record: &LogRecord) -> bool {
        self.governor.govern_record(record.clone()).is_some()
    }

    fn rule(&self, name: &str) -> Option<u64> {
        let counts = self.governor.rule_counts();
        counts.iter().find(|(known, _)| *known == name).map(|(_, count)| count)
    }
}

fn of_trace(id: u128, evidence: &'static str) -> LogRecord {
    let correlation = Correlation {
        trace_id: trace(id),
        span_id: SpanId::new([9; 8]),
        evidence,
        after_response: false,
    };
    LogRecord { correlation: Some(correlation), ..record(2) }
}

fn at(severity: Severity) -> LogRecord {
    LogRecord { severity: Some(severity), ..record(2) }
}

#[test]
fn dropped_by_rule_and_counted() {
    let drop = vec![expr("level < info"), expr("url.path = / or message ~ ^health")];
    let mut world = World::new(Settings { drop, ..Settings::default() });
    let named = |text: &'static str| LogRecord { message: Text::from(text), ..record(1) };
    assert!(!world.keeps_record(&at(Severity::Debug)));
    assert!(!world.keeps_record(&named("health is fine")));
    assert!(world.keeps_record(&named("bad health")) && world.keeps_record(&at(Severity::Info)));
    assert!(!world.governor.shows(&server(1)) && !world.keeps(server(1)));
    let mut other = server(1);
    other.attributes.clear();
    assert!(world.governor.show(other.clone()).is_some() && world.keeps(other));
    let counters = [Counter::LogRecordsDropped, Counter::SpansDropped, Counter::SpansNotSampled];
    assert_eq!(counters.map(|counter| world.count(counter)), [2, 1, 0]);
    assert_eq!(["drop.rule.1", "drop.rule.2"].map(|rule| world.rule(rule)), [Some(1), Some(2)]);
}

/// An export that is dropped still shows that its process exports.
#[test]
fn dropped_spans_are_noticed() {
    let drop = vec![expr("url.path = /v1/traces")];
    let mut world = World::new(Settings { drop, existing: Existing::Skip, ..Settings::default() });
    assert!(!world.keeps(export(1)));
    assert_eq!(world.count(Counter::ProcessesExporting), 1);
}

#[test]
fn the_first_class_counts_and_rules_may_ask_for_it() {
    let classes = vec![
        (Class::Middleware, expr("caller ~ ^gorm")),
        (Class::Infrastructure, expr("service = shop")),
    ];
    let records = records::Settings { classes, ..records::Settings::default() };
    let mut world = World::new(Settings {
        records,
        drop: vec![expr("class = middleware")],
        ..Settings::default()
    });
    let from = |caller: &'static str, service| LogRecord {
        caller: Some(Text::from(caller)),
        resource: process(7, service),
        ..record(1)
    };
    let mut class = |record| world.governor.govern_record(record).map(|record| record.class);
    assert_eq!(class(from("gorm.go:1", "shop")), None);
    assert_eq!(class(from("x.go:1", "shop")), Some(Class::Infrastructure));
    assert_eq!(class(from("x.go:1", "cart")), Some(Class::Business));
    assert_eq!(["class.rule.1", "class.rule.2"].map(|rule| world.rule(rule)), [Some(1), Some(1)]);
}

fn sampled(rules: &[(Option<&str>, f64)]) -> World {
    let samples = rules
        .iter()
        .map(|(of, ratio)| Sample { of: of.map(expr), ratio: Ratio::new(*ratio).unwrap() });
    logs(records::Settings { samples: samples.collect(), ..records::Settings::default() })
}

/// The traces of the SDKs' table above: a story is whole.
#[test]
fn records_are_sampled_with_their_traces() {
    let mut world = sampled(&[(None, 0.25)]);
    let mut spans = World::fixed(Root::TraceIdRatio(Ratio::new(0.25).unwrap()), false);
    for id in [1, T, 0x3fff_ffff_ffff_ffff, 0x4000_0000_0000_0000, u128::MAX] {
        let kept = spans.keeps(Span { trace_id: trace(id), ..server(1) });
        for _ in 0..3 {
            assert_eq!(world.keeps_record(&of_trace(id, "line")), kept, "{id:x}");
        }
    }
    assert_eq!(world.count(Counter::LogRecordsNotSampled), 9);
    assert_eq!(world.rule("sample.rule.1"), Some(9));
}

/// Whoever makes a trace up could choose one that is kept.
#[test]
fn records_whose_trace_nothing_confirms_are_sampled_in_turn() {
    let mut world = sampled(&[(None, 0.25)]);
    for n in 0..20 {
        assert_eq!(world.keeps_record(&of_trace(1, "claimed")), n % 4 == 0, "{n}");
    }
}

#[test]
fn others_are_sampled_in_turn_stream_by_stream() {
    let mut world = sampled(&[(Some("level = debug"), 0.0), (Some("service = shop"), 0.25)]);
    let stderr = LogRecord { source: LogSource::Stderr, ..record(1) };
    for n in 0..20 {
        assert_eq!(world.keeps_record(&record(1)), n % 4 == 0, "{n}");
        assert_eq!(world.keeps_record(&stderr), n % 4 == 0, "{n}");
        let cart = LogRecord { resource: process(8, "cart"), ..record(1) };
        assert!(world.keeps_record(&cart), "no rule is for it");
        assert!(!world.keeps_record(&at(Severity::Debug)));
        assert!(
            world.keeps_record(&at(Severity::Error)) && world.keeps_record(&at(Severity::Fatal))
        );
    }
    assert_eq!(
        ["sample.rule.1", "sample.rule.2"].map(|rule| world.rule(rule)),
        [Some(20), Some(30)]
    );
    assert_eq!(world.count(Counter::LogRecordsNotSampled), 50);
}

proptest! {
    /// Of any number, as many as the ratio says.
    #[test]
    fn turns_keep_their_part(ratio in 0.0..=1.0f64, count in 0..2000u32) {
        let mut world = sampled(&[(None, ratio)]);
        let kept = (0..count).filter(|_| world.keeps_record(&record(1))).count() as f64;
        prop_assert!((kept - f64::from(count) * ratio).abs() <= 1.0, "{}", kept);
    }

    /// However times are out of order (by less than a clock that is set), no more comes through than the rate and the burst.
    #[test]
    fn no_order_of_times_gets_around_the_rate(
        times in prop::collection::vec(0..50_000_000_000u64, 1..300),
        per_second in 1..20u32,
        burst in 1..20u64,
    ) {
        let rate = Rate::new(f64::from(per_second), SECOND, burst);
        let mut world = logs(records::Settings { rate, ..records::Settings::default() });
        let span = times.iter().max().unwrap() - times.iter().min().unwrap();
        let mut kept = 0;
        for ns in times {
            kept += u64::from(world.keeps_record(&LogRecord { observed_unix_ns: SECOND * 1000 + ns, ..record(1) }));
        }
        let most = burst + (span as f64 / 1e9 * f64::from(per_second)).floor() as u64 + 1;
        prop_assert!((1..=most).contains(&kept), "{kept} of {most}");
    }
}

#[test]
fn a_rate_has_a_burst_fills_again_and_spares_errors() {
    let rate = Rate::new(2.0, SECOND, 3);
    let mut world = logs(records::Settings { rate, ..records::Settings::default() });
    let mut keeps = |ns: u64, severity, source| {
        let record = LogRecord { observed_unix_ns: 1000 * SECOND + ns, source, ..at(severity) };
        world.keeps_record(&record)
    };
    use LogSource::{Stderr, Stdout};
    use Severity::{Error, Info};
    let row = |keeps: &mut dyn FnMut() -> bool| (0..5).filter(|_| keeps()).count();
    assert_eq!(row(&mut || keeps(0, Info, Stdout)), 3);
    assert_eq!(row(&mut || keeps(0, Error, Stdout)), 3, "errors have as much for themselves");
    assert_eq!(row(&mut || keeps(0, Info, Stderr)), 3, "another stream");
    assert_eq!(row(&mut || keeps(499_999_999, Info, Stdout)), 0);
    assert_eq!(row(&mut || keeps(500_000_000, Info, Stdout)), 1);
    assert_eq!(
        row(&mut || keeps(400_000_000, Info, Stdout)),
        0,
        "time that goes back gives nothing"
    );
    assert_eq!(row(&mut || keeps(60 * SECOND, Info, Stdout)), 3);
    // The clock was set back by an hour: it goes on from there, with nothing saved.
    let set = |ns| ns + 1000 * SECOND;
    let mut world = logs(records::Settings { rate, ..records::Settings::default() });
    let mut keeps = |ns| world.keeps_record(&LogRecord { observed_unix_ns: ns, ..record(1) });
    assert!(keeps(set(3600 * SECOND)));
    assert!(!keeps(set(0)) && keeps(set(500_000_000)) && !keeps(set(500_000_000)));
    assert_eq!(world.count(Counter::LogRecordsRateLimited), 2);
}

#[test]
fn rates_that_cannot_be() {
    for (count, burst) in [
        (0.0, 1),
        (-1.0, 1),
        (f64::NAN, 1),
        (f64::INFINITY, 1),
        (1.1e9, 1),
        (1.0, 0),
        (1e-6, 1),
        (0.1, u64::MAX),
    ] {
        assert_eq!(Rate::new(count, SECOND, burst), None, "{count} {burst}");
    }
    assert!(Rate::new(1e9, SECOND, 1_000_000_000).is_some());
}

/// The span of the sensor is not there, where its process exports its own; the trace is.
#[test]
fn no_record_leads_nowhere() {
    let ids = |world: &mut World, record: LogRecord| {
        let correlation = world.governor.govern_record(record).unwrap().correlation.unwrap();
        (correlation.trace_id == trace(T), correlation.span_id.is_some())
    };
    let mut world = World::with(Existing::Skip);
    assert_eq!(ids(&mut world, of_trace(T, "goroutine")), (true, true));
    drop(world.govern(export(2)));
    for (evidence, has_span) in [
        ("goroutine", false),
        ("thread", false),
        ("request_id", false),
        ("line", true),
        ("claimed", true),
    ] {
        let late = LogRecord { observed_unix_ns: 3 * SECOND, ..of_trace(T, evidence) };
        assert_eq!(ids(&mut world, late), (true, has_span), "{evidence}");
    }
    let early = LogRecord { observed_unix_ns: SECOND, ..of_trace(T, "thread") };
    assert_eq!(ids(&mut world, early), (true, true), "its span was exported");
    let other = LogRecord { resource: process(8, "shop"), ..of_trace(T, "thread") };
    assert_eq!(ids(&mut world, other), (true, true));
    let mut keeping = World::with(Existing::Keep);
    drop(keeping.govern(export(2)));
    let late = LogRecord { observed_unix_ns: 3 * SECOND, ..of_trace(T, "thread") };
    assert_eq!(ids(&mut keeping, late), (true, true));
}

/// Once for each span or record, and for each secret by its rule; what is only shown counts nothing.
#[test]
fn redaction_is_counted() {
    let mut world = World::new(Settings::default());
    let mut span = server(1);
    span.attributes.push(Attribute::new("url.query", "token=a&password=b&x=c"));
    let shown = world.governor.show(span.clone()).unwrap();
    assert_eq!(text(&shown, "url.query"), Some("token=REDACTED&password=REDACTED&x=c"));
    assert_eq!(
        (world.count(Counter::SpansRedacted), world.rule("redact.rule.token")),
        (0, Some(0))
    );
    assert_eq!(world.govern(span).unwrap(), shown);
    let message = Text::from("token=a token=b");
    let kept = world.governor.govern_record(LogRecord { message, ..record(1) }).unwrap();
    assert_eq!(kept.message.as_str(), "token=[redacted] token=[redacted]");
    assert!(world.keeps_record(&record(1)));
    let counters = [Counter::SpansRedacted, Counter::LogRecordsRedacted];
    assert_eq!(counters.map(|counter| world.count(counter)), [1, 1]);
    assert_eq!(
        ["token", "password"].map(|rule| world.rule(&format!("redact.rule.{rule}"))),
        [Some(3), Some(1)]
    );
}
