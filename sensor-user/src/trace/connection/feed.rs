//! What a decoder finds, laid against the exchanges of its connection.

use super::{Answering, Core, EARLY_MAX, Exchanges, Pairing, TURNS_IF_SUSPECT, Turn};
use crate::capture::event::Direction;
use crate::metrics::Counter;
use crate::model::{Span, SpanKind};
use crate::trace::exchange::{Ends, Exchange, Response, Setting};
use crate::wire::http1::{Asked, At, Failure, Head, Kind, MessageEnd, Sink, StartLine};

/// One piece of one direction, on its way through the decoder into the exchanges.
pub(in crate::trace) struct Feed<'a> {
    pub(in crate::trace) exchanges: &'a mut Exchanges,
    pub(in crate::trace) core: &'a mut Core,
    pub(in crate::trace) direction: Direction,
    pub(in crate::trace) out: &'a mut dyn FnMut(Span),
}

impl Feed<'_> {
    fn request_head(&mut self, head: &Head<'_>, first: At) {
        let Self { exchanges, core, .. } = self;
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
            _ if exchanges.open.len() >= core.pipeline => {
                exchanges.pairing = Pairing::Draining;
                return core.lose_head(Counter::ExchangesLostPipelineFull);
            }
            Pairing::Certain | Pairing::Inferred(_) => {}
        }
        let setting = Setting {
            kind: match self.direction {
                Direction::Receive => SpanKind::Server,
                Direction::Send => SpanKind::Client,
            },
            flow: &exchanges.flow,
            ends: exchanges.ends.get_or_insert_with(|| Ends::of(&exchanges.flow.endpoints)),
            unix_path: exchanges.unix_path.as_ref(),
            tgid: exchanges.tgid,
            resource: core.resource(exchanges.tgid),
            inferred: exchanges.pairing != Pairing::Certain,
        };
        let Core { clock, contexts, metrics, .. } = &mut **core;
        let mut exchange = Exchange::new(head, first, setting, clock, contexts, metrics);
        exchanges.requesting = true;
        if exchanges.early.is_empty() {
            exchanges.open.push_back(Box::new(exchange));
            return;
        }
        // The answer was seen first: see the module's comment. It was read as the answer to a
        // method that has none of the special rules.
        let early = exchanges.early.remove(0);
        if exchanges.early.is_empty() && exchanges.answering == Answering::Early {
            exchanges.answering = Answering::Open;
        }
        let well = exchange.asked == Asked::Other;
        exchange.response = Some(early);
        exchanges.open.push_back(Box::new(exchange));
        if !well {
            exchanges.desync(core, Counter::ExchangesLostGap);
        }
    }

    fn response_head(&mut self, status: u16, first: At) -> Asked {
        let Self { exchanges, core, .. } = self;
        exchanges.notice.resume = true;
        let response = Response { status, first: first.time, end: None, body: None };
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
        if let Some((_, exchange)) = exchanges.unanswered() {
            exchange.response = Some(response);
            let asked = exchange.asked;
            exchanges.answering = Answering::Open;
            return asked;
        }
        if exchanges.pairing == Pairing::Certain && exchanges.early.len() < EARLY_MAX {
            exchanges.early.push(response);
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

    fn response_end(&mut self, end: MessageEnd) {
        let Self { exchanges, core, out, .. } = self;
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
                if let Some(early) = exchanges.early.last_mut() {
                    (early.end, early.body) = (end.time, end.body);
                }
            }
            Answering::Open => {
                let Some((at, exchange)) = exchanges.unanswered() else {
                    return;
                };
                if let Some(response) = exchange.response.as_mut().filter(|_| end.time.is_some()) {
                    (response.end, response.body) = (end.time, end.body);
                } else if let Some(lost) = exchanges.open.remove(at) {
                    core.lose(&lost, Counter::ExchangesLostGap);
                    // The request that goes on is the last one.
                    exchanges.requesting &= at < exchanges.open.len();
                    exchanges.after_removal();
                }
                exchanges.emit_complete(core, out);
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
            StartLine::Response { status, .. } => self.response_head(status, first),
        }
    }

    fn end(&mut self, end: MessageEnd) {
        match end.kind {
            Kind::Response => self.response_end(end),
            Kind::Request => {
                let Self { exchanges, core, out, .. } = self;
                if std::mem::take(&mut exchanges.requesting)
                    && let Some(last) = exchanges.open.back_mut()
                {
                    last.request_ended(end.time, end.body);
                    exchanges.emit_complete(core, out);
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
    }

    fn upgraded(&mut self) {
        self.core.metrics.inc(Counter::ConnectionsUpgraded);
        self.exchanges.notice.opaque = true;
        self.exchanges.requests_ended(self.core, self.out);
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
