//! Requests over one connection of HTTP/2, many at once, each with a trace context of its own: the
//! connection that a sensor joins. What was sent is written down, request by request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use hyper::{Request, Version};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Longest pause between two requests of a stream's place: long enough for a load that nobody loses
/// anything of.
const PAUSE_MICROS: u64 = 30_000;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// `:authority`.
    pub authority: String,
    /// Path of every request; its number follows in the query.
    pub path: String,
    /// What the number follows.
    pub marker: String,
    /// Requests at once.
    pub streams: usize,
    /// What contexts and pauses derive from.
    pub seed: u64,
}

/// A request that was answered with 200. Times are nanoseconds since 1970.
struct Sent {
    number: u64,
    begun: u64,
    done: u64,
}

impl Plan {
    /// Trace and span of a request's context.
    fn context(&self, number: u64) -> (u128, u64) {
        let mut state = self.seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let [high, low, span] = std::array::from_fn(|_| mix(&mut state).max(1));
        (u128::from(high) << 64 | u128::from(low), span)
    }

    fn request(&self, number: u64) -> Result<Request<()>> {
        let (trace, span) = self.context(number);
        let Self { authority, path, marker, .. } = self;
        let request = Request::get(format!("http://{authority}{path}?{marker}{number}"))
            .version(Version::HTTP_2)
            .header("user-agent", agent(number))
            .header("traceparent", format!("00-{trace:032x}-{span:016x}-01"))
            .header("tracestate", format!("joins={number}"));
        Ok(request.body(())?)
    }

    /// A line on it: number, begin and end, trace, span, and user agent.
    fn line(&self, sent: &Sent) -> String {
        let Sent { number, begun, done } = sent;
        let (trace, span) = self.context(*number);
        format!("{number} {begun} {done} {trace:032x} {span:016x} {}\n", agent(*number))
    }
}

/// Some that come again, and some that do not: so entries of HPACK's table come and go.
fn agent(number: u64) -> String {
    match number % 8 {
        0 => format!("once/{number}"),
        kind => format!("client-{kind}/1.0"),
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

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Connects, calls `begun`, and sends until `wait`, on a thread of its own, returns. Gives a line for
/// each request: its number, when it began and was done (nanoseconds since 1970), the trace and the span
/// of its context, and its user agent.
///
/// # Errors
/// No connection, a request that is not answered with 200, or that of `begun`.
pub fn run(
    plan: Plan,
    begun: impl FnOnce() -> Result<()>,
    wait: impl FnOnce() + Send + 'static,
) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let plan = Arc::new(plan);
    runtime.block_on(async {
        let tcp = TcpStream::connect(plan.address).await.context("no connection")?;
        tcp.set_nodelay(true)?;
        let (client, connection) = h2::client::handshake(tcp).await?;
        // An error of the connection is one of its requests as well.
        tokio::spawn(connection);
        begun()?;
        std::thread::spawn(move || {
            wait();
            stopped.store(true, Ordering::Relaxed);
        });
        let next = Arc::new(AtomicU64::new(0));
        let mut places = JoinSet::new();
        for _ in 0..plan.streams {
            let (plan, next, stop) = (Arc::clone(&plan), Arc::clone(&next), Arc::clone(&stop));
            places.spawn(place(plan, client.clone(), next, stop));
        }
        let mut log = String::new();
        while let Some(sent) = places.join_next().await {
            sent??.iter().for_each(|sent| log.push_str(&plan.line(sent)));
        }
        Ok(log)
    })
}

/// One request after the other.
async fn place(
    plan: Arc<Plan>,
    client: SendRequest<Bytes>,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Sent>> {
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let begun = now();
        ask(&client, plan.request(number)?).await.with_context(|| format!("request {number}"))?;
        all.push(Sent { number, begun, done: now() });
        let mut state = plan.seed.wrapping_add(number);
        let pause = mix(&mut state) % PAUSE_MICROS;
        tokio::time::sleep(Duration::from_micros(pause)).await;
    }
    Ok(all)
}

async fn ask(client: &SendRequest<Bytes>, request: Request<()>) -> Result<()> {
    let mut client = client.clone().ready().await?;
    let (response, _) = client.send_request(request, true)?;
    let response = response.await?;
    anyhow::ensure!(response.status() == 200, "the server answered {}", response.status());
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Plan, Sent, mix};

    #[test]
    fn each_request_has_a_context_of_its_own_which_its_line_tells() {
        let plan = Plan {
            address: ([127, 0, 0, 1], 80).into(),
            authority: "joins.example".to_owned(),
            path: "/x".to_owned(),
            marker: "m-".to_owned(),
            streams: 1,
            seed: 7,
        };
        assert_ne!(plan.context(0), plan.context(1));
        assert_ne!(plan.context(1), Plan { seed: 8, ..plan.clone() }.context(1));
        let request = plan.request(9).expect("a request");
        assert_eq!(request.uri(), "http://joins.example/x?m-9");
        let line = plan.line(&Sent { number: 9, begun: 10, done: 20 });
        let words: Vec<_> = line.split_whitespace().collect();
        let [number, begun, done, trace, span, agent] = words[..] else { panic!("{line}") };
        assert_eq!([number, begun, done], ["9", "10", "20"]);
        let header = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("traceparent"), format!("00-{trace}-{span}-01"));
        assert_eq!(header("user-agent"), agent);
    }

    /// The first numbers of the published generator with the seed 1234567
    /// (<https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64>).
    #[test]
    fn the_generator_is_splitmix64() {
        let mut state = 1_234_567;
        assert_eq!(mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(mix(&mut state), 3_203_168_211_198_807_973);
    }
}
