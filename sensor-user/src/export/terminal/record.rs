//! A record of a log for people: its level, its message and its other fields in one line, and whatever has
//! lines of its own (a stack trace) below, indented.

use super::pretty::Line;
use super::text::{clean, cut};
use crate::model::{LogRecord, Severity, Value};

/// Columns of the level.
const LEVEL: usize = 5;

/// Lines below the first that are shown; a Go program that panics says where each of its goroutines is.
const LINES: usize = 40;

/// What those begin with.
const INDENT: &str = "    ";

/// The level and its style.
pub(super) fn level(record: &LogRecord) -> (&'static str, String) {
    let style = match record.severity {
        None | Some(Severity::Trace | Severity::Debug) => "2",
        Some(Severity::Info) => "32",
        Some(Severity::Warn) => "33",
        Some(Severity::Error) => "31",
        Some(Severity::Fatal) => "1;31",
    };
    let name = record.severity.map_or("-", Severity::name);
    (style, format!("{name:LEVEL$} "))
}

/// Ends `head` with what the record says, and adds what is below with `margin` before each line.
pub(super) fn finish(
    mut head: Line,
    record: &LogRecord,
    width: Option<usize>,
    margin: &str,
) -> String {
    let fit = |text: &str, used: usize| match width {
        Some(width) => cut(text, width.saturating_sub(used).max(12)).into_owned(),
        None => text.to_owned(),
    };
    let mut below = Vec::new();
    let message = first(&record.message, &mut below);
    let message = clean(&untabbed(message)).into_owned();
    let (message, used) = (fit(&message, head.width()), head.width());
    let full = width.is_some_and(|width| used + message.chars().count() >= width);
    head.push("", &message);
    if !full {
        let fields = fields(record, &mut below);
        let room = width.is_none_or(|width| head.width() + 12 <= width);
        if !fields.is_empty() && room {
            let fields = fit(&format!("  {fields}"), head.width());
            head.push("2", &fields);
        }
    }
    let mut text = head.text().trim_end().to_owned();
    text.push('\n');
    let more = below.len().saturating_sub(LINES);
    for line in below.into_iter().take(LINES) {
        let line = clean(&untabbed(line)).into_owned();
        let line = fit(&line, margin.chars().count() + INDENT.len());
        text.push_str(format!("{margin}{INDENT}{line}").trim_end());
        text.push('\n');
    }
    if more > 0 {
        text += &format!("{margin}{INDENT}… {more} more lines\n");
    }
    text
}

/// Everything that is no line of its own, as `key=value`.
fn fields<'a>(record: &'a LogRecord, below: &mut Vec<&'a str>) -> String {
    let mut parts = Vec::new();
    if let Some(breach) = record.breach {
        parts.push(format!("({})", breach.name().replace('_', " ")));
    }
    if let Some(caller) = &record.caller {
        parts.push(format!("caller={}", value(caller)));
    }
    if let Some(event) = &record.event {
        parts.push(format!("event={}", value(event)));
    }
    for attribute in &record.attributes {
        let key = clean(&attribute.key);
        let text = match &attribute.value {
            Value::Str(text) if text.contains('\n') => {
                below.extend(text.lines());
                continue;
            }
            Value::Str(text) => value(text),
            Value::Int(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Strs(texts) => value(&texts.join(",")),
        };
        parts.push(format!("{key}={text}"));
    }
    parts.join(" ")
}

/// In quotes where it would not be seen where it ends.
fn value(text: &str) -> String {
    let text = clean(text);
    if text.is_empty() || text.contains([' ', '"', '=']) {
        format!("{text:?}")
    } else {
        text.into()
    }
}

/// The first line that says something; the others go below.
fn first<'a>(text: &'a str, below: &mut Vec<&'a str>) -> &'a str {
    let mut lines = text.lines();
    let first = lines.by_ref().find(|line| !line.trim().is_empty()).unwrap_or_default();
    below.extend(lines);
    first
}

/// Stack traces are indented with tabs.
fn untabbed(line: &str) -> String {
    line.replace('\t', INDENT)
}
