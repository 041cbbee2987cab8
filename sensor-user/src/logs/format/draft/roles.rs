//! Fields by what their names say they are.

use std::borrow::Cow;

use super::super::key::{Role, role};
use super::super::time;
use super::super::{class, ids, level};
use super::{Draft, Raw, is_place, is_source};
use crate::context::is_evidence;
use crate::model::{Attribute, Text, Value};

impl<'a> Draft<'a> {
    /// A field of the record, of any name.
    pub(in super::super) fn field(&mut self, key: &str, value: Raw<'a>) {
        let left = match role(key) {
            Role::Other => Some(value),
            Role::Time { only } => self.time_field(value, only),
            Role::InstantSeconds => self.instant_field(value, true),
            Role::InstantNanos => self.instant_field(value, false),
            Role::Level => self.level_field(value),
            Role::LevelNumber(scale) => {
                let number = value.text().and_then(|text| text.parse().ok());
                self.level_number = number.and_then(|number| level::number(scale, number));
                Some(value)
            }
            Role::Message(rank) => self.message_field(rank, value),
            Role::Event => self.event_field(value),
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
            role => self.id_field(role, value),
        };
        if let Some(value) = left {
            self.other(key, value);
        }
    }

    fn time_field(&mut self, value: Raw<'a>, only: bool) -> Option<Raw<'a>> {
        let Some(text) = value.text().filter(|_| self.time.is_none()) else { return Some(value) };
        if text.is_empty() {
            return None;
        }
        self.time = time::text(text, self.clock);
        if self.time.is_some() {
            return None;
        }
        self.bad |= only && !time::is_time(text);
        Some(value)
    }

    fn instant_field(&mut self, value: Raw<'a>, seconds: bool) -> Option<Raw<'a>> {
        let number = value.text().and_then(|text| text.parse().ok());
        let place = if seconds { &mut self.instant.0 } else { &mut self.instant.1 };
        *place = number;
        // Whole, it is the time, and no field.
        if number.is_some() { None } else { Some(value) }
    }

    fn level_field(&mut self, value: Raw<'a>) -> Option<Raw<'a>> {
        if self.severity_text.is_some() {
            return Some(value);
        }
        match &value {
            Raw::Str(text) if !text.is_empty() => {
                let word = text.trim();
                self.severity = level::field(word);
                // A number in quotes is what a number is.
                self.bare_level = word.parse().ok();
            }
            Raw::Number(text) => self.bare_level = text.parse().ok(),
            _ => return Some(value),
        }
        self.severity_text = value.text().map(|text| self.cut(text.trim().into()));
        None
    }

    fn message_field(&mut self, rank: u8, value: Raw<'a>) -> Option<Raw<'a>> {
        self.gelf |= rank == 1;
        match value {
            Raw::Str(text) if self.message.as_ref().is_none_or(|(other, _)| rank < *other) => {
                self.message = Some((rank, text));
                None
            }
            other => Some(other),
        }
    }

    fn event_field(&mut self, value: Raw<'a>) -> Option<Raw<'a>> {
        match value {
            Raw::Str(text) if self.event.is_none() && !text.is_empty() => {
                self.event = Some(self.cut(text));
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
    pub(in super::super) fn id_field(&mut self, role: Role, value: Raw<'a>) -> Option<Raw<'a>> {
        let text = match value.text() {
            Some(text) if !text.is_empty() => text,
            _ => return Some(value),
        };
        let taken = match role {
            Role::Trace => match ids::trace(text) {
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
            Role::Traceparent => match ids::trace(text).filter(|_| text.len() == 55) {
                Some((trace, span)) => {
                    // The whole has the span that is the caller's: fields of their own say more.
                    self.ids.trace = self.ids.trace.or(Some(trace));
                    if self.ids.trace == Some(trace) {
                        self.ids.span = self.ids.span.or(span);
                    }
                    false
                }
                None => {
                    // W3C alone has that name. All zero is its way to say that there is none.
                    self.bad |= !text.bytes().all(|byte| matches!(byte, b'0' | b'1' | b'-'));
                    false
                }
            },
            Role::Span => match ids::span(text) {
                Some(span) if self.ids.span.is_none_or(|before| before == span) => {
                    self.ids.span = Some(span);
                    true
                }
                _ => false,
            },
            Role::DatadogTrace => {
                self.datadog.trace = self.datadog.trace.or_else(|| ids::datadog_trace(text));
                false
            }
            Role::DatadogSpan => {
                self.datadog.span = self.datadog.span.or_else(|| ids::datadog_span(text));
                false
            }
            Role::Request => {
                self.request(text);
                false
            }
            _ => false,
        };
        if taken { None } else { Some(value) }
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
