//! tracing-subscriber's `full` and `compact` formats.

use super::super::Format;
use super::super::draft::{Draft, Raw, is_place};
use super::super::pairs;
use super::Header;
use super::parts::Cursor;

/// Whether what is left is of tracing: behind a time in UTC with six digits or nine, one of its five levels,
/// right-aligned. Other times, or none, only where the stream is known to be tracing's.
pub(super) fn begins<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>, last: Format) -> bool {
    let Some((_, text)) = header.time else { return header.level.is_some() };
    let utc = text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z');
    if header.level.is_some() || !utc || text.len() < 27 && last != Format::Tracing {
        return false;
    }
    let rest = cursor.rest_as_is();
    let aligned = ["  INFO ", "  WARN ", " ERROR ", " DEBUG ", " TRACE "]
        .iter()
        .any(|level| rest.starts_with(level));
    if aligned {
        header.level = cursor.upper_level();
    }
    aligned
}

/// ```text
/// request{http.method="GET" trace_id="4bf9…"}:charge{order_id=42}: r: order placed order_id=42 amount=12.5
/// request:charge: r: order placed order_id=42
/// ThreadId(01) r: src/main.rs:4: cache miss key="user:7"
/// ```
pub(super) fn read<'a>(text: &'a str, draft: &mut Draft<'a>) {
    let mut rest = text;
    if let Some((id, after)) = rest.strip_prefix("ThreadId(").and_then(|rest| rest.split_once(") "))
    {
        // Two digits at least.
        let number = id.trim_start_matches('0');
        draft.other("thread.id", Raw::bare(if number.is_empty() { "0" } else { number }));
        rest = after;
    }
    let mut names = Vec::new();
    if let Some((spans, after)) = spans(rest) {
        rest = after;
        for (name, fields) in spans {
            names.push(name.to_owned());
            if !fields.is_empty() && pairs::each(fields, true, |_, _| {}) {
                pairs::each(fields, true, |key, value| draft.field(key, value));
            } else {
                draft.other(name, Raw::Str(fields.into()));
            }
        }
        draft.other("spans", Raw::Strs(names));
    }
    if let Some((name, after)) = target(rest) {
        // One of two names may be a span's: then it is not told which is what.
        let doubtful = !name.contains("::") && target(after).is_some() && !is_first_place(after);
        if !doubtful || rest.len() < text.len() {
            draft.logger(name);
            rest = after;
        }
    }
    // `src/main.rs:4: `
    if let Some((place, after)) = rest.split_once(": ").filter(|(place, _)| is_place(place)) {
        draft.caller(place);
        rest = after;
    }
    let message = pairs::tail(rest, draft);
    draft.message(message);
    pairs::within(message, draft);
}

fn is_first_place(text: &str) -> bool {
    text.split_once(": ").is_some_and(|(place, _)| is_place(place))
}

/// The module that the record is of.
fn target(text: &str) -> Option<(&str, &str)> {
    let (target, rest) = text.split_once(": ")?;
    let name = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'))
    };
    (target.len() <= 256 && target.split("::").all(name)).then_some((target, rest))
}

/// The spans that the record is within, outermost first, with what is in their braces, and what is behind them.
/// None where it cannot be told that they are spans: a name without braces may be the target.
fn spans(text: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut spans = Vec::new();
    let mut rest = text;
    let mut sure = false;
    loop {
        let end = rest.find([':', '{', ' ', '"'])?;
        let (name, mut after) = rest.split_at_checked(end)?;
        let mut fields = "";
        if name.is_empty() || spans.len() >= 64 {
            return None;
        }
        if after.starts_with('{') {
            let length = pairs::balanced(after.as_bytes())?;
            fields = after.get(1..length - 1)?;
            after = after.get(length..)?;
            sure = true;
        }
        after = after.strip_prefix(':')?;
        if after.starts_with(':') {
            // `shop::stock`: a module.
            return None;
        }
        spans.push((name, fields));
        if let Some(behind) = after.strip_prefix(' ') {
            sure |= spans.len() > 1;
            return sure.then_some((spans, behind));
        }
        rest = after;
    }
}
