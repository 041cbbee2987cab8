//! Payments: a gRPC service; slow, sometimes declines, sometimes breaks. Logs like Java programs do.

use std::convert::Infallible;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use hyper::{Request, Response};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::grpc::{CHARGE, ChargeRequest, GET_RECEIPT, Receipt, ReceiptRequest, SERVICE};
use super::trace_context::TraceContext;
use super::{expect_args, log, random, service};

/// Cents; beyond it the card is declined.
const LIMIT: u64 = 90_000;
const CURSED: u64 = 66_600;
/// How old a connection may become. Minutes elsewhere; here so short that some of them begin while
/// somebody watches.
const CONNECTION_AGE: Duration = Duration::from_secs(2);

pub(super) async fn run(args: Vec<String>) -> Result<()> {
    let [address_file] = expect_args(args, "ADDRESS-FILE")?;
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).context("cannot listen")?;
    service::publish(Path::new(&address_file), &incoming.local_addr()?.to_string())?;
    // As servers do: an answer of three frames is not held back for the ACK of the first.
    let incoming = incoming.with_nodelay(Some(true));
    let server = Server::builder().max_connection_age(CONNECTION_AGE);
    server.serve_with_incoming(Payments, incoming).await.context("cannot serve")
}

/// The service: which method a path is.
#[derive(Clone)]
struct Payments;

impl Service<Request<Body>> for Payments {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                CHARGE => Grpc::new(ProstCodec::default()).unary(Charge, request).await,
                GET_RECEIPT => Grpc::new(ProstCodec::default()).unary(GetReceipt, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

type Answer = BoxFuture<tonic::Response<Receipt>, Status>;

struct Charge;

impl UnaryService<ChargeRequest> for Charge {
    type Response = Receipt;
    type Future = Answer;

    fn call(&mut self, request: tonic::Request<ChargeRequest>) -> Answer {
        Box::pin(logged("Charge", request, charge))
    }
}

struct GetReceipt;

impl UnaryService<ReceiptRequest> for GetReceipt {
    type Response = Receipt;
    type Future = Answer;

    fn call(&mut self, request: tonic::Request<ReceiptRequest>) -> Answer {
        Box::pin(logged("GetReceipt", request, receipt))
    }
}

/// Writes a line on each call when its answer is made. The demo's judge reads them.
async fn logged<M>(
    method: &str,
    request: tonic::Request<M>,
    handler: impl AsyncFnOnce(M) -> Result<Receipt, Status>,
) -> Result<tonic::Response<Receipt>, Status> {
    let (metadata, _, message) = request.into_parts();
    let trace = TraceContext::of(&metadata.into_headers());
    let trace = trace.as_ref().map_or("-", TraceContext::trace_id);
    let answer = handler(message).await;
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    line("INFO ", "Calls", format_args!("{SERVICE}/{method} status={} trace={trace}", code as i32));
    answer.map(tonic::Response::new)
}

async fn charge(request: ChargeRequest) -> Result<Receipt, Status> {
    let ChargeRequest { amount } = request;
    if amount == 0 {
        return Err(Status::invalid_argument("no amount"));
    }
    tokio::time::sleep(Duration::from_millis(random::between(5, 25))).await;
    if amount == CURSED {
        line("ERROR", "Ledger", format_args!("the ledger is haunted"));
        return Err(Status::internal("the ledger is haunted"));
    }
    if amount > LIMIT {
        line("WARN ", "Cards", format_args!("declined {amount}"));
        return Err(Status::failed_precondition("the card says no"));
    }
    line("INFO ", "Cards", format_args!("charged {amount}"));
    Ok(Receipt { number: format!("rcp-{:08x}", random::bits() >> 32), amount })
}

async fn receipt(request: ReceiptRequest) -> Result<Receipt, Status> {
    match request.order.strip_prefix("ord-") {
        Some(number) => Ok(Receipt { number: format!("rcp-{number}"), amount: 2_400 }),
        None => Err(Status::not_found("nobody paid for that")),
    }
}

fn line(level: &str, logger: &str, text: fmt::Arguments<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("main");
    let now = humantime::format_rfc3339_millis(SystemTime::now());
    log::line(format_args!("{now} {level} [{thread}] c.shop.{logger} - {text}"));
}
