//! What `cargo xtask bench` runs in processes of their own, beside the load.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sensor_tests::{bpf, calls, heap, hpack, line_truth, reopen, traces};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

#[derive(Parser)]
#[command(about = "Helpers of the bench")]
struct Cli {
    #[command(subcommand)]
    helper: Helper,
}

#[derive(Subcommand)]
enum Helper {
    /// Makes calls that are not socket I/O: `getppid N` and `copy N`, a line each, until there are no more
    Calls {
        /// Where the copied files are
        #[arg(long, default_value = "/dev/shm")]
        dir: PathBuf,
    },
    /// Has the kernel take statistics on BPF programs, and names those there are for each line read
    Bpf {
        /// Attach empty programs beside the sensor's
        #[arg(long)]
        baseline: bool,
    },
    /// Counts the BPF programs, maps and links in the kernel for each line read, as a JSON object
    Objects,
    /// Opens and closes the capture for each line read, and says what this process holds then
    Reopen {
        #[arg(long, default_value = "auto")]
        engine: String,
    },
    /// The sensor's parents beside the truth, of services in every runtime: a JSON object for each, and a last one
    /// with the tables. The sensor is the one that SENSOR names
    Traces {
        #[arg(long, default_value = "socket")]
        engine: String,
        /// Only these services (a,b)
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        only: Vec<String>,
        /// Requests at once, and how many in all with each way of passing a context on
        #[arg(
            long,
            value_name = "AT_ONCE:REQUESTS",
            value_delimiter = ',',
            default_value = "1:240,8:480,64:960"
        )]
        loads: Vec<String>,
        /// Of the trace contexts
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Whose the sensor says that lines are, beside the truth, of services in every runtime: a JSON object for each, and
    /// a last one with the tables. The sensor is the one that SENSOR names
    Lines {
        #[arg(long, default_value = "socket")]
        engine: String,
        /// Only these services (a,b)
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        only: Vec<String>,
        /// Requests at once, and how many in all
        #[arg(
            long,
            value_name = "AT_ONCE:REQUESTS",
            value_delimiter = ',',
            default_value = "64:960,8:480,1:240"
        )]
        loads: Vec<String>,
        /// Of the trace contexts
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The sensor beside OpenTelemetry's SDKs, on the same requests: a JSON object for each
    Sdk {
        #[arg(long, default_value = "socket")]
        engine: String,
        #[arg(long, default_value_t = 8)]
        at_once: usize,
        #[arg(long, default_value_t = 2000)]
        requests: u64,
    },
    /// Heap that is held for the open connections of a recording, as a JSON object
    Heap { recording: PathBuf },
    /// How fast header blocks are decoded, beside nghttp2, and frames with them, beside h2: a JSON object
    /// for each set of blocks
    Hpack {
        /// How long each decoder works at a time; there are 15 rounds
        #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
        round: u64,
    },
}

fn main() -> Result<()> {
    let (orders, mut report) = (io::stdin().lock(), io::stdout().lock());
    match Cli::parse().helper {
        Helper::Calls { dir } => calls::run(&dir, orders, report),
        Helper::Bpf { baseline } => bpf::run(baseline, orders, report),
        Helper::Objects => bpf::objects(orders, report),
        Helper::Reopen { engine } => reopen::run(&engine, orders, report),
        Helper::Hpack { round } => hpack::measure(Duration::from_millis(round), report),
        Helper::Traces { engine, only, loads, seed } => {
            traces::bench::run(&engine, &only, &loads, seed, report)
        }
        Helper::Lines { engine, only, loads, seed } => {
            line_truth::bench::run(&engine, &only, &loads, seed, report)
        }
        Helper::Sdk { engine, at_once, requests } => {
            traces::sdk::bench(&engine, at_once, requests, report)
        }
        Helper::Heap { recording } => Ok(writeln!(report, "{}", heap::measure(&recording)?)?),
    }
}
