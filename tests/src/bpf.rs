//! The kernel's statistics on BPF programs: how often each ran, and how long it took.

use std::io::{BufRead, Write};

use anyhow::{Context as _, Result};
use aya::maps::loaded_maps;
use aya::programs::{loaded_links, loaded_programs};
use aya::sys::{Stats, enable_stats};
use sensor::capture::live::programs;
use serde_json::{Value, json};

/// Has the kernel count run time, and says for each line of `orders` which programs there are, as a
/// JSON array of objects with `id` and `name` (as the kernel has it: 15 bytes). Run times are in
/// `/proc/PID/fdinfo` of the processes that hold the programs. The first line it writes is a JSON
/// object: `{}`, or `{"baseline_missing": why}` where `baseline` was asked for and cannot be had.
///
/// The kernel counts until this ends, by whatever way; and no longer, unless others asked for it.
///
/// # Errors
/// Statistics cannot be had, or the kernel does not tell its programs.
pub fn run(baseline: bool, orders: impl BufRead, mut report: impl Write) -> Result<()> {
    let _counting =
        enable_stats(Stats::RunTime).context("no BPF statistics; root can have them")?;
    let empty = baseline.then(programs::baseline);
    let missing = match &empty {
        Some(Err(error)) => json!({ "baseline_missing": error.to_string() }),
        Some(Ok(_)) | None => json!({}),
    };
    writeln!(report, "{missing}")?;
    report.flush()?;
    for order in orders.lines() {
        order?;
        writeln!(report, "{}", Value::Array(all()?))?;
        report.flush()?;
    }
    Ok(())
}

/// For each line of `orders`, says how many `programs`, `maps` and `links` the kernel holds, whoever
/// loaded them, as a JSON object.
///
/// # Errors
/// The kernel does not tell.
pub fn objects(orders: impl BufRead, mut report: impl Write) -> Result<()> {
    // A first look: without the right to it, each of them is one error.
    loaded_programs().next().transpose().context("the kernel does not tell its BPF programs")?;
    for order in orders.lines() {
        order?;
        // One that ended between being listed and being looked at is not there.
        let counts = json!({
            "programs": loaded_programs().filter(Result::is_ok).count(),
            "maps": loaded_maps().filter(Result::is_ok).count(),
            "links": loaded_links().filter(Result::is_ok).count(),
        });
        writeln!(report, "{counts}")?;
        report.flush()?;
    }
    Ok(())
}

fn all() -> Result<Vec<Value>> {
    let programs = loaded_programs();
    // One that ended between being listed and being looked at is no error.
    let there = programs.filter_map(Result::ok);
    Ok(there.map(|info| json!({ "id": info.id(), "name": info.name_as_str() })).collect())
}
