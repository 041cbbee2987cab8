//! The capture opened and closed, over and over in one process: whatever its user space does not give
//! back adds up here, while a process that ends gives back everything.

use std::fs;
use std::io::{BufRead, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use sensor::capture::live::{Engine, EngineChoice, Live, LogOptions, LogsOf, Options};
use sensor::capture::{Progress, RawSource as _};
use sensor::metrics::Metrics;
use sensor::process::{Selection, Trust};
use serde_json::json;

use crate::heap;

/// For each line of `orders`, opens the capture on this process alone, takes what there is, closes it,
/// and says what this process holds then, as a JSON object: `heap` (bytes; by [`heap::Counting`], which
/// the program has to use), `resident` (bytes) and `descriptors`.
///
/// # Errors
/// The capture cannot be opened, or breaks.
pub fn run(engine: &str, orders: impl BufRead, mut report: impl Write) -> Result<()> {
    let engine = match engine {
        "auto" => EngineChoice::Auto,
        "socket" => EngineChoice::Only(Engine::Socket),
        "syscall" => EngineChoice::Only(Engine::Syscall),
        _ => bail!("no engine {engine}"),
    };
    let selection = Selection::new([std::process::id()], &[], &[])
        .map_err(|errors| anyhow!("this process cannot be selected: {errors:?}"))?;
    for order in orders.lines() {
        order?;
        let options = Options {
            selection: selection.clone(),
            ports: Vec::new(),
            cgroups: Vec::new(),
            engine,
            ring_bytes: 1 << 20,
            flows: None,
            event_loops: true,
            go_probes: true,
            trust: Trust::default(),
            logs: LogOptions { of: LogsOf::Traced, ..LogOptions::default() },
            verbose: false,
        };
        let mut live = Live::open(&options, &Arc::new(Metrics::default()))?;
        while matches!(live.poll_raw(&mut |_| {})?, Progress::Delivered(_)) {}
        live.stop();
        while live.poll_raw(&mut |_| {})? != Progress::Finished {}
        drop(live);
        let held = json!({
            "heap": heap::held(),
            "resident": resident()?,
            "descriptors": descriptors()?,
        });
        writeln!(report, "{held}")?;
        report.flush()?;
    }
    Ok(())
}

fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.context("no VmRSS in /proc/self/status")? * 1024)
}

/// One of them is the directory that is read.
fn descriptors() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count() - 1)
}
