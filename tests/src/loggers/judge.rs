//! Records held against what was logged. Pure.

use serde_json::Value;

use super::Truth;
use crate::sensor::LogJson;

/// The sensor relates the kernel's clock to the wall's once a second.
const CLOCK: u64 = 20_000_000;

/// How long after a record was logged it may be written, in nanoseconds: a logger may collect records first.
const LATE: u64 = 2_000_000_000;

/// In what the records of a logger differ from what it logged, in words; nothing if in nothing.
#[must_use]
pub fn differences(truth: &[Truth], records: &[LogJson]) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = records.iter().peekable();
    let mut among = false;
    for truth in truth {
        among |= truth.among;
        let found = match truth.among {
            true => left.find(|record| holds(record, &truth.message)),
            false => left.next(),
        };
        let Some(record) = found else {
            all.push(format!("no record of {:?}", truth.message));
            continue;
        };
        let mut differ = Vec::new();
        one(truth, record, &mut differ);
        if truth.split {
            rest(truth, record, &mut left, &mut differ);
        }
        let words = |what: String| format!("{:?}: {what}\n    {}", truth.message, record.json());
        all.extend(differ.into_iter().map(words));
    }
    if !among {
        all.extend(left.map(|record| format!("never logged: {}", record.json())));
    }
    all
}

/// A message of several lines: the others, in this record or the next ones.
fn rest<'a>(
    truth: &Truth,
    record: &LogJson,
    left: &mut std::iter::Peekable<impl Iterator<Item = &'a LogJson>>,
    differ: &mut Vec<String>,
) {
    for line in truth.message.lines().skip(1) {
        let follows = |next: &&LogJson| holds(next, line);
        if !holds(record, line) && left.next_if(follows).is_none() {
            differ.push(format!("nowhere: {line:?}"));
        }
    }
}

/// Words, one space between them: programs indent what goes on over a line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn holds(record: &LogJson, text: &str) -> bool {
    plain(&record.words()).contains(&plain(text))
}

fn one(truth: &Truth, record: &LogJson, differ: &mut Vec<String>) {
    let mut same = |what: &str, is: Option<&str>, should: Option<&str>| {
        if is != should {
            differ.push(format!("{what} {is:?} and not {should:?}"));
        }
    };
    if !truth.among {
        same("level", record.text("level"), truth.level.as_deref());
    }
    same("source", record.text("source"), Some(&truth.source));
    same("trace_id", record.text("trace_id"), truth.trace_id.as_deref());
    same("span_id", record.text("span_id"), truth.span_id.as_deref());
    // These programs have no exchanges, so nothing confirms the traces that their lines name.
    same("correlation", record.text("correlation"), truth.trace_id.as_ref().map(|_| "claimed"));
    same("dead_letter", record.text("dead_letter"), None);
    let first = truth.message.lines().next().unwrap_or_default();
    if !truth.loose {
        same("message", Some(record.message()), Some(&truth.message));
    } else if !holds(record, if truth.split { first } else { &truth.message }) {
        differ.push("the message is not in it".to_owned());
    }
    for word in truth.words.iter().filter(|word| !holds(record, word)) {
        differ.push(format!("not in it: {word:?}"));
    }
    if let Some((file, line)) = &truth.caller {
        let caller = record.text("caller").unwrap_or_default();
        if !caller.ends_with(&format!("{file}:{line}")) {
            differ.push(format!("caller {caller:?} and not {file}:{line}"));
        }
    }
    times(truth, record, differ);
    attributes(truth, record, differ);
}

fn times(truth: &Truth, record: &LogJson, differ: &mut Vec<String>) {
    let mut within = |what: &str, time: u64, slack: u64, late: u64| {
        if time < truth.before.saturating_sub(slack) || time > truth.after + late {
            let (before, after) = (truth.before, truth.after);
            differ.push(format!("{what} {time}, not from {before} to {after} (by {slack} ns)"));
        }
    };
    within("observed at", record.observed(), CLOCK, LATE);
    match truth.resolution {
        Some(resolution) => within("time", record.timestamp(), resolution, resolution),
        None => within("time", record.timestamp(), CLOCK, LATE),
    }
    if truth.resolution.is_none() && record.timestamp() != record.observed() && !truth.among {
        differ.push("a time, and the logger writes none".to_owned());
    }
}

fn attributes(truth: &Truth, record: &LogJson, differ: &mut Vec<String>) {
    for (key, should) in &truth.attributes {
        let right = match record.get(key) {
            Some(is) if truth.untyped => text(is) == text(should),
            Some(is) => alike(is, should),
            None => truth.loose && holds(record, &text(should)),
        };
        if !right {
            differ.push(format!("{key} is {:?} and not {should}", record.get(key)));
        }
    }
    let all = record.json().get("attributes").and_then(Value::as_object);
    for (key, value) in all.into_iter().flatten() {
        if value.is_null() || value.as_str() == Some("") {
            differ.push(format!("{key} is there, and empty"));
        }
    }
}

/// The same value: a whole number digit by digit, others by what they are.
fn alike(is: &Value, should: &Value) -> bool {
    match (is.as_f64(), should.as_f64()) {
        (Some(is), Some(of)) if should.is_f64() => is.total_cmp(&of).is_eq(),
        _ => is == should,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
