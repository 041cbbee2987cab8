//! The throughput of a process that copies files and uses no socket, with and without the sensor.
//! Nothing of it can be traced, so all that it loses is lost for nothing.

use anyhow::{Context as _, Result};

use super::rig::helper::Helper;
use super::rig::tracer::Tracer;
use super::row::{Row, Target};
use super::{Bench, progress};

const THROUGHPUT: f64 = 0.99;
/// Bytes that one call moves: `read` 4 KiB, `write` 4 KiB.
const BYTES: f64 = 4096.0 / 2.0;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut copier = Helper::calls(bench)?;
    let calls: u32 = bench.pick(2_000_000, 500_000); // about a second
    let rounds = bench.pick(15, 5);
    let pid = copier.pid();
    let mut rate = || -> Result<f64> {
        let nanos = copier.ask(&format!("copy {calls}"))?;
        let nanos: f64 = nanos.parse().with_context(|| format!("`{nanos}`"))?;
        Ok(BYTES / nanos * 1e9 / f64::from(1 << 20))
    };
    rate()?; // caches and clocks warm up
    let mut pairs = Vec::new();
    for round in 1..=rounds {
        let without = rate()?;
        let tracer = Tracer::attach(bench, &[pid])?;
        let with = rate()?;
        tracer.stop()?;
        progress(format_args!(
            "round {round} of {rounds}: {with:.0} MiB/s, {without:.0} MiB/s without"
        ));
        pairs.push((without, with));
    }
    let row = Row::of_pairs("copy: file copy, traced process", "MiB/s", &pairs);
    let row = row.context("no round")?.target(Target::RatioAtLeast(THROUGHPUT));
    Ok(vec![row.note("a tmpfs, by read and write of 4 KiB; no socket is used")])
}
