//! Spans and records of logs to real backends and back: an OpenTelemetry Collector over both protocols of OTLP, and a
//! store that takes Loki's push requests.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sensor::export::{Exporters, Settings, loki, otlp};
use sensor::metrics::{Counter, Metrics};
use sensor::model::{
    Attribute, Breach, Class, Correlation, Link, LogRecord, LogSource, Resource, Severity, Span,
    SpanEvent, SpanId, SpanKind, Status, TraceFlags, TraceId,
};
use sensor_tests::backends::collector::{Collector, Received, ReceivedRecord};
use sensor_tests::backends::or_skip;
use sensor_tests::backends::victorialogs::VictoriaLogs;
use serde_json::{Value, json};

/// Three processes, two sides, every kind of value, with and without what is optional.
fn spans() -> Vec<Arc<Span>> {
    let now =
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let process = |service: &str, pid: i64| {
        let mut attributes = vec![
            Attribute::new("service.name", service.to_owned()),
            Attribute::new("process.pid", pid),
            Attribute::new("host.name", "node-1"),
        ];
        if pid == 2 {
            let arguments = vec!["cart".to_owned(), "--port=1".to_owned()];
            attributes.push(Attribute::new("process.command_args", arguments));
        }
        Arc::new(Resource { attributes, ..Resource::default() })
    };
    let processes = [process("shop", 1), process("cart", 2), process("shop", 3)];
    (1..=60u8)
        .map(|n| {
            let server = n % 3 != 0;
            let start_unix_ns = now - 5_000_000_000 + u64::from(n) * 1_000_003;
            let status: i64 = if n % 5 == 0 { 503 } else { 200 };
            let mut attributes = vec![
                Attribute::new("http.request.method", "GET"),
                Attribute::new("url.path", format!("/päth/{n} \"quoted\"\\")),
                Attribute::new("http.response.status_code", status),
                Attribute::new("sensor.flag", n % 2 == 0),
            ];
            if n == 7 {
                attributes.push(Attribute::new("url.query", "a=1&b=2"));
            }
            Arc::new(Span {
                trace_id: TraceId::new([n / 4 + 1; 16]).unwrap(),
                span_id: SpanId::new([0, 1, 2, 3, 4, 5, 6, n]).unwrap(),
                parent_span_id: (n % 4 != 0).then(|| SpanId::new([9; 8]).unwrap()),
                flags: TraceFlags(n % 2),
                remote_sampled: None,
                flag_refused: false,
                minted: false,
                exports_spans: None,
                trace_state: (n % 7 == 0).then(|| "congo=t61rcWkgMzE".into()),
                name: format!("GET /{n}").into(),
                kind: if server { SpanKind::Server } else { SpanKind::Client },
                start_unix_ns,
                end_unix_ns: start_unix_ns + u64::from(n) * 1_234_567,
                status: if status == 503 { Status::Error } else { Status::Unset },
                attributes,
                events: (n % 2 == 0)
                    .then(|| SpanEvent {
                        time_unix_ns: start_unix_ns + 1,
                        name: "http.response.first_byte",
                        attributes: vec![Attribute::new("n", i64::from(n))],
                    })
                    .into_iter()
                    .collect(),
                links: (n == 9)
                    .then(|| Link {
                        trace_id: TraceId::new([0xab; 16]).unwrap(),
                        span_id: SpanId::new([0xcd; 8]).unwrap(),
                        attributes: vec![],
                    })
                    .into_iter()
                    .collect(),
                resource: Arc::clone(&processes[usize::from(n) % 3]),
            })
        })
        .collect()
}

/// Two lines of each server span's process, and some that are in no trace, with every kind of value.
fn records(spans: &[Arc<Span>]) -> Vec<Arc<LogRecord>> {
    let servers = spans.iter().filter(|span| span.kind == SpanKind::Server);
    let of_span = |span: &Arc<Span>, line: u64| {
        let n = span.span_id.bytes()[7];
        let severities = [None, Some(Severity::Info), Some(Severity::Warn), Some(Severity::Error)];
        let observed_unix_ns = span.start_unix_ns + line * 500_000;
        let file = LogSource::File("/var/log/shop.log".into());
        Arc::new(LogRecord {
            time_unix_ns: n.is_multiple_of(2).then_some(observed_unix_ns / 1_000_000 * 1_000_000),
            observed_unix_ns,
            severity: severities[usize::from(n) % 4],
            severity_text: (n % 4 == 2).then(|| "WARNING".into()),
            message: format!("line {line} of {n}: \"tea\"\n\tat päth \u{1b}[0m").into(),
            caller: (n % 3 == 1).then(|| "cart/add.go:42".into()),
            event: (n % 5 == 1).then(|| "cart.add".into()),
            correlation: (!n.is_multiple_of(7)).then_some(Correlation {
                trace_id: span.trace_id,
                span_id: (n % 8 != 1).then_some(span.span_id),
                evidence: "goroutine",
                after_response: line == 2,
            }),
            class: if n % 9 == 1 { Class::Infrastructure } else { Class::Business },
            source: [LogSource::Stdout, LogSource::Stderr, file][usize::from(n) % 3].clone(),
            attributes: vec![
                Attribute::new("marker", format!("{n}/{line}")),
                Attribute::new("user.id", i64::from(n)),
                Attribute::new("ratio", 0.25),
                Attribute::new("cached", n.is_multiple_of(2)),
                Attribute::new("tags", vec!["a".to_owned(), "b c".to_owned()]),
                Attribute::new("service", "its own word"),
            ],
            breach: (n == 11).then_some(Breach::Malformed),
            resource: Arc::clone(&span.resource),
        })
    };
    servers.flat_map(|span| [of_span(span, 1), of_span(span, 2)]).collect()
}

async fn export(settings: Settings, spans: &[Arc<Span>]) -> Arc<Metrics> {
    export_all(settings, spans, &[]).await
}

async fn export_all(
    settings: Settings,
    spans: &[Arc<Span>],
    records: &[Arc<LogRecord>],
) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    let runtime = tokio::runtime::Handle::current();
    let exporters = Exporters::start(settings, Arc::clone(&metrics), &runtime).unwrap();
    spans.iter().for_each(|span| exporters.offer(span));
    records.iter().for_each(|record| exporters.offer_record(record));
    exporters.shutdown(Duration::from_secs(20)).await;
    metrics
}

/// OTLP/JSON of attributes, by the proto3 JSON mapping: 64-bit integers are strings.
fn attributes(attributes: &[Attribute]) -> Value {
    use sensor::model::Value as Model;
    let value = |value: &Model| match value {
        Model::Str(text) => json!({ "stringValue": text.as_str() }),
        Model::Int(number) => json!({ "intValue": number.to_string() }),
        Model::Double(number) => json!({ "doubleValue": number }),
        Model::Bool(truth) => json!({ "boolValue": truth }),
        Model::Strs(texts) => {
            let values: Vec<_> = texts.iter().map(|it| json!({ "stringValue": it })).collect();
            json!({ "arrayValue": { "values": values } })
        }
    };
    attributes.iter().map(|it| json!({ "key": it.key, "value": value(&it.value) })).collect()
}

/// What the Collector should say of a span.
fn expected(span: &Span) -> Received {
    let remote =
        if span.kind == SpanKind::Server && span.parent_span_id.is_some() { 0x300 } else { 0 };
    let mut value = json!({
        "traceId": span.trace_id.to_string(),
        "spanId": span.span_id.to_string(),
        "name": span.name,
        "kind": if span.kind == SpanKind::Server { 2 } else { 3 },
        "startTimeUnixNano": span.start_unix_ns.to_string(),
        "endTimeUnixNano": span.end_unix_ns.to_string(),
        "attributes": attributes(&span.attributes),
        "status": if span.status == Status::Error { json!({ "code": 2 }) } else { json!({}) },
    });
    let flags = u32::from(span.flags.0) | remote;
    if flags != 0 {
        value["flags"] = json!(flags);
    }
    if let Some(parent) = span.parent_span_id {
        value["parentSpanId"] = json!(parent.to_string());
    }
    if let Some(state) = &span.trace_state {
        value["traceState"] = json!(state);
    }
    if let Some(event) = span.events.first() {
        value["events"] = json!([{
            "timeUnixNano": event.time_unix_ns.to_string(),
            "name": event.name,
            "attributes": attributes(&event.attributes),
        }]);
    }
    if let Some(link) = span.links.first() {
        value["links"] =
            json!([{ "traceId": link.trace_id.to_string(), "spanId": link.span_id.to_string() }]);
    }
    Received { resource: attributes(&span.resource.attributes), scope: scope(), span: value }
}

fn scope() -> Value {
    json!({ "name": "sensor", "version": env!("CARGO_PKG_VERSION") })
}

/// What the Collector should say of a record, by the data model and the semantic conventions.
fn expected_record(record: &LogRecord) -> ReceivedRecord {
    let mut value = json!({
        "observedTimeUnixNano": record.observed_unix_ns.to_string(),
        "body": { "stringValue": record.message.as_str() },
    });
    if let Some(time) = record.time_unix_ns {
        value["timeUnixNano"] = json!(time.to_string());
    }
    if let Some(severity) = record.severity {
        value["severityNumber"] = json!(match severity {
            Severity::Trace => 1,
            Severity::Debug => 5,
            Severity::Info => 9,
            Severity::Warn => 13,
            Severity::Error => 17,
            Severity::Fatal => 21,
        });
    }
    if let Some(text) = &record.severity_text {
        value["severityText"] = json!(text.as_str());
    }
    if let Some(event) = &record.event {
        value["eventName"] = json!(event.as_str());
    }
    let mut all = record.attributes.clone();
    if record.caller.is_some() {
        all.push(Attribute::new("code.file.path", "cart/add.go"));
        all.push(Attribute::new("code.line.number", 42));
    }
    all.push(match record.source {
        LogSource::Stdout => Attribute::new("log.iostream", "stdout"),
        LogSource::Stderr => Attribute::new("log.iostream", "stderr"),
        _ => Attribute::new("log.file.path", "/var/log/shop.log"),
    });
    let class = if record.class == Class::Business { "business" } else { "infrastructure" };
    all.push(Attribute::new("sensor.log.class", class));
    if record.breach.is_some() {
        all.push(Attribute::new("sensor.log.dead_letter", "malformed"));
    }
    if let Some(correlation) = record.correlation {
        value["traceId"] = json!(correlation.trace_id.to_string());
        if let Some(span_id) = correlation.span_id {
            value["spanId"] = json!(span_id.to_string());
        }
        all.push(Attribute::new("sensor.log.correlation", "goroutine"));
        if correlation.after_response {
            all.push(Attribute::new("sensor.log.after_response", true));
        }
    }
    value["attributes"] = attributes(&all);
    let resource = attributes(&record.resource.attributes);
    ReceivedRecord { resource, scope: scope(), record: value }
}

async fn through_the_collector(test: &str, protocol: otlp::Protocol, tls: bool) {
    let Some(collector) = or_skip(test, Collector::start(tls).unwrap()) else {
        return;
    };
    for compression in [otlp::Compression::Gzip, otlp::Compression::None] {
        let address = match protocol {
            otlp::Protocol::Grpc => collector.grpc,
            otlp::Protocol::HttpProtobuf => collector.http,
        };
        let scheme = if tls { "https" } else { "http" };
        let settings = otlp::Settings::new(&format!("{scheme}://{address}"), protocol).unwrap();
        let certificate = collector.certificate.clone();
        let settings = otlp::Settings { compression, certificate, ..settings };
        let spans = spans();
        let before = collector.spans().unwrap().len();
        let metrics =
            export(Settings { otlp: Some(settings), ..Settings::default() }, &spans).await;
        assert_eq!(metrics.get(Counter::OtlpOffered), 60);
        assert_eq!(metrics.get(Counter::OtlpSent), 60, "{}", collector.log());

        let mut received = collector.spans().unwrap().split_off(before);
        received.sort_by_key(|received| received.span["spanId"].to_string());
        assert_eq!(received.len(), spans.len());
        for (received, span) in received.iter().zip(&spans) {
            assert_eq!(*received, expected(span));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_over_grpc_reaches_a_collector() {
    let test = "otlp_over_grpc_reaches_a_collector";
    through_the_collector(test, otlp::Protocol::Grpc, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_over_http_reaches_a_collector() {
    let test = "otlp_over_http_reaches_a_collector";
    through_the_collector(test, otlp::Protocol::HttpProtobuf, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_over_grpc_and_tls_reaches_a_collector() {
    let test = "otlp_over_grpc_and_tls_reaches_a_collector";
    through_the_collector(test, otlp::Protocol::Grpc, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_over_https_reaches_a_collector() {
    let test = "otlp_over_https_reaches_a_collector";
    through_the_collector(test, otlp::Protocol::HttpProtobuf, true).await;
}

/// A certificate that nobody vouches for is not taken.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_trusted() {
    let test = "strangers_are_not_trusted";
    let Some(collector) = or_skip(test, Collector::start(true).unwrap()) else {
        return;
    };
    for (address, protocol) in
        [(collector.grpc, otlp::Protocol::Grpc), (collector.http, otlp::Protocol::HttpProtobuf)]
    {
        let mut settings = otlp::Settings::new(&format!("https://{address}"), protocol).unwrap();
        settings.policy.retry_limit = Duration::from_millis(300);
        let metrics =
            export(Settings { otlp: Some(settings), ..Settings::default() }, &spans()).await;
        assert_eq!(metrics.get(Counter::OtlpLostFailed), 60, "{protocol:?}");
    }
    assert_eq!(collector.spans().unwrap(), []);
}

/// Value by value, over both protocols; spans beside them to the same Collector.
#[tokio::test(flavor = "multi_thread")]
async fn records_reach_a_collector() {
    let Some(collector) = or_skip("records_reach_a_collector", Collector::start(false).unwrap())
    else {
        return;
    };
    let spans = spans();
    let records = records(&spans);
    for (address, protocol) in
        [(collector.grpc, otlp::Protocol::Grpc), (collector.http, otlp::Protocol::HttpProtobuf)]
    {
        let url = format!("http://{address}");
        let settings = Settings {
            otlp: Some(otlp::Settings::new(&url, protocol).unwrap()),
            otlp_logs: Some(otlp::Settings::logs(&url, protocol).unwrap()),
            loki: None,
        };
        let before = (collector.spans().unwrap().len(), collector.records().unwrap().len());
        let metrics = export_all(settings, &spans, &records).await;
        assert_eq!(metrics.get(Counter::OtlpSent), 60, "{}", collector.log());
        assert_eq!(metrics.get(Counter::OtlpLogsOffered), 80);
        assert_eq!(metrics.get(Counter::OtlpLogsSent), 80, "{}", collector.log());
        assert_eq!(collector.spans().unwrap().len() - before.0, 60);

        let mut received = collector.records().unwrap().split_off(before.1);
        let mut expected: Vec<_> = records.iter().map(|it| expected_record(it)).collect();
        for list in [&mut received, &mut expected] {
            list.sort_by_key(|it| it.record["attributes"].to_string());
        }
        assert_eq!(received.len(), expected.len());
        for (received, expected) in received.iter().zip(&expected) {
            // The proto3 JSON mapping leaves out what is zero or empty; the Collector's does not always.
            let mut item = received.record.clone();
            let object = item.as_object_mut().unwrap();
            object.retain(|_, value| !matches!(value.as_str(), Some("" | "0")));
            assert_eq!(item, expected.record);
            assert_eq!(
                (&received.resource, &received.scope),
                (&expected.resource, &expected.scope)
            );
        }
    }
}

async fn found(
    store: &VictoriaLogs,
    query: &str,
    count: usize,
) -> Vec<serde_json::Map<String, Value>> {
    let mut found = Vec::new();
    for _ in 0..100 {
        found = store.query(query).unwrap();
        if found.len() == count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found.len(), count, "{query}: {}", store.log());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_queried_back_from_a_store() {
    let test = "lines_are_queried_back_from_a_store";
    let Some(store) = or_skip(test, VictoriaLogs::start().unwrap()) else {
        return;
    };
    let settings = loki::Settings::new(&store.loki_endpoint()).unwrap();
    let spans = spans();
    let records = records(&spans);
    let settings = Settings { loki: Some(settings), ..Settings::default() };
    let metrics = export_all(settings, &spans, &records).await;
    let servers: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server).collect();
    let all = servers.len() + records.len();
    assert_eq!((servers.len(), records.len()), (40, 80));
    assert_eq!(metrics.get(Counter::LokiOffered), all as u64);
    assert_eq!(metrics.get(Counter::LokiSent), all as u64);

    // What was taken becomes visible to queries within a second or so. Not by its stream yet: the
    // store would remember that there was no such stream.
    found(&store, "*", all).await;
    let exchanges = found(&store, "source:exchange", servers.len()).await;
    for span in &servers {
        let id = span.span_id.to_string();
        let entry = exchanges.iter().find(|entry| entry["span_id"] == id).unwrap();
        let field = |name: &str| entry.get(name).and_then(Value::as_str);
        let n = span.span_id.bytes()[7];
        let status = if n % 5 == 0 { "503" } else { "200" };
        let duration = (span.end_unix_ns - span.start_unix_ns).to_string();
        // Of at least seven digits: milliseconds, a point, six digits without trailing zeros.
        let (ms, rest) = duration.split_at(duration.len() - 6);
        let duration = format!("{}ms", format!("{ms}.{rest}").trim_end_matches('0'));

        let level = if n % 5 == 0 { "error" } else { "info" };
        let service = span.resource.service_name().unwrap();
        let stream = format!(
            "{{class=\"middleware\",host_name=\"node-1\",level=\"{level}\",service_name=\"{service}\"}}"
        );
        assert_eq!(field("_stream"), Some(stream.as_str()));
        assert_eq!(field("trace_id"), Some(span.trace_id.to_string().as_str()));
        assert_eq!(field("event"), Some("http.server.request"));
        assert_eq!((field("service"), field("host")), (Some(service), Some("node-1")));
        assert_eq!(field("method"), Some("GET"));
        let path = format!("/päth/{n} \"quoted\"\\");
        assert_eq!(field("path"), Some(path.as_str()));
        assert_eq!(field("query"), (n == 7).then_some("a=1&b=2"));
        assert_eq!(field("status"), Some(status));
        assert_eq!(field("duration"), Some(duration.as_str()));
        let parent = span.parent_span_id.map(|id| id.to_string());
        assert_eq!(field("parent_span_id"), parent.as_deref());
        assert_eq!(field("_msg"), Some(format!("GET {path} {status} {duration}").as_str()));
        assert_eq!(nanoseconds(field("_time").unwrap()), span.end_unix_ns % 1_000_000_000);
    }
    for record in &records {
        let marker = record.attributes.iter().find(|it| it.key == "marker").unwrap();
        let sensor::model::Value::Str(marker) = &marker.value else { panic!("{marker:?}") };
        let entries = found(&store, &format!("marker:=\"{marker}\""), 1).await;
        let field = |name: &str| entries[0].get(name).and_then(Value::as_str);
        assert_eq!(field("_msg"), Some(record.message.as_str()));
        assert_eq!(nanoseconds(field("_time").unwrap()), record.observed_unix_ns % 1_000_000_000);
        let correlation = record.correlation;
        let trace_id = correlation.map(|it| it.trace_id.to_string());
        assert_eq!(field("trace_id"), trace_id.as_deref());
        let span_id = correlation.and_then(|it| it.span_id).map(|it| it.to_string());
        assert_eq!(field("span_id"), span_id.as_deref());
        assert_eq!(field("correlation"), correlation.map(|_| "goroutine"));
        assert_eq!(field("service"), record.resource.service_name());
        assert_eq!(field("field_service"), Some("its own word"));
        assert_eq!(field("level"), record.severity.map(|it| it.name()));
        assert_eq!(field("level_text"), record.severity_text.as_deref());
        assert_eq!(field("caller"), record.caller.as_deref());
        assert_eq!(field("event"), record.event.as_deref());
        assert_eq!(field("tags"), Some("[\"a\",\"b c\"]"));
        assert_eq!(field("user_id"), field("user.id"));
        assert_eq!(field("dead_letter_reason"), record.breach.map(|_| "malformed"));
        // Its own time is in the line, and the kernel's where that differs.
        assert_eq!(nanoseconds(field("timestamp").unwrap()), record.timestamp() % 1_000_000_000);
    }
    // One query has the whole story: each trace has its requests, and the lines of these.
    for n in 1..=15u8 {
        let id = TraceId::new([n; 16]).unwrap();
        let requests = servers.iter().filter(|span| span.trace_id == id).count();
        let of = |record: &&Arc<LogRecord>| record.correlation.is_some_and(|it| it.trace_id == id);
        let lines = records.iter().filter(of).count();
        let entries = found(&store, &format!("trace_id:={id}"), requests + lines).await;
        let seen = entries.iter().filter(|entry| entry["source"] == "exchange").count();
        assert_eq!(seen, requests);
        assert!(requests > 0 && lines > 0, "{id}");
    }
    // And the fields are there to be filtered by.
    let slow = store.query("status:503 level:error | stats count() n").unwrap();
    assert_eq!(slow[0]["n"], "8");
    let dead = store.query("_stream:{dead_letter=\"true\"} | stats count() n").unwrap();
    assert_eq!(dead[0]["n"], "2");
}

/// The fraction of an RFC 3339 time.
fn nanoseconds(time: &str) -> u64 {
    let fraction = time.trim_end_matches('Z').split_once('.').map_or("", |(_, fraction)| fraction);
    format!("{fraction:0<9}").parse().unwrap()
}
