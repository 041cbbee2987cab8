//! What starting and stopping leaves behind: a thousand sensors one after the other, and a thousand
//! openings of the capture in one process. All has to be flat: memory, descriptors, and what the kernel
//! holds of BPF programs, maps and links.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::rig::helper::Helper;
use super::rig::sensor::Sensor;
use super::rig::server::Server;
use super::row::{Row, Target};
use super::stats::{median, slope};
use super::{Bench, progress};

/// What a start and stop may leave in the kernel's memory, in MiB a thousand: a page or two each, which
/// is noise; one map is more.
const KERNEL: f64 = 8.0;
/// What a process may grow by, in MiB in a thousand openings.
const USER: f64 = 1.0;
/// Programs and maps are freed some time after the last who held them.
const FREED: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = processes(bench)?;
    rows.extend(openings(bench)?);
    Ok(rows)
}

/// BPF objects in the kernel: of everyone, since those that are left over have no owner.
const OBJECTS: [&str; 3] = ["programs", "maps", "links"];
type Objects = [i64; OBJECTS.len()];

fn objects(helper: &mut Helper) -> Result<Objects> {
    let said: Value = serde_json::from_str(&helper.ask("count")?)?;
    let mut counts = [0; OBJECTS.len()];
    for (count, name) in counts.iter_mut().zip(OBJECTS) {
        *count = said.get(name).and_then(Value::as_i64).context("not a count")?;
    }
    Ok(counts)
}

/// The objects that are left when as many are there as before, or when there was time enough to free
/// them.
fn freed(helper: &mut Helper, before: Objects) -> Result<Objects> {
    let deadline = Instant::now() + FREED;
    loop {
        let held = objects(helper)?;
        if held == before || Instant::now() > deadline {
            return Ok(held);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn processes(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let mut helper = Helper::objects(bench)?;
    cycle(bench, &server)?; // what is kept from then on was there before
    thread::sleep(FREED);
    let before = objects(&mut helper)?;
    let (mut starts, mut stops, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=bench.cycles {
        let (start, stop) = cycle(bench, &server).with_context(|| format!("cycle {number}"))?;
        starts.push(start.as_secs_f64() * 1e3);
        stops.push(stop.as_secs_f64() * 1e3);
        memory.push((f64::from(number), kernel_memory()?));
        if number % every(bench) == 0 {
            let held = freed(&mut helper, before)?;
            progress(format_args!(
                "{number} of {} starts and stops: {:.0} ms and {:.0} ms, BPF programs, maps, links {held:?}, \
                 {before:?} at first",
                bench.cycles,
                start.as_secs_f64() * 1e3,
                stop.as_secs_f64() * 1e3,
            ));
        }
    }
    let after = freed(&mut helper, before)?;
    let note = format!("in the kernel after {} starts and stops, less those before", bench.cycles);
    let mut rows = Vec::new();
    for ((name, before), after) in OBJECTS.into_iter().zip(before).zip(after) {
        #[expect(clippy::cast_precision_loss, reason = "some dozens")]
        let left = (after - before) as f64;
        let row = Row::new(format!("endurance: BPF {name} left over"), "", left);
        rows.push(row.target(Target::ValueAtMost(0.0)).note(note.clone()));
    }
    let growth = a_thousand(&memory).context("too few cycles")?;
    rows.push(
        Row::new("endurance: kernel's memory, growth in a thousand starts", "MiB", growth)
            .target(Target::ValueAtMost(KERNEL))
            .note("Slab, Percpu and VmallocUsed of /proc/meminfo, of the whole machine")
            .samples(json!(memory)),
    );
    for (name, times) in [("start", starts), ("stop", stops)] {
        let third = times.len() / 3;
        let part = |part: &[f64]| median(part).context("too few cycles");
        let first = part(times.get(..third).unwrap_or_default())?;
        let last = part(times.get(times.len() - third..).unwrap_or_default())?;
        rows.push(
            Row::new(format!("endurance: {name}, last third"), "ms", last)
                .baseline(first)
                .note("the median; baseline: of the first third")
                .samples(json!(times)),
        );
    }
    Ok(rows)
}

/// A sensor's life with one exchange in it; how long its start and its stop took.
fn cycle(bench: &Bench, server: &Server) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let sensor = Sensor::trace(bench, &[server.pid()])?;
    let started = start.elapsed();
    request(server.address())?;
    let stop = Instant::now();
    sensor.stop()?.some("exchanges.seen")?;
    Ok((started, stop.elapsed()))
}

fn request(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        bail!("nginx does not answer with 200");
    }
    Ok(())
}

/// MiB in which BPF programs and maps are, and all else of the kernel's that is not a file's.
fn kernel_memory() -> Result<f64> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let kib = |key: &str| -> Result<f64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        value.with_context(|| format!("no {key} in /proc/meminfo"))
    };
    Ok((kib("SUnreclaim:")? + kib("Percpu:")? + kib("VmallocUsed:")?) / 1024.0)
}

fn openings(bench: &Bench) -> Result<Vec<Row>> {
    let mut helper = Helper::reopen(bench)?;
    let mut held: Vec<Held> = Vec::new();
    for number in 1..=bench.cycles {
        let said: Value = serde_json::from_str(&helper.ask("again")?)?;
        let count = |key: &str| said.get(key).and_then(Value::as_f64).context("not a count");
        held.push(Held {
            heap: count("heap")?,
            resident: count("resident")? / f64::from(1 << 20),
            descriptors: count("descriptors")?,
        });
        if number % every(bench) == 0 {
            progress(format_args!("{number} of {} openings: {said}", bench.cycles));
        }
    }
    // What is made once and kept was there after the first.
    let (first, last) = held.first().zip(held.last()).context("no opening")?;
    let resident: Vec<_> =
        held.iter().zip(1..).map(|(held, number)| (f64::from(number), held.resident)).collect();
    let growth = a_thousand(&resident).context("too few cycles")?;
    let note = format!("{} openings of the capture in one process", bench.cycles);
    let row = |name: &str, unit, value| Row::new(format!("endurance: {name}"), unit, value);
    Ok(vec![
        row("heap left over", "bytes", last.heap - first.heap)
            .target(Target::ValueAtMost(0.0))
            .note(note.clone()),
        row("descriptors left over", "", last.descriptors - first.descriptors)
            .target(Target::ValueAtMost(0.0))
            .note(note.clone()),
        row("resident memory, growth in a thousand openings", "MiB", growth)
            .target(Target::ValueAtMost(USER))
            .note(note)
            .samples(json!(resident)),
    ])
}

/// What a process holds after an opening.
struct Held {
    /// Bytes that were asked for and not given back.
    heap: f64,
    /// MiB; the allocator's own gaps are in it.
    resident: f64,
    descriptors: f64,
}

/// How often to say how far it is.
fn every(bench: &Bench) -> u32 {
    (bench.cycles / 20).max(1)
}

/// What the line through (cycle, MiB) gains in a thousand cycles, the first third left out.
fn a_thousand(samples: &[(f64, f64)]) -> Option<f64> {
    slope(samples.get(samples.len() / 3..)?).map(|per_cycle| per_cycle * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::a_thousand;

    #[test]
    fn growth_is_that_after_the_first_third() {
        // 10 MiB in the first 10 cycles, then 1 KiB each.
        let at = |cycle: u32| {
            let cycle = f64::from(cycle);
            (cycle, if cycle < 10.0 { cycle } else { 10.0 + cycle / 1024.0 })
        };
        let samples: Vec<_> = (0..30).map(at).collect();
        let growth = a_thousand(&samples).expect("samples");
        assert!((growth - 1000.0 / 1024.0).abs() < 1e-9, "{growth}");
        assert_eq!(a_thousand(&[(1.0, 1.0)]), None);
    }
}
