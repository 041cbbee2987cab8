//! An HTTP server and its client, both traced: throughput at saturation, and p99 at half of the
//! untraced throughput, with and without the sensor in turn.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rig::load::{Outcome, Plan, Rate, Wrk};
use super::rig::sensor::Summary;
use super::rig::server::Server;
use super::rig::tracer::Tracer;
use super::row::{Row, Target};
use super::stats::median;
use super::{Bench, progress};

/// What is held against the ratios of one server, if anything is.
#[derive(Clone, Copy, Debug)]
struct Goal {
    throughput: Option<f64>,
    p99: Option<f64>,
}

/// One worker and a small file: of all servers the one that does least beside its socket calls.
pub(super) fn nginx(bench: &Bench) -> Result<Vec<Row>> {
    let goal = Goal { throughput: Some(0.90), p99: Some(1.1) };
    run(bench, &Server::nginx(bench)?, "nginx", goal)
}

/// A goroutine for each connection, on any thread.
pub(super) fn go(bench: &Bench) -> Result<Vec<Row>> {
    run(bench, &Server::go(bench)?, "go", Goal { throughput: None, p99: None })
}

fn run(bench: &Bench, server: &Server, name: &str, goal: Goal) -> Result<Vec<Row>> {
    let time = Duration::from_secs(bench.pick(3, 1));
    let rounds = bench.pick(5, 2);

    Wrk::new(server.address(), Duration::from_secs(1))?.run()?; // caches and connections warm up
    let mut throughput = Vec::new();
    let mut seen = Seen::default();
    for round in 1..=rounds {
        let without = Wrk::new(server.address(), time)?.run()?;
        let load = Wrk::new(server.address(), time)?;
        let tracer = Tracer::attach(bench, &[server.pid(), load.pid()])?;
        let with = load.run()?;
        seen.add(tracer.stop()?.as_ref())?;
        throughput.push((without, with));
        progress(format_args!(
            "throughput, round {round} of {rounds}: {with:.0}/s, {without:.0}/s without"
        ));
    }
    let throughput_note = seen.words();

    let rate = half(&throughput)?;
    let plan = Plan::new(rate, time);
    let mut p99 = Vec::new();
    let mut p50 = Vec::new();
    let mut late = [0, 0];
    let mut seen = Seen::default();
    for round in 1..=rounds {
        let without = Rate::new(bench, server.address(), plan)?.run()?;
        let load = Rate::new(bench, server.address(), plan)?;
        let tracer = Tracer::attach(bench, &[server.pid(), load.pid()])?;
        let with = load.run()?;
        seen.add(tracer.stop()?.as_ref())?;
        for (late, outcome) in late.iter_mut().zip([&without, &with]) {
            *late += u32::from(outcome.is_late(plan));
        }
        p99.push((without.p99_nanos / 1e3, with.p99_nanos / 1e3));
        p50.push((without.p50_nanos / 1e3, with.p50_nanos / 1e3));
        progress(format_args!(
            "latency at {rate}/s, round {round} of {rounds}: {}; {} without",
            words(&with),
            words(&without)
        ));
    }
    let goal_of = |row: Row, target: Option<Target>| match target {
        Some(target) => row.target(target),
        None => row,
    };
    let rows = [
        Row::of_pairs(format!("{name}: throughput at saturation"), "/s", &throughput).map(|row| {
            goal_of(row, goal.throughput.map(Target::RatioAtLeast)).note(throughput_note)
        }),
        Row::of_pairs(format!("{name}: p99 at {rate}/s"), "us", &p99).map(|row| {
            goal_of(row, goal.p99.map(Target::RatioAtMost)).note(seen.words() + &behind(late))
        }),
        Row::of_pairs(format!("{name}: p50 at {rate}/s"), "us", &p50),
    ];
    rows.into_iter().collect::<Option<_>>().context("no round")
}

/// Half of the median throughput without the sensor, as a rate.
fn half(pairs: &[(f64, f64)]) -> Result<u64> {
    let without: Vec<_> = pairs.iter().map(|(without, _)| *without).collect();
    let half = median(&without).context("no round")? / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "requests a second: positive, and far below 2^53"
    )]
    Ok((half as u64).max(1))
}

/// In how many runs without and with the sensor the rate was too much.
fn behind([without, with]: [u32; 2]) -> String {
    if without + with == 0 {
        String::new()
    } else {
        format!("; the rate was not kept in {without} runs without tracing, {with} with it")
    }
}

fn words(outcome: &Outcome) -> String {
    let micros = |nanos: f64| nanos / 1e3;
    let (p50, p99) = (micros(outcome.p50_nanos), micros(outcome.p99_nanos));
    format!("p50 {p50:.0} us, p99 {p99:.0} us, {:.0}/s reached", outcome.rate)
}

/// What the sensor made of the load: a load that it shed is no proof of anything.
#[derive(Default)]
struct Seen {
    spans: u64,
    runs: u64,
    losses: Vec<String>,
}

impl Seen {
    /// Another tool says nothing.
    fn add(&mut self, summary: Option<&Summary>) -> Result<()> {
        let Some(summary) = summary else { return Ok(()) };
        self.spans += summary.some("exchanges.spans")?;
        self.runs += 1;
        let lost = summary.lost_text();
        if !lost.is_empty() {
            self.losses.push(lost);
        }
        Ok(())
    }

    fn words(&self) -> String {
        if self.runs == 0 {
            return String::new();
        }
        let lost = if self.losses.is_empty() {
            "nothing lost".to_owned()
        } else {
            format!("lost or cut off at the end: {}", self.losses.join("; "))
        };
        format!("{} spans made and dropped in {} runs; {lost}", self.spans, self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn the_fixed_rate_is_half_of_the_untraced_throughput() {
        assert_eq!(half(&[(100.0, 1.0), (300.0, 1.0), (201.0, 1.0)]).ok(), Some(100));
        assert!(half(&[]).is_err());
    }
}
