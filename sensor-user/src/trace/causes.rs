//! What caused a client exchange, by the evidence there is within its process.
//!
//! | evidence | a server exchange is the cause of a client's if … | sound because |
//! |---|---|---|
//! | goroutine | the goroutine that reads its request, or handles its stream, asked for the client's | a goroutine does one thing after the other, and the handler is that goroutine's |
//! | goroutine, started by that one | … and has had no other exchange to handle, and no other was open in the process since this one began | whatever it started, it started for this one, and nobody else has had work for it |
//! | thread | the thread that read its request, in blocking calls, sent the client's before it was answered, and answers it itself | a thread that may not wait for others has one exchange at a time |
//! | event loop | its request, or the answer to another client's exchange below it, is all that there was for the thread to act on, and all other threads slept | the kernel side has seen to that: see its module `turn` |
//! | event loop, of Node.js | … or is what its only such thread had taken up last | it does all that a socket's data lead to before it takes up the next |
//!
//! Where an event loop acts on the answer to a client's exchange, that is evidence only while the server exchange
//! above it is the only one that is open in the process: others may wait in memory for that answer, for its
//! connection or for its place in a queue.
//!
//! No evidence is drawn from:
//!
//! - Threads of a program in Go: its goroutines move between them.
//! - Sockets in non-blocking mode, on a thread that does not wait for several: who waits in its place is not
//!   known.
//! - A connection of HTTP/2 with several streams in flight, as something that was read.

mod lines;
mod requests;

use std::num::NonZeroU64;

use rustc_hash::{FxHashMap, FxHashSet};

use super::few::{self, Few};
use super::forest::{Cause, Doubt, Evidence, Forest, NodeId, Unknown};
use super::identity::{InContext, Seed};
use crate::capture::event::{self, Caller, FlowId, Goroutine, Monotonic, ProcessKey};
use crate::context::RequestId;
use crate::model::{Resource, SpanId, TraceId};
use crate::table::Table;
pub(super) use lines::Found;
use lines::Past;
use requests::{Held, Requests};

/// Streams whose goroutine was told before their request was seen, at most.
const EARLY_MAX: usize = 4096;

/// Places where server exchanges are handled, and what was read last.
#[derive(Debug)]
pub(super) struct Causes {
    goroutines: FxHashMap<(ProcessKey, NonZeroU64), Few<Server>>,
    threads: FxHashMap<(ProcessKey, u32), Few<Server>>,
    requests: Requests,
    /// Of flows that event loops read.
    reads: FxHashMap<FlowId, Read>,
    loops: FxHashMap<ProcessKey, Threads>,
    /// Threads that handle exchanges by themselves.
    handlers: FxHashMap<ProcessKey, Threads>,
    /// Of processes that have any, the server exchanges that are open.
    open: FxHashMap<ProcessKey, Opened>,
    early: Table<(FlowId, u32), Goroutine>,
    go: FxHashSet<ProcessKey>,
    node: FxHashSet<ProcessKey>,
    past: Past,
}

impl Default for Causes {
    fn default() -> Self {
        Self {
            goroutines: FxHashMap::default(),
            threads: FxHashMap::default(),
            requests: Requests::default(),
            reads: FxHashMap::default(),
            loops: FxHashMap::default(),
            handlers: FxHashMap::default(),
            open: FxHashMap::default(),
            early: Table::new(EARLY_MAX),
            go: FxHashSet::default(),
            node: FxHashSet::default(),
            past: Past::default(),
        }
    }
}

/// A server exchange that is open.
#[derive(Clone, Copy, Debug)]
struct Server {
    node: NodeId,
    key: Seed,
    /// The only one of its goroutine so far.
    only: bool,
    /// It has to be answered before what hangs below it is believed.
    answer: bool,
}

/// How many server exchanges of a process are open.
#[derive(Clone, Copy, Debug, Default)]
struct Opened {
    count: u32,
    /// The one that is, if no other was since it began.
    alone: Option<NodeId>,
}

/// What was read last on a flow.
#[derive(Clone, Copy, Debug)]
struct Read {
    position: u64,
    /// The server exchange that it belongs to, or to whose calls it is the answer.
    server: Option<NodeId>,
    /// It is such an answer.
    answer: bool,
}

/// Of a process, the threads of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    One(u32),
    Several,
}

impl Threads {
    fn count(loops: &mut FxHashMap<ProcessKey, Self>, process: ProcessKey, tid: u32) {
        let known = loops.entry(process).or_insert(Self::One(tid));
        if *known != Self::One(tid) {
            *known = Self::Several;
        }
    }
}

/// Where a server exchange is handled, to be found and to be left again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    goroutine: Option<NonZeroU64>,
    thread: Option<(u32, FlowId)>,
}

/// A request that begins, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun<'a> {
    pub(super) process: ProcessKey,
    pub(super) trace_id: TraceId,
    pub(super) key: Seed,
    /// Its stream of HTTP/2.
    pub(super) stream: Option<u32>,
    pub(super) flow: FlowId,
    /// When its first byte went by.
    pub(super) start: Monotonic,
    /// The connection was seen from its first byte, and this is its first request.
    pub(super) first: bool,
    /// Identifiers that it carries.
    pub(super) ids: &'a [RequestId],
}

impl Causes {
    /// Who a process is. With `exec` it runs another program than before.
    pub(super) fn process(&mut self, process: ProcessKey, exec: bool, resource: &Resource) {
        if exec {
            self.exit(process);
        }
        if resource.text("process.runtime.name") == Some("nodejs") {
            self.node.insert(process);
        } else {
            self.node.remove(&process);
        }
    }

    /// A process is gone.
    pub(super) fn exit(&mut self, process: ProcessKey) {
        self.loops.remove(&process);
        self.handlers.remove(&process);
        self.go.remove(&process);
        self.node.remove(&process);
    }

    /// A process has made a call.
    pub(super) fn called(&mut self, process: ProcessKey, caller: &Caller) {
        if caller.goroutine.is_some() {
            self.go.insert(process);
        } else if caller.nonblocking || caller.multiplexes {
            Threads::count(&mut self.loops, process, caller.tid);
        }
    }

    /// A flow was read up to `position`: something of `server`, or with `answer` what it waits for.
    pub(super) fn read(
        &mut self,
        flow: FlowId,
        position: u64,
        server: Option<NodeId>,
        answer: bool,
    ) {
        self.reads.insert(flow, Read { position, server, answer });
    }

    /// It was read on, within the same message.
    pub(super) fn read_more(&mut self, flow: FlowId, position: u64) {
        if let Some(read) = self.reads.get_mut(&flow) {
            read.position = position;
        }
    }

    /// Nothing more comes of a flow.
    pub(super) fn forget(&mut self, flow: FlowId) {
        self.reads.remove(&flow);
    }

    /// A server exchange begins; gives where to [`Self::leave`] it.
    pub(super) fn enter(&mut self, node: NodeId, begun: &Begun<'_>, caller: &Caller) -> Place {
        let mut place = Place::default();
        let open = self.open.entry(begun.process).or_default();
        open.alone = (open.count == 0).then_some(node);
        open.count += 1;
        let Begun { process, key, stream, .. } = *begun;
        let mut server = Server { node, key, only: begun.first, answer: stream.is_none() };
        self.requests.enter(process, begun.ids, node, key, begun.start);
        let goroutine = match stream {
            // Who reads a stream's request is not who handles it.
            Some(stream) => {
                server.only = true;
                self.early.remove((begun.flow, stream))
            }
            None => caller.goroutine,
        };
        if let Some(Goroutine { id, .. }) = goroutine {
            // The next connection of a goroutine that serves one after the other.
            server.only &= stream.is_some() || !self.past.knows(process, id);
            few::enter(&mut self.goroutines, (process, id), server);
            place.goroutine = Some(id);
        } else if stream.is_none() && caller.tid != 0 && !caller.nonblocking && !self.is_go(process)
        {
            few::enter(&mut self.threads, (process, caller.tid), server);
            if self.past.wanted {
                Threads::count(&mut self.handlers, process, caller.tid);
            }
            place.thread = Some((caller.tid, begun.flow));
        }
        place
    }

    /// The goroutine that handles a server exchange of HTTP/2 is known now.
    pub(super) fn handled(
        &mut self,
        node: NodeId,
        process: ProcessKey,
        key: Seed,
        by: Goroutine,
        at: &mut Place,
    ) {
        if at.goroutine.is_none() {
            let server = Server { node, key, only: true, answer: false };
            few::enter(&mut self.goroutines, (process, by.id), server);
            at.goroutine = Some(by.id);
        }
    }

    /// The goroutine of a stream whose request was not seen yet.
    pub(super) fn expect(&mut self, flow: FlowId, stream: u32, by: Goroutine) {
        self.early.insert((flow, stream), by);
    }

    /// A server exchange is over.
    pub(super) fn leave(
        &mut self,
        node: NodeId,
        process: ProcessKey,
        place: &Place,
        ids: &[RequestId],
        end: Monotonic,
    ) {
        let Place { goroutine, thread } = *place;
        if let Some(open) = self.open.get_mut(&process) {
            open.count -= 1;
            if open.count == 0 {
                self.open.remove(&process);
            }
        }
        if let Some(id) = goroutine {
            few::leave(&mut self.goroutines, (process, id), |server| server.node == node);
        }
        if let Some((tid, _)) = thread {
            few::leave(&mut self.threads, (process, tid), |server| server.node == node);
        }
        self.requests.leave(process, ids, node, end);
    }

    /// It has ended, and a line may still be its.
    pub(super) fn remember(
        &mut self,
        node: NodeId,
        process: ProcessKey,
        place: &Place,
        end: Monotonic,
    ) {
        if let Some(id) = place.goroutine {
            self.past.goroutine(process, id, node, end);
        }
        if let Some((tid, flow)) = place.thread
            && self.past.wanted
        {
            self.past.thread(process, tid, flow, node, end);
        }
    }

    /// Lines are asked for.
    pub(super) fn remember_more(&mut self) {
        self.past.wanted = true;
    }

    /// What caused a client exchange. `context` is what its trace context says.
    pub(super) fn of(
        &mut self,
        begun: &Begun<'_>,
        caller: &Caller,
        context: InContext,
        forest: &Forest,
    ) -> Result<Option<Cause>, Unknown> {
        let by_context =
            |node, answer| Cause { node, evidence: Evidence::Context, thread: None, answer };
        let among = match context {
            InContext::One(node) => return Ok(Some(by_context(node, false))),
            InContext::Several(parent) => Some(Among::Context(parent)),
            InContext::Over(span) => {
                let candidate = Some((begun.trace_id, span));
                return Err(Unknown { doubt: Doubt::Outlived, candidate });
            }
            InContext::Nothing => {
                match self.requests.held(begun.process, begun.ids, begun.key, begun.start) {
                    Held::One(holder) if !holder.is_over() => {
                        let (node, evidence) = (holder.node, Evidence::RequestId);
                        return Ok(Some(Cause { node, evidence, thread: None, answer: false }));
                    }
                    Held::Nowhere | Held::One(_) => None,
                    Held::Several(nodes) => Some(Among::Requests(nodes)),
                }
            }
        };
        let asked = match begun.stream {
            // Who writes a stream's request is not who asked for it.
            Some(stream) => self.early.remove((begun.flow, stream)),
            None => caller.goroutine,
        };
        let found = match asked {
            Some(goroutine) => self.by_goroutine(begun.process, begun.key, goroutine, forest),
            None if self.is_go(begun.process) => Ok(None),
            None => self.by_thread(begun, caller, forest),
        };
        match (found, among) {
            (Ok(found), None) => Ok(found),
            (Ok(Some(found)), Some(Among::Context(parent)))
                if forest.came_in_by(found.node, begun.trace_id, parent) =>
            {
                Ok(Some(by_context(found.node, found.answer)))
            }
            (Ok(Some(found)), Some(Among::Requests(nodes))) if nodes.contains(&found.node) => {
                Ok(Some(found))
            }
            _ => Err(Doubt::Ambiguous.into()),
        }
    }

    /// What the goroutine that asked for something handles.
    pub(super) fn by_goroutine(
        &self,
        process: ProcessKey,
        key: Seed,
        asked: Goroutine,
        forest: &Forest,
    ) -> Result<Option<Cause>, Doubt> {
        let servers = |id| self.goroutines.get(&(process, id));
        let own = one(servers(asked.id), key).map_err(|Ambiguous| Doubt::Ambiguous)?;
        let found = match (own, asked.parent) {
            (None, Some(parent)) => {
                let above = one(servers(parent), key).map_err(|Ambiguous| Doubt::Ambiguous)?;
                // A pool that it made works for others too.
                above.filter(|server| server.only && self.is_alone(process, server.node))
            }
            (own, _) => own,
        };
        Ok(found.map(|Server { node, answer, .. }| Cause {
            node,
            evidence: Evidence::Goroutine,
            thread: None,
            answer: answer && !forest.is_answered(node),
        }))
    }

    fn by_thread(
        &self,
        begun: &Begun<'_>,
        caller: &Caller,
        forest: &Forest,
    ) -> Result<Option<Cause>, Doubt> {
        let thread = Some(caller.tid);
        if !caller.multiplexes {
            let found = one(self.threads.get(&(begun.process, caller.tid)), begun.key)
                .map_err(|Ambiguous| Doubt::Ambiguous)?;
            let found = found.filter(|server| !forest.is_answered(server.node));
            return Ok(found.map(|Server { node, .. }| Cause {
                node,
                evidence: Evidence::Thread,
                thread,
                answer: true,
            }));
        }
        let Some(event::Cause { flow, position, alone }) = caller.cause else {
            return Ok(None);
        };
        // Streams of HTTP/2 are written together, later.
        let read = self.acted_on(begun.process, flow, position, alone, begun.stream.is_none());
        let server = read.and_then(|read| read.server);
        Ok(server.filter(|&node| !forest.is_answered(node)).map(|node| Cause {
            node,
            evidence: Evidence::EventLoop,
            thread,
            answer: true,
        }))
    }

    /// What an event loop's thread acts on, by what it has read: all that there was for it if `alone`, else what it
    /// took up last, which counts where things are done `at_once`.
    fn acted_on(
        &self,
        process: ProcessKey,
        flow: FlowId,
        position: u64,
        alone: bool,
        at_once: bool,
    ) -> Option<Read> {
        let in_turn = at_once
            && self.node.contains(&process)
            && matches!(self.loops.get(&process), Some(Threads::One(_)));
        let read = self.reads.get(&flow).filter(|read| read.position <= position)?;
        // An answer may set going what waits for it in memory: the next one for that connection, or for
        // that semaphore, which need not be the same exchange's.
        let by_itself = self.open.get(&process).is_some_and(|open| open.count == 1);
        ((alone || in_turn) && (!read.answer || by_itself)).then_some(*read)
    }

    /// No other exchange of the process was open since this one began.
    fn is_alone(&self, process: ProcessKey, node: NodeId) -> bool {
        self.open.get(&process).is_some_and(|open| open.alone == Some(node))
    }

    fn is_go(&self, process: ProcessKey) -> bool {
        self.go.contains(&process)
    }
}

/// Several exchanges of which other evidence has to name one.
#[derive(Debug)]
enum Among {
    /// Those that came in by the trace, or by that parent in it. The context goes on to say which trace.
    Context(Option<SpanId>),
    /// These. An identifier that several have proves nothing.
    Requests(Vec<NodeId>),
}

/// There are several.
struct Ambiguous;

/// The only one, beside the other end of the same exchange.
fn one(servers: Option<&Few<Server>>, key: Seed) -> Result<Option<Server>, Ambiguous> {
    if !servers.is_none_or(Few::is_whole) {
        return Err(Ambiguous);
    }
    let mut others = servers.into_iter().flat_map(Few::iter).filter(|server| server.key != key);
    match (others.next(), others.next()) {
        (_, Some(_)) => Err(Ambiguous),
        (first, None) => Ok(first),
    }
}
