//! Processes that wait to be looked at: a queue for each user, each served in turn, so that the files of
//! one user do not keep others waiting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::capture::event::ProcessKey;

/// Processes that wait at once.
const WAITING: usize = 4096;

/// Processes of one user that wait at once. (Where containers have no user namespaces, all of theirs are
/// root's.)
const WAITING_A_USER: usize = WAITING / 2;

/// A user's number.
type User = u32;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Never an empty one.
    waiting: HashMap<User, VecDeque<ProcessKey>>,
    /// The users of `waiting`, the next in turn first.
    turns: VecDeque<User>,
    count: usize,
    /// Whose processes are looked at, and since when.
    busy: HashMap<User, Instant>,
    closed: bool,
}

impl Queue {
    /// Returns whether there was room.
    pub(super) fn push(&self, user: User, key: ProcessKey) -> bool {
        let mut state = self.lock();
        let of_user = state.waiting.get(&user).map_or(0, VecDeque::len);
        if state.closed || state.count >= WAITING || of_user >= WAITING_A_USER {
            return false;
        }
        if of_user == 0 {
            state.turns.push_back(user);
        }
        state.waiting.entry(user).or_default().push_back(key);
        state.count += 1;
        self.changed.notify_one();
        true
    }

    /// Waits for the next process. One user's are looked at one after the other: [`Self::done`] has
    /// to follow. None when the queue is closed.
    pub(super) fn pop(&self) -> Option<(User, ProcessKey)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(next) = state.next() {
                return Some(next);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn done(&self, user: User) {
        self.lock().busy.remove(&user);
        self.changed.notify_one();
    }

    /// A process need not be looked at any more.
    pub(super) fn forget(&self, key: ProcessKey) {
        let mut state = self.lock();
        if state.count > 0 {
            state.forget(key);
        }
    }

    /// How many looks have been under way for longer than `limit`.
    pub(super) fn stuck(&self, limit: Duration) -> usize {
        self.lock().busy.values().filter(|since| since.elapsed() > limit).count()
    }

    /// Nothing comes any more, and nothing is handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<(User, ProcessKey)> {
        let at = self.turns.iter().position(|user| !self.busy.contains_key(user))?;
        let user = self.turns.remove(at)?;
        let mut waiting = self.waiting.remove(&user)?;
        let key = waiting.pop_front()?;
        self.count -= 1;
        if !waiting.is_empty() {
            self.waiting.insert(user, waiting);
            self.turns.push_back(user);
        }
        self.busy.insert(user, Instant::now());
        Some((user, key))
    }

    fn forget(&mut self, key: ProcessKey) {
        let Self { waiting, turns, count, .. } = self;
        waiting.retain(|user, of_user| {
            let before = of_user.len();
            of_user.retain(|&it| it != key);
            *count -= before - of_user.len();
            if of_user.is_empty() {
                turns.retain(|it| it != user);
            }
            !of_user.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(queue: &Queue, user: User, keys: impl IntoIterator<Item = u32>) -> usize {
        keys.into_iter().filter(|&tgid| queue.push(user, ProcessKey::undated(tgid))).count()
    }

    #[test]
    fn users_take_turns() {
        let queue = Queue::default();
        assert_eq!(pushed(&queue, 1, 10..14), 4);
        assert_eq!(pushed(&queue, 2, 20..22), 2);
        assert_eq!(pushed(&queue, 3, [30]), 1);
        let mut order = Vec::new();
        for _ in 0..7 {
            let (user, key) = queue.pop().unwrap();
            order.push(key.tgid.0);
            queue.done(user);
        }
        assert_eq!(order, [10, 20, 30, 11, 21, 12, 13]);
    }

    #[test]
    fn one_look_at_a_time_for_a_user() {
        let queue = Queue::default();
        pushed(&queue, 1, [10, 11]);
        pushed(&queue, 2, [20]);
        assert_eq!(queue.pop(), Some((1, ProcessKey::undated(10))));
        assert_eq!(queue.pop(), Some((2, ProcessKey::undated(20))));
        assert_eq!(queue.lock().next(), None, "user 1 is looked at, user 2 has nothing more");
        assert_eq!(queue.stuck(Duration::ZERO), 2);
        queue.done(1);
        assert_eq!(queue.stuck(Duration::ZERO), 1);
        assert_eq!(queue.pop(), Some((1, ProcessKey::undated(11))));
    }

    #[test]
    fn a_user_has_half_of_the_places() {
        let queue = Queue::default();
        assert_eq!(pushed(&queue, 1, 0..5000), WAITING_A_USER);
        assert_eq!(pushed(&queue, 2, 5000..9000), WAITING_A_USER);
        assert_eq!(pushed(&queue, 3, [1]), 0);
        assert!(queue.pop().is_some());
        assert_eq!(pushed(&queue, 3, [1, 2]), 1);
    }

    #[test]
    fn a_process_that_ended_is_left_out() {
        let queue = Queue::default();
        pushed(&queue, 1, [10]);
        pushed(&queue, 2, [20, 21, 20]);
        queue.forget(ProcessKey::undated(10));
        queue.forget(ProcessKey::undated(20));
        queue.forget(ProcessKey::undated(99));
        assert_eq!(queue.pop(), Some((2, ProcessKey::undated(21))));
        let state = queue.lock();
        assert!(state.count == 0 && state.turns.is_empty() && state.waiting.is_empty());
    }

    #[test]
    fn closed() {
        let queue = Queue::default();
        pushed(&queue, 1, [10]);
        queue.close();
        assert_eq!(queue.pop(), None);
        assert!(!queue.push(1, ProcessKey::undated(11)));
    }
}
