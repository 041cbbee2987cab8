//! Time in each BPF program, by the kernel's own statistics, while HTTP heads are captured; beside it
//! an empty program on the same tracepoint in the same run. The kernel's clock reads are in both.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::rig::helper::Statistics;
use super::rig::load::{Plan, Rate};
use super::rig::procfs::{self, RunTime};
use super::rig::sensor::Sensor;
use super::rig::server::Server;
use super::row::{Row, Target};
use super::{Bench, progress};

/// Requests a second: about what two cores do without being busy.
const RATE: u64 = 10_000;
/// Nanoseconds beyond an empty program.
const TARGET: f64 = 588.0;

/// A program of the sensor's by the name that the kernel keeps of it (15 bytes), the name of the
/// tracepoint, the empty program beside it, and whether heads go through it.
const PROGRAMS: [(&str, &str, Option<&str>, bool); 7] = [
    ("sock_send_lengt", "sock_send_length", Some("baseline_send"), true),
    ("sock_recv_lengt", "sock_recv_length", Some("baseline_recv"), true),
    ("sys_exit", "sys_exit", None, true),
    ("turns", "turns, at sys_exit", None, false),
    ("inet_sock_set_s", "inet_sock_set_state", None, false),
    ("sched_process_f", "sched_process_fork", None, false),
    ("sched_process_e", "sched_process_exec or _exit", None, false),
];

/// Run times by program name, of one round.
type Times = BTreeMap<String, RunTime>;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let mut statistics = Statistics::start(bench, true)?;
    if let Some(why) = statistics.baseline_missing() {
        progress(format_args!("no empty program to compare with: {why}"));
    }
    let rounds = bench.pick(5, 2);
    let plan = Plan::new(RATE, Duration::from_secs(bench.pick(5, 2)));
    let mut times = Vec::new();
    for round in 1..=rounds {
        let measured = measure(bench, &server, &mut statistics, plan)?;
        progress(format_args!("round {round} of {rounds}: {}", words(&measured)));
        times.push(measured);
    }
    rows(&times, statistics.baseline_missing())
}

fn measure(
    bench: &Bench,
    server: &Server,
    statistics: &mut Statistics,
    plan: Plan,
) -> Result<Times> {
    let load = Rate::new(bench, server.address(), plan)?;
    let sensor = Sensor::trace(bench, &[server.pid(), load.pid()])?;
    let holders = [sensor.pid(), statistics.pid()];
    let before = programs(holders)?;
    load.run()?;
    let after = programs(holders)?;
    let names = statistics.names(after.keys().copied())?;
    sensor.stop()?.some("exchanges.spans")?;
    let mut times = Times::new();
    for (id, name) in names {
        let now = after.get(&id).copied().unwrap_or_default();
        let run = now.since(before.get(&id).copied().unwrap_or_default());
        let time = times.entry(name).or_default();
        // Two names may be the same in their first 15 bytes.
        *time = RunTime { runs: time.runs + run.runs, nanos: time.nanos + run.nanos };
    }
    if times.values().all(|time| time.runs == 0) {
        bail!("the kernel counted no run of any program");
    }
    Ok(times)
}

fn programs(holders: [u32; 2]) -> Result<BTreeMap<u32, RunTime>> {
    let mut all = BTreeMap::new();
    for pid in holders {
        all.extend(procfs::programs(pid)?);
    }
    Ok(all)
}

fn words(times: &Times) -> String {
    let ran = times.iter().filter_map(|(name, time)| Some((name, time.mean()?, time.runs)));
    let words = ran.map(|(name, mean, runs)| format!("{name} {mean:.0} ns x {runs}"));
    words.collect::<Vec<_>>().join(", ")
}

fn rows(times: &[Times], baseline_missing: Option<&str>) -> Result<Vec<Row>> {
    let means = |name: &str| -> Vec<f64> {
        times.iter().filter_map(|times| times.get(name)?.mean()).collect()
    };
    let mut rows = Vec::new();
    for (kernel_name, tracepoint, empty, heads) in PROGRAMS {
        let Some(mut row) =
            Row::of_samples(format!("hooks: {tracepoint}"), "ns", &means(kernel_name))
        else {
            continue; // of the other engine, or nothing happened there
        };
        if let Some(baseline) = empty.and_then(|empty| super::stats::median(&means(empty))) {
            row = row.baseline(baseline);
        }
        if heads && empty.is_some() {
            row = row.target(Target::BeyondAtMost(TARGET));
            row = row.note(baseline_missing.map_or_else(
                || "baseline: an empty program on the same tracepoint".to_owned(),
                |why| format!("no empty program to compare with: {why}"),
            ));
        }
        rows.push(row);
    }
    rows.first().context("none of the sensor's programs is known by name")?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::{RunTime, Times, rows};

    fn times(send: u64, empty: Option<u64>) -> Times {
        let of = |nanos| RunTime { runs: 10, nanos: nanos * 10 };
        let sensor = [("sock_send_lengt".to_owned(), of(send))];
        let baseline = empty.map(|nanos| ("baseline_send".to_owned(), of(nanos)));
        sensor.into_iter().chain(baseline).collect()
    }

    #[test]
    fn a_program_is_held_against_the_empty_one() {
        let all = [times(600, Some(20)), times(700, Some(20)), times(500, Some(10))];
        let rows = rows(&all, None).expect("a row");
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let cells = row.cells();
        assert_eq!(cells[..3], ["hooks: sock_send_length", "600 ns", "20 ns"]);
        assert_eq!(cells[5], "yes");
    }

    #[test]
    fn without_an_empty_program_nothing_is_claimed() {
        let rows = rows(&[times(100, None)], Some("not built")).expect("a row");
        let cells = rows.first().expect("one").cells();
        assert_eq!(cells[2], "");
        assert_eq!(cells[5], "unknown");
        assert!(super::rows(&[Times::new()], None).is_err());
    }
}
