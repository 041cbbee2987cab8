//! What a decoder finds, laid against the exchanges of its connection.

use super::fields::{self, Wanted};
use super::{
    Answering, Core, EARLY_MAX, Early, Exchanges, Open, Pairing, Site, TURNS_IF_SUSPECT, Turn,
};
use crate::capture::event::Direction;
use crate::metrics::Counter;
use crate::stream::Piece;
use crate::trace::exchange::Response;
use crate::wire::http1::{Asked, Failure, Head, MessageEnd, Sink, StartLine};
use crate::wire::{At, Kind};

/// One piece of one direction, on its way through the decoder into the exchanges.
pub(super) struct Feed<'a> {
    pub(super) exchanges: &'a mut Exchanges,
    pub(super) site: &'a mut Site,
    pub(super) core: &'a mut Core,
    pub(super) direction: Direction,
}

impl Feed<'_> {
    fn request_head(&mut self, head: &Head<'_>, first: At) {
        let Self { exchanges, site, core, direction, .. } = self;
        if !std::mem::take(&mut exchanges.heading) {
            return;
        }
        match exchanges.pairing {
            Pairing::Unknown(reason, turn) => {
                if turn == Turn::Idle {
                    let asked = asked(head);
                    exchanges.pairing = Pairing::Unknown(reason, Turn::Asked(asked));
                }
                return core.lose_head(reason);
            }
            Pairing::Draining => return core.lose_head(Counter::ExchangesLostPipelineFull),
            _ if exchanges.open.len() >= core.limits.pipeline => {
                exchanges.pairing = Pairing::Draining;
                return core.lose_head(Counter::ExchangesLostPipelineFull);
            }
            Pairing::Certain | Pairing::Inferred(_) => {}
        }
        let wanted = Wanted::of(head, &core.reading);
        let request = wanted.request(head, &core.reading, &core.metrics);
        let inferred = exchanges.pairing != Pairing::Certain;
        let setting = site.setting(core, *direction, inferred, None);
        let mut exchange = core.begin(request, first, setting, None);
        exchange.rpc = wanted.rpc();
        exchanges.h2c_asked = if head.upgrade { fields::h2c_asked(head) } else { None };
        let asked = asked(head);
        exchanges.requesting = true;
        if exchanges.early.is_empty() {
            exchanges.open.push_back(Open { exchange: Box::new(exchange), asked });
            return;
        }
        // The answer was seen first: see the module's comment. It was read as the answer to a
        // method that has none of the special rules.
        let Early { response, more, rpc } = exchanges.early.remove(0);
        if let Some(call) = &mut exchange.rpc {
            call.answered(rpc.map(|rpc| *rpc));
        }
        if exchanges.early.is_empty() && exchanges.answering == Answering::Early {
            exchanges.answering = Answering::Open;
        }
        let well = asked == Asked::Other;
        exchange.response = Some(response);
        core.answered(&exchange);
        exchange.answered(more);
        exchanges.open.push_back(Open { exchange: Box::new(exchange), asked });
        if !well {
            exchanges.desync(core, Counter::ExchangesLostGap);
        }
    }

    fn response_head(&mut self, head: &Head<'_>, status: u16, first: At) -> Asked {
        let Self { exchanges, core, .. } = self;
        exchanges.notice.resume = true;
        let (status, first) = (Some(status), Some(first.time));
        let response = Response { status, first, end: None, body: None };
        match exchanges.pairing {
            Pairing::Unknown(reason, turn) => {
                core.metrics.inc(Counter::ResponsesOrphaned);
                let (turn, answering, asked) = match turn {
                    Turn::Asked(asked) => (Turn::Answering, Answering::Turn, asked),
                    _ => (Turn::Idle, Answering::Nothing, Asked::Unknown),
                };
                if turn == Turn::Idle {
                    exchanges.turns = 0;
                }
                exchanges.pairing = Pairing::Unknown(reason, turn);
                exchanges.answering = answering;
                return asked;
            }
            // Nothing is missing up to this response, so the requests really went out together.
            Pairing::Certain | Pairing::Draining => {
                exchanges.pipelined |= exchanges.open.len() > 1;
            }
            Pairing::Inferred(_) => {}
        }
        if let Some((_, Open { exchange, asked })) = exchanges.unanswered() {
            exchange.response = Some(response);
            core.answered(exchange);
            exchange.answered(fields::answered(head, &core.reading, &core.metrics));
            if let Some(rpc) = &mut exchange.rpc {
                fields::answer(rpc, head);
            }
            let asked = *asked;
            exchanges.answering = Answering::Open;
            return asked;
        }
        if exchanges.pairing == Pairing::Certain && exchanges.early.len() < EARLY_MAX {
            let more = fields::answered(head, &core.reading, &core.metrics);
            exchanges.early.push(Early { response, more, rpc: fields::early(head) });
            exchanges.answering = Answering::Early;
            return Asked::Other;
        }
        core.metrics.inc(Counter::ResponsesOrphaned);
        if exchanges.pairing == Pairing::Certain {
            exchanges.desync(core, Counter::ExchangesLostUndecodable);
        }
        exchanges.answering = Answering::Nothing;
        Asked::Unknown
    }

    /// A 101: whether it is the answer to the one request in flight, and what that asked for.
    fn turns_to_http2(&self, head: &Head<'_>) -> bool {
        let Exchanges { pairing, open, h2c_asked, .. } = &*self.exchanges;
        *pairing == Pairing::Certain
            && h2c_asked.is_some()
            && open.len() == 1
            && open.front().is_some_and(|open| open.exchange.request_done)
            && fields::upgrades_to_h2c(head)
    }

    fn response_end(&mut self, end: MessageEnd) {
        let Self { exchanges, core, .. } = self;
        match std::mem::replace(&mut exchanges.answering, Answering::Nothing) {
            Answering::Nothing => {}
            Answering::Turn => {
                if let Pairing::Unknown(reason, Turn::Answering) = exchanges.pairing {
                    exchanges.pairing = Pairing::Unknown(reason, Turn::Answered);
                }
            }
            // When it ended is in a gap. That is no matter for the order, but for the duration.
            Answering::Early if end.time.is_none() => {
                exchanges.desync(core, Counter::ExchangesLostGap);
            }
            Answering::Early => {
                if let Some(Early { response, more: _, rpc }) = exchanges.early.last_mut() {
                    (response.end, response.body) = (end.time, end.body);
                    if let Some(rpc) = rpc {
                        rpc.response_ended();
                    }
                }
            }
            Answering::Open => {
                let Some((at, Open { exchange, asked: _ })) = exchanges.unanswered() else {
                    return;
                };
                if let Some(response) = exchange.response.as_mut().filter(|_| end.time.is_some()) {
                    (response.end, response.body) = (end.time, end.body);
                    if let Some(rpc) = &mut exchange.rpc {
                        rpc.response_ended();
                    }
                } else if let Some(lost) = exchanges.open.remove(at) {
                    core.lose(&lost.exchange, Counter::ExchangesLostGap);
                    // The request that goes on is the last one.
                    exchanges.requesting &= at < exchanges.open.len();
                    exchanges.after_removal();
                }
                exchanges.emit_complete(core);
            }
        }
    }
}

impl Sink for Feed<'_> {
    fn start(&mut self, kind: Kind, _first: At) {
        let Self { exchanges, core, .. } = self;
        let requests = match kind {
            Kind::Request => self.direction,
            Kind::Response => self.direction.opposite(),
        };
        if exchanges.requests.is_none() {
            exchanges.requests = Some(requests);
            exchanges.notice.expect = Some(kind.opposite());
        }
        match (kind, exchanges.pairing) {
            (Kind::Request, pairing) => {
                core.seen();
                exchanges.heading = true;
                let alone = exchanges.open.is_empty() && exchanges.answering == Answering::Nothing;
                match pairing {
                    Pairing::Inferred(true) if alone => exchanges.pairing = Pairing::Certain,
                    Pairing::Inferred(false) if alone => {}
                    Pairing::Inferred(_) => {
                        exchanges.turns_needed = TURNS_IF_SUSPECT;
                        exchanges.desync(core, Counter::ExchangesLostGap);
                    }
                    Pairing::Certain | Pairing::Draining => {}
                    Pairing::Unknown(reason, turn) => {
                        exchanges.pairing = exchanges.turned(reason, turn);
                    }
                }
            }
            (Kind::Response, Pairing::Unknown(reason, Turn::Answered)) => {
                exchanges.turns = 0;
                exchanges.pairing = Pairing::Unknown(reason, Turn::Idle);
            }
            (Kind::Response, _) => {}
        }
    }

    fn head(&mut self, head: &Head<'_>, first: At, _last: At) -> Asked {
        match head.line {
            StartLine::Request { .. } => {
                self.request_head(head, first);
                Asked::Other
            }
            StartLine::Response { status: 100 | 102..=199, .. } => Asked::Other,
            StartLine::Response { status: 101, .. } if self.turns_to_http2(head) => {
                self.exchanges.h2c = true;
                Asked::Other
            }
            StartLine::Response { status, .. } => self.response_head(head, status, first),
        }
    }

    fn body(&mut self, kind: Kind, piece: Piece<'_>) {
        let Exchanges { open, requesting, answering, early, .. } = &mut *self.exchanges;
        if let (Kind::Response, Answering::Early) = (kind, *answering) {
            if let Some(rpc) = early.last_mut().and_then(|early| early.rpc.as_mut()) {
                rpc.response_body(piece);
            }
            return;
        }
        let open = match kind {
            Kind::Request if *requesting => open.back_mut(),
            Kind::Response if *answering == Answering::Open => {
                open.iter_mut().find(|open| !open.exchange.is_answered())
            }
            Kind::Request | Kind::Response => None,
        };
        match (open.and_then(|open| open.exchange.rpc.as_mut()), kind) {
            (Some(rpc), Kind::Request) => rpc.request.feed(piece),
            (Some(rpc), Kind::Response) => rpc.response_body(piece),
            (None, _) => {}
        }
    }

    fn end(&mut self, end: MessageEnd) {
        match end.kind {
            Kind::Response => self.response_end(end),
            Kind::Request => {
                let Self { exchanges, core, .. } = self;
                if std::mem::take(&mut exchanges.requesting)
                    && let Some(last) = exchanges.open.back_mut()
                {
                    last.exchange.request_ended(end.time, end.body);
                    exchanges.emit_complete(core);
                }
            }
        }
    }

    fn failed(&mut self, kind: Option<Kind>, failure: Failure) {
        let reason = match failure {
            Failure::Gap => Counter::ExchangesLostGap,
            Failure::HeadTooLarge => Counter::ExchangesLostHeadTooLarge,
            Failure::Malformed => Counter::ExchangesLostUndecodable,
        };
        if kind == Some(Kind::Request) {
            self.exchanges.lose_head(self.core, reason);
        }
        self.exchanges.desync(self.core, reason);
    }

    fn not_http(&mut self) {
        self.core.metrics.inc(Counter::ConnectionsNotHttp);
        self.exchanges.notice.both_opaque = true;
        self.exchanges.over = true;
    }

    fn upgraded(&mut self, next: At) {
        self.exchanges.over = true;
        if std::mem::take(&mut self.exchanges.h2c) {
            self.exchanges.notice.opaque = true;
            self.exchanges.notice.h2c = Some(next);
            return;
        }
        self.core.metrics.inc(Counter::ConnectionsUpgraded);
        self.exchanges.notice.opaque = true;
        self.exchanges.requests_ended(self.core);
        self.exchanges.lose_all(self.core, Counter::ExchangesLostUndecodable);
    }
}

fn asked(head: &Head<'_>) -> Asked {
    match head.line {
        StartLine::Request { method: b"HEAD", .. } => Asked::Head,
        StartLine::Request { method: b"CONNECT", .. } => Asked::Connect,
        _ => Asked::Other,
    }
}
