//! A server exchange as a record of the schema that the services' own lines have, so that one query by
//! `trace_id` returns the request and its lines.

use crate::model::{
    Attribute, Class, Correlation, LogRecord, LogSource, Severity, Span, Status, Value,
};
use crate::wire::grpc;

/// The attributes that go into the record, under the short names that people filter by.
const FIELDS: &[(&str, &str)] = &[
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("path", "url.path"),
    ("query", "url.query"),
    ("status", "http.response.status_code"),
    ("rpc_service", "rpc.service"),
    ("rpc_method", "rpc.method"),
    ("grpc_status", "rpc.grpc.status_code"),
    ("error", "error.type"),
    ("client", "client.address"),
    ("server", "server.address"),
    ("request_bytes", "http.request.body.size"),
    ("response_bytes", "http.response.body.size"),
    ("user_agent", "user_agent.original"),
];

/// The class of all of them.
pub(super) const CLASS: Class = Class::Middleware;

/// The record of a server span: written when there is something to say, at its end.
pub(super) fn record(span: &Span) -> LogRecord {
    let mut attributes = Vec::with_capacity(FIELDS.len() + 2);
    for &(name, key) in FIELDS {
        if let Some(value) = find(span, key) {
            attributes.push(Attribute::new(name, value.clone()));
        }
    }
    let duration = duration(span.end_unix_ns.saturating_sub(span.start_unix_ns));
    let message = message(span, &duration);
    attributes.push(Attribute::new("duration", duration));
    if let Some(parent) = span.parent_span_id {
        attributes.push(Attribute::new("parent_span_id", parent.to_string()));
    }
    let rpc = find(span, "rpc.system").is_some();
    LogRecord {
        time_unix_ns: None,
        observed_unix_ns: span.end_unix_ns,
        severity: Some(severity(span)),
        severity_text: None,
        message: message.into(),
        caller: None,
        event: Some(if rpc { "rpc.server.call" } else { "http.server.request" }.into()),
        correlation: Some(Correlation {
            trace_id: span.trace_id,
            span_id: Some(span.span_id),
            evidence: "exchange",
            after_response: false,
        }),
        class: CLASS,
        source: LogSource::Exchange,
        attributes,
        breach: None,
        resource: span.resource.clone(),
    }
}

/// Error where the conventions see one (5xx, no answer), warn for what the client did wrong (4xx), else info.
pub(super) fn severity(span: &Span) -> Severity {
    match (span.status, find(span, "http.response.status_code")) {
        (Status::Error, _) => Severity::Error,
        (Status::Unset, Some(Value::Int(400..500))) => Severity::Warn,
        (Status::Unset, _) => Severity::Info,
    }
}

/// `GET /cart 200 1.543211ms`. What is not known is left out; the query may be long, and has a field.
fn message(span: &Span, duration: &str) -> String {
    let text = |key| match find(span, key) {
        Some(Value::Str(text)) => Some(text.as_str()),
        _ => None,
    };
    let number = |key| match find(span, key) {
        Some(&Value::Int(number)) => Some(number),
        _ => None,
    };
    let method = text("http.request.method_original").or_else(|| text("http.request.method"));
    let call = number("rpc.grpc.status_code").map(|code| {
        let name = u32::try_from(code).ok().and_then(|code| grpc::Status(code).name());
        name.map_or_else(|| code.to_string(), str::to_owned)
    });
    let status = call.or_else(|| number("http.response.status_code").map(|it| it.to_string()));
    let outcome = status.or_else(|| text("error.type").map(str::to_owned));
    let parts = [method, text("url.path"), outcome.as_deref(), Some(duration)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn find<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|it| &it.value)
}

/// As Go writes it, so that LogQL and LogsQL compare it (`| duration > 10ms`), and exact.
fn duration(ns: u64) -> String {
    let (divisor, digits, unit) = match ns {
        0..1_000 => return format!("{ns}ns"),
        1_000..1_000_000 => (1_000, 3, "us"),
        1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
        _ => (1_000_000_000, 9, "s"),
    };
    let fraction = format!("{:0digits$}", ns % divisor);
    match fraction.trim_end_matches('0') {
        "" => format!("{}{unit}", ns / divisor),
        fraction => format!("{}.{fraction}{unit}", ns / divisor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{resource, span_of};
    use crate::model::SpanId;

    #[test]
    fn a_record_tells_the_exchange() {
        let mut span = span_of(&resource("shop"), 0xb7);
        span.parent_span_id = SpanId::new([1; 8]);
        span.attributes.extend([
            Attribute::new("url.query", "q=1"),
            Attribute::new("http.route", "/cart"),
            Attribute::new("network.transport", "tcp"),
            Attribute::new("client.address", "10.0.0.7"),
        ]);
        let record = record(&span);
        assert_eq!(record.message.as_str(), "GET /cart 200 1.543211ms");
        assert_eq!(record.event.as_deref(), Some("http.server.request"));
        assert_eq!((record.time_unix_ns, record.observed_unix_ns), (None, span.end_unix_ns));
        assert_eq!((record.class, record.source), (Class::Middleware, LogSource::Exchange));
        let correlation = record.correlation.unwrap();
        assert_eq!(
            (correlation.trace_id, correlation.span_id, correlation.evidence),
            (span.trace_id, Some(span.span_id), "exchange")
        );
        assert_eq!(
            record.attributes,
            [
                Attribute::new("method", "GET"),
                Attribute::new("route", "/cart"),
                Attribute::new("path", "/cart"),
                Attribute::new("query", "q=1"),
                Attribute::new("status", 200),
                Attribute::new("client", "10.0.0.7"),
                Attribute::new("duration", "1.543211ms"),
                Attribute::new("parent_span_id", "0101010101010101"),
            ]
        );
    }

    #[test]
    fn a_call_is_told_by_its_own_status_and_a_failure_by_its_kind() {
        let mut call = span_of(&resource("shop"), 1);
        call.attributes = vec![
            Attribute::new("http.request.method", "POST"),
            Attribute::new("url.path", "/shop.Cart/Add"),
            Attribute::new("http.response.status_code", 200),
            Attribute::new("rpc.system", "grpc"),
            Attribute::new("rpc.service", "shop.Cart"),
            Attribute::new("rpc.method", "Add"),
            Attribute::new("rpc.grpc.status_code", 5),
        ];
        let told = record(&call);
        assert_eq!(told.message.as_str(), "POST /shop.Cart/Add NOT_FOUND 1.543211ms");
        assert_eq!(told.event.as_deref(), Some("rpc.server.call"));
        assert!(told.attributes.contains(&Attribute::new("grpc_status", 5)));

        let mut broken = span_of(&resource("shop"), 1);
        broken.attributes[2] = Attribute::new("error.type", "connection_reset");
        broken.status = Status::Error;
        let told = record(&broken);
        assert_eq!(told.message.as_str(), "GET /cart connection_reset 1.543211ms");
        assert_eq!(told.severity, Some(Severity::Error));
    }

    #[test]
    fn levels_follow_the_status() {
        let with = |status, code: Option<i64>| {
            let mut span = span_of(&resource("s"), 1);
            span.status = status;
            span.attributes = code
                .map(|code| Attribute::new("http.response.status_code", code))
                .into_iter()
                .collect();
            severity(&span)
        };
        assert_eq!(with(Status::Unset, Some(200)), Severity::Info);
        assert_eq!(with(Status::Unset, Some(404)), Severity::Warn);
        assert_eq!(with(Status::Error, Some(503)), Severity::Error);
        assert_eq!(with(Status::Error, None), Severity::Error);
    }

    #[test]
    fn durations_are_exact_and_as_go_writes_them() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1us"),
            (1_234, "1.234us"),
            (1_000_001, "1.000001ms"),
            (20_500_000, "20.5ms"),
            (1_500_000_000, "1.5s"),
            (61_000_000_001, "61.000000001s"),
        ] {
            assert_eq!(duration(ns), text);
        }
    }
}
