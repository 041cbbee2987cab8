//! Lines to Loki, or to what takes its push requests
//! (<https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>): the records of the services'
//! logs, and one of each server exchange, in one schema.
//!
//! Labels are few and of low cardinality, since each combination is a stream that Loki keeps an
//! index and a chunk for; everything else is structured metadata, which is searched the same way.
//!
//! A line is a JSON object of the schema ([`mod@line`]), and not the message alone: `| json` has every field under one
//! name whatever logged it, also where there are too many for structured metadata, or where the store has none;
//! and what a record said is still whole where only lines are exported. Links to traces need no line at all: they
//! go by the metadata `trace_id`.

mod answer;
mod config;
mod event;
mod line;
mod metadata;
mod request;
mod sink;
#[cfg(test)]
mod tests;

pub use config::{Authorization, Settings};
pub(super) use event::Entry;
pub(super) use sink::Sink;

use super::delivery::Ledger;
use crate::metrics::Counter;

pub(super) static LEDGER: Ledger = Ledger {
    items: "lines",
    offered: Counter::LokiOffered,
    sent: Counter::LokiSent,
    lost_queue_full: Counter::LokiLostQueueFull,
    lost_share: Counter::LokiLostShare,
    lost_rejected: Counter::LokiLostRejected,
    lost_failed: Counter::LokiLostFailed,
    lost_out_of_order: Some(Counter::LokiLostOutOfOrder),
    lost_too_old: Some(Counter::LokiLostTooOld),
    retries: Counter::LokiRetries,
};
