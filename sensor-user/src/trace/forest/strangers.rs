//! Which processes handle requests of strangers that ask not to be recorded.
//!
//! Such a process may pass the stranger's decision on with its own requests. Where the evidence does
//! not say which request a call belongs to, the decision on that call may be a stranger's while one
//! of theirs is open in the process, and for a while after.

use rustc_hash::FxHashMap;

use crate::capture::event::{Monotonic, ProcessKey};

/// How long a request that is over may go on in what it has left behind, in nanoseconds.
const AFTER: u64 = 30_000_000_000;

/// Processes that are told apart. With more, every process counts as one of them.
const PROCESSES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Strangers {
    processes: FxHashMap<ProcessKey, Requests>,
    /// When a request found no room.
    crowded: Option<Monotonic>,
}

#[derive(Debug)]
struct Requests {
    open: u32,
    /// When one was over last.
    over: Option<Monotonic>,
}

impl Requests {
    fn matter(&self, now: Monotonic) -> bool {
        self.open > 0 || self.over.is_some_and(|over| is_recent(over, now))
    }
}

fn is_recent(then: Monotonic, now: Monotonic) -> bool {
    now.0.saturating_sub(then.0) <= AFTER
}

impl Strangers {
    /// A request is open in the process.
    pub(super) fn enter(&mut self, process: ProcessKey, now: Monotonic) {
        if self.processes.len() >= PROCESSES && !self.processes.contains_key(&process) {
            self.processes.retain(|_, requests| requests.matter(now));
            if self.processes.len() >= PROCESSES {
                self.crowded = Some(now);
                return;
            }
        }
        self.processes.entry(process).or_insert(Requests { open: 0, over: None }).open += 1;
    }

    /// It is over.
    pub(super) fn over(&mut self, process: ProcessKey, now: Monotonic) {
        match self.processes.get_mut(&process) {
            Some(requests) => {
                requests.open = requests.open.saturating_sub(1);
                requests.over = Some(now);
            }
            None => self.crowded = Some(now),
        }
    }

    /// It is no stranger's: its caller is seen here.
    pub(super) fn known(&mut self, process: ProcessKey) {
        let Some(requests) = self.processes.get_mut(&process) else { return };
        requests.open = requests.open.saturating_sub(1);
        if requests.open == 0 && requests.over.is_none() {
            self.processes.remove(&process);
        }
    }

    /// What a process sends may be on behalf of one.
    pub(super) fn may_cause(&self, process: ProcessKey, now: Monotonic) -> bool {
        self.processes.get(&process).is_some_and(|requests| requests.matter(now))
            || self.crowded.is_some_and(|crowded| is_recent(crowded, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProcessKey = ProcessKey::undated(1);

    #[test]
    fn a_request_matters_while_it_is_open_and_for_a_while() {
        let mut strangers = Strangers::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
        assert!(!strangers.may_cause(A, at(0)));
        strangers.enter(A, at(0));
        strangers.enter(A, at(0));
        strangers.known(A);
        assert!(
            strangers.may_cause(A, at(3600)) && !strangers.may_cause(ProcessKey::undated(2), at(0))
        );
        strangers.over(A, at(3600));
        assert!(strangers.may_cause(A, at(3630)) && !strangers.may_cause(A, at(3631)));
        strangers.enter(A, at(4000));
        strangers.known(A);
        assert!(!strangers.may_cause(A, at(4000)));
    }

    #[test]
    fn too_many_processes_are_all_of_them() {
        let mut strangers = Strangers::default();
        for tgid in 0..5000 {
            strangers.enter(ProcessKey::undated(tgid), Monotonic(0));
        }
        assert_eq!(strangers.processes.len(), PROCESSES);
        assert!(strangers.may_cause(ProcessKey::undated(4999), Monotonic(AFTER)));
        (0..5000).for_each(|tgid| strangers.over(ProcessKey::undated(tgid), Monotonic(0)));
        let late = Monotonic(AFTER + 1);
        assert!(!strangers.may_cause(ProcessKey::undated(4999), late));
        strangers.enter(ProcessKey::undated(4999), late);
        assert_eq!(strangers.processes.len(), 1, "what is over makes room");
    }
}
