//! A small shop: what `cargo xtask demo` traces.
//!
//! ```text
//! shop-client ──▶ gateway ──▶ orders ──▶ inventory     traceparent passed on
//!                    │           └─────▶ payments      gRPC: passed on with charges, forgotten for receipts
//!                    └─────────────────▶ inventory     traceparent passed on unchanged
//! ```
//!
//! Every arrow is on 127.0.0.1, and HTTP/1.1 but for the calls of payments: gRPC over HTTP/2, in clear
//! text. Nothing in here knows that it is watched. Each service is a
//! process of its own, named as the executable it runs; the executables are one file under several
//! names. Each writes its own log lines, each in another format, to standard output.

mod client;
mod gateway;
mod grpc;
mod inventory;
mod log;
mod orders;
mod payments;
mod random;
mod service;
mod supervisor;
mod trace_context;

use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result, bail};

/// The role is the name this was started by; any other name starts them all. Wrong arguments are
/// answered with the right ones.
pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let mut args = env::args();
    let started_as = args.next().context("no program name")?;
    let role = Path::new(&started_as).file_name().and_then(|name| name.to_str());
    let args: Vec<String> = args.collect();
    match role {
        Some("gateway") => on_tokio(2, gateway::run(args)),
        Some("orders") => on_tokio(1, orders::run(args)),
        Some("inventory") => on_tokio(1, inventory::run(args)),
        Some("payments") => on_tokio(2, payments::run(args)),
        Some("shop-client") => on_tokio(1, client::run(args)),
        _ => supervisor::run(&args),
    }
}

/// Runs a service until its standard input closes: the supervisor holds the other end, so a service
/// never outlives it, however that ends.
fn on_tokio(threads: usize, service: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("no runtime")?;
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    let result = runtime.block_on(async {
        tokio::select! {
            result = service => result,
            _ = is_closed => Ok(()),
        }
    });
    runtime.shutdown_background();
    result
}

/// Exactly `N` arguments.
fn expect_args<const N: usize>(args: Vec<String>, names: &str) -> Result<[String; N]> {
    match args.try_into() {
        Ok(args) => Ok(args),
        Err(args) => bail!("arguments are {names}, not {args:?}"),
    }
}
