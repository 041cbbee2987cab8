//! A service, its leaf, the sensor, and the requests.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::driver::Load;
use super::services::{Runtime, Services};
use super::{Judgement, PassOn, Pattern, Sent};
use crate::sensor::{Engine, Report, Sensor};

/// How long no span has to come for it to be taken that none does.
const QUIET: Duration = Duration::from_secs(2);

/// What is sent to a service.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The sensor's.
    pub engine: Engine,
    /// Where `sensor-workload` is.
    pub workload: &'a Path,
    /// Requests at once, and how many with each way of passing a context on: multiples of twelve, so that every
    /// pattern comes as often with a context as without.
    pub loads: &'a [(usize, u64)],
    /// Of the contexts.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The sensor's parents, held against the truth.
    pub judgement: Judgement,
    /// Spans that the sensor says itself that it may lack.
    pub counted: u64,
    /// All that it said.
    pub report: Report,
}

impl Outcome {
    /// Lost spans that nobody counted.
    #[must_use]
    pub fn silent(&self) -> u64 {
        self.judgement.lost_spans.saturating_sub(self.counted)
    }
}

/// Sends it all to one service; none where this machine cannot run it.
///
/// # Errors
/// The service does not start, does not answer, or does not call as it is told to.
///
/// # Panics
/// When the sensor does not run.
pub fn run(runtime: &Runtime, plan: &Plan<'_>) -> Result<Option<Outcome>> {
    let Some(services) = runtime.start(plan.workload)? else { return Ok(None) };
    let sensor = Sensor::on(plan.engine, &[services.middle.pid(), services.leaf.pid()]);
    let mut sent = Vec::new();
    for pass_on in PassOn::ALL {
        for &(at_once, requests) in plan.loads {
            let (address, grpc, seed) = (services.middle.address, runtime.grpc, plan.seed);
            let patterns = &Pattern::ALL;
            let load = Load { address, grpc, pass_on, at_once, requests, patterns, seed };
            let done = load.run();
            sent.extend(done.with_context(|| {
                format!("{} said:\n{}", runtime.name, services.middle.process.log())
            })?);
        }
    }
    let calls = agree(&services, &sent)?;
    sensor.wait_while_coming(sent.len() + 2 * calls, QUIET);
    let report = sensor.stop();
    let judgement = Judgement::of(&sent, &report.spans);
    Ok(Some(Outcome { judgement, counted: report.counted(), report }))
}

/// What the service wrote of its calls is what their paths say; how many there are.
///
/// # Errors
/// It is not.
fn agree(services: &Services, sent: &[Sent]) -> Result<usize> {
    let expected: BTreeSet<_> = sent
        .iter()
        .flat_map(|sent| sent.calls().map(|call| format!("{} {call}", sent.marker)))
        .collect();
    let said = services.truth(expected.len());
    let count = said.len();
    let said: BTreeSet<_> = said.into_iter().collect();
    ensure!(count == said.len(), "the service made a call twice");
    let differ: Vec<_> = expected.symmetric_difference(&said).take(5).collect();
    ensure!(
        differ.is_empty(),
        "these calls should be in the service's log, or should not: {differ:?}\n{}",
        services.middle.process.log()
    );
    Ok(count)
}
