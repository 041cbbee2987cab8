//! A record while it is read: fields go in as a format has them, and come out where the schema has them.

mod roles;

use std::borrow::Cow;

use super::level::{self, Scale};
use super::time::Clock;
use super::{Format, Limits, Parsed, class};
use crate::model::{
    Attribute, Breach, Class, FOREIGN, LogIds, OWN, Severity, SpanId, Text, TraceId, Value,
};

/// Attribute: fields that the record has too many of, by how many.
pub const CUT_FIELDS: &str = "sensor.log.cut_fields";

/// Attribute: values that are too long and end early, by how many.
pub const CUT_VALUES: &str = "sensor.log.cut_values";

/// The value of a field.
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    Str(Cow<'a, str>),
    /// As it is written.
    Number(&'a str),
    Bool(bool),
    Strs(Vec<String>),
    /// Whatever else there is in JSON, as it is written.
    Json(&'a str),
}

impl<'a> Raw<'a> {
    /// What a format without types says: whole numbers, others and truth values are told by their looks.
    pub(super) fn bare(text: &'a str) -> Self {
        match text.as_bytes() {
            [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => Self::Number(text),
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            _ => Self::Str(Cow::Borrowed(text)),
        }
    }

    /// The text, of text and numbers.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Number(text) => Some(text),
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

/// What is known of the record so far.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    limits: Limits,
    clock: Clock,
    time: Option<u64>,
    instant: (Option<u64>, Option<u64>),
    severity: Option<Severity>,
    severity_text: Option<Text>,
    /// A number that says so, if there is no word.
    level_number: Option<Severity>,
    /// A number of pino's or of GELF's.
    bare_level: Option<i64>,
    gelf: bool,
    /// With its rank.
    message: Option<(u8, Cow<'a, str>)>,
    event: Option<Text>,
    caller: Option<Text>,
    file: Option<Attribute>,
    line: Option<Attribute>,
    ids: Ids,
    datadog: Ids,
    requests: Vec<Text>,
    class: Option<Class>,
    gunicorn: bool,
    attributes: Vec<Attribute>,
    /// A bit for each key that is there, so that few keys are looked for.
    keys: u64,
    cut_fields: i64,
    cut_values: i64,
    bad: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(limits: Limits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            time: None,
            instant: (None, None),
            severity: None,
            severity_text: None,
            level_number: None,
            bare_level: None,
            gelf: false,
            message: None,
            event: None,
            caller: None,
            file: None,
            line: None,
            ids: Ids::default(),
            datadog: Ids::default(),
            requests: Vec::new(),
            class: None,
            gunicorn: false,
            attributes: Vec::new(),
            keys: 0,
            cut_fields: 0,
            cut_values: 0,
            bad: false,
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The record's own time, as far as it is known; as it is written where it is not.
    pub(super) fn time(&mut self, time: Option<u64>, written: &'a str) {
        if time.is_none() {
            self.other("time", Raw::Str(written.into()));
        }
        self.time = self.time.or(time);
    }

    pub(super) fn level(&mut self, severity: Severity, written: &str) {
        self.severity = Some(severity);
        self.severity_text = Some(Text::copy(written));
    }

    pub(super) fn message(&mut self, message: impl Into<Cow<'a, str>>) {
        self.message = Some((0, message.into()));
    }

    /// What is the message so far.
    pub(super) fn so_far(&self) -> &str {
        self.message.as_ref().map_or("", |(_, message)| message)
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
            Raw::Number("") => return,
            Raw::Str(text) => Value::Str(self.cut(text)),
            Raw::Bool(value) => Value::Bool(value),
            Raw::Number(text) => self.number(text),
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
        if self.time.is_none() {
            self.instant();
        }
        if let Some(number) = self.bare_level.filter(|_| self.severity.is_none()) {
            let scale = if self.gelf { Scale::Syslog } else { Scale::Pino };
            self.severity = level::number(scale, number);
        }
        self.severity = self.severity.or(self.level_number);
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
        let nameless =
            self.message.is_none() && self.event.is_none() && self.severity_text.is_none();
        if nameless && format == Format::Json {
            let has = |names: &[&str]| self.attributes.iter().any(|it| names.contains(&&*it.key));
            self.class = self.class.or_else(|| class::access(has));
        }
        let breach = breach.or(self.bad.then_some(Breach::BadField));
        let message = match (breach, self.message.take()) {
            (Some(_), _) => Text::copy(line),
            (None, Some((_, message))) => Text::from(message),
            // structlog: the event is the message.
            (None, None) => self.event.take().unwrap_or_default(),
        };
        let class = self.class.or_else(|| class::message(&message)).unwrap_or_default();
        for (key, count) in [(CUT_FIELDS, self.cut_fields), (CUT_VALUES, self.cut_values)] {
            if count > 0 {
                self.attributes.push(Attribute::new(key, count));
            }
        }
        // Datadog's own field has the lower half of what the others may have in whole.
        let Ids { trace, span } = if self.ids.trace.is_some() { self.ids } else { self.datadog };
        Parsed {
            format,
            time_unix_ns: self.time,
            severity: self.severity,
            severity_text: self.severity_text,
            message,
            caller: self.caller,
            event: self.event,
            ids: LogIds {
                trace_id: trace,
                span_id: span.or(self.ids.span),
                requests: self.requests,
            },
            class,
            attributes: self.attributes,
            breach,
        }
    }

    fn instant(&mut self) {
        if let (Some(seconds), Some(ns @ 0..1_000_000_000)) = self.instant {
            self.time = seconds.checked_mul(1_000_000_000).and_then(|at| at.checked_add(ns));
        }
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
