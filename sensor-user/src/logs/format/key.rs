//! The roles of fields by their names: one table for all loggers, whatever the spelling
//! (`trace_id`, `traceId`, `TraceID`, `trace.id` and `_trace_id` are one name).
//!
//! A record may have several fields of one role. Each is a candidate: the readable one with the
//! best rank fills the role, all others stay fields.

use super::level::Scale;

/// The use of a field in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The time of the record.
    Time,
    /// Seconds of a time that is written as two numbers.
    InstantSeconds,
    /// Nanoseconds of the second, beside [`Self::InstantSeconds`].
    InstantNanos,
    /// The level, as a word or as a number.
    Level,
    /// A number beside the word for the level: used where no word reads, and kept as a field in any
    /// case.
    LevelNumber(Scale),
    /// The message.
    Message,
    /// The event's name; the message if there is no other.
    Event,
    /// File and line in one.
    Caller,
    /// A file, to go with a line, or both in one.
    File,
    /// A line in a file.
    Line,
    /// The logger's name: kept as a field, and a hint for the class.
    Logger,
    /// An identifier of the trace, or of the span, or of the request.
    Id(Id),
    /// None of these.
    Other,
}

/// A kind of identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// The record's trace, in hexadecimal digits.
    Trace,
    /// The record's span, in hexadecimal digits.
    Span,
    /// Datadog's trace, in decimal: kept as a field too.
    DatadogTrace,
    /// Datadog's span.
    DatadogSpan,
    /// Elastic's transaction: a span, where no other is named. Kept as a field too.
    Transaction,
    /// A whole context as clients send it (`traceparent`, `b3`, `X-Amzn-Trace-Id`…): kept as a
    /// field too.
    Context,
    /// An identifier of the request.
    Request,
}

/// A name in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) role: Role,
    /// Among the names of one role, the lowest is best.
    pub(super) rank: u8,
    /// In small letters and digits; `@` and `$` where they are kept.
    pub(super) plain: &'static str,
}

const OTHER: Name = Name { role: Role::Other, rank: 0, plain: "" };

/// Names of one role and one rank.
type Row = (Role, u8, &'static [&'static str]);

/// Roles, and their names in order of preference. Names of one rank are equal: the first in the
/// record counts.
const TABLE: &[Row] = &[
    (Role::Time, 0, &["timestamp", "time", "ts", "@t"]),
    // Python, structlog, Monolog, nginx, log4j2, MongoDB, loguru, OTLP, journald, Google Cloud.
    (
        Role::Time,
        1,
        &[
            "asctime",
            "datetime",
            "datetimedate",
            "eventtime",
            "timeiso8601",
            "timelocal",
            "timemillis",
            "t$date",
            "recordtimetimestamp",
            "timeunixnano",
            "sourcerealtimetimestamp",
        ],
    ),
    (Role::Time, 2, &["realtimetimestamp", "observedtimeunixnano"]),
    (Role::InstantSeconds, 0, &["instantepochsecond", "timestampseconds"]),
    (Role::InstantNanos, 0, &["instantnanoofsecond", "timestampnanos"]),
    (
        Role::Level,
        0,
        &[
            "level",
            "lvl",
            "severity",
            "levelname",
            "loglevel",
            "severitytext",
            "@l",
            "errorseverity",
            "recordlevelname",
        ],
    ),
    (Role::LevelNumber(Scale::Python), 0, &["levelno", "levelnumber", "recordlevelno"]),
    (Role::LevelNumber(Scale::Logback), 0, &["levelvalue"]),
    (Role::LevelNumber(Scale::OpenTelemetry), 0, &["severitynumber"]),
    // journald alone writes it in capitals: `role` sees to that.
    (Role::LevelNumber(Scale::Syslog), 0, &["priority"]),
    (Role::Message, 0, &["msg", "message", "@m", "recordmessage", "renderedmessage"]),
    // GELF.
    (Role::Message, 1, &["shortmessage"]),
    // OpenTelemetry: as a text, in OTLP's JSON, and as its Go exporter prints it.
    (Role::Message, 2, &["body", "bodystringvalue", "bodyvalue"]),
    // Serilog: with the names of properties in place of their values.
    (Role::Message, 3, &["@mt", "messagetemplate"]),
    (Role::Event, 0, &["event", "eventname"]),
    (Role::Caller, 0, &["caller"]),
    (
        Role::File,
        0,
        &[
            "file",
            "source",
            "filename",
            "pathname",
            "sourcefile",
            "srcfile",
            "callerfile",
            "callerfilename",
            "codefilepath",
            "codefile",
            "logoriginfilename",
            "sourcelocationfile",
            "logginggoogleapiscomsourcelocationfile",
            "recordfilepath",
        ],
    ),
    (
        Role::Line,
        0,
        &[
            "line",
            "lineno",
            "linenumber",
            "sourceline",
            "srcline",
            "callerline",
            "callerlinenumber",
            "codeline",
            "codelineno",
            "codelinenumber",
            "logoriginfileline",
            "sourcelocationline",
            "logginggoogleapiscomsourcelocationline",
            "recordline",
        ],
    ),
    (
        Role::Logger,
        0,
        &["logger", "loggername", "loglogger", "name", "target", "category", "recordname"],
    ),
    (
        Role::Id(Id::Trace),
        0,
        &[
            "traceid",
            "trace",
            "@tr",
            "xtraceid",
            "xb3traceid",
            "b3traceid",
            "oteltraceid",
            // Honeycomb, Dynatrace, Elastic APM.
            "tracetraceid",
            "dttraceid",
            "elasticapmtraceid",
            "logginggoogleapiscomtrace",
            "xraytraceid",
            "jaegertraceid",
            "contexttraceid",
        ],
    ),
    (
        Role::Id(Id::Span),
        0,
        &[
            "spanid",
            "@sp",
            "xspanid",
            "xb3spanid",
            "b3spanid",
            "otelspanid",
            "tracespanid",
            "dtspanid",
            "elasticapmspanid",
            "logginggoogleapiscomspanid",
            "jaegerspanid",
        ],
    ),
    (Role::Id(Id::DatadogTrace), 0, &["ddtraceid"]),
    (Role::Id(Id::DatadogSpan), 0, &["ddspanid"]),
    (Role::Id(Id::Transaction), 0, &["transactionid", "elasticapmtransactionid"]),
    (
        Role::Id(Id::Context),
        0,
        &[
            "traceparent",
            "b3",
            "ubertraceid",
            "xamzntraceid",
            "awsxraytraceid",
            "xcloudtracecontext",
            "sentrytrace",
        ],
    ),
    (
        Role::Id(Id::Request),
        0,
        &[
            "requestid",
            "reqid",
            "xrequestid",
            "correlationid",
            "xcorrelationid",
            "httprequestid",
            "reqrequestid",
            "requestidheader",
            "xamzcfid",
            "xamznrequestid",
        ],
    ),
];

/// Objects of the record's own fields, in which loggers put identifiers.
const CONTAINERS: [&str; 15] = [
    "fields.",
    "mdc.",
    "contextMap.",
    "context.",
    "ctx.",
    "extra.",
    "span.",
    "labels.",
    "attributes.",
    "attrs.",
    "Properties.",
    "resource.",
    "record.extra.",
    "Scopes.",
    "State.",
];

/// Letters and digits of the longest name here.
const LONGEST: usize = 40;

/// Slots of the index: three times as many as there are names, so that few share one.
const SLOTS: usize = 512;

/// Names, each in the slot of its hash or in one of the next.
static INDEX: [Name; SLOTS] = index();

const fn index() -> [Name; SLOTS] {
    let mut slots = [OTHER; SLOTS];
    let mut row = 0;
    while row < TABLE.len() {
        let (role, rank, names) = TABLE[row];
        let mut at = 0;
        while at < names.len() {
            let plain = names[at].as_bytes();
            assert!(plain.len() <= LONGEST);
            let (mut hash, mut byte) = (0, 0);
            while byte < plain.len() {
                hash = step(hash, plain[byte]);
                byte += 1;
            }
            let mut slot = hash as usize % SLOTS;
            while !slots[slot].plain.is_empty() {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = Name { role, rank, plain: names[at] };
            at += 1;
        }
        row += 1;
    }
    slots
}

const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193).rotate_left(5)
}

/// The role of `key`, a path with dots.
pub(super) fn role(key: &str) -> Name {
    let bytes = key.as_bytes();
    if bytes.len() > LONGEST + LONGEST / 2 {
        return OTHER;
    }
    // Most names are short and mean nothing here: they should not cost much.
    let mut plain = [0_u8; LONGEST];
    let (mut length, mut hash, mut dotted) = (0, 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        let kept = match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'$' => *byte,
            b'A'..=b'Z' => byte.to_ascii_lowercase(),
            // Serilog's compact format: `@t` is not `t`. Elsewhere it is decoration: `@timestamp`.
            b'@' if at == 0 && bytes.len() <= 3 => *byte,
            b'.' => {
                dotted = true;
                continue;
            }
            b'_' | b'-' | b'@' | b'/' => continue,
            _ => return OTHER,
        };
        let Some(place) = plain.get_mut(length) else { return OTHER };
        *place = kept;
        length += 1;
        hash = step(hash, kept);
    }
    let found = look_up(plain.get(..length).unwrap_or_default(), hash);
    match found.role {
        Role::Other if dotted => contained(key),
        Role::LevelNumber(Scale::Syslog) if key != "PRIORITY" => OTHER,
        // `transaction_id` is a business's word; as `transaction.id` it is Elastic's.
        Role::Id(Id::Transaction) if !dotted && found.plain == "transactionid" => {
            Name { role: Role::Id(Id::Request), ..found }
        }
        _ => found,
    }
}

fn look_up(plain: &[u8], hash: u32) -> Name {
    let mut slot = hash as usize % SLOTS;
    while let Some(name) = INDEX.get(slot).filter(|name| !name.plain.is_empty()) {
        if name.plain.as_bytes() == plain {
            return *name;
        }
        slot = (slot + 1) % SLOTS;
    }
    OTHER
}

/// The role of a field within an object of the record's own: an identifier, or (tracing) the
/// message.
fn contained(key: &str) -> Name {
    let Some(inner) = CONTAINERS.iter().find_map(|container| key.strip_prefix(container)) else {
        return OTHER;
    };
    let nested = !matches!(inner, "trace.id" | "span.id" | "transaction.id")
        && !inner.starts_with("dd.")
        && !inner.starts_with("dt.")
        && inner.contains('.');
    if nested {
        return OTHER;
    }
    let name = role(inner);
    match name.role {
        Role::Id(_) => name,
        Role::Message if key.starts_with("fields.") => name,
        _ => OTHER,
    }
}

/// Whether text may have an identifier under that name. Cheap, for every `=` and `:` in a message.
pub(super) fn identifies(key: &str) -> Option<Id> {
    let last = key.as_bytes().last().map(u8::to_ascii_lowercase);
    if !matches!(last, Some(b'd' | b'e' | b't' | b'3')) {
        return None;
    }
    match role(key).role {
        Role::Id(id) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> Role {
        role(key).role
    }

    #[test]
    fn spellings() {
        for key in [
            "trace_id",
            "traceId",
            "traceID",
            "TraceId",
            "trace.id",
            "trace",
            "X-Trace-ID",
            "_trace_id",
            "X-B3-TraceId",
            "otelTraceID",
            "logging.googleapis.com/trace",
            "mdc.traceId",
            "contextMap.trace_id",
            "fields.trace_id",
            "mdc.trace.id",
            "span.trace_id",
            "trace.trace_id",
            "dt.trace_id",
            "@tr",
            "Properties.TraceId",
        ] {
            assert_eq!(of(key), Role::Id(Id::Trace), "{key}");
        }
        for key in [
            "span_id",
            "spanId",
            "span.id",
            "X-B3-SpanId",
            "logging.googleapis.com/spanId",
            "mdc.spanId",
            "trace.span_id",
            "@sp",
        ] {
            assert_eq!(of(key), Role::Id(Id::Span), "{key}");
        }
        for key in ["dd.trace_id", "dd_trace_id", "mdc.dd.trace_id"] {
            assert_eq!(of(key), Role::Id(Id::DatadogTrace), "{key}");
        }
        for key in ["traceparent", "b3", "X-Amzn-Trace-Id", "uber-trace-id"] {
            assert_eq!(of(key), Role::Id(Id::Context), "{key}");
        }
        for key in [
            "request_id",
            "requestId",
            "req_id",
            "reqId",
            "x-request-id",
            "correlation_id",
            "X-Correlation-ID",
            "transaction_id",
        ] {
            assert_eq!(of(key), Role::Id(Id::Request), "{key}");
        }
        for key in [
            "",
            "order_id",
            "traces",
            "order.trace_id.of",
            "request.body.trace_id",
            "parent_trace_id",
            "äö",
            "a b",
            "trace id",
            "mdc.level",
            "fields.level",
            "message.id",
            "trace_identity",
            "t",
            "m",
            "priority",
            "@x",
        ] {
            assert_eq!(of(key), Role::Other, "{key}");
        }
        assert_eq!(of("@timestamp"), Role::Time);
        assert_eq!(of("@t"), Role::Time);
        assert_eq!(of("fields.message"), Role::Message);
        assert_eq!(of("log.level"), Role::Level);
        assert_eq!(of("transaction.id"), Role::Id(Id::Transaction));
        assert_eq!(of("PRIORITY"), Role::LevelNumber(Scale::Syslog));
        assert_eq!(of("logging.googleapis.com/sourceLocation.line"), Role::Line);
    }

    /// Each name is found under its own row, so none is there twice.
    #[test]
    fn the_table_is_whole() {
        for (at, (role, rank, names)) in TABLE.iter().enumerate() {
            for plain in *names {
                let hash = plain.bytes().fold(0, step);
                let found = look_up(plain.as_bytes(), hash);
                assert_eq!((found.role, found.rank), (*role, *rank), "{plain}, row {at}");
            }
        }
    }
}
