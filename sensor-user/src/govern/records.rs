//! Which records of logs are exported.
//!
//! - The class of a record is that of the first rule that holds for it, else what its format said.
//! - Sampling keeps a part of those for which a rule holds; the first one counts. Of records that belong to a trace, it is
//!   the same part that a sampler of that ratio keeps of traces ([`Ratio`]): a trace that is whole has its records. Of others, it is
//!   every so-manieth of each stream; and so it is of those whose trace nothing confirms, which may be chosen to be kept.
//! - The rate limits what is left, stream by stream. It goes by the kernel's times.
//! - Errors are never sampled out, and have a rate of their own beside the common one.

use std::sync::Arc;

use super::counts::RuleCounts;
use super::expr::Expr;
use super::ratio::{Ratio, Turns};
use super::streams::{Rate, Share, Streams};
use crate::metrics::{Counter, Metrics};
use crate::model::{Class, LogRecord, Severity};

/// What becomes of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The class of those for which an expression holds.
    pub classes: Vec<(Class, Expr)>,
    /// How many are kept.
    pub samples: Vec<Sample>,
    /// How many are kept of each stream at most.
    pub rate: Option<Rate>,
}

/// How many are kept of some records.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Those for which this holds; without it, all.
    pub of: Option<Expr>,
    /// As a part of them.
    pub ratio: Ratio,
}

impl Settings {
    /// How the rules are called, in the order in which they are counted.
    pub(super) fn rule_names(&self) -> impl Iterator<Item = String> {
        let classes = (1..=self.classes.len()).map(|n| format!("class.rule.{n}"));
        classes.chain((1..=self.samples.len()).map(|n| format!("sample.rule.{n}")))
    }
}

/// Decides on each.
#[derive(Debug)]
pub(super) struct Records {
    settings: Settings,
    turns: Streams<Turns>,
    shares: Streams<Share>,
    counts: Arc<RuleCounts>,
    first_count: usize,
    metrics: Arc<Metrics>,
}

impl Records {
    /// One that counts its rules from `first_count` on.
    pub(super) fn new(
        settings: Settings,
        first_count: usize,
        counts: Arc<RuleCounts>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            settings,
            turns: Streams::default(),
            shares: Streams::default(),
            counts,
            first_count,
            metrics: Arc::clone(metrics),
        }
    }

    /// Gives it the class that a rule says.
    pub(super) fn classify(&self, record: &mut LogRecord) {
        let rules = &self.settings.classes;
        if let Some(rule) = rules.iter().position(|(_, rule)| rule.holds_for_record(record))
            && let Some((class, _)) = rules.get(rule)
        {
            record.class = *class;
            self.counts.inc(self.first_count + rule);
        }
    }

    /// Whether it is to be exported; that it is not is counted.
    pub(super) fn keeps(&mut self, record: &LogRecord) -> bool {
        let error = record.severity >= Some(Severity::Error);
        let samples = &self.settings.samples;
        let holds = |it: &Sample| it.of.as_ref().is_none_or(|rule| rule.holds_for_record(record));
        if !error
            && let Some(rule) = samples.iter().position(holds)
            && let Some(Sample { ratio, .. }) = samples.get(rule)
        {
            let kept = match record.correlation {
                Some(correlation) if !correlation.is_claimed() => {
                    ratio.samples(correlation.trace_id)
                }
                _ => self.turns.of(record, rule).next(*ratio),
            };
            if !kept {
                self.metrics.inc(Counter::LogRecordsNotSampled);
                self.counts.inc(self.first_count + self.settings.classes.len() + rule);
                return false;
            }
        }
        if let Some(rate) = self.settings.rate
            && !self.shares.of(record, 0).take(rate, record.observed_unix_ns, error)
        {
            self.metrics.inc(Counter::LogRecordsRateLimited);
            return false;
        }
        true
    }
}
