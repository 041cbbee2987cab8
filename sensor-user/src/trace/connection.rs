//! The exchanges of one connection: which response belongs to which request.
//!
//! HTTP/1 answers requests in their order, so the pairing is certain as long as both directions
//! were seen without a gap from the first byte on, and then it does not matter which of the two is
//! seen first. It is not certain any more once a gap (or a head that cannot be read) may have held
//! a request or a response:
//!
//! ```text
//!   seen from its start                older than the sensor
//!          |                                    |
//!          v      an exchange was complete      v
//!  +--> Certain <------------------------- Inferred
//!  |       |  \                                 | a gap, or two requests at once
//!  |       |   \ too many requests in flight    |
//!  |       |    v                               |
//!  |  a gap|   Draining -- all answered --+     |
//!  |       v                              v     v
//!  +--- Unknown <-------------------------+-----+
//!     a whole exchange went by alone, and the connection never pipelined
//! ```
//!
//! In `Unknown` every request is counted as lost and every response as one without a request: the
//! bias is to lose. It is left only when a request, then its response, then the next request were
//! seen in strict turn. A client that keeps several requests in flight can look like that as well
//! (if what was lost held one of them, each response is taken for the answer to the request after
//! its own). So a connection that had two requests in flight while the pairing was certain stays in
//! `Unknown`; one that seemed to while it was not (the response between them may be among what was
//! lost) has to go [`TURNS_IF_SUSPECT`] such turns without an exception.

mod feed;

use std::collections::VecDeque;
use std::sync::Arc;

use super::clock::Clock;
use super::exchange::{
    CONNECTION_CLOSED, CONNECTION_RESET, Ends, Exchange, INCOMPLETE_RESPONSE, Response,
};
use super::identity::Contexts;
use super::table::Table;
use crate::capture::event::{Direction, Flow, Monotonic, Tgid};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource, Span, SpanKind};
use crate::wire::http1::{Asked, Kind};
pub(super) use feed::Feed;

/// Most responses that wait for their request to be seen. More than one takes a client whose
/// reader overtakes its writer more than once; a server that sends on its own is given up.
const EARLY_MAX: usize = 4;

/// Strict turns after which pairing starts anew where requests seemed to be in flight together:
/// more than a client sends ahead that only fills its pipeline now and then.
const TURNS_IF_SUSPECT: u8 = 4;

/// What is shared by all connections.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) contexts: Contexts,
    pub(super) processes: Table<Tgid, Arc<Resource>>,
    /// Exchanges seen that are neither spans nor lost yet.
    pub(super) open: usize,
    /// Most requests in flight on one connection.
    pub(super) pipeline: usize,
}

impl Core {
    fn seen(&mut self) {
        self.open += 1;
        self.metrics.inc(Counter::ExchangesSeen);
    }

    /// An exchange whose head is not known is lost.
    fn lose_head(&mut self, reason: Counter) {
        self.open = self.open.saturating_sub(1);
        self.metrics.inc(reason);
    }

    fn lose(&mut self, exchange: &Exchange, reason: Counter) {
        self.lose_head(reason);
        self.closed(exchange);
    }

    fn closed(&mut self, exchange: &Exchange) {
        if exchange.kind == SpanKind::Server {
            self.contexts.closed(exchange.tgid, &exchange.identity);
        }
    }

    fn complete(
        &mut self,
        exchange: Exchange,
        ended: Monotonic,
        cut: &'static str,
        out: &mut dyn FnMut(Span),
    ) {
        self.open = self.open.saturating_sub(1);
        self.metrics.inc(Counter::ExchangesSpans);
        self.closed(&exchange);
        if exchange.identity.flags.sampled() {
            out(exchange.into_span(ended, cut));
        } else {
            self.metrics.inc(Counter::SpansNotSampled);
        }
    }

    /// Who a process is; where that was never said, its id is all that is known.
    fn resource(&mut self, tgid: Tgid) -> Arc<Resource> {
        match self.processes.get_mut(tgid) {
            Some(resource) => Arc::clone(resource),
            None if tgid.0 == 0 => Arc::default(),
            None => Arc::new(Resource {
                attributes: vec![Attribute::new("process.pid", i64::from(tgid.0))],
            }),
        }
    }
}

/// See the diagram above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairing {
    Certain,
    /// Whether an exchange was complete.
    Inferred(bool),
    Draining,
    Unknown(Counter, Turn),
}

/// How far a whole exchange has gone by while the pairing is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Idle,
    Asked(Asked),
    Answering,
    Answered,
}

/// Whose the response is that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answering {
    Nothing,
    /// Of the first exchange that is not answered completely.
    Open,
    /// Of a request to come.
    Early,
    /// Of nobody, but its end matters for [`Turn`].
    Turn,
}

/// What the other direction's decoder has to be told after a piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notice {
    pub(super) expect: Option<Kind>,
    pub(super) resume: bool,
    pub(super) opaque: bool,
    /// This one's decoder, too.
    pub(super) both_opaque: bool,
}

/// The exchanges of a connection.
#[derive(Debug)]
pub(super) struct Exchanges {
    pub(super) flow: Flow,
    pub(super) unix_path: Option<Arc<str>>,
    /// From the first request on.
    ends: Option<Ends>,
    /// The process of the last call.
    pub(super) tgid: Tgid,
    pub(super) notice: Notice,
    /// Where requests go.
    requests: Option<Direction>,
    pairing: Pairing,
    /// Two requests were in flight together, for certain.
    pipelined: bool,
    /// Strict turns seen while the pairing is unknown, and how many it takes.
    turns: u8,
    turns_needed: u8,
    open: VecDeque<Box<Exchange>>,
    /// A request has begun whose head is incomplete.
    heading: bool,
    /// The last of `open` has a request that goes on.
    requesting: bool,
    answering: Answering,
    early: Vec<Response>,
}

impl Exchanges {
    pub(super) fn new(flow: Flow, tgid: Tgid, unix_path: Option<Arc<str>>) -> Self {
        Self {
            pairing: if flow.from_start { Pairing::Certain } else { Pairing::Inferred(false) },
            flow,
            unix_path,
            ends: None,
            tgid,
            notice: Notice::default(),
            requests: None,
            pipelined: false,
            turns: 0,
            turns_needed: 1,
            open: VecDeque::new(),
            heading: false,
            requesting: false,
            answering: Answering::Nothing,
            early: Vec::new(),
        }
    }

    /// What a direction carries, once it is known.
    pub(super) fn kind(&self, direction: Direction) -> Option<Kind> {
        self.requests.map(|requests| match direction == requests {
            true => Kind::Request,
            false => Kind::Response,
        })
    }

    /// Nothing of this connection can be paired any more: all in flight is lost.
    pub(super) fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        for exchange in self.open.drain(..) {
            core.lose(&exchange, reason);
        }
        self.open = VecDeque::new();
        self.requesting = false;
        self.answering = Answering::Nothing;
        core.metrics.add(Counter::ResponsesOrphaned, self.early.len() as u64);
        self.early = Vec::new();
    }

    /// A request whose head will never be complete.
    pub(super) fn lose_head(&mut self, core: &mut Core, reason: Counter) {
        if std::mem::take(&mut self.heading) {
            core.lose_head(reason);
        }
    }

    fn desync(&mut self, core: &mut Core, reason: Counter) {
        // One request more than the last is what a lost response looks like; more are suspect.
        if self.open.len() > 2 {
            self.turns_needed = TURNS_IF_SUSPECT;
        }
        self.lose_all(core, reason);
        self.turns = 0;
        self.pairing = Pairing::Unknown(reason, Turn::Idle);
    }

    /// No request will end any more: those that were answered meanwhile are complete.
    pub(super) fn requests_ended(&mut self, core: &mut Core, out: &mut dyn FnMut(Span)) {
        self.lose_head(core, Counter::ExchangesLostHeadIncomplete);
        if std::mem::take(&mut self.requesting)
            && let Some(last) = self.open.back_mut()
        {
            last.request_ended(None, None);
        }
        self.emit_complete(core, out);
    }

    /// No response will come any more: all in flight ended at `time`.
    pub(super) fn responses_ended(
        &mut self,
        time: Monotonic,
        error: bool,
        core: &mut Core,
        out: &mut dyn FnMut(Span),
    ) {
        self.requesting = false;
        self.answering = Answering::Nothing;
        while let Some(exchange) = self.open.pop_front() {
            let cut = match exchange.response {
                Some(_) => INCOMPLETE_RESPONSE,
                None if error => CONNECTION_RESET,
                None => CONNECTION_CLOSED,
            };
            core.complete(*exchange, time, cut, out);
        }
    }

    fn emit_complete(&mut self, core: &mut Core, out: &mut dyn FnMut(Span)) {
        while let Some(first) = self.open.front() {
            if !(first.is_answered() && first.request_done) {
                break;
            }
            if let Some(exchange) = self.open.pop_front() {
                core.complete(*exchange, Monotonic(0), INCOMPLETE_RESPONSE, out);
                self.after_removal();
            }
        }
    }

    fn after_removal(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        // An idle connection holds no memory for exchanges beyond the smallest.
        if self.open.capacity() > 8 {
            self.open = VecDeque::new();
        }
        match self.pairing {
            Pairing::Inferred(_) => self.pairing = Pairing::Inferred(true),
            Pairing::Draining => {
                self.pairing = Pairing::Unknown(Counter::ExchangesLostPipelineFull, Turn::Idle);
            }
            Pairing::Certain | Pairing::Unknown(..) => {}
        }
    }

    /// A request begins while the pairing is unknown.
    fn turned(&mut self, reason: Counter, turn: Turn) -> Pairing {
        match turn {
            Turn::Idle => {}
            Turn::Asked(_) | Turn::Answering => {
                self.turns = 0;
                self.turns_needed = TURNS_IF_SUSPECT;
            }
            Turn::Answered => {
                self.turns = self.turns.saturating_add(1);
                if self.turns >= self.turns_needed && !self.pipelined {
                    return Pairing::Certain;
                }
            }
        }
        Pairing::Unknown(reason, Turn::Idle)
    }

    /// The first exchange that is not answered completely, and where it is.
    fn unanswered(&mut self) -> Option<(usize, &mut Exchange)> {
        let (at, exchange) =
            self.open.iter_mut().enumerate().find(|(_, exchange)| !exchange.is_answered())?;
        Some((at, &mut **exchange))
    }
}
