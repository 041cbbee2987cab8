//! What is shared by all connections: names, clocks, contexts, and the balance of exchanges.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Limits;
use super::carried::Carried;
use super::causes::{Begun, Causes, Place};
use super::clock::Clock;
use super::exchange::{Ends, Exchange, Outcome, Request, Setting};
use super::forest::{Cause, Evidence, Forest, New, NodeId};
use super::http2::Fields;
use super::identity::{Contexts, InContext, Seed};
use super::origin::Callers;
use crate::capture::event::{Caller, Direction, Endpoints, Flow, GoStream, Monotonic, ProcessKey};
use crate::context;
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource, SpanKind};
use crate::table::Table;
use crate::wire::http2::hpack::Scratch;
use crate::wire::{At, Kind};

/// See above.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) contexts: Contexts,
    pub(super) carried: Carried,
    pub(super) causes: Causes,
    pub(super) forest: Forest,
    /// Who made the call that is being looked at.
    pub(super) caller: Caller,
    /// What that call has received is of this exchange, or the answer to it; of several, of none.
    touched: Touched,
    /// Addresses of this node, by the connections there were: who connects from one may be seen here too.
    addresses: FxHashSet<IpAddr>,
    pub(super) processes: Table<ProcessKey, Arc<Resource>>,
    /// Exchanges seen that are neither spans nor lost yet.
    pub(super) open: usize,
    pub(super) limits: Limits,
    pub(super) callers: Callers,
    /// What is read of requests and responses.
    pub(super) reading: context::Settings,
    /// Where header blocks of HTTP/2 are read.
    pub(super) scratch: Scratch,
    pub(super) fields: Fields,
}

impl Core {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            clock: Clock::default(),
            contexts: Contexts::new(limits.contexts),
            carried: Carried::default(),
            causes: Causes::default(),
            forest: Forest::new(limits.settling),
            caller: Caller::default(),
            touched: Touched::Nothing,
            addresses: FxHashSet::default(),
            processes: Table::new(limits.processes),
            open: 0,
            limits,
            callers: Callers::default(),
            reading: context::Settings::default(),
            scratch: Scratch::default(),
            fields: Fields::default(),
        }
    }

    pub(super) fn seen(&mut self) {
        self.open += 1;
        self.metrics.inc(Counter::ExchangesSeen);
    }

    /// An exchange whose head is not known is lost.
    pub(super) fn lose_head(&mut self, reason: Counter) {
        self.open = self.open.saturating_sub(1);
        self.metrics.inc(reason);
    }

    pub(super) fn lose(&mut self, exchange: &Exchange, reason: Counter) {
        self.lose_head(reason);
        self.closed(exchange, self.forest.now());
        self.forest.lose(exchange.node);
    }

    fn closed(&mut self, exchange: &Exchange, end: Monotonic) {
        let Exchange { process, kind, node, place, identity, .. } = exchange;
        if *kind == SpanKind::Server {
            self.contexts.closed(*process, identity, *node, self.forest.now());
            self.causes.leave(*node, *process, place, exchange.request_ids(), end);
        }
    }

    pub(super) fn complete(&mut self, exchange: Exchange, ended: Monotonic, cut: &'static str) {
        self.open = self.open.saturating_sub(1);
        self.metrics.inc(Counter::ExchangesSpans);
        let node = exchange.node;
        let end = exchange.end(ended);
        self.closed(&exchange, end);
        if exchange.kind == SpanKind::Server {
            self.causes.remember(node, exchange.process, &exchange.place, end);
        }
        self.forest.end(node, end, exchange.into_span(Outcome::Ended(ended, cut)));
    }

    /// A request whose first byte is `first`; `stream` is its number in HTTP/2.
    pub(super) fn begin(
        &mut self,
        request: Request<'_>,
        first: At,
        setting: Setting<'_>,
        stream: Option<u32>,
    ) -> Exchange {
        let Setting { kind, flow, process, number, promised_in, .. } = setting;
        let client = match &flow.endpoints {
            Endpoints::Tcp { local, remote } => Some(match kind {
                SpanKind::Server => *remote,
                SpanKind::Client => *local,
            }),
            Endpoints::Unix => None,
        };
        let seed = Seed::new(flow, client, first, request.raw, &setting.resource);
        let key = seed.shared(flow, request.raw);
        let told = request.incoming.told();
        let incoming = request.incoming.context();
        let parentless = told.filter(|told| told.parent_id.is_none());
        if let Some(trace_id) = told.and_then(|told| told.trace_id) {
            self.carried.carry(process, trace_id);
        }
        let first_one = flow.from_start && number == 0;
        let begun = |trace_id| Begun {
            process,
            trace_id,
            key,
            stream,
            flow: flow.id,
            start: first.time,
            first: first_one,
            ids: &request.request_ids,
        };
        let (mut identity, cause) = match (promised_in, kind) {
            (Some(cause), _) => {
                let identity = Contexts::promised(&cause.identity, &seed, kind);
                let (node, evidence) = (cause.node, Evidence::Promise);
                (identity, Ok(Some(Cause { node, evidence, thread: None, answer: false })))
            }
            (None, SpanKind::Server) => match parentless {
                Some(told) => (Contexts::parentless(told, &seed, kind), Ok(None)),
                None => (Contexts::server(incoming, &seed), Ok(None)),
            },
            (None, SpanKind::Client) => {
                let (identity, context) = match parentless {
                    Some(told) => (Contexts::parentless(told, &seed, kind), InContext::Nothing),
                    None => self.contexts.client(incoming, &seed, &key, process),
                };
                let Self { causes, forest, caller, .. } = self;
                let cause = causes.of(&begun(identity.trace_id), caller, context, forest);
                (identity, cause)
            }
        };
        if promised_in.is_none() {
            identity.remote_sampled = told.and_then(|told| told.decision.sampled());
        }
        let paired = match client {
            Some((address, _)) => {
                let address = address.to_canonical();
                address.is_loopback() || self.addresses.contains(&address)
            }
            None => flow.unix_connection.is_some(),
        };
        let node = self.forest.begin(New {
            kind,
            process,
            identity: identity.clone(),
            in_context: told.is_some_and(|told| told.trace_id.is_some()),
            start: first.time,
            key,
            paired,
            origin: self.callers.origin(&flow.endpoints),
            cause,
        });
        let mut place = Place::default();
        if kind == SpanKind::Server {
            self.contexts.opened(process, &identity, key, node);
            place = self.causes.enter(node, &begun(identity.trace_id), &self.caller);
            self.touch(node, false);
        }
        let mut exchange = Exchange::new(request, first, setting, &self.clock, identity, node);
        (exchange.key, exchange.place) = (key, place);
        exchange
    }

    /// The final response to an exchange goes by.
    pub(super) fn answered(&mut self, exchange: &Exchange) {
        match exchange.kind {
            SpanKind::Server => {
                let thread = Some(self.caller.tid).filter(|&tid| tid != 0);
                self.forest.answered(exchange.node, thread);
            }
            SpanKind::Client => self.touch(exchange.node, true),
        }
    }

    /// What is received is of this exchange: its request, or the answer to it.
    fn touch(&mut self, node: NodeId, answer: bool) {
        self.touched = match self.touched {
            Touched::Nothing => Touched::One(self.forest.server(node), answer),
            Touched::One(..) | Touched::Several => Touched::Several,
        };
    }

    /// A call begins to be looked at.
    pub(super) fn called(&mut self, process: ProcessKey, caller: Caller) {
        self.caller = caller;
        self.touched = Touched::Nothing;
        self.causes.called(process, &caller);
    }

    /// An event loop's call was looked at. It has read `flow` up to `position`; `alone` says that what it read was
    /// about one exchange at most.
    pub(super) fn has_read(&mut self, flow: &Flow, position: u64, alone: bool) {
        match self.touched {
            Touched::One(server, answer) if alone => {
                self.causes.read(flow.id, position, server, answer);
            }
            // More of the same.
            Touched::Nothing if alone => self.causes.read_more(flow.id, position),
            _ => self.causes.read(flow.id, position, None, false),
        }
    }

    /// A connection of this node.
    pub(super) fn connected(&mut self, flow: &Flow) {
        if let Endpoints::Tcp { local: (address, _), .. } = flow.endpoints
            && self.addresses.len() < ADDRESSES
        {
            self.addresses.insert(address.to_canonical());
        }
    }

    /// The goroutine of a stream is known, whose exchange is this one.
    pub(super) fn go_stream(&mut self, stream: &GoStream, exchange: &mut Exchange) {
        let (process, node, key) = (stream.process, exchange.node, exchange.key);
        match exchange.kind {
            SpanKind::Server => {
                self.causes.handled(node, process, key, stream.goroutine, &mut exchange.place);
            }
            SpanKind::Client if self.forest.is_uncaused(node) => {
                let found = self.causes.by_goroutine(process, key, stream.goroutine, &self.forest);
                if let Ok(Some(cause)) = found {
                    self.forest.set_cause(node, cause);
                }
            }
            SpanKind::Client => {}
        }
    }

    /// Who a process is; where that was never said, its id is all that is known.
    pub(super) fn resource(&mut self, process: ProcessKey) -> Arc<Resource> {
        match self.processes.get_mut(process) {
            Some(resource) => Arc::clone(resource),
            None if process == ProcessKey::UNKNOWN => Arc::default(),
            None => Arc::new(Resource {
                attributes: vec![Attribute::new("process.pid", i64::from(process.tgid.0))],
                ..Resource::default()
            }),
        }
    }
}

/// What a call has received.
#[derive(Clone, Copy, Debug)]
enum Touched {
    Nothing,
    /// Something of this server exchange, or of the answer to a call below it.
    One(Option<NodeId>, bool),
    Several,
}

/// Addresses of this node that are remembered.
const ADDRESSES: usize = 4096;

/// What a direction carries, once it is known which one has the requests.
pub(super) fn kind(requests: Option<Direction>, direction: Direction) -> Option<Kind> {
    requests.map(|requests| match direction == requests {
        true => Kind::Request,
        false => Kind::Response,
    })
}

/// One end of a connection: where its exchanges take place.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) flow: Flow,
    pub(super) unix_path: Option<Arc<str>>,
    /// From the first request on.
    ends: Option<Ends>,
    /// The process of the last call.
    pub(super) process: ProcessKey,
    /// Requests until now.
    requests: u64,
}

impl Site {
    pub(super) fn new(flow: Flow, process: ProcessKey, unix_path: Option<Arc<str>>) -> Self {
        Self { flow, unix_path, ends: None, process, requests: 0 }
    }

    /// What surrounds a request that goes this way.
    pub(super) fn setting<'a>(
        &'a mut self,
        core: &mut Core,
        requests: Direction,
        inferred: bool,
        promised_in: Option<&'a Exchange>,
    ) -> Setting<'a> {
        let resource = core.resource(self.process);
        let Self { flow, unix_path, ends, process, requests: number } = self;
        *number += 1;
        Setting {
            kind: match requests {
                Direction::Receive => SpanKind::Server,
                Direction::Send => SpanKind::Client,
            },
            ends: ends.get_or_insert_with(|| Ends::of(&flow.endpoints)),
            flow,
            unix_path: unix_path.as_ref(),
            process: *process,
            resource,
            inferred,
            number: *number - 1,
            promised_in,
        }
    }
}
