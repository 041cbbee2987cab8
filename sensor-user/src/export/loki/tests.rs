//! The push request decoded as Loki would, and Loki's answers.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::runtime::Handle;

use super::request::{PushRequest, Timestamp, push_request};
use super::{Authorization, LEDGER, Settings, event};
use crate::export::testing::{
    HttpBackend, Received, Reply, account, assert_balanced, eventually, fast, resource, span_of,
    spans,
};
use crate::export::{Exporters, Settings as ExportSettings};
use crate::metrics::Metrics;
use crate::model::{Attribute, Resource, Span, SpanId, SpanKind, Status};

fn settings(url: &str) -> Settings {
    Settings { policy: fast(), timeout: Duration::from_secs(1), ..Settings::new(url).unwrap() }
}

async fn deliver(settings: Settings, spans: &[Arc<Span>]) -> [u64; 5] {
    let metrics = Arc::new(Metrics::default());
    let settings = ExportSettings { otlp: None, loki: Some(settings) };
    let exporters = Exporters::start(settings, Arc::clone(&metrics), &Handle::current()).unwrap();
    spans.iter().for_each(|span| exporters.offer(span));
    eventually("settled", || exporters.queued().loki == 0).await;
    exporters.shutdown(Duration::ZERO).await;
    assert_balanced(&metrics, &LEDGER, 0);
    account(&metrics, &LEDGER)
}

fn decode(request: &Received) -> PushRequest {
    let message = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    PushRequest::decode(message.as_slice()).unwrap()
}

/// Written by hand, from what a person would want to read.
#[test]
fn a_line_tells_the_exchange() {
    let mut span = span_of(&resource("shop"), 0xb7);
    span.parent_span_id = SpanId::new([1; 8]);
    span.attributes.extend([
        Attribute::new("url.query", "q=\"a b\"\n\u{1b}[31m"),
        Attribute::new("http.route", "/cart"),
        Attribute::new("client.address", "10.0.0.7"),
        Attribute::new("user_agent.original", "curl/8.1 é"),
        Attribute::new("http.response.body.size", 512),
    ]);
    let entry = event::entry(&span);
    assert_eq!(entry.time_unix_ns, 1_700_000_000_125_000_000);
    assert_eq!(
        entry.line,
        r#"method=GET route=/cart path=/cart query="q=\"a b\"\n\u001b[31m" status=200 "#.to_owned()
            + r#"client=10.0.0.7 response_bytes=512 user_agent="curl/8.1 é" duration=1.543211ms "#
            + "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 "
            + "parent_span_id=0101010101010101"
    );
    let metadata: Vec<_> = entry.metadata.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(metadata[3], ("query", "q=\"a b\"\n\u{1b}[31m"));
    assert_eq!(metadata[8], ("duration", "1.543211ms"));
}

#[test]
fn durations_are_exact_and_as_go_writes_them() {
    for (ns, text) in [
        (0, "0ns"),
        (999, "999ns"),
        (1_000, "1us"),
        (1_234, "1.234us"),
        (1_000_001, "1.000001ms"),
        (20_500_000, "20.5ms"),
        (1_500_000_000, "1.5s"),
        (61_000_000_001, "61.000000001s"),
    ] {
        let span = span_of(&resource("s"), 1);
        let entry = event::entry(&Span { end_unix_ns: span.start_unix_ns + ns, ..span });
        assert!(entry.line.contains(&format!(" duration={text} ")), "{ns}: {}", entry.line);
    }
}

#[test]
fn labels_are_few_and_escaped() {
    let resource = Arc::new(Resource {
        attributes: vec![
            Attribute::new("service.name", "a\"b\\c\nd"),
            Attribute::new("service.namespace", "prod"),
            Attribute::new("host.name", "node-1"),
            Attribute::new("k8s.namespace.name", "shop"),
            Attribute::new("process.pid", 4711),
        ],
    });
    assert_eq!(
        event::labels(&span_of(&resource, 1)),
        r#"{host_name="node-1", k8s_namespace_name="shop", level="info", service_name="a\"b\\c\nd", service_namespace="prod"}"#
    );
    assert_eq!(event::labels(&span_of(&Arc::default(), 1)), r#"{level="info"}"#);
}

#[test]
fn levels_follow_the_status() {
    let with = |status, code: Option<i64>| {
        let mut span = span_of(&Arc::default(), 1);
        span.status = status;
        span.attributes = code
            .map(|code| Attribute::new("http.response.status_code", code))
            .into_iter()
            .collect();
        event::labels(&span)
    };
    assert_eq!(with(Status::Unset, Some(200)), r#"{level="info"}"#);
    assert_eq!(with(Status::Unset, Some(404)), r#"{level="warn"}"#);
    assert_eq!(with(Status::Error, Some(503)), r#"{level="error"}"#);
    assert_eq!(with(Status::Error, None), r#"{level="error"}"#);
}

#[test]
fn entries_of_a_stream_are_in_order_of_time() {
    let (shop, cart) = (resource("shop"), resource("cart"));
    let at = |resource, end_unix_ns| {
        Arc::new(Span { start_unix_ns: 1, end_unix_ns, ..span_of(resource, 1) })
    };
    let batch = [at(&shop, 3_000_000_001), at(&cart, 9), at(&shop, 2), at(&shop, 2_999_999_999)];
    let request = push_request(&batch);
    let streams: Vec<_> = request
        .streams
        .iter()
        .map(|stream| {
            let times = stream.entries.iter().map(|entry| entry.timestamp.unwrap());
            (stream.labels.as_str(), times.collect::<Vec<_>>())
        })
        .collect();
    let time = |seconds, nanos| Timestamp { seconds, nanos };
    assert_eq!(
        streams,
        [
            (r#"{level="info", service_name="cart"}"#, vec![time(0, 9)]),
            (
                r#"{level="info", service_name="shop"}"#,
                vec![time(0, 2), time(2, 999_999_999), time(3, 1)]
            ),
        ]
    );
}

/// One label of one stream, one entry, byte by byte by the rules of protobuf and snappy.
#[test]
fn the_bytes_are_those_of_loki() {
    let request = PushRequest {
        streams: vec![super::request::StreamAdapter {
            labels: "{a=\"b\"}".into(),
            entries: vec![super::request::EntryAdapter {
                timestamp: Some(Timestamp { seconds: 1, nanos: 2 }),
                line: "x".into(),
                structured_metadata: vec![super::request::LabelPairAdapter {
                    name: "k".into(),
                    value: "v".into(),
                }],
            }],
            hash: 0,
        }],
    };
    let message = [
        &[0x0a, 28, 0x0a, 7][..], // streams, labels
        b"{a=\"b\"}",
        &[0x12, 17, 0x0a, 4, 0x08, 1, 0x10, 2], // entries, timestamp
        &[0x12, 1, b'x'],                       // line
        &[0x1a, 6, 0x0a, 1, b'k', 0x12, 1, b'v'], // structuredMetadata
    ]
    .concat();
    assert_eq!(request.encode_to_vec(), message);
    // A raw block: the length, then one literal (tag: length - 1, shifted by two).
    let block = [&[30, 29 << 2][..], &message].concat();
    assert_eq!(super::request::encode(&request), block);
}

#[tokio::test]
async fn a_push_is_what_loki_expects() {
    let backend =
        HttpBackend::start(vec![Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())]).await;
    let settings = Settings {
        tenant: Some("team-a".parse().unwrap()),
        authorization: Some(Authorization::Basic {
            username: "Aladdin".into(),
            password: "open sesame".into(),
        }),
        ..settings(&backend.url())
    };
    let mut batch = spans(2);
    batch.push(Arc::new(Span { kind: SpanKind::Client, ..span_of(&resource("shop"), 9) }));
    // The client span is not a line.
    assert_eq!(deliver(settings, &batch).await, [2, 2, 0, 0, 0]);
    let [request] = backend.received().try_into().unwrap();
    assert!(request.head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("x-scope-orgid"), Some("team-a"));
    assert_eq!(request.header("user-agent"), Some("sensor/0.1.0"));
    // The example of RFC 7617, section 2.
    assert_eq!(request.header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    let message = decode(&request);
    assert_eq!(message.streams.len(), 1);
    assert_eq!(message.streams[0].entries.len(), 2);
}

#[tokio::test]
async fn answers_of_loki() {
    let no_content = Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let (sent, rejected, failed) = ([3, 3, 0, 0, 0], [3, 0, 0, 3, 0], [3, 0, 0, 0, 3]);
    let old = b"entry for stream '{level=\"info\"}' has timestamp too old";
    for (script, expected) in [
        (vec![Reply::status("429 Too Many Requests"), no_content.clone()], sent),
        (vec![Reply::status("500 Internal Server Error"), no_content.clone()], sent),
        (vec![Reply::status("503 Service Unavailable"), no_content.clone()], sent),
        (vec![Reply::Hang, no_content.clone()], sent),
        (vec![Reply::Break(b"HTTP/1.1 204".to_vec()), no_content], sent),
        (vec![Reply::full("400 Bad Request", "text/plain", old)], rejected),
        (vec![Reply::status("401 Unauthorized")], rejected),
        (vec![Reply::status("404 Not Found")], rejected),
        (vec![Reply::status("301 Moved Permanently")], failed),
        (vec![Reply::status("503 Service Unavailable")], failed),
        (vec![Reply::Break(b"garbage\r\n\r\n".to_vec())], failed),
    ] {
        let backend = HttpBackend::start(script.clone()).await;
        assert_eq!(deliver(settings(&backend.url()), &spans(3)).await, expected, "{script:?}");
    }
}

#[test]
fn settings_from_the_environment() {
    let read = |env: &[(&str, &str)], endpoint: Option<&str>, tenant: Option<&str>| {
        let env: std::collections::HashMap<_, _> = env.iter().copied().collect();
        let get = |name: &str| env.get(name).map(|value| (*value).to_owned());
        Settings::from_env_and_flags(&get, endpoint, tenant)
    };
    assert!(read(&[], None, None).unwrap().is_none());
    let full = read(
        &[
            ("SENSOR_LOKI_ENDPOINT", "http://loki:3100/"),
            ("SENSOR_LOKI_TENANT", "team-a"),
            ("SENSOR_LOKI_BEARER_TOKEN", "topsecret"),
            ("SENSOR_LOKI_TIMEOUT", "1500"),
        ],
        None,
        Some("team-b"),
    )
    .unwrap()
    .unwrap();
    assert_eq!(full.endpoint.as_str(), "http://loki:3100/loki/api/v1/push");
    assert_eq!(full.tenant.as_ref().unwrap(), "team-b");
    assert_eq!(full.authorization, Some(Authorization::Bearer("topsecret".into())));
    assert_eq!(full.timeout, Duration::from_millis(1500));
    assert!(!format!("{full:?}").contains("topsecret"));

    let proxied = read(&[], Some("http://vl:9428/insert"), None).unwrap().unwrap();
    assert_eq!(proxied.endpoint.as_str(), "http://vl:9428/insert/loki/api/v1/push");
    let whole = read(&[], Some("http://l:1/loki/api/v1/push"), None).unwrap().unwrap();
    assert_eq!(whole.endpoint.as_str(), "http://l:1/loki/api/v1/push");

    let errors = read(
        &[
            ("SENSOR_LOKI_TENANT", "a\nb"),
            ("SENSOR_LOKI_USERNAME", "u"),
            ("SENSOR_LOKI_TIMEOUT", "0"),
        ],
        Some("loki:3100"),
        None,
    )
    .unwrap_err();
    for part in [
        "--loki-endpoint has to begin with http://",
        "SENSOR_LOKI_TENANT has to be printable ASCII",
        "SENSOR_LOKI_TIMEOUT has to be",
        "SENSOR_LOKI_USERNAME needs SENSOR_LOKI_PASSWORD",
    ] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part:?} is not in {errors:#?}");
    }
}
