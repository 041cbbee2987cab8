//! `key=value`: logfmt, and what text formats put behind a message.

use std::borrow::Cow;

use super::draft::{Draft, Raw};
use super::key::{self, Role, role};

/// Reads logfmt (slog's and logrus's text, go-kit) into `draft`: nothing but pairs, one of which is what every
/// record has. `sure` if the stream is known to be that.
///
/// ```text
/// time=2026-11-21T13:28:04.563Z level=WARN msg="stock low" sku="A-1 \"blue\"" left=3
/// ```
pub(super) fn logfmt<'a>(line: &'a str, sure: bool, draft: &mut Draft<'a>) -> bool {
    let (mut known, mut count) = (sure, 0);
    let whole = each(line, false, |key, _| {
        count += 1;
        known |= matches!(role(key), Role::Level | Role::Time { .. } | Role::Message(_));
    });
    let fits = whole && known && count >= 2;
    if fits {
        each(line, false, |key, value| draft.field(key, value));
    }
    fits
}

/// Takes the pairs that a message ends with into `draft`, and gives what is before them: as much as there is no
/// doubt of.
///
/// ```text
/// order placed order_id=42 customer="Ada Lovelace" tags=['x', 'y z']
/// ```
pub(super) fn tail<'a>(message: &'a str, draft: &mut Draft<'a>) -> &'a str {
    // The first `=` belongs to the first pair, if all behind it are pairs.
    let Some(equals) = memchr::memchr(b'=', message.as_bytes()) else { return message };
    let before = message.get(..equals).unwrap_or_default();
    let start = before.rfind(' ').map_or(0, |space| space + 1);
    let pairs = message.get(start..).unwrap_or_default().trim_end();
    if !each(pairs, true, |_, _| {}) {
        return message;
    }
    each(pairs, true, |key, value| draft.field(key, value));
    message.get(..start).unwrap_or_default().trim_end()
}

/// What is in brackets, if it is nothing but pairs: `trace_id=… span_id=…`, perhaps with commas.
pub(super) fn group<'a>(text: &'a str, draft: &mut Draft<'a>) -> bool {
    let parts = || text.split([' ', ',', ';']).filter(|part| !part.is_empty());
    let pair = |part: &'a str| part.split_once(['=', ':']).filter(|(name, _)| is_name(name));
    if !text.contains('=') || !parts().all(|part| pair(part).is_some()) {
        return false;
    }
    for (name, value) in parts().filter_map(pair) {
        draft.field(name, Raw::bare(value.trim_matches('"')));
    }
    true
}

/// Tells all pairs. False where there is something else among them: then some have been told.
/// `loose`: values may be in single quotes, or lists and objects in brackets.
pub(super) fn each<'a>(text: &'a str, loose: bool, mut tell: impl FnMut(&'a str, Raw<'a>)) -> bool {
    let mut rest = text.trim_end();
    let mut any = false;
    while !rest.is_empty() {
        let Some(equals) = memchr::memchr(b'=', rest.as_bytes()) else { return false };
        let Some((name, value)) = rest.split_at_checked(equals) else { return false };
        if !is_name(name) {
            return false;
        }
        let value = value.get(1..).unwrap_or_default();
        let Some((raw, length)) = read(value, loose) else { return false };
        tell(name, raw);
        any = true;
        rest = value.get(length..).unwrap_or_default();
        match rest.as_bytes() {
            [] => {}
            [b' ', ..] => rest = rest.trim_start_matches(' '),
            _ => return false,
        }
    }
    any
}

/// Letters, digits and what joins them.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'@' | b':')
                || byte >= 0x80
        })
}

/// A value, and its length as it is written.
fn read(text: &str, loose: bool) -> Option<(Raw<'_>, usize)> {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(&quote @ (b'"' | b'\'')) if quote == b'"' || loose => {
            let end = closing(bytes, quote)?;
            Some((Raw::Str(unescape(text.get(1..end)?)), end + 1))
        }
        Some(b'[' | b'{' | b'(') if loose => {
            let end = balanced(bytes)?;
            Some((Raw::Str(Cow::Borrowed(text.get(..end)?)), end))
        }
        _ => {
            let end = memchr::memchr(b' ', bytes).unwrap_or(bytes.len());
            let value = text.get(..end)?;
            // A quote or another `=` within makes it doubtful what the value is.
            let doubtful = loose && value.contains('"');
            (!doubtful).then(|| (Raw::bare(value), end))
        }
    }
}

/// Where the quote that the text begins with is closed.
pub(super) fn closing(text: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(quote, b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&quote) {
            return Some(at);
        }
        at += 2;
    }
}

/// The length of what is in brackets, those within it and quoted texts included.
pub(super) fn balanced(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth = depth.checked_sub(1)?,
            b'"' => at += closing(text.get(at..)?, b'"')?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Text as Go, Rust and Python quote it. What is no escape stays.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(text.get(..first).unwrap_or_default());
    let mut rest = text.get(first..).unwrap_or_default();
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        plain.push_str(rest.get(..at).unwrap_or_default());
        let escape = rest.get(at + 1..).unwrap_or_default();
        let (character, length) = match escape.as_bytes() {
            [b'n', ..] => (Some('\n'), 1),
            [b't', ..] => (Some('\t'), 1),
            [b'r', ..] => (Some('\r'), 1),
            [b'"', ..] => (Some('"'), 1),
            [b'\'', ..] => (Some('\''), 1),
            [b'\\', ..] => (Some('\\'), 1),
            [b'u', ..] => (code(escape, 4), 5),
            [b'x', ..] => (code(escape, 2).filter(char::is_ascii), 3),
            _ => (None, 0),
        };
        match character {
            Some(character) => {
                plain.push(character);
                rest = escape.get(length..).unwrap_or_default();
            }
            None => {
                plain.push('\\');
                rest = escape;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn code(escape: &str, digits: usize) -> Option<char> {
    let digits = escape.get(1..1 + digits)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten().and_then(char::from_u32)
}

/// Identifiers that a message has among its words, as `trace_id=…`, `traceId: …` or `"trace_id":"…"`: only under a
/// name that is one, with a value that is of its shape.
pub(super) fn within<'a>(message: &'a str, draft: &mut Draft<'a>) {
    let bytes = message.as_bytes();
    let mut found = 0;
    for at in memchr::memchr2_iter(b'=', b':', bytes) {
        let before = bytes.get(..at).unwrap_or_default();
        let name =
            before.strip_suffix(b"\"").or_else(|| before.strip_suffix(b"'")).unwrap_or(before);
        let length = name
            .iter()
            .rev()
            .take(41)
            .take_while(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/')
            })
            .count();
        let name = message.get(name.len() - length..name.len()).unwrap_or_default();
        if !(5..=40).contains(&length) || !key::identifies(name) {
            continue;
        }
        let value = message.get(at + 1..).unwrap_or_default();
        let value = value.strip_prefix(' ').unwrap_or(value);
        let quoted = value.starts_with(['"', '\'']);
        let value = value.get(usize::from(quoted)..).unwrap_or_default();
        let end = value
            .bytes()
            .take(129)
            .take_while(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.')
            })
            .count();
        // A field of its own has whatever is said of it; words have to be unmistakable.
        let value = value.get(..end).unwrap_or_default().trim_end_matches('.');
        let role = role(name);
        let shaped = match role {
            Role::Trace | Role::Traceparent => super::ids::trace(value).is_some(),
            Role::Span => super::ids::span(value).is_some(),
            // A word is no identifier: there is a digit in one.
            Role::Request => value.len() >= 8 && value.bytes().any(|byte| byte.is_ascii_digit()),
            _ => value.len() >= 8,
        };
        if shaped {
            let _kept_in_the_message = draft.id_field(role, Raw::Str(Cow::Borrowed(value)));
            found += 1;
        }
        if found >= 8 {
            return;
        }
    }
}
