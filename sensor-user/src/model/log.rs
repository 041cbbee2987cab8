//! Log records by the OpenTelemetry data model
//! (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>).

use std::sync::Arc;

use super::{Attribute, Resource, SpanId, Text, TraceId};

/// One record of a log: a line, or several that belong together (a stack trace). What its format does not say
/// is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// What the line itself says of its time, in nanoseconds since the Unix epoch.
    pub time_unix_ns: Option<u64>,
    /// When its first byte was written, by the kernel, in nanoseconds since the Unix epoch.
    pub observed_unix_ns: u64,
    /// How severe it is, by the line.
    pub severity: Option<Severity>,
    /// The line's own word for that (`WARNING`, `E`, `30`).
    pub severity_text: Option<Text>,
    /// The message.
    pub message: Text,
    /// Where in the program it was written: `file:line`, or a function.
    pub caller: Option<Text>,
    /// The name of the event, where the record has one.
    pub event: Option<Text>,
    /// Whose it is, where that is known.
    pub correlation: Option<Correlation>,
    /// What kind of code it comes from.
    pub class: Class,
    /// Where it was written to.
    pub source: LogSource,
    /// All other fields, under their own names (nested ones with dots), each key once; and what the sensor adds
    /// (`sensor.log.*`).
    pub attributes: Vec<Attribute>,
    /// Why it does not fit the schema, if it does not: then the message is the line as it came.
    pub breach: Option<Breach>,
    /// The process that wrote it.
    pub resource: Arc<Resource>,
}

impl LogRecord {
    /// The line's own time, or the kernel's.
    pub fn timestamp(&self) -> u64 {
        self.time_unix_ns.unwrap_or(self.observed_unix_ns)
    }
}

/// Severity, by the ranges of OpenTelemetry's `SeverityNumber`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 1 to 4. In the schema of records, `debug`.
    Trace,
    /// 5 to 8.
    Debug,
    /// 9 to 12.
    Info,
    /// 13 to 16.
    Warn,
    /// 17 to 20.
    Error,
    /// 21 to 24.
    Fatal,
}

impl Severity {
    /// Its level in the schema of records, which has none below `debug`.
    pub fn level(self) -> Self {
        self.max(Self::Debug)
    }

    /// The name of its level, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace | Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The first `SeverityNumber` of its range.
    pub fn number(self) -> i32 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }
}

/// The trace that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// The trace.
    pub trace_id: TraceId,
    /// The span, where that is known too.
    pub span_id: Option<SpanId>,
    /// What says so: `line` (its own fields, and an exchange of its process was in that trace), `claimed` (its
    /// own fields alone), `request_id`, `goroutine`, `thread` or `event_loop`; `exchange` for the sensor's own
    /// record of an exchange.
    pub evidence: &'static str,
    /// It was written when the request had been answered already.
    pub after_response: bool,
}

impl Correlation {
    /// Evidence: the record names the trace, and a request of its process did.
    pub const LINE: &'static str = "line";

    /// Evidence: the record names the trace, and nothing that was seen confirms it. A batch job's own trace
    /// looks so, and one that an SDK began for a request without a context; and so does a made-up one.
    pub const CLAIMED: &'static str = "claimed";

    /// The record itself names its trace, and its span if it has one.
    pub fn is_of_itself(&self) -> bool {
        self.evidence == Self::LINE || self.is_claimed()
    }

    /// Nothing confirms what the record says of its trace.
    pub fn is_claimed(&self) -> bool {
        self.evidence == Self::CLAIMED
    }
}

/// What a record says itself of whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogIds {
    /// Its trace.
    pub trace_id: Option<TraceId>,
    /// Its span.
    pub span_id: Option<SpanId>,
    /// Identifiers of its request, which may be among those that the request came with.
    pub requests: Vec<Text>,
}

/// What kind of code a record comes from, by rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// What the service is there for.
    #[default]
    Business,
    /// Frameworks and libraries: access logs, connection pools, drivers.
    Middleware,
    /// Servers, proxies, runtimes and the platform.
    Infrastructure,
}

impl Class {
    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Middleware => "middleware",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// Where a record comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// The process's standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// A file, by its path.
    File(Arc<str>),
    /// The sensor: its record of an exchange that it saw.
    Exchange,
}

/// Why a record does not fit the schema. It goes to the dead-letter stream, with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// Bytes that are no text.
    Binary,
    /// Not UTF-8; what is not is replaced by U+FFFD.
    InvalidUtf8,
    /// It begins as the stream's format does, and breaks that format's grammar.
    Malformed,
}

impl Breach {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Malformed => "malformed",
        }
    }
}
