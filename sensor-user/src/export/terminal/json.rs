//! JSON lines: one object a line, each with a `type`. The contract:
//!
//! - `span`: `trace_id`, `span_id`, `parent_span_id` (lower-case hexadecimal), `trace_flags` (a
//!   number), `trace_state`, `name`, `kind` (`server`, `client`), `start_time_unix_nano`,
//!   `end_time_unix_nano`, `status` (`unset`, `ok`, `error`), `attributes` and `resource` (objects
//!   keyed by the names of the semantic conventions), `events` (`time_unix_nano`, `name`,
//!   `attributes`), `links` (`trace_id`, `span_id`, `attributes`).
//! - `open`: an exchange that has been going on for a while; it comes again, ever more seldom, until
//!   its `span`, which has the same `span_id`. As a `span`, but with `seen_time_unix_nano` (when this
//!   was so) for the end, and without `status`: how it ends is not known.
//! - `log`: a record of a service's log: `timestamp_unix_nano` (the line's own time, or the kernel's),
//!   `observed_time_unix_nano` (the kernel's), `level` (`debug`, `info`, `warn`, `error`, `fatal`), `level_text` (the
//!   line's own word), `service`, `host`, `trace_id`, `span_id`, `correlation` (what says whose it is),
//!   `after_response`, `message`, `caller`, `event`, `class`, `source` (`stdout`, `stderr`, `file`), `file`,
//!   `dead_letter` (why it breaks the schema), `attributes` (all other fields), `resource`.
//! - `summary`, the last line: `elapsed_nano`, `counters` (every one, zero or not) and
//!   `spans_by_service`.
//!
//! What is not known is absent: no null, no empty text, object or list. Times are JSON numbers
//! because they are numbers; today's need 61 bits, so a reader that keeps numbers as doubles
//! (JavaScript, jq before 1.7) sees them rounded to 256 ns, and one with integers sees them exactly.
//! New keys may come, and readers have to ignore those they do not know.

use std::collections::hash_map::Entry;
use std::io::{self, Write};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use super::{ServiceCount, SpanWriter, Summary};
use crate::model::{
    Attribute, Breach, Correlation, Link, LogRecord, LogSource, Resource, Severity, Span,
    SpanEvent, SpanKind, Status, Text, Value,
};

/// Writes JSON lines. Each goes out in one `write`, so that lines of several writers to one pipe
/// stay whole up to its atomic size.
#[derive(Debug)]
pub struct JsonLines<W: Write> {
    out: W,
    line: Vec<u8>,
    resources: Resources,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, unbuffered beyond the line.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::with_capacity(1024), resources: Resources::default() }
    }

    fn line_of(&mut self, span: &Span, open: bool) -> io::Result<()> {
        let resource = self.resources.text(&span.resource)?;
        self.line.clear();
        serde_json::to_writer(&mut self.line, &SpanLine { span, resource, open })?;
        self.write_line()
    }

    fn write_line(&mut self) -> io::Result<()> {
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

impl<W: Write> SpanWriter for JsonLines<W> {
    fn span(&mut self, span: &Span) -> io::Result<()> {
        self.line_of(span, false)
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        let resource = self.resources.text(&record.resource)?;
        self.line.clear();
        serde_json::to_writer(&mut self.line, &RecordLine { record, resource })?;
        self.write_line()
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        self.line_of(so_far, true)
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &SummaryLine(summary))?;
        self.write_line()?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The JSON of resources, which are the same in many lines and as long as all the rest. By address,
/// which stays theirs because they are kept.
#[derive(Debug, Default)]
struct Resources(FxHashMap<usize, (Arc<Resource>, Box<RawValue>)>);

impl Resources {
    /// When there are more, all are forgotten: a new process is rarer than a span by far.
    const MAX: usize = 1024;

    /// The object of `resource`; none when there is nothing in it.
    fn text(&mut self, resource: &Arc<Resource>) -> io::Result<Option<&RawValue>> {
        if resource.attributes.is_empty() {
            return Ok(None);
        }
        let address = Arc::as_ptr(resource).addr();
        if self.0.len() >= Self::MAX && !self.0.contains_key(&address) {
            self.0.clear();
        }
        Ok(Some(match self.0.entry(address) {
            Entry::Occupied(known) => &known.into_mut().1,
            Entry::Vacant(new) => {
                let text = serde_json::value::to_raw_value(&Attributes(&resource.attributes))?;
                &new.insert((Arc::clone(resource), text)).1
            }
        }))
    }
}

struct SpanLine<'a> {
    span: &'a Span,
    resource: Option<&'a RawValue>,
    open: bool,
}

impl Serialize for SpanLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Span {
            trace_id,
            span_id,
            parent_span_id,
            flags,
            remote_sampled: _,
            flag_refused: _,
            minted: _,
            exports_spans: _,
            trace_state,
            name,
            kind,
            start_unix_ns,
            end_unix_ns,
            status,
            attributes,
            events,
            links,
            resource: _,
        } = self.span;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", if self.open { "open" } else { "span" })?;
        map.serialize_entry("trace_id", &Shown(trace_id))?;
        map.serialize_entry("span_id", &Shown(span_id))?;
        if let Some(parent) = parent_span_id {
            map.serialize_entry("parent_span_id", &Shown(parent))?;
        }
        map.serialize_entry("trace_flags", &flags.0)?;
        if let Some(state) = trace_state.as_deref().filter(|state| !state.is_empty()) {
            map.serialize_entry("trace_state", state)?;
        }
        map.serialize_entry("name", name.as_ref())?;
        let kind = match kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
        };
        map.serialize_entry("kind", kind)?;
        map.serialize_entry("start_time_unix_nano", start_unix_ns)?;
        if self.open {
            map.serialize_entry("seen_time_unix_nano", end_unix_ns)?;
        } else {
            map.serialize_entry("end_time_unix_nano", end_unix_ns)?;
            let status = match status {
                Status::Unset => "unset",
                Status::Error => "error",
            };
            map.serialize_entry("status", status)?;
        }
        entry_unless_empty(&mut map, "attributes", attributes, Attributes)?;
        if let Some(resource) = self.resource {
            map.serialize_entry("resource", resource)?;
        }
        entry_unless_empty(&mut map, "events", events, |it| List(it, EventObject))?;
        entry_unless_empty(&mut map, "links", links, |it| List(it, LinkObject))?;
        map.end()
    }
}

struct RecordLine<'a> {
    record: &'a LogRecord,
    resource: Option<&'a RawValue>,
}

impl<'a> Serialize for RecordLine<'a> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LogRecord {
            time_unix_ns: _,
            observed_unix_ns,
            severity,
            severity_text,
            message,
            caller,
            event,
            correlation,
            class,
            source,
            attributes,
            breach,
            resource,
        } = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "log")?;
        map.serialize_entry("timestamp_unix_nano", &self.record.timestamp())?;
        map.serialize_entry("observed_time_unix_nano", observed_unix_ns)?;
        let text = |text: &'a Option<Text>| text.as_ref().map(Text::as_str);
        let texts = [
            ("level", severity.map(Severity::name)),
            ("level_text", text(severity_text)),
            ("service", resource.service_name()),
            ("host", resource.text("host.name")),
            ("message", Some(message.as_str())),
            ("caller", text(caller)),
            ("event", text(event)),
            ("class", Some(class.name())),
            ("dead_letter", breach.map(Breach::name)),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(Correlation { trace_id, span_id, evidence, after_response }) = correlation {
            map.serialize_entry("trace_id", &Shown(trace_id))?;
            if let Some(span_id) = span_id {
                map.serialize_entry("span_id", &Shown(span_id))?;
            }
            map.serialize_entry("correlation", evidence)?;
            if *after_response {
                map.serialize_entry("after_response", &true)?;
            }
        }
        let (source, file) = match source {
            LogSource::Stdout => ("stdout", None),
            LogSource::Stderr => ("stderr", None),
            LogSource::File(path) => ("file", Some(path).filter(|path| !path.is_empty())),
            LogSource::Exchange => ("exchange", None),
        };
        map.serialize_entry("source", source)?;
        if let Some(path) = file {
            map.serialize_entry("file", path.as_ref())?;
        }
        entry_unless_empty(&mut map, "attributes", attributes, Attributes)?;
        if let Some(resource) = self.resource {
            map.serialize_entry("resource", resource)?;
        }
        map.end()
    }
}

fn entry_unless_empty<'a, M: SerializeMap, T, V: Serialize>(
    map: &mut M,
    key: &'static str,
    items: &'a [T],
    wrap: impl FnOnce(&'a [T]) -> V,
) -> Result<(), M::Error> {
    if items.is_empty() { Ok(()) } else { map.serialize_entry(key, &wrap(items)) }
}

/// What `Display` says, as text.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Attributes<'a>(&'a [Attribute]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for Attribute { key, value } in self.0 {
            let key = key.as_ref();
            match value {
                Value::Str(text) => map.serialize_entry(key, text.as_ref())?,
                Value::Int(number) => map.serialize_entry(key, number)?,
                Value::Double(number) => map.serialize_entry(key, number)?,
                Value::Bool(truth) => map.serialize_entry(key, truth)?,
                Value::Strs(texts) => map.serialize_entry(key, &List(texts, String::as_str))?,
            }
        }
        map.end()
    }
}

struct List<'a, T, F>(&'a [T], F);

impl<'a, T, V: Serialize, F: Fn(&'a T) -> V> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            list.serialize_element(&(self.1)(item))?;
        }
        list.end()
    }
}

struct EventObject<'a>(&'a SpanEvent);

impl Serialize for EventObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SpanEvent { time_unix_ns, name, attributes } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time_unix_nano", time_unix_ns)?;
        map.serialize_entry("name", name)?;
        entry_unless_empty(&mut map, "attributes", attributes, Attributes)?;
        map.end()
    }
}

struct LinkObject<'a>(&'a Link);

impl Serialize for LinkObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Link { trace_id, span_id, attributes } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace_id", &Shown(trace_id))?;
        map.serialize_entry("span_id", &Shown(span_id))?;
        entry_unless_empty(&mut map, "attributes", attributes, Attributes)?;
        map.end()
    }
}

struct SummaryLine<'a>(&'a Summary);

impl Serialize for SummaryLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Summary { elapsed, counters, by_service } = self.0;
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "summary")?;
        map.serialize_entry("elapsed_nano", &elapsed)?;
        map.serialize_entry("counters", &Object(counters, |count: &u64| *count))?;
        map.serialize_entry("spans_by_service", &Object(by_service, Count))?;
        map.end()
    }
}

struct Object<'a, T, F>(&'a [(String, T)], F);

impl<'a, T, V: Serialize, F: Fn(&'a T) -> V> Serialize for Object<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, (self.1)(value))))
    }
}

struct Count<'a>(&'a ServiceCount);

impl Serialize for Count<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ServiceCount { server, client, errors } = self.0;
        serializer.collect_map([("server", server), ("client", client), ("errors", errors)])
    }
}
