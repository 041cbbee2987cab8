use super::*;
use crate::metrics::{Counter, Metrics};
use crate::model::Value;

const T: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const S: &str = "e457b5a2e4d86bd1";

struct Outcome {
    context: Option<String>,
    format: Option<Format>,
    attributes: Vec<String>,
    incomplete: bool,
    ids: usize,
    metrics: Metrics,
}

/// Fields by their names; `traceparent` first, as others read it.
fn outcome(fields: &[(&str, &str)], hides: bool, settings: &Settings) -> Outcome {
    let metrics = Metrics::default();
    let mut known = [None; 2];
    let mut others = Fields::default();
    for (name, value) in fields {
        if *name == "traceparent" {
            known[0] = w3c::traceparent(value.as_bytes()).ok().map(TraceContext::from);
        } else if let Some(name) = settings.request(name.as_bytes()) {
            others.push(name, value.as_bytes().into());
        }
    }
    let read = read(known, &others, hides, settings, &metrics);
    let text = |attribute: &crate::model::Attribute| match &attribute.value {
        Value::Str(text) => format!("{}={text}", attribute.key),
        Value::Strs(texts) => format!("{}={}", attribute.key, texts.join("|")),
        Value::Int(number) => format!("{}={number}", attribute.key),
        Value::Double(number) => format!("{}={number}", attribute.key),
        Value::Bool(is) => format!("{}={is}", attribute.key),
    };
    Outcome {
        context: read.context.as_ref().map(told),
        format: read.context.map(|context| context.format),
        attributes: read.attributes.iter().map(text).collect(),
        incomplete: read.incomplete,
        ids: read.request_ids.len(),
        metrics,
    }
}

fn of(fields: &[(&str, &str)]) -> Outcome {
    outcome(fields, false, &Settings::default())
}

/// The same trace and parent in each format that can name them, in the order of precedence.
fn same() -> Vec<(&'static str, String)> {
    vec![
        ("traceparent", format!("00-{T}-{S}-01")),
        ("b3", format!("{T}-{S}-1")),
        ("uber-trace-id", format!("{T}:{S}:0:1")),
        ("x-amzn-trace-id", format!("Root=1-{}-{};Parent={S};Sampled=1", &T[..8], &T[8..])),
    ]
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    fields.iter().map(|(name, value)| (*name, &**value)).collect()
}

#[test]
fn the_first_counts_and_those_that_agree_are_not_told() {
    let all = same();
    let formats = [Format::W3c, Format::B3, Format::Jaeger, Format::XRay];
    for (at, format) in formats.into_iter().enumerate() {
        // Their order in the request does not matter.
        let mut fields = borrowed(&all[at..]);
        fields.reverse();
        let outcome = of(&fields);
        assert_eq!(outcome.context, Some(format!("{T} {S} Accept")));
        assert_eq!(outcome.format, Some(format));
        let told = match format {
            Format::W3c => vec![],
            format => vec![format!("sensor.context.format={}", format.name())],
        };
        assert_eq!(outcome.attributes, told);
        assert_eq!(outcome.metrics.get(Counter::ContextsConflicting), 0);
    }
}

#[test]
fn those_that_disagree_are_told() {
    let w3c = format!("00-{T}-{S}-01");
    for (name, value, format) in [
        ("b3", format!("{}-{S}-1", T.replace('8', "9")), "b3"),
        ("b3", format!("{T}-{}-1", S.replace('e', "f")), "b3"),
        ("b3", format!("{T}-{S}-0"), "b3"),
        ("b3", "0".to_owned(), "b3"),
        ("uber-trace-id", "abc:1:0:1".to_owned(), "jaeger"),
        ("x-datadog-trace-id", "5".to_owned(), "datadog"),
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793".to_owned(), "xray"),
    ] {
        let outcome = of(&[(name, &value), ("traceparent", &w3c)]);
        assert_eq!(outcome.context, Some(format!("{T} {S} Accept")));
        assert_eq!(outcome.attributes, [format!("sensor.context.conflict={format}")], "{value}");
        assert_eq!(outcome.metrics.get(Counter::ContextsConflicting), 1);
    }
    // 64 bits of the same, nothing on sampling, no parent.
    let narrow = u64::from_str_radix(&T[16..], 16).unwrap().to_string();
    for (name, value) in [
        ("b3", format!("{}-{S}", &T[16..])),
        ("x-datadog-trace-id", narrow),
        ("x-amzn-trace-id", format!("Root=1-{}-{};Sampled=?", &T[..8], &T[8..])),
    ] {
        assert_eq!(of(&[("traceparent", &w3c), (name, &value)]).attributes, [""; 0], "{value}");
    }
    // Two at once, in their order.
    let outcome = of(&[("x-datadog-trace-id", "5"), ("uber-trace-id", "6:1:0:1"), ("b3", "0")]);
    assert_eq!(
        outcome.context.as_deref(),
        Some("00000000000000000000000000000006 0000000000000001 Accept")
    );
    assert_eq!(
        outcome.attributes,
        ["sensor.context.format=jaeger", "sensor.context.conflict=b3|datadog"]
    );
}

#[test]
fn one_that_says_more_counts_before_one_that_says_less() {
    let amzn = format!("Root=1-{}-{}", &T[..8], &T[8..]);
    let outcome = of(&[("b3", "d"), ("x-amzn-trace-id", &amzn)]);
    assert_eq!(outcome.context, Some(format!("{T} - Deferred")));
    let outcome =
        of(&[("x-datadog-trace-id", "5"), ("x-amzn-trace-id", &format!("{amzn};Parent={S}"))]);
    assert_eq!(outcome.format, Some(Format::XRay));
    let outcome = of(&[("x-b3-sampled", "0")]);
    assert_eq!(outcome.context.as_deref(), Some("- - Deny"));
    assert_eq!(outcome.attributes, ["sensor.context.format=b3multi"]);
}

#[test]
fn what_is_malformed_is_counted_and_the_next_one_counts() {
    let jaeger = format!("{T}:{S}:0:1");
    for (name, value, counter) in [
        ("b3", "x", Counter::B3Malformed),
        ("x-b3-traceid", T, Counter::B3Malformed),
        ("grpc-trace-bin", "AAAA", Counter::GrpcTraceBinMalformed),
        ("grpc-trace-bin", "?", Counter::GrpcTraceBinMalformed),
        ("x-datadog-parent-id", "1", Counter::DatadogMalformed),
        ("sw8", "1-2", Counter::Sw8Malformed),
        ("x-amzn-trace-id", "Root", Counter::XRayMalformed),
    ] {
        let outcome = of(&[(name, value), ("uber-trace-id", &jaeger)]);
        assert_eq!(outcome.context, Some(format!("{T} {S} Accept")), "{name}");
        assert_eq!(outcome.metrics.get(counter), 1, "{name}");
        assert_eq!(outcome.attributes, ["sensor.context.format=jaeger"]);
    }
    let outcome = of(&[("uber-trace-id", "x")]);
    assert_eq!((outcome.context, outcome.metrics.get(Counter::JaegerMalformed)), (None, 1));
    let settings = Settings::new(None, &["a".to_owned()]).unwrap();
    let outcome = outcome_of_baggage("a", &settings);
    assert_eq!(outcome.metrics.get(Counter::BaggageMalformed), 1);
}

fn outcome_of_baggage(value: &str, settings: &Settings) -> Outcome {
    outcome(&[("baggage", value)], false, settings)
}

#[test]
fn fields_that_come_twice() {
    let (jaeger, b3) = (format!("{T}:{S}:0:1"), format!("{T}-{S}-1"));
    let amzn = format!("Root=1-{}-{}", &T[..8], &T[8..]);
    for (name, value, counter) in [
        ("uber-trace-id", &*jaeger, Counter::JaegerMalformed),
        ("b3", &*b3, Counter::B3Malformed),
        ("x-amzn-trace-id", &*amzn, Counter::XRayMalformed),
        ("x-datadog-trace-id", "5", Counter::DatadogMalformed),
    ] {
        let outcome = of(&[(name, value), (name, value)]);
        assert_eq!((outcome.context, outcome.metrics.get(counter)), (None, 1), "{name}");
    }
    // "When extracting state headers, the first value wins."
    let outcome = of(&[
        ("x-b3-traceid", T),
        ("x-b3-spanid", S),
        ("x-b3-sampled", "1"),
        ("x-b3-traceid", "x"),
        ("x-b3-sampled", "0"),
    ]);
    assert_eq!(outcome.context, Some(format!("{T} {S} Accept")));
}

/// On a connection older than the sensor.
#[test]
fn parts_that_may_be_hidden() {
    let hidden = |fields: &[(&str, &str)]| outcome(fields, true, &Settings::default());
    for fields in [
        &[("x-b3-traceid", T)][..],
        &[("x-b3-sampled", "1")],
        // The upper half of the trace may be in the tags.
        &[("x-datadog-trace-id", "5"), ("x-datadog-parent-id", "6")],
        &[("x-datadog-tags", "_dd.p.tid=640cfd8d00000000")],
    ] {
        let outcome = hidden(fields);
        assert_eq!((outcome.context, outcome.incomplete), (None, true), "{fields:?}");
        let counters = [Counter::B3Malformed, Counter::DatadogMalformed];
        assert_eq!(counters.map(|counter| outcome.metrics.get(counter)), [0; 2]);
    }
    assert!(!hidden(&[("x-b3-traceid", T), ("x-b3-spanid", S)]).incomplete);
    assert!(!hidden(&[("b3", "0")]).incomplete);
}

#[test]
fn identifiers_are_attributes_and_tell_requests_apart() {
    let outcome = of(&[
        ("X-Trace-Id", "t"),
        ("X-Request-ID", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
        ("x-correlation-id", "a"),
        ("x-correlation-id", "b"),
    ]);
    assert_eq!(
        outcome.attributes,
        [
            "http.request.header.x-request-id=f47ac10b-58cc-4372-a567-0e02b2c3d479",
            "http.request.header.x-trace-id=t",
            "http.request.header.x-correlation-id=a|b",
        ]
    );
    // The others are too short to be evidence; of two it cannot be said which it is, either.
    assert_eq!(outcome.ids, 1);
    assert_eq!(outcome.context, None);
    let long = "x".repeat(257);
    for bad in ["", &long, "x-\u{e9}"] {
        let latin1 = bad.chars().map(|c| c as u8).collect::<Vec<_>>();
        let metrics = Metrics::default();
        let fields = [(Name::RequestId(0), (&latin1[..]).into())].into_iter().collect();
        let read = read([None; 2], &fields, false, &Settings::default(), &metrics);
        assert!(read.attributes.is_empty() && read.request_ids.is_empty(), "{bad:?}");
        assert_eq!(metrics.get(Counter::IdentifiersUnusable), 1);
    }
    let id = |name, value: &str| RequestId::new(name, value.as_bytes());
    assert_eq!(id("a", "1"), id("a", "1"));
    assert_ne!(id("a", "1"), id("a", "2"));
    assert_ne!(id("a", "1"), id("b", "1"));
}

#[test]
fn baggage_that_was_asked_for() {
    let settings = Settings::new(None, &["tier".to_owned(), "user".to_owned()]).unwrap();
    let fields =
        [("baggage", "tier=gold,secret=1"), ("uberctx-tier", "tin"), ("uberctx-user", "a%2Fb")];
    let told = outcome(&fields, false, &settings).attributes;
    assert_eq!(told, ["baggage.tier=gold", "baggage.user=a/b"]);
    assert_eq!(of(&fields).attributes, [""; 0]);
    assert_eq!(outcome(&[("baggage", "tier=")], false, &settings).attributes, [""; 0]);
}

#[test]
fn sw8_that_cannot_be_mapped_is_told_all_the_same() {
    // "trace" and "segment".
    let outcome = of(&[("sw8", "0-dHJhY2U=-c2VnbWVudA==-3-YQ==-YQ==-YQ==-YQ==")]);
    assert_eq!(outcome.context.as_deref(), Some("- - Deny"));
    assert_eq!(
        outcome.attributes,
        [
            "sw8.trace_id=trace",
            "sw8.parent_segment_id=segment",
            "sw8.parent_span_id=3",
            "sensor.context.format=sw8",
        ]
    );
}

#[test]
fn what_a_response_tells() {
    let settings = Settings::default();
    let metrics = Metrics::default();
    let fields = [("Traceresponse", "00-x"), ("X-Request-Id", "r"), ("content-type", "text/html")];
    let known = fields
        .iter()
        .filter_map(|(name, value)| Some((settings.response(name.as_bytes())?, value.as_bytes())));
    let told = answered(known, &settings, &metrics);
    let keys: Vec<_> = told.iter().map(|attribute| &*attribute.key).collect();
    assert_eq!(keys, ["http.response.header.x-request-id", "http.response.header.traceresponse"]);
    assert_eq!(told[0].value, Value::from(vec!["r".to_owned()]));
    // With names of one's own, those of the formats stay where they are.
    let own = Settings::new(Some(&["x-a".to_owned()]), &[]).unwrap();
    assert_eq!(own.response(b"x-request-id"), None);
    let key = |name: &[u8]| own.response(name).and_then(|at| own.response_key(at));
    assert_eq!(key(b"x-a").as_deref(), Some("http.response.header.x-a"));
    assert_eq!(key(b"X-Amzn-Trace-Id").as_deref(), Some("http.response.header.x-amzn-trace-id"));
}

#[test]
fn formats_keep_their_places() {
    let all = [
        Format::W3c,
        Format::GrpcTraceBin,
        Format::B3,
        Format::B3Multi,
        Format::Jaeger,
        Format::Datadog,
        Format::SkyWalking,
        Format::XRay,
    ];
    assert_eq!(all.len(), Format::COUNT);
    for (at, format) in all.into_iter().enumerate() {
        assert_eq!(format as usize, at);
    }
}
