//! The inventory: answers from memory. Logs plain text.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::service::{self, Pieces};
use super::{expect_args, log};

/// (stock-keeping unit, price in cents)
const STOCK: [(&str, u64); 5] = [
    ("kettle", 3_900),
    ("teapot", 2_400),
    ("cup", 600),
    ("samovar", 99_900),     // more than any card allows
    ("cursed-idol", 66_600), // crashes payments
];

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [address_file] = expect_args(args, "ADDRESS-FILE")?;
    let started = Instant::now();
    service::serve(&address_file, move |request| async move {
        let response = handle(&request);
        log::line(format_args!(
            "[{:10.3}] {} {} -> {}",
            started.elapsed().as_secs_f64(),
            request.method(),
            request.uri(),
            response.status().as_u16()
        ));
        response
    })
    .await
}

fn handle(request: &Request<Incoming>) -> Response<Pieces> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return service::text(StatusCode::METHOD_NOT_ALLOWED, "stock is only read\n");
    }
    let Some(sku) = request.uri().path().strip_prefix("/stock") else {
        return service::text(StatusCode::NOT_FOUND, "only /stock is here\n");
    };
    if sku.is_empty() {
        let lines = STOCK.iter().map(|(sku, price)| {
            let mut line = String::new();
            let _ = writeln!(line, "{sku},{price}");
            Bytes::from(line)
        });
        return service::typed(StatusCode::OK, "text/csv", Pieces::many(lines));
    }
    match STOCK.iter().find(|(known, _)| sku.strip_prefix('/') == Some(known)) {
        Some((sku, price)) => service::json(StatusCode::OK, &json!({ "sku": sku, "price": price })),
        None => service::json(StatusCode::NOT_FOUND, &json!({ "error": "never heard of it" })),
    }
}
