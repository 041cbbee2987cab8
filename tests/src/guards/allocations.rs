//! What an exchange costs in memory allocations, from the kernel's records to the span.

use anyhow::{Result, bail};
use sensor::capture::decode::{Decoded, decode};
use sensor::capture::event::Event;
use serde_json::{Value, json};

use super::corpus::{self, Exchange, Flow, RECEIVED, SENT};
use crate::heap;

/// Exchanges over which the mean is taken, after two that make the connection known.
const EXCHANGES: u32 = 100;

const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
                        Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n";

/// Allocations per exchange: `server` (the open exchange, its attributes, its events) and `client`
/// (the same, and `url.full`). For a program whose allocator is [`heap::Counting`].
///
/// # Errors
/// The exchanges did not become spans.
pub fn measure() -> Result<Value> {
    let request = |context: &str| {
        format!(
            "GET /api/items?id=7 HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\n\
             User-Agent: curl/7.88.1\r\n{context}\r\n"
        )
    };
    let context = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let server = per_exchange(Flow::new(1, 8080, 40_000), RECEIVED, request(context))?;
    let client = per_exchange(Flow::new(1, 40_000, 8080), SENT, request(""))?;
    Ok(json!({ "server": server, "client": client }))
}

fn per_exchange(mut flow: Flow, direction: u8, request: String) -> Result<f64> {
    let exchange = Exchange {
        request: request.into(),
        request_body: 0,
        response: RESPONSE.into(),
        response_body: 2,
    };
    let mut records = |exchanges: u32| -> Vec<_> {
        (0..exchanges).flat_map(|_| flow.exchange(&exchange, direction)).collect()
    };
    let (first, rest) = (records(2), records(EXCHANGES));

    let mut pipeline = corpus::pipeline();
    let mut spans = 0;
    let mut handle = |event: &Event<'_>| pipeline.handle(event, &mut |_| spans += 1);
    let mut feed = |records: &[Vec<u8>]| -> Result<()> {
        for record in records {
            match decode(record) {
                Ok(Decoded::Event(event)) => handle(&event),
                other => bail!("not an event: {other:?}"),
            }
        }
        Ok(())
    };
    feed(&first)?;
    let before = heap::allocations();
    feed(&rest)?;
    let counted = heap::allocations() - before;
    if spans != EXCHANGES + 2 {
        bail!("{spans} spans of {} exchanges", EXCHANGES + 2);
    }
    Ok(f64::from(u32::try_from(counted)?) / f64::from(EXCHANGES))
}
