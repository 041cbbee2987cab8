//! Where the value of a field ends that stands somewhere in a text.
//!
//! Where that is not certain, it ends later: what is taken for more of a secret is masked with it. Every function
//! looks at a byte at most a fixed number of times.

use super::mask;
use super::names::Shape;

/// A value in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// What it says, without quotes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// What comes after it, quotes included.
    pub(super) after: usize,
    pub(super) quoted: bool,
}

/// Longest name that is looked for behind a value.
const AHEAD: usize = 64;

/// Schemes of authentication (RFC 9110 section 11.4) that have one word behind them, or parameters.
const SCHEMES: [&str; 9] =
    ["basic", "bearer", "negotiate", "ntlm", "token", "apikey", "api-key", "dpop", "gnap"];

/// Those that have parameters.
const WITH_PARAMETERS: [&str; 6] =
    ["digest", "aws4-hmac-sha256", "oauth", "hawk", "hoba", "mutual"];

/// The value that begins at `at`, behind the separator `separator` (`=` or `:`) of its name.
pub(super) fn extent(bytes: &[u8], at: usize, separator: u8, shape: Shape) -> Extent {
    if let Some(quoted) = quoted(bytes, at) {
        return quoted;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let bare = |from| bare_end(bytes, from, separator);
    let end = match (mask::marker(rest), rest.first()) {
        (Some(length), _) => bare(at + length),
        (None, Some(b'[' | b'{')) => bare(balanced_end(bytes, at)),
        _ => match shape {
            Shape::Word => word_end(bytes, at, separator),
            Shape::Cookies => cookies_end(bytes, at, separator),
        },
    };
    Extent { start: at, end, after: end, quoted: false }
}

/// A quote at `at`, which may be escaped (JSON in JSON), and all up to the same one again; not one within a word, which
/// is an apostrophe, or ends what nobody began. Without another, all that there is: the text was cut.
fn quoted(bytes: &[u8], at: usize) -> Option<Extent> {
    let depth = backslashes(bytes, at);
    let quote = *bytes.get(at + depth).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let start = at + depth + 1;
    let mut next = start;
    while let Some(&byte) = bytes.get(next) {
        if byte == b'\\' {
            let run = backslashes(bytes, next);
            if bytes.get(next + run) == Some(&quote) {
                let closes = if depth == 0 { run.is_multiple_of(2) } else { run == depth };
                if closes && !in_word(bytes, next + run) {
                    let end = if depth == 0 { next + run } else { next };
                    return Some(Extent { start, end, after: next + run + 1, quoted: true });
                }
                next += 1;
            }
            next += run;
        } else if byte == quote && (depth > 0 || !in_word(bytes, next)) {
            // Less deep than it began, it ends what this is in.
            let after = next + usize::from(depth == 0);
            return Some(Extent { start, end: next, after, quoted: true });
        } else {
            next += 1;
        }
    }
    let end = bytes.len();
    Some(Extent { start: start.min(end), end, after: end, quoted: true })
}

/// The quote at `at` goes on as a word.
fn in_word(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
}

fn backslashes(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take_while(|byte| **byte == b'\\').count()
}

/// A list or an object, up to where it is closed; all that there is, if it is not.
fn balanced_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut next) = (0_usize, at);
    while let Some(&byte) = bytes.get(next) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return next + 1;
                }
            }
            b'"' => {
                let string = quoted(bytes, next);
                next = string.map_or(next + 1, |string| string.after);
                continue;
            }
            _ => {}
        }
        next += 1;
    }
    bytes.len()
}

/// Up to white space, or to punctuation that is not part of it: quotes and brackets that close with nothing behind
/// them, and what separates it from another field.
fn bare_end(bytes: &[u8], at: usize, separator: u8) -> usize {
    let mut next = at;
    while let Some(&byte) = bytes.get(next) {
        if byte <= b' ' {
            return next;
        }
        if !closes(byte) {
            next += 1;
            continue;
        }
        let mut after = next;
        let mut parts = false;
        while let Some(&byte) = bytes.get(after).filter(|byte| closes(**byte)) {
            parts |= matches!(byte, b',' | b';' | b'&' | b'|');
            after += 1;
        }
        let over = bytes.get(after).is_none_or(|byte| *byte <= b' ');
        // What it is in ended with a quote; or another name is next, whose quote was taken with the others.
        let quote = matches!(byte, b'"' | b'\'' | b'\\');
        if over || parts && (quote || is_name(bytes, after, separator)) {
            return next;
        }
        next = after;
    }
    bytes.len()
}

fn closes(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'\'' | b'`' | b'\\' | b')' | b']' | b'}' | b'>' | b',' | b';' | b'&' | b'|'
    )
}

/// A name with its separator begins there.
fn is_name(bytes: &[u8], at: usize, separator: u8) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let name = rest.iter().take(AHEAD).take_while(|byte| is_name_byte(**byte)).count();
    let quote = rest.iter().skip(name).take(4);
    let quotes = quote.take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\')).count();
    name > 0 && rest.get(name + quotes) == Some(&separator)
}

/// A name, `=` and a value: no padding of base64.
fn is_pair(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut behind = rest.iter().skip_while(|byte| is_name_byte(**byte)).skip(1);
    is_name(bytes, at, b'=') && behind.next().is_some_and(|byte| *byte > b' ' && *byte != b'=')
}

/// What names are made of, where nothing quotes them.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%')
}

fn spaces(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// One word; `Bearer xyz`; `Digest username="a", realm="b"`.
fn word_end(bytes: &[u8], at: usize, separator: u8) -> usize {
    let end = bare_end(bytes, at, separator);
    let word = bytes.get(at..end).unwrap_or_default();
    let is_one_of = |schemes: &[&str]| {
        schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    let next = spaces(bytes, end);
    if next == end {
        return end;
    }
    if is_one_of(&SCHEMES) && !is_pair(bytes, next) {
        return bare_end(bytes, next, separator);
    }
    if !is_one_of(&WITH_PARAMETERS) || !is_pair(bytes, next) {
        return end;
    }
    // Parameters, as long as a comma and another follow.
    let mut next = next;
    loop {
        let equals = bytes.get(next..).unwrap_or_default().iter().position(|byte| *byte == b'=');
        let value = equals.filter(|_| is_name(bytes, next, b'=')).map_or(next, |it| next + it + 1);
        let end = match quoted(bytes, value) {
            Some(quoted) => quoted.after,
            None => bare_end(bytes, value, b'='),
        };
        let comma = bytes.get(end) == Some(&b',');
        let more = spaces(bytes, end + usize::from(comma));
        if !comma || !is_name(bytes, more, b'=') {
            return bare_end(bytes, end, separator);
        }
        next = more;
    }
}

/// `a=b; c=d; Secure`.
fn cookies_end(bytes: &[u8], at: usize, separator: u8) -> usize {
    let mut end = word_end(bytes, at, separator);
    while bytes.get(end) == Some(&b';') {
        let next = spaces(bytes, end + 1);
        let more = bare_end(bytes, next, separator);
        if more == next {
            break;
        }
        end = more;
    }
    end
}
