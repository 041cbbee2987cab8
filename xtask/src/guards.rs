//! `guards`: costs that are counted, not timed, held to the figures in `guards.toml`.
//!
//! A count is the same on a busy machine, so CI can refuse what makes the sensor dearer. What it does
//! not say is how long things take: that is `bench`'s part.

mod bpf;
mod file;
mod judge;
mod user;

use anyhow::{Result, bail};

use crate::run::Cmd;
use crate::{ui, workspace};
use file::{Figures, Sections};
use judge::Verdict;

/// Where the figures are that are held to.
const FILE: &str = "guards.toml";

/// Options of `guards`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what is counted now to guards.toml: growth on purpose, or a fall to be kept
    #[arg(long)]
    accept: bool,
    /// Only these guards (repeatable, or a,b)
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = known)]
    only: Vec<String>,
    /// Say what is counted, and count nothing
    #[arg(long)]
    list: bool,
}

/// A kind of cost.
struct Guard {
    name: &'static str,
    about: &'static str,
    /// Per cent that a figure may grow by.
    may_grow: f64,
    /// Whether sections are of one kernel; of another nothing need be kept.
    per_kernel: bool,
    count: fn() -> Result<Count>,
}

/// What came of counting.
enum Count {
    /// Figures by section of the file; each section is complete.
    Counted(Sections),
    /// It cannot be counted here, and why.
    NotHere(String),
}

const GUARDS: &[Guard] = &[
    Guard {
        name: "bpf-instructions",
        about: "instructions of each BPF program as it is loaded, functions included",
        may_grow: 5.0,
        per_kernel: false,
        count: bpf::instructions,
    },
    Guard {
        name: "bpf-verified",
        about: "instructions that the kernel's verifier goes through (its limit is 1,000,000)",
        may_grow: 10.0,
        per_kernel: true,
        count: bpf::verified,
    },
    Guard {
        name: "allocations",
        about: "memory allocations per exchange, from the kernel's records to the span",
        may_grow: 0.0,
        per_kernel: false,
        count: user::allocations,
    },
    Guard {
        name: "callgrind",
        about: "instructions of each decoder per KiB of its corpus",
        may_grow: 3.0,
        per_kernel: false,
        count: user::instructions,
    },
];

fn known(name: &str) -> Result<String, String> {
    if GUARDS.iter().any(|guard| guard.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = GUARDS.iter().map(|guard| guard.name).collect();
    Err(format!("the guards are {}", names.join(", ")))
}

/// Counts, compares, and says what to do.
///
/// # Errors
/// A cost grew by more than it may, or something could not be counted.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for Guard { name, about, may_grow, .. } in GUARDS {
            ui::line(format_args!("{name:<18} {about}; may grow by {may_grow} %"));
        }
        return Ok(());
    }
    let chosen = |guard: &&Guard| args.only.is_empty() || args.only.iter().any(|n| n == guard.name);
    check(GUARDS.iter().filter(chosen), args.accept, false)
}

/// As a step of `test`; in CI, what cannot be counted has failed.
///
/// # Errors
/// As [`run`].
pub(crate) fn all(ci: bool) -> Result<()> {
    check(GUARDS.iter(), false, ci)
}

fn check<'a>(guards: impl Iterator<Item = &'a Guard>, accept: bool, ci: bool) -> Result<()> {
    workspace::build()?;
    let path = workspace::root().join(FILE);
    let mut kept = file::read(&path)?;
    let (mut grown, mut fallen) = (0, 0);
    for guard in guards {
        ui::heading(format_args!("{}: {}", guard.name, guard.about));
        let counted = match (guard.count)()? {
            Count::Counted(counted) => counted,
            Count::NotHere(why) if ci => bail!("{}: cannot be counted here: {why}", guard.name),
            Count::NotHere(why) => {
                ui::line(format_args!("NOT COUNTED: {why}"));
                continue;
            }
        };
        for (section, figures) in counted {
            let nothing = Figures::new();
            let kept_here = kept.get(&section).or((!guard.per_kernel).then_some(&nothing));
            let verdicts = judge::section(kept_here, &figures, guard.may_grow);
            ui::line(judge::table(&section, &verdicts, guard.may_grow));
            grown += verdicts.iter().filter(|line| line.verdict.is_failure()).count();
            fallen += verdicts.iter().filter(|line| line.verdict == Verdict::Fallen).count();
            if accept {
                kept.insert(section, figures);
            }
        }
    }
    if accept {
        file::write(&path, &kept)?;
        ui::line(format_args!(
            "\n{FILE}: written. Commit it with the change that it belongs to, and say there what the \
             growth is for."
        ));
        return Ok(());
    }
    if fallen > 0 {
        ui::line(format_args!(
            "\n{fallen} figures fell by more than they may grow: `cargo xtask guards --accept` keeps \
             what was won."
        ));
    }
    if grown > 0 {
        bail!(
            "{grown} figures are not as {FILE} has them. Find out why; where it is worth its cost, run \
             `cargo xtask guards --accept` and commit the file with the reason"
        );
    }
    Ok(())
}

const HELPER: &str = "sensor-guards";

/// The helper, which counts in a process of its own.
fn helper() -> Cmd {
    Cmd::new(workspace::release_binary(HELPER))
}
