//! The push request decoded as Loki would, and Loki's answers.

mod hostile;
mod own;

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::runtime::Handle;

use super::line::line;
use super::metadata::{LEFT_OUT, metadata};
use super::request::{PushRequest, StreamAdapter, Timestamp, streams};
use super::{Authorization, Entry, LEDGER, Settings, event};
use crate::export::testing::{
    HttpBackend, Received, Reply, account, assert_balanced, eventually, fast, late, record_of,
    records, resource, span_of, spans,
};
use crate::export::{Exporters, Settings as ExportSettings};
use crate::metrics::Metrics;
use crate::model::{
    Attribute, Breach, Class, Correlation, LogRecord, LogSource, Resource, Severity, Span, SpanKind,
};

fn settings(url: &str) -> Settings {
    Settings { policy: fast(), timeout: Duration::from_secs(1), ..Settings::new(url).unwrap() }
}

async fn deliver(settings: Settings, spans: &[Arc<Span>]) -> [u64; 5] {
    let metrics = Arc::new(Metrics::default());
    let settings = ExportSettings { loki: Some(settings), ..ExportSettings::default() };
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

/// A record with everything that a record can have.
fn full() -> LogRecord {
    let resource = Arc::new(Resource {
        attributes: vec![
            Attribute::new("service.name", "shop"),
            Attribute::new("host.name", "node-1"),
            Attribute::new("process.pid", 4711),
        ],
        ..Resource::default()
    });
    LogRecord {
        time_unix_ns: Some(1_700_000_000_000_000_001),
        severity: Some(Severity::Warn),
        severity_text: Some("WARNING".into()),
        message: "out of \"tea\"\n\u{1b}[31m é".into(),
        caller: Some("cart/add.go:42".into()),
        event: Some("cart.add".into()),
        correlation: Some(Correlation {
            trace_id: span_of(&resource, 0xb7).trace_id,
            span_id: Some(span_of(&resource, 0xb7).span_id),
            evidence: "thread",
            after_response: true,
        }),
        source: LogSource::File("/var/log/shop.log".into()),
        breach: Some(Breach::Malformed),
        attributes: vec![
            Attribute::new("user.id", 7),
            Attribute::new("ratio", 0.5),
            Attribute::new("cached", true),
            Attribute::new("tags", vec!["a".to_owned(), "b".to_owned()]),
            Attribute::new("level", "own"),
            Attribute::new("field_level", "theirs"),
            Attribute::new("user-id", "late"),
        ],
        ..record_of(&resource, 0xb7)
    }
}

/// Written by hand, from the keys of the schema.
#[test]
fn a_line_is_one_object_of_the_schema() {
    assert_eq!(
        line(&full()),
        concat!(
            r#"{"timestamp":"2023-11-14T22:13:20.000000001Z","#,
            r#""observed_timestamp":"2023-11-14T22:13:20.124456789Z","#,
            r#""level":"warn","level_text":"WARNING","service":"shop","host":"node-1","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
            r#""message":"out of \"tea\"\n\u001b[31m é","caller":"cart/add.go:42","#,
            r#""event":"cart.add","class":"business","source":"file","file":"/var/log/shop.log","#,
            r#""dead_letter":"malformed","correlation":"thread","after_response":true,"#,
            r#""user.id":7,"ratio":0.5,"cached":true,"tags":["a","b"],"#,
            r#""field_field_level":"own","field_level":"theirs","user-id":"late"}"#,
        )
    );
    let bare = LogRecord { severity: None, correlation: None, ..record_of(&Arc::default(), 1) };
    assert_eq!(
        line(&bare),
        concat!(
            r#"{"timestamp":"2023-11-14T22:13:20.124456789Z","message":"added to cart","#,
            r#""class":"business","source":"stdout"}"#,
        )
    );
}

#[test]
fn an_exchange_is_a_line_of_the_same_schema() {
    let span = Arc::new(span_of(&resource("shop"), 0xb7));
    let entry = Entry::Exchange(span);
    let record = entry.record();
    assert_eq!(
        event::labels(&record),
        r#"{class="middleware", level="info", service_name="shop"}"#
    );
    assert_eq!(
        line(&record),
        concat!(
            r#"{"timestamp":"2023-11-14T22:13:20.125000000Z","level":"info","service":"shop","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","#,
            r#""message":"GET /cart 200 1.543211ms","event":"http.server.request","#,
            r#""class":"middleware","source":"exchange","correlation":"exchange","#,
            r#""method":"GET","path":"/cart","status":200,"duration":"1.543211ms"}"#,
        )
    );
}

fn pairs(record: &LogRecord) -> Vec<(String, String)> {
    let pairs = metadata(record, |key| key == "host.name");
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

#[test]
fn all_else_is_metadata() {
    let expected = [
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("span_id", "00f067aa0ba902b7"),
        ("correlation", "thread"),
        ("after_response", "true"),
        ("level_text", "WARNING"),
        ("caller", "cart/add.go:42"),
        ("event", "cart.add"),
        ("source", "file"),
        ("file", "/var/log/shop.log"),
        ("dead_letter_reason", "malformed"),
        ("process_pid", "4711"),
        ("user_id", "7"),
        ("ratio", "0.5"),
        ("cached", "true"),
        ("tags", r#"["a","b"]"#),
        ("field_field_level", "own"),
        ("field_level", "theirs"),
        // Two come to one name: the first has it.
        (LEFT_OUT, "user-id"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(&full()), expected);
}

/// The rules are those of `LabelNamer.Build`; what comes of each is written by hand.
#[test]
fn names_are_what_loki_makes_of_them() {
    let with = |key: &'static str| {
        let attributes = vec![Attribute::new(key, "v")];
        let record = LogRecord { correlation: None, attributes, ..record_of(&Arc::default(), 1) };
        let pairs = pairs(&record);
        assert_eq!(pairs.len(), 2, "{pairs:?}");
        pairs[1].clone()
    };
    let named = |name: &str| (name.to_owned(), "v".to_owned());
    assert_eq!(with("http.status_code"), named("http_status_code"));
    assert_eq!(with("a--b__c"), named("a_b_c"));
    assert_eq!(with("9lives"), named("key_9lives"));
    assert_eq!(with("_private"), named("_private"));
    assert_eq!(with("__error__"), named("_error_"));
    assert_eq!(with("grüße"), named("gr_e"));
    assert_eq!(with("trace.id"), named("field_trace_id"));
    assert_eq!(with("service_name"), named("field_service_name"));
    assert_eq!(with(""), (LEFT_OUT.to_owned(), "\"\"".to_owned()));
    for nothing in ["..", "_", "日本"] {
        assert_eq!(with(nothing), (LEFT_OUT.to_owned(), nothing.to_owned()));
    }
}

/// 128 entries and 64 KiB are what Loki takes by default.
#[test]
fn metadata_is_bounded_and_says_what_is_left_out() {
    let mut record = record_of(&Arc::default(), 1);
    let key = |n: usize| std::borrow::Cow::Owned(format!("k{n:03}"));
    let attribute = |n, value: String| Attribute { key: key(n), value: value.into() };
    record.attributes = (0..300).map(|n| attribute(n, "v".repeat(600))).collect();
    record.attributes[1] = attribute(1, "x".repeat(5000));
    let pairs = pairs(&record);
    assert!(pairs.len() <= 128, "{}", pairs.len());
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= 64 << 10, "{bytes}");
    let (name, left_out) = pairs.last().unwrap();
    assert_eq!(name, LEFT_OUT);
    assert!(left_out.starts_with("k001,k08"), "{left_out}");
    assert!(left_out.ends_with(" more)"), "{left_out}");
    // The line has all of them.
    let line: serde_json::Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(line["k001"].as_str().unwrap().len(), 5000);
    assert!(line["k299"].is_string());

    record.attributes = (0..300).map(|n| attribute(n, "v".into())).collect();
    assert!(metadata(&record, |_| false).len() <= 128);
}

#[test]
fn labels_are_few_and_escaped() {
    let with = |attributes| {
        event::labels(&LogRecord {
            severity: Some(Severity::Info),
            ..record_of(&Arc::new(Resource { attributes, ..Resource::default() }), 1)
        })
    };
    let mut attributes = vec![
        Attribute::new("service.name", "a\"b\\c\nd"),
        Attribute::new("service.namespace", "prod"),
        Attribute::new("host.name", "node-1"),
        Attribute::new("process.pid", 4711),
    ];
    assert_eq!(
        with(attributes.clone()),
        r#"{class="business", host_name="node-1", level="info", service_name="a\"b\\c\nd", service_namespace="prod"}"#
    );
    // Pods move from node to node.
    attributes.push(Attribute::new("k8s.namespace.name", "shop"));
    assert_eq!(
        with(attributes),
        r#"{class="business", k8s_namespace_name="shop", level="info", service_name="a\"b\\c\nd", service_namespace="prod"}"#
    );
    assert_eq!(with(vec![]), r#"{class="business", level="info"}"#);
    let long = with(vec![Attribute::new("service.name", "é".repeat(2000))]);
    assert!(long.len() < 1100, "{long}");
    let dead = LogRecord {
        severity: None,
        class: Class::Infrastructure,
        breach: Some(Breach::Binary),
        ..record_of(&resource("shop"), 1)
    };
    assert_eq!(
        event::labels(&dead),
        r#"{class="infrastructure", dead_letter="true", service_name="shop"}"#
    );
}

#[test]
fn entries_of_a_stream_are_in_order_of_time() {
    let (shop, cart) = (resource("shop"), resource("cart"));
    let exchange = |resource, end_unix_ns| {
        let span = Span { start_unix_ns: 1, end_unix_ns, ..span_of(resource, 1) };
        Entry::Exchange(Arc::new(span))
    };
    // Its own time lies, and does not count.
    let record = |resource, observed_unix_ns| {
        let time_unix_ns = Some(u64::MAX);
        let record = LogRecord { time_unix_ns, observed_unix_ns, ..record_of(resource, 1) };
        Entry::Record(Arc::new(LogRecord { class: Class::Middleware, ..record }))
    };
    let batch = [
        exchange(&shop, 3_000_000_001),
        exchange(&cart, 9),
        record(&shop, 2),
        record(&shop, 2_999_999_999),
    ];
    let streams: Vec<_> = streams(&batch)
        .into_iter()
        .map(|StreamAdapter { labels, entries, hash: _ }| {
            (labels, entries.iter().map(|entry| entry.timestamp.unwrap()).collect::<Vec<_>>())
        })
        .collect();
    let time = |seconds, nanos| Timestamp { seconds, nanos };
    let stream =
        |service| format!(r#"{{class="middleware", level="info", service_name="{service}"}}"#);
    assert_eq!(
        streams,
        [
            (stream("cart"), vec![time(0, 9)]),
            (stream("shop"), vec![time(0, 2), time(2, 999_999_999), time(3, 1)]),
        ]
    );
}

/// One label of one stream, one entry, byte by byte by the rules of protobuf and snappy.
#[test]
fn the_bytes_are_those_of_loki() {
    let request = PushRequest {
        streams: vec![StreamAdapter {
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
async fn a_bearer_token_is_sent() {
    let no_content = Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let backend = HttpBackend::start(vec![no_content]).await;
    let authorization = Some(Authorization::Bearer("mF_9.B5f-4.1JqM".into()));
    let settings = Settings { authorization, ..settings(&backend.url()) };
    assert_eq!(deliver(settings, &spans(1)).await, [1, 1, 0, 0, 0]);
    // The example of RFC 6750, section 2.1.
    assert_eq!(backend.received()[0].header("authorization"), Some("Bearer mF_9.B5f-4.1JqM"));
}

/// Each stream is asked for by itself, since Loki answers for the last of several only.
#[tokio::test]
async fn a_request_has_one_stream() {
    let no_content = Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let backend = HttpBackend::start(vec![no_content]).await;
    let metrics = Arc::new(Metrics::default());
    let export = ExportSettings { loki: Some(settings(&backend.url())), ..Default::default() };
    let exporters = Exporters::start(export, Arc::clone(&metrics), &Handle::current()).unwrap();
    let with = |n, severity| Arc::new(LogRecord { severity, ..record_of(&resource("shop"), n) });
    exporters.offer(&spans(1)[0]);
    exporters.offer_record(&with(2, Some(Severity::Error)));
    exporters.offer_record(&with(3, Some(Severity::Info)));
    exporters.offer_record(&with(4, Some(Severity::Error)));
    eventually("settled", || exporters.queued().loki == 0).await;
    let requests: Vec<_> = backend.received().iter().map(decode).collect();
    let streams: Vec<_> = requests
        .iter()
        .map(|request| {
            let [stream] = request.streams.as_slice() else { panic!("{request:?}") };
            (stream.labels.as_str(), stream.entries.len())
        })
        .collect();
    // By turns, in the order in which they began to wait.
    assert_eq!(
        streams,
        [
            (r#"{class="middleware", level="info", service_name="shop"}"#, 1),
            (r#"{class="business", level="error", service_name="shop"}"#, 2),
            (r#"{class="business", level="info", service_name="shop"}"#, 1),
        ]
    );
    exporters.shutdown(Duration::ZERO).await;
    assert_balanced(&metrics, &LEDGER, 0);
    assert_eq!(account(&metrics, &LEDGER), [4, 4, 0, 0, 0]);
}

#[tokio::test]
async fn answers_of_loki() {
    let no_content = Reply::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let (sent, rejected, failed) = ([3, 3, 0, 0, 0], [3, 0, 0, 3, 0], [3, 0, 0, 0, 3]);
    let bad = |text: &str| vec![Reply::full("400 Bad Request", "text/plain", text.as_bytes())];
    let old = "entry for stream '{level=\"info\"}' has timestamp too old: x, oldest acceptable y";
    let behind = "entry with timestamp x ignored, reason: 'entry too far behind, entry timestamp is: \
                  x, oldest acceptable timestamp is: y',\nuser 'fake', total ignored: 2 out of 3 \
                  for stream: {}";
    for (script, expected, expected_late) in [
        (vec![Reply::status("429 Too Many Requests"), no_content.clone()], sent, [0, 0]),
        (vec![Reply::status("500 Internal Server Error"), no_content.clone()], sent, [0, 0]),
        (vec![Reply::status("503 Service Unavailable"), no_content.clone()], sent, [0, 0]),
        (vec![Reply::Hang, no_content.clone()], sent, [0, 0]),
        (vec![Reply::Break(b"HTTP/1.1 204".to_vec()), no_content], sent, [0, 0]),
        (bad(old), [3, 2, 0, 0, 0], [0, 1]),
        (bad(&format!("3 errors like: {old}")), [3, 0, 0, 0, 0], [0, 3]),
        (bad(behind), [3, 1, 0, 0, 0], [2, 0]),
        (bad("error parsing labels"), rejected, [0, 0]),
        (bad(""), rejected, [0, 0]),
        (vec![Reply::status("401 Unauthorized")], rejected, [0, 0]),
        (vec![Reply::status("404 Not Found")], rejected, [0, 0]),
        (vec![Reply::status("301 Moved Permanently")], failed, [0, 0]),
        (vec![Reply::status("503 Service Unavailable")], failed, [0, 0]),
        (vec![Reply::Break(b"garbage\r\n\r\n".to_vec())], failed, [0, 0]),
    ] {
        let backend = HttpBackend::start(script.clone()).await;
        let metrics = Arc::new(Metrics::default());
        let loki = Some(settings(&backend.url()));
        let export = ExportSettings { loki, ..ExportSettings::default() };
        let exporters = Exporters::start(export, Arc::clone(&metrics), &Handle::current()).unwrap();
        records(3).iter().for_each(|record| exporters.offer_record(record));
        eventually("settled", || exporters.queued().loki == 0).await;
        exporters.shutdown(Duration::ZERO).await;
        assert_balanced(&metrics, &LEDGER, 0);
        assert_eq!(account(&metrics, &LEDGER), expected, "{script:?}");
        assert_eq!(late(&metrics, &LEDGER), expected_late, "{script:?}");
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
