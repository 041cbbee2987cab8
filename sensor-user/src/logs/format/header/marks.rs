//! Formats that are known by a mark of their own right behind the time. Each asks for a shape that
//! prose does not have: a bare word never decides.

use super::super::draft::{Draft, Raw, is_place};
use super::super::{Format, dotnet, json, level, pairs};
use super::parts::{self, Cursor, Level};
use super::{Header, commit, said};
use crate::model::Severity;

/// Reads what is behind the time in `header`, to the end; none where it has no such mark.
pub(super) fn read<'a>(
    cursor: &Cursor<'a>,
    header: &mut Header<'a>,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let rest = cursor.rest_as_is();
    match rest.as_bytes() {
        [b'|', ..] => nlog(rest, header, draft),
        [b':', ..] => postgresql(rest, header, draft),
        _ => match cursor.rest().as_bytes() {
            [b'A'..=b'Z', b'!', b' ', ..] => telegraf(cursor.rest(), header, draft),
            [b'A'..=b'Z', b' ', b'|', b' ', ..] => capnslog(cursor.rest(), header, draft),
            [b'[', b' ', ..] => clickhouse(cursor, header, draft),
            [b'[', ..] if header.bracketed => log4js(cursor, header, draft),
            [b'[', b'0'..=b'9', ..] => postgresql(cursor.rest(), header, draft),
            [b'0'..=b'9', ..] => numbered(cursor.rest(), header, draft),
            [b'{', ..] => airflow(cursor, header, draft),
            [b'c' | b'd' | b'f' | b'i' | b't' | b'w', _, _, _, b':', ..] => {
                dotnet(cursor.rest(), header, draft)
            }
            [b'a'..=b'z' | b'A'..=b'Z', ..] if header.bracketed => {
                monolog(cursor.rest(), header, draft)
            }
            _ => None,
        },
    }
}

/// .NET's console with a time.
fn dotnet<'a>(rest: &'a str, header: &Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    dotnet::head(rest, draft).then(|| {
        commit(header, draft);
        Format::DotNet
    })
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn known(text: &str) -> Option<Level<'_>> {
    let severity = level::word(text)?;
    Some(Level { text, severity, upper: text.bytes().all(|byte| byte.is_ascii_uppercase()) })
}

/// NLog's default layout, `${longdate}|${level:uppercase=true}|${logger}|${message}`.
fn nlog<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let mut columns = rest.get(1..)?.splitn(3, '|');
    header.level = Some(known(columns.next()?.trim())?);
    let logger = columns.next()?;
    let message = columns.next()?;
    header.logger = Some(logger).filter(|it| !it.is_empty());
    commit(header, draft);
    said(message, draft);
    Some(Format::Pattern)
}

/// etcd's older logs and others of CoreOS: `2026-11-30 15:31:55.250000 W | etcdserver: read-only
/// range took too long`.
fn capnslog<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let text = rest.get(..1)?;
    header.level = Some(Level { text, severity: level::letter(text)?, upper: true });
    let message = rest.get(4..)?;
    let package = message.split_once(": ").filter(|(name, _)| {
        !name.is_empty()
            && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"/-_.".contains(&it))
    });
    let message = package.map_or(message, |(name, message)| {
        header.logger = Some(name);
        message
    });
    commit(header, draft);
    said(message, draft);
    Some(Format::Pattern)
}

/// Telegraf: `2026-11-30T15:31:55Z W! [inputs.x] late`.
fn telegraf<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let text = rest.get(..1).filter(|text| matches!(*text, "T" | "D" | "I" | "W" | "E"))?;
    header.level = Some(Level { text, severity: level::letter(text)?, upper: true });
    commit(header, draft);
    said(rest.get(3..)?, draft);
    Some(Format::Pattern)
}

/// ClickHouse: `[ 12 ] {query-id} <Error> TCPHandler: Code: 60`.
fn clickhouse<'a>(
    cursor: &Cursor<'a>,
    header: &mut Header<'a>,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let mut cursor = cursor.clone();
    let thread = cursor.bracket()?.trim();
    let (query, rest) = cursor.rest().strip_prefix('{')?.split_once('}')?;
    let (word, rest) = rest.trim_start().strip_prefix('<')?.split_once("> ")?;
    // Of the server's own tests.
    let severity = if word == "Test" { Severity::Trace } else { level::word(word)? };
    if !digits(thread) {
        return None;
    }
    header.level = Some(Level { text: word, severity, upper: false });
    header.thread = Some(thread);
    let message = match rest.split_once(": ") {
        Some((name, message)) if !name.contains(' ') => {
            header.logger = Some(name);
            message
        }
        _ => rest,
    };
    commit(header, draft);
    draft.other("query_id", Raw::Str(query.into()));
    said(message, draft);
    Some(Format::Pattern)
}

/// PostgreSQL: what `log_line_prefix` puts there, with the process's number in brackets, then a
/// word of its own, a colon and two spaces.
///
/// ```text
/// 2026-11-30 15:31:55.250 UTC [7755] LOG:  database system is ready
/// 2026-11-30 15:31:55 UTC:10.0.0.7(5432):ada@shop:[77]:ERROR:  relation "x" does not exist
/// 2026-11-30 15:31:55.251 UTC [7756] ada@shop STATEMENT:  insert into users
/// ```
fn postgresql<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let head = rest.get(..rest.floor_char_boundary(256))?;
    let (at, word, severity) = head.match_indices(":  ").find_map(|(at, _)| {
        let before = rest.get(..at)?;
        let word = before.rsplit([' ', ':']).next()?;
        Some((at, word, word_of_postgresql(word)?))
    })?;
    let before = rest.get(..at - word.len())?.trim_matches([' ', ':']);
    let (prefix, pid) = before.split_once('[')?;
    let (pid, behind) = pid.split_once(']')?;
    // A number of the session's line may be behind the process's.
    let pid = pid.split('-').next().filter(|pid| digits(pid))?;
    header.pid = Some(pid);
    header.level = severity.map(|severity| Level { text: word, severity, upper: true });
    // No gunicorn: that has no such prefix.
    header.bracketed = false;
    commit(header, draft);
    for part in [prefix, behind] {
        draft.other("prefix", Raw::Str(part.trim_matches([' ', ':']).into()));
    }
    // Details belong to the record before them: their word says which, and they have no level.
    let from = if severity.is_some() { at + 3 } else { at - word.len() };
    said(rest.get(from..)?, draft);
    Some(Format::Postgres)
}

/// The severities of its documentation ("Message Severity Levels"), and the words for what goes
/// with a message.
fn word_of_postgresql(word: &str) -> Option<Option<Severity>> {
    Some(Some(match word {
        "LOG" | "INFO" | "NOTICE" => Severity::Info,
        "DEBUG" | "DEBUG1" | "DEBUG2" | "DEBUG3" | "DEBUG4" | "DEBUG5" => Severity::Debug,
        "WARNING" => Severity::Warn,
        "ERROR" => Severity::Error,
        "FATAL" | "PANIC" => Severity::Fatal,
        "DETAIL" | "HINT" | "QUERY" | "CONTEXT" | "STATEMENT" | "LOCATION" | "BACKTRACE" => {
            return Some(None);
        }
        _ => return None,
    }))
}

/// A number behind the time: MySQL and MariaDB (a thread, then a level in brackets), oslo.log (a
/// process, then a level in capitals and the logger).
///
/// ```text
/// 2026-11-30T15:31:55.250000Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.
/// 2026-11-30 15:31:55 0 [Note] mariadbd: ready for connections.
/// 2026-11-30 15:31:55.250 123 WARNING nova.api [req-7c1f ada shop] late
/// ```
fn numbered<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    let (number, rest) = rest.split_once(' ').filter(|(number, _)| digits(number))?;
    let mut cursor = Cursor::new(rest);
    if let Some(inner) = cursor.bracket() {
        let severity = match inner {
            "System" | "Note" => Severity::Info,
            "Warning" => Severity::Warn,
            "ERROR" | "Error" => Severity::Error,
            _ => return None,
        };
        header.level = Some(Level { text: inner, severity, upper: false });
        header.thread = Some(number);
        commit(header, draft);
        let mut message = cursor.rest();
        if message.starts_with("[MY-")
            && let (Some(code), Some(part)) = (cursor.bracket(), cursor.bracket())
        {
            draft.other("error_code", Raw::Str(code.into()));
            draft.other("subsystem", Raw::Str(part.into()));
            message = cursor.rest();
        }
        said(message, draft);
        return Some(Format::Mysql);
    }
    let level = cursor.upper_level()?;
    let (logger, rest) = cursor.rest().split_once(' ')?;
    let mut cursor = Cursor::new(rest);
    // The context, `-` where there is none.
    let context = match cursor.bracket() {
        Some(inner) => Some(inner),
        None if cursor.separator() => None,
        None => return None,
    };
    (header.level, header.pid, header.logger) = (Some(level), Some(number), Some(logger));
    commit(header, draft);
    if let Some(context) = context.filter(|it| *it != "-") {
        draft.other("context", Raw::Str(context.into()));
        for request in context.split(' ').filter(|word| word.starts_with("req-")) {
            draft.id(super::super::key::Id::Request, request);
        }
    }
    said(cursor.rest(), draft);
    Some(Format::Pattern)
}

/// Airflow: `[time] {taskinstance.py:1157} INFO - message`.
fn airflow<'a>(
    cursor: &Cursor<'a>,
    header: &mut Header<'a>,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let (place, rest) = cursor.rest().strip_prefix('{')?.split_once("} ")?;
    let mut cursor = Cursor::new(rest);
    let level = cursor.upper_level().filter(|_| is_place(place))?;
    if !cursor.separator() {
        return None;
    }
    (header.level, header.caller) = (Some(level), Some(place));
    commit(header, draft);
    said(cursor.rest(), draft);
    Some(Format::Pattern)
}

/// log4js: `[time] [WARN] category - message`.
fn log4js<'a>(
    cursor: &Cursor<'a>,
    header: &mut Header<'a>,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let mut cursor = cursor.clone();
    let level = cursor.bracket().and_then(known)?;
    let (category, message) = cursor.rest().split_once(" - ")?;
    if category.is_empty() || category.contains([' ', '[']) {
        return None;
    }
    (header.level, header.logger) = (Some(level), Some(category));
    commit(header, draft);
    said(message, draft);
    Some(Format::Pattern)
}

/// Monolog's lines, which Laravel and Symfony write too, and PHP's own error log.
///
/// ```text
/// [2026-11-30T15:31:55.250000+00:00] app.ERROR: message {"user":7} []
/// [30-Nov-2026 15:31:55 UTC] PHP Warning:  message in /srv/a.php on line 3
/// ```
fn monolog<'a>(rest: &'a str, header: &mut Header<'a>, draft: &mut Draft<'a>) -> Option<Format> {
    if let Some((severity, word, message)) = php(rest) {
        header.level = Some(Level { text: word, severity, upper: false });
        commit(header, draft);
        said(message, draft);
        return Some(Format::Php);
    }
    let (name, message) = rest.split_once(": ")?;
    let (channel, word) = name.rsplit_once('.').filter(|(channel, _)| !channel.contains(' '))?;
    let level = known(word).filter(|level| level.upper)?;
    // PSR-3: critical is worse than error, and alert is worse than critical.
    let severity = if word == "ALERT" { Severity::Fatal } else { level.severity };
    (header.level, header.logger) = (Some(Level { severity, ..level }), Some(channel));
    commit(header, draft);
    let (message, fields) = json::behind(message);
    draft.message(message);
    for fields in fields.into_iter().flatten() {
        let _whole = json::read(fields, draft);
    }
    pairs::within(message, draft);
    Some(Format::Monolog)
}

/// `PHP Fatal error:  message`: by PHP's own table (`php_error_cb`), where a fatal error is an
/// error of syslog's.
pub(super) fn php(text: &str) -> Option<(Severity, &str, &str)> {
    let (word, message) = text.strip_prefix("PHP ")?.split_once(":  ")?;
    let severity = match word {
        "Fatal error" | "Parse error" | "Recoverable fatal error" => Severity::Error,
        "Warning" => Severity::Warn,
        "Notice" | "Deprecated" | "Strict Standards" => Severity::Info,
        _ => return None,
    };
    Some((severity, word, message))
}

/// Celery: a level and the process behind the time, within its brackets.
///
/// ```text
/// [2026-11-30 15:31:55,250: ERROR/MainProcess] Task shop failed
/// ```
pub(super) fn celery<'a>(
    more: &'a str,
    after: &Cursor<'a>,
    header: &mut Header<'a>,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let (word, process) = more.strip_prefix(": ")?.split_once('/')?;
    header.level = Some(known(word).filter(|level| level.upper)?);
    header.thread = Some(process);
    commit(header, draft);
    said(after.rest(), draft);
    Some(Format::Pattern)
}

/// Spark: with a year of two digits, a class and a colon are behind the level.
pub(super) fn spark(rest: &str) -> Option<(&str, &str)> {
    let (name, message) = rest.split_once(": ")?;
    let class = name.starts_with(|it: char| it.is_ascii_alphabetic())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'$' | b'_' | b'.'));
    class.then_some((name, message))
}

/// Dynatrace's enrichment in brackets: `!dt dt.trace_id=…,dt.span_id=…`.
pub(super) fn dynatrace(inner: &str) -> Option<&str> {
    inner.strip_prefix("!dt ").filter(|pairs| parts::is_group(pairs))
}
