//! What `cargo xtask bench` runs in processes of their own, beside the load.

use std::io;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sensor_tests::{bpf, calls};

#[derive(Parser)]
#[command(about = "Helpers of the bench; each takes a line and answers it, until its input ends")]
struct Cli {
    #[command(subcommand)]
    helper: Helper,
}

#[derive(Subcommand)]
enum Helper {
    /// Calls that are not socket I/O: `getppid N` and `copy N`
    Calls {
        /// Where the copied files are
        #[arg(long, default_value = "/dev/shm")]
        dir: PathBuf,
    },
    /// Has the kernel take statistics on BPF programs, and names those there are
    Bpf {
        /// Attach empty programs beside the sensor's
        #[arg(long)]
        baseline: bool,
    },
}

fn main() -> Result<()> {
    let (orders, report) = (io::stdin().lock(), io::stdout().lock());
    match Cli::parse().helper {
        Helper::Calls { dir } => calls::run(&dir, orders, report),
        Helper::Bpf { baseline } => bpf::run(baseline, orders, report),
    }
}
