//! What is shared by all connections: names, clocks, contexts, and the balance of exchanges.

use std::sync::Arc;

use super::Limits;
use super::clock::Clock;
use super::exchange::{Ends, Exchange, Outcome, Setting};
use super::http2::Fields;
use super::identity::{Contexts, Identity};
use super::table::Table;
use crate::capture::event::{Direction, Flow, Monotonic, Tgid};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource, Span, SpanKind};
use crate::wire::Kind;
use crate::wire::http2::hpack::Scratch;

/// See above.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) contexts: Contexts,
    pub(super) processes: Table<Tgid, Arc<Resource>>,
    /// Exchanges seen that are neither spans nor lost yet.
    pub(super) open: usize,
    pub(super) limits: Limits,
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
            processes: Table::new(limits.processes),
            open: 0,
            limits,
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
        self.closed(exchange);
    }

    fn closed(&mut self, exchange: &Exchange) {
        if exchange.kind == SpanKind::Server {
            self.contexts.closed(exchange.tgid, &exchange.identity);
        }
    }

    pub(super) fn complete(
        &mut self,
        exchange: Exchange,
        ended: Monotonic,
        cut: &'static str,
        out: &mut dyn FnMut(Span),
    ) {
        self.open = self.open.saturating_sub(1);
        self.metrics.inc(Counter::ExchangesSpans);
        self.closed(&exchange);
        out(exchange.into_span(Outcome::Ended(ended, cut)));
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
    pub(super) tgid: Tgid,
}

impl Site {
    pub(super) fn new(flow: Flow, tgid: Tgid, unix_path: Option<Arc<str>>) -> Self {
        Self { flow, unix_path, ends: None, tgid }
    }

    /// What surrounds a request that goes this way.
    pub(super) fn setting<'a>(
        &'a mut self,
        core: &mut Core,
        requests: Direction,
        inferred: bool,
        promised_in: Option<&'a Identity>,
    ) -> Setting<'a> {
        let resource = core.resource(self.tgid);
        let Self { flow, unix_path, ends, tgid } = self;
        Setting {
            kind: match requests {
                Direction::Receive => SpanKind::Server,
                Direction::Send => SpanKind::Client,
            },
            ends: ends.get_or_insert_with(|| Ends::of(&flow.endpoints)),
            flow,
            unix_path: unix_path.as_ref(),
            tgid: *tgid,
            resource,
            inferred,
            promised_in,
        }
    }
}
