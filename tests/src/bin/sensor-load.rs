//! The load generator of `cargo xtask bench`.

use std::io;
use std::net::SocketAddr;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sensor_tests::load::{hold, rate};

#[derive(Parser)]
#[command(about = "HTTP/1.1 load for the bench")]
struct Cli {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Requests at a fixed rate, each with a path of its own; prints a JSON object at the end
    Rate {
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
    },
    /// Idle connections: each line read is how many there shall be, and is written back when so
    Hold { address: SocketAddr },
}

fn main() -> Result<()> {
    match Cli::parse().load {
        Load::Rate { address, rate, requests, connections, marker } => {
            let plan = rate::Plan { address, rate, requests, connections, marker };
            let report = rate::run(&plan)?;
            write_line(&report.to_string())
        }
        Load::Hold { address } => hold::run(address, io::stdin().lock(), io::stdout().lock()),
    }
}

fn write_line(line: &str) -> Result<()> {
    use io::Write as _;
    Ok(writeln!(io::stdout(), "{line}")?)
}
