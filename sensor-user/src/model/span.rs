//! Spans by the OpenTelemetry data model
//! (<https://opentelemetry.io/docs/specs/otel/trace/api/#span>).

use std::borrow::Cow;
use std::sync::Arc;

use super::{SpanEndpoint, SpanExport, SpanId, Text, TraceFlags, TraceId};

/// One side of one exchange, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own identifier.
    pub span_id: SpanId,
    /// The span that caused it, where one is known.
    pub parent_span_id: Option<SpanId>,
    /// `trace-flags` of the incoming context; sampled where there was none. Once sampling has been
    /// decided on, its flag is what came of that.
    pub flags: TraceFlags,
    /// The sampled flag of the context that came with the request or its trace; none where none
    /// came, or where it left that open.
    pub remote_sampled: Option<bool>,
    /// That flag does not decide anything: no caller that is trusted sent it.
    pub flag_refused: bool,
    /// The identifier is one that the application made for this very exchange: it has a span of its
    /// own with it, if it has spans.
    pub minted: bool,
    /// The exchange itself hands spans to a backend
    /// ([`export`](crate::wire::span_export::export)).
    pub exports_spans: Option<SpanExport>,
    /// `tracestate` of the incoming context, as it came, if it is valid.
    pub trace_state: Option<Box<str>>,
    /// By the HTTP conventions: `{method} {route}` or `{method}`.
    pub name: Cow<'static, str>,
    /// Which side of the exchange this is.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// Nanoseconds since the Unix epoch; never before the start.
    pub end_unix_ns: u64,
    /// By the HTTP conventions' rules.
    pub status: Status,
    /// Semantic-convention attributes, each key once.
    pub attributes: Vec<Attribute>,
    /// In order of time.
    pub events: Vec<SpanEvent>,
    /// Related spans that are not the parent.
    pub links: Vec<Link>,
    /// The process that this side ran in.
    pub resource: Arc<Resource>,
}

/// Which side of an exchange a span tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// It received the request.
    Server,
    /// It sent the request.
    Client,
}

/// Span status. `Ok` is the application's to say, so the sensor never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No error was seen.
    Unset,
    /// By the conventions, an error.
    Error,
}

/// A key of the semantic conventions (or `sensor.*`) with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// For example `http.request.method`.
    pub key: Cow<'static, str>,
    /// Never empty text.
    pub value: Value,
}

impl Attribute {
    /// An attribute of a well-known key.
    pub fn new(key: &'static str, value: impl Into<Value>) -> Self {
        Self { key: Cow::Borrowed(key), value: value.into() }
    }

    /// The sensor made it: its key is one of the sensor's own words. A key that came from outside is never
    /// one, since it is no part of the program: it is [`Cow::Owned`] whatever it says.
    pub fn is_own(&self) -> bool {
        matches!(self.key, Cow::Borrowed(key) if key.starts_with(OWN))
    }
}

/// What keys of the sensor's own attributes begin with.
pub const OWN: &str = "sensor.";

/// What is put before a key from outside that begins as the sensor's own do, or is that of a field of the
/// schema.
pub const FOREIGN: &str = "field_";

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Str(Text),
    /// A whole number.
    Int(i64),
    /// A number that is not whole; finite.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A list of texts.
    Strs(Box<[String]>),
}

// A span's attributes are one allocation; up to 1,032 bytes, malloc has a fast way.
const _: () = assert!(size_of::<Attribute>() == 48);

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Str(Text::from(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(Text::from(value))
    }
}

impl From<Text> for Value {
    fn from(value: Text) -> Self {
        Self::Str(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Strs(value.into())
    }
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// For example `http.response.first_byte`.
    pub name: &'static str,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
}

/// A related span that is not the parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Why they are related.
    pub attributes: Vec<Attribute>,
}

/// The entity that spans come from: one process on one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// `service.name`, `process.*`, `host.*`, `container.id`, and what the process declares of itself as far
    /// as that is believed ([`crate::process`]). Each key once.
    pub attributes: Vec<Attribute>,
    /// Where the process's environment says that its spans go. Not exported, and in no recording.
    pub span_endpoints: Vec<SpanEndpoint>,
}

impl Resource {
    /// The text of one attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| {
            match &attribute.value {
                Value::Str(text) => Some(text.as_ref()),
                Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Strs(_) => None,
            }
        })
    }

    /// `service.name`, absent only for captures that tell nothing of processes (pcap).
    pub fn service_name(&self) -> Option<&str> {
        self.text("service.name")
    }
}
