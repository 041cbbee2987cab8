//! Exchanges and what caused them, until it is settled what becomes of their spans.
//!
//! Each exchange is a node from its request on. A server exchange hangs below the client exchange at
//! the other end of its connection, if that is seen here too; a client exchange below the server
//! exchange that caused it, where there is evidence of that (see [`super::causes`]). A span is handed
//! over when its place is settled:
//!
//! - **A client's** when it has ended and its cause goes on, or when its cause has ended: the cause must
//!   contain it. Where the evidence is a thread, the answer to the cause must come from the same
//!   one; and an answer there must be, in HTTP/1, because only then it is known that none was lost.
//! - **A server's** when its client's is, or when none is to come any more.
//! - Whatever has no trace context of its own gets the trace of what it hangs below, and so waits for
//!   that to be settled.
//!
//! What comes of a doubt is a root with a link to the candidate and the reason. Nothing waits for
//! ever: after [`FORCED`], or if too many wait, a span goes as what is known by then makes it.

mod pairing;
mod place;
mod slots;
mod strangers;
mod watch;

use std::collections::{HashMap, VecDeque};

use super::identity::{Identity, Seed};
use super::origin::Origin;
use crate::capture::event::{Monotonic, ProcessKey};
use crate::metrics::{Counter, Metrics};
use crate::model::{Span, SpanId, SpanKind, TraceId};

use place::Settled;
pub use place::{DOUBT, EVIDENCE, FAR_END, FOREIGN_TRACE};
pub(super) use place::{Doubt, Evidence};
use strangers::Strangers;
pub(super) use watch::Owns;
use watch::Watch;

/// How long the other end of a connection may be behind, in nanoseconds: a thread that has sent a request may
/// lose its core before its call is over, and be seen after the answer.
const PAIRED: u64 = 20_000_000;

/// How long a span waits at most, in nanoseconds.
const FORCED: u64 = 10_000_000_000;

/// How far up it is looked for what can be settled at once. What is beyond that settles by itself, when its
/// time has come.
const DEPTH: usize = 64;

/// From so many below one exchange on, it is looked which of them still wait.
const CROWD: usize = 32;

/// An exchange; never another's later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId {
    index: u32,
    generation: u32,
}

/// What an exchange hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) node: NodeId,
    pub(super) evidence: Evidence,
    /// The thread that has to answer it.
    pub(super) thread: Option<u32>,
    /// It has to be answered before anything is believed.
    pub(super) answer: bool,
}

/// A cause that is not known, though there is something that speaks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) doubt: Doubt,
    /// What may be it.
    pub(super) candidate: Option<(TraceId, SpanId)>,
}

impl From<Doubt> for Unknown {
    fn from(doubt: Doubt) -> Self {
        Self { doubt, candidate: None }
    }
}

/// An exchange that begins.
#[derive(Debug)]
pub(super) struct New {
    pub(super) kind: SpanKind,
    pub(super) process: ProcessKey,
    pub(super) identity: Identity,
    /// The request brought a trace context.
    pub(super) in_context: bool,
    pub(super) start: Monotonic,
    /// The same at both ends.
    pub(super) key: Seed,
    /// The other end may be on this node.
    pub(super) paired: bool,
    /// Where a server's request comes from, unless its other end is seen here.
    pub(super) origin: Origin,
    /// What caused it, or that it is not known which of several did.
    pub(super) cause: Result<Option<Cause>, Unknown>,
}

#[derive(Debug)]
struct Node {
    kind: SpanKind,
    process: ProcessKey,
    identity: Identity,
    in_context: bool,
    origin: Origin,
    /// A stranger asks that it not be recorded, as far as is known by now.
    stranger: bool,
    start: Monotonic,
    end: Option<Monotonic>,
    key: Seed,
    may_pair: bool,
    pair: Option<NodeId>,
    /// When the other end began and ended.
    pair_start: Option<Monotonic>,
    pair_end: Option<Monotonic>,
    cause: Result<Option<Cause>, Unknown>,
    /// Once it is answered: by which thread, if that is known.
    answered: Option<Option<u32>>,
    settled: Option<Settled>,
    /// Once it has ended, until it is handed over.
    span: Option<Box<Span>>,
    /// Those that wait for it, or did.
    below: Vec<NodeId>,
    /// The one whose `below` it was put into last.
    listed: Option<NodeId>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug)]
enum Task {
    Settle(NodeId),
    /// All that hung below it has been settled.
    Free(NodeId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Forest {
    slots: Vec<(u32, Option<Node>)>,
    free: Vec<u32>,
    /// Exchanges whose other end was not seen yet. A sender can choose its seed: hence the keyed hash.
    unpaired: HashMap<Seed, NodeId>,
    /// Servers that may yet be paired, by their start.
    pairing: VecDeque<(Monotonic, NodeId)>,
    /// Spans that wait, by when they began to.
    ended: VecDeque<(Monotonic, NodeId)>,
    waiting: usize,
    waiting_max: usize,
    now: Monotonic,
    tasks: VecDeque<Task>,
    ready: Vec<Span>,
    watch: Watch,
    strangers: Strangers,
    /// The traces of foreign callers go no further.
    restarts: bool,
}

impl Forest {
    /// At most `waiting_max` spans wait.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            unpaired: HashMap::new(),
            pairing: VecDeque::new(),
            ended: VecDeque::new(),
            waiting: 0,
            waiting_max,
            now: Monotonic(0),
            tasks: VecDeque::new(),
            ready: Vec::new(),
            watch: Watch::default(),
            strangers: Strangers::default(),
            restarts: false,
        }
    }

    /// From now on, exchanges of foreign callers begin traces.
    pub(super) fn restart_foreign_traces(&mut self) {
        self.restarts = true;
    }

    /// How late it is.
    pub(super) fn now(&self) -> Monotonic {
        self.now
    }

    /// Spans that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes an exchange in.
    pub(super) fn begin(&mut self, new: New) -> NodeId {
        let New { kind, process, identity, in_context, start, key, paired, origin, cause } = new;
        let asks = kind == SpanKind::Server && identity.remote_sampled == Some(false);
        let stranger = asks && origin != Origin::Trusted && matches!(cause, Ok(None));
        if stranger {
            self.strangers.enter(process, start);
        }
        let id = self.place(Node {
            kind,
            process,
            identity,
            in_context,
            origin,
            stranger,
            start,
            end: None,
            key,
            may_pair: paired && kind == SpanKind::Server,
            pair: None,
            pair_start: None,
            pair_end: None,
            cause: cause.map(|_| None),
            answered: None,
            settled: None,
            span: None,
            below: Vec::new(),
            listed: None,
        });
        if let Ok(Some(cause)) = cause {
            self.set_cause(id, cause);
        }
        self.pair(id, key, kind, start);
        if self.get(id).is_some_and(|node| node.may_pair && node.pair.is_none()) {
            self.pairing.push_back((start, id));
        }
        id
    }

    /// What caused an exchange is known now.
    pub(super) fn set_cause(&mut self, id: NodeId, cause: Cause) {
        if id != cause.node {
            self.with(id, |node| node.cause = Ok(Some(cause)));
            self.list(id, cause.node);
        }
    }

    /// Whether nothing is known of what caused an exchange.
    pub(super) fn is_uncaused(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| !matches!(node.cause, Ok(Some(_))))
    }

    /// The server exchange that the exchange is, or hangs below.
    pub(super) fn server(&self, id: NodeId) -> Option<NodeId> {
        let node = self.get(id)?;
        match node.kind {
            SpanKind::Server => Some(id),
            SpanKind::Client => node.cause.ok().flatten().map(|cause| cause.node),
        }
    }

    pub(super) fn is_answered(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| node.answered.is_some())
    }

    /// The exchange is answered, by this thread if it is known.
    pub(super) fn answered(&mut self, id: NodeId, thread: Option<u32>) {
        self.with(id, |node| {
            node.answered.get_or_insert(thread);
        });
        self.tell(id);
    }

    /// The exchange ended, and this is its span.
    pub(super) fn end(&mut self, id: NodeId, end: Monotonic, span: Span) {
        let Some(node) = self.get_mut(id) else {
            return self.ready.push(span);
        };
        node.end = Some(end);
        let pair = node.pair;
        self.leave(id, end);
        self.tell(id);
        if let Some(pair) = pair {
            self.with(pair, |pair| pair.pair_end = Some(end));
        }
        self.outlive(id);
        self.settle(id, false);
        let Some(node) = self.get_mut(id) else { return };
        if node.settled.is_some() {
            let span = node.told(span);
            self.hand_over(id, span);
        } else {
            node.span = Some(Box::new(span));
            self.waiting += 1;
            self.ended.push_back((self.now, id));
            self.wake(id);
        }
        self.run();
    }

    /// The exchange is lost: there will be no span.
    pub(super) fn lose(&mut self, id: NodeId) {
        self.wake(id);
        self.leave(id, self.now);
        self.remove(id);
        self.tell(id);
        self.run();
    }

    /// It is this late: of what was before, hardly anything is to come.
    pub(super) fn advance(&mut self, now: Monotonic, metrics: &Metrics) {
        self.now = self.now.max(now);
        while let Some(&(start, id)) = self.pairing.front()
            && start.0.saturating_add(PAIRED) <= self.now.0
        {
            self.pairing.pop_front();
            self.with(id, |node| node.may_pair = false);
            self.tasks.push_back(Task::Settle(id));
            self.run();
        }
        while let Some(&(since, id)) = self.ended.front() {
            let waits = self.get(id).is_some_and(|node| node.span.is_some());
            let crowded = self.waiting > self.waiting_max;
            if waits && !crowded && since.0.saturating_add(FORCED) > self.now.0 {
                break;
            }
            self.ended.pop_front();
            if waits {
                self.force(id, metrics);
            }
        }
    }

    /// No more is to come: everything that waits is handed over.
    pub(super) fn finish(&mut self, metrics: &Metrics) {
        self.advance(Monotonic(self.now.0.saturating_add(PAIRED)), metrics);
        while let Some((_, id)) = self.ended.pop_front() {
            if self.get(id).is_some_and(|node| node.span.is_some()) {
                self.force(id, metrics);
            }
        }
    }

    /// Takes the spans that are settled.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = Span> + '_ {
        self.ready.drain(..)
    }

    /// How many are in the lists of all exchanges.
    #[cfg(test)]
    pub(super) fn listed(&self) -> usize {
        self.slots.iter().filter_map(|(_, node)| node.as_ref()).map(|node| node.below.len()).sum()
    }

    /// Has those look again that hang below an exchange.
    fn wake(&mut self, id: NodeId) {
        let Self { slots, tasks, .. } = self;
        let Some((generation, Some(node))) = slots.get_mut(id.index as usize) else { return };
        if *generation == id.generation {
            tasks.extend(node.below.drain(..).map(Task::Settle));
        }
    }

    fn run(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Settle(id) => {
                    self.with(id, |node| node.listed = None);
                    self.settle(id, false);
                }
                Task::Free(id) => self.remove(id),
            }
        }
    }

    /// Settles an exchange whatever is missing.
    fn force(&mut self, id: NodeId, metrics: &Metrics) {
        metrics.inc(Counter::SpansUnsettled);
        self.settle(id, true);
        // What would have to be known first is too far away.
        if self.get(id).is_some_and(|node| node.settled.is_none()) {
            self.with(id, |node| {
                let doubt = Some((Doubt::Unsettled, None));
                node.settled = Some(Settled { doubt, ..node.alone() });
            });
            self.settle(id, true);
        }
        self.run();
    }

    /// Settles an exchange if it can be, and what it hangs below; hands over the spans that waited.
    fn settle(&mut self, id: NodeId, force: bool) {
        if let Some(above) = self.above(id) {
            let mut chain = vec![above];
            let mut last = above;
            while chain.len() < DEPTH
                && let Some(above) = self.above(last)
            {
                chain.push(above);
                last = above;
            }
            for &above in chain.iter().rev() {
                self.settle_one(above, force);
            }
        }
        self.settle_one(id, force);
    }

    fn settle_one(&mut self, id: NodeId, force: bool) {
        let Some(node) = self.get(id) else { return };
        if node.settled.is_none() {
            let Some(settled) = self.decide(node, force) else {
                if let Some(above) = self.above(id).or_else(|| self.cause(id)) {
                    self.list(id, above);
                }
                return;
            };
            self.with(id, |node| node.settled = Some(settled));
            self.tell(id);
            self.wake(id);
        }
        let Some(node) = self.get_mut(id) else { return };
        if let Some(span) = node.span.take() {
            let span = node.told(*span);
            self.waiting -= 1;
            self.hand_over(id, span);
        }
    }

    /// What has to be settled before an exchange, and is not.
    fn above(&self, id: NodeId) -> Option<NodeId> {
        let node = self.get(id).filter(|node| node.settled.is_none())?;
        let above = self.cause(id).or(node.pair.filter(|_| node.kind == SpanKind::Server))?;
        self.get(above).is_some_and(|above| above.settled.is_none()).then_some(above)
    }

    fn cause(&self, id: NodeId) -> Option<NodeId> {
        self.get(id)?.cause.ok().flatten().map(|cause| cause.node)
    }

    /// Has an exchange look again when something becomes known of the one above.
    fn list(&mut self, id: NodeId, above: NodeId) {
        if self.get(id).is_none_or(|node| node.listed == Some(above)) {
            return;
        }
        let Some(there) = self.get_mut(above) else { return };
        // A stream that is open for a day may have millions of calls below it, which are long settled.
        if there.below.len() == there.below.capacity() && there.below.len() >= CROWD {
            let mut below = std::mem::take(&mut there.below);
            below.retain(|&other| self.get(other).is_some_and(|node| node.settled.is_none()));
            below.reserve(below.len().max(CROWD));
            self.with(above, |there| there.below = below);
        }
        self.with(above, |there| there.below.push(id));
        self.with(id, |node| node.listed = Some(above));
    }

    /// Its place is settled. It is forgotten once those below it have looked.
    fn hand_over(&mut self, id: NodeId, span: Span) {
        self.ready.push(span);
        self.keep(id);
        self.wake(id);
        self.tasks.push_back(Task::Free(id));
    }
}
