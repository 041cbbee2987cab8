//! A record as an entry of one of Loki's streams: labels, a line, structured metadata.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use super::line::line;
use super::metadata::metadata;
use super::request::{EntryAdapter, Timestamp};
use crate::export::access;
use crate::export::delivery::Item;
use crate::model::{LogRecord, Resource, Span};

/// What becomes a line.
#[derive(Clone, Debug)]
pub(in crate::export) enum Entry {
    /// A record of a log.
    Record(Arc<LogRecord>),
    /// A server span; it is made a record of when it goes out.
    Exchange(Arc<Span>),
}

impl Item for Entry {
    fn weight(&self) -> usize {
        match self {
            Self::Record(record) => record.weight(),
            Self::Exchange(span) => span.weight(),
        }
    }

    fn resource(&self) -> &Arc<Resource> {
        match self {
            Self::Record(record) => &record.resource,
            Self::Exchange(span) => &span.resource,
        }
    }

    /// What differs between the labels of one container or service. Where labels differ in more
    /// than that, a batch has several streams, and each goes in a request of its own all the same.
    fn stream(&self) -> Option<u8> {
        let (class, level, dead) = match self {
            Self::Record(record) => (record.class, record.severity, record.breach.is_some()),
            Self::Exchange(span) => (access::CLASS, Some(access::severity(span)), false),
        };
        // Below 6, 3 and 2.
        let level = level.map_or(0, |level| level as u8 + 1);
        Some((level * 3 + class as u8) * 2 + u8::from(dead))
    }
}

impl Entry {
    pub(super) fn record(&self) -> Cow<'_, LogRecord> {
        match self {
            Self::Record(record) => Cow::Borrowed(record),
            Self::Exchange(span) => Cow::Owned(access::record(span)),
        }
    }
}

/// Longest value of a label; Loki takes 2,048 bytes (`max_label_value_length`) and refuses the stream beyond.
const MAX_LABEL: usize = 1024;

/// Where the process is: what tells streams apart beside the service. In Kubernetes the namespace, as pods come
/// and go from node to node; else the host.
fn place(record: &LogRecord) -> &'static str {
    match record.resource.text("k8s.namespace.name") {
        Some(namespace) if !namespace.is_empty() => "k8s.namespace.name",
        _ => "host.name",
    }
}

/// The labels of a record's stream, by name in order. Named as Loki names the same resource
/// attributes when they come over OTLP: dots become underscores.
pub(super) fn labels(record: &LogRecord) -> String {
    let resource = |key| record.resource.text(key);
    let place = place(record);
    let labels = [
        ("class", Some(record.class.name())),
        // The stream of what breaks the schema.
        ("dead_letter", record.breach.map(|_| "true")),
        ("host_name", resource("host.name").filter(|_| place == "host.name")),
        ("k8s_namespace_name", resource("k8s.namespace.name")),
        ("level", record.severity.map(|it| it.name())),
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
        quote(&mut text, &value[..value.floor_char_boundary(MAX_LABEL)]);
    }
    text.push('}');
    text
}

/// The entry of a record. Its time is the kernel's: the line's own may lie, and has its place in the line.
#[expect(clippy::cast_possible_wrap, reason = "seconds of a u64 of nanoseconds fit an i64")]
pub(super) fn entry(record: &LogRecord) -> EntryAdapter {
    let place = place(record);
    EntryAdapter {
        timestamp: Some(Timestamp {
            seconds: (record.observed_unix_ns / 1_000_000_000) as i64,
            nanos: (record.observed_unix_ns % 1_000_000_000) as i32,
        }),
        line: line(record),
        structured_metadata: metadata(record, |key| key == place),
    }
}

/// In double quotes, with the escapes of Go's `strconv.Unquote`.
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
