//! Payments: slow, sometimes declines, sometimes breaks. Logs like Java programs do.

use std::time::Duration;

use anyhow::Result;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::service::{self, Pieces};
use super::{expect_args, log, random};

/// Cents; beyond it the card is declined.
const LIMIT: u64 = 90_000;
const CURSED: u64 = 66_600;

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [address_file] = expect_args(args, "ADDRESS-FILE")?;
    service::serve(&address_file, handle).await
}

async fn handle(request: Request<Incoming>) -> Response<Pieces> {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("main").to_owned();
    let Ok(body) = request.into_body().collect().await else {
        return service::text(StatusCode::BAD_REQUEST, "the body broke off\n");
    };
    let charge: Option<Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let Some(amount) = charge.and_then(|charge| charge.get("amount")?.as_u64()) else {
        return service::text(StatusCode::BAD_REQUEST, "no amount\n");
    };
    tokio::time::sleep(Duration::from_millis(random::between(5, 25))).await;
    let now = log::now_ms();
    if amount == CURSED {
        log::line(format_args!("{now} ERROR [{thread}] c.shop.Ledger - the ledger is haunted"));
        return service::text(StatusCode::INTERNAL_SERVER_ERROR, "the ledger is haunted\n");
    }
    if amount > LIMIT {
        log::line(format_args!("{now} WARN  [{thread}] c.shop.Cards - declined {amount}"));
        return service::json(StatusCode::PAYMENT_REQUIRED, &json!({ "error": "declined" }));
    }
    log::line(format_args!("{now} INFO  [{thread}] c.shop.Cards - charged {amount}"));
    service::json(StatusCode::CREATED, &json!({ "charged": amount }))
}
