//! Whose a line is: the same evidence as for a call, and what there is of exchanges that are over.
//!
//! A line that is written after the response is still its request's, where the writer has done nothing for
//! others since. Of a goroutine that is certain until it reads its next request. A thread may run what others
//! have left for it, so only one that has served a single connection counts, or the only one of its process that
//! serves any; and neither does after [`AFTER`].

use std::num::NonZeroU64;

use super::requests::Held;
use super::{Causes, Server, Threads, few::Few, one};
use crate::capture::event::{self, Caller, FlowId, Goroutine, Monotonic, ProcessKey};
use crate::context::RequestId;
use crate::table::Table;
use crate::trace::forest::{Evidence, Forest, NodeId};
use crate::trace::identity::Seed;

/// How long after the end of an exchange a line can be its, in nanoseconds.
pub(super) const AFTER: u64 = 5_000_000_000;

/// Goroutines and threads whose last exchange is remembered.
const REMEMBERED: usize = 16_384;

/// Whose a line is, if what is still to come bears it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trace) struct Found {
    pub(in crate::trace) node: NodeId,
    pub(in crate::trace) evidence: Evidence,
    /// The thread that has to answer the exchange, or to have answered it.
    pub(in crate::trace) thread: Option<u32>,
    /// It has to be answered before this is believed.
    pub(in crate::trace) answer: bool,
    /// It was over when the line was written.
    pub(in crate::trace) over: bool,
}

/// Exchanges that are over, by who handled them.
#[derive(Debug)]
pub(super) struct Past {
    /// Whether anybody asks for more than goroutines.
    pub(super) wanted: bool,
    goroutines: Table<(ProcessKey, NonZeroU64), Over>,
    threads: Table<(ProcessKey, u32), Thread>,
}

impl Default for Past {
    fn default() -> Self {
        Self { wanted: false, goroutines: Table::new(REMEMBERED), threads: Table::new(REMEMBERED) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Over {
    node: NodeId,
    at: Monotonic,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    over: Over,
    flow: FlowId,
    /// It has served other connections before.
    several: bool,
}

impl Past {
    /// Whether a goroutine has handled an exchange before.
    pub(super) fn knows(&mut self, process: ProcessKey, goroutine: NonZeroU64) -> bool {
        self.goroutines.get_mut((process, goroutine)).is_some()
    }

    /// An exchange of that goroutine is over.
    pub(super) fn goroutine(
        &mut self,
        process: ProcessKey,
        goroutine: NonZeroU64,
        node: NodeId,
        at: Monotonic,
    ) {
        self.goroutines.insert((process, goroutine), Over { node, at });
    }

    /// One of that thread, on that connection.
    pub(super) fn thread(
        &mut self,
        process: ProcessKey,
        tid: u32,
        flow: FlowId,
        node: NodeId,
        at: Monotonic,
    ) {
        let before = self.threads.get_mut((process, tid));
        let several = before.is_some_and(|before| before.several || before.flow != flow);
        let over = Over { node, at };
        self.threads.insert((process, tid), Thread { over, flow, several });
    }
}

impl Causes {
    /// Whose a line is that this caller writes.
    pub(in crate::trace) fn of_line(
        &mut self,
        process: ProcessKey,
        caller: &Caller,
        now: Monotonic,
        forest: &Forest,
    ) -> Option<Found> {
        let recent = |over: &Over| now.0.saturating_sub(over.at.0) <= AFTER;
        if let Some(goroutine) = caller.goroutine {
            self.line_of_goroutine(process, goroutine, recent)
        } else if self.is_go(process) {
            None
        } else if caller.multiplexes {
            self.line_of_loop(process, caller, forest)
        } else {
            self.line_of_thread(process, caller.tid, recent)
        }
    }

    /// Whose a record is that names these requests and was written at `time`; `by` is what else there is
    /// that says so.
    pub(in crate::trace) fn of_requests(
        &self,
        process: ProcessKey,
        ids: &[RequestId],
        time: Monotonic,
        by: Option<Found>,
    ) -> Option<Found> {
        match self.requests.held(process, ids, Seed::NONE, time) {
            Held::Nowhere => by,
            Held::One(holder) => Some(Found {
                node: holder.node,
                evidence: Evidence::RequestId,
                thread: None,
                answer: false,
                over: holder.is_over_at(time),
            }),
            Held::Several(nodes) => by.filter(|by| nodes.contains(&by.node)),
        }
    }

    fn line_of_goroutine(
        &mut self,
        process: ProcessKey,
        writer: Goroutine,
        recent: impl Fn(&Over) -> bool,
    ) -> Option<Found> {
        let evidence = Evidence::Goroutine;
        let found = |Server { node, answer, .. }| {
            Some(Found { node, evidence, thread: None, answer, over: false })
        };
        if let Some(open) = self.goroutines.get(&(process, writer.id)) {
            return sole(open).and_then(found);
        }
        if let Some(&mut over) = self.past.goroutines.get_mut((process, writer.id)) {
            let over = Some(over).filter(recent)?;
            return Some(Found {
                node: over.node,
                evidence,
                thread: None,
                answer: false,
                over: true,
            });
        }
        // One that was started may belong to a pool, and work for whoever else is there.
        let above = self.goroutines.get(&(process, writer.parent?))?;
        sole(above)
            .filter(|server| server.only && self.is_alone(process, server.node))
            .and_then(found)
    }

    fn line_of_thread(
        &mut self,
        process: ProcessKey,
        tid: u32,
        recent: impl Fn(&Over) -> bool,
    ) -> Option<Found> {
        let found = |node, over| Found {
            node,
            evidence: Evidence::Thread,
            thread: Some(tid),
            answer: true,
            over,
        };
        if let Some(open) = self.threads.get(&(process, tid)) {
            return sole(open).map(|server| found(server.node, false));
        }
        let alone = self.handlers.get(&process) == Some(&Threads::One(tid));
        let thread = self.past.threads.get_mut((process, tid))?;
        let certain = (alone || !thread.several) && recent(&thread.over);
        certain.then(|| found(thread.over.node, true))
    }

    fn line_of_loop(&self, process: ProcessKey, caller: &Caller, forest: &Forest) -> Option<Found> {
        let event::Cause { flow, position, alone } = caller.cause?;
        let read = self.acted_on(process, flow, position, alone, true)?;
        let node = read.server?;
        let over = forest.is_over(node);
        // Of several that are open, one may have waited in memory for the answer to another's call.
        (!read.answer || !over).then_some(Found {
            node,
            evidence: Evidence::EventLoop,
            thread: Some(caller.tid),
            answer: true,
            over,
        })
    }
}

/// The only one.
fn sole(servers: &Few<Server>) -> Option<Server> {
    one(Some(servers), Seed::NONE).unwrap_or(None)
}
