//! The fields of a header block that a span tells of, and what may be hidden in those that are
//! unknown.

use std::borrow::Cow;
use std::ops::Range;

use crate::context::grpc_trace::grpc_trace_bin;
use crate::context::{self, Format, Read, Settings as Reading, TraceContext, w3c};
use crate::metrics::{Counter, Metrics};
use crate::model::Attribute;
use crate::trace::exchange::{Authority, Incoming, Request, Rpc};
use crate::trace::target::Target;
use crate::wire::Kind;
use crate::wire::grpc::{self, Framing, Status};
use crate::wire::http2::hpack::infer::{self, Inference, Shape};
use crate::wire::http2::hpack::{Decoder, Error, Field, Scratch};

/// Fields that are kept.
const NAMES: [&[u8]; 13] = [
    b":method",
    b":path",
    b":scheme",
    b":authority",
    b":status",
    b"host",
    b"user-agent",
    b"content-type",
    b"traceparent",
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
    /// Other contexts, identifiers, baggage.
    contexts: Vec<(context::Name, Range<usize>)>,
    /// What a response tells of them.
    answers: Vec<(u8, Range<usize>)>,
    inference: Inference,
    /// Fields of which name and value are unknown.
    unknown: u32,
    /// Fields of which the name is.
    unnamed: u32,
    /// An unknown one may be a pseudo-header field: no regular one was known before it.
    hides_pseudo: bool,
    /// Of the unnamed, those that may be a trace context or a part of one.
    maybe_contexts: u32,
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
        reading: &Reading,
        block: &[u8],
    ) -> Result<u32, Error> {
        self.text.clear();
        self.tracestate.clear();
        self.contexts.clear();
        self.answers.clear();
        let Self { text, tracestate, contexts, answers, .. } = std::mem::take(self);
        *self = Self { text, tracestate, contexts, answers, ..Self::default() };
        let told = decoder.decode(block, scratch, |field| self.field(&field, reading))?;
        // Those withheld are regular ones: pseudo-header fields come first.
        self.unknown += told.withheld;
        Ok(told.unknown + told.unnamed + told.withheld)
    }

    fn field(&mut self, field: &Field<'_>, reading: &Reading) {
        let Some(value) = field.value else {
            self.unknown += 1;
            self.hides_pseudo |= !self.regular;
            return;
        };
        let Some(name) = field.name else {
            self.inference.see(field);
            self.unnamed += 1;
            self.hides_pseudo |= !self.regular;
            self.maybe_contexts += u32::from(
                matches!(infer::shape(value), Some(Shape::Traceparent | Shape::GrpcTraceBin))
                    || context::may_be(value),
            );
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
            return self.identifies(name, value, reading);
        };
        let range = self.keep(value);
        // Some servers tell the trace with it.
        if at == Name::Traceparent as usize && self.pseudo == Some(Kind::Response) {
            self.answers.extend(reading.response(name).map(|answer| (answer, range.clone())));
        }
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

    fn keep(&mut self, value: &[u8]) -> Range<usize> {
        let from = self.text.len();
        self.text.extend_from_slice(value);
        from..self.text.len()
    }

    /// A field that has another trace context, an identifier, or baggage, if it does.
    fn identifies(&mut self, name: &[u8], value: &[u8], reading: &Reading) {
        if self.pseudo == Some(Kind::Response) {
            if let Some(answer) = reading.response(name) {
                let range = self.keep(value);
                self.answers.push((answer, range));
            }
        } else if let Some(context) = reading.request(name) {
            let range = self.keep(value);
            self.contexts.push((context, range));
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
    pub(super) fn request<'s>(
        &'s self,
        raw: &'s [u8],
        reading: &Reading,
        metrics: &Metrics,
    ) -> Request<'s> {
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
        let (incoming, read) = self.incoming(reading, metrics);
        let w3c = read.context.is_some_and(|context| context.format == Format::W3c);
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
            trace_state: if w3c { self.trace_state(metrics) } else { None },
            more: read.attributes,
            request_ids: read.request_ids,
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

    fn incoming(&self, reading: &Reading, metrics: &Metrics) -> (Incoming, Read) {
        let named = self.get(Name::Traceparent).and_then(|_| {
            let value = self.once(Name::Traceparent);
            let context = value.and_then(|value| w3c::traceparent(value).ok());
            if context.is_none() {
                metrics.inc(Counter::TraceparentMalformed);
            }
            context.map(TraceContext::from)
        });
        // By its shape: only where there is none by its name.
        let shaped = self.inference.traceparent().and_then(|value| w3c::traceparent(value).ok());
        let binary = self.inference.grpc_trace_bin().and_then(|value| grpc_trace_bin(value).ok());
        let binary = binary.map(|context| TraceContext::of(Format::GrpcTraceBin, context));
        let w3c = named.or(shaped.map(TraceContext::from));
        let fields = self.contexts.iter().filter_map(|(name, range)| {
            Some((*name, Cow::Borrowed(self.text.get(range.clone())?)))
        });
        let fields = fields.collect();
        let mut read = context::read([w3c, binary], &fields, self.hides(), reading, metrics);
        let hidden = self.unknown > 0 || self.maybe_contexts > 0;
        // What is known may be less than there is.
        if read.context.is_some_and(|context| context.trace_id.is_none()) && hidden {
            read.context = None;
            read.attributes.retain(|attribute| attribute.key != context::FORMAT);
        }
        let incoming = match read.context {
            Some(context) if named == Some(context) => Incoming::Named(context),
            // By its shape, or one that would count more may be hidden.
            Some(context) if hidden => Incoming::Inferred(context),
            Some(context) => Incoming::Named(context),
            None if hidden || read.incomplete => Incoming::Unknown,
            None => Incoming::Nothing,
        };
        (incoming, read)
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

    /// What the head of a response tells of the trace and of identifiers.
    pub(super) fn answered(&self, reading: &Reading, metrics: &Metrics) -> Vec<Attribute> {
        if self.answers.is_empty() {
            return Vec::new();
        }
        let value = |(at, range): &(u8, Range<usize>)| Some((*at, self.text.get(range.clone())?));
        context::answered(self.answers.iter().filter_map(value), reading, metrics)
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
