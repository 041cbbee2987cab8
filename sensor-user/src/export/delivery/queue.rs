//! The bounded queue between the threads that make spans and the task that delivers them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Ledger, Loss, Policy};
use crate::metrics::{Counter, Metrics};
use crate::model::{Span, Value};

/// Spans on their way to one backend. A span is `queued` from when it is accepted until it is
/// settled (sent or lost), so the capacity bounds requests under way too.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Wakes the one worker: on the first span, on a full batch, on closing.
    wake: Notify,
    /// When to stop trying, once somebody asked to stop.
    closing: watch::Sender<Option<Instant>>,
    policy: Policy,
    ledger: &'static Ledger,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Span>>,
    under_way: usize,
    /// When the longest-waiting span came; None while nothing waits.
    oldest: Option<Instant>,
    /// Refusing since the last success: said once in the log.
    overflowing: bool,
    abandoned: bool,
}

impl Queue {
    pub(crate) fn new(policy: Policy, ledger: &'static Ledger, metrics: Arc<Metrics>) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            closing: watch::Sender::new(None),
            policy,
            ledger,
            metrics,
        }
    }

    /// Takes a span, or counts it as lost. Wakes the worker for the first span of a batch and for
    /// the last, not for each.
    pub(crate) fn offer(&self, span: &Arc<Span>) {
        self.metrics.inc(self.ledger.offered);
        let mut state = self.lock();
        if state.abandoned {
            drop(state);
            self.metrics.inc(self.ledger.lost_failed);
            return;
        }
        if state.waiting.len() + state.under_way >= self.policy.capacity {
            let first = !std::mem::replace(&mut state.overflowing, true);
            drop(state);
            self.metrics.inc(self.ledger.lost_queue_full);
            if first {
                tracing::warn!(
                    "the queue of {} spans is full, the newest are dropped and counted as {}: the \
                     backend is too slow or down",
                    self.policy.capacity,
                    self.ledger.lost_queue_full.name(),
                );
            }
            return;
        }
        state.waiting.push_back(Arc::clone(span));
        let waiting = state.waiting.len();
        if waiting == 1 {
            state.oldest = Some(Instant::now());
        }
        drop(state);
        if waiting == 1 || waiting == self.policy.batch_spans {
            self.wake.notify_one();
        }
    }

    /// Spans accepted and not yet settled.
    pub(crate) fn queued(&self) -> u64 {
        let state = self.lock();
        (state.waiting.len() + state.under_way) as u64
    }

    /// The next batch, when it is full or old enough; at once while closing. None when there will
    /// be no more. Dropping the future loses nothing.
    pub(super) async fn next_batch(&self) -> Option<Vec<Arc<Span>>> {
        loop {
            let due = {
                let mut state = self.lock();
                let closing = self.closing.borrow().is_some();
                match state.oldest.map(|oldest| oldest + self.policy.batch_age) {
                    None if closing => return None,
                    None => None,
                    Some(due)
                        if closing
                            || state.waiting.len() >= self.policy.batch_spans
                            || due <= Instant::now() =>
                    {
                        return Some(self.take(&mut state));
                    }
                    Some(due) => Some(due),
                }
            };
            match due {
                None => self.wake.notified().await,
                Some(due) => {
                    // Either way, look again.
                    let _ = tokio::time::timeout_at(due, self.wake.notified()).await;
                }
            }
        }
    }

    fn take(&self, state: &mut State) -> Vec<Arc<Span>> {
        let mut bytes = 0;
        let fit = state
            .waiting
            .iter()
            .take(self.policy.batch_spans)
            .take_while(|span| {
                bytes += weight(span);
                bytes <= self.policy.batch_bytes
            })
            .count();
        // A span heavier than a whole batch goes alone.
        let count = fit.max(1).min(state.waiting.len());
        let batch: Vec<_> = state.waiting.drain(..count).collect();
        state.under_way += batch.len();
        if state.waiting.is_empty() {
            state.oldest = None;
        }
        batch
    }

    /// Accounts for spans of a batch that the backend took.
    pub(super) fn sent(&self, spans: u64) {
        self.settle(spans, self.ledger.sent);
        self.lock().overflowing = false;
    }

    /// Accounts for spans of a batch that are lost.
    pub(super) fn lost(&self, spans: u64, loss: Loss) {
        let counter = match loss {
            Loss::Rejected => self.ledger.lost_rejected,
            Loss::Failed => self.ledger.lost_failed,
        };
        self.settle(spans, counter);
    }

    pub(super) fn retried(&self) {
        self.metrics.inc(self.ledger.retries);
    }

    fn settle(&self, spans: u64, counter: Counter) {
        let mut state = self.lock();
        state.under_way =
            state.under_way.saturating_sub(usize::try_from(spans).unwrap_or(usize::MAX));
        self.metrics.add(counter, spans);
    }

    /// Asks the worker to deliver what there is until `deadline`. The earliest deadline stands.
    pub(crate) fn close(&self, deadline: Instant) {
        self.closing.send_modify(|closing| {
            *closing = Some(closing.map_or(deadline, |earlier| earlier.min(deadline)));
        });
        self.wake.notify_one();
    }

    /// Follows the closing: None, then the deadline.
    pub(super) fn closing(&self) -> watch::Receiver<Option<Instant>> {
        self.closing.subscribe()
    }

    /// Counts everything that is left, and whatever comes later, as lost.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        let left = state.waiting.len() + state.under_way;
        state.waiting = VecDeque::new();
        state.under_way = 0;
        state.oldest = None;
        self.metrics.add(self.ledger.lost_failed, left as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, and the state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes a span adds to a request: its texts, and a flat charge for the rest.
fn weight(span: &Span) -> usize {
    const FIELD: usize = 16;
    let value = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::Strs(texts) => texts.iter().map(|text| text.len() + FIELD).sum(),
        Value::Int(_) | Value::Double(_) | Value::Bool(_) => 8,
    };
    let attributes = span.attributes.iter().map(|it| it.key.len() + value(&it.value) + FIELD);
    128 + span.name.len()
        + span.trace_state.as_ref().map_or(0, |state| state.len())
        + attributes.sum::<usize>()
        + 64 * (span.events.len() + span.links.len())
}
