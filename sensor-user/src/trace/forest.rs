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

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::identity::{Identity, Seed};
use crate::capture::event::Monotonic;
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Link, Span, SpanId, SpanKind, TraceFlags, TraceId};

/// How long the other end of a connection may be behind, in nanoseconds: a thread that has sent a request may
/// lose its core before its call is over, and be seen after the answer.
const PAIRED: u64 = 20_000_000;

/// How long a span waits at most, in nanoseconds.
const FORCED: u64 = 10_000_000_000;

/// How far up it is looked for what can be settled at once. What is beyond that settles by itself, when its
/// time has come.
const DEPTH: usize = 64;

/// Attribute: what says that the parent is the parent; one of the names of [`Evidence`].
pub const EVIDENCE: &str = "sensor.parent.evidence";

/// Attribute of a span without a parent, and of its link to a candidate: why that is not the parent; one of
/// the names of [`Doubt`].
pub const DOUBT: &str = "sensor.parent.missing";

/// What a parent is known by, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// The same trace context came in and went out.
    Context,
    /// The server began it within this exchange (PUSH_PROMISE).
    Promise,
    /// The other end of the same exchange.
    Connection,
    /// The same request id came in and went out.
    RequestId,
    /// The goroutine that handles the one asked for the other.
    Goroutine,
    /// The thread that handles the one sent the other meanwhile.
    Thread,
    /// What the event loop's thread read last before it sent the request.
    EventLoop,
}

impl Evidence {
    const fn name(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Promise => "promise",
            Self::Connection => "connection",
            Self::RequestId => "request_id",
            Self::Goroutine => "goroutine",
            Self::Thread => "thread",
            Self::EventLoop => "event_loop",
        }
    }
}

/// Why a candidate is not the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It ended before.
    Outlived,
    /// It began later.
    BeganBefore,
    /// There are several.
    Ambiguous,
    /// Its answer came from another thread: it was handed on.
    AnsweredElsewhere,
    /// It was lost.
    Lost,
    /// The application says that it is another trace.
    OtherTrace,
    /// It was not settled in time.
    Unsettled,
}

impl Doubt {
    const fn name(self) -> &'static str {
        match self {
            Self::Outlived => "outlived",
            Self::BeganBefore => "began_before",
            Self::Ambiguous => "ambiguous",
            Self::AnsweredElsewhere => "answered_elsewhere",
            Self::Lost => "lost",
            Self::OtherTrace => "other_trace",
            Self::Unsettled => "unsettled",
        }
    }
}

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

/// An exchange that begins.
#[derive(Debug)]
pub(super) struct New {
    pub(super) kind: SpanKind,
    pub(super) identity: Identity,
    /// The request brought a trace context.
    pub(super) in_context: bool,
    pub(super) start: Monotonic,
    /// The same at both ends.
    pub(super) key: Seed,
    /// The other end may be on this node.
    pub(super) paired: bool,
    /// What caused it, or that it is not known which of several did.
    pub(super) cause: Result<Option<Cause>, Doubt>,
}

#[derive(Debug)]
struct Node {
    kind: SpanKind,
    identity: Identity,
    in_context: bool,
    start: Monotonic,
    end: Option<Monotonic>,
    key: Seed,
    may_pair: bool,
    pair: Option<NodeId>,
    /// When the other end began and ended.
    pair_start: Option<Monotonic>,
    pair_end: Option<Monotonic>,
    cause: Result<Option<Cause>, Doubt>,
    /// Once it is answered: by which thread, if that is known.
    answered: Option<Option<u32>>,
    settled: Option<Settled>,
    /// Once it has ended, until it is handed over.
    span: Option<Box<Span>>,
    /// Those that hang below it, or wait for it.
    below: Vec<NodeId>,
}

/// Where an exchange belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settled {
    trace_id: TraceId,
    flags: TraceFlags,
    /// With the evidence, unless the request itself names it.
    parent: Option<(SpanId, Option<Evidence>)>,
    doubt: Option<(Doubt, Option<(TraceId, SpanId)>)>,
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
    /// Exchanges whose other end was not seen yet.
    unpaired: FxHashMap<Seed, NodeId>,
    /// Servers that may yet be paired, by their start.
    pairing: VecDeque<(Monotonic, NodeId)>,
    /// Spans that wait, by when they began to.
    ended: VecDeque<(Monotonic, NodeId)>,
    waiting: usize,
    waiting_max: usize,
    now: Monotonic,
    tasks: VecDeque<Task>,
    ready: Vec<Span>,
}

impl Forest {
    /// At most `waiting_max` spans wait.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            unpaired: FxHashMap::default(),
            pairing: VecDeque::new(),
            ended: VecDeque::new(),
            waiting: 0,
            waiting_max,
            now: Monotonic(0),
            tasks: VecDeque::new(),
            ready: Vec::new(),
        }
    }

    /// Spans that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes an exchange in.
    pub(super) fn begin(&mut self, new: New) -> NodeId {
        let New { kind, identity, in_context, start, key, paired, cause } = new;
        let id = self.place(Node {
            kind,
            identity,
            in_context,
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
            self.with(cause.node, |node| node.below.push(id));
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
    }

    /// The exchange ended, and this is its span.
    pub(super) fn end(&mut self, id: NodeId, end: Monotonic, span: Span) {
        let Some(node) = self.get_mut(id) else {
            return self.ready.push(span);
        };
        node.end = Some(end);
        if let Some(pair) = node.pair {
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
        self.remove(id);
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

    /// Spans that are settled.
    pub(super) fn take_ready(&mut self) -> Option<Vec<Span>> {
        (!self.ready.is_empty()).then(|| std::mem::take(&mut self.ready))
    }

    /// Gives the emptied memory back.
    pub(super) fn reuse(&mut self, spans: Vec<Span>) {
        self.ready = spans;
    }

    fn place(&mut self, node: Node) -> NodeId {
        match self.free.pop() {
            Some(index) => {
                let (generation, slot) = &mut self.slots[index as usize];
                *slot = Some(node);
                NodeId { index, generation: *generation }
            }
            None => {
                self.slots.push((0, Some(node)));
                let index = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
                NodeId { index, generation: 0 }
            }
        }
    }

    fn get(&self, id: NodeId) -> Option<&Node> {
        let (generation, node) = self.slots.get(id.index as usize)?;
        node.as_ref().filter(|_| *generation == id.generation)
    }

    fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let (generation, node) = self.slots.get_mut(id.index as usize)?;
        node.as_mut().filter(|_| *generation == id.generation)
    }

    fn with(&mut self, id: NodeId, act: impl FnOnce(&mut Node)) {
        if let Some(node) = self.get_mut(id) {
            act(node);
        }
    }

    fn remove(&mut self, id: NodeId) {
        let Some((generation, slot)) = self.slots.get_mut(id.index as usize) else { return };
        if *generation != id.generation {
            return;
        }
        let Some(node) = slot.take() else { return };
        *generation = generation.wrapping_add(1);
        self.free.push(id.index);
        self.waiting -= usize::from(node.span.is_some());
        if node.pair.is_none()
            && let Entry::Occupied(there) = self.unpaired.entry(node.key)
            && *there.get() == id
        {
            there.remove();
        }
    }

    /// Finds the other end of an exchange, or lets it be found.
    fn pair(&mut self, id: NodeId, key: Seed, kind: SpanKind, start: Monotonic) {
        let other = self.unpaired.insert(key, id);
        let Some(other) = other else { return };
        let Some(there) = self.get_mut(other).filter(|there| there.kind != kind) else {
            return;
        };
        there.pair = Some(id);
        there.pair_start = Some(start);
        let (other_start, other_end) = (there.start, there.end);
        self.unpaired.remove(&key);
        self.with(id, |node| {
            node.pair = Some(other);
            node.pair_start = Some(other_start);
            node.pair_end = other_end;
        });
        let server = if kind == SpanKind::Server { id } else { other };
        self.tasks.push_back(Task::Settle(server));
        self.run();
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
                Task::Settle(id) => self.settle(id, false),
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
        let mut chain = [id; DEPTH];
        let mut length = 1;
        while let Some(above) = self.above(chain[length - 1])
            && length < DEPTH
            && self.get(above).is_some_and(|above| above.settled.is_none())
        {
            chain[length] = above;
            length += 1;
        }
        for &id in chain[..length].iter().rev() {
            let Some(node) = self.get(id) else { continue };
            if node.settled.is_none() {
                let Some(settled) = self.decide(node, force) else {
                    self.wait_for(id);
                    continue;
                };
                self.with(id, |node| node.settled = Some(settled));
                self.wake(id);
            }
            let Some(node) = self.get_mut(id) else { continue };
            if let Some(span) = node.span.take() {
                let span = node.told(*span);
                self.waiting -= 1;
                self.hand_over(id, span);
            }
        }
    }

    /// What has to be settled before an exchange.
    fn above(&self, id: NodeId) -> Option<NodeId> {
        let node = self.get(id).filter(|node| node.settled.is_none())?;
        match (node.kind, node.pair, node.cause) {
            (_, _, Ok(Some(cause))) => Some(cause.node),
            (SpanKind::Server, pair, _) => pair,
            (SpanKind::Client, ..) => None,
        }
    }

    fn wait_for(&mut self, id: NodeId) {
        if let Some(above) = self.above(id)
            && let Some(above) = self.get_mut(above)
            && !above.below.contains(&id)
        {
            above.below.push(id);
        }
    }

    /// Where an exchange belongs; `None` where that is not known yet.
    fn decide(&self, node: &Node, force: bool) -> Option<Settled> {
        match (node.kind, node.cause) {
            (_, Ok(Some(cause))) => self.decide_caused(node, cause, force),
            (SpanKind::Server, _) => match node.pair.and_then(|pair| self.get(pair)) {
                Some(client) => {
                    let Settled { trace_id, flags, .. } = client.settled?;
                    if node.in_context && node.identity.trace_id != trace_id {
                        // The client's could not be read.
                        return Some(node.alone());
                    }
                    let parent = Some((client.identity.span_id, Some(Evidence::Connection)));
                    Some(Settled { trace_id, flags, parent, doubt: None })
                }
                None if node.may_pair && !force => None,
                None => Some(node.alone()),
            },
            (SpanKind::Client, cause) => (force || node.end.is_some()).then(|| {
                let doubt = cause.err().map(|doubt| (doubt, None));
                Settled { doubt, ..node.alone() }
            }),
        }
    }

    fn decide_caused(&self, node: &Node, cause: Cause, force: bool) -> Option<Settled> {
        let alone = |doubt, link| Some(Settled { doubt: Some((doubt, link)), ..node.alone() });
        let Some(above) = self.get(cause.node) else {
            return alone(Doubt::Lost, None);
        };
        let Some(settled) = above.settled else {
            return if force { alone(Doubt::Unsettled, None) } else { None };
        };
        let link = Some((settled.trace_id, above.identity.span_id));
        let Settled { trace_id, flags, .. } = settled;
        let parent = Some((above.identity.span_id, Some(cause.evidence)));
        if cause.evidence == Evidence::Promise {
            return Some(Settled { trace_id, flags, parent, doubt: None });
        }
        if node.in_context && node.identity.trace_id != trace_id {
            return alone(Doubt::OtherTrace, link);
        }
        if node.start < above.start {
            return alone(Doubt::BeganBefore, link);
        }
        match (node.end, above.end) {
            (None, Some(_)) => return alone(Doubt::Outlived, link),
            (Some(end), Some(above)) if end > above => return alone(Doubt::Outlived, link),
            (None, None) if !force => return None,
            _ => {}
        }
        match (above.answered, cause.thread) {
            (Some(by), Some(thread)) if by != Some(thread) => {
                return alone(Doubt::AnsweredElsewhere, link);
            }
            (None, _) if cause.answer && above.end.is_none() && !force => return None,
            (None, Some(_)) => return alone(Doubt::Unsettled, link),
            _ => {}
        }
        // A trace context of its own has its own flags.
        let flags = if node.in_context { node.identity.flags } else { flags };
        Some(Settled { trace_id, flags, parent, doubt: None })
    }

    /// An exchange that was settled before its end, because what hangs below it could not wait, and has
    /// outlived what it hung below: its trace is given out already, but that one is not its parent.
    fn outlive(&mut self, id: NodeId) {
        let Some(node) = self.get(id) else { return };
        let (Some(settled), Ok(Some(cause))) = (node.settled, node.cause) else { return };
        let over = self.get(cause.node).is_none_or(|above| above.end.is_some());
        if over
            && cause.evidence != Evidence::Promise
            && let Some((parent, _)) = settled.parent
        {
            let doubt = Some((Doubt::Outlived, Some((settled.trace_id, parent))));
            self.with(id, |node| node.settled = Some(Settled { parent: None, doubt, ..settled }));
        }
    }

    /// Its place is settled. It is forgotten once those below it have looked.
    fn hand_over(&mut self, id: NodeId, span: Span) {
        self.ready.push(span);
        self.wake(id);
        self.tasks.push_back(Task::Free(id));
    }
}

impl Node {
    /// As its request says.
    fn alone(&self) -> Settled {
        let Identity { trace_id, span_id: _, parent, flags } = self.identity;
        Settled { trace_id, flags, parent: parent.map(|parent| (parent, None)), doubt: None }
    }

    /// The span as it is told, once it is settled.
    fn told(&self, mut span: Span) -> Span {
        let Some(Settled { trace_id, flags, parent, doubt }) = self.settled else {
            return span;
        };
        span.trace_id = trace_id;
        span.flags = flags;
        span.parent_span_id = parent.map(|(id, _)| id);
        if let Some((_, Some(evidence))) = parent {
            span.attributes.push(Attribute::new(EVIDENCE, evidence.name()));
        }
        if let Some((doubt, candidate)) = doubt {
            span.attributes.push(Attribute::new(DOUBT, doubt.name()));
            if let Some((trace_id, span_id)) = candidate {
                let attributes = vec![Attribute::new(DOUBT, doubt.name())];
                span.links.push(Link { trace_id, span_id, attributes });
            }
        }
        self.keep_order(&mut span);
        span
    }

    /// A send is stamped when it is complete, which may be after the other end has received. Cause comes
    /// before effect: the client began no later than the server, and the server ended no later.
    fn keep_order(&self, span: &mut Span) {
        match self.kind {
            SpanKind::Client => {
                let late = self.pair_start.map_or(0, |start| self.start.0.saturating_sub(start.0));
                span.start_unix_ns = span.start_unix_ns.saturating_sub(late);
            }
            SpanKind::Server => {
                let late = match (self.end, self.pair_end) {
                    (Some(end), Some(client)) => end.0.saturating_sub(client.0),
                    _ => 0,
                };
                span.end_unix_ns = span.end_unix_ns.saturating_sub(late).max(span.start_unix_ns);
            }
        }
    }
}
