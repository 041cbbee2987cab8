//! `bench`: what the sensor costs and what it loses, beside the same without it, in one table.
//!
//! Whatever a machine does to both halves of a pair cancels out of their ratio: each figure is measured
//! in turn without and with the sensor (A/B/A/B), and the median of the pairs' ratios is what counts.

mod copy;
mod cpu;
mod echo;
mod endurance;
mod growth;
mod h2load;
mod hooks;
mod hpack;
mod http;
mod idle_calls;
mod joins;
mod log_formats;
mod log_load;
mod log_truth;
mod loss;
mod memory;
mod picture;
mod replay;
mod report;
mod rig;
mod row;
mod sdk;
mod stats;
mod traces;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, process};

use anyhow::{Context as _, Result, bail};

use crate::provision::is_root;
use crate::run::Cmd;
use crate::{time, ui, workspace};
use report::Report;
use rig::Tools;
use rig::tracer::Against;
use row::Row;

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these measurements (repeatable, or a,b)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Say what there is to measure, and measure nothing
    #[arg(long)]
    list: bool,
    /// Short runs, for trying things out: not for quoting
    #[arg(long)]
    quick: bool,
    /// How long memory is watched under load [default: 10, or 0.3 with --quick]
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<f64>,
    /// The sensor's `--engine`, except where a measurement is about an engine
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: String,
    /// Measure this sensor, instead of the one built from this tree
    #[arg(long, value_name = "FILE")]
    sensor: Option<PathBuf>,
    /// Measure another tool in the sensor's place: this command, in which {pids} stands for the
    /// processes under load (12,34). It is ended by SIGTERM; nothing is asked of what it traces
    #[arg(long, value_name = "COMMAND", conflicts_with = "sensor")]
    against: Option<String>,
    /// How long that tool takes until it traces
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = time::parse)]
    settle: Duration,
    /// How often `endurance` starts and stops the sensor [default: 1000, or 20 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    cycles: Option<u32>,
    /// Of the random moments of `joins`, and of the contexts of `traces` [default: another each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// One measurement: it gives one or more rows of the table.
struct Measurement {
    name: &'static str,
    about: &'static str,
    scope: Scope,
    run: fn(&Bench) -> Result<Vec<Row>>,
}

/// When a measurement is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Always, of any tool.
    AnyTool,
    /// Of the sensor alone: it asks for what only the sensor tells.
    Sensor,
    /// The same, and only when it is named: it takes long.
    Named,
}

/// In the order of the table.
const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: "hooks",
        about: "time in each BPF program, beyond an empty one",
        scope: Scope::Sensor,
        run: hooks::run,
    },
    Measurement {
        name: "idle-calls",
        about: "cost on calls that are not socket I/O",
        scope: Scope::AnyTool,
        run: idle_calls::run,
    },
    Measurement {
        name: "causes",
        about: "what it costs to follow event loops",
        scope: Scope::Sensor,
        run: cpu::causes,
    },
    Measurement {
        name: "copy",
        about: "throughput of a file copy, which uses no socket",
        scope: Scope::AnyTool,
        run: copy::run,
    },
    Measurement {
        name: "nginx",
        about: "throughput at saturation, and p99 at half of it, both ends traced",
        scope: Scope::AnyTool,
        run: http::nginx,
    },
    Measurement {
        name: "go",
        about: "the same of a Go net/http service",
        scope: Scope::AnyTool,
        run: http::go,
    },
    Measurement {
        name: "echo",
        about: "throughput of tiny requests that are not HTTP, both ends traced",
        scope: Scope::AnyTool,
        run: echo::run,
    },
    Measurement {
        name: "h2load",
        about: "throughput of HTTP/2, 1, 8 and 100 streams at once, and a marker in each request",
        scope: Scope::AnyTool,
        run: h2load::run,
    },
    Measurement {
        name: "loss",
        about: "requests with a marker each: captured + counted = sent",
        scope: Scope::Sensor,
        run: loss::run,
    },
    Measurement {
        name: "joins",
        about: "traceparent on a busy HTTP/2 connection that was there before the sensor",
        scope: Scope::Sensor,
        run: joins::run,
    },
    Measurement {
        name: "traces",
        about: "parents beside the truth, of services in every runtime, with and without contexts",
        scope: Scope::Sensor,
        run: traces::run,
    },
    Measurement {
        name: "sdk",
        about: "the same requests traced by OpenTelemetry's SDKs: traces, hops and times",
        scope: Scope::Sensor,
        run: sdk::run,
    },
    Measurement {
        name: "log-formats",
        about: "log lines a second on one core, per format, beside Vector's own functions",
        scope: Scope::Sensor,
        run: log_formats::run,
    },
    Measurement {
        name: "log-truth",
        about: "whose each line is, beside the truth, of services in every runtime",
        scope: Scope::Sensor,
        run: log_truth::run,
    },
    Measurement {
        name: "log-load",
        about: "services that log a lot: throughput, and a number in each line",
        scope: Scope::Sensor,
        run: log_load::run,
    },
    Measurement {
        name: "cpu",
        about: "CPU seconds per million exchanges",
        scope: Scope::Sensor,
        run: cpu::run,
    },
    Measurement {
        name: "replay",
        about: "events a second on one core, from a recording",
        scope: Scope::Sensor,
        run: replay::run,
    },
    Measurement {
        name: "hpack",
        about: "HTTP/2 header blocks and frames, decoded beside nghttp2 and h2",
        scope: Scope::Sensor,
        run: hpack::run,
    },
    Measurement {
        name: "growth",
        about: "cost by connections, processes, header size and body size",
        scope: Scope::Sensor,
        run: growth::run,
    },
    Measurement {
        name: "memory",
        about: "resident memory: idle, loaded, over time, per connection",
        scope: Scope::Sensor,
        run: memory::run,
    },
    Measurement {
        name: "endurance",
        about: "what a thousand starts and stops leave behind; only when named",
        scope: Scope::Named,
        run: endurance::run,
    },
];

/// What every measurement needs to know.
struct Bench {
    tools: Tools,
    quick: bool,
    /// How long memory is watched.
    watch: Duration,
    engine: String,
    /// What is measured in the sensor's place.
    against: Option<Against>,
    /// Starts and stops.
    cycles: u32,
    /// Of what is random, if it shall be the same again.
    seed: Option<u64>,
    /// For files of this run; removed at its end.
    dir: PathBuf,
}

impl Bench {
    /// `full`, or `quick` for a quick run.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A new file's path for this run.
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Says what is being done, and how far it is.
fn progress(text: impl std::fmt::Display) {
    ui::line(format_args!("   {text}"));
}

/// Measures, and prints the table. A missed target is no failure: it is a result.
///
/// # Errors
/// It does not build, or a measurement could not be made.
pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen = choose(&args.only, args.against.is_some())?;
    if args.list {
        for measurement in MEASUREMENTS {
            ui::line(format_args!("{:12} {}", measurement.name, measurement.about));
        }
        return Ok(());
    }
    if !is_root() {
        bail!("tracing takes root: sudo -E env PATH=\"$PATH\" cargo xtask bench");
    }
    let bench = prepare(args)?;
    // Another tool's are not ours.
    let name = if args.against.is_some() { "against" } else { "results" };
    let results = workspace::target().join("bench").join(name);
    let mut report = Report::new(&bench, &results)?;
    for (number, measurement) in (1..).zip(&chosen) {
        ui::heading(format_args!(
            "{} ({number} of {}): {}",
            measurement.name,
            chosen.len(),
            measurement.about
        ));
        let start = Instant::now();
        match (measurement.run)(&bench) {
            Ok(rows) => report.add(rows),
            Err(error) => {
                ui::line(format_args!("   could not be made: {error:#}"));
                report.failed(measurement.name, format!("{error:#}"));
            }
        }
        progress(format_args!("took {}", time::show(start.elapsed())));
        // After each: what an interrupted run has measured is not lost.
        report.write()?;
    }
    ui::heading("results");
    report.print();
    ui::line(format_args!("\nwritten to {}.json and .svg", results.display()));
    report.verdict()
}

fn choose(only: &[String], against: bool) -> Result<Vec<&'static Measurement>> {
    let find = |name: &String| {
        let found = MEASUREMENTS.iter().find(|measurement| measurement.name == name);
        let found = found.with_context(|| {
            let names: Vec<_> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
            format!("there is no measurement `{name}`; there are {}", names.join(", "))
        })?;
        if against && found.scope != Scope::AnyTool {
            bail!("`{name}` asks for what only the sensor tells: not with --against");
        }
        Ok(found)
    };
    let named = only.iter().map(find).collect::<Result<Vec<_>>>()?;
    let wanted = |measurement: &&Measurement| match measurement.scope {
        _ if !named.is_empty() => named.iter().any(|named| named.name == measurement.name),
        Scope::AnyTool => true,
        Scope::Sensor => !against,
        Scope::Named => false,
    };
    Ok(MEASUREMENTS.iter().filter(wanted).collect())
}

fn prepare(args: &Args) -> Result<Bench> {
    let minutes = args.minutes.unwrap_or(if args.quick { 0.3 } else { 10.0 });
    if !(0.1..=24.0 * 60.0).contains(&minutes) {
        bail!("--minutes {minutes}: between 0.1 and 1440");
    }
    let sensor = match &args.sensor {
        Some(file) => {
            // The bench's own programs all the same.
            Cmd::cargo()
                .args(["build", "--locked", "--release", "--bins", "--package", "sensor-tests"])
                .run()?;
            file.canonicalize().with_context(|| file.display().to_string())?
        }
        None => {
            workspace::build()?;
            workspace::release_binary("sensor")
        }
    };
    let results = workspace::target().join("bench");
    create(&results)?;
    sweep(&results);
    let dir = results.join(format!("run-{}", process::id()));
    create(&dir)?;
    Ok(Bench {
        tools: Tools::find(sensor)?,
        quick: args.quick,
        watch: Duration::from_secs_f64(minutes * 60.0),
        engine: args.engine.clone(),
        against: args.against.clone().map(|command| Against { command, settle: args.settle }),
        cycles: args.cycles.unwrap_or(if args.quick { 20 } else { 1000 }),
        seed: args.seed,
        dir,
    })
}

fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

/// Removes the files of runs that were killed.
fn sweep(results: &Path) {
    let Ok(entries) = fs::read_dir(results) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("run-")) else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    fn names(only: &[&str], against: bool) -> Option<Vec<&'static str>> {
        let only: Vec<_> = only.iter().map(|&name| name.to_owned()).collect();
        let chosen = choose(&only, against).ok()?;
        Some(chosen.into_iter().map(|measurement| measurement.name).collect())
    }

    #[test]
    fn what_is_measured_is_what_is_asked_for() {
        assert_eq!(names(&["loss", "nginx"], false), Some(vec!["nginx", "loss"]));
        assert_eq!(names(&["endurance"], false), Some(vec!["endurance"]));
        assert!(!names(&[], false).expect("all").contains(&"endurance"));
        assert_eq!(names(&["nothing"], false), None);
    }

    #[test]
    fn another_tool_is_asked_for_nothing_that_it_cannot_tell() {
        let all = names(&[], true).expect("some");
        assert_eq!(all, ["idle-calls", "copy", "nginx", "go", "echo", "h2load"]);
        assert_eq!(names(&["loss"], true), None);
    }
}
