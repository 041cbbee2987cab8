//! Resident memory: idle, at saturation, over time, and per open connection.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::rig::helper::Helper;
use super::rig::load::Wrk;
use super::rig::procfs::Memory;
use super::rig::sensor::Sensor;
use super::rig::server::Server;
use super::row::{Row, Target};
use super::stats::slope;
use super::{Bench, progress};
use crate::run::Cmd;

const MIB: f64 = 1024.0 * 1024.0;
/// MiB.
const IDLE: f64 = 64.0;
/// MiB.
const LOADED: f64 = 192.0;
/// "Flat": MiB that the line through the samples gains in ten minutes.
const GROWTH: f64 = 1.0;
/// At most this long at the beginning, and at most a third, caches still fill.
const WARM_UP: Duration = Duration::from_secs(60);

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = vec![idle(bench)?];
    rows.extend(saturation(bench)?);
    rows.push(connections(bench)?);
    Ok(rows)
}

fn idle(bench: &Bench) -> Result<Row> {
    let server = Server::nginx(bench)?;
    let sensor = Sensor::trace(bench, &[server.pid()])?;
    std::thread::sleep(Duration::from_secs(bench.pick(10, 3)));
    let memory = Memory::of(sensor.pid())?;
    sensor.stop()?;
    progress(format_args!("idle: {}", words(memory)));
    Ok(Row::new("memory: idle", "MiB", mib(memory.resident))
        .target(Target::ValueAtMost(IDLE))
        .note(words(memory)))
}

fn saturation(bench: &Bench) -> Result<[Row; 2]> {
    let server = Server::nginx(bench)?;
    let load = Wrk::new(server.address(), bench.watch)?;
    let sensor = Sensor::trace(bench, &[server.pid(), load.pid()])?;
    let start = Instant::now();
    let mut samples = Vec::new();
    let mut last = None;
    load.run_with(bench.watch, || {
        let memory = Memory::of(sensor.pid())?;
        samples.push((start.elapsed().as_secs_f64(), mib(memory.resident)));
        if samples.len() % 10 == 0 {
            progress(format_args!(
                "{} of {} s at saturation: {}",
                samples.len(),
                bench.watch.as_secs(),
                words(memory)
            ));
        }
        last = Some(memory);
        Ok(())
    })?;
    let memory = last.context("no sample")?;
    let summary = sensor.stop()?;
    let exchanges = summary.some("exchanges.seen")?;
    let growth = growth(&samples, bench.watch).context("too few samples")?;
    let note = format!(
        "{exchanges} exchanges in {} s; the most at any time, start included{}",
        bench.watch.as_secs(),
        match summary.lost_text().as_str() {
            "" => String::new(),
            lost => format!("; lost or cut off at the end: {lost}"),
        }
    );
    let growth_note = format!(
        "the line through a sample a second of {} s, warm-up left out, drawn out to ten minutes",
        bench.watch.as_secs()
    );
    let mut flat = Row::new("memory: growth in ten minutes", "MiB", growth)
        .target(Target::ValueAtMost(GROWTH))
        .note(growth_note);
    flat = flat.samples(json!(samples));
    let loaded = Row::new("memory: at saturation", "MiB", mib(memory.peak));
    Ok([loaded.target(Target::ValueAtMost(LOADED)).note(note), flat])
}

/// MiB in ten minutes, by the line through (seconds, MiB) after the warm-up.
fn growth(samples: &[(f64, f64)], watch: Duration) -> Option<f64> {
    let warm = (watch / 3).min(WARM_UP).as_secs_f64();
    let steady: Vec<_> = samples.iter().copied().filter(|(at, _)| *at >= warm).collect();
    slope(&steady).map(|per_second| per_second * 600.0)
}

/// Idle keep-alive connections after one exchange each, both ends traced: recorded, and replayed by a
/// user space that counts what it allocates. Resident memory would not show them: they go where the
/// start of the sensor has left room.
fn connections(bench: &Bench) -> Result<Row> {
    let connections: u32 = bench.pick(10_000, 2_000);
    let server = Server::nginx(bench)?;
    let mut points = Vec::new();
    for connections in [connections / 2, connections] {
        let file = bench.file("open.rec");
        let mut held = Helper::hold(bench, server.address())?;
        let recorder = Sensor::record(bench, &[server.pid(), held.pid()], file.as_os_str())?;
        held.ask(&connections.to_string())?;
        std::thread::sleep(Duration::from_secs(1));
        recorder.stop()?;
        drop(held); // not earlier: the recording ends with all of them open
        let said = Cmd::new(&bench.tools.sensor_bench).arg("heap").arg(&file).read()?;
        let said: Value = serde_json::from_str(&said)?;
        let number = |key: &str| said.get(key).and_then(Value::as_f64).context("not a number");
        let (seen, bytes) = (number("connections")?, number("bytes")?);
        if seen < f64::from(connections) * 2.0 {
            bail!("{seen} connections seen of {connections}, traced at both ends");
        }
        progress(format_args!(
            "{connections} open connections, both ends traced: {:.1} MiB",
            bytes / MIB
        ));
        points.push((seen, bytes));
    }
    let per_connection = points.last().map(|(seen, bytes)| bytes / seen).context("no recording")?;
    let note = format!(
        "heap that is held at the end of a recording of {connections} connections, after one exchange \
         each, divided by their ends (two each)"
    );
    Ok(Row::new("memory: heap per end of a connection", "bytes", per_connection)
        .samples(json!(points))
        .note(note))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn words(memory: Memory) -> String {
    format!(
        "{:.1} MiB resident, {:.1} MiB of them anonymous, {:.1} MiB at most",
        mib(memory.resident),
        mib(memory.anonymous),
        mib(memory.peak)
    )
}

#[cfg(test)]
mod tests {
    use super::growth;
    use std::time::Duration;

    #[test]
    fn growth_is_that_after_the_warm_up() {
        // 100 MiB in the first 20 s, then 1 KiB a second.
        let at = |second: u32| {
            let second = f64::from(second);
            (second, if second < 20.0 { 5.0 * second } else { 100.0 + second / 1024.0 })
        };
        let samples: Vec<_> = (1..60).map(at).collect();
        let growth = growth(&samples, Duration::from_secs(60)).expect("samples");
        assert!((growth - 600.0 / 1024.0).abs() < 1e-9, "{growth}");
    }
}
