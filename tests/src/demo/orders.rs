//! Orders: asks the inventory, then has payments charge by gRPC, and continues the trace in both; but
//! forgets to when it asks for a receipt. Logs logfmt.

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tonic::Code;

use super::grpc::Client;
use super::service::{self, Peer, Pieces};
use super::trace_context::TraceContext;
use super::{expect_args, log, random};

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [address_file, inventory, payments] =
        expect_args(args, "ADDRESS-FILE INVENTORY-ADDRESS PAYMENTS-ADDRESS")?;
    let (inventory, payments) = (Peer::new(inventory), Client::new(&payments)?);
    service::serve(&address_file, move |request| {
        handle(request, inventory.clone(), payments.clone())
    })
    .await
}

async fn handle(request: Request<Incoming>, inventory: Peer, payments: Client) -> Response<Pieces> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match method {
        Method::POST if path == "/orders" => match order(request, &inventory, &payments).await {
            Ok(response) => response,
            Err(error) => {
                log::line(format_args!("ts={} level=error err=\"{error:#}\"", log::now_ms()));
                service::text(StatusCode::BAD_REQUEST, "that is not an order\n")
            }
        },
        Method::GET => match path.strip_prefix("/orders/") {
            Some(id) => state(id, &payments).await,
            None => service::text(StatusCode::NOT_FOUND, "no such order\n"),
        },
        _ => service::text(StatusCode::METHOD_NOT_ALLOWED, "orders are posted\n"),
    };
    let status = response.status().as_u16();
    log::line(format_args!(
        "ts={} level=info method={method} path={path} status={status}",
        log::now_ms()
    ));
    response
}

async fn order(
    request: Request<Incoming>,
    inventory: &Peer,
    payments: &Client,
) -> Result<Response<Pieces>> {
    // Each call has an identifier of its own.
    let (mut stock, mut headers) = (HeaderMap::new(), HeaderMap::new());
    if let Some(trace) = TraceContext::of(request.headers()) {
        trace.continue_in(&mut stock);
        trace.continue_in(&mut headers);
    }
    let body = request.into_body().collect().await?.to_bytes();
    let order: Value = serde_json::from_slice(&body)?;
    let sku = order.get("sku").and_then(Value::as_str).context("no sku")?;
    let quantity = order.get("quantity").and_then(Value::as_u64).unwrap_or(1);

    let stock = inventory.ask(Method::GET, &format!("/stock/{sku}"), stock, None).await?;
    if stock.status != StatusCode::OK {
        return Ok(service::json(StatusCode::CONFLICT, &json!({ "error": "out of stock" })));
    }
    let stock: Value = serde_json::from_slice(&stock.body)?;
    let price = stock.get("price").and_then(Value::as_u64).context("no price")?;

    Ok(match payments.charge(price * quantity, headers).await {
        Ok(receipt) => {
            let id = format!("ord-{:08x}", random::bits() >> 32);
            let order = json!({ "id": id, "sku": sku, "receipt": receipt.number });
            service::json(StatusCode::CREATED, &order)
        }
        Err(status) if status.code() == Code::FailedPrecondition => {
            service::json(StatusCode::PAYMENT_REQUIRED, &json!({ "error": status.message() }))
        }
        Err(_) => service::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "error": "payments do not work" }),
        ),
    })
}

/// How an order is: shipped when it was paid.
async fn state(id: &str, payments: &Client) -> Response<Pieces> {
    match payments.receipt(id, HeaderMap::new()).await {
        Ok(receipt) => {
            let state = json!({ "id": id, "state": "shipped", "paid": receipt.amount });
            service::json(StatusCode::OK, &state)
        }
        Err(status) if status.code() == Code::NotFound => {
            service::text(StatusCode::NOT_FOUND, "no such order\n")
        }
        Err(_) => service::text(StatusCode::BAD_GATEWAY, "payments do not work\n"),
    }
}
