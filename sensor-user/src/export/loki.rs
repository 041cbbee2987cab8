//! A line per server exchange to Loki, or to what takes its push requests
//! (<https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>).
//!
//! Labels are few and of low cardinality, since each combination is a stream that Loki keeps an
//! index and a chunk for; everything else is structured metadata, which is searched the same way.

mod config;
mod event;
mod request;
mod sink;
#[cfg(test)]
mod tests;

pub use config::{Authorization, Settings};
pub(super) use sink::Sink;

use super::delivery::Ledger;
use crate::metrics::Counter;

pub(super) static LEDGER: Ledger = Ledger {
    offered: Counter::LokiOffered,
    sent: Counter::LokiSent,
    lost_queue_full: Counter::LokiLostQueueFull,
    lost_rejected: Counter::LokiLostRejected,
    lost_failed: Counter::LokiLostFailed,
    retries: Counter::LokiRetries,
};
