//! The fields of a head that a span tells of.

use std::borrow::Cow;

use crate::context::{self, Settings as Reading, TraceContext, w3c};
use crate::metrics::{Counter, Metrics};
use crate::model::Attribute;
use crate::trace::exchange::{Authority, Incoming, Request, Rpc};
use crate::trace::target::Target;
use crate::wire::base64;
use crate::wire::grpc::{self, Framing};
use crate::wire::http1::{Head, StartLine};
use crate::wire::http2::Settings;

/// The fields of a request.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    host: Option<Cow<'a, [u8]>>,
    hosts: u32,
    user_agent: Option<Cow<'a, [u8]>>,
    traceparent: Option<Cow<'a, [u8]>>,
    traceparents: u32,
    tracestate: Vec<Cow<'a, [u8]>>,
    /// Other contexts, identifiers, baggage.
    contexts: context::Fields<'a>,
    content_type: Option<Cow<'a, [u8]>>,
    web: Option<Framing>,
    timeout: Option<u64>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(head: &Head<'a>, reading: &Reading) -> Self {
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
                12 if field.is("content-type") => {
                    wanted.web = web(&field.value);
                    wanted.content_type = Some(field.value);
                }
                12 if field.is("grpc-timeout") => wanted.timeout = grpc::timeout(&field.value),
                _ => {
                    if let Some(name) = reading.request(field.name) {
                        wanted.contexts.push(name, field.value);
                    }
                }
            }
        }
        wanted
    }

    /// What the head says, with its start line.
    pub(super) fn request<'s>(
        &'s self,
        head: &Head<'s>,
        reading: &Reading,
        metrics: &Metrics,
    ) -> Request<'s> {
        let (method, target, minor) = match head.line {
            StartLine::Request { method, target, minor } => (method, target, minor),
            // Not reached: the head of a request has a request line.
            StartLine::Response { .. } => (&b""[..], &b""[..], 0),
        };
        let w3c = self.traceparent(metrics);
        let read = context::read([w3c, None], &self.contexts, false, reading, metrics);
        let target = Target::parse(method, target);
        let scheme = target.scheme.and_then(|scheme| std::str::from_utf8(scheme).ok());
        let authority = target.authority.or(self.host());
        Request {
            method: Some(method),
            scheme: Some(scheme.map_or(Cow::Borrowed("http"), |it| it.to_ascii_lowercase().into())),
            authority: authority.map_or(Authority::Nothing, Authority::Named),
            target,
            version: ["1.0", "1.1"].get(usize::from(minor)).copied(),
            user_agent: self.user_agent.as_deref(),
            content_type: self.content_type.as_deref(),
            // Without its traceparent it says nothing.
            trace_state: w3c.and_then(|_| self.trace_state(metrics)),
            incoming: read.context.map_or(Incoming::Nothing, Incoming::Named),
            more: read.attributes,
            request_ids: read.request_ids,
            path_inferred: false,
            raw: head.raw,
        }
    }

    /// The call, if the request is one. gRPC proper needs HTTP/2.
    pub(super) fn rpc(&self) -> Option<Box<Rpc>> {
        Some(Box::new(Rpc::new(Some(self.web?), self.timeout)))
    }

    /// More than one is as bad as none (RFC 9112 section 3.2).
    fn host(&self) -> Option<&[u8]> {
        self.host.as_deref().filter(|_| self.hosts == 1)
    }

    fn traceparent(&self, metrics: &Metrics) -> Option<TraceContext> {
        let value = self.traceparent.as_deref()?;
        let context = w3c::traceparent(value).ok().filter(|_| self.traceparents == 1);
        if context.is_none() {
            metrics.inc(Counter::TraceparentMalformed);
        }
        context.map(TraceContext::from)
    }

    fn trace_state(&self, metrics: &Metrics) -> Option<Box<str>> {
        w3c::tracestate(&self.tracestate).unwrap_or_else(|_| {
            metrics.inc(Counter::TracestateMalformed);
            None
        })
    }
}

/// What a request for HTTP/2 (`Upgrade: h2c`, RFC 7540 section 3.2) says of the client's settings;
/// none where it does not ask for it, or not in the right way.
pub(super) fn h2c_asked(head: &Head<'_>) -> Option<Settings> {
    if !upgrades_to_h2c(head) {
        return None;
    }
    let mut settings = head.fields().filter(|field| field.is("http2-settings"));
    let (one, other) = (settings.next()?, settings.next());
    let payload = base64::decode(&one.value).filter(|_| other.is_none())?;
    Some(Settings::new(&payload))
}

/// Its `Upgrade` names h2c.
pub(super) fn upgrades_to_h2c(head: &Head<'_>) -> bool {
    let names = |value: &[u8]| {
        value.split(|&byte| byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"h2c"))
    };
    head.upgrade && head.fields().any(|field| field.is("upgrade") && names(&field.value))
}

/// What the head of a response tells of the trace and of identifiers.
pub(super) fn answered(head: &Head<'_>, reading: &Reading, metrics: &Metrics) -> Vec<Attribute> {
    if !head.names.meets(reading.responses()) {
        return Vec::new();
    }
    let fields = head.fields();
    let found = fields.filter_map(|field| Some((reading.response(field.name)?, field.value)));
    let found: Vec<_> = found.collect();
    context::answered(found.iter().map(|(at, value)| (*at, &**value)), reading, metrics)
}

/// The framing of gRPC-Web that a Content-Type names.
fn web(content_type: &[u8]) -> Option<Framing> {
    Framing::of(content_type).filter(|framing| *framing != Framing::Grpc)
}

/// What the head of a response says of a call whose request was not seen yet, if it is one's.
pub(super) fn early(head: &Head<'_>) -> Option<Box<Rpc>> {
    let named = head.fields().filter(|field| field.is("content-type")).last()?;
    let mut rpc = Box::new(Rpc::new(Some(web(&named.value)?), None));
    answer(&mut rpc, head);
    Some(rpc)
}

/// Takes what the head of a response says of a call.
pub(super) fn answer(rpc: &mut Rpc, head: &Head<'_>) {
    for field in head.fields() {
        match field.name.len() {
            11 if field.is("grpc-status") => rpc.status = grpc::Status::parse(&field.value),
            12 if field.is("grpc-message") && !field.value.is_empty() => {
                rpc.message = Some(grpc::message(&field.value).into());
            }
            12 if field.is("content-type") => rpc.response_is(web(&field.value)),
            _ => {}
        }
    }
}
