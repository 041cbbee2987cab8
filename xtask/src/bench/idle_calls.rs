//! What calls pay that are not socket I/O: a getppid loop and a file copy on tmpfs, without the sensor,
//! with the socket engine, with the syscall engine, in turn. One process makes the calls in all three,
//! so that nothing but the sensor differs.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rig::helper::Helper;
use super::rig::sensor::Sensor;
use super::row::{Row, Target};
use super::stats::median;
use super::{Bench, progress};

/// "Not measurable": within what two runs of the same differ by on a quiet machine.
const TARGET: f64 = 1.02;

/// What is timed: its name in the table, the order to the helper, and whether the calls are those of
/// a traced process. All others on a host are not traced, and are who the tax is about.
const LOOPS: [(&str, &str, bool); 3] = [
    ("getppid", "getppid", false),
    ("file copy", "copy", false),
    ("file copy, traced process", "copy", true),
];

const ENGINES: [&str; 2] = ["socket", "syscall"];

/// Nanoseconds a call, one of each of [`LOOPS`].
type Costs = [f64; LOOPS.len()];

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut callers = Callers {
        traced: Helper::calls(bench)?,
        untraced: Helper::calls(bench)?,
        calls: bench.pick(500_000, 100_000),
    };
    callers.costs()?; // caches and clocks warm up
    let rounds: usize = bench.pick(9, 3);
    let mut pairs: [Vec<(Costs, Costs)>; ENGINES.len()] = Default::default();
    for round in 1..=rounds {
        for (engine, pairs) in ENGINES.iter().zip(&mut pairs) {
            let without = callers.costs()?;
            let sensor = Sensor::trace_with(bench, &[callers.traced.pid()], engine)?;
            // What it does to get going is over.
            std::thread::sleep(Duration::from_millis(200));
            let with = callers.costs()?;
            sensor.stop()?;
            pairs.push((without, with));
            progress(format_args!(
                "round {round} of {rounds}, {engine}: {} ns a call, {} without",
                words(&with),
                words(&without)
            ));
        }
    }
    let mut rows = Vec::new();
    for (engine, pairs) in ENGINES.iter().zip(&pairs) {
        for (number, (name, _, _)) in LOOPS.iter().enumerate() {
            let pairs = pairs
                .iter()
                .filter_map(|(without, with)| Some((*without.get(number)?, *with.get(number)?)));
            let pairs: Vec<_> = pairs.collect();
            let name = format!("idle-calls: {name}, {engine} engine");
            let row = Row::of_pairs(name, "ns", &pairs).context("no round")?;
            // Only this engine promises it.
            rows.push(if *engine == "socket" {
                row.target(Target::RatioAtMost(TARGET))
            } else {
                row
            });
        }
    }
    Ok(rows)
}

fn words(costs: &Costs) -> String {
    costs.map(|nanos| format!("{nanos:.0}")).join(" / ")
}

struct Callers {
    traced: Helper,
    untraced: Helper,
    /// Of one loop.
    calls: u32,
}

impl Callers {
    fn costs(&mut self) -> Result<Costs> {
        let mut costs = [0.0; LOOPS.len()];
        for (cost, (_, order, traced)) in costs.iter_mut().zip(LOOPS) {
            let caller = if traced { &mut self.traced } else { &mut self.untraced };
            let order = format!("{order} {}", self.calls);
            // Of short loops, the middle one: whatever else ran meanwhile was in the others.
            let mut samples = Vec::new();
            for _ in 0..5 {
                let answer = caller.ask(&order)?;
                samples.push(answer.parse().with_context(|| format!("{order}: `{answer}`"))?);
            }
            *cost = median(&samples).context("no sample")?;
        }
        Ok(costs)
    }
}
