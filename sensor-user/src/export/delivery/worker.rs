//! The task that empties a queue into a backend.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::health::Health;
use super::lanes::{Batch, Due};
use super::load::{Load, Loads};
use super::retry::Backoff;
use super::{Backend, Grouping, Loss, Outcome, Part, Policy, Queue, Scope};
use crate::export::text;

/// A backend that asks for more patience than this gets no more than this: otherwise one bad header
/// would silence the sensor for good.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Of a backend's message, no more goes into the log.
const MESSAGE_MAX: usize = 300;

/// From this many batches on that are refused in a row without a scope, all streams pause.
const UNSAID_MAX: u32 = 3;

/// Delivers to one backend, one request after the other.
#[derive(Debug)]
pub(crate) struct Worker<B: Backend> {
    backend: B,
    queue: Arc<Queue<B::Item>>,
    closing: watch::Receiver<Option<Instant>>,
    policy: Policy,
    timeout: Duration,
    /// Batches that were tried and are not settled.
    aside: Loads<B::Request>,
    /// The last attempt was for one of them, so a new batch has its turn.
    tried_aside: bool,
    pause: Option<Pause>,
    /// For pauses. It begins anew with each success.
    backoff: Backoff,
    /// Batches refused without a scope since the last success.
    unsaid: u32,
    /// Requests that succeeded.
    successes: u64,
    /// Closing has begun, and every wait that the backend did not ask for is cut short.
    hurried: bool,
    health: Health,
}

/// A time in which nothing is sent.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// The backend chose that time.
    asked: bool,
}

/// What to do next.
enum Step<R> {
    Send(Load<R>),
    /// Until then, or until something changes.
    Wait(Option<Instant>),
    End,
}

impl<B: Backend> Worker<B> {
    pub(crate) fn new(
        backend: B,
        queue: Arc<Queue<B::Item>>,
        policy: Policy,
        timeout: Duration,
    ) -> Self {
        Self {
            closing: queue.closing(),
            backend,
            queue,
            timeout,
            aside: Loads::new(),
            tried_aside: false,
            pause: None,
            backoff: Backoff::new(&policy),
            policy,
            unsaid: 0,
            successes: 0,
            hurried: false,
            health: Health::new(),
        }
    }

    /// Ends when the queue is closed and empty, or out of time. What is left then is counted as
    /// lost.
    pub(crate) async fn run(mut self) {
        loop {
            match self.step() {
                Step::Send(load) => self.send(load).await,
                Step::Wait(until) => self.wait(until).await,
                Step::End => break,
            }
        }
        self.queue.abandon();
    }

    fn step(&mut self) -> Step<B::Request> {
        let now = Instant::now();
        let deadline = *self.closing.borrow_and_update();
        if deadline.is_some() && !std::mem::replace(&mut self.hurried, true) {
            self.aside.hurry(now);
            self.pause = self.pause.filter(|pause| pause.asked);
        }
        let hopeless = |at: Instant| deadline.is_some_and(|deadline| at >= deadline);
        if hopeless(now) {
            return Step::End;
        }
        self.pause = self.pause.filter(|pause| pause.until > now);
        let paused = self.pause.is_some();
        // While there is no pause, the last attempt is at the limit.
        let ends = |load: &Load<_>| hopeless(load.not_before) || paused && load.give_up <= now;
        for load in self.aside.give_up(ends) {
            self.lose(load);
        }
        if let Some(pause) = self.pause {
            let until = self.aside.first_end().map_or(pause.until, |end| end.min(pause.until));
            return if hopeless(pause.until) { Step::End } else { Step::Wait(Some(until)) };
        }
        let mut next = Due::Never;
        // Retries and new batches take turns, so that neither holds up the other. A mixed batch is
        // retried before any other.
        for aside in [!self.tried_aside, self.tried_aside] {
            if aside {
                if let Some(load) = self.aside.take_due(now) {
                    self.tried_aside = true;
                    return Step::Send(load);
                }
            } else if B::GROUPING == Grouping::Stream || self.aside.is_empty() {
                match self.queue.take() {
                    Ok(batch) => {
                        self.tried_aside = false;
                        return Step::Send(self.load(batch));
                    }
                    Err(due) => next = due,
                }
            }
        }
        let due = match next {
            Due::Now => Some(now),
            Due::At(at) => Some(at),
            Due::Never if deadline.is_some() && self.aside.is_empty() => return Step::End,
            Due::Never => None,
        };
        Step::Wait(due.into_iter().chain(self.aside.first_attempt()).min())
    }

    /// From here on only the encoded form is needed.
    fn load(&self, batch: Batch<B::Item>) -> Load<B::Request> {
        Load::new(self.backend.encode(batch.items), batch.ticket, &self.policy)
    }

    async fn wait(&mut self, until: Option<Instant>) {
        let deadline = *self.closing.borrow();
        let until = [until, deadline].into_iter().flatten().min();
        // Changes of the queue do not end a pause.
        let paused = self.pause.is_some();
        tokio::select! {
            () = at(until) => {}
            () = self.queue.changed(), if !paused => {}
            // The worker holds the sending half through its queue, so this cannot fail.
            _ = self.closing.changed() => {}
        }
    }

    /// Tries the first part of a batch once.
    async fn send(&mut self, mut load: Load<B::Request>) {
        let Some(part) = load.parts.front() else { return self.queue.release(load.ticket) };
        if std::mem::replace(&mut load.again, true) {
            self.queue.retried();
        }
        let items = part.items;
        let Some(outcome) = self.attempt(part).await else {
            tracing::warn!(items, "ended before {} answered", self.backend.target());
            return self.aside.push(load);
        };
        match outcome {
            Outcome::Accepted { refused, message } => {
                self.accepted(items, &refused, &message);
                load.next_part();
            }
            Outcome::Lost { reason, loss, divisible } => {
                let request = load.next_part().map(|part| part.request);
                let parts = request.filter(|_| divisible).map(|it| self.backend.split(it));
                match parts {
                    Some(parts) if parts.len() > 1 => {
                        self.queue.retried();
                        parts.into_iter().rev().for_each(|part| load.parts.push_front(part));
                    }
                    _ => {
                        self.queue.lost(items, loss);
                        self.health.refused(self.backend.target(), &reason);
                    }
                }
            }
            Outcome::Retry { scope, reason, after } => {
                if !self.put_off(&mut load, scope, &reason, after) {
                    self.queue.lost(items, Loss::Failed);
                    if load.give_up_part() {
                        return self.aside.push(load);
                    }
                }
            }
        }
        if load.parts.is_empty() {
            self.queue.release(load.ticket);
        } else {
            self.aside.push(load);
        }
    }

    /// Says when a batch is to be tried again; not at all, if that is too late.
    fn put_off(
        &mut self,
        load: &mut Load<B::Request>,
        scope: Scope,
        reason: &str,
        after: Option<Duration>,
    ) -> bool {
        let now = Instant::now();
        let asked = after.map(|after| now + after.min(MAX_RETRY_AFTER));
        // The last try is at the limit, not short of it.
        let own = |backoff: &mut Backoff| (now + backoff.next()).min(load.give_up);
        load.not_before = asked.unwrap_or_else(|| own(&mut load.backoff));
        load.asked = asked.is_some();
        if scope == Scope::Unsaid
            && load.unsaid_since.replace(self.successes) != Some(self.successes)
        {
            self.unsaid += 1;
        }
        let (target, limit) = (self.backend.target(), self.policy.retry_limit);
        let of_all = match scope {
            Scope::Backend => true,
            Scope::Unsaid => self.unsaid >= UNSAID_MAX,
            Scope::Stream => false,
        };
        if of_all {
            let until = asked.unwrap_or_else(|| own(&mut self.backoff));
            self.pause = Some(Pause { until, asked: asked.is_some() });
            self.health.failing(target, reason, limit);
        } else {
            self.health.slowed(target, reason, limit);
        }
        now < load.give_up && load.not_before <= load.give_up
    }

    fn lose(&mut self, load: Load<B::Request>) {
        self.queue.lost(load.items(), Loss::Failed);
        self.queue.release(load.ticket);
    }

    /// One request, bounded by the timeout; None when the time to close was over first.
    async fn attempt(&self, part: &Part<B::Request>) -> Option<Outcome> {
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

    fn accepted(&mut self, items: u64, refused: &[(Loss, u64)], message: &str) {
        self.pause = None;
        self.backoff = Backoff::new(&self.policy);
        self.unsaid = 0;
        self.successes += 1;
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
            let says = text::bounded(message, MESSAGE_MAX);
            self.health.taken_in_part(target, items - taken, items, &says);
        } else {
            self.health.taken(target);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
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
