//! Every chore of the project, as `cargo xtask …`: one file per chore.

mod bench;
mod build_ebpf;
mod demo;
mod fuzz;
mod guards;
mod lint;
mod provision;
mod run;
mod test;
mod time;
mod ui;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure what the sensor costs and what it loses
    Bench(bench::Args),
    /// Build the BPF programs and put the object in sensor-ebpf/prebuilt
    BuildEbpf(build_ebpf::Args),
    /// Start a small system of services, trace it, and show what the sensor sees
    Demo(demo::Args),
    /// Run a fuzz target
    Fuzz(fuzz::Args),
    /// Count what the sensor costs, and compare with guards.toml
    Guards(guards::Args),
    /// Check formatting, lints, documentation and dependencies
    Lint(lint::Args),
    /// Check everything that CI checks
    Test(test::Args),
    /// Run the end-to-end tests on Debian's kernels, in virtual machines
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::BuildEbpf(args) => build_ebpf::run(&args),
        Chore::Demo(args) => demo::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Guards(args) => guards::run(&args),
        Chore::Lint(args) => lint::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Vm(args) => vm::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::line(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
