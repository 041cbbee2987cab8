//! The task that empties a queue into a backend.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::retry::Backoff;
use super::{Backend, Loss, Outcome, Part, Policy, Queue};
use crate::export::http;

/// A backend that asks for more patience than this gets no more than this: otherwise one bad header
/// would silence the sensor for good.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Delivers one backend's batches, one after the other.
#[derive(Debug)]
pub(crate) struct Worker<B: Backend> {
    backend: B,
    queue: Arc<Queue<B::Item>>,
    closing: watch::Receiver<Option<Instant>>,
    policy: Policy,
    timeout: Duration,
    /// Until when the backend asked to be left alone.
    not_before: Option<Instant>,
    health: Health,
}

/// How the last request went. Each change is logged once; each loss is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Unknown,
    Healthy,
    Warned,
    Failing,
    Refused,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Over,
    /// It would have lasted beyond the time that is left.
    Hopeless,
}

impl<B: Backend> Worker<B> {
    pub(crate) fn new(
        backend: B,
        queue: Arc<Queue<B::Item>>,
        policy: Policy,
        timeout: Duration,
    ) -> Self {
        let closing = queue.closing();
        let health = Health::Unknown;
        Self { backend, queue, closing, policy, timeout, not_before: None, health }
    }

    /// Ends when the queue is closed and empty, or out of time.
    pub(crate) async fn run(mut self) {
        while let Some(batch) = self.queue.next_batch().await {
            self.deliver(batch).await;
        }
    }

    /// All parts have the time of one batch together; each is tried once at least.
    async fn deliver(&mut self, batch: Vec<B::Item>) {
        let give_up = Instant::now() + self.policy.retry_limit;
        // From here on only the encoded form is needed.
        for part in self.backend.encode(batch) {
            self.deliver_part(part, give_up).await;
        }
    }

    async fn deliver_part(&mut self, part: Part<B::Request>, give_up: Instant) {
        let items = part.items;
        let mut backoff = Backoff::new(&self.policy);
        if let Some(not_before) = self.not_before
            && self.wait(not_before, true).await == Wait::Hopeless
        {
            return self.queue.lost(items, Loss::Failed);
        }
        loop {
            let Some(outcome) = self.attempt(&part).await else {
                tracing::warn!(items, "ended before {} answered", self.backend.target());
                return self.queue.lost(items, Loss::Failed);
            };
            let (reason, after) = match outcome {
                Outcome::Accepted { refused, message } => {
                    self.accepted(items, &refused, &message);
                    return;
                }
                Outcome::Lost { reason, loss } => {
                    self.queue.lost(items, loss);
                    self.note_refused(&reason);
                    return;
                }
                Outcome::Retry { reason, after } => (reason, after),
            };
            self.note_failing(&reason);
            let now = Instant::now();
            let asked = after.is_some();
            let again = match after {
                Some(after) => now + after.min(MAX_RETRY_AFTER),
                // The last try is at the limit, not short of it.
                None => (now + backoff.next()).min(give_up),
            };
            if asked {
                self.not_before = Some(again);
            }
            let late = now >= give_up || again > give_up;
            if late || self.wait(again, asked).await == Wait::Hopeless {
                return self.queue.lost(items, Loss::Failed);
            }
            self.queue.retried();
        }
    }

    /// One request, bounded by the timeout; None when the time to close was over first.
    async fn attempt(&mut self, part: &Part<B::Request>) -> Option<Outcome> {
        let answer = timeout(self.timeout, self.backend.send(part));
        tokio::select! {
            biased;
            answer = answer => Some(answer.unwrap_or_else(|_| {
                let within = self.timeout;
                Outcome::retry(
                    format!("no answer within {within:?}: is the backend overloaded?"),
                    None,
                )
            })),
            () = out_of_time(self.closing.clone()) => None,
        }
    }

    /// Waits until `until`. A wait of our own choosing is cut short when the queue closes, for one
    /// more try; one that the backend asked for is not.
    async fn wait(&mut self, until: Instant, asked: bool) -> Wait {
        loop {
            let closing = *self.closing.borrow_and_update();
            match closing {
                Some(deadline) if until >= deadline => return Wait::Hopeless,
                Some(_) => {
                    sleep_until(until).await;
                    return Wait::Over;
                }
                None => tokio::select! {
                    () = sleep_until(until) => return Wait::Over,
                    changed = self.closing.changed() => {
                        if !asked || changed.is_err() {
                            return Wait::Over;
                        }
                    }
                },
            }
        }
    }

    fn accepted(&mut self, items: u64, refused: &[(Loss, u64)], message: &str) {
        self.not_before = None;
        let mut taken = items;
        for &(loss, count) in refused {
            let count = count.min(taken);
            taken -= count;
            if count > 0 {
                self.queue.lost(count, loss);
            }
        }
        self.queue.sent(taken);
        let target = self.backend.target();
        if taken < items || !message.is_empty() {
            if self.turn(Health::Warned) != Health::Warned {
                tracing::warn!(
                    rejected = items - taken,
                    of = items,
                    says = %http::snippet(message.as_bytes()),
                    "{} takes the data only in part, or with a warning",
                    self.backend.target(),
                );
            }
            return;
        }
        match self.health {
            Health::Healthy => {}
            Health::Unknown => tracing::info!("delivering to {target}"),
            Health::Warned | Health::Failing | Health::Refused => {
                tracing::info!("delivering to {target} again");
            }
        }
        self.health = Health::Healthy;
    }

    fn note_failing(&mut self, reason: &str) {
        if self.turn(Health::Failing) != Health::Failing {
            tracing::warn!(
                "cannot deliver to {}: {reason}. Trying again for up to {:?} a batch, then counted \
                 as lost",
                self.backend.target(),
                self.policy.retry_limit,
            );
        }
    }

    fn note_refused(&mut self, reason: &str) {
        if self.turn(Health::Refused) != Health::Refused {
            tracing::error!("{} refuses the data, which is lost: {reason}", self.backend.target());
        }
    }

    fn turn(&mut self, health: Health) -> Health {
        std::mem::replace(&mut self.health, health)
    }
}

/// Pends until the queue is closing and its deadline has passed.
async fn out_of_time(mut closing: watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *closing.borrow_and_update();
        match deadline {
            Some(deadline) => return sleep_until(deadline).await,
            // The worker holds the sending half through its queue, so this cannot fail.
            None => {
                if closing.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}
