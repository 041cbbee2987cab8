//! `test`: everything that CI checks, in one order, with the time each step takes.

mod steps;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{time, ui};
use steps::{STEPS, Step};

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this step (repeatable)
    #[arg(long, value_name = "STEP", value_parser = known)]
    only: Vec<String>,
    /// Leave this step out (repeatable)
    #[arg(long, value_name = "STEP", value_parser = known)]
    skip: Vec<String>,
    /// Go on after a step that failed
    #[arg(long)]
    keep_going: bool,
    /// As CI runs it: --keep-going, and a step that cannot run here has failed
    #[arg(long)]
    ci: bool,
    /// List the steps
    #[arg(long)]
    list: bool,
}

fn known(name: &str) -> Result<String, String> {
    if STEPS.iter().any(|step| step.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    Err(format!("the steps are {}", names.join(", ")))
}

/// How a step ended.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs the chosen steps and prints the table.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for step in STEPS {
            ui::line(format_args!("{:<12} {}", step.name, step.about));
        }
        return Ok(());
    }
    let chosen = |step: &&Step| {
        (args.only.is_empty() || args.only.iter().any(|name| name == step.name))
            && !args.skip.iter().any(|name| name == step.name)
    };
    let mut done = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        ui::heading(format_args!("{}: {}", step.name, step.about));
        let start = Instant::now();
        let outcome = attempt(step, args.ci);
        let failed = matches!(outcome, Outcome::Failed(_));
        done.push((step, outcome, start.elapsed()));
        if failed && !(args.keep_going || args.ci) {
            break;
        }
    }
    table(&done);
    let failed =
        done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))).count();
    if failed > 0 {
        bail!("{failed} of {} steps failed", done.len());
    }
    Ok(())
}

fn attempt(step: &Step, ci: bool) -> Outcome {
    if let Some(why) = (step.cannot)() {
        ui::line(format_args!("SKIPPED, NOT CHECKED: {why}"));
        return if ci {
            Outcome::Failed(format!("cannot run here: {why}"))
        } else {
            Outcome::Skipped(why)
        };
    }
    match (step.run)(ci) {
        Ok(()) => Outcome::Passed,
        Err(error) => {
            let why = format!("{error:#}");
            ui::line(format_args!("FAILED: {why}"));
            Outcome::Failed(why)
        }
    }
}

fn table(done: &[(&Step, Outcome, Duration)]) {
    ui::heading("result");
    for (step, outcome, took) in done {
        let (word, why) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("FAILED", Some(why)),
            Outcome::Skipped(why) => ("SKIPPED", Some(why)),
        };
        ui::line(format_args!("{:<12} {word:<8} {:>12}", step.name, time::show(*took)));
        if let Some(why) = why {
            // Errors of compilers have many lines; they are above.
            let first = why.lines().next().unwrap_or_default();
            ui::line(format_args!("    {first}"));
            ui::line(format_args!("    alone: cargo xtask test --only {}", step.name));
        }
    }
    let total: Duration = done.iter().map(|(_, _, took)| *took).sum();
    ui::line(format_args!("{:<12} {:<8} {:>12}", "total", "", time::show(total)));
    let left_out = STEPS.len() - done.len();
    if left_out > 0 {
        ui::line(format_args!("{left_out} of {} steps were not run", STEPS.len()));
    }
}
