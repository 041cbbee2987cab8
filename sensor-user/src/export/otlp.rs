//! Spans and records of logs to OTLP backends, over gRPC or HTTP with protobuf
//! (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Built on `opentelemetry-proto`, not on the SDK's `opentelemetry-otlp`, because the latter cannot
//! carry what is promised here (read in its version 0.33):
//!
//! - *One resource.* `SpanExporter::set_resource` gives an exporter a single `Resource`, set once by
//!   its provider, and `SpanData` has none of its own. The sensor speaks for every process of a
//!   node; it would need one provider, queue and connection per process.
//! - *Partial success is hidden.* `exporter/{http,tonic}/trace.rs` log `rejected_spans` and return
//!   `Ok(())`, and an answer that does not decode passes for a success: no counter could tell.
//! - *The queue is not ours.* `BatchSpanProcessor` counts dropped spans for its own log and gives up
//!   after three retries within seconds (`RetryPolicy::recommended`); what failed is not handed back.

mod config;
mod event;
mod record;
mod request;
mod sink;
#[cfg(test)]
mod tests;

pub use config::{Compression, Protocol, Settings, Signal};
pub(super) use sink::Sink;

use super::delivery::Ledger;
use crate::metrics::Counter;

pub(super) static LEDGER: Ledger = Ledger {
    items: "spans",
    offered: Counter::OtlpOffered,
    sent: Counter::OtlpSent,
    lost_queue_full: Counter::OtlpLostQueueFull,
    lost_share: Counter::OtlpLostShare,
    lost_rejected: Counter::OtlpLostRejected,
    lost_failed: Counter::OtlpLostFailed,
    lost_out_of_order: None,
    lost_too_old: None,
    retries: Counter::OtlpRetries,
};

pub(super) static LOGS_LEDGER: Ledger = Ledger {
    items: "log records",
    offered: Counter::OtlpLogsOffered,
    sent: Counter::OtlpLogsSent,
    lost_queue_full: Counter::OtlpLogsLostQueueFull,
    lost_share: Counter::OtlpLogsLostShare,
    lost_rejected: Counter::OtlpLogsLostRejected,
    lost_failed: Counter::OtlpLogsLostFailed,
    lost_out_of_order: None,
    lost_too_old: None,
    retries: Counter::OtlpLogsRetries,
};
