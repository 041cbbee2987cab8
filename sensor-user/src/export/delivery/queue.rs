//! The bounded queue between the threads that make spans and records and the task that delivers them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::lanes::{Amount, Batch, Due, Lanes, Ticket};
use super::recent::Recent;
use super::{Grouping, Item, Ledger, Loss, Policy};
use crate::export::text;
use crate::metrics::{Counter, Metrics};

/// An owner may hold this many times as much of the queue as is free. So one owner alone has two
/// thirds of the queue, `n` greedy owners have `2 / (2n + 1)` each, and half of one such share
/// stays free for the next ("dynamic thresholds", Choudhury and Hahne, IEEE/ACM
/// Transactions on Networking 6(2), 1998).
const SHARE_OF_FREE: usize = 2;

/// Between two owners that the log names. There may be many, and a process may choose its name.
const NAMED_EVERY: Duration = Duration::from_secs(10);

/// Characters of a name in the log.
const NAME_MAX: usize = 80;

/// Items on their way to one backend. One is `queued` from when it is accepted until it is settled
/// (sent or lost), so the capacity bounds requests under way too.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Wakes the one worker: when something begins to wait, on a full batch, on a refusal, on
    /// closing.
    wake: Notify,
    /// When to stop trying, once the queue is closed.
    closing: watch::Sender<Option<Instant>>,
    policy: Policy,
    ledger: &'static Ledger,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State<T> {
    lanes: Lanes<T>,
    recent: Recent,
    /// Accepted and not settled. The bytes of a batch are freed when all of it is settled.
    held: Amount,
    /// An item was refused since the last batch was taken: the next one is due at once.
    pressed: bool,
    /// Refusing since the last success: said once in the log.
    overflowing: bool,
    /// When the log last named an owner.
    named: Option<Instant>,
    abandoned: bool,
}

/// Why an item is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    QueueFull,
    Share,
}

impl<T: Item> Queue<T> {
    pub(crate) fn new(
        grouping: Grouping,
        policy: Policy,
        ledger: &'static Ledger,
        metrics: Arc<Metrics>,
    ) -> Self {
        let batch = Amount { items: policy.batch_items, bytes: policy.batch_bytes };
        let state = State {
            lanes: Lanes::new(grouping, batch),
            recent: Recent::new(),
            held: Amount::default(),
            pressed: false,
            overflowing: false,
            named: None,
            abandoned: false,
        };
        Self {
            state: Mutex::new(state),
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
            return self.metrics.inc(self.ledger.lost_failed);
        }
        let lane = state.recent.lane(&item);
        if let Some(refusal) = self.refusal(&state, lane.owner, weight) {
            return self.refuse(state, refusal, lane.owner, &item);
        }
        state.held.add(Amount::one(weight));
        let wake = state.lanes.push(lane, weight, item, Instant::now);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// A first item is accepted whatever its size, so that a giant is not lost for its size alone.
    fn refusal(&self, state: &State<T>, owner: u64, weight: usize) -> Option<Refusal> {
        let capacity = Amount { items: self.policy.capacity, bytes: self.policy.capacity_bytes };
        if !state.held.takes(weight, capacity) {
            return Some(Refusal::QueueFull);
        }
        let mut all = state.held;
        all.add(Amount::one(weight));
        let share = capacity.minus(all).times(SHARE_OF_FREE);
        (!state.lanes.held_by(owner).takes(weight, share)).then_some(Refusal::Share)
    }

    fn refuse(&self, mut state: MutexGuard<'_, State<T>>, refusal: Refusal, owner: u64, item: &T) {
        let first = match refusal {
            Refusal::QueueFull => !std::mem::replace(&mut state.overflowing, true),
            Refusal::Share => {
                let rare = state.named.is_none_or(|at| at.elapsed() >= NAMED_EVERY);
                let first = rare && state.lanes.name(owner);
                if first {
                    state.named = Some(Instant::now());
                }
                first
            }
        };
        let press = !std::mem::replace(&mut state.pressed, true);
        drop(state);
        let (capacity, items) = (self.policy.capacity, self.ledger.items);
        let counter = match refusal {
            Refusal::QueueFull => self.ledger.lost_queue_full,
            Refusal::Share => self.ledger.lost_share,
        };
        self.metrics.inc(counter);
        let name = counter.name();
        match refusal {
            _ if !first => {}
            Refusal::QueueFull => tracing::warn!(
                "the queue of {capacity} {items} is full, the newest are dropped and counted as \
                 {name}: the backend is too slow or down",
            ),
            Refusal::Share => {
                let service = item.resource().service_name().unwrap_or("(unnamed)");
                let service = text::bounded(service, NAME_MAX);
                tracing::warn!(
                    "service {service} has its share of the queue of {capacity} {items}, its newest \
                     are dropped and counted as {name}: it makes more than the backend takes, or \
                     the backend is down",
                );
            }
        }
        if press {
            self.wake.notify_one();
        }
    }

    /// Items accepted and not yet settled.
    pub(crate) fn queued(&self) -> u64 {
        self.lock().held.items as u64
    }

    /// The next batch, when it is full or old enough; at once while closing. Else when there will
    /// be one.
    pub(super) fn take(&self) -> Result<Batch<T>, Due> {
        let closing = self.closing.borrow().is_some();
        let mut state = self.lock();
        let at_once = closing || state.pressed;
        let age = if at_once { Duration::ZERO } else { self.policy.batch_age };
        let taken = state.lanes.take(age, Instant::now());
        state.pressed = false;
        taken
    }

    /// Pends until [`take`](Self::take) may answer otherwise than before.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
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
        // Abandoned items are counted already.
        if !state.abandoned {
            let items_held = usize::try_from(items).unwrap_or(usize::MAX);
            state.held = state.held.minus(Amount { items: items_held, bytes: 0 });
            self.metrics.add(counter, items);
        }
    }

    /// Gives back the room of a batch, all of which is settled, and lets its streams go on.
    pub(super) fn release(&self, ticket: Ticket) {
        let mut state = self.lock();
        let bytes = ticket.sum().bytes;
        state.held = state.held.minus(Amount { items: 0, bytes });
        state.lanes.release(ticket);
    }

    /// Asks the worker to deliver what there is until `deadline`. The earliest deadline stands.
    pub(crate) fn close(&self, deadline: Instant) {
        self.closing.send_modify(|closing| {
            *closing = Some(closing.map_or(deadline, |earlier| earlier.min(deadline)));
        });
    }

    /// Follows the closing: None, then the deadline.
    pub(super) fn closing(&self) -> watch::Receiver<Option<Instant>> {
        self.closing.subscribe()
    }

    /// Counts everything that is left, and whatever comes later, as lost.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        let left = std::mem::take(&mut state.held).items;
        state.lanes.clear();
        state.abandoned = true;
        self.metrics.add(self.ledger.lost_failed, left as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while holding it, and the state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
