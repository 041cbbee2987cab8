//! What a line looks like, by itself. All of these look at a line without its end, and at no more than its
//! first few bytes where they can.

use memchr::memchr2;
use memchr::memmem;

/// Levels that loggers write in capitals at the beginning of a line.
const LEVELS: &[&str] = &[
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "ERR", "FATAL", "CRITICAL",
    "CRIT", "ALERT", "EMERG", "PANIC", "SEVERE", "CONFIG", "FINE", "FINER", "FINEST", "TRC", "DBG",
    "INF", "WRN", "FTL", "PNC", "DPANIC",
];

/// Levels that are followed by a colon, or in brackets, in small letters.
const SMALL_LEVELS: &[&str] = &[
    "trace", "debug", "info", "notice", "warn", "warning", "error", "err", "fatal", "critical",
    "crit", "alert", "emerg", "fail", "dbug", "trce",
];

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Keys that loggers begin a line of logfmt with.
const KEYS: &[&[u8]] = &[
    b"time",
    b"ts",
    b"t",
    b"timestamp",
    b"level",
    b"lvl",
    b"severity",
    b"msg",
    b"at",
    b"logger",
    b"caller",
];

/// Bytes at the beginning of a line within which its time and level are.
const PREFIX: usize = 160;

/// It begins with a space or a tab.
pub(super) fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Whether a logger began a record with this: by a time, a level, or the syntax of its format. The line may
/// be cut off anywhere.
pub(super) fn begins_record(line: &[u8]) -> bool {
    let line = unmarked(without_colour(line));
    match line.first() {
        Some(b'{') => matches!(line.get(1), Some(b'"' | b'\'')) || is_object(line),
        Some(b'0'..=b'9') => is_time(line) || is_access(line) || is_threaded_level(line),
        Some(b'[' | b'(') => {
            is_time(&line[1..])
                || is_bracketed_level(&line[1..])
                || is_threaded_level(line)
                || line.starts_with(b"[Nest] ")
        }
        Some(b'<') => is_priority(line),
        // A level that is padded on the left.
        Some(b' ') => {
            let padded = without_colour(line.trim_ascii_start());
            line.len() - padded.len() < 16
                && padded.first().is_some_and(u8::is_ascii_uppercase)
                && is_level(padded)
        }
        Some(b'A'..=b'Z') => {
            is_level(line) || is_klog(line) || is_dated(line) || is_ruby(line) || is_php(line)
        }
        Some(b'a'..=b'z') => is_level(line) || is_logfmt(line) || is_access(line),
        Some(b':') => is_access(line),
        _ => false,
    }
}

/// A record that has no further lines, whatever follows: its format has the ends of lines escaped.
pub(super) fn is_alone(line: &[u8]) -> bool {
    let line = unmarked(without_colour(line));
    match line.first() {
        Some(b'{') => is_object(line),
        Some(b'a'..=b'z') => is_logfmt(line) || is_access(line),
        Some(b'0'..=b'9' | b':') => is_access(line),
        _ => false,
    }
}

/// Without what some put before JSON: a byte order mark, the separator of RFC 7464, the cookie of
/// CEE.
fn unmarked(line: &[u8]) -> &[u8] {
    match line {
        [0xef, 0xbb, 0xbf, rest @ ..] | [0x1e, rest @ ..] => rest,
        [b'@', b'c', b'e', b'e', b':', rest @ ..] => rest.trim_ascii_start(),
        _ => line,
    }
}

/// Without the colours at its beginning (ECMA-48 control sequences).
fn without_colour(mut line: &[u8]) -> &[u8] {
    while let [0x1b, b'[', rest @ ..] = line {
        let Some(end) = rest.iter().take(16).position(|byte| (0x40..=0x7e).contains(byte)) else {
            break;
        };
        line = &rest[end + 1..];
    }
    line
}

/// Digits, and as many of them.
fn digits(text: &[u8], from: usize, count: usize) -> bool {
    text.get(from..from + count).is_some_and(|it| it.iter().all(u8::is_ascii_digit))
}

fn is_month(text: &[u8]) -> bool {
    MONTHS.iter().any(|month| text.starts_with(month))
}

/// A time of day, anywhere in there.
fn has_clock(text: &[u8]) -> bool {
    let text = &text[..text.len().min(40)];
    text.windows(5).any(|it| digits(it, 0, 2) && it[2] == b':' && digits(it, 3, 2))
}

/// A date or a time of day in digits, or seconds since 1970.
fn is_time(text: &[u8]) -> bool {
    let at = |index: usize| text.get(index).copied().unwrap_or(0);
    if !digits(text, 0, 2) {
        // As Zap writes seconds by default: 1.7637e+09. As Apache writes days.
        let float = at(0).is_ascii_digit() && at(1) == b'.';
        return float && memmem::find(&text[..text.len().min(24)], b"e+09").is_some()
            || is_dated(text);
    }
    if digits(text, 0, 4) {
        let run = text.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        return match at(4) {
            sep @ (b'-' | b'/' | b'.') => digits(text, 5, 2) && at(7) == sep && digits(text, 8, 2),
            _ => match run {
                8 => matches!(at(8), b'T' | b' ' | b'-') && digits(text, 9, 2),
                10..=19 => matches!(at(run), b' ' | b'\t' | b'.' | b',' | b':' | b'|' | b']'),
                _ => false,
            },
        };
    }
    match at(2) {
        b':' => digits(text, 3, 2) && at(5) == b':' && digits(text, 6, 2),
        sep @ (b'/' | b'.' | b'-') if digits(text, 3, 2) => at(5) == sep && digits(text, 6, 2),
        sep @ (b'/' | b'-' | b' ') => {
            is_month(text.get(3..).unwrap_or_default()) && at(6) == sep && digits(text, 7, 4)
        }
        _ => false,
    }
}

/// `Nov 21 13:25:04`, `Nov 21, 2026 1:25:04 PM`, `Fri Nov 21 13:25:04`.
fn is_dated(text: &[u8]) -> bool {
    let Some(name) = text.get(..3) else { return false };
    if DAYS.contains(&name) {
        let rest = text[3..].strip_prefix(b",").unwrap_or(&text[3..]);
        return rest.first() == Some(&b' ') && has_clock(rest);
    }
    is_month(text)
        && text.get(3) == Some(&b' ')
        && text.get(4..6).is_some_and(|day| day.iter().any(u8::is_ascii_digit))
        // The hour may have one digit.
        && (has_clock(text) || memmem::find(&text[..text.len().min(24)], b":").is_some())
}

/// The letters that it begins with, and what is behind them.
fn word(text: &[u8]) -> (&str, &[u8]) {
    let end = text.iter().take(12).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, rest) = text.split_at(end);
    (std::str::from_utf8(word).unwrap_or_default(), rest)
}

fn is_level(text: &[u8]) -> bool {
    let (word, rest) = word(text);
    match rest.first() {
        Some(b':') => LEVELS.contains(&word) || SMALL_LEVELS.contains(&word),
        Some(b' ' | b'\t' | b']' | b'[' | b'|' | b'-' | b'(' | 0x1b) => LEVELS.contains(&word),
        _ => false,
    }
}

fn is_bracketed_level(text: &[u8]) -> bool {
    let (word, rest) = word(without_colour(text));
    let rest = without_colour(rest);
    matches!(rest.first(), Some(b']' | b' ' | b')'))
        && (LEVELS.contains(&word) || SMALL_LEVELS.contains(&word))
}

/// `[main] WARN org.shop.Orders`, perhaps behind the milliseconds since the start: a thread, then a
/// level.
fn is_threaded_level(text: &[u8]) -> bool {
    let number = text.iter().take(12).take_while(|byte| byte.is_ascii_digit()).count();
    let rest = match number {
        0 => text,
        _ => text[number..].strip_prefix(b" ").unwrap_or_default(),
    };
    let Some(rest) = rest.strip_prefix(b"[") else { return false };
    let Some(end) = rest.iter().take(64).position(|&byte| byte == b']') else { return false };
    let (word, rest) = match rest[end + 1..].strip_prefix(b" ") {
        Some(rest) => word(rest),
        None => return false,
    };
    rest.starts_with(b" ") && LEVELS.contains(&word)
}

/// `E, [2026-11-30T15:31:55.601084 #28991] ERROR`, of Ruby's Logger.
fn is_ruby(text: &[u8]) -> bool {
    text[1..].strip_prefix(b", [").is_some_and(is_time)
}

/// `PHP Fatal error:  `.
fn is_php(text: &[u8]) -> bool {
    text.starts_with(b"PHP ") && memmem::find(&text[..text.len().min(32)], b":  ").is_some()
}

/// `/srv/a.rb:3:in 'pay': card declined (RuntimeError)`, and a frame of it.
pub(super) fn is_ruby_frame(line: &[u8]) -> bool {
    let Some(at) = memmem::find(&line[..line.len().min(512)], b".rb:") else { return false };
    let rest = &line[at + 4..];
    let number = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    number > 0 && rest[number..].starts_with(b":in ") && !line[..at].contains(&b' ')
}

/// A line of `=`, as Go's race detector puts around what it reports.
pub(super) fn is_race_mark(line: &[u8]) -> bool {
    line.len() == 18 && line.iter().all(|&byte| byte == b'=')
}

/// `__CURSOR=…`, `PRIORITY=6`.
pub(super) fn is_journal_field(line: &[u8]) -> bool {
    let end = line.iter().take(65).position(|&byte| byte == b'=');
    end.is_some_and(|end| {
        end > 0
            && line[..end]
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
    })
}

/// `<30>`, as syslog has it.
fn is_priority(text: &[u8]) -> bool {
    let end = text.iter().take(5).position(|&byte| byte == b'>');
    end.is_some_and(|end| end > 1 && text[1..end].iter().all(u8::is_ascii_digit))
}

/// `I1121 13:25:04.123456`.
fn is_klog(text: &[u8]) -> bool {
    matches!(text[0], b'I' | b'W' | b'E' | b'F') && digits(text, 1, 4) && has_clock(text)
}

fn is_logfmt(text: &[u8]) -> bool {
    let end = text.iter().take(12).position(|&byte| byte == b'=');
    end.is_some_and(|end| KEYS.contains(&&text[..end]))
}

/// `127.0.0.1 - - [`, as web servers have it.
fn is_access(text: &[u8]) -> bool {
    let Some(end) = text.iter().take(46).position(|&byte| byte == b' ') else { return false };
    let address = &text[..end];
    address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
        && memchr2(b'.', b':', address).is_some()
        && text[end..].starts_with(b" - ")
}

/// A logger's record that is not about anything having gone wrong.
pub(super) fn is_calm(line: &[u8]) -> bool {
    let line = &line[..line.len().min(PREFIX)];
    let mut calm = false;
    for word in line.split(|byte| !byte.is_ascii_alphabetic()) {
        match word {
            b"TRACE" | b"DEBUG" | b"INFO" | b"NOTICE" | b"trace" | b"debug" | b"info"
            | b"notice" => {
                calm = true;
            }
            b"WARN" | b"WARNING" | b"ERROR" | b"FATAL" | b"CRITICAL" | b"warn" | b"warning"
            | b"error" | b"fatal" | b"critical" => return false,
            _ => {}
        }
    }
    calm
}

/// It announces a stack: `http: panic serving 127.0.0.1:1: boom`, `recovered:`.
pub(super) fn announces_stack(line: &[u8]) -> bool {
    [&b"panic"[..], b"recover", b"stack", b"goroutine"]
        .iter()
        .any(|word| memmem::find(line, word).is_some())
        || line.ends_with(b":")
}

/// `    at com.example.Shop.pay(Shop.java:7)`, `\t... 3 more`: a frame of Java, of Node, of .NET.
pub(super) fn is_frame(line: &[u8]) -> bool {
    if !is_indented(line) {
        return false;
    }
    let line = line.trim_ascii_start();
    line.starts_with(b"at ")
        || line.starts_with(b"... ")
        || line == b"..."
        || line.starts_with(b"--- End of ")
}

/// `java.lang.IllegalStateException: why`, `TypeError: why`, `Exception in thread "main" …`.
pub(super) fn is_exception(line: &[u8]) -> bool {
    if line.starts_with(b"Exception in thread \"") || line.starts_with(b"Unhandled exception. ") {
        return true;
    }
    let line = line.strip_prefix(b"Uncaught ").unwrap_or(line);
    let end = line
        .iter()
        .take(PREFIX)
        .position(|byte| {
            !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'/'))
        })
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if !(rest.is_empty() || rest.starts_with(b": ") || rest == b":" || rest.starts_with(b" [")) {
        return false;
    }
    let class = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    class.first().is_some_and(u8::is_ascii_uppercase)
        && ["Exception", "Error", "Throwable", "Failure", "Rejection"]
            .iter()
            .any(|kind| class.ends_with(kind.as_bytes()))
}

/// `/srv/shop.js:12`: where Node begins to tell of what nobody caught.
pub(super) fn is_node_place(line: &[u8]) -> bool {
    let known = [&b"/"[..], b"file://", b"node:", b"[eval]", b"evalmachine."];
    if !known.iter().any(|start| line.starts_with(start)) {
        return false;
    }
    let number = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    number > 0 && line[..line.len() - number].ends_with(b":")
}

/// Nothing but `^` under a place in the line above.
pub(super) fn is_caret(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && line.iter().all(|&byte| byte == b'^')
}

/// Nothing but closing brackets: `}`, `])`, `},`.
pub(super) fn is_closer(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'}' | b']' | b')'))
        && line.iter().all(|byte| matches!(byte, b'}' | b']' | b')' | b',' | b';' | b' '))
}

/// `goroutine 7 [running]:`.
pub(super) fn is_goroutine(line: &[u8]) -> bool {
    line.strip_prefix(b"goroutine ").is_some_and(|rest| {
        rest.first().is_some_and(u8::is_ascii_digit) && memmem::find(rest, b" [").is_some()
    })
}

/// A function that was called, as Go's traces have it: `main.(*Shop).pay(0xc000012345, {0x1, 0x2})`.
pub(super) fn is_go_call(line: &[u8]) -> bool {
    line.ends_with(b")")
        && line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && memmem::find(line, b"(").is_some_and(|at| !line[..at].contains(&b' '))
}

/// The name of a function with its package, as Zap's stacks have it: `main.(*Shop).pay`.
pub(super) fn is_go_function(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_alphabetic)
        && line.contains(&b'.')
        && line.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'.' | b'/' | b'_' | b'-' | b'(' | b'*' | b')' | b'[' | b']' | b'~'
                )
        })
}

/// `rax    0x1`: a register, as Go shows them after a signal.
pub(super) fn is_register(line: &[u8]) -> bool {
    let end = line.iter().take(7).position(|&byte| byte == b' ').unwrap_or(0);
    end > 1
        && line[..end].iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && line[end..].trim_ascii_start().starts_with(b"0x")
}

/// The first of the two lines of a record of `java.util.logging`: `Nov 21, 2026 1:25:04 PM com.example.Shop pay`.
pub(super) fn is_jul_head(line: &[u8]) -> bool {
    is_dated(line)
        && line[..line.len().min(14)].contains(&b',')
        && [&b" AM "[..], b" PM ", "\u{202f}AM ".as_bytes(), "\u{202f}PM ".as_bytes()]
            .iter()
            .any(|half| memmem::find(&line[..line.len().min(40)], half).is_some())
}

/// The second: `SEVERE: message`.
pub(super) fn is_jul_message(line: &[u8]) -> bool {
    let (word, rest) = word(line);
    rest.starts_with(b": ")
        && ["SEVERE", "WARNING", "INFO", "CONFIG", "FINE", "FINER", "FINEST"].contains(&word)
}

/// A line that is a JSON object as a whole.
pub(super) fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    if line.len() < 2 || line[0] != b'{' || line[line.len() - 1] != b'}' {
        return false;
    }
    let mut brackets = Brackets::default();
    brackets.pass(line) == Some(line.len())
}

/// How deep in brackets a text in JSON is, or one like it, such as Node shows objects in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Brackets {
    depth: u32,
    /// By what was last, a value may follow, or has to.
    pub(super) value: bool,
}

impl Brackets {
    /// Passes over a line of it. If the brackets are closed there: how far that is.
    pub(super) fn pass(&mut self, line: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = line.get(at) {
            at += 1;
            match byte {
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.value = true;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.value = false;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                b',' | b':' => self.value = true,
                b'"' | b'\'' | b'`' => {
                    at = string_end(line, at, byte);
                    self.value = false;
                }
                byte if byte.is_ascii_whitespace() => {}
                _ => self.value = false,
            }
        }
        None
    }
}

/// Behind the end of a string that has begun before `at`. No string goes on in the next line.
fn string_end(line: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(found) = memchr2(quote, b'\\', line.get(at..).unwrap_or_default()) {
        at += found;
        if line[at] == quote {
            return at + 1;
        }
        at += 2;
    }
    line.len()
}
