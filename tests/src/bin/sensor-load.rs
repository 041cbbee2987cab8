//! The load generator of `cargo xtask bench`, and a server for it.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use sensor_tests::load::{crowd, echo, hold, rate, streams};
use serde_json::Value;

#[derive(Parser)]
#[command(about = "Load for the bench")]
struct Cli {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Requests at a fixed rate, each with a path of its own; prints a JSON object at the end
    Rate(Rate),
    /// The same from many processes with a connection each, and with `--wait`
    Crowd {
        address: SocketAddr,
        /// Requests a second, of all
        #[arg(long)]
        rate: u64,
        /// Requests in all
        #[arg(long)]
        requests: u64,
        #[arg(long)]
        processes: u64,
    },
    /// Idle connections: each line read is how many there shall be, and is written back when so
    Hold { address: SocketAddr },
    /// Requests over one connection of HTTP/2, so many at once, each with a trace context: from the first
    /// line read, answered by `begun`, to the second. Then writes a line on each to a file
    Streams(Streams),
    /// Tiny requests that are not HTTP, as fast as they are answered; prints a JSON object at the end
    Echo {
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        seconds: u64,
    },
    /// Answers those
    EchoServer { address: SocketAddr },
}

#[derive(Args)]
struct Streams {
    address: SocketAddr,
    #[arg(long)]
    authority: String,
    #[arg(long)]
    path: String,
    /// Request k is for PATH?MARKERk
    #[arg(long)]
    marker: String,
    /// Requests at once
    #[arg(long)]
    streams: usize,
    #[arg(long)]
    seed: u64,
    /// Where the lines go
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

#[derive(Args)]
struct Rate {
    address: SocketAddr,
    /// Requests a second
    #[arg(long)]
    rate: u64,
    /// Requests in all
    #[arg(long)]
    requests: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Request k is for /MARKERk
    #[arg(long, default_value = "k-")]
    marker: String,
    /// Fill the head of each request up to so many bytes
    #[arg(long, default_value_t = 0)]
    header_bytes: usize,
    /// Have an exchange on each connection, say `ready`, and wait for a line; and with the connections
    /// still open wait for another one, or the end of input, after the report
    #[arg(long)]
    wait: bool,
    /// Microseconds from then to the first request
    #[arg(long, default_value_t = 0)]
    delay_us: u64,
}

fn main() -> Result<()> {
    match Cli::parse().load {
        Load::Rate(args) => {
            let wait = args.wait;
            let plan = rate::Plan {
                address: args.address,
                rate: args.rate,
                requests: args.requests,
                connections: args.connections,
                marker: args.marker,
                header_bytes: args.header_bytes,
                warm: wait,
                delay: Duration::from_micros(args.delay_us),
            };
            if wait {
                rate::run(&plan, wait_for_the_word, report_and_wait)
            } else {
                rate::run(&plan, || Ok(()), |report| write_line(&report.to_string()))
            }
        }
        Load::Crowd { address, rate, requests, processes } => {
            let plan = crowd::Plan { address, rate, requests, processes };
            crowd::run(&plan, wait_for_the_word, report_and_wait)
        }
        Load::Hold { address } => hold::run(address, io::stdin().lock(), io::stdout().lock()),
        Load::Streams(args) => many_streams(args),
        Load::Echo { address, connections, seconds } => {
            let report = echo::run(address, connections, Duration::from_secs(seconds))?;
            write_line(&report.to_string())
        }
        Load::EchoServer { address } => echo::serve(&TcpListener::bind(address)?),
    }
}

fn many_streams(args: Streams) -> Result<()> {
    let Streams { address, authority, path, marker, streams, seed, log } = args;
    let plan = streams::Plan { address, authority, path, marker, streams, seed };
    let word = || drop(io::stdin().read_line(&mut String::new()));
    word();
    let lines = streams::run(plan, || write_line("begun"), word)?;
    fs::write(&log, lines).with_context(|| log.display().to_string())?;
    write_line("written")
}

fn wait_for_the_word() -> Result<()> {
    write_line("ready")?;
    if io::stdin().read_line(&mut String::new())? == 0 {
        bail!("nobody says go");
    }
    Ok(())
}

fn report_and_wait(report: &Value) -> Result<()> {
    write_line(&report.to_string())?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn write_line(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
