//! Stack traces: what several lines say of an exception.

mod scripts;

use super::draft::{Draft, Raw};
use super::level;

/// Semantic conventions for exceptions.
const TYPE: &str = "exception.type";
const MESSAGE: &str = "exception.message";
const STACKTRACE: &str = "exception.stacktrace";

/// A record that is nothing but a trace, from its first line on: then it is in `draft`, with its own message.
pub(super) fn alone<'a>(text: &'a str, draft: &mut Draft<'a>) -> bool {
    let first = text.lines().next().unwrap_or_default();
    if let Some(said) =
        first.strip_prefix("panic: ").or_else(|| first.strip_prefix("fatal error: "))
    {
        // A word for a level too, and Go's own.
        let word = if first.starts_with('p') { "panic" } else { "fatal" };
        if let Some(severity) = level::word(word) {
            draft.level(severity, word);
        }
        draft.message(first);
        if text.contains("\ngoroutine ") {
            draft.other(TYPE, Raw::Str(word.into()));
            draft.other(MESSAGE, Raw::Str(said.into()));
            draft.other(STACKTRACE, Raw::Str(text.into()));
        }
        return true;
    }
    let Some(rest) = text.get(first.len()..).filter(|rest| !rest.trim().is_empty()) else {
        return false;
    };
    if scripts::alone(first, rest, draft) {
    } else if first.starts_with("Traceback (most recent call last):") {
        let Some(last) = last_of_python(text) else { return false };
        draft.message(last);
        named(last, draft);
    } else if first.contains("' panicked at ") && first.starts_with("thread '")
        || first.contains(") panicked at ")
    {
        // Rust: the place is on the first line, what is said on the second.
        let said = rest.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
        draft.message(said);
        draft.other(TYPE, Raw::Str("panic".into()));
        draft.other(MESSAGE, Raw::Str(said.into()));
        if let Some((_, place)) = first.rsplit_once(" panicked at ") {
            draft.caller(place.trim_end_matches(':'));
        }
    } else if let Some(thrown) = first
        .strip_prefix("Exception in thread \"")
        .and_then(|rest| rest.split_once("\" "))
        .map(|(_, thrown)| thrown)
        .or_else(|| Some(first).filter(|_| is_frame(rest) || is_thrown(first, rest)))
    {
        draft.message(first);
        if is_frame(rest) || is_thrown(first, rest) {
            named(thrown, draft);
        }
    } else if (super::draft::is_place(first) || first.starts_with("node:"))
        && let Some(error) = of_node(text)
    {
        // Where it was thrown, the line of the source, and a mark below it come first.
        draft.message(error);
        named(error, draft);
        if super::draft::is_place(first) {
            draft.caller(first);
        }
    } else {
        return false;
    }
    draft.other(STACKTRACE, Raw::Str(text.into()));
    true
}

/// The lines after a record's first. False where they are no trace, but more of the message.
pub(super) fn rest<'a>(rest: &'a str, draft: &mut Draft<'a>) -> bool {
    let rest = rest.trim_start_matches(['\r', '\n']);
    let first = rest.lines().next().unwrap_or_default();
    if scripts::rest(first, draft) {
    } else if first.starts_with("Traceback (most recent call last):")
        || rest.contains("\nTraceback (most recent")
    {
        if let Some(last) = last_of_python(rest) {
            named(last, draft);
        }
    } else if is_frame(first)
        || first.starts_with("goroutine ")
        || first.starts_with("stack backtrace:")
    {
    } else if is_frame(rest.get(first.len()..).unwrap_or_default()) {
        // Zap: a function, and its place below it. The others: what was thrown.
        named(first, draft);
    } else {
        return false;
    }
    draft.other(STACKTRACE, Raw::Str(rest.into()));
    true
}

/// Whether the next line that is not empty is one of a trace: `at …` of Java and Node, `... 4 more`, Go's places,
/// Python's files.
fn is_frame(text: &str) -> bool {
    let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    let inner = line.trim_start_matches([' ', '\t']);
    inner.len() < line.len()
        && (inner.starts_with("at ")
            || inner.starts_with("... ")
            || inner.starts_with("File \"")
            || line.starts_with("\t/") && inner.contains(".go:"))
}

/// Whether the first line names an exception whose message has a few lines more, before its frames.
fn is_thrown(first: &str, rest: &str) -> bool {
    let name = first.split(": ").next().unwrap_or_default();
    let class = name.rsplit('.').next().unwrap_or_default();
    let thrown = ["Exception", "Error", "Throwable"].iter().any(|end| class.ends_with(end));
    let lines = || rest.trim_start_matches(['\r', '\n']).split_inclusive('\n').take(8);
    thrown
        && !name.contains(' ')
        && lines().any(|line| line.starts_with([' ', '\t']) && is_frame(line))
}

/// `java.lang.IllegalStateException: card declined`, `KeyError: 'card'`: a name as types have, and what it says.
fn named<'a>(line: &'a str, draft: &mut Draft<'a>) {
    let line = line.trim();
    let (name, said) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    // Node puts a code behind it: `Error [ERR_X]: …`.
    let name = name.split_once(" [").map_or(name, |(name, _)| name);
    let typed = name.starts_with(|it: char| it.is_alphabetic() || it == '_')
        && name.chars().all(|it| it.is_alphanumeric() || matches!(it, '.' | '_' | '$'))
        && name.chars().any(char::is_uppercase);
    if typed {
        draft.other(TYPE, Raw::Str(name.into()));
        draft.other(MESSAGE, Raw::Str(said.into()));
    }
}

/// The last line that is not indented, of the last trace.
fn last_of_python(text: &str) -> Option<&str> {
    text.lines()
        .rev()
        .find(|line| !line.is_empty() && !line.starts_with([' ', '\t', '+', '|']))
        .filter(|line| !line.starts_with("Traceback "))
}

/// The line before the first `at`.
fn of_node(text: &str) -> Option<&str> {
    let mut before = "";
    for line in text.lines().take(64) {
        if line.starts_with("    at ") {
            return Some(before).filter(|it| !it.is_empty() && !it.starts_with(' '));
        }
        before = line;
    }
    None
}
