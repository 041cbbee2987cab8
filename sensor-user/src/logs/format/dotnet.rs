//! .NET's console (`SimpleConsoleFormatter`): the level, the category and the event's number in one
//! line, the message below it, indented by six spaces; or all in one line (`SingleLine`).
//!
//! ```text
//! fail: Shop.Orders[12]
//!       => SpanId:5a6b7c8d9e0f1a2b, TraceId:7c1f4e2a9b3d40568e21aa90cd34ef12, ParentId:0000000000000000
//!       Payment failed
//!       System.InvalidOperationException: card declined
//!          at Shop.Pay.Run() in /src/Pay.cs:line 12
//! ```
//!
//! `fail: 2` is a test's summary: only the category with a number in brackets proves the format.

use super::draft::{Draft, Raw};
use super::{pairs, stack};
use crate::model::Severity;

/// Six spaces: `LogLevel`'s four letters, a colon and a space.
const INDENT: &str = "      ";

/// Reads the first line.
pub(super) fn head<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some((word, rest)) = line.split_once(": ") else { return false };
    // `LogLevel`, by OpenTelemetry's appendix B: critical is FATAL.
    let severity = match word {
        "trce" => Severity::Trace,
        "dbug" => Severity::Debug,
        "info" => Severity::Info,
        "warn" => Severity::Warn,
        "fail" => Severity::Error,
        "crit" => Severity::Fatal,
        _ => return false,
    };
    let Some((category, id, rest)) = category(rest) else { return false };
    if !(rest.is_empty() || rest.starts_with(' ')) {
        return false;
    }
    draft.level(severity, word);
    draft.logger(category);
    draft.other("event.id", Raw::Bare(id));
    draft.message(rest.trim_start());
    pairs::within(rest, draft);
    true
}

/// `Shop.Orders[12]`, and what is behind it.
pub(super) fn category(text: &str) -> Option<(&str, &str, &str)> {
    let (category, rest) = text.split_once('[')?;
    let (id, rest) = rest.split_once(']')?;
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+`<>,/".contains(&byte);
    let number = id.strip_prefix('-').unwrap_or(id);
    let fits = !category.is_empty()
        && category.bytes().all(name)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some((category, id, rest))
}

/// Reads the lines below: scopes, the message, an exception.
pub(super) fn rest<'a>(rest: &'a str, draft: &mut Draft<'a>) {
    let mut rest = rest.trim_start_matches(['\r', '\n']);
    if let Some(scopes) = rest.trim_start().strip_prefix("=> ") {
        let (scopes, after) = scopes.split_once('\n').unwrap_or((scopes, ""));
        pairs::within(scopes, draft);
        draft.other("scopes", Raw::Str(scopes.trim_end().into()));
        rest = after;
    }
    // In one line, all below is an exception's.
    let in_line = !draft.so_far().is_empty();
    let (first, after) = match in_line {
        true => ("", rest),
        false => rest.split_once('\n').unwrap_or((rest, "")),
    };
    if !in_line {
        let first = first.trim();
        draft.message(first);
        pairs::within(first, draft);
    }
    if after.trim().is_empty() || stack::rest(after, draft) {
        return;
    }
    let lines = after.lines().map(|line| line.strip_prefix(INDENT).unwrap_or(line));
    let message = lines.fold(draft.so_far().to_owned(), |message, line| message + "\n" + line);
    draft.message(message);
}

/// .NET's systemd console: a priority of syslog, then the same in one line.
pub(super) fn systemd<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some((name, id, rest)) = category(line) else { return false };
    let Some(message) = rest.strip_prefix(' ') else { return false };
    draft.logger(name);
    draft.other("event.id", Raw::Bare(id));
    draft.message(message);
    pairs::within(message, draft);
    true
}
