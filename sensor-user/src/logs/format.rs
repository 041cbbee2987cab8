//! What a line says, by the format that it has.
//!
//! Loggers differ in how they write a record, and all write the same few things: [`draft`] takes fields from
//! whatever format has them, and [`key`] says which of them are the schema's. A stream may have several formats: a
//! logger's, plain prints, a panic. Each line is told by how it begins; what the stream had before decides only
//! where that leaves a doubt.
//!
//! What a format does not say is absent, and what a line says in another way than its format has it stays in the
//! message, as it came.

mod access;
mod ansi;
mod class;
mod dotnet;
mod draft;
mod go;
mod header;
mod ids;
mod java;
mod json;
mod key;
mod level;
mod pairs;
mod stack;
mod syslog;
mod time;

use std::borrow::Cow;

use crate::model::{Attribute, Breach, Class, LogIds, Severity, Text};

use draft::Draft;
pub use draft::{CUT_FIELDS, CUT_VALUES};
use time::Clock;

/// What lines of a stream look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// None that is known.
    #[default]
    Plain,
    /// An object of JSON, of any logger.
    Json,
    /// Nothing but `key=value`.
    Logfmt,
    /// Zap's console encoder.
    ZapConsole,
    /// klog and glog.
    Klog,
    /// logrus for a terminal.
    Logrus,
    /// zerolog's ConsoleWriter.
    Zerolog,
    /// Go's standard log, or any other time and nothing but a message.
    GoLog,
    /// gin's access log.
    Gin,
    /// A time, a level, and what patterns of Log4j, Logback and Python's logging have besides.
    Pattern,
    /// Spring Boot's pattern.
    SpringBoot,
    /// `LEVEL:logger:message`.
    PythonBasic,
    /// uvicorn's own.
    Uvicorn,
    /// `level: message`, perhaps after a time.
    Level,
    /// structlog's console renderer.
    Structlog,
    /// tracing-subscriber's full and compact formats.
    Tracing,
    /// env_logger.
    EnvLogger,
    /// An access log in the common or the combined format.
    Access,
    /// Envoy's access log.
    Envoy,
    /// HAProxy's HTTP log.
    Haproxy,
    /// nginx's error log.
    NginxError,
    /// Apache's error log.
    ApacheError,
    /// PostgreSQL's.
    Postgres,
    /// MySQL's and MariaDB's.
    Mysql,
    /// Redis's and Valkey's.
    Redis,
    /// .NET's console.
    DotNet,
    /// `java.util.logging`.
    JavaLogging,
    /// Ruby's Logger.
    Ruby,
    /// PHP's own.
    Php,
    /// Monolog's lines.
    Monolog,
    /// Nest's console.
    Nest,
    /// funcr: pairs with quoted names.
    Funcr,
    /// syslog's header, or a priority alone.
    Syslog,
    /// journald's export format.
    Journal,
    /// A stack trace alone.
    Trace,
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Its format.
    pub format: Format,
    /// Its time, in nanoseconds since the Unix epoch.
    pub time_unix_ns: Option<u64>,
    /// How severe it is.
    pub severity: Option<Severity>,
    /// Its own word for that.
    pub severity_text: Option<Text>,
    /// The message.
    pub message: Text,
    /// Where in the program.
    pub caller: Option<Text>,
    /// The event's name.
    pub event: Option<Text>,
    /// Whose it is.
    pub ids: LogIds,
    /// By rule.
    pub class: Class,
    /// All other fields, each key once, in the order in which they are written.
    pub attributes: Vec<Attribute>,
    /// Why it does not fit.
    pub breach: Option<Breach>,
}

/// The bounds of a record. What is beyond is left out, and counted in the record itself ([`CUT_FIELDS`],
/// [`CUT_VALUES`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fields.
    pub fields: usize,
    /// Objects within each other: what is deeper stays JSON.
    pub depth: usize,
    /// Of a field's name, with what it is within.
    pub key_bytes: usize,
    /// Of a field's value; the message is as long as the record.
    pub value_bytes: usize,
    /// Texts of a list: a longer one stays JSON.
    pub items: usize,
    /// Identifiers of requests.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields: 128,
            depth: 8,
            key_bytes: 256,
            value_bytes: 32 << 10,
            items: 64,
            requests: 8,
        }
    }
}

/// Reads the records of one stream: knows the format of what came before.
#[derive(Debug, Default)]
pub struct Formats {
    limits: Limits,
    /// Seconds that the host's clocks are ahead of UTC.
    host_offset: i32,
    /// Of the last record that had one: a line that has none changes nothing.
    last: Format,
    /// There has been JSON, so that what begins like it is meant to be.
    json: bool,
    /// A web framework writes here: then so are the access lines its.
    framework: bool,
}

impl Formats {
    /// With other bounds, on a host whose clocks are so many seconds ahead of UTC: times without a zone are taken
    /// for UTC or for that, whichever is about when they were written.
    pub fn new(limits: Limits, host_offset: i32) -> Self {
        Self { limits, host_offset, ..Self::default() }
    }

    /// Reads a record. Total: whatever does not fit a format is plain text, or a breach. `observed_unix_ns` says
    /// of which year and day a time is that has none.
    pub fn read(&mut self, text: &[u8], observed_unix_ns: u64) -> Parsed {
        let clock = Clock { observed_unix_ns, host_offset: self.host_offset };
        // The lossy one alone would do, at some times the cost for what is valid.
        let came =
            str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed);
        let invalid = matches!(came, Cow::Owned(_)).then_some(Breach::InvalidUtf8);
        let plain = ansi::strip(came.strip_prefix(RECORD_SEPARATOR).unwrap_or(&came));
        let Some(plain) = plain.filter(|plain| !has_controls(plain.as_bytes())) else {
            return Draft::new(self.limits, clock).finish(
                Format::Plain,
                Some(Breach::Binary),
                &came,
            );
        };
        let record = unmarked(plain.trim_matches(['\n', '\r']));
        let mut draft = Draft::new(self.limits, clock);
        let (format, breach) = self.record(record, &mut draft);
        if format != Format::Plain && format != Format::Trace {
            self.last = format;
        }
        draft.finish(format, invalid.or(breach), came.trim_matches(['\n', '\r']))
    }

    /// Reads a record whose end is not its end. An identifier that it ends within would be another one: those
    /// are told which what is before the last word has.
    pub fn read_cut(&mut self, text: &[u8], observed_unix_ns: u64) -> Parsed {
        let mut parsed = self.read(text, observed_unix_ns);
        let word = text
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .count();
        if word > 0 && parsed.ids != LogIds::default() {
            let before = text.get(..text.len() - word).unwrap_or_default();
            parsed.ids = self.read(before, observed_unix_ns).ids;
        }
        parsed
    }

    fn record<'a>(&mut self, record: &'a str, draft: &mut Draft<'a>) -> (Format, Option<Breach>) {
        if record.trim_start().starts_with('{') {
            return self.object(record, draft);
        }
        let end = memchr::memchr(b'\n', record.as_bytes()).unwrap_or(record.len());
        let (line, rest) = record.split_at_checked(end).unwrap_or((record, ""));
        let line = line.trim_end();
        let begins = line.as_bytes().first();
        if (!rest.is_empty() || begins == Some(&b'p') || begins == Some(&b'f'))
            && stack::alone(record, draft)
        {
            return (Format::Trace, None);
        }
        if !rest.is_empty()
            && let Some(format) = block(record, line, rest, draft)
        {
            return (format, None);
        }
        if begins == Some(&b'<')
            && let Some((severity, inner)) = syslog::priority(record)
        {
            return self.prioritized(severity, inner, draft);
        }
        let format = self.line(line, draft).unwrap_or_else(|| {
            if pairs::funcr(line, draft) {
                return Format::Funcr;
            }
            draft.message(line);
            pairs::within(line, draft);
            Format::Plain
        });
        if format == Format::DotNet {
            dotnet::rest(rest, draft);
        } else {
            self.rest(rest, draft);
        }
        (format, None)
    }

    /// What is behind a priority of syslog's: its header, .NET's, or any other line. That may have
    /// a level of its own.
    fn prioritized<'a>(
        &mut self,
        severity: Severity,
        inner: &'a str,
        draft: &mut Draft<'a>,
    ) -> (Format, Option<Breach>) {
        let end = memchr::memchr(b'\n', inner.as_bytes()).unwrap_or(inner.len());
        let (line, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
        let message = syslog::header(line, draft);
        let said = message.unwrap_or(line).trim_end();
        if json::is_object(said.trim_start()) {
            let _whole = json::read(said.trim_start(), draft);
        } else if (message.is_some() || !dotnet::systemd(said, draft))
            && self.line(said, draft).is_none()
        {
            draft.message(said);
            pairs::within(said, draft);
        }
        self.rest(rest, draft);
        draft.silent_level(severity);
        (Format::Syslog, None)
    }

    /// What begins as JSON does. `{}` in a stream without JSON may be anything.
    fn object<'a>(&mut self, record: &'a str, draft: &mut Draft<'a>) -> (Format, Option<Breach>) {
        let json = record.trim();
        if json::read(json, draft).is_ok() {
            self.json = true;
            return (Format::Json, None);
        }
        // An object, and lines behind it.
        if let Some((first, rest)) = json.split_once('\n') {
            let mut other = Draft::new(draft.limits(), draft.clock());
            if json::read(first.trim_end(), &mut other).is_ok() {
                *draft = other;
                self.json = true;
                self.rest(rest, draft);
                return (Format::Json, None);
            }
        }
        let begins = json.get(1..).unwrap_or_default().trim_start().starts_with('"');
        if self.json || begins && json.contains("\":") {
            return (Format::Json, Some(Breach::Malformed));
        }
        *draft = Draft::new(draft.limits(), draft.clock());
        draft.message(record);
        pairs::within(record, draft);
        (Format::Plain, None)
    }

    /// One line that is no JSON; none where it has no format.
    fn line<'a>(&mut self, line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
        let bytes = line.as_bytes();
        let is = |read: bool, format| read.then_some(format);
        let found = match bytes {
            [b'I' | b'W' | b'E' | b'F', b'0'..=b'9', ..] => {
                is(go::klog(line, draft) || go::cockroach(line, draft), Format::Klog)
            }
            [b'[', ..] => is(go::gin(line, draft), Format::Gin)
                .or_else(|| access::error(line, draft))
                .or_else(|| is(access::envoy(line, draft), Format::Envoy))
                .or_else(|| self.access(line, draft)),
            [b'0'..=b'9', ..] if bytes.iter().take(36).any(|byte| *byte == b'\t') => {
                is(go::zap(line, draft), Format::ZapConsole)
            }
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'/', ..] => {
                access::error(line, draft)
            }
            [_, _, _, _, b'[', ..] => is(go::logrus(line, draft), Format::Logrus),
            [b'c' | b'd' | b'f' | b'i' | b't' | b'w', _, _, _, b':', ..] => {
                is(dotnet::head(line, draft), Format::DotNet)
            }
            _ => None,
        };
        let found = found.or_else(|| {
            let name = bytes
                .iter()
                .take(128)
                .take_while(|byte| !matches!(byte, b' ' | b'"' | b'='))
                .count();
            let sure = self.last == Format::Logfmt;
            (name > 0 && bytes.get(name) == Some(&b'=') && pairs::logfmt(line, sure, draft))
                .then_some(Format::Logfmt)
        });
        let found = found
            .or_else(|| header::read(line, self.last, draft))
            .or_else(|| self.access(line, draft))
            .or_else(|| header::leading(line, draft));
        self.framework |= matches!(found, Some(Format::Uvicorn)) || draft.is_gunicorn();
        found
    }

    fn access<'a>(&self, line: &'a str, draft: &mut Draft<'a>) -> Option<Format> {
        if access::haproxy(line, draft) {
            return Some(Format::Haproxy);
        }
        let found = access::access(line, draft);
        if found && self.framework {
            draft.class(Class::Middleware);
        }
        found.then_some(Format::Access)
    }

    /// The lines behind a record's first: a trace, or more of the message.
    fn rest<'a>(&self, rest: &'a str, draft: &mut Draft<'a>) {
        if !rest.trim().is_empty() && !stack::rest(rest, draft) {
            let message = [draft.so_far(), rest].concat();
            draft.message(message);
        }
    }
}

/// Formats whose records have several lines, each of which has its place.
fn block<'a>(
    record: &'a str,
    line: &'a str,
    rest: &'a str,
    draft: &mut Draft<'a>,
) -> Option<Format> {
    let is = |read: bool, format| read.then_some(format);
    match line.as_bytes() {
        [b'_', b'_', ..] => is(syslog::export(record, draft), Format::Journal),
        // klog: values of several lines.
        [b'I' | b'W' | b'E' | b'F', b'0' | b'1', ..] if line.ends_with("=<") => {
            is(go::klog(record, draft), Format::Klog)
        }
        [b'A'..=b'Z', b'a'..=b'z', b'a'..=b'z', b' ', ..] => {
            is(java::logging(line, rest, draft), Format::JavaLogging)
        }
        _ => None,
    }
}

/// Begins each text of a sequence (RFC 7464).
const RECORD_SEPARATOR: char = '\u{1e}';

/// The record without what some put before JSON: a byte order mark (RFC 8259, section 8.1), and the
/// cookie of lumberjack's CEE.
fn unmarked(record: &str) -> &str {
    let record = record.strip_prefix('\u{feff}').unwrap_or(record);
    match record.strip_prefix("@cee:").map(str::trim_start) {
        Some(object) if object.starts_with('{') => object,
        _ => record,
    }
}

/// Bytes that no text has: all below a space but tabs and line ends.
fn has_controls(text: &[u8]) -> bool {
    // Without a branch, so that it is many bytes at a time.
    text.iter().fold(false, |any, byte| {
        let allowed = (*byte == b'\t') | (*byte == b'\n') | (*byte == b'\r');
        any | (*byte < b' ') & !allowed | (*byte == 0x7f)
    })
}

#[cfg(test)]
pub(super) mod tests;
