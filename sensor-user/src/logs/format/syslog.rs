//! What syslog puts before a line, and journald's export format.

use super::draft::{Draft, Raw};
use super::level::{self, Scale};
use super::{pairs, time};
use crate::model::Severity;

/// `<11>`: a facility and a severity (RFC 5424, section 6.2.1), or a severity alone (sd-daemon(3)).
/// Gives what is behind it.
pub(super) fn priority(line: &str) -> Option<(Severity, &str)> {
    let (number, rest) = line.strip_prefix('<')?.split_once('>')?;
    let canonical = number.len() <= 3 && (number == "0" || !number.starts_with('0'));
    let digits = canonical && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<i64>().ok().filter(|number| digits && *number <= 191)?;
    let severity = level::number(Scale::Syslog, number % 8)?;
    (!rest.trim().is_empty() && !rest.starts_with('<')).then_some((severity, rest))
}

/// Reads the header of RFC 5424, or that of RFC 3164, and gives the message.
///
/// ```text
/// 1 2026-11-30T15:31:55.250Z host shop 12 ID47 [origin ip="10.0.0.7"] boom
/// Nov 30 15:31:55 host shop[12]: boom
/// ```
pub(super) fn header<'a>(text: &'a str, draft: &mut Draft<'a>) -> Option<&'a str> {
    match text.strip_prefix("1 ") {
        Some(rest) => rfc5424(rest, draft),
        None => rfc3164(text, draft),
    }
}

fn rfc5424<'a>(text: &'a str, draft: &mut Draft<'a>) -> Option<&'a str> {
    let mut parts = text.splitn(6, ' ');
    let (stamp, host, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (process, id, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let time = match time::read(stamp.as_bytes()) {
        Some((written, length)) if length == stamp.len() => draft.clock().resolve(&written),
        _ if stamp == "-" => None,
        _ => return None,
    };
    let (data, message) = match rest.strip_prefix('-') {
        Some(message) => ("", message),
        None => structured(rest)?,
    };
    if stamp != "-" {
        draft.time(time, stamp);
    }
    for (key, value) in [
        ("hostname", host),
        ("appname", name),
        ("procid", process),
        ("msgid", id),
        ("structured_data", data),
    ] {
        if value != "-" {
            draft.other(key, Raw::bare(value));
        }
    }
    pairs::within(data, draft);
    let message = message.strip_prefix(' ').unwrap_or(message);
    Some(message.strip_prefix('\u{feff}').unwrap_or(message))
}

/// Elements in brackets, one right behind the other.
fn structured(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    while text.get(at..)?.starts_with('[') {
        at += pairs::balanced(text.as_bytes().get(at..)?)?;
    }
    (at > 0).then(|| text.split_at_checked(at))?
}

fn rfc3164<'a>(text: &'a str, draft: &mut Draft<'a>) -> Option<&'a str> {
    let (written, length) = time::read(text.as_bytes())?;
    let mut parts = text.get(length..)?.strip_prefix(' ')?.splitn(3, ' ');
    let (mut host, mut tag) = (parts.next()?, parts.next()?);
    let mut message = parts.next().unwrap_or("");
    // A local writer leaves its host out.
    if host.ends_with(':') {
        message = text.get(length + host.len() + 2..)?;
        (host, tag) = ("", host);
    }
    let tag = tag.strip_suffix(':')?;
    let (name, process) = match tag.split_once('[') {
        Some((name, process)) => (name, process.strip_suffix(']')?),
        None => (tag, ""),
    };
    draft.time(draft.clock().resolve(&written), text.get(..length)?);
    for (key, value) in [("hostname", host), ("appname", name), ("procid", process)] {
        draft.other(key, Raw::bare(value));
    }
    Some(message)
}

/// journald's export format: a field a line, in capitals
/// (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>).
pub(super) fn export<'a>(record: &'a str, draft: &mut Draft<'a>) -> bool {
    let pair = |line: &'a str| line.split_once('=').filter(|(name, _)| is_field(name));
    let lines = || record.lines().filter(|line| !line.is_empty());
    if lines().count() < 2 || !lines().all(|line| pair(line).is_some()) {
        return false;
    }
    for (key, value) in lines().filter_map(pair) {
        draft.field(key, Raw::bare(value));
    }
    true
}

fn is_field(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
