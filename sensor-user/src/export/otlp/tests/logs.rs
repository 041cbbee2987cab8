//! Records of logs over both protocols.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord as OtlpRecord;
use prost::Message as _;
use tokio::runtime::Handle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use super::super::record::record;
use super::super::request::export_logs_request;
use super::super::{Compression, LOGS_LEDGER, Protocol, Settings};
use super::{pair, text};
use crate::export::testing::{
    HttpBackend, Reply, account, assert_balanced, eventually, fast, record_of, records, resource,
    spans,
};
use crate::export::{Exporters, Settings as ExportSettings};
use crate::metrics::{Counter, Metrics};
use crate::model::{
    Attribute, Breach, Class, Correlation, LogRecord, LogSource, Severity, TraceId,
};

/// A record with everything that a record can have.
fn full() -> LogRecord {
    LogRecord {
        time_unix_ns: Some(1_700_000_000_000_000_000),
        severity: Some(Severity::Error),
        severity_text: Some("ERR".into()),
        caller: Some("cart/add.go:42".into()),
        event: Some("cart.add".into()),
        attributes: vec![
            Attribute::new("user", 7),
            Attribute::new("ratio", 0.5),
            Attribute::new("exception.type", "java.io.IOException"),
        ],
        ..record_of(&resource("shop"), 0xb7)
    }
}

/// Field by field as `opentelemetry/proto/logs/v1/logs.proto` has them.
#[test]
fn a_record_carries_everything() {
    let OtlpRecord {
        time_unix_nano,
        observed_time_unix_nano,
        severity_number,
        severity_text,
        body,
        attributes,
        dropped_attributes_count,
        flags,
        trace_id,
        span_id,
        event_name,
    } = record(&full());
    assert_eq!(time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(observed_time_unix_nano, 1_700_000_000_124_456_789);
    assert_eq!(severity_number, 17, "SEVERITY_NUMBER_ERROR");
    assert_eq!(severity_text, "ERR");
    assert_eq!(body.unwrap(), text("added to cart"));
    assert_eq!((dropped_attributes_count, flags), (0, 0));
    assert_eq!(trace_id, 0x4bf92f3577b34da6a3ce929d0e0e4736_u128.to_be_bytes());
    assert_eq!(span_id, 0x00f067aa0ba902b7_u64.to_be_bytes());
    assert_eq!(event_name, "cart.add");
    let number = |number| crate_any(Any::IntValue(number));
    assert_eq!(
        attributes,
        [
            pair("user", number(7)),
            pair("ratio", crate_any(Any::DoubleValue(0.5))),
            pair("exception.type", text("java.io.IOException")),
            pair("code.file.path", text("cart/add.go")),
            pair("code.line.number", number(42)),
            pair("log.iostream", text("stdout")),
            pair("sensor.log.class", text("business")),
            pair("sensor.log.correlation", text("goroutine")),
        ]
    );
}

fn crate_any(value: Any) -> opentelemetry_proto::tonic::common::v1::AnyValue {
    opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(value) }
}

#[test]
fn what_is_not_known_is_not_set() {
    let bare = LogRecord { severity: None, correlation: None, ..record_of(&Arc::default(), 1) };
    let bare = record(&bare);
    assert_eq!((bare.time_unix_nano, bare.severity_number), (0, 0));
    assert!(bare.trace_id.is_empty() && bare.span_id.is_empty());
    assert!(bare.severity_text.is_empty() && bare.event_name.is_empty());

    // A trace without a span, after the response; a breach; a file; a function; and its own word for that.
    let of = LogRecord {
        correlation: Some(Correlation {
            trace_id: TraceId::new([7; 16]).unwrap(),
            span_id: None,
            evidence: "thread",
            after_response: true,
        }),
        class: Class::Middleware,
        caller: Some("handle_request".into()),
        source: LogSource::File("/var/log/shop.log".into()),
        breach: Some(Breach::Malformed),
        attributes: vec![Attribute::new("code.function.name", "own")],
        ..full()
    };
    let of = record(&of);
    assert_eq!((of.trace_id.len(), of.span_id.len()), (16, 0));
    assert_eq!(
        of.attributes,
        [
            pair("code.function.name", text("own")),
            pair("log.file.path", text("/var/log/shop.log")),
            pair("sensor.log.class", text("middleware")),
            pair("sensor.log.dead_letter", text("malformed")),
            pair("sensor.log.correlation", text("thread")),
            pair("sensor.log.after_response", crate_any(Any::BoolValue(true))),
        ]
    );
}

#[test]
fn records_are_grouped_by_resource() {
    let (shop, cart) = (resource("shop"), resource("cart"));
    let batch: Vec<_> = [(&shop, 1), (&cart, 2), (&shop, 3)]
        .into_iter()
        .map(|(resource, n)| Arc::new(record_of(resource, n)))
        .collect();
    let bytes = export_logs_request(&batch).encode_to_vec();
    let request = ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    let groups: Vec<_> = request
        .resource_logs
        .iter()
        .map(|group| {
            let [scope_logs] = group.scope_logs.as_slice() else { panic!("one scope") };
            let scope = scope_logs.scope.as_ref().unwrap();
            assert_eq!((scope.name.as_str(), scope.version.as_str()), ("sensor", "0.1.0"));
            let ids: Vec<_> = scope_logs.log_records.iter().map(|it| it.span_id[7]).collect();
            (group.resource.as_ref().unwrap().attributes.clone(), ids)
        })
        .collect();
    let service = |name| vec![pair("service.name", text(name))];
    assert_eq!(groups, [(service("shop"), vec![1, 3]), (service("cart"), vec![2])]);
}

fn settings(url: &str, protocol: Protocol) -> Settings {
    let settings = Settings::logs(url, protocol).unwrap();
    Settings { policy: fast(), timeout: Duration::from_secs(1), ..settings }
}

/// Offers three records (and spans, which do not go there) and waits until they are settled.
async fn deliver(settings: Settings) -> [u64; 5] {
    let metrics = Arc::new(Metrics::default());
    let settings = ExportSettings { otlp_logs: Some(settings), ..ExportSettings::default() };
    let exporters = Exporters::start(settings, Arc::clone(&metrics), &Handle::current()).unwrap();
    assert!(exporters.any());
    spans(2).iter().for_each(|span| exporters.offer(span));
    records(3).iter().for_each(|record| exporters.offer_record(record));
    eventually("settled", || exporters.queued().otlp == 0).await;
    exporters.shutdown(Duration::ZERO).await;
    assert_balanced(&metrics, &LOGS_LEDGER, 0);
    assert_eq!(metrics.get(Counter::OtlpOffered), 0);
    account(&metrics, &LOGS_LEDGER)
}

const SENT: [u64; 5] = [3, 3, 0, 0, 0];
const FAILED: [u64; 5] = [3, 0, 0, 0, 3];

#[tokio::test]
async fn over_http_as_the_specification_says() {
    let protobuf = "application/x-protobuf";
    let partial = |rejected_log_records| {
        let error_message = "too old".to_owned();
        let partial_success =
            Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
        let body = ExportLogsServiceResponse { partial_success }.encode_to_vec();
        Reply::full("200 OK", protobuf, &body)
    };
    let ok = Reply::full("200 OK", protobuf, b"");
    let json = br#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    for (script, expected) in [
        (vec![ok.clone()], SENT),
        (vec![Reply::status("503 Service Unavailable"), ok.clone()], SENT),
        (vec![Reply::status("429 Too Many Requests"), ok.clone()], SENT),
        (vec![Reply::Hang, ok], SENT),
        (vec![partial(2)], [3, 1, 0, 2, 0]),
        (vec![partial(0)], SENT),
        (vec![partial(-1)], SENT),
        (vec![Reply::full("200 OK", "application/json", json)], [3, 2, 0, 1, 0]),
        (vec![Reply::status("404 Not Found")], FAILED),
        (vec![Reply::status("400 Bad Request")], FAILED),
        (vec![Reply::Break(b"garbage\r\n\r\n".to_vec())], FAILED),
    ] {
        let backend = HttpBackend::start(script.clone()).await;
        let settings = Settings {
            compression: Compression::None,
            ..settings(&backend.url(), Protocol::HttpProtobuf)
        };
        assert_eq!(deliver(settings).await, expected, "{script:?}");
        let request = &backend.received()[0];
        assert!(request.head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), Some(protobuf));
        let message = ExportLogsServiceRequest::decode(request.body.as_slice()).unwrap();
        assert_eq!(message.resource_logs[0].scope_logs[0].log_records.len(), 3);
    }
}

type Answer = Result<ExportLogsServiceResponse, Status>;

/// Answers by the script, forever as its last entry.
#[derive(Clone, Default)]
struct Receiver {
    script: Arc<Mutex<VecDeque<Answer>>>,
    received: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.received.lock().unwrap().push(request.into_inner());
        let mut script = self.script.lock().unwrap();
        let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        next.unwrap().map(Response::new)
    }
}

#[tokio::test]
async fn over_grpc_as_the_service_expects() {
    let ok = || Ok(ExportLogsServiceResponse::default());
    let partial = |rejected_log_records| {
        let error_message = String::new();
        let partial_success =
            Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
        Ok(ExportLogsServiceResponse { partial_success })
    };
    for (script, expected) in [
        (vec![ok()], SENT),
        (vec![Err(Status::new(Code::Unavailable, "busy")), ok()], SENT),
        (vec![partial(1)], [3, 2, 0, 1, 0]),
        (vec![partial(9)], [3, 0, 0, 3, 0]),
        (vec![Err(Status::new(Code::Unimplemented, "no logs"))], FAILED),
        (vec![Err(Status::new(Code::Unauthenticated, "who"))], FAILED),
    ] {
        let receiver =
            Receiver { script: Arc::new(Mutex::new(script.clone().into())), ..Receiver::default() };
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let service =
            LogsServiceServer::new(receiver.clone()).accept_compressed(CompressionEncoding::Gzip);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        assert_eq!(deliver(settings(&url, Protocol::Grpc)).await, expected, "{script:?}");
        let received = receiver.received.lock().unwrap();
        let records = &received[0].resource_logs[0].scope_logs[0].log_records;
        let ids: Vec<_> = records.iter().map(|record| record.span_id[7]).collect();
        assert_eq!(ids, [1, 2, 3]);
    }
}

fn read(env: &[(&str, &str)], flag: Option<&str>, by_default: bool) -> Option<Settings> {
    let env: HashMap<_, _> = env.iter().copied().collect();
    let get = |name: &str| env.get(name).map(|value| (*value).to_owned());
    Settings::logs_from_env_and_flags(&get, flag, None, by_default).unwrap()
}

#[test]
fn where_records_go_by_the_specification() {
    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
    const OWN: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://own:1/any");
    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/");
    const NONE: (&str, &str) = ("OTEL_LOGS_EXPORTER", "none");
    const OTLP: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");
    let base = Some("http://base:4318/v1/logs");
    let own = Some("http://own:1/any");
    let flag = Some("http://flag:4318/v1/logs");
    for (env, with_flag, by_default, expected) in [
        (&[][..], None, true, None),
        (&[BASE], None, true, base),
        // Loki has them.
        (&[BASE], None, false, None),
        (&[BASE, OTLP], None, false, base),
        (&[BASE, OWN], None, false, own),
        (&[BASE, OWN, NONE], None, true, None),
        (&[BASE, NONE], Some("http://flag:4318"), true, None),
        // What is for traces alone says nothing of logs.
        (&[TRACES], None, true, None),
        (&[TRACES, OTLP], None, true, Some("http://localhost:4318/v1/logs")),
        (&[], Some("http://flag:4318/v1/traces"), true, None),
        (&[BASE], Some("http://flag:4318"), true, flag),
        (&[], Some("http://flag:4318"), false, None),
        (&[OTLP], Some("http://flag:4318"), false, flag),
        (&[OWN], Some("http://flag:4318"), true, own),
    ] {
        let found = read(env, with_flag, by_default);
        let found = found.as_ref().map(|settings| settings.endpoint.as_str());
        assert_eq!(found, expected, "{env:?} {with_flag:?} {by_default}");
    }
}

#[test]
fn logs_variables_win() {
    let settings = read(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=general"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=logs"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/etc/logs.pem"),
        ],
        None,
        true,
    );
    let settings = settings.unwrap();
    assert_eq!(settings.endpoint.as_str(), "http://c:1/");
    assert_eq!(settings.headers[0].1, "logs");
    assert_eq!(settings.timeout, Duration::from_millis(2));
    assert_eq!(settings.protocol, Protocol::Grpc);
    assert_eq!(settings.compression, Compression::None);
    assert_eq!(settings.certificate.as_deref(), Some("/etc/logs.pem".as_ref()));
}
