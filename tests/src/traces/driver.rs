//! Who asks the services: requests of all patterns in turn, so many at once, each over a connection of its own that
//! is kept (HTTP/1.1), or all over one connection (gRPC).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use hyper::{Request, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Cell, Context, PassOn, Pattern, Sent};
use crate::load::response::Response;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests of one trace, where they share them.
const TRACE: u64 = 4;
/// A message of gRPC, not compressed, of no bytes.
const EMPTY: &[u8] = &[0; 5];

/// Some requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) grpc: bool,
    pub(crate) pass_on: PassOn,
    pub(crate) at_once: usize,
    /// In all.
    pub(crate) requests: u64,
    /// Of these in turn.
    pub(crate) patterns: &'static [Pattern],
    pub(crate) seed: u64,
}

impl Load {
    fn sent(&self, number: u64) -> Sent {
        let patterns = self.patterns.len() as u64;
        // Another order each time round, and of each as many.
        let pattern = (number + number / patterns) % patterns;
        let pattern = usize::try_from(pattern).ok().and_then(|at| self.patterns.get(at).copied());
        let (pass_on, at_once) = (self.pass_on, self.at_once);
        let pattern = pattern.unwrap_or(Pattern::One);
        let random = |number: u64| {
            let mut state = self.seed ^ (number << 16) ^ ((at_once as u64) << 8) ^ pass_on as u64;
            std::array::from_fn::<_, 3, _>(|_| mix(&mut state).max(1))
        };
        let [mut high, mut low, mut span] = random(number);
        let mut told = pass_on;
        if pass_on == PassOn::Shared {
            let first = number - number % TRACE;
            let [shared_high, shared_low, shared_span] = random(first);
            (high, low) = (shared_high, shared_low);
            told = PassOn::Fresh;
            if !(number / TRACE).is_multiple_of(2) {
                span = shared_span;
                told = PassOn::Forwarded;
            }
        }
        let context =
            Context { trace_id: format!("{high:016x}{low:016x}"), span_id: format!("{span:016x}") };
        // Each pattern with and without: all of them come round in that time.
        let bare = pass_on == PassOn::None && (number / patterns).is_multiple_of(2);
        Sent {
            marker: format!("{pass_on}-{at_once}-{number}"),
            cell: Cell { pass_on, at_once, pattern },
            context: (!bare).then_some(context),
            told,
        }
    }

    /// Sends them.
    ///
    /// # Errors
    /// No connection, or a request that is not answered with 200.
    pub(crate) fn run(self) -> Result<Vec<Sent>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let next = Arc::new(AtomicU64::new(0));
            let connection = if self.grpc { Some(grpc(self.address).await?) } else { None };
            let mut places = JoinSet::new();
            for _ in 0..self.at_once {
                let asker = match &connection {
                    Some(connection) => Asker::Grpc(connection.clone()),
                    None => Asker::Http(http(self.address).await?),
                };
                places.spawn(place(self, asker, Arc::clone(&next)));
            }
            let mut all = Vec::new();
            while let Some(sent) = places.join_next().await {
                all.extend(sent??);
            }
            Ok(all)
        })
    }
}

/// `SplitMix64`.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

enum Asker {
    Http(TcpStream),
    Grpc(SendRequest<Bytes>),
}

/// One request after the other.
async fn place(load: Load, mut asker: Asker, next: Arc<AtomicU64>) -> Result<Vec<Sent>> {
    let mut all = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.requests {
            return Ok(all);
        }
        let sent = load.sent(number);
        let asked = async {
            match &mut asker {
                Asker::Http(stream) => ask_http(stream, load.address, &sent).await,
                Asker::Grpc(client) => ask_grpc(client, load.address, &sent).await,
            }
        };
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered
            .unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
            .with_context(|| sent.path())?;
        all.push(sent);
    }
}

async fn http(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("no connection")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask_http(stream: &mut TcpStream, address: SocketAddr, sent: &Sent) -> Result<()> {
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n", sent.path());
    request.push_str(&format!("Pass-On: {}\r\n", sent.told));
    if let Some(context) = &sent.context {
        request.push_str(&format!("Traceparent: {}\r\n", context.traceparent()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Response::default();
    let mut input = [0; 4096];
    loop {
        let n = stream.read(&mut input).await?;
        ensure!(n > 0, "the service closed the connection");
        if response.feed(input.get(..n).unwrap_or(&[]))? {
            return Ok(());
        }
    }
}

async fn grpc(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let (client, connection) = h2::client::handshake(http(address).await?).await?;
    // An error of the connection is one of its requests as well.
    tokio::spawn(connection);
    Ok(client)
}

async fn ask_grpc(client: &SendRequest<Bytes>, address: SocketAddr, sent: &Sent) -> Result<()> {
    let mut request = Request::post(format!("http://{address}{}", sent.path()))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("pass-on", sent.told.to_string());
    if let Some(context) = &sent.context {
        request = request.header("traceparent", context.traceparent());
    }
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request.body(())?, false)?;
    stream.send_data(Bytes::from_static(EMPTY), true)?;
    let response = response.await?;
    ensure!(response.status() == 200, "the service answered {}", response.status());
    let headers = response.headers().clone();
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    let trailers = body.trailers().await?.unwrap_or(headers);
    let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok());
    ensure!(status == Some("0"), "the service answered {trailers:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Load, PassOn, Pattern};

    #[test]
    fn every_pattern_comes_as_often_with_and_without_a_context() {
        let address = ([127, 0, 0, 1], 80).into();
        let (pass_on, at_once) = (PassOn::None, 8);
        let (patterns, seed) = (&Pattern::ALL, 7);
        let load = Load { address, grpc: false, pass_on, at_once, requests: 72, patterns, seed };
        let mut counts = BTreeMap::new();
        let mut contexts = BTreeSet::new();
        for number in 0..load.requests {
            let sent = load.sent(number);
            *counts.entry((sent.cell.pattern, sent.context.is_some())).or_insert(0) += 1;
            contexts.extend(sent.context.map(|context| context.trace_id));
        }
        let expected: BTreeMap<_, _> =
            Pattern::ALL.iter().flat_map(|it| [((*it, true), 6), ((*it, false), 6)]).collect();
        assert_eq!(counts, expected);
        assert_eq!(contexts.len(), 36);
        let other = Load { pass_on: PassOn::Fresh, ..load };
        assert!((0..72).all(|number| other.sent(number).context.is_some()));
    }

    #[test]
    fn four_requests_share_a_trace_with_parents_of_their_own_or_with_the_same() {
        let (address, pass_on) = (([127, 0, 0, 1], 80).into(), PassOn::Shared);
        let (patterns, seed) = (&Pattern::ALL, 7);
        let load = Load { address, grpc: false, pass_on, at_once: 8, requests: 8, patterns, seed };
        let all: Vec<_> = (0..8).map(|number| load.sent(number)).collect();
        for (four, told, parents) in
            [(&all[..4], PassOn::Fresh, 4), (&all[4..], PassOn::Forwarded, 1)]
        {
            assert!(four.iter().all(|sent| sent.told == told));
            let contexts = || four.iter().flat_map(|sent| sent.context.clone());
            assert_eq!(contexts().map(|it| it.trace_id).collect::<BTreeSet<_>>().len(), 1);
            assert_eq!(contexts().map(|it| it.span_id).collect::<BTreeSet<_>>().len(), parents);
        }
    }
}
