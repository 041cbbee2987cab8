//! OTLP/HTTP against a server that misbehaves in every way.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use tokio::runtime::Handle;

use super::super::{Compression, LEDGER, Protocol, Settings};
use crate::export::testing::{
    HttpBackend, Received, Reply, account, assert_balanced, eventually, fast, resource, span_of,
    spans,
};
use crate::export::{Exporters, Settings as ExportSettings, StartError};
use crate::metrics::{Counter, Metrics};

const PROTOBUF: &str = "application/x-protobuf";

fn settings(url: &str) -> Settings {
    Settings {
        policy: fast(),
        timeout: Duration::from_secs(1),
        ..Settings::new(url, Protocol::HttpProtobuf).unwrap()
    }
}

pub(super) fn start(settings: Settings) -> (Exporters, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let settings = ExportSettings { otlp: Some(settings), ..ExportSettings::default() };
    (Exporters::start(settings, Arc::clone(&metrics), &Handle::current()).unwrap(), metrics)
}

/// Offers three spans and waits until they are settled.
async fn deliver(settings: Settings) -> ([u64; 5], Arc<Metrics>) {
    let (exporters, metrics) = start(settings);
    spans(3).iter().for_each(|span| exporters.offer(span));
    eventually("settled", || exporters.queued().otlp == 0).await;
    exporters.shutdown(Duration::ZERO).await;
    assert_balanced(&metrics, &LEDGER, 0);
    (account(&metrics, &LEDGER), metrics)
}

const SENT: [u64; 5] = [3, 3, 0, 0, 0];
const FAILED: [u64; 5] = [3, 0, 0, 0, 3];

fn ok() -> Reply {
    Reply::full("200 OK", PROTOBUF, b"")
}

fn decode(request: &Received) -> ExportTraceServiceRequest {
    let mut message = Vec::new();
    match request.header("content-encoding") {
        Some("gzip") => {
            flate2::read::GzDecoder::new(request.body.as_slice())
                .read_to_end(&mut message)
                .unwrap();
        }
        None => message.clone_from(&request.body),
        Some(other) => panic!("unknown encoding {other}"),
    }
    ExportTraceServiceRequest::decode(message.as_slice()).unwrap()
}

#[tokio::test]
async fn a_request_is_what_the_specification_says() {
    for compression in [Compression::None, Compression::Gzip] {
        let backend = HttpBackend::start(vec![ok()]).await;
        let key = ("api-key".parse().unwrap(), "k".parse().unwrap());
        let settings = Settings { compression, headers: vec![key], ..settings(&backend.url()) };
        assert_eq!(deliver(settings).await.0, SENT);
        let [request] = backend.received().try_into().unwrap();
        assert!(request.head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), Some(PROTOBUF));
        assert_eq!(request.header("user-agent"), Some("sensor/0.1.0"));
        assert_eq!(request.header("api-key"), Some("k"));
        let encoding = (compression == Compression::Gzip).then_some("gzip");
        assert_eq!(request.header("content-encoding"), encoding);
        let message = decode(&request);
        let ids: Vec<_> = message.resource_spans[0].scope_spans[0]
            .spans
            .iter()
            .map(|span| span.span_id[7])
            .collect();
        assert_eq!(ids, [1, 2, 3]);
    }
}

/// The codes that the specification calls retryable, a broken and a missing answer.
#[tokio::test]
async fn what_may_pass_is_tried_again_with_the_same_bytes() {
    for reply in [
        Reply::status("429 Too Many Requests"),
        Reply::status("502 Bad Gateway"),
        Reply::status("503 Service Unavailable"),
        Reply::status("504 Gateway Timeout"),
        Reply::Break(Vec::new()),
        Reply::Break(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nten bytes.".to_vec()),
        Reply::Break(b"\0\xff\x16\x03 what is this\r\n\r\n".to_vec()),
        Reply::Hang,
    ] {
        let backend = HttpBackend::start(vec![reply.clone(), ok()]).await;
        let (account, metrics) = deliver(settings(&backend.url())).await;
        assert_eq!(account, SENT, "{reply:?}");
        assert_eq!(metrics.get(Counter::OtlpRetries), 1, "{reply:?}");
        let received = backend.received();
        assert_eq!(received[0].body, received[1].body);
    }
}

#[tokio::test]
async fn what_will_not_pass_is_counted_at_once() {
    for reply in [
        Reply::status("400 Bad Request"),
        Reply::status("401 Unauthorized"),
        Reply::status("404 Not Found"),
        Reply::status("413 Content Too Large"),
        Reply::status("500 Internal Server Error"),
        Reply::Answer(
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
        ),
        // A success in a language that is not OTLP's is none.
        Reply::full("200 OK", PROTOBUF, b"\xff\xff\xff\xff"),
        Reply::full("200 OK", "text/html", b"<html>Welcome to nginx!</html>"),
        Reply::full("200 OK", "application/json", b"{\"partialSuccess\":{\"rejectedSpans\":\"x\"}}"),
        Reply::full("200 OK", PROTOBUF, &vec![0; 1 << 20]),
    ] {
        let backend = HttpBackend::start(vec![reply.clone()]).await;
        let (account, metrics) = deliver(settings(&backend.url())).await;
        assert_eq!(account, FAILED, "{reply:?}");
        assert_eq!(metrics.get(Counter::OtlpRetries), 0);
        assert_eq!(backend.received().len(), 1);
    }
}

/// What one service sends is unacceptable. The spans of the others arrive, each service's by
/// itself, once.
#[tokio::test]
async fn one_service_does_not_spoil_the_batch_of_all() {
    fn services(request: &Received) -> Vec<String> {
        let name = |value: &Option<AnyValue>| match value.as_ref().unwrap().value.as_ref().unwrap()
        {
            AnyValueKind::StringValue(name) => name.clone(),
            other => panic!("{other:?}"),
        };
        let of =
            |group: &ResourceSpans| name(&group.resource.as_ref().unwrap().attributes[0].value);
        decode(request).resource_spans.iter().map(of).collect()
    }
    for status in ["400 Bad Request", "413 Content Too Large", "422 Unprocessable Content"] {
        let backend = HttpBackend::answering(move |request| {
            let spoilt = services(request).iter().any(|name| name == "noisy");
            if spoilt { Reply::status(status) } else { ok() }
        })
        .await;
        let (exporters, metrics) = start(settings(&backend.url()));
        for (service, n) in [("a", 1), ("noisy", 2), ("b", 3), ("noisy", 4), ("a", 5)] {
            exporters.offer(&Arc::new(span_of(&resource(service), n)));
        }
        eventually("settled", || exporters.queued().otlp == 0).await;
        exporters.shutdown(Duration::ZERO).await;
        assert_balanced(&metrics, &LEDGER, 0);
        assert_eq!(account(&metrics, &LEDGER), [5, 3, 0, 0, 2], "{status}");
        let mut requests: Vec<_> = backend.received().iter().map(services).collect();
        requests.iter_mut().for_each(Vec::dedup);
        assert_eq!(requests.len(), 4, "{requests:?}");
        assert_eq!(requests[1..], [["a"], ["noisy"], ["b"]]);
    }
}

#[tokio::test]
async fn partial_success_is_counted() {
    let partial = |rejected_spans, message: &str| {
        let partial_success =
            Some(ExportTracePartialSuccess { rejected_spans, error_message: message.into() });
        let body = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        Reply::full("200 OK", PROTOBUF, &body)
    };
    let json = br#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#;
    for (reply, rejected) in [
        (partial(2, "too old"), 2),
        (partial(0, "a warning"), 0),
        (partial(i64::MAX, ""), 3),
        (partial(-5, ""), 0),
        (Reply::full("200 OK", "application/json", json), 1),
        (Reply::full("200 OK", "application/json; charset=utf-8", b"{}"), 0),
        (Reply::full("202 Accepted", "text/plain", b""), 0),
    ] {
        let backend = HttpBackend::start(vec![reply]).await;
        let (account, _) = deliver(settings(&backend.url())).await;
        assert_eq!(account, [3, 3 - rejected, 0, rejected, 0]);
    }
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let seconds = || "1".to_owned();
    let date = || httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    let nonsense = || "soon".to_owned();
    let values: [(&dyn Fn() -> String, u128); 3] =
        // A date is in whole seconds: up to one of the three is cut off.
        [(&seconds, 1_000), (&date, 1_900), (&nonsense, 5)];
    for (value, at_least) in values {
        let value = value();
        let answer =
            format!("HTTP/1.1 429 No\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        let backend = HttpBackend::start(vec![Reply::Answer(answer.into_bytes()), ok()]).await;
        let mut settings = settings(&backend.url());
        settings.policy.retry_limit = Duration::from_secs(10);
        let asked = Instant::now();
        assert_eq!(deliver(settings).await.0, SENT);
        let waited = asked.elapsed().as_millis();
        assert!((at_least..at_least + 2_500).contains(&waited), "{value}: {waited} ms");
    }
}

#[tokio::test]
async fn nobody_there_is_counted_after_the_limit() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (account, metrics) = deliver(settings(&format!("http://127.0.0.1:{port}"))).await;
    assert_eq!(account, FAILED);
    assert!(metrics.get(Counter::OtlpRetries) > 5);
}

#[tokio::test]
async fn shutdown_keeps_its_deadline_when_the_backend_hangs() {
    let backend = HttpBackend::start(vec![Reply::Hang]).await;
    let (exporters, metrics) =
        start(Settings { timeout: Duration::from_secs(60), ..settings(&backend.url()) });
    let clone = exporters.clone();
    spans(3).iter().for_each(|span| exporters.offer(span));
    let asked = Instant::now();
    exporters.shutdown(Duration::from_millis(300)).await;
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(2), "{took:?}");
    assert_eq!(account(&metrics, &LEDGER), FAILED);
    clone.offer(&spans(1)[0]);
    assert_eq!(account(&metrics, &LEDGER), [4, 0, 0, 0, 4]);
    assert_eq!(clone.queued().otlp, 0);
}

#[tokio::test]
async fn dropping_the_last_handle_still_delivers() {
    let backend = HttpBackend::start(vec![ok()]).await;
    let mut settings = settings(&backend.url());
    settings.policy.batch_age = Duration::from_secs(3600);
    let (exporters, metrics) = start(settings);
    spans(3).iter().for_each(|span| exporters.offer(span));
    drop(exporters);
    eventually("sent", || account(&metrics, &LEDGER) == SENT).await;
}

#[tokio::test]
async fn unreadable_certificates_fail_at_the_start() {
    let file = std::env::temp_dir().join(format!("sensor-not-pem-{}", std::process::id()));
    std::fs::write(&file, "no certificate").unwrap();
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        for path in [file.clone(), "/does/not/exist.pem".into()] {
            let otlp = Settings {
                certificate: Some(path.clone()),
                ..Settings::new("https://localhost:1", protocol).unwrap()
            };
            let settings = ExportSettings { otlp: Some(otlp), ..ExportSettings::default() };
            let error = Exporters::start(settings, Arc::default(), &Handle::current()).unwrap_err();
            assert!(
                matches!(error, StartError::Certificate { .. }),
                "{protocol:?} {path:?}: {error}"
            );
        }
    }
    std::fs::remove_file(file).unwrap();
}

/// TLS is really spoken: a server without it is not taken for one with it.
#[tokio::test]
async fn https_does_not_fall_back_to_plain_text() {
    let backend = HttpBackend::start(vec![ok()]).await;
    let url = backend.url().replace("http://", "https://");
    assert_eq!(deliver(settings(&url)).await.0, FAILED);
    assert!(backend.received().is_empty());
}
