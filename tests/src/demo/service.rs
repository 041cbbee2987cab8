//! What the services have in common: listening, answering, and asking other services.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// A body in pieces. One piece has a known length; several have none, so that HTTP/1.1 sends them
/// chunked.
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    pub(super) fn one(bytes: impl Into<Bytes>) -> Self {
        Self(VecDeque::from([bytes.into()]))
    }

    pub(super) fn many(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(pieces.into_iter().collect())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0.len() {
            0 => SizeHint::with_exact(0),
            1 => SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum()),
            _ => SizeHint::default(),
        }
    }
}

/// Answers requests on a port of the kernel's choice, whose address is written to `address_file`.
pub(super) async fn serve<H, F>(address_file: &str, handler: H) -> Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Pieces>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
    publish(Path::new(address_file), &listener.local_addr()?.to_string())?;
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is its own affair.
            let _ = connection.await;
        });
    }
}

/// Whoever waits for the file sees it whole or not at all.
pub(super) fn publish(file: &Path, text: &str) -> Result<()> {
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, text)
        .with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, file).with_context(|| format!("cannot write {}", file.display()))
}

/// A keep-alive client of one other service.
#[derive(Clone)]
pub(super) struct Peer {
    address: String,
    client: legacy::Client<HttpConnector, Pieces>,
}

/// What a [`Peer`] answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Peer {
    pub(super) fn new(address: String) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { address, client }
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Pieces>,
    ) -> Result<Answer> {
        let uri: Uri = format!("http://{}{path}", self.address).parse()?;
        let body = body.unwrap_or_else(|| Pieces::many([]));
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Pieces> {
    typed(status, "application/json", Pieces::one(value.to_string()))
}

/// An answer of text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Response<Pieces> {
    typed(status, "text/plain", Pieces::one(text))
}

/// An answer of any type.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Passes an answer on; 502 when there was none.
pub(super) fn relay(answer: Result<Answer>) -> Response<Pieces> {
    match answer {
        Ok(answer) => typed(answer.status, "application/json", Pieces::one(answer.body)),
        Err(_) => text(StatusCode::BAD_GATEWAY, "no answer from the service behind\n"),
    }
}
