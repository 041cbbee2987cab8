//! A record while it is read: fields go in as a format has them, and come out where the schema has them.

mod roles;
mod slot;

use std::borrow::Cow;

use super::key::{Name, Role};
use super::level::{self, Scale};
use super::time::Clock;
use super::{Format, Limits, Parsed, class};
use crate::model::{
    Attribute, Breach, Class, FOREIGN, LogIds, OWN, Severity, SpanId, Text, TraceId, Value,
};
use slot::Slot;

/// Attribute: fields that the record has too many of, by how many.
pub const CUT_FIELDS: &str = "sensor.log.cut_fields";

/// Attribute: values that are too long and end early, by how many.
pub const CUT_VALUES: &str = "sensor.log.cut_values";

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    Str(Cow<'a, str>),
    /// A number of JSON, as it is written.
    Number(&'a str),
    /// Looks like a number in a format without types, and may be digits of an identifier as well.
    Bare(&'a str),
    Bool(bool),
    Strs(Vec<String>),
    /// Whatever else there is in JSON, as it is written.
    Json(&'a str),
}

impl<'a> Raw<'a> {
    /// What a format without types says: whole numbers, others and truth values are told by their looks.
    pub(super) fn bare(text: &'a str) -> Self {
        match text.as_bytes() {
            [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => Self::Bare(text),
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            _ => Self::Str(Cow::Borrowed(text)),
        }
    }

    /// The text, of text and numbers.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Number(text) | Self::Bare(text) => Some(text),
            Self::Bool(_) | Self::Strs(_) | Self::Json(_) => None,
        }
    }
}

/// Identifiers of one family.
#[derive(Clone, Copy, Debug, Default)]
struct Ids {
    trace: Option<TraceId>,
    span: Option<SpanId>,
}

/// A logger whose numbers and names mean something else than those of most: by what is beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    #[default]
    Common,
    /// GELF: `level` is a severity of syslog.
    Gelf,
    /// funcr: `level` is a verbosity.
    Funcr,
    /// Serilog's compact format: without a level, it is information
    /// (<https://clef-json.org>, "Absence implies informational").
    Compact,
}

/// What is known of the record so far.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    limits: Limits,
    clock: Clock,
    dialect: Dialect,
    time: Option<Slot<'a, u64>>,
    instant: (Option<u64>, Option<u64>),
    level: Option<Slot<'a, Severity>>,
    /// A level that is a number: whose numbers they are is known at the end.
    number: Option<Slot<'a, i64>>,
    /// A field named for it has something else.
    odd_level: bool,
    /// A number that says so, if there is no word.
    level_number: Option<Severity>,
    message: Option<Slot<'a, Cow<'a, str>>>,
    event: Option<Slot<'a, ()>>,
    caller: Option<Text>,
    file: Option<Attribute>,
    line: Option<Attribute>,
    ids: Ids,
    datadog: Ids,
    /// Of a whole context.
    context: Ids,
    transaction: Option<SpanId>,
    requests: Vec<Text>,
    class: Option<Class>,
    gunicorn: bool,
    attributes: Vec<Attribute>,
    /// A bit for each key that is there, so that few keys are looked for.
    keys: u64,
    cut_fields: i64,
    cut_values: i64,
}

/// The name of what a text format has in the place of a role: nothing is better.
const IN_PLACE: Name = Name { role: Role::Other, rank: 0, plain: "" };

impl<'a> Draft<'a> {
    pub(super) fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            dialect: Dialect::Common,
            time: None,
            instant: (None, None),
            level: None,
            number: None,
            odd_level: false,
            level_number: None,
            message: None,
            event: None,
            caller: None,
            file: None,
            line: None,
            ids: Ids::default(),
            datadog: Ids::default(),
            context: Ids::default(),
            transaction: None,
            requests: Vec::new(),
            class: None,
            gunicorn: false,
            attributes: Vec::new(),
            keys: 0,
            cut_fields: 0,
            cut_values: 0,
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// The record's own time, as far as it is known; as it is written where it is not.
    pub(super) fn time(&mut self, time: Option<u64>, written: &'a str) {
        match time {
            Some(time) if self.time.is_none() => {
                self.time = Some(Slot::new("", IN_PLACE, Raw::Str(written.into()), time));
            }
            _ => self.other("time", Raw::Str(written.into())),
        }
    }

    pub(super) fn level(&mut self, severity: Severity, written: &'a str) {
        self.level = Some(Slot::new("", IN_PLACE, Raw::Str(written.into()), severity));
    }

    /// A level that is not written as a word.
    pub(super) fn silent_level(&mut self, severity: Severity) {
        if self.level.is_none() {
            self.level(severity, "");
        }
    }

    pub(super) fn message(&mut self, message: impl Into<Cow<'a, str>>) {
        let slot = Slot::new("", IN_PLACE, Raw::Bool(false), message.into());
        if let Some(before) = self.message.replace(slot).filter(|it| !it.key.is_empty()) {
            self.other(&before.key, Raw::Str(before.value));
        }
    }

    /// What is the message so far.
    pub(super) fn so_far(&self) -> &str {
        self.message.as_ref().map_or("", |it| &it.value)
    }

    pub(super) fn caller(&mut self, caller: &str) {
        self.caller = Some(Text::copy(caller));
    }

    /// Who says it: for the class, and a field of that name.
    pub(super) fn logger(&mut self, name: &'a str) {
        self.class = self.class.or_else(|| class::logger(name));
        self.other("logger", Raw::Str(name.into()));
    }

    pub(super) fn class(&mut self, class: Class) {
        self.class = Some(class);
    }

    /// It is gunicorn's.
    pub(super) fn gunicorn(&mut self) {
        self.class = Some(Class::Middleware);
        self.gunicorn = true;
    }

    pub(super) fn is_gunicorn(&self) -> bool {
        self.gunicorn
    }

    /// Identifiers that have no field's name. The first are those of the record.
    pub(super) fn ids(&mut self, trace: TraceId, span: Option<SpanId>) {
        if self.ids.trace.is_none() {
            self.ids = Ids { trace: Some(trace), span: span.or(self.ids.span) };
        }
    }

    /// A field that is none of the schema's.
    pub(super) fn other(&mut self, key: &str, value: Raw<'a>) {
        let value = match value {
            Raw::Str(text) if text.is_empty() => return,
            Raw::Number("") | Raw::Bare("") => return,
            Raw::Str(text) => Value::Str(self.cut(text)),
            Raw::Bool(value) => Value::Bool(value),
            Raw::Number(text) | Raw::Bare(text) => self.number(text),
            Raw::Strs(texts) => Value::Strs(texts.into()),
            Raw::Json(text) => Value::Str(self.cut(text.into())),
        };
        self.attribute(key, value);
    }

    fn attribute(&mut self, key: &str, value: Value) {
        if key.starts_with(OWN) {
            // Nothing of a line passes for what the sensor says of it.
            return self.named(&format!("{FOREIGN}{key}"), value);
        }
        self.named(key, value);
    }

    fn named(&mut self, key: &str, value: Value) {
        let mut end = key.len().min(self.limits.key_bytes);
        while !key.is_char_boundary(end) {
            end -= 1;
        }
        self.cut_values += i64::from(end < key.len());
        let key = key.get(..end).unwrap_or(key);
        if key.is_empty() {
            return;
        }
        let bit = bit(key);
        if self.keys & bit != 0
            && let Some(before) = self.attributes.iter_mut().find(|before| before.key == key)
        {
            // Most say the same twice; what they do not is kept beside it.
            if before.value != value {
                let mut both = texts(&before.value);
                both.append(&mut texts(&value));
                if both.len() <= self.limits.items {
                    before.value = Value::Strs(both.into());
                } else {
                    self.cut_values += 1;
                }
            }
            return;
        }
        if self.attributes.len() >= self.limits.fields {
            self.cut_fields += 1;
            return;
        }
        self.keys |= bit;
        if self.attributes.capacity() == 0 {
            self.attributes.reserve(8);
        }
        self.attributes.push(Attribute { key: Cow::Owned(key.to_owned()), value });
    }

    /// Digits alone are a whole number; others are a number if they say the same as one, and else text.
    fn number(&mut self, text: &str) -> Value {
        if let Ok(whole) = text.parse::<i64>()
            // `007` and `-0` are not what their number is.
            && (!text.trim_start_matches('-').starts_with('0') || whole == 0 && text == "0")
        {
            return Value::Int(whole);
        }
        let decimal =
            text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
                && text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
                && text.len() <= 24;
        match text.parse::<f64>() {
            Ok(number) if decimal && number.is_finite() => Value::Double(number),
            _ => Value::Str(self.cut(text.into())),
        }
    }

    fn cut(&mut self, text: Cow<'_, str>) -> Text {
        if text.len() <= self.limits.value_bytes {
            return Text::from(text);
        }
        self.cut_values += 1;
        let mut end = self.limits.value_bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Text::copy(text.get(..end).unwrap_or_default())
    }

    /// The record. `line` is the whole of it, for one that breaks the schema.
    pub(super) fn finish(mut self, format: Format, breach: Option<Breach>, line: &str) -> Parsed {
        let time = self.time.take().map(|it| it.value).or_else(|| self.instant());
        let (severity, severity_text) = self.final_level();
        match (self.file.take(), self.line.take()) {
            (Some(file), Some(line)) if self.caller.is_none() => {
                let line = texts(&line.value).pop().unwrap_or_default();
                let file = texts(&file.value).pop().unwrap_or_default();
                self.caller = Some(Text::from(format!("{file}:{line}")));
            }
            (file, line) => {
                for Attribute { key, value } in [file, line].into_iter().flatten() {
                    self.attribute(&key, value);
                }
            }
        }
        let event = self.event.take().map(|it| self.cut(text_of(it.raw)));
        let nameless = self.message.is_none() && event.is_none() && severity_text.is_none();
        if nameless && format == Format::Json {
            let has = |names: &[&str]| self.attributes.iter().any(|it| names.contains(&&*it.key));
            self.class = self.class.or_else(|| class::access(has));
        }
        let (message, event) = match (breach, self.message.take()) {
            (Some(_), _) => (Text::copy(line), event),
            (None, Some(message)) => (Text::from(message.value), event),
            // structlog: the event is the message.
            (None, None) => (event.unwrap_or_default(), None),
        };
        let class = self.class.or_else(|| class::message(&message)).unwrap_or_default();
        for (key, count) in [(CUT_FIELDS, self.cut_fields), (CUT_VALUES, self.cut_values)] {
            if count > 0 {
                self.attributes.push(Attribute::new(key, count));
            }
        }
        let ids = self.final_ids();
        Parsed {
            format,
            time_unix_ns: time,
            severity,
            severity_text,
            message,
            caller: self.caller,
            event,
            ids: LogIds { trace_id: ids.trace, span_id: ids.span, requests: self.requests },
            class,
            attributes: self.attributes,
            breach,
        }
    }

    /// The level, and the word for it: a word, a number by its scale, a number beside it.
    fn final_level(&mut self) -> (Option<Severity>, Option<Text>) {
        if let Some(number) = self.number.take() {
            let scale = match self.dialect {
                Dialect::Gelf => Scale::Syslog,
                // Verbosities stay below 10, and numbers of pino begin there.
                Dialect::Funcr if number.value < 10 => Scale::Verbosity,
                Dialect::Common | Dialect::Compact | Dialect::Funcr => Scale::Pino,
            };
            match level::number(scale, number.value) {
                Some(severity) if self.level.is_none() => {
                    self.level = Some(number.with(severity));
                }
                _ => {
                    self.odd_level = true;
                    self.other(&number.key, number.raw);
                }
            }
        }
        match self.level.take() {
            Some(it) => {
                let text = text_of(it.raw);
                let text = (!text.is_empty()).then(|| self.cut(text.trim().into()));
                (Some(it.value), text)
            }
            None if self.dialect == Dialect::Compact && !self.odd_level => {
                (Some(Severity::Info), None)
            }
            None => (self.level_number, None),
        }
    }

    /// The record's own identifiers, else Datadog's (which have the lower half of a trace alone),
    /// else those of a context that came with the request.
    fn final_ids(&self) -> Ids {
        let Self { ids, datadog, context, .. } = self;
        let span_of_context = context.span.filter(|_| context.trace == ids.trace);
        if ids.trace.is_some() {
            let span = ids.span.or(span_of_context).or(self.transaction);
            return Ids { span, ..*ids };
        }
        match (datadog.trace, context.trace) {
            (Some(trace), _) => Ids { trace: Some(trace), span: datadog.span.or(ids.span) },
            (None, Some(trace)) => Ids { trace: Some(trace), span: ids.span.or(context.span) },
            (None, None) => *ids,
        }
    }

    fn instant(&mut self) -> Option<u64> {
        let (Some(seconds), Some(ns @ 0..1_000_000_000)) = self.instant else { return None };
        seconds.checked_mul(1_000_000_000)?.checked_add(ns)
    }
}

fn text_of(raw: Raw<'_>) -> Cow<'_, str> {
    match raw {
        Raw::Str(text) => text,
        Raw::Number(text) | Raw::Bare(text) => Cow::Borrowed(text),
        Raw::Bool(_) | Raw::Strs(_) | Raw::Json(_) => Cow::Borrowed(""),
    }
}

/// A value as texts, each as it would be written.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Str(text) => vec![text.as_str().to_owned()],
        Value::Int(number) => vec![number.to_string()],
        Value::Double(number) => vec![number.to_string()],
        Value::Bool(value) => vec![value.to_string()],
        Value::Strs(texts) => texts.to_vec(),
    }
}

fn bit(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let (first, last) = (bytes.first().copied(), bytes.last().copied());
    let mixed =
        bytes.len() * 7 + usize::from(first.unwrap_or(0)) * 5 + usize::from(last.unwrap_or(0)) * 11;
    1 << (mixed % 64)
}

/// `main.go:34`: a source file and a line.
pub(super) fn is_place(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(file, line)| {
        is_source(file)
            && !line.is_empty()
            && line.len() <= 7
            && line.bytes().all(|it| it.is_ascii_digit())
    })
}

/// A path that ends as files of source do.
fn is_source(path: &str) -> bool {
    const ENDS: [&str; 22] = [
        "go", "py", "rs", "js", "mjs", "cjs", "ts", "tsx", "java", "kt", "scala", "rb", "php", "c",
        "cc", "cpp", "h", "cs", "ex", "exs", "erl", "swift",
    ];
    path.rsplit_once('.').is_some_and(|(name, end)| {
        !name.is_empty() && ENDS.contains(&end) && !path.contains(char::is_whitespace)
    })
}
