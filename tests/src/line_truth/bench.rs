//! All services in turn, for `cargo xtask bench`.

use std::io::Write;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Judgement, Outcome, Place, Plan, SERVICES, run as run_one, table};
use crate::sensor::Engine;
use crate::traces::PassOn;
use crate::traces::bench::parsed;

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
        let known = SERVICES.iter().any(|service| service.name == name);
        ensure!(known, "no service `{name}`; there are {:?}", SERVICES.map(|it| it.name));
    }
    let workload = std::env::current_exe()?.with_file_name("sensor-workload");
    let pass_on = &[PassOn::None, PassOn::Shared];
    let plan = Plan { engine, workload: &workload, pass_on, loads: &loads, seed };
    let mut done = Vec::new();
    for service in &SERVICES {
        if !only.is_empty() && !only.iter().any(|name| name == service.name) {
            continue;
        }
        let outcome = run_one(service, &plan).with_context(|| service.name)?;
        let Some(outcome) = outcome else { continue };
        writeln!(report, "{}", line(service.name, &outcome))?;
        report.flush()?;
        done.push((service.name, outcome.judgement));
    }
    let all: Vec<_> = done.iter().map(|(name, judgement)| (*name, judgement)).collect();
    writeln!(report, "{}", json!({ "table": table(&all) }))?;
    Ok(())
}

fn line(name: &str, outcome: &Outcome) -> Value {
    let Judgement { words, .. } = &outcome.judgement;
    let sum = outcome.judgement.sum(|_| true);
    let places = Place::ALL.map(|place| {
        let tally = outcome.judgement.sum(|(_, at)| *at == place);
        json!({ "place": place.to_string(), "share": tally.share() })
    });
    json!({
        "service": name,
        "lines": sum.lines,
        "right": sum.right(),
        "missing": sum.missing,
        "wrong": sum.wrong,
        "unjudged": sum.unjudged,
        "lost": sum.lost,
        "unsaid": sum.unsaid,
        "evidence": sum.right,
        "places": places,
        "lost_silently": outcome.silent(),
        "words": words,
    })
}
