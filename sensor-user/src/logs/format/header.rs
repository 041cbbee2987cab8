//! Text that begins with a time, a level, or both, as patterns of Log4j, Logback, Python's logging, Rust's tracing
//! and many others have it.
//!
//! A pattern may be anything: what is read is what is unmistakable, part by part, up to the message. A word is a
//! logger's name only where its place, or its shape, says so.

mod leading;
mod marks;
mod parts;
mod tracing;

use super::draft::{Draft, Raw, is_place};
use super::time::Written;
use super::{Format, level, pairs, time};
use crate::model::Class;
pub(super) use leading::leading;
use parts::{Cursor, Level, Named};

/// What is before the message.
#[derive(Debug, Default)]
struct Header<'a> {
    time: Option<(Written, &'a str)>,
    level: Option<Level<'a>>,
    thread: Option<&'a str>,
    logger: Option<&'a str>,
    caller: Option<&'a str>,
    pid: Option<&'a str>,
    /// Before the time.
    prefix: Option<&'a str>,
    /// The time is in brackets.
    bracketed: bool,
    /// There is an hour and a minute in its place.
    kitchen: bool,
    /// Pairs in brackets, or identifiers.
    groups: [Option<&'a str>; 3],
}

/// Reads a line; none where it does not begin with a time or a level. `last` is what the stream's lines were.
pub(super) fn read<'a>(line: &'a str, last: Format, draft: &mut Draft<'a>) -> Option<Format> {
    let mut cursor = Cursor::new(line);
    let mut header = Header::default();
    if let Some(format) = first(&mut cursor, &mut header, last, draft) {
        return Some(format);
    }
    if header.time.is_none() && header.level.is_none() && !header.kitchen {
        return None;
    }
    if header.time.is_some()
        && header.level.is_none()
        && let Some(format) = marks::read(&cursor, &mut header, draft)
    {
        return Some(format);
    }
    if tracing::begins(&mut cursor, &mut header, last) {
        commit(&header, draft);
        tracing::read(cursor.rest(), draft);
        return Some(Format::Tracing);
    }
    let behind = cursor.clone();
    let format = parts(&mut cursor, &mut header);
    if header.level.is_none() {
        // Go's: perhaps with the place and a word for the level; what comes next is the message.
        let Header { time, prefix, .. } = header;
        let mut cursor = behind;
        let caller = cursor.place();
        let level = cursor.upper_level();
        commit(&Header { time, prefix, caller, level, ..Header::default() }, draft);
        if !pairs::funcr(cursor.rest(), draft) {
            said(cursor.rest(), draft);
        }
        return Some(Format::GoLog);
    }
    let mut message = cursor.rest();
    if header.logger.is_none()
        && header.time.is_some_and(|(written, _)| written.numeric.is_some())
        && let Some((logger, after)) = marks::spark(message)
    {
        (header.logger, message) = (Some(logger), after);
    }
    let alone = header.logger.is_none() && header.thread.is_none();
    // Go's dates have slashes; that a message begins with a level is what some put there.
    let go = alone && header.time.is_some_and(|(_, text)| text.as_bytes().get(4) == Some(&b'/'));
    commit(&header, draft);
    match format {
        Format::Structlog | Format::Zerolog => {
            let message = pairs::tail(message, draft);
            draft.message(message.trim_end());
        }
        _ => match parts::in_parentheses(message).filter(|_| alone) {
            // Kafka: the logger is behind the message.
            Some((message, logger)) => {
                draft.logger(logger);
                said(message, draft);
            }
            None => said(message, draft),
        },
    }
    Some(if go { Format::GoLog } else { format })
}

/// A message that may have identifiers among its words.
fn said<'a>(message: &'a str, draft: &mut Draft<'a>) {
    draft.message(message);
    pairs::within(message, draft);
}

/// The time, or the level, that comes first. Formats that end with it are read whole.
fn first<'a>(
    cursor: &mut Cursor<'a>,
    header: &mut Header<'a>,
    last: Format,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    if let Some(stamp) = cursor.time() {
        header.time = Some(stamp);
        return None;
    }
    let line = cursor.rest();
    if line.starts_with('[') {
        // `[time] …`, `[time LEVEL target] …`, `[prefix] time …`
        let mut after = cursor.clone();
        let inner = after.bracket()?;
        let Some((written, length)) = time::read(inner.as_bytes()) else {
            header.time = Some(after.time()?);
            match level::word(inner.trim()) {
                Some(severity) => {
                    let text = inner.trim();
                    let upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
                    header.level = Some(Level { text, severity, upper });
                }
                None => header.prefix = Some(inner),
            }
            *cursor = after;
            return None;
        };
        let (stamp, more) = inner.split_at_checked(length)?;
        if more.is_empty() {
            *cursor = after;
            header.time = Some((written, stamp));
            header.bracketed = true;
            return None;
        }
        if more.starts_with(": ") {
            header.time = Some((written, stamp));
            return marks::celery(more, &after, header, draft);
        }
        return env_logger(cursor, (written, stamp), more, draft);
    }
    // zerolog's ConsoleWriter: an hour and a minute are no moment.
    let (kitchen, after) = line.split_once(' ').unwrap_or((line, ""));
    if parts::is_kitchen(kitchen) && Cursor::new(after).short_level().is_some() {
        draft.other("time", Raw::Str(kitchen.into()));
        *cursor = Cursor::new(after);
        header.kitchen = true;
        return None;
    }
    leveled(cursor, header, last, draft)
}

/// ```text
/// [2026-11-21T13:28:11Z WARN  shop::stock] stock low
/// ```
fn env_logger<'a>(
    cursor: &mut Cursor<'a>,
    time: (Written, &'a str),
    more: &'a str,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let mut inner = Cursor::new(more);
    let level = inner.level().filter(|level| level.upper)?;
    let target = inner.rest();
    if target.contains(' ') || cursor.clone().bracket().is_none_or(|it| it.len() <= more.len()) {
        return None;
    }
    cursor.bracket();
    commit(&Header { time: Some(time), level: Some(level), ..Header::default() }, draft);
    if !target.is_empty() {
        draft.logger(target);
    }
    said(cursor.rest(), draft);
    Some(Format::EnvLogger)
}

/// A level first.
///
/// ```text
/// WARNING:shop.orders:stock low                              Python's default
/// INFO:     127.0.0.1:42258 - "GET / HTTP/1.1" 200 OK        uvicorn
/// info: order placed {"order_id":42}                         winston
/// DEBUG 2026-11-21 13:28:03,188 a 21916 1406089 cache miss   Django's "verbose"
///  INFO request{…}: r: order placed order_id=42              tracing without times
/// ```
fn leveled<'a>(
    cursor: &mut Cursor<'a>,
    header: &mut Header<'a>,
    last: Format,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let padded = cursor.rest_as_is().len() - cursor.rest().len();
    let mut after = cursor.clone();
    let level = after.level()?;
    match after.rest_as_is().as_bytes() {
        [b':', next, ..] if *next != b' ' && level.upper => {
            // Names of loggers have no spaces.
            let (logger, message) = after.rest_as_is().get(1..)?.split_once(':')?;
            if logger.is_empty() || logger.contains(char::is_whitespace) {
                return None;
            }
            commit(&Header { level: Some(level), ..Header::default() }, draft);
            draft.logger(logger);
            said(message, draft);
            Some(Format::PythonBasic)
        }
        // In capitals, odd words are no beginning of a sentence.
        [b':', b' ', ..] if level.upper || !level.is_odd() => {
            let message = after.rest_as_is().get(1..)?;
            let wide = message.len() - message.trim_start().len();
            let uvicorn = level.upper
                && level.text.len() + 1 + wide == 10
                && (wide > 1 || last == Format::Uvicorn);
            commit(&Header { level: Some(level), ..Header::default() }, draft);
            let message = message.trim_start();
            if uvicorn {
                // It writes of itself alone.
                draft.class(Class::Middleware);
                draft.message(message);
                super::access::uvicorn(message, draft);
                return Some(Format::Uvicorn);
            }
            draft.message(message);
            winston(message, draft);
            Some(Format::Level)
        }
        [b' ', ..] if level.upper => {
            let mut behind = after.clone();
            if let Some(time) = behind.time() {
                *cursor = behind;
                header.time = Some(time);
                header.level = Some(level);
                django(cursor, header);
                return None;
            }
            // Right-aligned, as tracing does.
            let aligned = padded == 1 && level.text.len() == 4;
            if aligned || last == Format::Tracing {
                *cursor = after;
                header.level = Some(level);
            }
            None
        }
        _ => None,
    }
}

/// Fields behind the message, as JSON.
fn winston<'a>(message: &'a str, draft: &mut Draft<'a>) {
    let mut objects = memchr::memchr_iter(b'{', message.as_bytes()).take(8);
    let found = objects.find(|at| {
        *at > 0
            && message.ends_with('}')
            && super::json::is_object(message.get(*at..).unwrap_or_default())
    });
    match found.and_then(|at| message.split_at_checked(at)) {
        Some((said, fields)) if said.ends_with(' ') => {
            draft.message(said.trim_end());
            let _whole = super::json::read(fields, draft);
        }
        _ => pairs::within(message, draft),
    }
}

/// What is between the time and the message. The cursor is then at the message.
fn parts<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>) -> Format {
    // Separators say that what was before them was a part.
    let mut dashed = false;
    for _ in 0..10 {
        if cursor.separator() {
            dashed = true;
            // `time - logger - LEVEL - message`, `time LEVEL [x] logger - message`
            if header.level.is_some() && (header.logger.is_some() || header.caller.is_some()) {
                return Format::Pattern;
            }
            continue;
        }
        if header.level.is_none() {
            let colon = cursor.clone().level_colon();
            if let Some((level, after)) = colon {
                (header.level, *cursor) = (Some(level), after);
                return Format::Level;
            }
            if let Some(level) = cursor.short_level() {
                header.level = Some(level);
                zerolog(cursor, header);
                return Format::Zerolog;
            }
            if let Some(level) = cursor.upper_level() {
                header.level = Some(level);
                continue;
            }
        }
        if cursor.peek() == Some('[') {
            let mut after = cursor.clone();
            let Some(inner) = after.bracket() else { break };
            match bracket(inner, &after, header, dashed) {
                Inside::Level(level) => {
                    let structlog = !level.upper && header.thread.is_none() && header.pid.is_none();
                    header.level = Some(level);
                    *cursor = after;
                    if cursor.colon() {
                        return Format::Level;
                    }
                    if structlog {
                        return Format::Structlog;
                    }
                }
                Inside::Part => *cursor = after,
                Inside::Message => break,
            }
            continue;
        }
        let marked = dashed || header.thread.is_some();
        match cursor.named(header.level.is_some(), marked, header.bracketed) {
            Some(Named::Logger(name)) if header.logger.is_none() => {
                let place = parts::place(name);
                header.caller = header.caller.or(place.then_some(name));
                header.logger = parts::logger(name);
                if header.level.is_some() {
                    groups(cursor, header);
                    cursor.separator();
                    return Format::Pattern;
                }
            }
            Some(Named::Pid(pid)) => {
                header.pid = Some(pid);
                return spring(cursor, header);
            }
            Some(Named::At(name, caller)) => {
                (header.logger, header.caller) = (Some(name), Some(caller));
                return Format::Pattern;
            }
            _ => break,
        }
    }
    Format::Pattern
}

/// Brackets with pairs.
fn groups<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>) {
    for place in header.groups.iter_mut().filter(|place| place.is_none()) {
        let mut after = cursor.clone();
        let Some(inner) = after.bracket().filter(|inner| parts::is_group(inner.trim())) else {
            return;
        };
        *place = Some(inner.trim());
        *cursor = after;
    }
}

/// Django's documentation: `{levelname} {asctime} {module} {process:d} {thread:d} {message}`.
fn django<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>) {
    let mut words = cursor.rest().splitn(4, ' ');
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let (Some(module), Some(pid), Some(thread), Some(message)) =
        (words.next(), words.next().filter(digits), words.next().filter(digits), words.next())
        && thread.len() >= 10
    {
        (header.logger, header.pid, header.thread) = (Some(module), Some(pid), Some(thread));
        *cursor = Cursor::new(message);
    }
}

enum Inside<'a> {
    Level(Level<'a>),
    Part,
    Message,
}

/// What is in brackets.
fn bracket<'a>(
    inner: &'a str,
    after: &Cursor<'a>,
    header: &mut Header<'a>,
    dashed: bool,
) -> Inside<'a> {
    let text = inner.trim();
    if header.level.is_none()
        && let Some(severity) = level::word(text)
    {
        let upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
        return Inside::Level(Level { text, severity, upper });
    }
    if is_place(text) && header.caller.is_none() {
        header.caller = Some(text);
        return Inside::Part;
    }
    if let Some(text) =
        Some(marks::dynatrace(text).unwrap_or(text)).filter(|it| parts::is_group(it))
    {
        return match header.groups.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(text);
                Inside::Part
            }
            None => Inside::Message,
        };
    }
    // Before the level: gunicorn's process, or a thread.
    if header.level.is_none() {
        if after.has_level() {
            if text.bytes().all(|byte| byte.is_ascii_digit()) {
                header.pid = Some(text);
            } else {
                header.thread = Some(text);
            }
            return Inside::Part;
        }
        return Inside::Message;
    }
    // After it: a thread if a logger is named behind it; a logger's name if it looks like one.
    let named = after.has_logger(parts::is_path(text));
    if header.thread.is_none() && header.logger.is_none() && (dashed || named) {
        header.thread = Some(text);
        return Inside::Part;
    }
    if header.logger.is_none() && parts::is_path(text) {
        header.logger = Some(text);
        return Inside::Part;
    }
    Inside::Message
}

/// Spring Boot, from its ` --- ` on: perhaps the application, the thread, perhaps identifiers, the logger.
///
/// ```text
/// 2026-11-21T13:32:03.817Z  INFO [shop,4bf9…,00f0…] 30935 --- [shop] [.1-18221-exec-2] shop.Main      : order placed
/// ```
fn spring<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>) -> Format {
    cursor.separator();
    // The last in brackets is the thread; the application's name is before it, identifiers behind it.
    for _ in 0..4 {
        groups(cursor, header);
        let mut after = cursor.clone();
        let Some(inner) = after.bracket() else { break };
        header.thread = Some(inner.trim());
        *cursor = after;
    }
    if let Some((logger, message)) =
        cursor.rest().split_once(" : ").filter(|(it, _)| !it.trim_end().contains(' '))
    {
        header.logger = Some(logger.trim_end());
        *cursor = Cursor::new(message);
    }
    Format::SpringBoot
}

/// `main.go:72 > message`
fn zerolog<'a>(cursor: &mut Cursor<'a>, header: &mut Header<'a>) {
    let rest = cursor.rest();
    if let Some((caller, message)) = rest.split_once(" > ").filter(|(it, _)| is_place(it)) {
        header.caller = Some(caller);
        *cursor = Cursor::new(message);
    }
}

fn commit<'a>(header: &Header<'a>, draft: &mut Draft<'a>) {
    let Header { time, level, thread, logger, caller, pid, prefix, bracketed, kitchen: _, groups } =
        *header;
    if let Some(prefix) = prefix {
        draft.other("prefix", Raw::Str(prefix.into()));
    }
    if let Some((written, text)) = time {
        draft.time(draft.clock().resolve(&written), text);
    }
    if let Some(Level { text, severity, upper: _ }) = level {
        draft.level(severity, text);
    }
    if let Some(caller) = caller {
        draft.caller(caller);
    }
    if let Some(logger) = logger {
        draft.logger(logger);
    }
    if let Some(thread) = thread {
        draft.other("thread", Raw::Str(thread.into()));
    }
    if let Some(pid) = pid {
        draft.other("process.pid", Raw::Number(pid));
        // gunicorn: a time in brackets, a process in brackets, and no logger.
        if bracketed && thread.is_none() && logger.is_none() {
            draft.gunicorn();
        }
    }
    for group in groups.into_iter().flatten() {
        parts::group(group, draft);
    }
}
