//! OTLP/gRPC against a server made from the official service definition.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use super::super::sink::wire::{Any, Delay, RETRY_INFO, RetryInfo, RpcStatus};
use super::super::{Compression, LEDGER, Protocol, Settings};
use super::http::start;
use crate::export::testing::{
    HttpBackend, Reply, account, assert_balanced, eventually, fast, resource, span_of, spans,
};
use crate::metrics::{Counter, Metrics};

type Answer = Result<ExportTraceServiceResponse, Status>;

/// Answers by the script, forever as its last entry; None hangs.
#[derive(Clone, Default)]
struct Receiver {
    script: Arc<Mutex<VecDeque<Option<Answer>>>>,
    received: Arc<Mutex<Vec<(MetadataMap, ExportTraceServiceRequest)>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.received.lock().unwrap().push((metadata, message));
        let next = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        match next.flatten() {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}

async fn backend(script: Vec<Option<Answer>>) -> (String, Receiver) {
    let receiver = Receiver { script: Arc::new(Mutex::new(script.into())), ..Receiver::default() };
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", incoming.local_addr().unwrap());
    let service = TraceServiceServer::new(receiver.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    (url, receiver)
}

fn settings(url: &str) -> Settings {
    Settings {
        policy: fast(),
        timeout: Duration::from_secs(1),
        ..Settings::new(url, Protocol::Grpc).unwrap()
    }
}

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

fn ok() -> Option<Answer> {
    Some(Ok(ExportTraceServiceResponse::default()))
}

fn partial(rejected_spans: i64) -> Option<Answer> {
    let error_message = "too old".to_owned();
    let partial_success = Some(ExportTracePartialSuccess { rejected_spans, error_message });
    Some(Ok(ExportTraceServiceResponse { partial_success }))
}

fn retry_info(code: Code, delay: Duration) -> Status {
    let delay = Delay { seconds: delay.as_secs() as i64, nanos: delay.subsec_nanos() as i32 };
    let info = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
    let any = Any { type_url: RETRY_INFO.to_owned(), value: info };
    let status = RpcStatus { code: code as i32, message: "slow down".into(), details: vec![any] };
    Status::with_details(code, "slow down", status.encode_to_vec().into())
}

#[tokio::test]
async fn a_request_is_what_the_service_expects() {
    for compression in [Compression::None, Compression::Gzip] {
        let (url, receiver) = backend(vec![ok()]).await;
        let key = ("api-key".parse().unwrap(), "k".parse().unwrap());
        let settings = Settings { compression, headers: vec![key], ..settings(&url) };
        assert_eq!(deliver(settings).await.0, SENT);
        let received = receiver.received.lock().unwrap();
        let [(metadata, message)] = received.as_slice() else { panic!("one request") };
        assert_eq!(metadata.get("api-key").unwrap(), "k");
        let agent = metadata.get("user-agent").unwrap().to_str().unwrap();
        assert!(agent.starts_with("sensor/0.1.0"), "{agent}");
        let encoding = metadata.get("grpc-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(encoding, (compression == Compression::Gzip).then_some("gzip"));
        let spans = &message.resource_spans[0].scope_spans[0].spans;
        let ids: Vec<_> = spans.iter().map(|span| span.span_id[7]).collect();
        assert_eq!(ids, [1, 2, 3]);
    }
}

/// The table of the specification, row by row: <https://opentelemetry.io/docs/specs/otlp/#failures>.
#[tokio::test]
async fn codes_by_the_table() {
    for (code, retryable) in [
        (Code::Cancelled, true),
        (Code::Unknown, false),
        (Code::InvalidArgument, false),
        (Code::DeadlineExceeded, true),
        (Code::NotFound, false),
        (Code::AlreadyExists, false),
        (Code::PermissionDenied, false),
        (Code::ResourceExhausted, false),
        (Code::FailedPrecondition, false),
        (Code::Aborted, true),
        (Code::OutOfRange, true),
        (Code::Unimplemented, false),
        (Code::Internal, false),
        (Code::Unavailable, true),
        (Code::DataLoss, true),
        (Code::Unauthenticated, false),
    ] {
        let (url, _) = backend(vec![Some(Err(Status::new(code, "no"))), ok()]).await;
        let (account, metrics) = deliver(settings(&url)).await;
        assert_eq!(account, if retryable { SENT } else { FAILED }, "{code:?}");
        assert_eq!(metrics.get(Counter::OtlpRetries), u64::from(retryable), "{code:?}");
    }
}

/// A request that is unacceptable for what one service sends, or too large: in the words of grpc-go
/// and of tonic.
#[tokio::test]
async fn one_service_does_not_spoil_the_batch_of_all() {
    for (code, text) in [
        (Code::InvalidArgument, "invalid span"),
        (Code::ResourceExhausted, "grpc: received message larger than max (9000000 vs. 4194304)"),
        (
            Code::OutOfRange,
            "Error, decoded message length too large: found 9000000 bytes, the limit is: 4194304 \
             bytes",
        ),
    ] {
        let refused = || Some(Err(Status::new(code, text)));
        // All, and then of each service.
        let (url, receiver) = backend(vec![refused(), ok(), refused(), ok()]).await;
        let (exporters, metrics) = start(settings(&url));
        for (service, n) in [("a", 1), ("noisy", 2), ("b", 3), ("noisy", 4), ("a", 5)] {
            exporters.offer(&Arc::new(span_of(&resource(service), n)));
        }
        eventually("settled", || exporters.queued().otlp == 0).await;
        exporters.shutdown(Duration::ZERO).await;
        assert_balanced(&metrics, &LEDGER, 0);
        assert_eq!(account(&metrics, &LEDGER), [5, 3, 0, 0, 2], "{code:?}");
        let received = receiver.received.lock().unwrap();
        let ids = |(_, request): &(MetadataMap, ExportTraceServiceRequest)| {
            let spans = request.resource_spans.iter().flat_map(|group| &group.scope_spans[0].spans);
            spans.map(|span| span.span_id[7]).collect::<Vec<_>>()
        };
        let requests: Vec<_> = received.iter().map(ids).collect();
        assert_eq!(requests[1..], [vec![1, 5], vec![2, 4], vec![3]], "{code:?}");
    }
}

#[tokio::test]
async fn retry_info_makes_exhaustion_retryable_and_is_honoured() {
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        let status = retry_info(code, Duration::from_millis(350));
        let (url, _) = backend(vec![Some(Err(status)), ok()]).await;
        let asked = Instant::now();
        assert_eq!(deliver(settings(&url)).await.0, SENT);
        assert!(asked.elapsed() >= Duration::from_millis(350), "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn partial_success_is_counted() {
    for (rejected, counted) in [(2, 2), (0, 0), (99, 3), (-1, 0)] {
        let (url, _) = backend(vec![partial(rejected)]).await;
        assert_eq!(deliver(settings(&url)).await.0, [3, 3 - counted, 0, counted, 0]);
    }
}

#[tokio::test]
async fn a_hanging_backend_is_tried_again() {
    let (url, receiver) = backend(vec![None, ok()]).await;
    assert_eq!(deliver(settings(&url)).await.0, SENT);
    assert_eq!(receiver.received.lock().unwrap().len(), 2);
}

/// Nobody there; somebody who speaks no HTTP/2; somebody who hangs up: may all pass, so all are
/// tried until the limit.
#[tokio::test]
async fn broken_connections_are_tried_until_the_limit() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let garbage = HttpBackend::start(vec![Reply::Break(b"\0\xff garbage\r\n\r\n".to_vec())]).await;
    for url in [format!("http://127.0.0.1:{port}"), garbage.url()] {
        let (account, metrics) = deliver(settings(&url)).await;
        assert_eq!(account, FAILED, "{url}");
        assert!(metrics.get(Counter::OtlpRetries) >= 2, "{url}");
    }
}

/// A backend that comes up late gets everything.
#[tokio::test]
async fn a_backend_that_comes_later_gets_what_waited() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut settings = settings(&format!("http://{address}"));
    settings.policy.retry_limit = Duration::from_secs(10);
    let (exporters, metrics) = start(settings);
    spans(3).iter().for_each(|span| exporters.offer(span));
    eventually("retried", || metrics.get(Counter::OtlpRetries) >= 2).await;
    assert_eq!(exporters.queued().otlp, 3);
    assert_balanced(&metrics, &LEDGER, 3);

    let receiver =
        Receiver { script: Arc::new(Mutex::new(vec![ok()].into())), ..Receiver::default() };
    let service = TraceServiceServer::new(receiver).accept_compressed(CompressionEncoding::Gzip);
    tokio::spawn(Server::builder().add_service(service).serve(address));
    eventually("sent", || account(&metrics, &LEDGER) == SENT).await;
}
