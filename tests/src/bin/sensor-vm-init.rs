//! Process 1 of the virtual machines of `cargo xtask vm`, and the steps that are not programs of
//! their own.

use std::io;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use sensor::capture::live::Engine;
use sensor_tests::vm::{init, programs, steps};

#[derive(Parser)]
#[command(about = "Process 1 of the virtual machines of `cargo xtask vm`")]
struct Cli {
    /// Without one: be process 1
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Go through the steps of the plan and report them on the serial port
    Steps,
    /// Load and attach an engine's programs, and say what they are to the kernel
    Programs { engine: Name },
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Socket,
    Syscall,
}

fn main() -> Result<()> {
    match Cli::parse().part {
        None => {
            ensure!(std::process::id() == 1, "this is the first process of a virtual machine");
            match init::run()? {}
        }
        Some(Part::Steps) => steps::run(),
        Some(Part::Programs { engine }) => {
            let engine = match engine {
                Name::Socket => Engine::Socket,
                Name::Syscall => Engine::Syscall,
            };
            programs::run(engine, io::stdout().lock())
        }
    }
}
