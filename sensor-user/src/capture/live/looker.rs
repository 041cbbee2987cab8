//! Runs blocking look-ups in a thread of their own.
//!
//! A file system without a server (NFS, FUSE) or an automount that never completes blocks every
//! thread that walks into it. The thread that reads the rings therefore sends questions to a looker
//! and continues.
//!
//! - The queue of questions is bounded. Each key (a process, for example) has its own queue and its
//!   own share, and the keys are served round robin: a key with many questions delays only itself.
//! - A look-up that takes longer than [`Limits::patience`] is *stuck*. Another thread takes over,
//!   and questions of that key are refused until the look-up returns. At most [`Limits::stuck`]
//!   threads are stuck; at that number all questions are refused.
//! - Questions of one key are answered in order.
//! - [`Looker::ask`] and [`Looker::answer`] never block. Dropping the looker does not wait either:
//!   a stuck thread lives until the process ends. (The kernel waits for every thread of a process.
//!   A thread whose request a FUSE server has read but not answered cannot be killed until that
//!   mount is gone.)

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// Bytes of a thread's stack: looks keep what is large on the heap.
const STACK: usize = 256 * 1024;

/// The bounds of a looker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Queued questions.
    pub(super) queue: usize,
    /// Queued questions of one key.
    pub(super) each: usize,
    /// After this time a look-up is stuck, and another thread takes over.
    pub(super) patience: Duration,
    /// Threads with a stuck look-up.
    pub(super) stuck: usize,
}

/// The question was not queued: the queue is full, or look-ups are stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Queues questions `Q` of keys `K`, and returns answers `A`.
pub(super) struct Looker<K, Q, A> {
    shared: Arc<Shared<K, Q, A>>,
    answers: Receiver<(K, A)>,
}

/// Answers questions within one thread; may keep state between them.
type Look<K, Q, A> = Box<dyn FnMut(&K, Q) -> A>;

struct Shared<K, Q, A> {
    name: &'static str,
    limits: Limits,
    state: Mutex<State<K, Q>>,
    asked: Condvar,
    answers: Mutex<Sender<(K, A)>>,
    /// Creates the [`Look`] of a new thread.
    look: Box<dyn Fn() -> Look<K, Q, A> + Send + Sync>,
}

struct State<K, Q> {
    /// The queues by key; none is empty.
    waiting: FxHashMap<K, VecDeque<Q>>,
    /// The keys of `waiting` in round-robin order.
    turns: VecDeque<K>,
    /// Questions in all queues.
    len: usize,
    /// The thread that takes questions; `None` before the first question and while all threads are
    /// stuck.
    active: Option<u64>,
    /// The key of its current look-up, and the start of that.
    busy: Option<(K, Instant)>,
    /// Threads with a stuck look-up, and the keys of these.
    stuck: Vec<(u64, K)>,
    /// The number of the next thread.
    next: u64,
    closed: bool,
}

impl<K: Copy + Eq + Hash, Q> State<K, Q> {
    fn take(&mut self) -> Option<(K, Q)> {
        let key = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&key)?;
        let question = queue.pop_front()?;
        self.len -= 1;
        if queue.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some((key, question))
    }

    /// Drops the questions of a key.
    fn leave(&mut self, key: K) {
        self.len -= self.waiting.remove(&key).map_or(0, |queue| queue.len());
        self.turns.retain(|other| *other != key);
    }
}

impl<K, Q, A> Looker<K, Q, A>
where
    K: Copy + Eq + Hash + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    /// A looker without threads; the first one starts with the first question. Threads are named
    /// `name`, and each calls `look` once for the function that answers its questions.
    pub(super) fn new<L>(
        name: &'static str,
        limits: Limits,
        look: impl Fn() -> L + Send + Sync + 'static,
    ) -> Self
    where
        L: FnMut(&K, Q) -> A + 'static,
    {
        let (answer, answers) = channel();
        let state = State {
            waiting: FxHashMap::default(),
            turns: VecDeque::new(),
            len: 0,
            active: None,
            busy: None,
            stuck: Vec::new(),
            next: 0,
            closed: false,
        };
        let shared = Shared {
            name,
            limits,
            state: Mutex::new(state),
            asked: Condvar::new(),
            answers: Mutex::new(answer),
            look: Box::new(move || Box::new(look())),
        };
        Self { shared: Arc::new(shared), answers }
    }

    /// Queues a question.
    ///
    /// # Errors When the queue or the share of this key is full, when a look-up of this key is
    /// stuck, or when all threads are.
    pub(super) fn ask(&self, key: K, question: Q) -> Result<(), Refused> {
        let Limits { queue, each, .. } = self.shared.limits;
        let mut state = self.shared.lock();
        let waiting = state.waiting.get(&key).map_or(0, VecDeque::len);
        let stuck = state.stuck.iter().any(|(_, of)| *of == key);
        if stuck || state.len >= queue || waiting >= each {
            return Err(Refused);
        }
        self.start(&mut state)?;
        let state = &mut *state;
        if waiting == 0 {
            state.turns.push_back(key);
        }
        state.waiting.entry(key).or_default().push_back(question);
        state.len += 1;
        self.shared.asked.notify_one();
        Ok(())
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&self) -> Option<(K, A)> {
        self.answers.try_recv().ok()
    }

    /// The next answer, if it comes before `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Option<(K, A)> {
        self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// Replaces the active thread if its look-up is stuck by `now`. Returns the key of that
    /// look-up, whose other questions are dropped. Call this periodically.
    pub(super) fn tend(&self, now: Instant) -> Option<K> {
        let mut state = self.shared.lock();
        let patience = self.shared.limits.patience;
        let late = |since: &Instant| now.saturating_duration_since(*since) >= patience;
        let mut stuck = None;
        if let Some((key, _)) = state.busy.take_if(|(_, since)| late(since)) {
            let thread = state.active.take();
            state.stuck.extend(thread.map(|thread| (thread, key)));
            state.leave(key);
            stuck = Some(key);
        }
        if state.len > 0 && self.start(&mut state).is_err() {
            // Answers would come too late once a thread returns.
            state.waiting.clear();
            state.turns.clear();
            state.len = 0;
        }
        stuck
    }

    /// Starts a thread, unless one is active.
    fn start(&self, state: &mut State<K, Q>) -> Result<(), Refused> {
        if state.active.is_some() {
            return Ok(());
        }
        if state.stuck.len() >= self.shared.limits.stuck {
            return Err(Refused);
        }
        let thread = state.next;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name(self.shared.name.into())
            .stack_size(STACK)
            .spawn(move || shared.work(thread))
            .map_err(|error| {
                tracing::warn!("cannot start a thread for look-ups of files: {error}");
                Refused
            })?;
        state.next += 1;
        state.active = Some(thread);
        Ok(())
    }
}

impl<K, Q, A> Drop for Looker<K, Q, A> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.asked.notify_all();
    }
}

impl<K, Q, A> Shared<K, Q, A> {
    /// Locks the state. A panic cannot leave it half-changed: look-ups run without the lock.
    fn lock(&self) -> MutexGuard<'_, State<K, Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, Q, A> Shared<K, Q, A> {
    /// The main function of a thread.
    fn work(&self, thread: u64) {
        let _leaving = Leaving { shared: self, thread };
        let mut look = (self.look)();
        while let Some((key, question)) = self.next(thread) {
            let answer = look(&key, question);
            self.returned(thread);
            let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.send((key, answer)).is_err() {
                break;
            }
        }
    }

    /// Waits for the next question; `None` once another thread has taken over.
    fn next(&self, thread: u64) -> Option<(K, Q)> {
        let mut state = self.lock();
        while !state.closed && state.active == Some(thread) {
            if let Some((key, question)) = state.take() {
                state.busy = Some((key, Instant::now()));
                return Some((key, question));
            }
            state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Marks a look-up as done. A thread that was stuck becomes active again if no other is.
    fn returned(&self, thread: u64) {
        let mut state = self.lock();
        if state.active == Some(thread) {
            state.busy = None;
            return;
        }
        state.stuck.retain(|(other, _)| *other != thread);
        if state.active.is_none() {
            state.active = Some(thread);
        }
    }
}

/// Removes a thread from the state when it ends, also by a panic.
struct Leaving<'a, K: Copy + Eq + Hash, Q, A> {
    shared: &'a Shared<K, Q, A>,
    thread: u64,
}

impl<K: Copy + Eq + Hash, Q, A> Drop for Leaving<'_, K, Q, A> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stuck.retain(|(thread, _)| *thread != self.thread);
        if state.active == Some(self.thread) {
            (state.active, state.busy) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests;
