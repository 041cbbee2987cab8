//! Spans and records to export, and backends that misbehave, for the tests of every destination.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::delivery::{Ledger, Policy};
use crate::metrics::{Counter, Metrics};
use crate::model::{
    Attribute, Class, Correlation, LogRecord, LogSource, Resource, Severity, Span, SpanId,
    SpanKind, Status, TraceFlags, TraceId,
};

pub(super) fn resource(service: &'static str) -> Arc<Resource> {
    Arc::new(Resource {
        attributes: vec![Attribute::new("service.name", service)],
        ..Resource::default()
    })
}

/// The trace context of the W3C specification's example, ending in `n`.
pub(super) fn span_of(resource: &Arc<Resource>, n: u8) -> Span {
    Span {
        trace_id: TraceId::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes())
            .unwrap(),
        span_id: SpanId::new([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, n]).unwrap(),
        parent_span_id: None,
        flags: TraceFlags(1),
        remote_sampled: None,
        flag_refused: false,
        minted: false,
        exports_spans: None,
        trace_state: None,
        name: "GET".into(),
        kind: SpanKind::Server,
        start_unix_ns: 1_700_000_000_123_456_789,
        end_unix_ns: 1_700_000_000_125_000_000,
        status: Status::Unset,
        attributes: vec![
            Attribute::new("http.request.method", "GET"),
            Attribute::new("url.path", "/cart"),
            Attribute::new("http.response.status_code", 200),
        ],
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::clone(resource),
    }
}

pub(super) fn spans(count: u8) -> Vec<Arc<Span>> {
    let resource = resource("shop");
    (1..=count).map(|n| Arc::new(span_of(&resource, n))).collect()
}

/// A line of that span, a millisecond after its start.
pub(super) fn record_of(resource: &Arc<Resource>, n: u8) -> LogRecord {
    let span = span_of(resource, n);
    LogRecord {
        time_unix_ns: None,
        observed_unix_ns: span.start_unix_ns + 1_000_000,
        severity: Some(Severity::Info),
        severity_text: None,
        message: "added to cart".into(),
        caller: None,
        event: None,
        correlation: Some(Correlation {
            trace_id: span.trace_id,
            span_id: Some(span.span_id),
            evidence: "goroutine",
            after_response: false,
        }),
        class: Class::Business,
        source: LogSource::Stdout,
        attributes: Vec::new(),
        breach: None,
        resource: Arc::clone(resource),
    }
}

pub(super) fn records(count: u8) -> Vec<Arc<LogRecord>> {
    let resource = resource("shop");
    (1..=count).map(|n| Arc::new(record_of(&resource, n))).collect()
}

/// Everything fast, so that five minutes take three seconds.
pub(super) fn fast() -> Policy {
    Policy {
        batch_age: Duration::from_millis(20),
        initial_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(40),
        retry_limit: Duration::from_secs(3),
        ..Policy::default()
    }
}

/// What the ledger says: offered, sent, refused by the queue (full, or the share of an owner),
/// rejected, failed.
pub(super) fn account(metrics: &Metrics, ledger: &Ledger) -> [u64; 5] {
    let Ledger { offered, sent, lost_queue_full, lost_share, .. } = ledger;
    let Ledger { lost_rejected, lost_failed, .. } = ledger;
    let get = |counter: &Counter| metrics.get(*counter);
    let refused = get(lost_queue_full) + get(lost_share);
    [get(offered), get(sent), refused, get(lost_rejected), get(lost_failed)]
}

/// And, of those that know: out of order, too old.
pub(super) fn late(metrics: &Metrics, ledger: &Ledger) -> [u64; 2] {
    [ledger.lost_out_of_order, ledger.lost_too_old].map(|it| it.map_or(0, |it| metrics.get(it)))
}

/// `offered = sent + queued + Σ lost.*`.
#[track_caller]
pub(super) fn assert_balanced(metrics: &Metrics, ledger: &Ledger, queued: u64) {
    let [offered, sent, refused, rejected, failed] = account(metrics, ledger);
    let late: u64 = late(metrics, ledger).iter().sum();
    assert_eq!(
        offered,
        sent + queued + refused + rejected + failed + late,
        "offered != sent {sent} + queued {queued} + refused {refused} + rejected {rejected} \
         + failed {failed} + out of order or too old {late}"
    );
}

/// Waits until `done`, for ten seconds at most.
pub(super) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come true within ten seconds");
}

/// How the HTTP backend treats one request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Writes these bytes and goes on with the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and closes the connection.
    Break(Vec<u8>),
    /// Never answers.
    Hang,
}

impl Reply {
    pub(super) fn status(status: &str) -> Self {
        Self::full(status, "text/plain", b"")
    }

    pub(super) fn full(status: &str, content_type: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self::Answer([head.as_bytes(), body].concat())
    }
}

/// A request as it came: the head in lower case but for its values, and the body.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// How a request is answered.
type Answers = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

/// An HTTP/1.1 server.
#[derive(Clone)]
pub(super) struct HttpBackend {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl HttpBackend {
    /// Answers by a script, and forever as its last entry says.
    pub(super) async fn start(script: Vec<Reply>) -> Self {
        let script = Mutex::new(VecDeque::from(script));
        Self::answering(move |_| {
            let mut script = script.lock().unwrap();
            let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
            next.unwrap()
        })
        .await
    }

    /// Answers each request by what it is.
    pub(super) async fn answering(
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let answers: Answers = Arc::new(answers);
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&answers), Arc::clone(&log)));
            }
        });
        Self { address, received }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(mut connection: TcpStream, answers: Answers, log: Arc<Mutex<Vec<Received>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if connection.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut request = Received { head, body: Vec::new() };
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        while bytes.len() < end + length {
            if connection.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        request.body = bytes[end..end + length].to_vec();
        bytes.drain(..end + length);
        let reply = answers(&request);
        log.lock().unwrap().push(request);
        match reply {
            Reply::Answer(answer) => connection.write_all(&answer).await.unwrap(),
            Reply::Break(answer) => {
                connection.write_all(&answer).await.unwrap();
                return;
            }
            Reply::Hang => std::future::pending().await,
        }
    }
}
