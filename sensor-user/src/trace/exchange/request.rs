//! What a request says of itself, whatever version of HTTP it came in.

use std::borrow::Cow;
use std::sync::Arc;

use super::attributes::{self, Named};
use super::{Ends, LINK};
use crate::context::w3c::Traceparent;
use crate::context::{RequestId, TraceContext};
use crate::model::{Attribute, SpanExport, SpanKind, Text};
use crate::trace::target::{self, Target};
use crate::wire::span_export;

/// Methods that are kept as they are; others are `_OTHER` (`http.request.method`).
const METHODS: [&str; 9] =
    ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

/// A request's head. What is absent in it is unknown, or not there.
#[derive(Debug)]
pub(in crate::trace) struct Request<'a> {
    pub(in crate::trace) method: Option<&'a [u8]>,
    pub(in crate::trace) scheme: Option<Cow<'a, str>>,
    /// Its path and query.
    pub(in crate::trace) target: Target<'a>,
    pub(in crate::trace) authority: Authority<'a>,
    /// Of the protocol.
    pub(in crate::trace) version: Option<&'static str>,
    pub(in crate::trace) user_agent: Option<&'a [u8]>,
    pub(in crate::trace) content_type: Option<&'a [u8]>,
    pub(in crate::trace) incoming: Incoming,
    pub(in crate::trace) trace_state: Option<Box<str>>,
    /// What else there is to tell of the context: its format, identifiers, baggage.
    pub(in crate::trace) more: Vec<Attribute>,
    /// Identifiers that tell which requests of a process belong together.
    pub(in crate::trace) request_ids: Vec<RequestId>,
    /// The path is known by its shape alone.
    pub(in crate::trace) path_inferred: bool,
    /// The head as it came, the same at both ends.
    pub(in crate::trace) raw: &'a [u8],
}

/// Where a request goes, by its own words.
#[derive(Clone, Copy, Debug)]
pub(in crate::trace) enum Authority<'a> {
    Named(&'a [u8]),
    Nothing,
    /// There may be one, which could not be read.
    Unknown,
}

/// The trace context that a request brings.
#[derive(Clone, Copy, Debug)]
pub(in crate::trace) enum Incoming {
    Nothing,
    Named(TraceContext),
    /// Known by its shape alone, or one that would count more may be hidden.
    Inferred(TraceContext),
    /// There may be one, which could not be read.
    Unknown,
}

impl Incoming {
    /// Trace and parent, where both are named.
    pub(in crate::trace) fn context(self) -> Option<Traceparent> {
        self.told().and_then(|context| context.traceparent())
    }

    /// All that is known: perhaps no more than a sampling decision.
    pub(in crate::trace) fn told(self) -> Option<TraceContext> {
        match self {
            Self::Named(context) | Self::Inferred(context) => Some(context),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

impl Request<'_> {
    /// Whether it hands spans to a backend.
    pub(super) fn exports_spans(&self) -> Option<SpanExport> {
        let path = self.target.path.unwrap_or_default();
        span_export::export(self.method, path, self.content_type, self.user_agent)
    }

    /// Adds what it says to a span's attributes; gives the span's name.
    pub(super) fn describe(
        &self,
        attributes: &mut Vec<Attribute>,
        ends: &Ends,
        unix_path: Option<&Arc<str>>,
        kind: SpanKind,
    ) -> &'static str {
        let known = self
            .method
            .and_then(|method| METHODS.iter().find(|known| known.as_bytes() == method).copied());
        if let Some(method) = self.method {
            attributes.push(Attribute::new("http.request.method", known.unwrap_or("_OTHER")));
            if known.is_none() {
                let method = Text::from(target::text(method));
                attributes.push(Attribute::new("http.request.method_original", method));
            }
        }
        let named = match self.authority {
            Authority::Named(text) => match target::authority(text) {
                Some((host, port)) => Named::Host(host, port),
                None => Named::Nothing,
            },
            Authority::Nothing => Named::Nothing,
            Authority::Unknown => Named::Unknown,
        };
        self.url(attributes, named, kind);
        attributes::network(attributes, ends, unix_path, kind);
        let default_port = match self.scheme.as_deref() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        };
        attributes::server(attributes, named, default_port, ends, unix_path, kind);
        if let Some(version) = self.version {
            attributes.push(Attribute::new("network.protocol.version", version));
        }
        if let Some(agent) = self.user_agent.and_then(plain) {
            attributes.push(Attribute::new("user_agent.original", Text::copy(agent)));
        }
        match self.incoming {
            Incoming::Inferred(_) => attributes.push(Attribute::new(LINK, "inferred")),
            Incoming::Unknown => attributes.push(Attribute::new(LINK, "unknown")),
            Incoming::Nothing | Incoming::Named(_) => {}
        }
        if self.path_inferred {
            attributes::infer(attributes, "url.path");
        }
        known.unwrap_or("HTTP")
    }

    fn url(&self, attributes: &mut Vec<Attribute>, named: Named<'_>, kind: SpanKind) {
        let path = self.target.path.map(target::text);
        let query = self.target.query.map(|query| target::redacted(target::text(query)));
        if let (SpanKind::Client, Some(path), Some(scheme), Named::Host(..)) =
            (kind, &path, &self.scheme, named)
            && let Authority::Named(authority) = self.authority
        {
            let authority = target::text(authority);
            let (user, host) = match authority.rsplit_once('@') {
                None => ("", &*authority),
                // Who and with what password is nobody else's matter (`url.full`).
                Some((user, host)) if user.contains(':') => ("REDACTED:REDACTED@", host),
                Some((_, host)) => ("REDACTED@", host),
            };
            let (mark, query) = query.as_ref().map_or(("", ""), |query| ("?", query));
            let full = [scheme, "://", user, host, path, mark, query].concat();
            attributes.push(Attribute::new("url.full", full));
        }
        if let Some(scheme) = &self.scheme {
            attributes.push(Attribute::new("url.scheme", Text::copy(scheme)));
        }
        if let Some(path) = path {
            attributes.push(Attribute::new("url.path", Text::from(path)));
        }
        if let Some(query) = query {
            attributes.push(Attribute::new("url.query", Text::from(query)));
        }
    }
}

/// A field value as text, if it is one and not empty.
pub(super) fn plain(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| !text.is_empty())
}
