//! One exchange, from its request's head to the span, by the stable HTTP conventions
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), and for calls of gRPC by those
//! for RPC too (<https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>).

mod attributes;
mod request;
pub mod rpc;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::causes::Place;
use super::clock::Clock;
use super::forest::NodeId;
use super::identity::{Identity, Seed};
use crate::capture::event::{Endpoints, Flow, Monotonic, ProcessKey};
use crate::context::RequestId;
use crate::model::{
    Attribute, Resource, Span, SpanEvent, SpanExport, SpanKind, Status, Text, Value,
};
use crate::wire::At;
pub(super) use request::{Authority, Incoming, Request};
pub(super) use rpc::Rpc;

/// `error.type` of an exchange whose connection ended in order before an answer came.
pub const CONNECTION_CLOSED: &str = "connection_closed";
/// `error.type` of an exchange whose connection broke (reset, time-out) before an answer came.
pub const CONNECTION_RESET: &str = "connection_reset";
/// `error.type` of an exchange whose answer was cut: its head came, its body did not come whole.
pub const INCOMPLETE_RESPONSE: &str = "incomplete_response";
/// `error.type` of an exchange whose stream was reset with a code that RFC 9113 does not define: where
/// it is one of those, its name there is the `error.type` (`CANCEL`).
pub const STREAM_RESET: &str = "stream_reset";
/// `error.type` of an exchange that the server had not begun to process when it said that it would
/// not any more (GOAWAY).
pub const NOT_PROCESSED: &str = "not_processed";

/// Event: the first byte of the final response went by.
pub const RESPONSE_FIRST_BYTE: &str = "http.response.first_byte";
/// Event: the last byte of the request's body went by. Only for requests with a body.
pub const REQUEST_BODY_END: &str = "http.request.body.end";

/// Attribute: `inferred` on an exchange of a connection older than the sensor, where request and
/// response belong together only if the client did not pipeline just then. Otherwise absent.
pub const PAIRING: &str = "sensor.pairing";
/// Attribute: how the span is tied to its trace, where that is not what the request says: `inferred`
/// where the trace context was known by its shape alone, not by its name; `unknown` where there may
/// have been one that could not be read, so that the trace is the sensor's own. Only on HTTP/2
/// connections older than the sensor, or after a loss.
pub const LINK: &str = "sensor.link";
/// Attribute: the other attributes that rest on inference, by their keys.
pub const INFERRED: &str = "sensor.inferred";
/// Attribute: the code of the RST_STREAM or GOAWAY that ended the exchange, by its name in RFC 9113.
pub const HTTP2_ERROR: &str = "sensor.http2.error_code";
/// Attribute: who reset the stream, `client` or `server`.
pub const HTTP2_RESET_BY: &str = "sensor.http2.reset_by";
/// Attribute: true on an exchange that the server began (PUSH_PROMISE).
pub const HTTP2_PUSHED: &str = "sensor.http2.pushed";

/// A request whose head is known, and what came of it so far.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) process: ProcessKey,
    pub(super) kind: SpanKind,
    pub(super) identity: Identity,
    pub(super) node: NodeId,
    pub(super) place: Place,
    /// What it has in common with its other end.
    pub(super) key: Seed,
    /// Nothing more will come of the request.
    pub(super) request_done: bool,
    pub(super) response: Option<Response>,
    /// Only where it is a call, or may be one.
    pub(super) rpc: Option<Box<Rpc>>,
    request_end: Option<Monotonic>,
    request_body: Option<u64>,
    start: Monotonic,
    start_unix_ns: u64,
    name: &'static str,
    trace_state: Option<Box<str>>,
    request_ids: Vec<RequestId>,
    attributes: Vec<Attribute>,
    exports_spans: Option<SpanExport>,
    resource: Arc<Resource>,
}

/// A final response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    /// None where its head could not be read.
    pub(super) status: Option<u16>,
    /// When its first byte went by; none where its head was not seen.
    pub(super) first: Option<Monotonic>,
    /// Once it is complete: when.
    pub(super) end: Option<Monotonic>,
    /// Bytes of its body; set when it is complete.
    pub(super) body: Option<u64>,
}

/// How an exchange stands when its span is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// It was answered, or ended then because of this.
    Ended(Monotonic, &'static str),
    /// It goes on; this is what is known now.
    Open(Monotonic),
}

/// The two ends of a connection as its spans tell of them, written once.
#[derive(Debug)]
pub(super) enum Ends {
    Tcp { local: (Text, u16), remote: (Text, u16), network: &'static str },
    Unix,
}

impl Ends {
    pub(super) fn of(endpoints: &Endpoints) -> Self {
        let end = |(address, port): (IpAddr, u16)| {
            (Text::shared(&address.to_canonical().to_string()), port)
        };
        match *endpoints {
            Endpoints::Tcp { local, remote } => Self::Tcp {
                local: end(local),
                remote: end(remote),
                network: match remote.0.to_canonical() {
                    IpAddr::V4(_) => "ipv4",
                    IpAddr::V6(_) => "ipv6",
                },
            },
            Endpoints::Unix => Self::Unix,
        }
    }
}

/// Attributes that a span seldom has more of.
const ATTRIBUTES: usize = 21;

/// What surrounds a request.
pub(super) struct Setting<'a> {
    pub(super) kind: SpanKind,
    pub(super) flow: &'a Flow,
    pub(super) ends: &'a Ends,
    pub(super) unix_path: Option<&'a Arc<str>>,
    pub(super) process: ProcessKey,
    pub(super) resource: Arc<Resource>,
    /// The pairing rests on inference.
    pub(super) inferred: bool,
    /// Requests before it on its connection, as far as they were seen.
    pub(super) number: u64,
    /// The exchange that this one was promised in, if it is the server's own idea.
    pub(super) promised_in: Option<&'a Exchange>,
}

impl Exchange {
    /// A request whose first byte is `first`.
    pub(super) fn new(
        request: Request<'_>,
        first: At,
        setting: Setting<'_>,
        clock: &Clock,
        identity: Identity,
        node: NodeId,
    ) -> Self {
        let Setting { kind, ends, unix_path, process, resource, inferred, promised_in, .. } =
            setting;
        let mut attributes = Vec::with_capacity(ATTRIBUTES);
        let name = request.describe(&mut attributes, ends, unix_path, kind);
        let exports_spans = request.exports_spans();
        attributes.extend(request.more);
        if inferred {
            attributes.push(Attribute::new(PAIRING, "inferred"));
        }
        if promised_in.is_some() {
            attributes.push(Attribute::new(HTTP2_PUSHED, true));
        }

        Self {
            process,
            kind,
            identity,
            node,
            place: Place::default(),
            key: Seed::NONE,
            request_done: false,
            response: None,
            rpc: None,
            request_end: None,
            request_body: None,
            start: first.time,
            start_unix_ns: clock.unix_ns(first.time),
            name,
            exports_spans,
            trace_state: request.trace_state,
            request_ids: request.request_ids,
            attributes,
            resource,
        }
    }

    pub(super) fn request_ended(&mut self, time: Option<Monotonic>, body: Option<u64>) {
        self.request_done = true;
        self.request_end = time;
        self.request_body = body;
    }

    /// The response is complete.
    pub(super) fn is_answered(&self) -> bool {
        self.response.is_some_and(|response| response.end.is_some())
    }

    /// When it ended: with its response, or else then.
    pub(super) fn end(&self, ended: Monotonic) -> Monotonic {
        self.response.and_then(|response| response.end).unwrap_or(ended)
    }

    /// When the request began.
    pub(super) fn start(&self) -> Monotonic {
        self.start
    }

    /// Identifiers of the request without a span id, each of a field that came once, in the order of
    /// the settings. Requests of one process that have one in common belong together.
    pub(super) fn request_ids(&self) -> &[RequestId] {
        &self.request_ids
    }

    /// What its response has to tell.
    pub(super) fn answered(&mut self, more: Vec<Attribute>) {
        self.attributes.extend(more);
    }

    /// Something more to tell of it.
    pub(super) fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push(Attribute::new(key, value));
    }

    /// The span as it would be if it ended now: what a live view shows of a long exchange. It has
    /// no error, and its end says how far it has come.
    pub(super) fn so_far(&self, response: Option<Response>, now: Monotonic) -> Span {
        Self { response, ..self.clone() }.into_span(Outcome::Open(now))
    }

    /// The span.
    pub(super) fn into_span(mut self, outcome: Outcome) -> Span {
        let answered = self.is_answered();
        let (ended, cut) = match outcome {
            Outcome::Ended(ended, cut) => (ended, (!answered).then_some(cut)),
            Outcome::Open(now) => (now, None),
        };
        let end = self.end(ended);
        let first = self.response.and_then(|response| response.first);
        // A send is stamped when it is complete, so an answer can come before it: what caused it
        // began no later than that.
        let start = first.map_or(self.start, |first| first.min(self.start)).min(end);
        let start_unix_ns = self.start_unix_ns.saturating_sub(self.start.0 - start.0);
        let unix = |time: Monotonic| start_unix_ns.saturating_add(time.0.saturating_sub(start.0));

        let body_end = self.request_end.filter(|_| self.request_body.is_some_and(|n| n > 0));
        let mut events =
            Vec::with_capacity(usize::from(body_end.is_some()) + usize::from(first.is_some()));
        let mut event = |time: Monotonic, name| {
            events.push(SpanEvent { time_unix_ns: unix(time), name, attributes: Vec::new() });
        };
        if let Some(end) = body_end {
            event(end, REQUEST_BODY_END);
        }
        if let Some(first) = first {
            event(first, RESPONSE_FIRST_BYTE);
        }
        events.sort_by_key(|event| event.time_unix_ns);

        let rpc = self.rpc.take().filter(|rpc| rpc.is_call());
        let mut add = |key, value: Value| self.attributes.push(Attribute::new(key, value));
        let number = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        if let Some(size) = self.request_body {
            add("http.request.body.size", number(size));
        }
        let mut error = cut.map(Value::from);
        if let Some(response) = self.response {
            if let Some(status) = response.status {
                add("http.response.status_code", Value::Int(i64::from(status)));
                let lowest = match self.kind {
                    SpanKind::Server => 500,
                    SpanKind::Client => 400,
                };
                if status >= lowest && error.is_none() {
                    error = Some(Value::from(status.to_string()));
                }
            }
            if let Some(size) = response.body {
                add("http.response.body.size", number(size));
            }
        }
        let mut name = Cow::Borrowed(self.name);
        if let Some(rpc) = rpc {
            let told = rpc.describe(&mut self.attributes, self.kind);
            name = told.name.map_or(name, Cow::Owned);
            error = error.or(told.error);
        }
        let status = if error.is_some() { Status::Error } else { Status::Unset };
        if let Some(error) = error {
            self.attributes.push(Attribute::new("error.type", error));
        }

        Span {
            trace_id: self.identity.trace_id,
            span_id: self.identity.span_id,
            parent_span_id: self.identity.parent,
            flags: self.identity.flags,
            remote_sampled: self.identity.remote_sampled,
            // Known where its place is settled.
            flag_refused: false,
            minted: self.identity.minted,
            exports_spans: self.exports_spans,
            trace_state: self.trace_state,
            name,
            kind: self.kind,
            start_unix_ns,
            end_unix_ns: unix(end),
            status,
            attributes: self.attributes,
            events,
            links: Vec::new(),
            resource: self.resource,
        }
    }
}
