//! One exchange, from its request's head to the span, by the stable HTTP conventions
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::clock::Clock;
use super::identity::{Contexts, Identity, Seed};
use super::target::{self, Target};
use crate::capture::event::{Endpoints, Flow, Monotonic, Tgid};
use crate::context::w3c::{self, Traceparent};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource, Span, SpanEvent, SpanKind, Status, Text, Value};
use crate::wire::http1::{Asked, At, Head, StartLine};

/// `error.type` of an exchange whose connection ended in order before an answer came.
pub const CONNECTION_CLOSED: &str = "connection_closed";
/// `error.type` of an exchange whose connection broke (reset, time-out) before an answer came.
pub const CONNECTION_RESET: &str = "connection_reset";
/// `error.type` of an exchange whose answer was cut: its head came, its body did not come whole.
pub const INCOMPLETE_RESPONSE: &str = "incomplete_response";

/// Event: the first byte of the final response went by.
pub const RESPONSE_FIRST_BYTE: &str = "http.response.first_byte";
/// Event: the last byte of the request's body went by. Only for requests with a body.
pub const REQUEST_BODY_END: &str = "http.request.body.end";

/// Attribute: `inferred` on an exchange of a connection older than the sensor, where request and
/// response belong together only if the client did not pipeline just then. Otherwise absent.
pub const PAIRING: &str = "sensor.pairing";

/// Methods that are kept as they are; others are `_OTHER` (`http.request.method`).
const METHODS: [&str; 9] =
    ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

/// A request whose head is known, and what came of it so far.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) tgid: Tgid,
    pub(super) kind: SpanKind,
    pub(super) asked: Asked,
    pub(super) identity: Identity,
    /// Nothing more will come of the request.
    pub(super) request_done: bool,
    pub(super) response: Option<Response>,
    request_end: Option<Monotonic>,
    request_body: Option<u64>,
    start: Monotonic,
    start_unix_ns: u64,
    name: &'static str,
    trace_state: Option<Box<str>>,
    attributes: Vec<Attribute>,
    resource: Arc<Resource>,
}

/// A final response whose head is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) first: Monotonic,
    /// Once it is complete: when.
    pub(super) end: Option<Monotonic>,
    /// Bytes of its body; set when it is complete.
    pub(super) body: Option<u64>,
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
    pub(super) tgid: Tgid,
    pub(super) resource: Arc<Resource>,
    /// The pairing rests on inference.
    pub(super) inferred: bool,
}

impl Exchange {
    /// A request with this head, whose first byte is `first`.
    pub(super) fn new(
        head: &Head<'_>,
        first: At,
        setting: Setting<'_>,
        clock: &Clock,
        contexts: &mut Contexts,
        metrics: &Metrics,
    ) -> Self {
        let (method, target, minor) = match head.line {
            StartLine::Request { method, target, minor } => (method, target, minor),
            // Not reached: the head of a request has a request line.
            StartLine::Response { .. } => (&b""[..], &b""[..], 0),
        };
        let fields = Wanted::of(head);
        let context = fields.context(metrics);
        let trace_state = context.and_then(|_| fields.trace_state(metrics));

        let Setting { kind, flow, ends, unix_path, tgid, resource, inferred } = setting;
        let client = match &flow.endpoints {
            Endpoints::Tcp { local, remote } => Some(match kind {
                SpanKind::Server => *remote,
                SpanKind::Client => *local,
            }),
            Endpoints::Unix => None,
        };
        let seed = Seed::new(flow, client, first, head.raw, &resource);
        let identity = match kind {
            SpanKind::Server => Contexts::server(context, &seed),
            SpanKind::Client => contexts.client(context, &seed, tgid),
        };
        if kind == SpanKind::Server {
            contexts.opened(tgid, &identity, seed);
        }

        let mut attributes = Vec::with_capacity(ATTRIBUTES);
        let known = METHODS.iter().find(|known| known.as_bytes() == method).copied();
        attributes.push(Attribute::new("http.request.method", known.unwrap_or("_OTHER")));
        if known.is_none() {
            attributes.push(Attribute::new(
                "http.request.method_original",
                Text::from(target::text(method)),
            ));
        }
        let target = Target::parse(method, target);
        let authority = target.authority.or(fields.host());
        let authority = authority.and_then(|text| Some((text, target::authority(text)?)));
        url(&mut attributes, &target, authority.map(|(text, _)| text), kind);
        network(&mut attributes, ends, unix_path, kind);
        server(&mut attributes, authority.map(|(_, parts)| parts), ends, unix_path, kind);
        if let Some(version) = ["1.0", "1.1"].get(usize::from(minor)) {
            attributes.push(Attribute::new("network.protocol.version", *version));
        }
        if let Some(agent) = fields.user_agent.as_deref().and_then(plain) {
            attributes.push(Attribute::new("user_agent.original", Text::copy(agent)));
        }
        if inferred {
            attributes.push(Attribute::new(PAIRING, "inferred"));
        }

        Self {
            tgid,
            kind,
            asked: match method {
                b"HEAD" => Asked::Head,
                b"CONNECT" => Asked::Connect,
                _ => Asked::Other,
            },
            identity,
            request_done: false,
            response: None,
            request_end: None,
            request_body: None,
            start: first.time,
            start_unix_ns: clock.unix_ns(first.time),
            name: known.unwrap_or("HTTP"),
            trace_state,
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

    /// The span. Without a complete response, the exchange ended at `ended` because of `cut`.
    pub(super) fn into_span(mut self, ended: Monotonic, cut: &'static str) -> Span {
        let answered = self.is_answered();
        let end = self.response.and_then(|response| response.end).unwrap_or(ended);
        let first = self.response.map(|response| response.first);
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

        let mut add = |key, value: Value| self.attributes.push(Attribute::new(key, value));
        let number = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        if let Some(size) = self.request_body {
            add("http.request.body.size", number(size));
        }
        let mut error = (!answered).then(|| Value::from(cut));
        if let Some(response) = self.response {
            add("http.response.status_code", Value::Int(i64::from(response.status)));
            if let Some(size) = response.body {
                add("http.response.body.size", number(size));
            }
            let lowest = match self.kind {
                SpanKind::Server => 500,
                SpanKind::Client => 400,
            };
            if response.status >= lowest && error.is_none() {
                error = Some(Value::from(response.status.to_string()));
            }
        }
        let status = if error.is_some() { Status::Error } else { Status::Unset };
        if let Some(error) = error {
            add("error.type", error);
        }

        Span {
            trace_id: self.identity.trace_id,
            span_id: self.identity.span_id,
            parent_span_id: self.identity.parent,
            flags: self.identity.flags,
            trace_state: self.trace_state,
            name: Cow::Borrowed(self.name),
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

/// The fields that a span tells of.
#[derive(Default)]
struct Wanted<'a> {
    host: Option<Cow<'a, [u8]>>,
    hosts: u32,
    user_agent: Option<Cow<'a, [u8]>>,
    traceparent: Option<Cow<'a, [u8]>>,
    traceparents: u32,
    tracestate: Vec<Cow<'a, [u8]>>,
}

impl<'a> Wanted<'a> {
    fn of(head: &Head<'a>) -> Self {
        let mut wanted = Self::default();
        for field in head.fields() {
            match field.name.len() {
                4 if field.is("host") => {
                    wanted.hosts += 1;
                    wanted.host = Some(field.value);
                }
                10 if field.is("user-agent") => wanted.user_agent = Some(field.value),
                10 if field.is("tracestate") => wanted.tracestate.push(field.value),
                11 if field.is("traceparent") => {
                    wanted.traceparents += 1;
                    wanted.traceparent = Some(field.value);
                }
                _ => {}
            }
        }
        wanted
    }

    /// More than one is as bad as none (RFC 9112 section 3.2).
    fn host(&self) -> Option<&[u8]> {
        self.host.as_deref().filter(|_| self.hosts == 1)
    }

    fn context(&self, metrics: &Metrics) -> Option<Traceparent> {
        let value = self.traceparent.as_deref()?;
        let context = w3c::traceparent(value).ok().filter(|_| self.traceparents == 1);
        if context.is_none() {
            metrics.inc(Counter::TraceparentMalformed);
        }
        context
    }

    fn trace_state(&self, metrics: &Metrics) -> Option<Box<str>> {
        w3c::tracestate(&self.tracestate).unwrap_or_else(|_| {
            metrics.inc(Counter::TracestateMalformed);
            None
        })
    }
}

/// A field value as text, if it is one and not empty.
fn plain(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.is_empty())
}

/// `authority` is the request's, if it is a valid one.
fn url(
    attributes: &mut Vec<Attribute>,
    target: &Target<'_>,
    authority: Option<&[u8]>,
    kind: SpanKind,
) {
    let scheme = target.scheme.and_then(plain).map(str::to_ascii_lowercase);
    let path = target.path.map(target::text);
    let query = target.query.map(|query| target::redacted(target::text(query)));
    if let (SpanKind::Client, Some(path), Some(authority)) = (kind, &path, authority) {
        let authority = target::text(authority);
        let (user, host) = match authority.rsplit_once('@') {
            None => ("", &*authority),
            // Who and with what password is nobody else's matter (`url.full`).
            Some((user, host)) if user.contains(':') => ("REDACTED:REDACTED@", host),
            Some((_, host)) => ("REDACTED@", host),
        };
        let scheme = scheme.as_deref().unwrap_or("http");
        let (mark, query) = query.as_ref().map_or(("", ""), |query| ("?", query));
        let full = [scheme, "://", user, host, path, mark, query].concat();
        attributes.push(Attribute::new("url.full", full));
    }
    attributes.push(Attribute::new("url.scheme", scheme.map_or(Value::from("http"), Value::from)));
    if let Some(path) = path {
        attributes.push(Attribute::new("url.path", Text::from(path)));
    }
    if let Some(query) = query {
        attributes.push(Attribute::new("url.query", Text::from(query)));
    }
}

fn network(attributes: &mut Vec<Attribute>, ends: &Ends, path: Option<&Arc<str>>, kind: SpanKind) {
    let mut add = |key, value: Value| attributes.push(Attribute::new(key, value));
    match ends {
        Ends::Tcp { local, remote, network } => {
            add("network.transport", Value::from("tcp"));
            add("network.type", Value::from(*network));
            if kind == SpanKind::Server {
                add("client.address", Value::from(remote.0.clone()));
                add("client.port", Value::from(i64::from(remote.1)));
            }
            add("network.peer.address", Value::from(remote.0.clone()));
            add("network.peer.port", Value::from(i64::from(remote.1)));
            add("network.local.address", Value::from(local.0.clone()));
            add("network.local.port", Value::from(i64::from(local.1)));
        }
        Ends::Unix => {
            add("network.transport", Value::from("unix"));
            // The path is the listening side's: the server's own, and the client's peer.
            let key = match kind {
                SpanKind::Server => "network.local.address",
                SpanKind::Client => "network.peer.address",
            };
            if let Some(path) = path {
                add(key, Value::from(Text::from(Arc::clone(path))));
            }
        }
    }
}

/// `server.address` and `server.port`: as the request names them, else the socket's. A port that
/// is not named is the scheme's, and is told only where the socket says the same.
fn server(
    attributes: &mut Vec<Attribute>,
    authority: Option<(&str, Option<u16>)>,
    ends: &Ends,
    path: Option<&Arc<str>>,
    kind: SpanKind,
) {
    let (address, port) = match ends {
        Ends::Unix => match path {
            Some(path) => (Text::from(Arc::clone(path)), None),
            None => return,
        },
        Ends::Tcp { local, remote, network: _ } => {
            let (address, actual) = match kind {
                SpanKind::Server => local,
                SpanKind::Client => remote,
            };
            match authority {
                Some((host, port)) => (Text::copy(host), port.or((*actual == 80).then_some(80))),
                None => (address.clone(), Some(*actual)),
            }
        }
    };
    attributes.push(Attribute::new("server.address", address));
    if let Some(port) = port {
        attributes.push(Attribute::new("server.port", i64::from(port)));
    }
}
