//! Tiny requests that are not HTTP, at saturation, both ends traced: the sensor has nothing to do there
//! but to find that out, and every microsecond of a socket call shows.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rig::load::Echo;
use super::rig::server::Server;
use super::rig::tracer::Tracer;
use super::row::{Row, Target};
use super::{Bench, progress};

const THROUGHPUT: f64 = 0.93;
/// As many clients as a cache has, not as few as a benchmark.
const CONNECTIONS: u32 = 200;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::echo(bench)?;
    let time = Duration::from_secs(bench.pick(3, 1));
    let rounds = bench.pick(9, 3);
    let load = |time| Echo::new(bench, server.address(), CONNECTIONS, time);
    load(Duration::from_secs(1))?.run()?; // caches warm up
    let (mut throughput, mut p99, mut p50) = (Vec::new(), Vec::new(), Vec::new());
    let mut connections = 0;
    for round in 1..=rounds {
        let without = load(time)?.run()?;
        let traced = load(time)?;
        let tracer = Tracer::attach(bench, &[server.pid(), traced.pid()])?;
        let with = traced.run()?;
        if let Some(summary) = tracer.stop()? {
            connections += summary.some("kernel.flows_not_http")?;
        }
        progress(format_args!(
            "round {round} of {rounds}: {:.0}/s, {:.0}/s without",
            with.rate, without.rate
        ));
        throughput.push((without.rate, with.rate));
        p99.push((without.p99_nanos / 1e3, with.p99_nanos / 1e3));
        p50.push((without.p50_nanos / 1e3, with.p50_nanos / 1e3));
    }
    let note = match connections {
        0 => String::new(),
        ends => format!("{ends} ends of connections found not to be HTTP in {rounds} runs"),
    };
    let rows = [
        Row::of_pairs("echo: throughput at saturation", "/s", &throughput)
            .map(|row| row.target(Target::RatioAtLeast(THROUGHPUT)).note(note)),
        Row::of_pairs("echo: p99 at saturation", "us", &p99),
        Row::of_pairs("echo: p50 at saturation", "us", &p50),
    ];
    rows.into_iter().collect::<Option<_>>().context("no round")
}
