//! Exchanges that somebody waits for who is no exchange: lines.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Forest, NodeId};
use crate::capture::event::Monotonic;
use crate::model::{SpanId, SpanKind, TraceId};

/// How long an exchange is known after its span was handed over, in nanoseconds: longer than a line waits,
/// and than it may be late.
const KNOWN: u64 = 20_000_000_000;

/// Exchanges that are over and known, at most.
const KNOWN_MAX: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    wanted: bool,
    watched: FxHashSet<NodeId>,
    news: Vec<NodeId>,
    over: FxHashMap<NodeId, Over>,
    order: VecDeque<(Monotonic, NodeId)>,
}

/// A server exchange whose span was handed over.
#[derive(Clone, Copy, Debug)]
struct Over {
    trace_id: TraceId,
    span_id: SpanId,
    answered: Option<Option<u32>>,
}

/// What becomes of something that is an exchange's if that one is answered, by a certain thread if one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trace) enum Owns {
    /// That is not known yet.
    Pending,
    /// It is that span's.
    To(TraceId, SpanId),
    /// It is not, or nobody will ever know.
    No,
}

impl Forest {
    /// From now on exchanges are remembered for a while after their end.
    pub(in crate::trace) fn remember(&mut self) {
        self.watch.wanted = true;
    }

    /// Whether an exchange has ended.
    pub(in crate::trace) fn is_over(&self, id: NodeId) -> bool {
        self.get(id).is_none_or(|node| node.end.is_some())
    }

    /// Whether something is an exchange's: `answer` says that the exchange has to be answered for that, `thread` by
    /// whom.
    pub(in crate::trace) fn owns(&self, id: NodeId, thread: Option<u32>, answer: bool) -> Owns {
        let (answered, ended, told) = match self.get(id) {
            Some(node) => {
                let told = node.settled.map(|settled| (settled.trace_id, node.identity.span_id));
                (node.answered, node.end.is_some(), told)
            }
            None => match self.watch.over.get(&id) {
                Some(over) => (over.answered, true, Some((over.trace_id, over.span_id))),
                None => return Owns::No,
            },
        };
        match (answered, thread, told) {
            (Some(by), Some(thread), _) if by != Some(thread) => Owns::No,
            (None, ..) if answer && ended => Owns::No,
            (None, ..) if answer => Owns::Pending,
            (.., Some((trace_id, span_id))) => Owns::To(trace_id, span_id),
            (.., None) => Owns::Pending,
        }
    }

    /// What becomes known of an exchange is news. It is settled before its end, if it can be.
    pub(in crate::trace) fn watch(&mut self, id: NodeId) {
        self.watch.watched.insert(id);
        self.settle(id, false);
        self.run();
    }

    /// Nobody waits for it any more.
    pub(in crate::trace) fn unwatch(&mut self, id: NodeId) {
        self.watch.watched.remove(&id);
    }

    /// Takes the exchanges of which something became known.
    pub(in crate::trace) fn news(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.watch.news)
    }

    /// Something became known of an exchange.
    pub(super) fn tell(&mut self, id: NodeId) {
        let Watch { watched, news, .. } = &mut self.watch;
        if !watched.is_empty() && watched.contains(&id) {
            news.push(id);
        }
    }

    /// An exchange's span is handed over: it will be forgotten here.
    pub(super) fn keep(&mut self, id: NodeId) {
        if !self.watch.wanted {
            return;
        }
        let Some(node) = self.get(id).filter(|node| node.kind == SpanKind::Server) else { return };
        let (span_id, answered) = (node.identity.span_id, node.answered);
        let Some(settled) = node.settled else { return };
        let now = self.now;
        let Watch { over, order, .. } = &mut self.watch;
        over.insert(id, Over { trace_id: settled.trace_id, span_id, answered });
        order.push_back((now, id));
        while let Some(&(since, first)) = order.front()
            && (order.len() > KNOWN_MAX || since.0.saturating_add(KNOWN) < now.0)
        {
            order.pop_front();
            over.remove(&first);
        }
    }
}
