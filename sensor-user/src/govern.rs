//! Which spans are exported: sampling, and the spans of processes that export their own. Pure, as
//! everything before it: a span in, a span or nothing out, its own times the only clock.
//!
//! All spans come here, so what is decided has no bearing on what was counted: exchanges are, before,
//! and services. What is left out has counters of its own, which are no losses.
//!
//! First the [`Sampler`] decides, then the tail rules (`keep_errors`, `keep_slow`) may keep what it
//! left out: that span alone, and it says so ([`SAMPLED_BY`]). The sampled flag of a span is the
//! sampler's decision. OpenTelemetry's `th` of the caller's `tracestate` (how many spans this one
//! stands for) is left out wherever the decision was not the caller's. The sensor writes none: what
//! [`Ratio`] samples is not what a threshold stands for.
//!
//! Then [`Existing`] says what becomes of spans that a process exports by itself ([`existing`]).

pub mod adaptive;
pub mod existing;
mod ratio;
mod sampler;
#[cfg(test)]
mod tests;
mod tracestate;

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, LogRecord, Span, Status};
pub use existing::Existing;
use existing::{Processes, Standing};
pub use ratio::Ratio;
use sampler::Sampling;
pub use sampler::{Root, Sampler};

/// Attribute: why a span is there although sampling left its trace out: `error` or `slow`.
pub const SAMPLED_BY: &str = "sensor.sampled_by";

/// What is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Settings {
    /// Which traces.
    pub sampler: Sampler,
    /// Errors in any case.
    pub keep_errors: bool,
    /// In any case, exchanges that take this long or longer.
    pub keep_slow: Option<Duration>,
    /// What becomes of spans that their processes export themselves.
    pub existing: Existing,
}

/// Decides on each span.
#[derive(Debug)]
pub struct Governor {
    sampling: Sampling,
    keep_errors: bool,
    /// Nanoseconds.
    keep_slow: Option<u64>,
    existing: Existing,
    processes: Processes,
    metrics: Arc<Metrics>,
}

impl Governor {
    /// One that has seen nothing yet, counting into `metrics`.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Self {
        let Settings { sampler, keep_errors, keep_slow, existing } = settings;
        let nanoseconds = |it: Duration| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX);
        Self {
            sampling: Sampling::new(sampler),
            keep_errors,
            keep_slow: keep_slow.map(nanoseconds),
            existing,
            processes: Processes::default(),
            metrics,
        }
    }

    /// The span as it is to be exported; none where it is left out, which is counted.
    pub fn govern(&mut self, mut span: Span) -> Option<Span> {
        if self.processes.notice(&span) {
            self.metrics.inc(Counter::ProcessesExporting);
        }
        self.sampling.see(&span);
        let decision = self.sampling.decide(&span);
        let tail = if decision.keep { None } else { self.tail(&span) };
        if !decision.keep && tail.is_none() {
            self.metrics.inc(Counter::SpansNotSampled);
            if decision.by_caller {
                self.metrics.inc(Counter::SpansNotSampledRemote);
            }
            return None;
        }
        if self.existing == Existing::Skip {
            match self.processes.standing(&span) {
                Standing::Apart => {}
                Standing::Beside => existing::orphan(&mut span),
                Standing::Existing => {
                    self.metrics.inc(Counter::SpansExisting);
                    return None;
                }
            }
        } else if self.existing == Existing::Link
            && self.processes.standing(&span) == Standing::Existing
        {
            existing::link(&mut span);
        }
        if let Some(tail) = tail {
            self.metrics.inc(match tail {
                Tail::Error => Counter::SpansKeptError,
                Tail::Slow => Counter::SpansKeptSlow,
            });
            span.attributes.push(Attribute::new(SAMPLED_BY, tail.name()));
        }
        span.flags = span.flags.with_sampled(decision.keep);
        if !(decision.keep && decision.by_caller) {
            tracestate::forget_threshold(&mut span.trace_state);
        }
        Some(span)
    }

    /// The record of a log as it is to be exported; none where it is left out, which is counted.
    pub fn govern_record(&mut self, record: LogRecord) -> Option<LogRecord> {
        Some(record)
    }

    /// Whether an exchange that goes on is to be shown: as `so_far`, its span would be exported.
    pub fn shows(&self, so_far: &Span) -> bool {
        let kept = self.sampling.decide(so_far).keep || self.tail(so_far).is_some();
        let exists = || self.processes.looks(so_far) == Standing::Existing;
        kept && !(self.existing == Existing::Skip && exists())
    }

    fn tail(&self, span: &Span) -> Option<Tail> {
        let took = span.end_unix_ns.saturating_sub(span.start_unix_ns);
        if self.keep_errors && span.status == Status::Error {
            Some(Tail::Error)
        } else if self.keep_slow.is_some_and(|slow| took >= slow) {
            Some(Tail::Slow)
        } else {
            None
        }
    }
}

/// Why a span is kept that sampling left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Error,
    Slow,
}

impl Tail {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}
