//! Looks at things that may block, in a thread of its own.
//!
//! A file system whose server is gone (NFS, FUSE) and an automount that never comes hold whoever walks into them,
//! for as long as they like. So the thread that reads the rings asks here, and goes on.
//!
//! - Questions wait in a queue of bounded length. Each key (a process, say) has a queue and a share of its own,
//!   and the keys take turns: one that asks for much waits for itself only.
//! - A look that takes longer than [`Limits::patience`] is *stuck*. Another thread takes over, and the key of that
//!   look is refused until it returns. Of stuck threads there are [`Limits::stuck`] at most: while there are so
//!   many, all looks are refused.
//! - Questions of one key are answered in their order.
//! - Nothing waits for a look: [`Looker::ask`] and [`Looker::answer`] never block, and dropping the looker leaves a
//!   stuck thread to the end of the process. (The kernel ends a process with its last thread. A thread that waits
//!   for a FUSE server which has taken its request and does not answer cannot be killed until that mount is gone.)

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
    /// Questions that wait.
    pub(super) queue: usize,
    /// Questions of one key that wait.
    pub(super) each: usize,
    /// How long a look may take until another thread takes over.
    pub(super) patience: Duration,
    /// Threads whose look is stuck.
    pub(super) stuck: usize,
}

/// The question is not taken: too many wait, or looks are stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Asks questions `Q` about keys `K`, and gets answers `A`.
pub(super) struct Looker<K, Q, A> {
    shared: Arc<Shared<K, Q, A>>,
    answers: Receiver<(K, A)>,
}

/// Answers the questions of one thread, and may remember things between them.
type Look<K, Q, A> = Box<dyn FnMut(&K, Q) -> A>;

struct Shared<K, Q, A> {
    name: &'static str,
    limits: Limits,
    state: Mutex<State<K, Q>>,
    asked: Condvar,
    answers: Mutex<Sender<(K, A)>>,
    /// Makes what answers in a thread.
    look: Box<dyn Fn() -> Look<K, Q, A> + Send + Sync>,
}

struct State<K, Q> {
    /// What waits, by key; never an empty queue.
    waiting: FxHashMap<K, VecDeque<Q>>,
    /// The keys of these, in the order of their turns.
    turns: VecDeque<K>,
    /// Questions in all queues.
    len: usize,
    /// The thread that takes questions; none before the first question, and none while all are stuck.
    active: Option<u64>,
    /// What it looks at, and since when.
    busy: Option<(K, Instant)>,
    /// The threads that another one took over from, and what they look at.
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

    /// Leaves what waits of a key.
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
    /// One that has been asked nothing. Its threads are called `name`, and each gets what answers its questions
    /// from `look`. The first one starts with the first question.
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

    /// Has a question answered some time.
    ///
    /// # Errors
    /// When too many questions wait, in all or of this key, or looks of this key are stuck, or too many are.
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

    /// Has another thread take over from one whose look takes too long by `now`. Returns the key of that look;
    /// what waits of it is left unanswered. To be called now and then.
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
            // They would be too old when one returns.
            state.waiting.clear();
            state.turns.clear();
            state.len = 0;
        }
        stuck
    }

    /// Sees to it that a thread takes questions.
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
                tracing::warn!("no thread can be started to look at files: {error}");
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
    /// The state is whole at any time: what panics does not hold the lock.
    fn lock(&self) -> MutexGuard<'_, State<K, Q>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, Q, A> Shared<K, Q, A> {
    /// The life of a thread.
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

    /// The next question, if it is this thread that takes it.
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

    /// A look is over. If it was stuck, and all others are, its thread takes questions again.
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

/// A thread ends, be it by a panic: then another one may be started in its place.
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
