//! How spans get to a backend, whatever it speaks: a bounded queue, batches by count, size and age,
//! and a retry policy. A destination only says how to encode a batch and what an answer means.
//!
//! One request is under way at a time, so that lines reach Loki in order and a backend in trouble
//! is met by one retrying request, not several. Delivery is at least once: a connection that breaks
//! after the backend took a request makes it come again.

mod queue;
mod retry;
#[cfg(test)]
mod tests;
mod worker;

pub(super) use queue::Queue;
pub(super) use worker::Worker;

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Counter;
use crate::model::Span;

/// How a destination's queue, batches and retries are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Spans that may wait or be under way; more are refused and counted. At about 2 KiB a span,
    /// the default holds 16 MiB.
    pub capacity: usize,
    /// Spans in one request. 512 is the default of the OpenTelemetry SDKs' batch processor.
    pub batch_spans: usize,
    /// Bytes of text in one request, about. Well below the 4 MiB at which gRPC servers refuse a
    /// message unless told otherwise.
    pub batch_bytes: usize,
    /// How long the first span of a batch waits for others.
    pub batch_age: Duration,
    /// Wait before the first retry; doubles with each.
    pub initial_backoff: Duration,
    /// The longest wait between retries, unless the backend asks for more.
    pub max_backoff: Duration,
    /// From when a batch is first due; then its spans are counted as lost. Five minutes is the
    /// Collector's own default (`retry_on_failure.max_elapsed_time`).
    pub retry_limit: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            capacity: 8192,
            batch_spans: 512,
            batch_bytes: 2 << 20,
            batch_age: Duration::from_secs(1),
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            retry_limit: Duration::from_secs(300),
        }
    }
}

/// Where a destination's spans are accounted for.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) offered: Counter,
    pub(super) sent: Counter,
    pub(super) lost_queue_full: Counter,
    pub(super) lost_rejected: Counter,
    pub(super) lost_failed: Counter,
    pub(super) retries: Counter,
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The backend took it, except for `rejected` spans.
    Accepted {
        /// Clamped to the batch: a backend may say anything.
        rejected: u64,
        /// What the backend had to say, empty for nothing.
        message: String,
    },
    /// It may work later.
    Retry {
        /// What happened and what to do about it.
        reason: String,
        /// How long the backend asks to be left alone.
        after: Option<Duration>,
    },
    /// It will never work.
    Lost {
        /// What happened and what to do about it.
        reason: String,
        /// Under which name it is counted.
        loss: Loss,
    },
}

/// The reasons for which a request is lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The backend looked at the data and does not want it.
    Rejected,
    /// It could not be delivered.
    Failed,
}

impl Outcome {
    pub(super) const ACCEPTED: Self = Self::Accepted { rejected: 0, message: String::new() };

    pub(super) fn retry(reason: impl Into<String>, after: Option<Duration>) -> Self {
        Self::Retry { reason: reason.into(), after }
    }

    pub(super) fn lost(loss: Loss, reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), loss }
    }
}

/// A destination: how to say it, and what the answer means.
pub(super) trait Backend: Send + Sync + 'static {
    /// An encoded batch; sent as often as it takes.
    type Request: Send + Sync;

    /// For the log: what it is and where.
    fn target(&self) -> &str;

    /// Encodes one batch.
    fn encode(&self, batch: &[Arc<Span>]) -> Self::Request;

    /// Sends it once. May hang: the caller bounds it in time.
    fn send(&self, request: &Self::Request) -> impl Future<Output = Outcome> + Send;
}
