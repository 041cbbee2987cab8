//! How often each rule applied: counters with names that the configuration gives.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter for each rule. The catalogue ([`crate::metrics`]) has the sums.
#[derive(Debug, Default)]
pub struct RuleCounts(Box<[(String, AtomicU64)]>);

impl RuleCounts {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| (name, AtomicU64::new(0))).collect())
    }

    pub(super) fn inc(&self, rule: usize) {
        if let Some((_, count)) = self.0.get(rule) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Dotted name and value of each: `redact.rule.password`, `drop.rule.1`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), count.load(Ordering::Relaxed)))
    }
}
