//! A service that logs, its leaf, the sensor, and the requests.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::wrote::{self, Wrote};
use super::{Judgement, Service};
use crate::sensor::{Engine, Report, Sensor};
use crate::traces::driver::Load;
use crate::traces::{PassOn, Pattern, Sent};

/// How long nothing has to come for it to be taken that nothing does.
const QUIET: Duration = Duration::from_secs(3);
/// How long a service may take for what it does when it has answered.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// What is sent to a service.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The sensor's.
    pub engine: Engine,
    /// Where `sensor-workload` is.
    pub workload: &'a Path,
    /// What becomes of contexts: `None` has requests with and without, `Shared` several of one trace.
    pub pass_on: &'a [PassOn],
    /// Requests at once, and how many in each of these ways: multiples of twelve.
    pub loads: &'a [(usize, u64)],
    /// Of the contexts.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Whose the sensor says that the lines are, held against the truth.
    pub judgement: Judgement,
    /// Lines that the sensor says itself that it may lack.
    pub counted: u64,
    /// All that it said.
    pub report: Report,
}

impl Outcome {
    /// Lines without a record that nobody counted.
    #[must_use]
    pub fn silent(&self) -> u64 {
        self.judgement.sum(|_| true).lost.saturating_sub(self.counted)
    }
}

/// Sends it all to one service; none where this machine cannot run it.
///
/// # Errors
/// The service does not start, does not answer, or does not log what it has to.
///
/// # Panics
/// When the sensor does not run.
pub fn run(service: &Service, plan: &Plan<'_>) -> Result<Option<Outcome>> {
    let Service { name, runtime, logger } = service;
    let Some(services) = runtime.start_logging(plan.workload, Some(logger))? else {
        return Ok(None);
    };
    let middle = &services.middle;
    let sensor = Sensor::with_logs(plan.engine, &[middle.pid(), services.leaf.pid()], &[]);
    let mut sent = Vec::new();
    for &pass_on in plan.pass_on {
        for &(at_once, requests) in plan.loads {
            let (address, grpc, seed) = (middle.address, runtime.grpc, plan.seed);
            let patterns = &Pattern::ALL;
            let load = Load { address, grpc, pass_on, at_once, requests, patterns, seed };
            let done = load.run();
            sent.extend(done.with_context(|| format!("{name} said:\n{}", middle.process.log()))?);
        }
    }
    let wrote = settled(|| middle.process.log(), &sent)?;
    let calls: u64 = sent.iter().map(|sent| sent.cell.pattern.calls()).sum();
    let spans = sent.len() + 2 * usize::try_from(calls)?;
    sensor.wait_while_logging(spans, wrote.len(), QUIET);
    let report = sensor.stop();
    let judgement = Judgement::of(&sent, &wrote, &report.spans, &report.logs);
    Ok(Some(Outcome { judgement, counted: report.lines_counted(), report }))
}

/// The log when all is in it: when it has not grown for a while.
///
/// # Errors
/// It is not what it has to be.
fn settled(log: impl Fn() -> String, sent: &[Sent]) -> Result<Vec<Wrote>> {
    const STILL: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + AFTERWARDS;
    let mut text = log();
    loop {
        sleep(STILL);
        let now = log();
        if now.len() == text.len() || Instant::now() > deadline {
            break;
        }
        text = now;
    }
    wrote::all(&text, sent)
}
