//! A server span as a line of Loki: labels, a logfmt line, structured metadata.

use std::fmt::Write as _;

use crate::model::{Span, Status, Value};

/// A line as Loki takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The end of the exchange: a line is written when there is something to say.
    pub(super) time_unix_ns: u64,
    /// logfmt, for people; the same facts as the metadata.
    pub(super) line: String,
    /// For queries and links.
    pub(super) metadata: Vec<(&'static str, String)>,
}

/// The labels of a span's stream, by name in order. Named as Loki names the same resource
/// attributes when they come over OTLP: dots become underscores.
pub(super) fn labels(span: &Span) -> String {
    let resource = |key| span.resource.text(key);
    let labels = [
        ("host_name", resource("host.name")),
        ("k8s_namespace_name", resource("k8s.namespace.name")),
        ("level", Some(level(span))),
        ("service_name", resource("service.name")),
        ("service_namespace", resource("service.namespace")),
    ];
    let mut text = String::from("{");
    for (name, value) in labels {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if text.len() > 1 {
            text.push_str(", ");
        }
        text.push_str(name);
        text.push('=');
        quote(&mut text, value);
    }
    text.push('}');
    text
}

/// `error` where the conventions see one (5xx, no answer), `warn` for what the client did wrong
/// (4xx), else `info`.
fn level(span: &Span) -> &'static str {
    match (span.status, find(span, "http.response.status_code")) {
        (Status::Error, _) => "error",
        (Status::Unset, Some(Value::Int(400..500))) => "warn",
        (Status::Unset, _) => "info",
    }
}

/// The attributes that go into a line, under the short names that people filter by.
const FIELDS: &[(&str, &str)] = &[
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("path", "url.path"),
    ("query", "url.query"),
    ("status", "http.response.status_code"),
    ("error", "error.type"),
    ("client", "client.address"),
    ("server", "server.address"),
    ("request_bytes", "http.request.body.size"),
    ("response_bytes", "http.response.body.size"),
    ("user_agent", "user_agent.original"),
];

pub(super) fn entry(span: &Span) -> Entry {
    let mut metadata = Vec::with_capacity(FIELDS.len() + 4);
    for (name, key) in FIELDS {
        let Some(value) = find(span, key) else {
            continue;
        };
        metadata.push((
            *name,
            match value {
                Value::Str(text) => text.to_string(),
                Value::Int(number) => number.to_string(),
                Value::Double(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Strs(texts) => texts.join(","),
            },
        ));
    }
    metadata.push(("duration", duration(span.end_unix_ns.saturating_sub(span.start_unix_ns))));
    metadata.push(("trace_id", span.trace_id.to_string()));
    metadata.push(("span_id", span.span_id.to_string()));
    if let Some(parent) = span.parent_span_id {
        metadata.push(("parent_span_id", parent.to_string()));
    }
    let mut line = String::with_capacity(256);
    for (name, value) in &metadata {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
        line.push('=');
        logfmt(&mut line, value);
    }
    Entry { time_unix_ns: span.end_unix_ns, line, metadata }
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

/// A value of logfmt: bare where it can be read back, else quoted.
fn logfmt(line: &mut String, value: &str) {
    let bare = |byte: u8| byte > b' ' && !matches!(byte, b'=' | b'"' | b'\\' | 0x7f);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii() && bare(byte)) {
        line.push_str(value);
    } else {
        quote(line, value);
    }
}

/// In double quotes, with the escapes that Go's `strconv.Unquote` and JSON share.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // A String takes everything.
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}
