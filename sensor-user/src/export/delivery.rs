//! How spans and records of logs get to a backend, whatever it speaks: a bounded queue, batches by count,
//! size and age, and a retry policy. A destination only says what it takes (an [`Item`]), how to encode a
//! batch and what an answer means.
//!
//! One request is under way at a time, so that lines reach Loki in order and a backend in trouble
//! is met by one retrying request, not several. Delivery is at least once: a connection that breaks
//! after the backend took a request makes it come again.
//!
//! No service holds up another:
//!
//! - Items wait in lanes, one for each stream of each owner ([`lanes`]). Owners have their turns,
//!   and none of them gets more of the queue than a share of what is free ([`queue`]).
//! - A batch that the backend does not take for the time being is set aside and tried again by
//!   itself, in its own time ([`load`]). Later items of its stream wait behind it; other streams go
//!   on. Only what concerns the whole backend ([`Scope::Backend`]) pauses all of them.
//! - A batch of several owners that the backend refuses is sent once more in parts, one for each of
//!   them.

mod health;
mod item;
mod lanes;
mod load;
mod queue;
mod recent;
mod retry;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use item::weight_of_record;
pub(super) use item::{Item, owner};
pub(super) use queue::Queue;
pub(super) use worker::Worker;

use std::time::Duration;

use crate::metrics::Counter;

/// How a destination's queue, batches and retries are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Items (spans, or records of logs) that may wait or be under way; more are refused and
    /// counted. One service may have twice as many as there is room left for.
    pub capacity: usize,
    /// And bytes of them, about: what is beyond either is refused.
    pub capacity_bytes: usize,
    /// Items in one batch.
    pub batch_items: usize,
    /// Bytes of text in one batch, about. Well below the 4 MiB at which gRPC servers refuse a
    /// message unless told otherwise.
    pub batch_bytes: usize,
    /// How long the first item of a batch waits for others.
    pub batch_age: Duration,
    /// Wait before the first retry; doubles with each.
    pub initial_backoff: Duration,
    /// The longest wait between retries, unless the backend asks for more.
    pub max_backoff: Duration,
    /// From when a batch is first due; then its items are counted as lost. Five minutes is the
    /// Collector's own default (`retry_on_failure.max_elapsed_time`).
    pub retry_limit: Duration,
}

/// For spans. At about 2 KiB each, what may wait is 16 MiB. 512 in a batch is the default of the
/// OpenTelemetry SDKs' batch processor.
impl Default for Policy {
    fn default() -> Self {
        Self {
            capacity: 8192,
            capacity_bytes: 64 << 20,
            batch_items: 512,
            batch_bytes: 2 << 20,
            batch_age: Duration::from_secs(1),
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            retry_limit: Duration::from_secs(300),
        }
    }
}

impl Policy {
    /// For records of logs: there are ten times as many, and they are shorter, but for some. 65,536 of half a KiB
    /// are 32 MiB, and a long stack trace does not count as one line.
    pub fn of_records() -> Self {
        Self {
            capacity: 65_536,
            capacity_bytes: 32 << 20,
            batch_items: 2048,
            batch_bytes: 1 << 20,
            ..Self::default()
        }
    }
}

/// Where what a destination is offered is accounted for.
#[derive(Debug)]
pub(super) struct Ledger {
    /// What it is offered, for the log: `spans`.
    pub(super) items: &'static str,
    pub(super) offered: Counter,
    pub(super) sent: Counter,
    pub(super) lost_queue_full: Counter,
    pub(super) lost_share: Counter,
    pub(super) lost_rejected: Counter,
    pub(super) lost_failed: Counter,
    /// Of destinations that say so.
    pub(super) lost_out_of_order: Option<Counter>,
    /// Of destinations that say so.
    pub(super) lost_too_old: Option<Counter>,
    pub(super) retries: Counter,
}

impl Ledger {
    fn of(&self, loss: Loss) -> Counter {
        match loss {
            Loss::Rejected => self.lost_rejected,
            Loss::Failed => self.lost_failed,
            Loss::OutOfOrder => self.lost_out_of_order.unwrap_or(self.lost_rejected),
            Loss::TooOld => self.lost_too_old.unwrap_or(self.lost_rejected),
        }
    }
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The backend took it, except for what is refused.
    Accepted {
        /// How many for which reason. Clamped to the request: a backend may say anything.
        refused: Vec<(Loss, u64)>,
        /// What the backend had to say, empty for nothing.
        message: String,
    },
    /// It may work later.
    Retry {
        /// For which requests.
        scope: Scope,
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
        /// Items of one owner may be the cause: the others may work without them.
        divisible: bool,
    },
}

/// For which requests an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of the same stream.
    Stream,
    /// All.
    Backend,
    /// The backend does not say: of one stream, until several in a row are answered so.
    Unsaid,
}

/// Which items may go in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// Those of all owners.
    Mixed,
    /// Those of one stream.
    Stream,
}

/// The reasons for which something is lost for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The backend looked at the data and does not want it.
    Rejected,
    /// The same, because it is older than what the backend has of that stream, by too much.
    OutOfOrder,
    /// The same, because it is too old.
    TooOld,
    /// It could not be delivered.
    Failed,
}

impl Outcome {
    pub(super) const ACCEPTED: Self =
        Self::Accepted { refused: Vec::new(), message: String::new() };

    /// For all requests.
    pub(super) fn retry(reason: impl Into<String>, after: Option<Duration>) -> Self {
        Self::Retry { scope: Scope::Backend, reason: reason.into(), after }
    }

    /// Whatever is in the request.
    pub(super) fn lost(loss: Loss, reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), loss, divisible: false }
    }

    /// For something in the request.
    pub(super) fn unacceptable(loss: Loss, reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), loss, divisible: true }
    }
}

/// A batch, or what of it has to go by itself, encoded: sent as often as it takes.
#[derive(Debug)]
pub(super) struct Part<R> {
    pub(super) request: R,
    /// Items in it.
    pub(super) items: u64,
}

/// A destination: how to say it, and what the answer means.
pub(super) trait Backend: Send + Sync + 'static {
    /// What it takes.
    type Item: Item;
    /// What is sent.
    type Request: Send + Sync;

    /// What may be sent in one request.
    const GROUPING: Grouping;

    /// For the log: what it is and where.
    fn target(&self) -> &str;

    /// Encodes one batch; the parts have all its items together.
    fn encode(&self, batch: Vec<Self::Item>) -> Vec<Part<Self::Request>>;

    /// The same items in one part for each of their owners, as far as that is possible. No parts
    /// where there is nothing to divide.
    fn split(&self, request: Self::Request) -> Vec<Part<Self::Request>> {
        drop(request);
        Vec::new()
    }

    /// Sends a part once. May hang: the caller bounds it in time.
    fn send(&self, part: &Part<Self::Request>) -> impl Future<Output = Outcome> + Send;
}
