//! Structured metadata: names and values beside a line.
//!
//! Loki takes 128 of them and 64 KiB a line by default, and refuses the line where there is more
//! (`limits_config.max_structured_metadata_*`). Names are made what Loki makes of them itself
//! (`LabelNamer` of <https://github.com/prometheus/otlptranslator>), because it refuses the whole request
//! where nothing is left of one.

use std::borrow::Cow;

use super::line::{is_taken, key_of, source_of};
use super::request::LabelPairAdapter;
use crate::model::{Correlation, FOREIGN, LogRecord, Value};

/// Fewer than 128: Loki may add some of its own.
const MAX_ENTRIES: usize = 120;

/// Names and values together, in bytes; below 64 KiB for the same reason, and for [`LEFT_OUT`].
const MAX_BYTES: usize = 48 << 10;

/// A longer value is something to read (a stack trace), not something to search for by its whole.
const MAX_VALUE: usize = 4 << 10;

/// The fields that are only in the line, by their names.
pub(super) const LEFT_OUT: &str = "sensor_left_out";

/// Of [`LEFT_OUT`], the names that are told.
const MAX_LEFT_OUT: usize = 1 << 10;

/// What is beside the line of `record`. `label` says whether a resource attribute is a label already.
pub(super) fn metadata(
    record: &LogRecord,
    is_label: impl Fn(&str) -> bool,
) -> Vec<LabelPairAdapter> {
    let mut all = Metadata::default();
    if let Some(Correlation { trace_id, span_id, evidence, after_response }) = &record.correlation {
        all.own("trace_id", &trace_id.to_string());
        if let Some(span_id) = span_id {
            all.own("span_id", &span_id.to_string());
        }
        all.own("correlation", evidence);
        if *after_response {
            all.own("after_response", "true");
        }
    }
    let level = record.severity.map(|it| it.name());
    let level_text = record.severity_text.as_deref().filter(|text| Some(*text) != level);
    let (source, file) = source_of(&record.source);
    for (name, value) in [
        ("level_text", level_text),
        ("caller", record.caller.as_deref()),
        ("event", record.event.as_deref()),
        ("source", Some(source)),
        ("file", file),
        ("dead_letter_reason", record.breach.map(|it| it.name())),
    ] {
        if let Some(value) = value {
            all.own(name, value);
        }
    }
    for (name, key) in [
        ("host_name", "host.name"),
        ("k8s_pod_name", "k8s.pod.name"),
        ("container_id", "container.id"),
        ("process_pid", "process.pid"),
    ] {
        let value = record.resource.attributes.iter().find(|it| it.key == key).map(|it| &it.value);
        if let Some(value) = value.filter(|_| !is_label(key)) {
            all.own(name, &text(value));
        }
    }
    for attribute in &record.attributes {
        let key = key_of(&attribute.key, &record.attributes);
        all.field(&key, &text(&attribute.value), attribute.is_own());
    }
    all.finish()
}

#[derive(Default)]
struct Metadata {
    pairs: Vec<LabelPairAdapter>,
    bytes: usize,
    left_out: String,
    left_out_more: usize,
}

impl Metadata {
    /// A value of the schema.
    fn own(&mut self, name: &str, value: &str) {
        if !self.push(name, value) {
            self.leave_out(name);
        }
    }

    /// Another field, or what the sensor says of the record.
    fn field(&mut self, key: &str, value: &str, own: bool) {
        let added = name(key).is_some_and(|name| {
            let name = match !own && is_taken(&name) {
                true => Cow::Owned(format!("{FOREIGN}{name}")),
                false => name,
            };
            // Two fields may come to one name: the first has it.
            !self.pairs.iter().any(|pair| pair.name == name) && self.push(&name, value)
        });
        if !added && !value.is_empty() {
            self.leave_out(key);
        }
    }

    fn push(&mut self, name: &str, value: &str) -> bool {
        let bytes = name.len() + value.len();
        let room = self.pairs.len() < MAX_ENTRIES && self.bytes + bytes <= MAX_BYTES;
        if value.is_empty() || value.len() > MAX_VALUE || !room {
            return false;
        }
        self.bytes += bytes;
        self.pairs.push(LabelPairAdapter { name: name.to_owned(), value: value.to_owned() });
        true
    }

    fn leave_out(&mut self, name: &str) {
        let name = if name.is_empty() { "\"\"" } else { name };
        if self.left_out.len() + name.len() >= MAX_LEFT_OUT {
            self.left_out_more += 1;
            return;
        }
        if !self.left_out.is_empty() {
            self.left_out.push(',');
        }
        self.left_out.push_str(name);
    }

    fn finish(mut self) -> Vec<LabelPairAdapter> {
        if self.left_out_more > 0 {
            self.left_out.push_str(&format!(",… ({} more)", self.left_out_more));
        }
        if !self.left_out.is_empty() {
            let (name, value) = (LEFT_OUT.to_owned(), self.left_out);
            self.pairs.push(LabelPairAdapter { name, value });
        }
        self.pairs
    }
}

/// A name as Loki has them: letters, digits, single underscores, and no digit first. None where nothing is left.
fn name(key: &str) -> Option<Cow<'_, str>> {
    let fits = |key: &str| {
        let mut bytes = key.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !key.contains("__")
    };
    if fits(key) {
        return Some(Cow::Borrowed(key));
    }
    let mut name = String::with_capacity(key.len() + 4);
    if key.starts_with(|first: char| first.is_ascii_digit()) {
        name.push_str("key_");
    }
    for character in key.chars() {
        match character {
            character if character.is_ascii_alphanumeric() => name.push(character),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    name.bytes().any(|byte| byte != b'_').then_some(Cow::Owned(name))
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Int(number) => number.to_string().into(),
        Value::Double(number) => number.to_string().into(),
        Value::Bool(truth) => truth.to_string().into(),
        // As in the line; an item may have a comma in it.
        Value::Strs(texts) => serde_json::json!(texts).to_string().into(),
    }
}
