//! What `cargo xtask guards` counts in processes of their own.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::{Parser, Subcommand};
use sensor_tests::guards::{allocations, decoders, verified};
use sensor_tests::heap;

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

#[derive(Parser)]
#[command(about = "Counted costs")]
struct Cli {
    #[command(subcommand)]
    cost: Cost,
}

#[derive(Subcommand)]
enum Cost {
    /// Memory allocations per exchange, as a JSON object
    Allocations,
    /// The names of the decoders, a line each
    Decoders,
    /// Runs a decoder over its corpus, and prints how many bytes that were
    Decode {
        decoder: String,
        /// How many times
        rounds: u32,
    },
    /// Instructions that the verifier went through for each BPF program, as a JSON object
    Verified,
}

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    match Cli::parse().cost {
        Cost::Allocations => writeln!(out, "{}", allocations::measure()?)?,
        Cost::Decoders => {
            for name in decoders::names() {
                writeln!(out, "{name}")?;
            }
        }
        Cost::Decode { decoder, rounds } => writeln!(out, "{}", decoders::run(&decoder, rounds)?)?,
        Cost::Verified => writeln!(out, "{}", verified::measure()?)?,
    }
    Ok(())
}
