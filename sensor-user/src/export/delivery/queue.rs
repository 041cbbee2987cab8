//! The bounded queue between the threads that make spans and records and the task that delivers them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{Item, Ledger, Loss, Policy};
use crate::metrics::{Counter, Metrics};

/// Items on their way to one backend. One is `queued` from when it is accepted until it is settled
/// (sent or lost), so the capacity bounds requests under way too.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Wakes the one worker: on the first item, on a full batch, on closing.
    wake: Notify,
    /// When to stop trying, once somebody asked to stop.
    closing: watch::Sender<Option<Instant>>,
    policy: Policy,
    ledger: &'static Ledger,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State<T> {
    /// Each with its weight.
    waiting: VecDeque<(usize, T)>,
    waiting_bytes: usize,
    /// Items of the one batch that was taken last and are not settled.
    under_way: usize,
    /// Bytes of that batch, until all of it is settled.
    under_way_bytes: usize,
    /// When the longest-waiting item came; None while nothing waits.
    oldest: Option<Instant>,
    /// Refusing since the last success: said once in the log.
    overflowing: bool,
    abandoned: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            under_way: 0,
            under_way_bytes: 0,
            oldest: None,
            overflowing: false,
            abandoned: false,
        }
    }
}

impl<T> State<T> {
    fn items(&self) -> usize {
        self.waiting.len() + self.under_way
    }

    fn bytes(&self) -> usize {
        self.waiting_bytes + self.under_way_bytes
    }
}

impl<T: Item> Queue<T> {
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

    /// Takes an item, or counts it as lost. Wakes the worker for the first item of a batch and for
    /// the last, not for each.
    pub(crate) fn offer(&self, item: T) {
        self.metrics.inc(self.ledger.offered);
        let weight = item.weight();
        let mut state = self.lock();
        if state.abandoned {
            drop(state);
            self.metrics.inc(self.ledger.lost_failed);
            return;
        }
        // One that is larger than everything may wait alone.
        let heavy = state.items() > 0 && state.bytes() + weight > self.policy.capacity_bytes;
        if heavy || state.items() >= self.policy.capacity {
            let first = !std::mem::replace(&mut state.overflowing, true);
            drop(state);
            self.metrics.inc(self.ledger.lost_queue_full);
            if first {
                tracing::warn!(
                    "the queue of {} {} is full, the newest are dropped and counted as {}: the \
                     backend is too slow or down",
                    self.policy.capacity,
                    self.ledger.items,
                    self.ledger.lost_queue_full.name(),
                );
            }
            return;
        }
        let due = self.is_full(&state);
        state.waiting.push_back((weight, item));
        state.waiting_bytes += weight;
        let first = state.waiting.len() == 1;
        if first {
            state.oldest = Some(Instant::now());
        }
        let full = !due && self.is_full(&state);
        drop(state);
        if first || full {
            self.wake.notify_one();
        }
    }

    /// Items accepted and not yet settled.
    pub(crate) fn queued(&self) -> u64 {
        self.lock().items() as u64
    }

    /// A whole batch waits.
    fn is_full(&self, state: &State<T>) -> bool {
        state.waiting.len() >= self.policy.batch_items
            || state.waiting_bytes >= self.policy.batch_bytes
    }

    /// The next batch, when it is full or old enough; at once while closing. None when there will
    /// be no more. Dropping the future loses nothing.
    pub(super) async fn next_batch(&self) -> Option<Vec<T>> {
        loop {
            let due = {
                let mut state = self.lock();
                let closing = self.closing.borrow().is_some();
                match state.oldest.map(|oldest| oldest + self.policy.batch_age) {
                    None if closing => return None,
                    None => None,
                    Some(due) if closing || self.is_full(&state) || due <= Instant::now() => {
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

    fn take(&self, state: &mut State<T>) -> Vec<T> {
        let mut bytes = 0;
        let mut count = 0;
        for (weight, _) in state.waiting.iter().take(self.policy.batch_items) {
            // One heavier than a whole batch goes alone.
            if count > 0 && bytes + weight > self.policy.batch_bytes {
                break;
            }
            bytes += weight;
            count += 1;
        }
        let batch: Vec<_> = state.waiting.drain(..count).map(|(_, item)| item).collect();
        state.waiting_bytes -= bytes;
        state.under_way += count;
        state.under_way_bytes += bytes;
        if state.waiting.is_empty() {
            state.oldest = None;
        }
        batch
    }

    /// Accounts for items of a batch that the backend took.
    pub(super) fn sent(&self, items: u64) {
        self.settle(items, self.ledger.sent);
        self.lock().overflowing = false;
    }

    /// Accounts for items of a batch that are lost.
    pub(super) fn lost(&self, items: u64, loss: Loss) {
        self.settle(items, self.ledger.of(loss));
    }

    pub(super) fn retried(&self) {
        self.metrics.inc(self.ledger.retries);
    }

    fn settle(&self, items: u64, counter: Counter) {
        let mut state = self.lock();
        state.under_way =
            state.under_way.saturating_sub(usize::try_from(items).unwrap_or(usize::MAX));
        if state.under_way == 0 {
            state.under_way_bytes = 0;
        }
        self.metrics.add(counter, items);
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
        let left = state.items();
        *state = State { abandoned: true, ..State::default() };
        self.metrics.add(self.ledger.lost_failed, left as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while holding it, and the state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
