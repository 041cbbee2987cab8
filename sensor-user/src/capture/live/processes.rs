//! The state that is kept of each process: its parent at the fork, the verdict, and the identity.
//!
//! State belongs to a process (id and start time), never to an id. A record of another process with
//! a known id shows that the exit record of the former process was lost; a newer exec count shows
//! that an exec record was lost.
//!
//! A process may end before `/proc` is read. If it ran the program of its parent (the exec count
//! shows that), it has its parent's verdict and identity. Ended processes with children are
//! therefore kept for a while.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sensor_ebpf::limits::PROCESSES;

use crate::capture::event::{ProcessKey, Tgid};
use crate::model::Resource;
use crate::process::{Identified, copied};
use crate::table::Table;

/// Ended processes that are kept for those that were forked from them.
const ENDED: usize = 1024;

/// Ancestors that are looked at.
const FORKS: usize = 16;

/// Processes by id and start time, with a cap: unused ones make room.
#[derive(Debug)]
pub(super) struct Processes {
    table: Table<ProcessKey, Process>,
    /// The latest of each id, of those in the table.
    latest: FxHashMap<Tgid, ProcessKey>,
    /// Ended processes that have children, oldest first.
    ended: VecDeque<ProcessKey>,
}

/// The state of one process.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// The fork that made it, if its record was seen.
    pub(super) origin: Option<Origin>,
    /// Whether it is traced, where user space decides that.
    pub(super) verdict: Option<Decided>,
    pub(super) known: Option<Known>,
    /// The later stages know its identity.
    pub(super) announced: bool,
    /// It has forked.
    copied: bool,
}

/// The fork that made a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) parent: ProcessKey,
    /// The parent's count of execs then, and the child's.
    pub(super) execs: u32,
}

/// A verdict, and the exec count of the program that it was made for. It holds for later programs
/// of the process if it is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) traced: bool,
    pub(super) execs: u32,
}

/// The identity of a process while it runs the program with this exec count.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) execs: u32,
    pub(super) resource: Arc<Resource>,
}

/// Whether an exec count belongs to a later program. Counts may wrap.
pub(super) fn is_newer(execs: u32, than: u32) -> bool {
    let distance = execs.wrapping_sub(than);
    distance != 0 && distance <= u32::MAX / 2
}

impl Default for Processes {
    fn default() -> Self {
        Self::with_room(PROCESSES as usize)
    }
}

impl Processes {
    fn with_room(processes: usize) -> Self {
        Self { table: Table::new(processes), latest: FxHashMap::default(), ended: VecDeque::new() }
    }

    pub(super) fn get(&mut self, process: ProcessKey) -> Option<&mut Process> {
        self.table.get_mut(process)
    }

    /// The state of a process, new if there is none yet.
    pub(super) fn entry(&mut self, process: ProcessKey) -> &mut Process {
        let (entry, evicted) = self.table.get_or_insert_with(process, Process::default);
        if let Some((evicted, _)) = evicted
            && self.latest.get(&evicted.tgid) == Some(&evicted)
        {
            self.latest.remove(&evicted.tgid);
        }
        entry
    }

    /// Notes that a process exists. Returns the former process with its id, if its exit was not
    /// seen.
    pub(super) fn seen(&mut self, process: ProcessKey) -> Option<ProcessKey> {
        let before = self.latest.get(&process.tgid).copied();
        // A record of the former process may come late.
        if before.is_none_or(|before| before.start < process.start) {
            self.entry(process);
            self.latest.insert(process.tgid, process);
            return before;
        }
        None
    }

    /// Notes a fork.
    pub(super) fn forked(&mut self, child: ProcessKey, origin: Origin) {
        self.entry(origin.parent).copied = true;
        self.entry(child).origin = Some(origin);
    }

    /// Ends a process. Returns whether the later stages need its end, and whether there was a
    /// verdict.
    pub(super) fn end(&mut self, process: ProcessKey) -> (bool, bool) {
        if self.latest.get(&process.tgid) == Some(&process) {
            self.latest.remove(&process.tgid);
        }
        let Some(there) = self.table.get_mut(process) else {
            // It may have been announced, and had to make room since.
            return (true, true);
        };
        let ended = (std::mem::take(&mut there.announced), there.verdict.is_some());
        if !there.copied {
            self.table.remove(process);
            return ended;
        }
        self.ended.push_back(process);
        if self.ended.len() > ENDED
            && let Some(first) = self.ended.pop_front()
        {
            self.table.remove(first);
        }
        ended
    }

    /// Whether a process is traced while it runs the program with this exec count; `None` if that
    /// cannot be known any more. `look` says whether a process is selected by its current program,
    /// or `None` if the process has ended.
    pub(super) fn decide(
        &mut self,
        process: ProcessKey,
        execs: u32,
        look: &mut dyn FnMut(ProcessKey) -> Option<bool>,
    ) -> Option<bool> {
        self.decide_within(process, execs, look, FORKS)
    }

    fn decide_within(
        &mut self,
        process: ProcessKey,
        execs: u32,
        look: &mut dyn FnMut(ProcessKey) -> Option<bool>,
        forks: usize,
    ) -> Option<bool> {
        let forks = forks.checked_sub(1)?;
        let (verdict, origin) =
            self.get(process).map_or((None, None), |there| (there.verdict, there.origin));
        match verdict {
            Some(Decided { traced: true, execs: since }) => {
                return (!is_newer(since, execs)).then_some(true);
            }
            Some(Decided { traced: false, execs: of }) if of == execs => return Some(false),
            // The verdict is on a later program.
            Some(Decided { traced: false, execs: of }) if is_newer(of, execs) => return None,
            _ => {}
        }
        let own = look(process);
        let traced = if own == Some(true) {
            Some(true)
        } else {
            // Children of a selected process are selected.
            let inherited = origin.and_then(|origin| {
                let Origin { parent, execs: then } = origin;
                let traced = self.decide_within(parent, then, look, forks);
                traced.filter(|&traced| traced || then == execs)
            });
            if inherited == Some(true) { inherited } else { own.or(inherited) }
        };
        if let Some(traced) = traced {
            self.entry(process).verdict = Some(Decided { traced, execs });
        }
        traced
    }

    /// The identity of a process while it runs the program with this exec count; `None` if that
    /// cannot be known any more. `look` reads `/proc`.
    pub(super) fn identity(
        &mut self,
        process: ProcessKey,
        execs: u32,
        look: &mut dyn FnMut(ProcessKey) -> Option<Identified>,
    ) -> Option<Arc<Resource>> {
        self.identity_within(process, execs, look, FORKS)
    }

    fn identity_within(
        &mut self,
        process: ProcessKey,
        execs: u32,
        look: &mut dyn FnMut(ProcessKey) -> Option<Identified>,
        forks: usize,
    ) -> Option<Arc<Resource>> {
        let forks = forks.checked_sub(1)?;
        let origin = self.get(process).and_then(|there| there.origin);
        match self.get(process).and_then(|there| there.known.as_ref()) {
            Some(known) if known.execs == execs => return Some(Arc::clone(&known.resource)),
            // `/proc` shows a later program.
            Some(known) if is_newer(known.execs, execs) => return None,
            _ => {}
        }
        let found = look(process);
        let resource = match found {
            Some(Identified { resource, complete: true }) => Arc::new(resource),
            found => {
                let inherited = origin.filter(|origin| origin.execs == execs).and_then(|origin| {
                    let parent = self.identity_within(origin.parent, execs, look, forks)?;
                    Some(copied(&parent, process, origin.parent))
                });
                Arc::new(inherited.or(found.map(|found| found.resource))?)
            }
        };
        self.entry(process).known = Some(Known { execs, resource: Arc::clone(&resource) });
        Some(resource)
    }
}

#[cfg(test)]
mod tests;
