//! Where an exchange belongs: its trace, its parent, and what is not certain.

use super::{Cause, Forest, Node, NodeId};
use crate::model::{Attribute, Link, Span, SpanId, SpanKind, TraceFlags, TraceId};
use crate::trace::identity::Identity;
use crate::trace::origin::Origin;

/// Attribute: what says that the parent is the parent; one of the names of [`Evidence`].
pub const EVIDENCE: &str = "sensor.parent.evidence";

/// Attribute of a span without a parent, and of its link to a candidate: why that is not the parent; one of
/// the names of [`Doubt`].
pub const DOUBT: &str = "sensor.parent.missing";

/// Attribute of a link: it leads to the other end of the exchange, which a sensor on another node may have seen;
/// this one has not.
pub const FAR_END: &str = "sensor.far_end";

/// Attribute of a link: it leads into the trace that a foreign caller's request came with, and that was
/// not gone on with.
pub const FOREIGN_TRACE: &str = "sensor.foreign_trace";

/// What a parent is known by, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trace) enum Evidence {
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
    pub(in crate::trace) const fn name(self) -> &'static str {
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
pub(in crate::trace) enum Doubt {
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

/// Where an exchange belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) trace_id: TraceId,
    pub(super) flags: TraceFlags,
    /// What the sender of the trace's context decided.
    pub(super) remote_sampled: Option<bool>,
    /// That decision is a stranger's, and does not count.
    pub(super) flag_refused: bool,
    /// The trace of its context was not gone on with.
    pub(super) restarted: bool,
    /// With the evidence, unless the request itself names it.
    pub(super) parent: Option<(SpanId, Option<Evidence>)>,
    pub(super) doubt: Option<(Doubt, Option<(TraceId, SpanId)>)>,
}

impl Forest {
    /// Whether a server exchange goes on that came in by a context of this trace, and by this parent if one
    /// is named.
    pub(in crate::trace) fn came_in_by(
        &self,
        id: NodeId,
        trace_id: TraceId,
        parent: Option<SpanId>,
    ) -> bool {
        self.get(id).is_some_and(|node| {
            let own = &node.identity;
            let named = own.parent.is_some() && parent.is_none_or(|it| own.parent == Some(it));
            node.end.is_none() && own.trace_id == trace_id && named
        })
    }

    /// Where an exchange belongs; `None` where that is not known yet.
    pub(super) fn decide(&self, node: &Node, force: bool) -> Option<Settled> {
        let settled = self.belongs(node, force)?;
        let flag_refused = self.refuses(node, &settled);
        Some(Settled { flag_refused, ..settled })
    }

    /// The decision on recording that an exchange came with is a stranger's.
    fn refuses(&self, node: &Node, settled: &Settled) -> bool {
        let Some(sampled) = settled.remote_sampled else { return false };
        let above = match node.cause {
            Ok(Some(cause)) => Some(cause.node),
            _ => node.pair.filter(|_| node.kind == SpanKind::Server),
        };
        // The same decision as above is the one from above, passed on.
        let above = above.and_then(|above| self.get(above)?.settled);
        let above = above.filter(|above| above.remote_sampled == Some(sampled));
        match (node.kind, above) {
            (SpanKind::Server, Some(above)) => above.flag_refused,
            (SpanKind::Server, None) => match node.origin {
                Origin::Trusted => false,
                Origin::Unknown => !sampled,
                Origin::Foreign => true,
            },
            (SpanKind::Client, Some(above)) if above.flag_refused => true,
            (SpanKind::Client, _) => {
                let uncertain = settled.parent.is_none() && !sampled;
                uncertain && self.strangers.may_cause(node.process, node.start)
            }
        }
    }

    /// The same of an exchange that goes on, as far as is known by now.
    pub(in crate::trace) fn may_refuse(&self, id: NodeId) -> bool {
        self.get(id).is_some_and(|node| match (node.settled, node.kind) {
            (Some(settled), _) => settled.flag_refused,
            (None, SpanKind::Server) => node.stranger,
            (None, SpanKind::Client) => self.strangers.may_cause(node.process, node.start),
        })
    }

    fn belongs(&self, node: &Node, force: bool) -> Option<Settled> {
        match (node.kind, node.cause) {
            (_, Ok(Some(cause))) => self.decide_caused(node, cause, force),
            (SpanKind::Server, _) => match node.pair.and_then(|pair| self.get(pair)) {
                Some(client) => {
                    let above = client.settled?;
                    let trace_id = above.trace_id;
                    if !node.is_in(trace_id, client) {
                        // The client's could not be read.
                        return Some(node.alone());
                    }
                    let parent = Some((client.identity.span_id, Some(Evidence::Connection)));
                    Some(Settled { parent, doubt: None, ..above })
                }
                None if node.may_pair && !force => None,
                None if self.restarts && node.in_context && node.origin == Origin::Foreign => {
                    Some(node.restarted())
                }
                None => Some(node.alone()),
            },
            (SpanKind::Client, cause) => (force || node.end.is_some()).then(|| {
                let doubt = cause.err().map(|unknown| (unknown.doubt, unknown.candidate));
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
        let trace_id = settled.trace_id;
        let parent = Some((above.identity.span_id, Some(cause.evidence)));
        if cause.evidence == Evidence::Promise {
            return Some(Settled { parent, doubt: None, ..settled });
        }
        if !node.is_in(trace_id, above) {
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
        let of = match node.in_context {
            true => Settled { trace_id, restarted: settled.restarted, ..node.alone() },
            false => settled,
        };
        Some(Settled { parent, doubt: None, ..of })
    }

    /// An exchange that was settled before its end, because what hangs below it could not wait, and has
    /// outlived what it hung below: its trace is given out already, but that one is not its parent.
    pub(super) fn outlive(&mut self, id: NodeId) {
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
}

impl Node {
    /// As its request says.
    pub(super) fn alone(&self) -> Settled {
        let Identity { trace_id, parent, flags, remote_sampled, .. } = self.identity;
        let parent = parent.map(|parent| (parent, None));
        let (flag_refused, restarted) = (false, false);
        Settled { trace_id, flags, remote_sampled, flag_refused, restarted, parent, doubt: None }
    }

    /// In a trace that begins here, as if it had come without a context.
    fn restarted(&self) -> Settled {
        let trace_id = self.key.trace_id();
        Settled { trace_id, restarted: true, parent: None, ..self.alone() }
    }

    /// The context that its request brought, if it did, is of the trace in which `above` was settled, or
    /// of the one that it came with.
    fn is_in(&self, settled: TraceId, above: &Self) -> bool {
        let of = self.identity.trace_id;
        !self.in_context || of == settled || of == above.identity.trace_id
    }

    /// The span as it is told, once it is settled.
    pub(super) fn told(&self, mut span: Span) -> Span {
        let Some(settled) = self.settled else { return span };
        let Settled { trace_id, flags, remote_sampled, flag_refused, restarted, parent, doubt } =
            settled;
        span.trace_id = trace_id;
        span.flags = flags;
        span.remote_sampled = remote_sampled;
        span.flag_refused = flag_refused;
        span.parent_span_id = parent.map(|(id, _)| id);
        if restarted {
            span.links.extend(self.foreign(&span));
            // It is of the other trace (W3C Trace Context, section 3.4).
            span.trace_state = None;
        }
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
        span.links.extend(self.far_end(trace_id));
        self.keep_order(&mut span);
        span
    }

    /// The span in the foreign trace that is the caller's, or the application's of the same exchange.
    fn foreign(&self, span: &Span) -> Option<Link> {
        let span_id = match self.kind {
            SpanKind::Server => self.identity.parent.filter(|_| span.parent_span_id.is_none()),
            SpanKind::Client => span.minted.then_some(span.span_id),
        };
        span_id.filter(|_| self.in_context).map(|span_id| Link {
            trace_id: self.identity.trace_id,
            span_id,
            attributes: vec![Attribute::new(FOREIGN_TRACE, true)],
        })
    }

    /// The server's span at the other end, if a sensor on another node sees it: without a context in the
    /// request, that one is in the trace that both ends derive, and the client's is in that of its cause.
    fn far_end(&self, trace_id: TraceId) -> Option<Link> {
        let derived = self.identity.trace_id;
        let parted =
            self.kind == SpanKind::Client && derived != trace_id && self.pair_start.is_none();
        parted.then(|| Link {
            trace_id: derived,
            span_id: self.key.span_id(derived, SpanKind::Server),
            attributes: vec![Attribute::new(FAR_END, true)],
        })
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
