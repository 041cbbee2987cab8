//! Batches that are under way: encoded, and tried until they are settled or given up.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::lanes::Ticket;
use super::retry::Backoff;
use super::{Part, Policy};

/// A batch that is not settled.
#[derive(Debug)]
pub(super) struct Load<R> {
    /// Tried in this order. Empty while only a wait is left.
    pub(super) parts: VecDeque<Part<R>>,
    pub(super) ticket: Ticket,
    /// Until then it is tried.
    pub(super) give_up: Instant,
    /// Before then it is not tried.
    pub(super) not_before: Instant,
    /// The backend chose that time.
    pub(super) asked: bool,
    /// Its first part was tried before.
    pub(super) again: bool,
    pub(super) backoff: Backoff,
    /// How many requests had succeeded when this one was last refused without a scope.
    pub(super) unsaid_since: Option<u64>,
}

impl<R> Load<R> {
    /// All parts have the time of one batch together; each is tried once at least, while the
    /// backend takes requests.
    pub(super) fn new(parts: Vec<Part<R>>, ticket: Ticket, policy: &Policy) -> Self {
        let now = Instant::now();
        Self {
            parts: parts.into(),
            ticket,
            give_up: now + policy.retry_limit,
            not_before: now,
            asked: false,
            again: false,
            backoff: Backoff::new(policy),
            unsaid_since: None,
        }
    }

    /// The first part is settled, or is to be tried in another form.
    pub(super) fn next_part(&mut self) -> Option<Part<R>> {
        self.again = false;
        self.asked = false;
        self.not_before = Instant::now();
        self.parts.pop_front()
    }

    /// Its first part is lost. Whether the batch has to stay all the same, even without parts: the
    /// backend asked for a wait, and later items of the stream must not come before.
    pub(super) fn give_up_part(&mut self) -> bool {
        let asked = self.asked.then_some(self.not_before);
        self.next_part();
        if let Some(until) = asked {
            self.not_before = until;
            self.asked = true;
        }
        asked.is_some()
    }

    pub(super) fn items(&self) -> u64 {
        self.parts.iter().map(|part| part.items).sum()
    }
}

/// The batches that wait for their next attempt. There is at most one for each stream.
#[derive(Debug)]
pub(super) struct Loads<R>(Vec<Load<R>>);

impl<R> Loads<R> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, load: Load<R>) {
        self.0.push(load);
    }

    /// The one that has waited longest for an attempt that it may have now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Load<R>> {
        let due = self.0.iter().enumerate().filter(|(_, load)| load.not_before <= now);
        let (at, _) = due.min_by_key(|(_, load)| load.not_before)?;
        Some(self.0.remove(at))
    }

    /// Removes those that `hopeless` holds for.
    pub(super) fn give_up(&mut self, mut hopeless: impl FnMut(&Load<R>) -> bool) -> Vec<Load<R>> {
        self.0.extract_if(.., |load| hopeless(load)).collect()
    }

    /// Allows an attempt at once, except where the backend asked for a wait.
    pub(super) fn hurry(&mut self, now: Instant) {
        for load in self.0.iter_mut().filter(|load| !load.asked) {
            load.not_before = now;
        }
    }

    /// When the first of them may be tried.
    pub(super) fn first_attempt(&self) -> Option<Instant> {
        self.0.iter().map(|load| load.not_before).min()
    }

    /// When the first of them is given up.
    pub(super) fn first_end(&self) -> Option<Instant> {
        self.0.iter().map(|load| load.give_up).min()
    }
}
