//! How costs grow: the same rate of requests over more connections, from more processes, with longer
//! heads, with longer bodies. Each figure stands beside that of the smallest point.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::rig::helper::Statistics;
use super::rig::load::Poised;
use super::rig::procfs::{self, Memory, RunTime};
use super::rig::sensor::Sensor;
use super::rig::server::{self, Server};
use super::row::Row;
use super::{Bench, progress};

/// Programs that run at socket calls, by the name that the kernel keeps of them (15 bytes).
const HOOKS: [&str; 3] = ["sock_send_lengt", "sock_recv_lengt", "sys_exit"];

/// A subcommand of the load generator, and its options.
type Load = (&'static str, Vec<String>);

/// What grows.
struct Axis {
    /// With `{}` for the number.
    name: &'static str,
    points: [u64; 3],
    /// Requests a second at every point.
    rate: u64,
    /// The load of a point, without what is the same for all.
    options: fn(&Bench, u64) -> Result<Load>,
}

const AXES: [Axis; 4] = [
    Axis {
        name: "{} connections",
        points: [1, 100, 10_000],
        rate: 5_000,
        options: |_, point| Ok(("rate", option("--connections", point))),
    },
    Axis {
        name: "{} processes",
        points: [1, 100, 1_000],
        rate: 5_000,
        options: |_, point| Ok(("crowd", option("--processes", point))),
    },
    Axis {
        name: "heads of {} bytes",
        points: [256, 2_048, 12_288],
        rate: 5_000,
        options: |_, point| Ok(("rate", option("--header-bytes", point))),
    },
    Axis {
        // A gigabyte a second is not asked for.
        name: "bodies of {} bytes",
        points: [1_024, 65_536, 1_048_576],
        rate: 500,
        options: |bench, point| {
            let prefix = server::body(bench, usize::try_from(point)?)?;
            Ok(("rate", vec!["--marker".to_owned(), prefix]))
        },
    },
];

fn option(name: &str, value: u64) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

/// One of the figures of a point: its name, its unit, and itself.
type Figure = (&'static str, &'static str, fn(&Cost) -> f64);

const FIGURES: [Figure; 4] = [
    ("a hook", "ns", |cost| cost.hook),
    ("BPF programs an exchange", "us", |cost| cost.programs),
    ("sensor's CPU an exchange", "us", |cost| cost.process),
    ("resident memory", "MiB", |cost| cost.resident),
];

/// The share of all socket calls that others may make before it is said.
const OTHERS: f64 = 0.05;

/// What was measured at a point.
struct Cost {
    /// Nanoseconds of a run of a BPF program at a socket call.
    hook: f64,
    /// Microseconds of those an exchange; a request is two, traced at both ends.
    programs: f64,
    /// Microseconds of the sensor's process an exchange.
    process: f64,
    /// MiB at the end.
    resident: f64,
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let mut statistics = Statistics::start(bench, false)?;
    let rounds = bench.pick(3, 1);
    let mut rows = Vec::new();
    for axis in &AXES {
        // Costs by point, and within by round.
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for round in 1..=rounds {
            for (point, costs) in axis.points.into_iter().zip(&mut costs) {
                let name = axis.label(point);
                let cost =
                    measure(bench, &server, &mut statistics, axis, point).context(name.clone())?;
                let words =
                    FIGURES.map(|(what, unit, of)| format!("{what} {:.2} {unit}", of(&cost)));
                progress(format_args!("round {round} of {rounds}, {name}: {}", words.join(", ")));
                costs.push(cost);
            }
        }
        let [smallest, larger @ ..] = &costs;
        let [first, points @ ..] = axis.points;
        for (what, unit, of) in FIGURES {
            for (costs, point) in larger.iter().zip(points) {
                let pairs = smallest.iter().map(of).zip(costs.iter().map(of));
                let name = format!("growth: {}: {what}", axis.label(point));
                let row = Row::of_pairs(name, unit, &pairs.collect::<Vec<_>>());
                let note =
                    format!("{} requests a second; baseline: {}", axis.rate, axis.label(first));
                rows.push(row.context("no round")?.grows().note(note));
            }
        }
    }
    Ok(rows)
}

impl Axis {
    fn label(&self, point: u64) -> String {
        self.name.replace("{}", &point.to_string())
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of some seconds are far below 2^53")]
fn measure(
    bench: &Bench,
    server: &Server,
    statistics: &mut Statistics,
    axis: &Axis,
    point: u64,
) -> Result<Cost> {
    let time = Duration::from_secs(bench.pick(4, 1));
    let (subcommand, options) = (axis.options)(bench, point)?;
    let mut args = vec![subcommand.to_owned(), server.address().to_string()];
    args.extend(option("--rate", axis.rate));
    args.extend(option("--requests", axis.rate * time.as_secs()));
    args.extend(options);
    if subcommand == "rate" {
        args.push("--wait".to_owned()); // the other one always does
    }
    let mut load = Poised::new(bench, &args, time)?;
    let sensor = Sensor::trace(bench, &[server.pid(), load.pid()])?;
    load.connect()?;
    thread::sleep(SETTLE);
    let names = statistics.names(procfs::programs(sensor.pid())?.into_keys())?;
    let hooks = || -> Result<RunTime> {
        let programs = procfs::programs(sensor.pid())?;
        let hooks = names.iter().filter(|(_, name)| HOOKS.contains(&name.as_str()));
        let ran = hooks.filter_map(|(id, _)| programs.get(id));
        Ok(ran.fold(RunTime::default(), |sum, ran| RunTime {
            runs: sum.runs + ran.runs,
            nanos: sum.nanos + ran.nanos,
        }))
    };
    let quiet = hooks()?;
    thread::sleep(SETTLE);
    let others = hooks()?.since(quiet).runs as f64 / SETTLE.as_secs_f64();
    let (start, cpu, before) = (Instant::now(), procfs::cpu_nanos(sensor.pid())?, hooks()?);
    let answered = load.run()?;
    let elapsed = start.elapsed();
    thread::sleep(SETTLE);
    let cpu = procfs::cpu_nanos(sensor.pid())?.saturating_sub(cpu);
    let ran = hooks()?.since(before);
    let resident = Memory::of(sensor.pid())?.resident;
    drop(load);
    let seen = sensor.stop()?.some("exchanges.seen")?;

    // Those of warming up are there besides.
    if seen < 2 * answered {
        bail!("{seen} exchanges seen of {answered}, traced at both ends");
    }
    let rate = ran.runs as f64 / elapsed.as_secs_f64();
    if others > OTHERS * rate {
        progress(format_args!(
            "others made {others:.0} socket calls a second, of {rate:.0} under load: those are in the \
             times of the BPF programs. Measure again when the machine is quiet"
        ));
    }
    let exchanges = 2.0 * answered as f64;
    Ok(Cost {
        hook: ran.mean().context("the kernel counted no run of any program")?,
        programs: ran.nanos as f64 / 1e3 / exchanges,
        process: cpu as f64 / 1e3 / exchanges,
        resident: resident as f64 / f64::from(1 << 20),
    })
}

/// Until what was sent has been taken from the ring.
const SETTLE: Duration = Duration::from_millis(300);
