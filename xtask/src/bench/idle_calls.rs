//! What calls pay that are not socket I/O: a getppid loop and a file copy on tmpfs, without the sensor,
//! with the socket engine, with the syscall engine, in turn. One process makes the calls in all three,
//! so that nothing but the sensor differs.
//!
//! A cost on every call cannot be avoided by any of them, while whatever else happens only adds: so of
//! many short loops the fastest counts.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rig::helper::Helper;
use super::rig::tracer::Tracer;
use super::row::{Row, Target};
use super::{Bench, progress};

/// "Not measurable": within what two runs of the same differ by on a quiet machine.
const NONE: f64 = 1.02;
/// Nanoseconds on a call, of an engine that has a hook on it.
const HOOKED: f64 = 120.0;

/// What is timed: its name in the table, the order to the helper, and whether the calls are those of
/// a traced process. All others on a host are not traced, and are who the tax is about.
const LOOPS: [(&str, &str, bool); 3] = [
    ("getppid", "getppid", false),
    ("file copy", "copy", false),
    ("file copy, traced process", "copy", true),
];

/// Short loops of each.
const TIMES: u32 = 25;

/// What is put beside the loops.
#[derive(Clone, Copy)]
enum Subject {
    /// The sensor, with this engine, whether it follows event loops, and what it promises.
    Engine(&'static str, bool, Target),
    /// What `--against` says.
    Other,
}

const ENGINES: [Subject; 4] = [
    Subject::Engine("socket", true, Target::BeyondAtMost(HOOKED)),
    Subject::Engine("socket", false, Target::RatioAtMost(NONE)),
    Subject::Engine("syscall", true, Target::BeyondAtMost(HOOKED)),
    Subject::Engine("syscall", false, Target::BeyondAtMost(HOOKED)),
];

/// Nanoseconds a call, one of each of [`LOOPS`].
type Costs = [f64; LOOPS.len()];

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut callers = Callers {
        traced: Helper::calls(bench)?,
        untraced: Helper::calls(bench)?,
        calls: bench.pick(50_000, 20_000),
    };
    callers.costs()?; // caches and clocks warm up
    let subjects: &[_] = if bench.against.is_some() { &[Subject::Other] } else { &ENGINES };
    let rounds: usize = bench.pick(9, 3);
    let mut pairs: Vec<Vec<(Costs, Costs)>> = vec![Vec::new(); subjects.len()];
    for round in 1..=rounds {
        for (subject, pairs) in subjects.iter().zip(&mut pairs) {
            let without = callers.costs()?;
            let tracer = subject.attach(bench, callers.traced.pid())?;
            // What it does to get going is over.
            std::thread::sleep(Duration::from_millis(200));
            let with = callers.costs()?;
            tracer.stop()?;
            pairs.push((without, with));
            progress(format_args!(
                "round {round} of {rounds}{}: {} ns a call, {} without",
                subject.suffix(),
                words(&with),
                words(&without)
            ));
        }
    }
    let mut rows = Vec::new();
    for (subject, pairs) in subjects.iter().zip(&pairs) {
        for (number, (name, _, _)) in LOOPS.iter().enumerate() {
            let pairs = pairs
                .iter()
                .filter_map(|(without, with)| Some((*without.get(number)?, *with.get(number)?)));
            let pairs: Vec<_> = pairs.collect();
            let name = format!("idle-calls: {name}{}", subject.suffix());
            let row = Row::of_pairs(name, "ns", &pairs).context("no round")?;
            rows.push(match subject {
                Subject::Engine(_, _, target) => row.target(*target),
                Subject::Other => row,
            });
        }
    }
    Ok(rows)
}

impl Subject {
    fn attach(self, bench: &Bench, pid: u32) -> Result<Tracer> {
        match self {
            Self::Engine(engine, loops, _) => Tracer::attach_with(bench, &[pid], engine, loops),
            Self::Other => Tracer::attach(bench, &[pid]),
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Engine(engine, true, _) => format!(", {engine} engine"),
            Self::Engine(engine, false, _) => format!(", {engine} engine, event loops off"),
            Self::Other => String::new(),
        }
    }
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
            *cost = f64::INFINITY;
            for _ in 0..TIMES {
                let answer = caller.ask(&order)?;
                let nanos: f64 = answer.parse().with_context(|| format!("{order}: `{answer}`"))?;
                *cost = cost.min(nanos);
            }
        }
        Ok(costs)
    }
}
