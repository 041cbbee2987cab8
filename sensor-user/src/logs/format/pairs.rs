//! `key=value`: logfmt, and what text formats put behind a message.

use std::borrow::Cow;

use super::draft::{Dialect, Draft, Raw};
use super::ids;
use super::key::{self, Id, Role, role};

/// Reads logfmt (slog's and logrus's text, go-kit) into `draft`: nothing but pairs, one of which is what every
/// record has. `sure` if the stream is known to be that.
///
/// ```text
/// time=2026-11-21T13:28:04.563Z level=WARN msg="stock low" sku="A-1 \"blue\"" left=3 cached
/// ```
///
/// A word without `=` is true, as kr/logfmt has it, but only where the message is a pair too: else
/// the words may be the message.
pub(super) fn logfmt<'a>(line: &'a str, sure: bool, draft: &mut Draft<'a>) -> bool {
    let (mut known, mut count, mut message) = (sure, 0, false);
    let mut flags = 0;
    let whole = tokens(line, false, |token| match token {
        Token::Pair(key, _) => {
            count += 1;
            let role = role(key).role;
            known |= matches!(role, Role::Level | Role::Time | Role::Message);
            message |= role == Role::Message;
            true
        }
        Token::Word(_) => {
            flags += 1;
            count > 0
        }
    });
    let fits = whole && known && count >= 2 && (flags == 0 || message);
    if fits {
        tokens(line, false, |token| {
            match token {
                Token::Pair(key, value) => draft.field(key, value),
                Token::Word(key) => draft.other(key, Raw::Bool(true)),
            }
            true
        });
    }
    fits
}

/// funcr's text, perhaps with a name before it: pairs with quoted names.
///
/// ```text
/// "logger"="ctl" "level"=0 "msg"="reconciled" "object"={"name"="a"} "n"=3
/// ```
pub(super) fn funcr<'a>(line: &'a str, draft: &mut Draft<'a>) -> bool {
    let Some(start) = line.find('"').filter(|at| *at <= 256) else { return false };
    let (before, pairs) = line.split_at_checked(start).unwrap_or(("", line));
    let named = before.is_empty() || before.ends_with(": ");
    if !named || !pairs.contains("\"msg\"=\"") || !quoted_pairs(pairs, |_, _| {}) {
        return false;
    }
    draft.dialect(Dialect::Funcr);
    quoted_pairs(pairs, |key, value| draft.field(key, value));
    if let Some(name) = before.strip_suffix(": ") {
        draft.logger(name);
    }
    true
}

fn quoted_pairs<'a>(text: &'a str, mut tell: impl FnMut(&'a str, Raw<'a>)) -> bool {
    let mut rest = text.trim_end();
    while let Some(end) = rest.starts_with('"').then(|| closing(rest.as_bytes(), b'"')).flatten() {
        let (Some(key), Some(value)) =
            (rest.get(1..end), rest.get(end + 1..).and_then(|rest| rest.strip_prefix('=')))
        else {
            return false;
        };
        let Some((raw, length)) = read(value, true) else { return false };
        tell(key, raw);
        rest = value.get(length..).unwrap_or_default();
        match rest.strip_prefix(' ') {
            Some(after) => rest = after,
            None => return rest.is_empty(),
        }
    }
    false
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
/// `loose`: values may be in single quotes, lists and objects in brackets, or several lines, as
/// klog writes them.
pub(super) fn each<'a>(text: &'a str, loose: bool, mut tell: impl FnMut(&'a str, Raw<'a>)) -> bool {
    tokens(text, loose, |token| match token {
        Token::Pair(key, value) => {
            tell(key, value);
            true
        }
        Token::Word(_) => false,
    })
}

enum Token<'a> {
    Pair(&'a str, Raw<'a>),
    /// A name with nothing behind it.
    Word(&'a str),
}

/// Tells pairs and words, until one is not taken or there is something else: then false.
fn tokens<'a>(text: &'a str, loose: bool, mut take: impl FnMut(Token<'a>) -> bool) -> bool {
    let mut rest = text.trim_end();
    let mut any = false;
    while !rest.is_empty() {
        let Some(end) = memchr::memchr2(b'=', b' ', rest.as_bytes()) else {
            return any && is_name(rest) && take(Token::Word(rest));
        };
        let Some((name, value)) = rest.split_at_checked(end) else { return false };
        if !is_name(name) {
            return false;
        }
        if value.starts_with(' ') {
            if !take(Token::Word(name)) {
                return false;
            }
            rest = value.trim_start_matches(' ');
            continue;
        }
        let value = value.get(1..).unwrap_or_default();
        let Some((raw, length)) = read(value, loose) else { return false };
        if !take(Token::Pair(name, raw)) {
            return false;
        }
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
        // klog: lines with a tab before each, up to one that is ` >`.
        Some(b'<') if loose && text.starts_with("<\n\t") => {
            let end = memchr::memmem::find(bytes, b"\n >")?;
            let lines = text.get(3..end)?;
            let plain = match lines.contains("\n\t") {
                true => Cow::Owned(lines.replace("\n\t", "\n")),
                false => Cow::Borrowed(lines),
            };
            Some((Raw::Str(plain), end + 3))
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
/// name that is one, with a value that is of its shape. New Relic's agents write theirs between
/// bars: `NR-LINKING|entity|host|trace|span|name|`.
pub(super) fn within(message: &str, draft: &mut Draft<'_>) {
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
        if !(5..=40).contains(&length) && name != "b3" {
            continue;
        }
        let Some(id) = key::identifies(name) else { continue };
        let value = message.get(at + 1..).unwrap_or_default();
        let value = value.strip_prefix(' ').unwrap_or(value);
        let quoted = value.starts_with(['"', '\'']);
        let value = value.get(usize::from(quoted)..).unwrap_or_default();
        let end = value
            .bytes()
            .take(161)
            .take_while(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'/' | b'.')
                    || id == Id::Context && matches!(byte, b'=' | b';' | b':' | b'@')
            })
            .count();
        // A field of its own has whatever is said of it; words have to be unmistakable.
        let value = value.get(..end).unwrap_or_default().trim_end_matches(['.', ';', ':']);
        let shaped = match id {
            Id::Trace | Id::Context => ids::trace(value).is_some(),
            Id::Span => ids::span(value).is_some(),
            // A word is no identifier: there is a digit in one.
            Id::Request => value.len() >= 8 && value.bytes().any(|byte| byte.is_ascii_digit()),
            Id::DatadogTrace | Id::DatadogSpan | Id::Transaction => value.len() >= 8,
        };
        if shaped {
            let _kept_in_the_message = draft.id(id, value);
            found += 1;
        }
        if found >= 8 {
            return;
        }
    }
    if let Some((_, linking)) = message.split_once("NR-LINKING|") {
        let mut parts = linking.split('|').skip(2);
        if let (Some(trace), Some(span), Some(_)) = (parts.next(), parts.next(), parts.next())
            && trace.len() == 32
        {
            draft.id(Id::Trace, trace);
            draft.id(Id::Span, span);
        }
    }
}
