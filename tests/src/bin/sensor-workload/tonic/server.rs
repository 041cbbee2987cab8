//! The server.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Sender, channel};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::server::{Grpc, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer as _;

use super::{BINARY, Plain, Queue, SERVICE, say};

/// Serves until it is killed.
pub(crate) fn serve(port: u64) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(port)?)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let service = hyper::service::service_fn(answer::<Incoming>);
            tokio::spawn(
                http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    })
}

/// The same as gRPC-Web over HTTP/1.1.
pub(crate) fn serve_web(port: u64) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(port)?)).await?;
        let service = TowerToHyperService::new(GrpcWebLayer::new().layer(Calls));
        loop {
            let (stream, _) = listener.accept().await?;
            let service = service.clone();
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// [`answer`], as tonic-web wants it.
#[derive(Clone, Copy)]
struct Calls;

impl Service<hyper::Request<Body>> for Calls {
    type Response = hyper::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(async {
            // Else the client may be refused in the middle of what it sends, and not hear why.
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            answer(hyper::Request::from_parts(head, Body::new(Full::new(body)))).await
        })
    }
}

async fn answer<B>(request: hyper::Request<B>) -> Result<hyper::Response<Body>, Infallible>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let path = request.uri().path().to_owned();
    let method = path.strip_prefix(&format!("/{SERVICE}/")).and_then(Method::of);
    let Some(method) = method else {
        return Ok(Status::unimplemented("no such method").into_http());
    };
    let mut grpc = Grpc::new(Plain).accept_compressed(CompressionEncoding::Gzip);
    Ok(grpc.streaming(Handler { method, path }, request).await)
}

#[derive(Clone, Copy)]
enum Method {
    Echo,
    Fail,
    Slow,
    Collect,
    Count,
    Many,
}

impl Method {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "Echo" | "Chat" => Self::Echo,
            "Fail" => Self::Fail,
            "Slow" => Self::Slow,
            "Collect" => Self::Collect,
            "Count" => Self::Count,
            "Many" => Self::Many,
            _ => return None,
        })
    }
}

struct Handler {
    method: Method,
    path: String,
}

type Answers = Queue<Result<Bytes, Status>>;

impl StreamingService<Bytes> for Handler {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (method, path) = (self.method, self.path.clone());
        Box::pin(async move {
            let (answers, queue) = channel(1);
            let metadata = request.metadata();
            let trace = metadata.get("traceparent").and_then(|trace| trace.to_str().ok());
            let marker = trace.and_then(|trace| trace.get(36..52)).unwrap_or_default().to_owned();
            let binary = metadata.get_bin("x-binary-bin").and_then(|it| it.to_bytes().ok());
            if binary.as_deref() != Some(BINARY) {
                return Err(Status::internal("binary metadata"));
            }
            let mut call = Call { requests: request.into_inner(), answers, received: 0, sent: 0 };
            tokio::spawn(async move {
                let ended = call.run(method).await;
                let mut report = json!({
                    "marker": marker, "method": path, "received": call.received, "sent": call.sent,
                });
                // Of a call that the client has given up, the server knows no code.
                if let Some(status) = ended {
                    report["code"] = json!(i32::from(status.code()));
                    if !status.message().is_empty() {
                        report["message"] = json!(status.message());
                    }
                    if status.code() != Code::Ok {
                        let _ = call.answers.send(Err(status)).await;
                    }
                }
                let _ = say(&report);
            });
            Ok(Response::new(Queue(queue)))
        })
    }
}

/// A call that goes on.
struct Call {
    requests: Streaming<Bytes>,
    answers: Sender<Result<Bytes, Status>>,
    received: u64,
    sent: u64,
}

impl Call {
    /// None where the client has given it up.
    async fn next(&mut self) -> Option<Option<Bytes>> {
        let next = self.requests.message().await.ok()?;
        self.received += u64::from(next.is_some());
        Some(next)
    }

    /// The number that is asked for, decimal or a `google.protobuf.UInt32Value`; the last message of all.
    async fn number(&mut self) -> Option<u64> {
        let mut last = None;
        while let Some(message) = self.next().await? {
            last = Some(message);
        }
        let last = last?;
        let decimal = std::str::from_utf8(&last).ok().and_then(|text| text.parse().ok());
        decimal.or_else(|| u32::decode(last).ok().map(u64::from))
    }

    /// As `google.protobuf.BytesValue`.
    async fn write_bytes(&mut self, count: u64) -> Option<()> {
        let message = vec![0; usize::try_from(count).ok()?].encode_to_vec();
        self.write(message.into()).await
    }

    async fn write(&mut self, message: Bytes) -> Option<()> {
        self.answers.send(Ok(message)).await.ok()?;
        self.sent += 1;
        Some(())
    }

    /// With what it ended; none where the client has given it up.
    async fn run(&mut self, method: Method) -> Option<Status> {
        let well = Status::ok("");
        match method {
            Method::Echo => {
                while let Some(message) = self.next().await? {
                    self.write(message).await?;
                }
            }
            Method::Fail => {
                let code = i32::try_from(self.number().await?).ok()?;
                return Some(Status::new(Code::from(code), "no such thing: 50% of \u{2603}"));
            }
            Method::Slow => {
                let slept = Duration::from_millis(self.number().await?);
                tokio::select! {
                    () = tokio::time::sleep(slept) => self.write_bytes(1).await?,
                    () = self.answers.closed() => return None,
                }
            }
            Method::Collect => {
                let mut total = 0;
                while let Some(message) = self.next().await? {
                    total += message.len();
                }
                self.write(total.to_string().into()).await?;
            }
            Method::Count => {
                for n in 0..self.number().await? {
                    self.write_bytes(n * 3000).await?;
                }
            }
            Method::Many => {
                for _ in 0..self.number().await? {
                    self.write_bytes(10).await?;
                }
            }
        }
        Some(well)
    }
}
