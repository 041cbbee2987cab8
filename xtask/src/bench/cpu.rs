//! What an exchange costs: CPU time of the sensor's process, and of its programs in the kernel, which
//! is charged to the traced processes. A request that is traced at both of its ends is two exchanges.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rig::helper::Statistics;
use super::rig::load::{Plan, Rate, Wrk};
use super::rig::procfs::{self, RunTime};
use super::rig::sensor::Sensor;
use super::rig::server::Server;
use super::row::Row;
use super::{Bench, progress};

/// Requests a second, beside saturation: at a low rate, waking up is a larger part.
const RATE: u64 = 5_000;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let _statistics = Statistics::start(bench, false)?;
    let time = Duration::from_secs(bench.pick(5, 1));
    let rounds = bench.pick(3, 1);
    let mut rows = Vec::new();
    for (name, rate) in [("saturation", None), ("5,000 requests/s", Some(RATE))] {
        let (mut process, mut programs) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let cost = match rate {
                None => {
                    let load = Wrk::new(server.address(), time)?;
                    let pids = [server.pid(), load.pid()];
                    measure(bench, &pids, || load.run().map(drop))?
                }
                Some(rate) => {
                    let load = Rate::new(bench, server.address(), Plan::new(rate, time))?;
                    let pids = [server.pid(), load.pid()];
                    measure(bench, &pids, || load.run().map(drop))?
                }
            };
            progress(format_args!(
                "{name}, round {round} of {rounds}: {:.2} s in the process, {:.2} s in the kernel",
                cost.process, cost.programs
            ));
            process.push(cost.process);
            programs.push(cost.programs);
        }
        for (part, samples) in [("sensor process", process), ("BPF programs", programs)] {
            let name = format!("cpu: {part}, {name}");
            let row = Row::of_samples(name, "s/million", &samples).context("no round")?;
            rows.push(
                row.note("CPU seconds per million exchanges; a request traced at both ends is two"),
            );
        }
    }
    Ok(rows)
}

/// What it costs to follow event loops: nanoseconds of the programs an exchange, with it and without, and
/// what it adds to a record. nginx is such a loop, and so is its client.
pub(super) fn causes(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let _statistics = Statistics::start(bench, false)?;
    let time = Duration::from_secs(bench.pick(5, 1));
    let mut pairs = Vec::new();
    let rounds: usize = bench.pick(5, 1);
    for round in 1..=rounds {
        let cost = |loops| {
            let load = Rate::new(bench, server.address(), Plan::new(RATE, time))?;
            let pids = [server.pid(), load.pid()];
            let sensor = Sensor::trace_loops(bench, &pids, &bench.engine, loops)?;
            // Seconds a million are thousands of nanoseconds each.
            Ok::<_, anyhow::Error>(1000.0 * observe(sensor, || load.run().map(drop))?.programs)
        };
        let (without, with) = (cost(false)?, cost(true)?);
        progress(format_args!("round {round} of {rounds}: {with:.0} ns, {without:.0} ns without"));
        pairs.push((without, with));
    }
    let name = "causes: BPF programs an exchange, event loops on";
    let row = Row::of_pairs(name, "ns", &pairs).context("no round")?;
    // `cause_flow` and `cause_position`, in each record.
    let bytes = Row::new("causes: bytes a record", "bytes", 16.0);
    Ok(vec![row.note("baseline: off"), bytes])
}

/// CPU seconds per million exchanges.
struct Cost {
    process: f64,
    programs: f64,
}

fn measure(bench: &Bench, pids: &[u32], load: impl FnOnce() -> Result<()>) -> Result<Cost> {
    observe(Sensor::trace(bench, pids)?, load)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of some seconds are far below 2^53")]
fn observe(sensor: Sensor, load: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let programs = || procfs::programs(sensor.pid());
    let (cpu, ran) = (procfs::cpu_nanos(sensor.pid())?, programs()?);
    load()?;
    // The last events are taken within a few polls.
    std::thread::sleep(Duration::from_millis(300));
    let cpu = procfs::cpu_nanos(sensor.pid())?.saturating_sub(cpu);
    let ran = total(&programs()?).since(total(&ran));
    let exchanges = sensor.stop()?.some("exchanges.seen")? as f64;
    let per_million = |nanos: u64| nanos as f64 / 1e9 / (exchanges / 1e6);
    Ok(Cost { process: per_million(cpu), programs: per_million(ran.nanos) })
}

fn total(programs: &BTreeMap<u32, RunTime>) -> RunTime {
    programs.values().fold(RunTime::default(), |sum, program| RunTime {
        runs: sum.runs + program.runs,
        nanos: sum.nanos + program.nanos,
    })
}
