//! What the names of fields mean, whatever their spelling: `trace_id`, `traceId`, `TraceID`, `trace.id` and
//! `_trace_id` are one name.

use super::level::Scale;

/// What a field is to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// When.
    Time {
        /// It cannot mean anything else: what is no time there breaks the schema. (`time` and `ts` may be a duration.)
        only: bool,
    },
    /// Seconds, or nanoseconds of the second, of log4j2's `instant`.
    InstantSeconds,
    InstantNanos,
    /// How severe, in words or in pino's numbers.
    Level,
    /// The same, in numbers that are beside a word elsewhere: kept as a field too.
    LevelNumber(Scale),
    /// What happened. The lowest number is the best name for it.
    Message(u8),
    /// The event's name; the message if there is no other.
    Event,
    /// File and line.
    Caller,
    /// A file, to go with a line, or both.
    File,
    Line,
    /// Who: for the class, and a field.
    Logger,
    Trace,
    Span,
    /// Datadog's, in decimal: kept as a field too.
    DatadogTrace,
    DatadogSpan,
    /// W3C's, whole.
    Traceparent,
    /// Of a request.
    Request,
    /// None of these.
    Other,
}

/// Objects that loggers put fields into which are of the record itself.
const CONTAINERS: [&str; 12] = [
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
];

/// Letters and digits of the longest name here.
const LONGEST: usize = 40;

/// What `key` (a path, with dots) means.
pub(super) fn role(key: &str) -> Role {
    let bytes = key.as_bytes();
    if bytes.len() > LONGEST + LONGEST / 2 {
        return Role::Other;
    }
    // Most names are short and mean nothing here: they should not cost much.
    let mut plain = [0_u8; LONGEST];
    let mut length = 0;
    for byte in bytes {
        if byte.is_ascii_alphanumeric() {
            let Some(place) = plain.get_mut(length) else { return Role::Other };
            *place = byte.to_ascii_lowercase();
            length += 1;
        } else if !matches!(byte, b'_' | b'-' | b'.' | b'@' | b'/') {
            return Role::Other;
        }
    }
    let found = named(plain.get(..length).unwrap_or_default());
    if found != Role::Other {
        return found;
    }
    match CONTAINERS.iter().find_map(|container| key.strip_prefix(container)) {
        // What a container has is the record's own where it is an identifier or (tracing) the message.
        Some(inner) if !inner.contains('.') || inner == "trace.id" || inner == "span.id" => {
            match role(inner) {
                it @ (Role::Trace
                | Role::Span
                | Role::DatadogTrace
                | Role::DatadogSpan
                | Role::Traceparent
                | Role::Request) => it,
                it @ Role::Message(_) if key.starts_with("fields.") => it,
                _ => Role::Other,
            }
        }
        _ => Role::Other,
    }
}

fn named(plain: &[u8]) -> Role {
    match plain {
        b"timestamp" => Role::Time { only: true },
        b"time" | b"ts" | b"asctime" | b"datetime" | b"eventtime" | b"timemillis"
        | b"timeiso8601" | b"timelocal" => Role::Time { only: false },
        b"instantepochsecond" => Role::InstantSeconds,
        b"instantnanoofsecond" => Role::InstantNanos,
        b"level" | b"lvl" | b"severity" | b"levelname" | b"loglevel" | b"severitytext" => {
            Role::Level
        }
        b"levelno" | b"levelnumber" => Role::LevelNumber(Scale::Python),
        b"levelvalue" => Role::LevelNumber(Scale::Logback),
        b"severitynumber" => Role::LevelNumber(Scale::OpenTelemetry),
        b"msg" | b"message" => Role::Message(0),
        b"shortmessage" => Role::Message(1),
        b"body" => Role::Message(2),
        b"event" | b"eventname" => Role::Event,
        b"caller" => Role::Caller,
        b"file"
        | b"source"
        | b"filename"
        | b"pathname"
        | b"sourcefile"
        | b"srcfile"
        | b"callerfilename"
        | b"codefilepath"
        | b"codefile"
        | b"logoriginfilename"
        | b"sourcelocationfile"
        | b"logginggoogleapiscomsourcelocationfile" => Role::File,
        b"line"
        | b"lineno"
        | b"linenumber"
        | b"sourceline"
        | b"srcline"
        | b"callerlinenumber"
        | b"codelineno"
        | b"codelinenumber"
        | b"logoriginfileline"
        | b"sourcelocationline"
        | b"logginggoogleapiscomsourcelocationline" => Role::Line,
        b"logger" | b"loggername" | b"loglogger" | b"name" | b"target" | b"category" => {
            Role::Logger
        }
        b"traceid"
        | b"trace"
        | b"xtraceid"
        | b"xb3traceid"
        | b"b3traceid"
        | b"oteltraceid"
        | b"logginggoogleapiscomtrace"
        | b"xraytraceid"
        | b"xamzntraceid"
        | b"ubertraceid"
        | b"jaegertraceid"
        | b"contexttraceid" => Role::Trace,
        b"spanid"
        | b"xspanid"
        | b"xb3spanid"
        | b"b3spanid"
        | b"otelspanid"
        | b"logginggoogleapiscomspanid"
        | b"jaegerspanid" => Role::Span,
        b"ddtraceid" => Role::DatadogTrace,
        b"ddspanid" => Role::DatadogSpan,
        b"traceparent" => Role::Traceparent,
        b"requestid" | b"reqid" | b"xrequestid" | b"correlationid" | b"xcorrelationid"
        | b"httprequestid" | b"transactionid" | b"reqrequestid" | b"requestidheader"
        | b"xamzcfid" | b"xamznrequestid" => Role::Request,
        _ => Role::Other,
    }
}

/// Whether text may have a field of that name which tells whose it is. Cheap, for every `=` and `:` in a message.
pub(super) fn identifies(key: &str) -> bool {
    let last = key.as_bytes().last().map(u8::to_ascii_lowercase);
    matches!(last, Some(b'd' | b'e' | b't'))
        && matches!(
            role(key),
            Role::Trace
                | Role::Span
                | Role::DatadogTrace
                | Role::DatadogSpan
                | Role::Traceparent
                | Role::Request
        )
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(role(key), Role::Trace, "{key}");
        }
        for key in [
            "span_id",
            "spanId",
            "span.id",
            "X-B3-SpanId",
            "logging.googleapis.com/spanId",
            "mdc.spanId",
        ] {
            assert_eq!(role(key), Role::Span, "{key}");
        }
        for key in ["dd.trace_id", "dd_trace_id", "mdc.dd.trace_id"] {
            assert!(matches!(role(key), Role::DatadogTrace | Role::Other), "{key}");
        }
        for key in [
            "request_id",
            "requestId",
            "req_id",
            "reqId",
            "x-request-id",
            "correlation_id",
            "X-Correlation-ID",
        ] {
            assert_eq!(role(key), Role::Request, "{key}");
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
        ] {
            assert_eq!(role(key), Role::Other, "{key}");
        }
        assert_eq!(role("@timestamp"), Role::Time { only: true });
        assert_eq!(role("fields.message"), Role::Message(0));
        assert_eq!(role("log.level"), Role::Level);
        assert_eq!(role("logging.googleapis.com/sourceLocation.line"), Role::Line);
    }
}
