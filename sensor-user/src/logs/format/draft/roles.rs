//! Fields by what their names say they are. A field that does not read as its role is a field like
//! any other.

use std::borrow::Cow;

use super::super::key::{Id, Name, Role, role};
use super::super::level::Scale;
use super::super::{class, ids, level, time};
use super::slot::Slot;
use super::{Dialect, Draft, Raw, is_place, is_source};
use crate::context::is_evidence;
use crate::model::{Attribute, Severity, Text, Value};

impl<'a> Draft<'a> {
    /// A field of the record, of any name.
    pub(in super::super) fn field(&mut self, key: &str, value: Raw<'a>) {
        self.field_as(role(key), key, value);
    }

    /// A field whose name means something in its logger alone.
    pub(in super::super) fn field_as(&mut self, name: Name, key: &str, value: Raw<'a>) {
        let left = match name.role {
            Role::Other => Some(value),
            Role::Time => self.time_field(key, name, value),
            Role::InstantSeconds => self.instant_field(value, true),
            Role::InstantNanos => self.instant_field(value, false),
            Role::Level => self.level_field(key, name, value),
            Role::LevelNumber(scale) => self.level_number_field(scale, value),
            Role::Message => self.message_field(key, name, value),
            Role::Event => self.event_field(key, name, value),
            Role::Caller => match value {
                Raw::Str(text) if self.caller.is_none() && !text.is_empty() => {
                    self.caller = Some(self.cut(text));
                    None
                }
                other => Some(other),
            },
            Role::File => self.file_field(key, value),
            Role::Line => self.line_field(key, value),
            Role::Logger => {
                if let Raw::Str(name) = &value {
                    self.class = self.class.or_else(|| class::logger(name));
                }
                Some(value)
            }
            Role::Id(id) => self.id_field(id, value),
        };
        if let Some(value) = left {
            self.other(key, value);
        }
    }

    /// A field whose role another one fills better.
    fn left<V>(&mut self, slot: Option<Slot<'a, V>>) {
        if let Some(slot) = slot {
            self.other(&slot.key, slot.raw);
        }
    }

    fn time_field(&mut self, key: &str, name: Name, value: Raw<'a>) -> Option<Raw<'a>> {
        let Some(time) = value.text().and_then(|text| time::text(text, self.clock)) else {
            return Some(value);
        };
        let left = Slot::new(key, name, value, time).offer(&mut self.time);
        self.left(left);
        None
    }

    fn instant_field(&mut self, value: Raw<'a>, seconds: bool) -> Option<Raw<'a>> {
        let number = value.text().and_then(|text| text.parse().ok());
        let place = if seconds { &mut self.instant.0 } else { &mut self.instant.1 };
        if number.is_none() || place.is_some() {
            return Some(value);
        }
        // Whole, it is the time, and no field.
        *place = number;
        None
    }

    fn level_field(&mut self, key: &str, name: Name, value: Raw<'a>) -> Option<Raw<'a>> {
        let word = value.text().unwrap_or_default().trim();
        let severity = match word {
            // Serilog's lowest; elsewhere it is between debug and info.
            "Verbose" if name.plain == "@l" => Some(Severity::Trace),
            _ => level::field(word),
        };
        if let Some(severity) = severity {
            let left = Slot::new(key, name, value, severity).offer(&mut self.level);
            self.left(left);
        } else if let Ok(number) = word.parse() {
            // A number in quotes is what a number is.
            let left = Slot::new(key, name, value, number).offer(&mut self.number);
            self.left(left);
        } else {
            self.odd_level = true;
            return Some(value);
        }
        None
    }

    fn level_number_field(&mut self, scale: Scale, value: Raw<'a>) -> Option<Raw<'a>> {
        let number = value.text().and_then(|text| text.parse().ok());
        let severity = number.and_then(|number| level::number(scale, number));
        self.level_number = self.level_number.or(severity);
        Some(value)
    }

    fn message_field(&mut self, key: &str, name: Name, value: Raw<'a>) -> Option<Raw<'a>> {
        match name.plain {
            "shortmessage" => self.dialect = Dialect::Gelf,
            "@m" | "@mt" => self.dialect = Dialect::Compact,
            _ => {}
        }
        let Raw::Str(text) = value else { return Some(value) };
        let empty = text.is_empty();
        let slot = Slot::new(key, name, Raw::Bool(false), text);
        let slot = if empty { slot.last() } else { slot };
        if let Some(left) = slot.offer(&mut self.message) {
            self.other(&left.key, Raw::Str(left.value));
        }
        None
    }

    fn event_field(&mut self, key: &str, name: Name, value: Raw<'a>) -> Option<Raw<'a>> {
        match value {
            Raw::Str(text) if !text.is_empty() => {
                let left = Slot::new(key, name, Raw::Str(text), ()).offer(&mut self.event);
                self.left(left);
                None
            }
            other => Some(other),
        }
    }

    fn file_field(&mut self, key: &str, value: Raw<'a>) -> Option<Raw<'a>> {
        match value {
            // logrus: both in one.
            Raw::Str(text) if self.caller.is_none() && is_place(&text) => {
                self.caller = Some(self.cut(text));
                None
            }
            Raw::Str(text) if self.file.is_none() && is_source(&text) => {
                let key = Cow::Owned(key.to_owned());
                self.file = Some(Attribute { key, value: Value::Str(self.cut(text)) });
                None
            }
            other => Some(other),
        }
    }

    fn line_field(&mut self, key: &str, value: Raw<'a>) -> Option<Raw<'a>> {
        let line = value.text().and_then(|text| text.parse::<u32>().ok());
        match line {
            Some(line) if self.line.is_none() => {
                let key = Cow::Owned(key.to_owned());
                let value = if matches!(value, Raw::Str(_)) {
                    Value::Str(Text::from(line.to_string()))
                } else {
                    Value::Int(line.into())
                };
                self.line = Some(Attribute { key, value });
                None
            }
            _ => Some(value),
        }
    }

    /// A field whose name is that of an identifier. It is left as a field where it is none, or another than the
    /// record's.
    fn id_field(&mut self, id: Id, value: Raw<'a>) -> Option<Raw<'a>> {
        let taken = match &value {
            // A number of JSON has no hexadecimal digits.
            Raw::Number(_) if matches!(id, Id::Trace | Id::Span | Id::Context) => false,
            value => value.text().is_some_and(|text| self.id(id, text)),
        };
        if taken { None } else { Some(value) }
    }

    /// An identifier, from a field or out of a text. True where the record has it now, so that no
    /// field is needed.
    pub(in super::super) fn id(&mut self, id: Id, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        match id {
            Id::Trace => match ids::trace(text) {
                Some((trace, span)) => {
                    let same = self.ids.trace.is_none_or(|before| before == trace);
                    if same {
                        self.ids.trace = Some(trace);
                        self.ids.span = self.ids.span.or(span);
                    }
                    same
                }
                None => {
                    // Other systems' identifiers: the request may have come with it.
                    self.request(text);
                    false
                }
            },
            Id::Span => match ids::span(text) {
                Some(span) if self.ids.span.is_none_or(|before| before == span) => {
                    self.ids.span = Some(span);
                    true
                }
                _ => false,
            },
            Id::Context => {
                // The span in it is the caller's: fields of their own say more. A client may have
                // sent anything.
                if let Some((trace, span)) = ids::trace(text)
                    && self.context.trace.is_none()
                {
                    self.context = super::Ids { trace: Some(trace), span };
                }
                false
            }
            Id::Transaction => {
                match ids::span(text) {
                    Some(span) => self.transaction = self.transaction.or(Some(span)),
                    None => self.request(text),
                }
                false
            }
            Id::DatadogTrace => {
                self.datadog.trace = self.datadog.trace.or_else(|| ids::datadog_trace(text));
                false
            }
            Id::DatadogSpan => {
                self.datadog.span = self.datadog.span.or_else(|| ids::datadog_span(text));
                false
            }
            Id::Request => {
                self.request(text);
                false
            }
        }
    }

    fn request(&mut self, value: &str) {
        if self.requests.len() < self.limits.requests
            && is_evidence(value.as_bytes())
            && !self.requests.iter().any(|before| before.as_str() == value)
        {
            self.requests.push(Text::copy(value));
        }
    }
}
