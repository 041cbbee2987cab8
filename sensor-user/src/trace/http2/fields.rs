//! The fields of a header block that a span tells of, and what may be hidden in those that are
//! unknown.

use std::borrow::Cow;
use std::ops::Range;

use crate::context::grpc_trace::grpc_trace_bin;
use crate::context::w3c;
use crate::metrics::{Counter, Metrics};
use crate::trace::exchange::{Authority, Incoming, Request, Rpc};
use crate::trace::target::Target;
use crate::wire::Kind;
use crate::wire::base64;
use crate::wire::grpc::{self, Framing, Status};
use crate::wire::http2::hpack::infer::{self, Inference, Shape};
use crate::wire::http2::hpack::{Decoder, Error, Field, Scratch};

/// Fields that are kept.
const NAMES: [&[u8]; 14] = [
    b":method",
    b":path",
    b":scheme",
    b":authority",
    b":status",
    b"host",
    b"user-agent",
    b"content-type",
    b"traceparent",
    b"grpc-trace-bin",
    b"grpc-timeout",
    b"grpc-status",
    b"grpc-message",
    b"tracestate",
];

/// An index of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Method,
    Path,
    Scheme,
    Authority,
    Status,
    Host,
    UserAgent,
    ContentType,
    Traceparent,
    GrpcTraceBin,
    GrpcTimeout,
    GrpcStatus,
    GrpcMessage,
    Tracestate,
}

/// What a header block says. One is used for all blocks, one after the other.
#[derive(Debug, Default)]
pub(in crate::trace) struct Fields {
    /// The values that are kept.
    text: Vec<u8>,
    /// Where in it each field's first value is, and how often the field came.
    values: [(Range<usize>, u32); NAMES.len()],
    tracestate: Vec<Range<usize>>,
    inference: Inference,
    /// Fields of which name and value are unknown.
    unknown: u32,
    /// Fields of which the name is.
    unnamed: u32,
    /// An unknown one may be a pseudo-header field: no regular one was known before it.
    hides_pseudo: bool,
    /// Of the unnamed, those with the shape of a trace context.
    contexts: u32,
    pseudo: Option<Kind>,
    regular: bool,
    broken: bool,
}

/// What the fields of a block say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    Request,
    Response,
    /// No pseudo-header field is there.
    Trailers,
    /// No pseudo-header field is known.
    Unknown,
    /// It breaks the rules for them (RFC 9113 section 8.3).
    Broken,
}

impl Fields {
    /// Reads a block. Gives how many of its fields are unknown, in part or as a whole.
    pub(super) fn read(
        &mut self,
        decoder: &mut Decoder,
        scratch: &mut Scratch,
        block: &[u8],
    ) -> Result<u32, Error> {
        self.text.clear();
        self.tracestate.clear();
        let Self { text, tracestate, .. } = std::mem::take(self);
        *self = Self { text, tracestate, ..Self::default() };
        let told = decoder.decode(block, scratch, |field| self.field(&field))?;
        // Those withheld are regular ones: pseudo-header fields come first.
        self.unknown += told.withheld;
        Ok(told.unknown + told.unnamed + told.withheld)
    }

    fn field(&mut self, field: &Field<'_>) {
        let Some(value) = field.value else {
            self.unknown += 1;
            self.hides_pseudo |= !self.regular;
            return;
        };
        let Some(name) = field.name else {
            self.inference.see(field);
            self.unnamed += 1;
            self.hides_pseudo |= !self.regular;
            self.contexts += u32::from(matches!(
                infer::shape(value),
                Some(Shape::Traceparent | Shape::GrpcTraceBin)
            ));
            return;
        };
        if self.unnamed > 0 || !self.is_ordinary(name) {
            self.inference.see(field);
        }
        if name.first() == Some(&b':') {
            self.broken |= self.regular;
            let kind = match name {
                b":method" | b":path" | b":scheme" | b":authority" | b":protocol" => Kind::Request,
                b":status" => Kind::Response,
                _ => {
                    self.broken = true;
                    return;
                }
            };
            self.broken |= self.pseudo.is_some_and(|pseudo| pseudo != kind);
            self.pseudo = Some(kind);
        } else {
            self.regular = true;
        }
        let Some(at) = NAMES.iter().position(|wanted| *wanted == name) else {
            return;
        };
        let from = self.text.len();
        self.text.extend_from_slice(value);
        let range = from..self.text.len();
        if at == Name::Tracestate as usize {
            self.tracestate.push(range);
            return;
        }
        let (first, times) = &mut self.values[at];
        *times += 1;
        if *times == 1 {
            *first = range;
        }
    }

    /// The inference has no use for it: it is neither one of those it names, nor the first regular
    /// one.
    fn is_ordinary(&self, name: &[u8]) -> bool {
        self.regular
            && !matches!(name, b"traceparent" | b"grpc-trace-bin")
            && name.first() != Some(&b':')
    }

    fn get(&self, name: Name) -> Option<&[u8]> {
        let (range, times) = &self.values[name as usize];
        (*times > 0).then(|| self.text.get(range.clone())).flatten()
    }

    /// The same if it came once. Twice is as bad as never for what decides something.
    fn once(&self, name: Name) -> Option<&[u8]> {
        self.get(name).filter(|_| self.values[name as usize].1 == 1)
    }

    /// Any field may be among those unknown.
    fn hides(&self) -> bool {
        self.unknown > 0 || self.unnamed > 0
    }

    pub(super) fn looks(&self) -> Looks {
        match self.pseudo {
            _ if self.broken => Looks::Broken,
            Some(Kind::Request) => Looks::Request,
            Some(Kind::Response) => Looks::Response,
            None if self.hides_pseudo => Looks::Unknown,
            None => Looks::Trailers,
        }
    }

    /// `:status`: three digits.
    pub(super) fn status(&self) -> Option<u16> {
        let code = self.once(Name::Status)?;
        let digits = code.len() == 3 && code.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(code).ok().filter(|_| digits)?.parse().ok().filter(|code| *code >= 100)
    }

    /// The request, whose block is `raw`.
    pub(super) fn request<'s>(&'s self, raw: &'s [u8], metrics: &Metrics) -> Request<'s> {
        let method = self.once(Name::Method);
        let named = self.once(Name::Path);
        let inferred = self.inference.path().filter(|_| named.is_none());
        let path = named.or(inferred);
        let target = path.map_or_else(Target::default, |path| match method {
            // Of CONNECT, only the extended one has a path (RFC 8441), and of usual form.
            Some(b"CONNECT") => Target::parse(b"", path),
            method => Target::parse(method.unwrap_or_default(), path),
        });
        let scheme = self.once(Name::Scheme).and_then(|scheme| std::str::from_utf8(scheme).ok());
        let incoming = self.incoming(metrics);
        let known = matches!(incoming, Incoming::Named(_) | Incoming::Inferred(_));
        Request {
            method,
            scheme: scheme
                .filter(|scheme| !scheme.is_empty())
                .map(|scheme| scheme.to_ascii_lowercase().into()),
            target,
            authority: self.authority(),
            version: Some("2"),
            user_agent: self.get(Name::UserAgent),
            content_type: self.once(Name::ContentType),
            incoming,
            trace_state: if known { self.trace_state(metrics) } else { None },
            path_inferred: inferred.is_some(),
            raw,
        }
    }

    /// `:authority`, or else `host` (RFC 9113 section 8.3.1).
    fn authority(&self) -> Authority<'_> {
        match (self.get(Name::Authority), self.get(Name::Host)) {
            (Some(_), _) => self.once(Name::Authority).map_or(Authority::Nothing, Authority::Named),
            (None, _) if self.hides_pseudo => Authority::Unknown,
            (None, Some(_)) => self.once(Name::Host).map_or(Authority::Nothing, Authority::Named),
            (None, None) if self.hides() => Authority::Unknown,
            (None, None) => Authority::Nothing,
        }
    }

    fn incoming(&self, metrics: &Metrics) -> Incoming {
        let malformed = || metrics.inc(Counter::TraceparentMalformed);
        if self.get(Name::Traceparent).is_some() {
            let value = self.once(Name::Traceparent);
            return match value.and_then(|value| w3c::traceparent(value).ok()) {
                Some(context) => Incoming::Named(context),
                None => {
                    malformed();
                    Incoming::Nothing
                }
            };
        }
        let inferred = self.inference.traceparent();
        if let Some(context) = inferred.and_then(|value| w3c::traceparent(value).ok()) {
            return Incoming::Inferred(context);
        }
        if self.get(Name::GrpcTraceBin).is_some() {
            let value = self.once(Name::GrpcTraceBin).and_then(base64::decode);
            return match value.and_then(|value| grpc_trace_bin(&value).ok()) {
                // A traceparent, which would count more, may be hidden.
                Some(context) if self.unknown == 0 => Incoming::Named(context),
                Some(context) => Incoming::Inferred(context),
                None => {
                    malformed();
                    Incoming::Nothing
                }
            };
        }
        let inferred = self.inference.grpc_trace_bin();
        if let Some(context) = inferred.and_then(|value| grpc_trace_bin(value).ok()) {
            return Incoming::Inferred(context);
        }
        match self.unknown > 0 || self.contexts > 0 {
            true => Incoming::Unknown,
            false => Incoming::Nothing,
        }
    }

    /// Only where no part of it may be hidden.
    fn trace_state(&self, metrics: &Metrics) -> Option<Box<str>> {
        if self.hides() {
            return None;
        }
        let values: Vec<Cow<'_, [u8]>> = self
            .tracestate
            .iter()
            .filter_map(|range| self.text.get(range.clone()))
            .map(Cow::Borrowed)
            .collect();
        w3c::tracestate(&values).unwrap_or_else(|_| {
            metrics.inc(Counter::TracestateMalformed);
            None
        })
    }

    /// The call that a request is, or may be: where `content-type` may be hidden, what comes later
    /// may say it.
    pub(super) fn rpc(&self) -> Option<Box<Rpc>> {
        let framing = match self.get(Name::ContentType) {
            Some(value) => Some(Framing::of(value)?),
            None if self.hides() => None,
            None => return None,
        };
        let timeout = self.once(Name::GrpcTimeout).and_then(grpc::timeout);
        let mut rpc = Box::new(Rpc::new(framing, timeout));
        rpc.timeout_hidden = timeout.is_none() && self.hides();
        Some(rpc)
    }

    /// Takes what the head of a response, or trailers, say of a call; false where they say that it
    /// is none.
    pub(super) fn answer(&self, rpc: &mut Rpc) -> bool {
        if rpc.framing.is_none()
            && let Some(content_type) = self.get(Name::ContentType)
        {
            rpc.framing = Framing::of(content_type);
            if rpc.framing.is_none() {
                return false;
            }
        }
        if let Some(status) = self.once(Name::GrpcStatus).and_then(Status::parse) {
            rpc.status = Some(status);
            // Nothing else has it.
            rpc.framing = rpc.framing.or(Some(Framing::Grpc));
        }
        if let Some(message) = self.get(Name::GrpcMessage).filter(|text| !text.is_empty()) {
            rpc.message = Some(grpc::message(message).into());
        }
        true
    }
}
