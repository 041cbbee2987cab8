//! Which spans and records of logs are exported, and what of them. Pure, as everything before it: one in, one or
//! nothing out, its own times the only clock.
//!
//! All spans come here, so what is decided has no bearing on what was counted: exchanges are, before,
//! and services. What is left out has counters of its own, which are no losses; each rule has one too ([`RuleCounts`]).
//!
//! # Spans
//!
//! First go those that a rule drops ([`Expr`]); such a span alone, not what is below it. Then the [`Sampler`] decides, then the tail rules (`keep_errors`, `keep_slow`) may keep what it
//! left out: that span alone, and it says so ([`SAMPLED_BY`]). Errors are kept without a rule where
//! the decision was the caller's: a caller cannot hide what failed. The sampled flag of a span is the
//! sampler's decision. OpenTelemetry's `th` of the caller's `tracestate` (how many spans this one
//! stands for) is left out wherever the decision was not the caller's. The sensor writes none: what
//! [`Ratio`] samples is not what a threshold stands for.
//!
//! Then [`Existing`] says what becomes of spans that a process exports by itself ([`existing`]).
//!
//! Sampling is about traces. The access record of a server exchange is a log, so it goes out
//! although the span is sampled out, or left to its process ([`Verdict::Record`]).
//!
//! # Records
//!
//! Rules give them their class, drop them, sample them and limit their rate, in this order ([`records`]). What the sampler
//! says of their trace does not matter: a log without a trace is a log.
//!
//! Last, what is left loses its secrets ([`redact`]): what goes out of here goes out of the process.

pub mod adaptive;
mod counts;
pub mod existing;
pub mod expr;
mod pattern;
mod ratio;
pub mod records;
pub mod redact;
mod sampler;
mod streams;
#[cfg(test)]
mod tests;
mod tracestate;

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, LogRecord, Span, SpanKind, Status};
pub use counts::RuleCounts;
pub use existing::Existing;
use existing::{Processes, Standing};
pub use expr::Expr;
pub use pattern::Pattern;
pub use ratio::Ratio;
use records::Records;
use redact::Redactor;
use sampler::{Decision, Sampling};
pub use sampler::{Root, Sampler};
pub use streams::Rate;

/// Attribute: why a span is there although sampling left its trace out: `error` or `slow`.
pub const SAMPLED_BY: &str = "sensor.sampled_by";

/// What becomes of a span.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is exported.
    Export(Span),
    /// It is left out, and only the access record of its exchange goes out.
    Record(Span),
    /// It is left out.
    Drop,
}

impl Verdict {
    /// The span, if it is exported.
    pub fn exported(self) -> Option<Span> {
        match self {
            Self::Export(span) => Some(span),
            Self::Record(_) | Self::Drop => None,
        }
    }
}

/// What is exported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Which traces.
    pub sampler: Sampler,
    /// Errors in any case.
    pub keep_errors: bool,
    /// In any case, exchanges that take this long or longer.
    pub keep_slow: Option<Duration>,
    /// What becomes of spans that their processes export themselves.
    pub existing: Existing,
    /// Access records of server exchanges are wanted, whether or not their spans are.
    pub access_records: bool,
    /// Spans and records for which one of these holds are left out.
    pub drop: Vec<Expr>,
    /// What becomes of the other records.
    pub records: records::Settings,
    /// What leaves the process of none.
    pub redact: redact::Settings,
}

/// Decides on each span and each record.
#[derive(Debug)]
pub struct Governor {
    sampling: Sampling,
    keep_errors: bool,
    /// Nanoseconds.
    keep_slow: Option<u64>,
    existing: Existing,
    access_records: bool,
    processes: Processes,
    drop: Vec<Expr>,
    records: Records,
    redactor: Redactor,
    /// For what is only shown: it counts nothing.
    shown: Redactor,
    counts: Arc<RuleCounts>,
    /// Where the counters of `drop` begin.
    drop_counts: usize,
    metrics: Arc<Metrics>,
}

impl Governor {
    /// One that has seen nothing yet, counting into `metrics`.
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Self {
        let Settings {
            sampler,
            keep_errors,
            keep_slow,
            existing,
            access_records,
            drop,
            records,
            redact,
        } = settings;
        let nanoseconds = |it: Duration| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX);
        let mut names: Vec<_> = Redactor::rule_names(&redact).collect();
        let drop_counts = names.len();
        names.extend((1..=drop.len()).map(|n| format!("drop.rule.{n}")));
        let record_counts = names.len();
        names.extend(records.rule_names());
        let counts = Arc::new(RuleCounts::new(names));
        Self {
            sampling: Sampling::new(sampler),
            keep_errors,
            keep_slow: keep_slow.map(nanoseconds),
            existing,
            access_records,
            processes: Processes::default(),
            drop,
            records: Records::new(records, record_counts, Arc::clone(&counts), &metrics),
            redactor: Redactor::new(&redact, Arc::clone(&counts)),
            shown: Redactor::new(&redact, Arc::default()),
            counts,
            drop_counts,
            metrics,
        }
    }

    /// How often each rule applied.
    pub fn rule_counts(&self) -> Arc<RuleCounts> {
        Arc::clone(&self.counts)
    }

    /// What becomes of a span. What is left out of it is counted.
    pub fn govern(&mut self, mut span: Span) -> Verdict {
        if let Some(exporter) = self.processes.notice(&span) {
            self.metrics.inc(Counter::ProcessesExporting);
            exporter.tell(self.existing);
        }
        if let Some(rule) = self.drop.iter().position(|rule| rule.holds_for_span(&span)) {
            self.metrics.inc(Counter::SpansDropped);
            self.counts.inc(self.drop_counts + rule);
            return Verdict::Drop;
        }
        if span.flag_refused {
            self.metrics.inc(Counter::SpansFlagRefused);
        }
        self.sampling.see(&span);
        let decision = self.sampling.decide(&span);
        let tail = self.tail(&span, decision);
        if !decision.keep && tail.is_none() {
            self.metrics.inc(Counter::SpansNotSampled);
            if decision.by_caller {
                self.metrics.inc(Counter::SpansNotSampledRemote);
            }
            return self.left_out(span);
        }
        if self.existing == Existing::Skip {
            match self.processes.standing(&span) {
                Standing::Apart => {}
                Standing::Beside => existing::orphan(&mut span),
                Standing::Existing => {
                    self.metrics.inc(Counter::SpansExisting);
                    return self.left_out(span);
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
        self.redact(&mut span);
        Verdict::Export(span)
    }

    /// What remains of an exchange whose span is left out.
    fn left_out(&mut self, mut span: Span) -> Verdict {
        if !self.access_records || span.kind != SpanKind::Server {
            return Verdict::Drop;
        }
        self.redact(&mut span);
        Verdict::Record(span)
    }

    fn redact(&mut self, span: &mut Span) {
        if self.redactor.span(span) {
            self.metrics.inc(Counter::SpansRedacted);
        }
    }

    /// The record of a log as it is to be exported; none where it is left out, which is counted.
    pub fn govern_record(&mut self, mut record: LogRecord) -> Option<LogRecord> {
        self.records.classify(&mut record);
        if let Some(rule) = self.drop.iter().position(|rule| rule.holds_for_record(&record)) {
            self.metrics.inc(Counter::LogRecordsDropped);
            self.counts.inc(self.drop_counts + rule);
            return None;
        }
        if !self.records.keeps(&record) {
            return None;
        }
        // Where its span is left out, as the process exports its own, the identifier would lead nowhere. One that the line
        // itself has is the process's.
        if self.existing == Existing::Skip
            && let Some(correlation) = &mut record.correlation
            && !correlation.is_of_itself()
            && self.processes.exports(&record.resource, record.observed_unix_ns)
        {
            correlation.span_id = None;
        }
        if self.redactor.record(&mut record) {
            self.metrics.inc(Counter::LogRecordsRedacted);
        }
        Some(record)
    }

    /// An exchange that goes on as it may be shown, if its span would be exported as it is so far.
    pub fn show(&mut self, mut so_far: Span) -> Option<Span> {
        if !self.shows(&so_far) {
            return None;
        }
        self.shown.span(&mut so_far);
        Some(so_far)
    }

    fn shows(&self, so_far: &Span) -> bool {
        if self.drop.iter().any(|rule| rule.holds_for_span(so_far)) {
            return false;
        }
        let decision = self.sampling.decide(so_far);
        let kept = decision.keep || self.tail(so_far, decision).is_some();
        let exists = || self.processes.looks(so_far) == Standing::Existing;
        kept && !(self.existing == Existing::Skip && exists())
    }

    /// Why a span is kept that the sampler leaves out.
    fn tail(&self, span: &Span, decision: Decision) -> Option<Tail> {
        if decision.keep {
            return None;
        }
        let took = span.end_unix_ns.saturating_sub(span.start_unix_ns);
        let errors = self.keep_errors || decision.by_caller;
        if errors && span.status == Status::Error {
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
