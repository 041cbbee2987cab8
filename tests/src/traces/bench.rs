//! All services in turn, for `cargo xtask bench`.

use std::io::Write;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Judgement, Outcome, PassOn, Pattern, Plan, RUNTIMES, Tally, run as run_one, table};
use crate::sensor::Engine;

/// Writes an object for each service that this machine can run, as it is done, and a last one with the tables.
///
/// # Errors
/// An option that makes no sense, or a service that does not do what it is told.
///
/// # Panics
/// When the sensor does not run.
pub fn run(
    engine: &str,
    only: &[String],
    loads: &[String],
    seed: u64,
    mut report: impl Write,
) -> Result<()> {
    let engine = Engine::named(engine).with_context(|| format!("no engine `{engine}`"))?;
    let loads = loads.iter().map(|load| parsed(load)).collect::<Result<Vec<_>>>()?;
    for name in only {
        let known = RUNTIMES.iter().any(|runtime| runtime.name == name);
        ensure!(known, "no service `{name}`; there are {:?}", RUNTIMES.map(|runtime| runtime.name));
    }
    let workload = std::env::current_exe()?.with_file_name("sensor-workload");
    let plan = Plan { engine, workload: &workload, loads: &loads, seed };
    let mut done = Vec::new();
    for runtime in &RUNTIMES {
        if !only.is_empty() && !only.iter().any(|name| name == runtime.name) {
            continue;
        }
        let outcome = run_one(runtime, &plan).with_context(|| runtime.name)?;
        let Some(outcome) = outcome else { continue };
        writeln!(report, "{}", line(runtime.name, &outcome))?;
        report.flush()?;
        done.push((runtime.name, outcome.judgement));
    }
    let all: Vec<_> = done.iter().map(|(name, judgement)| (*name, judgement)).collect();
    writeln!(report, "{}", json!({ "table": table(&all) }))?;
    Ok(())
}

/// `AT_ONCE:REQUESTS`.
pub(crate) fn parsed(load: &str) -> Result<(usize, u64)> {
    let parsed = load
        .split_once(':')
        .and_then(|(at_once, requests)| Some((at_once.parse().ok()?, requests.parse().ok()?)));
    let (at_once, requests) = parsed.with_context(|| format!("`{load}` is not 8:600"))?;
    ensure!(at_once > 0 && requests > 0, "`{load}`: at least one of both");
    Ok((at_once, requests))
}

fn line(name: &str, outcome: &Outcome) -> Value {
    let Judgement { words, lost_spans, .. } = &outcome.judgement;
    let of = |ways: &[PassOn]| counts(&outcome.judgement.sum(|cell| ways.contains(&cell.pass_on)));
    let patterns = Pattern::ALL.map(|pattern| {
        let tally =
            outcome.judgement.sum(|cell| cell.pass_on == PassOn::None && cell.pattern == pattern);
        json!({ "pattern": pattern.to_string(), "share": tally.share() })
    });
    json!({
        "service": name,
        "without": of(&[PassOn::None]),
        "with": of(&[PassOn::Forwarded, PassOn::Fresh]),
        "shared": of(&[PassOn::Shared]),
        "patterns": patterns,
        "lost_spans": lost_spans,
        "lost_silently": outcome.silent(),
        "words": words,
    })
}

fn counts(tally: &Tally) -> Value {
    json!({
        "calls": tally.calls,
        "right": tally.right(),
        "missing": tally.missing(),
        "outlived": tally.outlived,
        "wrong": tally.wrong,
        "lost": tally.lost,
        "paired": tally.paired,
        "reused": tally.reused,
        "evidence": tally.right,
    })
}

#[cfg(test)]
mod tests {
    use super::parsed;

    #[test]
    fn loads_are_two_numbers() {
        assert_eq!(parsed("8:600").expect("a load"), (8, 600));
        for wrong in ["8", "8:", ":1", "0:12", "8:0", "x:y"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
