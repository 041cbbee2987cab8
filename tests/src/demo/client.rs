//! The shop's customers: a few requests a second, half of them with a trace of their own.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method};

use super::service::{Peer, Pieces};
use super::trace_context::{TRACESTATE, TraceContext};
use super::{expect_args, log};

/// How a request is sent.
struct Errand {
    method: Method,
    path: &'static str,
    /// One piece goes with its length, several go chunked.
    body: &'static [&'static str],
    traced: bool,
}

const fn get(path: &'static str, traced: bool) -> Errand {
    Errand { method: Method::GET, path, body: &[], traced }
}

const fn order(body: &'static [&'static str], traced: bool) -> Errand {
    Errand { method: Method::POST, path: "/orders", body, traced }
}

static ERRANDS: [Errand; 13] = [
    get("/", false),
    order(&[r#"{"sku":"kettle","quantity":1}"#], true),
    get("/products/kettle", true),
    order(&[r#"{"sku":"cup","quantity":6}"#], false),
    get("/products/unicorn", true),             // 404
    get("/export", true),                       // chunked answer
    order(&[r#"{"sku":"cursed-idol"}"#], true), // 500
    Errand { method: Method::HEAD, path: "/products/teapot", body: &[], traced: false },
    get("/orders/ord-1f3a?verbose=1", true),
    get("/orders/nonsense", false), // 404
    order(&[r#"{"sku":"tea"#, r#"pot","quan"#, r#"tity":2}"#], true), // chunked request
    order(&[r#"{"sku":"samovar"}"#], false), // 402
    get("/wp-login.php", false),    // 404 from the gateway itself
];

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [gateway, per_second] = expect_args(args, "GATEWAY-ADDRESS REQUESTS-PER-SECOND")?;
    let per_second: u32 = per_second.parse().context("requests per second")?;
    let period = Duration::from_secs(1) / per_second.max(1);
    let gateway = Peer::new(gateway);
    let mut tick = tokio::time::interval(period);
    for errand in ERRANDS.iter().cycle() {
        tick.tick().await;
        let (gateway, headers) = (gateway.clone(), headers(errand));
        // Not awaited here: a slow answer must not hold up the next customer.
        tokio::spawn(async move { send(&gateway, errand, headers).await });
    }
    Ok(())
}

fn headers(errand: &Errand) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("shop-client/1.0"));
    if !errand.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if errand.traced
        && let Some(trace) = TraceContext::new()
    {
        trace.forward(&mut headers);
        headers.insert(TRACESTATE, HeaderValue::from_static("shop=browser"));
    }
    headers
}

async fn send(gateway: &Peer, errand: &Errand, headers: HeaderMap) {
    let pieces = errand.body.iter().map(|piece| Bytes::from_static(piece.as_bytes()));
    let body = (!errand.body.is_empty()).then(|| Pieces::many(pieces));
    let (method, path) = (errand.method.clone(), errand.path);
    match gateway.ask(method.clone(), path, headers, body).await {
        Ok(answer) => {
            let (status, size) = (answer.status.as_u16(), answer.body.len());
            log::line(format_args!("{method} {path} {status} {size}B"));
        }
        Err(error) => log::line(format_args!("{method} {path} failed: {error:#}")),
    }
}
