//! Formats that begin with something else than a time: a level, a thread, a name of their own. What
//! may be prose has to show a second mark.

use super::super::draft::{Draft, Raw};
use super::super::time::{self, Written};
use super::super::{Format, level};
use super::parts::{Cursor, Level};
use super::{Header, commit, marks, said};
use crate::model::{Class, Severity};

/// Reads a whole line; none where it has none of these formats.
pub(in super::super) fn leading<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    match line.as_bytes() {
        [b'[', b'N', b'e', b's', b't', b']', ..] => nest(line, draft),
        [b'[', ..] => bracketed(line, draft),
        [b'A'..=b'Z', b',', b' ', b'[', ..] => ruby(line, draft),
        [b'P', b'H', b'P', b' ', ..] => php(line, draft),
        [b'A'..=b'Z', ..] => leveled(line, draft),
        [b'0'..=b'9', ..] => numbered(line, draft),
        _ => None,
    }
}

/// `[WARN] disk low`, `[ERROR] plugin/errors: timeout` (CoreDNS), `[main] WARN org.shop.Orders -
/// disk low` (SLF4J's simple logger).
fn bracketed<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let mut cursor = Cursor::new(line);
    let inner = cursor.bracket()?;
    let text = inner.trim();
    if let Some(severity) = level::word(text) {
        let upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
        let level = Level { text, severity, upper };
        let spaced = cursor.rest_as_is().starts_with([' ', '\t', ':']);
        if level.is_odd() && !upper || !spaced {
            return None;
        }
        cursor.colon();
        // A time may be next, in brackets of its own or without.
        let mut after = cursor.clone();
        let bracketed = after.bracket().and_then(|inner| Some((whole(inner)?, inner)));
        let time = bracketed.or_else(|| {
            after = cursor.clone();
            after.time()
        });
        if time.is_some() {
            cursor = after;
            cursor.separator();
        }
        commit(&Header { level: Some(level), time, ..Header::default() }, draft);
        said(cursor.rest(), draft);
        return Some(Format::Level);
    }
    if let Some(time) = time::epoch(text).filter(|_| text.len() >= 10 && cursor.has_level()) {
        draft.time(Some(time), text);
        let level = cursor.upper_level();
        commit(&Header { level, ..Header::default() }, draft);
        said(cursor.rest(), draft);
        return Some(Format::Pattern);
    }
    threaded(inner, cursor, draft)
}

/// A time and nothing else.
fn whole(text: &str) -> Option<Written> {
    let (written, length) = time::read(text.as_bytes())?;
    (length == text.len()).then_some(written)
}

/// `LEVEL logger - message` behind a thread in brackets.
fn threaded<'a>(thread: &'a str, mut cursor: Cursor<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let level = cursor.upper_level()?;
    let (logger, message) = cursor.rest().split_once(" - ")?;
    // log4j's nested context may be behind the logger.
    let (logger, context) = logger.split_once(' ').unwrap_or((logger, ""));
    if logger.is_empty() || context.contains(" - ") {
        return None;
    }
    let header = Header {
        level: Some(level),
        thread: Some(thread),
        logger: Some(logger),
        ..Header::default()
    };
    commit(&header, draft);
    draft.other("ndc", Raw::Str(context.trim().into()));
    said(message, draft);
    Some(Format::Pattern)
}

/// Nest: `[Nest] 12  - 11/30/2026, 3:31:55 PM    WARN [Orders] stock low +1ms`. Its `LOG` is
/// information.
fn nest<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let (pid, rest) = line.strip_prefix("[Nest] ")?.split_once(" - ")?;
    let mut cursor = Cursor::new(rest);
    let time = cursor.time();
    // In the words of another country, the time may be none that is known.
    let rest = match time {
        Some(_) => cursor.rest(),
        None => rest.split_once("  ")?.1.trim_start(),
    };
    let end = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    let (word, rest) = rest.split_at_checked(end)?;
    let severity = level::field(word).filter(|_| word.len() > 1)?;
    let level = Level { text: word, severity, upper: true };
    let mut cursor = Cursor::new(rest);
    let header = Header {
        time,
        level: Some(level),
        pid: Some(pid.trim()),
        logger: cursor.bracket(),
        ..Header::default()
    };
    commit(&header, draft);
    let message = cursor.rest();
    // The time since the message before.
    let message = match message.rsplit_once(" +") {
        Some((before, since))
            if since
                .strip_suffix("ms")
                .is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit())) =>
        {
            draft.other("elapsed", Raw::Str(since.into()));
            before
        }
        _ => message,
    };
    said(message, draft);
    Some(Format::Nest)
}

/// Ruby's Logger: `E, [2026-11-30T15:31:55.601084 #28991] ERROR -- shop: payment failed`. `ANY` is
/// no level.
fn ruby<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let mut cursor = Cursor::new(line.get(3..)?);
    let (stamp, pid) = cursor.bracket()?.split_once(" #")?;
    let (written, length) = time::read(stamp.as_bytes())?;
    let (word, rest) = cursor.rest().split_once(" -- ")?;
    let (program, message) =
        rest.strip_prefix(": ").map(|it| ("", it)).or_else(|| rest.split_once(": "))?;
    let level = match word.trim() {
        "ANY" | "UNKNOWN" => None,
        text => Some(Level { text, severity: level::word(text)?, upper: true }),
    };
    if length != stamp.len() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let header = Header {
        time: Some((written, stamp)),
        level,
        pid: Some(pid),
        logger: Some(program).filter(|it| !it.is_empty()),
        ..Header::default()
    };
    commit(&header, draft);
    said(message, draft);
    Some(Format::Ruby)
}

fn php<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let (severity, text, message) = marks::php(line)?;
    let level = Level { text, severity, upper: false };
    commit(&Header { level: Some(level), ..Header::default() }, draft);
    said(message, draft);
    Some(Format::Php)
}

/// A level in capitals, then a dash, a bar, or a thread or a time in brackets.
///
/// ```text
/// WARN - disk low                                                        log4j: %p - %m%n
/// INFO  [2026-11-30 15:31:55,250] org.eclipse.jetty.server.Server: Started        Dropwizard
/// WARN  [main] 2026-11-30 15:31:55,250 Server.java:156 - Starting                 Cassandra
/// ```
fn leveled<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let mut cursor = Cursor::new(line);
    let level = cursor.upper_level()?;
    let mut header = Header { level: Some(level), ..Header::default() };
    let mut after = cursor.clone();
    if let Some(inner) = after.bracket() {
        match time::read(inner.as_bytes()) {
            Some((written, length)) if length == inner.len() => {
                header.time = Some((written, inner));
                let (logger, message) = after.rest().split_once(": ")?;
                header.logger = Some(logger).filter(|it| !it.contains(' '));
                header.logger?;
                commit(&header, draft);
                said(message, draft);
                return Some(Format::Pattern);
            }
            _ => {
                header.time = Some(after.time()?);
                header.thread = Some(inner);
                let (place, message) = after.rest().split_once(" - ")?;
                if place.contains(' ') {
                    return None;
                }
                header.caller = Some(place);
                commit(&header, draft);
                said(message, draft);
                return Some(Format::Pattern);
            }
        }
    }
    let separated = ["- ", "-- ", "| "].iter().any(|mark| cursor.rest().starts_with(mark));
    if separated && cursor.separator() {
        commit(&header, draft);
        said(cursor.rest(), draft);
        return Some(Format::Level);
    }
    None
}

/// A number first.
///
/// ```text
/// 467 [main] WARN  org.shop.Orders - disk low               log4j's TTCC: milliseconds since the start
/// 1796052715.250 ERROR boom                                  seconds since the epoch, then a level
/// 23439:M 30 Nov 2026 15:31:55.004 * Ready to accept        Redis: a process and its role
/// 11-30 15:31 root         ERROR    card declined           Python's cookbook
/// ```
fn numbered<'a>(line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    if let Some((written, length)) = time::short(line.as_bytes()) {
        return python(written, line, length, draft);
    }
    let end = line.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.')?;
    let (number, rest) = line.split_at_checked(end)?;
    if rest.starts_with(':') {
        return redis(number, rest, draft);
    }
    let rest = rest.strip_prefix(' ')?;
    let mut cursor = Cursor::new(rest);
    if number.len() >= 10
        && let Some(time) = time::epoch(number)
        && cursor.has_level()
    {
        draft.time(Some(time), number);
        let level = cursor.upper_level();
        commit(&Header { level, ..Header::default() }, draft);
        said(cursor.rest(), draft);
        return Some(Format::Pattern);
    }
    let thread = cursor.bracket().filter(|_| !number.contains('.'))?;
    let format = threaded(thread, cursor, draft)?;
    draft.other("relative_ms", Raw::Bare(number));
    Some(format)
}

/// `%(asctime)s %(name)-12s %(levelname)-8s %(message)s`: a name without spaces, padded, and a
/// level in capitals.
fn python<'a>(
    written: Written,
    line: &'a str,
    length: usize,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let (name, rest) = line.get(length + 1..)?.split_once(' ')?;
    let mut cursor = Cursor::new(rest);
    let level = cursor.upper_level().filter(|_| !name.is_empty())?;
    let header = Header {
        time: Some((written, line.get(..length)?)),
        level: Some(level),
        logger: Some(name),
        ..Header::default()
    };
    commit(&header, draft);
    said(cursor.rest(), draft);
    Some(Format::Pattern)
}

/// Redis and Valkey (`serverLogRaw`): `.` debug, `-` verbose, `*` notice, `#` warning.
fn redis<'a>(pid: &'a str, rest: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
    let role = rest.get(1..2).filter(|role| matches!(*role, "X" | "C" | "S" | "M"))?;
    let mut cursor = Cursor::new(rest.get(2..)?);
    let time = cursor.time()?;
    let (text, message) = cursor.rest().split_once(' ')?;
    let severity = match text {
        "." | "-" => Severity::Debug,
        "*" => Severity::Info,
        "#" => Severity::Warn,
        _ => return None,
    };
    let level = Level { text, severity, upper: false };
    let header =
        Header { time: Some(time), level: Some(level), pid: Some(pid), ..Header::default() };
    commit(&header, draft);
    draft.class(Class::Infrastructure);
    draft.other("role", Raw::Str(role.into()));
    said(message, draft);
    Some(Format::Redis)
}
