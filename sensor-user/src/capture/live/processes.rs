//! What is known of processes: whose copies they are, what was decided on them, and who they are.
//!
//! All of it belongs to a process, never to its id. A record of another process with an id that is
//! known means that the end of the former went by unseen; one with a newer count of execs, that an
//! exec did.
//!
//! A process that ends before `/proc` is read is what it was forked from, as long as it ran the same
//! program: the count of execs says that. So ended processes that others are copies of are kept for a
//! while.

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

/// How many forks without an exec are followed back.
const FORKS: usize = 16;

/// The processes that there is something to know of.
#[derive(Debug)]
pub(super) struct Processes {
    table: Table<ProcessKey, Process>,
    /// The latest of each id, of those in the table.
    latest: FxHashMap<Tgid, ProcessKey>,
    /// Those that have ended, the first first.
    ended: VecDeque<ProcessKey>,
}

/// What there is to know of a process.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// What it was forked from, if that was seen.
    pub(super) origin: Option<Origin>,
    /// What was decided on it, where that is user space's business.
    pub(super) verdict: Option<Decided>,
    pub(super) known: Option<Known>,
    /// The later stages have heard who it is.
    pub(super) announced: bool,
    /// Others are copies of it.
    copied: bool,
}

/// What a process was forked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) parent: ProcessKey,
    /// The parent's count of execs then, and the child's.
    pub(super) execs: u32,
}

/// A decision, and the count of execs of the program that it was made for. Other programs of the same process
/// stay traced, but not untraced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) traced: bool,
    pub(super) execs: u32,
}

/// Who a process is while it runs the program of that count of execs.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) execs: u32,
    pub(super) resource: Arc<Resource>,
}

/// Whether a count of execs is of a later program.
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

    /// The same, beginning to know of it.
    pub(super) fn entry(&mut self, process: ProcessKey) -> &mut Process {
        let (entry, evicted) = self.table.get_or_insert_with(process, Process::default);
        if let Some((evicted, _)) = evicted
            && self.latest.get(&evicted.tgid) == Some(&evicted)
        {
            self.latest.remove(&evicted.tgid);
        }
        entry
    }

    /// Something is seen of a process. Gives the former one with its id, if that is not known to have
    /// ended.
    pub(super) fn seen(&mut self, process: ProcessKey) -> Option<ProcessKey> {
        let before = self.latest.get(&process.tgid).copied();
        // Of the former one, something may come late.
        if before.is_none_or(|before| before.start < process.start) {
            self.entry(process);
            self.latest.insert(process.tgid, process);
            return before;
        }
        None
    }

    /// A process is a copy of another.
    pub(super) fn forked(&mut self, child: ProcessKey, origin: Origin) {
        self.entry(origin.parent).copied = true;
        self.entry(child).origin = Some(origin);
    }

    /// A process has ended. Says whether the later stages have to hear of it, and whether there was a
    /// decision on it.
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

    /// Whether a process is traced while it runs the program of that count of execs; `None` where there
    /// is no telling: it has ended. `look` says whether it is selected by what it runs now, if it
    /// is still there.
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
            // It may have been another program.
            Some(Decided { traced: false, execs: of }) if is_newer(of, execs) => return None,
            _ => {}
        }
        let own = look(process);
        let traced = if own == Some(true) {
            Some(true)
        } else {
            // What is forked from a process that is selected is selected with it.
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

    /// Who a process is while it runs the program of that count of execs; `None` where there is no
    /// telling. `look` asks `/proc`.
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
            // What `/proc` says is of a later program.
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
