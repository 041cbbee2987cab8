//! The gateway: knows the routes, passes everything on as it came, trace context included. Logs JSON.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::service::{self, Peer, Pieces};
use super::trace_context::TraceContext;
use super::{expect_args, log};

const HOME: &str = "<!doctype html><title>shop</title><p>POST /orders, GET /products/kettle\n";

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [address_file, orders, inventory] =
        expect_args(args, "ADDRESS-FILE ORDERS-ADDRESS INVENTORY-ADDRESS")?;
    let (orders, inventory) = (Peer::new(orders), Peer::new(inventory));
    service::serve(&address_file, move |request| handle(request, orders.clone(), inventory.clone()))
        .await
}

async fn handle(request: Request<Incoming>, orders: Peer, inventory: Peer) -> Response<Pieces> {
    let (head, body) = request.into_parts();
    let trace = TraceContext::of(&head.headers);
    let mut headers = HeaderMap::new();
    if let Some(trace) = &trace {
        trace.forward(&mut headers);
    }
    let path = head.uri.path();
    let response = match (&head.method, path.split('/').nth(1)) {
        (&Method::GET, Some("")) => service::typed(StatusCode::OK, "text/html", Pieces::one(HOME)),
        (&Method::POST, Some("orders")) => match body.collect().await {
            Ok(body) => {
                if let Some(kind) = head.headers.get(CONTENT_TYPE) {
                    headers.insert(CONTENT_TYPE, kind.clone());
                }
                let body = Pieces::one(body.to_bytes());
                service::relay(orders.ask(Method::POST, path, headers, Some(body)).await)
            }
            Err(_) => service::text(StatusCode::BAD_REQUEST, "the body broke off\n"),
        },
        (&Method::GET, Some("orders")) => {
            service::relay(orders.ask(Method::GET, path, headers, None).await)
        }
        (&Method::GET | &Method::HEAD, Some("products")) => {
            let path = path.replacen("/products", "/stock", 1);
            service::relay(inventory.ask(head.method.clone(), &path, headers, None).await)
        }
        (&Method::GET, Some("export")) => export(&inventory, headers).await,
        _ => service::text(StatusCode::NOT_FOUND, "no such page\n"),
    };
    let status = response.status();
    let level = match status.as_u16() {
        500.. => "error",
        400.. => "warn",
        _ => "info",
    };
    let message = format!("{} {path}", head.method);
    log::json(level, &message, trace.as_ref().map(TraceContext::trace_id), status.as_u16());
    response
}

/// The whole stock, one line at a time: a chunked answer.
async fn export(inventory: &Peer, headers: HeaderMap) -> Response<Pieces> {
    match inventory.ask(Method::GET, "/stock", headers, None).await {
        Ok(answer) if answer.status == StatusCode::OK => {
            let lines = answer.body.split_inclusive(|byte| *byte == b'\n');
            let lines = lines.map(Bytes::copy_from_slice);
            service::typed(StatusCode::OK, "text/csv", Pieces::many(lines))
        }
        other => service::relay(other),
    }
}
