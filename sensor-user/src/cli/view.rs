//! All counters at one place, for whoever shows them while the loop runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::govern::RuleCounts;
use crate::metrics::Metrics;

/// What the loop knows, shared with the thread that shows it.
#[derive(Debug)]
pub(super) struct View {
    metrics: Arc<Metrics>,
    rules: Arc<RuleCounts>,
    kernel: Mutex<Vec<(String, u64)>>,
    open: AtomicU64,
}

impl View {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let rules = Arc::default();
        Self { metrics, rules, kernel: Mutex::default(), open: AtomicU64::new(0) }
    }

    /// The same, with a counter for each rule of the configuration.
    pub(super) fn with_rules(self, rules: Arc<RuleCounts>) -> Self {
        Self { rules, ..self }
    }

    /// Takes over what the loop saw last: the kernel side's counters, and exchanges in flight.
    pub(super) fn update(&self, kernel: &[(String, u64)], open: u64) {
        let mut held = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        held.clear();
        held.extend_from_slice(kernel);
        self.open.store(open, Ordering::Relaxed);
    }

    /// Every counter: the sensor's in the order of the catalogue, then `exchanges.open`, those of rules,
    /// and the kernel side's.
    pub(super) fn counters(&self) -> Counters {
        let own = self.metrics.snapshot().map(|(name, value)| (name.to_owned(), value));
        let open = ("exchanges.open".to_owned(), self.open.load(Ordering::Relaxed));
        let rules = self.rules.iter().map(|(name, value)| (name.to_owned(), value));
        let kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        Counters(own.chain([open]).chain(rules).chain(kernel.iter().cloned()).collect())
    }
}

/// Counters by name, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters(pub(super) Vec<(String, u64)>);

impl Counters {
    /// A counter's value; 0 where there is no such counter.
    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0, |&(_, value)| value)
    }

    /// Name and value of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// How much each counter grew since `before`. (`exchanges.open` may fall; then 0.)
    pub(super) fn since(&self, before: &Self) -> Self {
        let grown =
            |(name, value): &(String, u64)| (name.clone(), value.saturating_sub(before.get(name)));
        Self(self.0.iter().map(grown).collect())
    }

    /// What is lost or unseen and not zero, greatest first.
    pub(super) fn losses(&self) -> Vec<(&str, u64)> {
        let mut losses: Vec<_> = self
            .0
            .iter()
            .filter(|(name, value)| *value > 0 && is_loss(name))
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        losses.sort_by(|(a_name, a), (b_name, b)| b.cmp(a).then(a_name.cmp(b_name)));
        losses
    }
}

/// Something was there and is not delivered. Protocols that the sensor does not speak are no loss;
/// nor are gaps by themselves, whose exchanges are counted.
fn is_loss(name: &str) -> bool {
    name.contains(".lost")
        || matches!(
            name,
            "capture.processes_unknown"
                | "capture.processes_undecided"
                | "capture.packets_fragmented"
                | "capture.packets_undecodable"
                | "capture.packets_after_close"
                | "capture.packet_flows_forgotten"
                | "kernel.ring_full"
                | "kernel.ring_unread"
                | "kernel.lines_lost"
                | "kernel.lines_bytes_lost"
                | "kernel.lines_unread"
                | "kernel.runs_missed"
                | "kernel.records_doubtful"
                | "kernel.flow_table_full"
                | "kernel.bytes_unseen"
                | "kernel.bytes_unreadable"
                | "kernel.calls_io_uring"
                | "kernel.calls_unknown"
                | "kernel.walk_limit"
        )
}
