//! The line: one JSON object with the keys of the schema, whatever logged it.
//!
//! `timestamp` (RFC 3339: the record's own time, else the kernel's), `observed_timestamp` (the kernel's, where it
//! differs), `level`, `level_text` (the record's own word, where it differs), `service`, `host`, `trace_id`,
//! `span_id`, `message`, `caller`, `event`, `class`, `source` (`stdout`, `stderr`, `file`, `exchange`), `file`,
//! `correlation`, `after_response`, `dead_letter` (why it breaks the schema), and all other fields under their own
//! names. One that is called like a key of the schema or a label has [`FOREIGN`] before it. What is not known is absent.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::metadata::LEFT_OUT;
use crate::logs::CUT;
use crate::logs::format::CUT_FIELDS;
use crate::model::{Attribute, Correlation, FOREIGN, LogRecord, LogSource, Text, Value};

/// As Loki has the names of the sensor's own attributes of a record (`sensor.log.…`).
const OWN_OF_RECORDS: &str = "sensor_log_";

/// The names of the schema, in lines, beside them and of labels: no field has them.
const TAKEN: [&str; 29] = [
    "timestamp",
    "observed_timestamp",
    "level",
    "level_text",
    "service",
    "host",
    "trace_id",
    "span_id",
    "message",
    "caller",
    "event",
    "class",
    "source",
    "file",
    "correlation",
    "after_response",
    "dead_letter",
    // Beside the line.
    "dead_letter_reason",
    LEFT_OUT,
    "k8s_pod_name",
    "container_id",
    "process_pid",
    // Labels, and what Loki and VictoriaLogs add.
    "host_name",
    "k8s_namespace_name",
    "service_name",
    "service_namespace",
    "detected_level",
    "_msg",
    "_time",
];

/// What a field is called among `attributes`: as it is called, or with [`FOREIGN`].
pub(super) fn key_of<'a>(key: &'a str, attributes: &[Attribute]) -> Cow<'a, str> {
    let mut name = Cow::Borrowed(key);
    // Once more where a field has that name too.
    while is_taken(&name) || (name != key && attributes.iter().any(|it| it.key == name)) {
        name = format!("{FOREIGN}{name}").into();
    }
    name
}

pub(super) fn is_taken(name: &str) -> bool {
    TAKEN.contains(&name) || name.starts_with(OWN_OF_RECORDS)
}

/// Longest line that Loki takes by default (`max_line_size`, 256 KiB).
pub(super) const MAX_LINE: usize = 256 << 10;

/// Room for the attributes that say what was left out: [`CUT`] and [`CUT_FIELDS`], with their
/// numbers.
const MARKS: usize = 96;

/// The line of a record, of at most [`MAX_LINE`] bytes.
///
/// JSON has six bytes for each control character, so a record that is within its own bounds may
/// grow beyond Loki's. Then its message ends early, and, if that is not enough, it has fewer
/// attributes; the record says how much is left out.
pub(super) fn line(record: &LogRecord) -> String {
    let whole = encode(record);
    if whole.len() <= MAX_LINE { whole } else { encode(&shortened(record, whole.len())) }
}

fn encode(record: &LogRecord) -> String {
    #[expect(clippy::expect_used, reason = "texts and finite numbers, keyed by texts, into memory")]
    serde_json::to_string(&Line(record)).expect("a record is JSON")
}

/// The record without what its line, of `length` bytes, has too much of.
fn shortened(record: &LogRecord, length: usize) -> LogRecord {
    let mut record = record.clone();
    let mut over = length.saturating_sub(MAX_LINE - MARKS);
    let message = record.message.as_str();
    let mut end = message.len();
    for (at, character) in message.char_indices().rev() {
        if over == 0 {
            break;
        }
        over = over.saturating_sub(escaped(character));
        end = at;
    }
    let mut cut = message.len() - end;
    record.message = Text::copy(message.get(..end).unwrap_or_default());
    let mut fields = 0_usize;
    while over > 0
        && let Some(Attribute { key, value }) = record.attributes.pop()
    {
        // The bytes of its text, at least: what is escaped is longer.
        let length = match &value {
            Value::Str(text) => text.len() + 2,
            Value::Strs(texts) => 1 + texts.iter().map(|text| text.len() + 3).sum::<usize>(),
            Value::Int(_) | Value::Double(_) | Value::Bool(_) => 1,
        };
        over = over.saturating_sub(key.len() + length + 4);
        fields += 1;
    }
    for (key, count) in [(CUT, &mut cut), (CUT_FIELDS, &mut fields)] {
        if *count == 0 {
            continue;
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        match record.attributes.iter_mut().find(|it| it.key == key) {
            Some(Attribute { value: Value::Int(before), .. }) => *before += count,
            _ => record.attributes.push(Attribute::new(key, count)),
        }
    }
    record
}

/// Bytes of a character in a text of JSON, as `serde_json` writes it.
fn escaped(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

struct Line<'a>(&'a LogRecord);

impl Serialize for Line<'_> {
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
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        let time = self.0.timestamp();
        map.serialize_entry("timestamp", &rfc3339(time))?;
        if time != *observed_unix_ns {
            map.serialize_entry("observed_timestamp", &rfc3339(*observed_unix_ns))?;
        }
        let level = severity.map(|it| it.name());
        let mut text = |key: &str, value: Option<&str>| match value {
            Some(value) => map.serialize_entry(key, value),
            None => Ok(()),
        };
        text("level", level)?;
        text("level_text", severity_text.as_deref().filter(|text| Some(*text) != level))?;
        text("service", resource.service_name())?;
        text("host", resource.text("host.name"))?;
        let ids = correlation.as_ref();
        text("trace_id", ids.map(|it| it.trace_id.to_string()).as_deref())?;
        text("span_id", ids.and_then(|it| it.span_id).map(|it| it.to_string()).as_deref())?;
        text("message", Some(message))?;
        text("caller", caller.as_deref())?;
        text("event", event.as_deref())?;
        text("class", Some(class.name()))?;
        let (source, file) = source_of(source);
        text("source", Some(source))?;
        text("file", file)?;
        text("dead_letter", breach.map(|it| it.name()))?;
        if let Some(Correlation { evidence, after_response, .. }) = correlation {
            map.serialize_entry("correlation", evidence)?;
            if *after_response {
                map.serialize_entry("after_response", &true)?;
            }
        }
        for attribute in attributes {
            let key = key_of(&attribute.key, attributes);
            match &attribute.value {
                Value::Str(text) => map.serialize_entry(&key, text.as_str())?,
                Value::Int(number) => map.serialize_entry(&key, number)?,
                Value::Double(number) => map.serialize_entry(&key, number)?,
                Value::Bool(truth) => map.serialize_entry(&key, truth)?,
                Value::Strs(texts) => map.serialize_entry(&key, texts.as_ref())?,
            }
        }
        map.end()
    }
}

/// Where a record was written to: what, and the path of a file.
pub(super) fn source_of(source: &LogSource) -> (&'static str, Option<&str>) {
    match source {
        LogSource::Stdout => ("stdout", None),
        LogSource::Stderr => ("stderr", None),
        LogSource::File(path) => ("file", Some(path.as_ref()).filter(|path| !path.is_empty())),
        LogSource::Exchange => ("exchange", None),
    }
}

/// `2023-11-14T22:13:20.123456789Z`.
fn rfc3339(unix_ns: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns);
    humantime::format_rfc3339_nanos(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::testing::record_of;

    /// A record of the greatest size that the joiner makes, of bytes that JSON has six each for: Loki's
    /// `max_line_size` is 256 KiB by default, and a longer line is refused.
    #[test]
    fn a_line_is_no_longer_than_loki_takes() {
        let limit = 256 * 1024;
        for (piece, expected) in
            [("\u{1}", 43_000), ("\u{1}é\u{1}", 74_000), ("\"", 64_000), ("x", 64_000)]
        {
            let message = piece.repeat(64_000 / piece.chars().count());
            let record =
                LogRecord { message: Text::copy(&message), ..record_of(&Arc::default(), 1) };
            let text = line(&record);
            assert!(text.len() <= limit, "{} bytes", text.len());
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let kept = json["message"].as_str().unwrap();
            assert!(message.starts_with(kept));
            let cut = message.len() - kept.len();
            assert_eq!(json["sensor.log.cut_bytes"].as_u64().unwrap_or(0), cut as u64);
            // Not more than has to be.
            assert!(cut == 0 || text.len() > limit - 200, "{} bytes", text.len());
            assert!(kept.len() >= expected.min(message.len()), "{piece:?}: {}", kept.len());
        }
        // Bytes that were cut before are counted with them.
        let record = LogRecord {
            message: Text::copy(&"\u{1}".repeat(64_000)),
            attributes: vec![Attribute::new("sensor.log.cut_bytes", 7)],
            ..record_of(&Arc::default(), 1)
        };
        let json: serde_json::Value = serde_json::from_str(&line(&record)).unwrap();
        let kept = json["message"].as_str().unwrap().len();
        assert_eq!(json["sensor.log.cut_bytes"], 7 + 64_000 - kept);
        // Fields alone.
        let fields = (0..2000).map(|at| Attribute {
            key: format!("key_{at}").into(),
            value: Text::copy(&"v".repeat(200)).into(),
        });
        let record = LogRecord { attributes: fields.collect(), ..record_of(&Arc::default(), 1) };
        let text = line(&record);
        assert!(text.len() <= limit && text.len() > limit - 500, "{} bytes", text.len());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let kept = json.as_object().unwrap().keys().filter(|key| key.starts_with("key_")).count();
        assert_eq!(json["sensor.log.cut_fields"], 2000 - kept);
    }
}
