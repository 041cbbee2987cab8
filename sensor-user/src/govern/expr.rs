//! Expressions over what records and spans say, as people write them into rules.
//!
//! ```text
//! expression  = term *( "or" term )
//! term        = factor *( "and" factor )
//! factor      = "not" factor / "(" expression ")" / comparison
//! comparison  = field ( "=" / "!=" / "~" / "!~" / "<" / "<=" / ">" / ">=" ) value
//!             / "has" field
//! ```
//!
//! `==` is `=`. `~` searches for a regular expression. `<` and the like compare numbers, and levels by their order. A value ends at
//! white space or at a parenthesis that it did not open; in quotes it may hold anything (`\"` and `\\` for those two).
//!
//! Fields are those of the schema: `service`, `host`, `level`, `message`, `class`, `caller`, `event`, `source`
//! (`stdout`, `stderr`, `file`; `exchange` for spans), `file`, `trace_id`, `span_id`; of spans also `kind`, `status` and `name`. Any other is an
//! attribute, or else an attribute of the process.
//!
//! What is absent is unknown, and so is every comparison with it: `level != error` does not hold for a line
//! without a level, and neither does `not level = error`. A rule applies where its expression certainly holds
//! (the logic of Kleene). `has level` always tells.

mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;

use super::pattern::Pattern;
use crate::model::{
    Attribute, Class, LogRecord, LogSource, Resource, Severity, Span, SpanKind, Status, Value,
};

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr(Node);

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at column {column}{}", instead(.found))]
pub struct ExprError {
    /// What would have been accepted there.
    pub expected: String,
    /// In characters, from 1 on.
    pub column: usize,
    /// What is there; none at the end.
    pub found: Option<String>,
}

fn instead(found: &Option<String>) -> String {
    found.as_ref().map_or_else(|| ", where it ends".to_owned(), |text| format!(", not {text:?}"))
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// One at least holds. More than one.
    Any(Vec<Node>),
    /// All hold. More than one.
    All(Vec<Node>),
    Not(Box<Node>),
    Has(Field),
    Compare(Field, Test),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Service,
    Host,
    Level,
    Message,
    Class,
    Caller,
    Event,
    Source,
    File,
    TraceId,
    SpanId,
    Other(Box<str>),
}

impl Field {
    fn named(name: &str) -> Self {
        match name {
            "service" => Self::Service,
            "host" => Self::Host,
            "level" => Self::Level,
            "message" => Self::Message,
            "class" => Self::Class,
            "caller" => Self::Caller,
            "event" => Self::Event,
            "source" => Self::Source,
            "file" => Self::File,
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            other => Self::Other(other.into()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// The same text, or the same number.
    Is(Box<str>, Option<f64>),
    Matches(Pattern),
    Number(Order, f64),
    Level(Order, Severity),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// What a field says.
#[derive(Debug)]
enum Said<'a> {
    Text(Cow<'a, str>),
    Level(Severity),
    Value(&'a Value),
}

impl<'a> Said<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn shown(value: &impl ToString) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }
}

/// What an expression is about.
trait Subject {
    fn said(&self, field: &Field) -> Option<Said<'_>>;
}

impl Subject for LogRecord {
    fn said(&self, field: &Field) -> Option<Said<'_>> {
        Some(match field {
            Field::Service => Said::text(self.resource.service_name()?),
            Field::Host => Said::text(self.resource.text("host.name")?),
            Field::Level => Said::Level(self.severity?.level()),
            Field::Message => Said::text(&self.message),
            Field::Class => Said::text(self.class.name()),
            Field::Caller => Said::text(self.caller.as_ref()?),
            Field::Event => Said::text(self.event.as_ref()?),
            Field::Source => Said::text(match &self.source {
                LogSource::Stdout => "stdout",
                LogSource::Stderr => "stderr",
                LogSource::File(_) => "file",
                LogSource::Exchange => "exchange",
            }),
            Field::File => match &self.source {
                LogSource::File(path) => Said::text(path),
                LogSource::Stdout | LogSource::Stderr | LogSource::Exchange => return None,
            },
            Field::TraceId => Said::shown(&self.correlation?.trace_id),
            Field::SpanId => Said::shown(&self.correlation?.span_id?),
            Field::Other(name) => attribute(&self.attributes, &self.resource, name)?,
        })
    }
}

impl Subject for Span {
    fn said(&self, field: &Field) -> Option<Said<'_>> {
        Some(match field {
            Field::Service => Said::text(self.resource.service_name()?),
            Field::Host => Said::text(self.resource.text("host.name")?),
            Field::Source => Said::text("exchange"),
            Field::TraceId => Said::shown(&self.trace_id),
            Field::SpanId => Said::shown(&self.span_id),
            Field::Level
            | Field::Message
            | Field::Class
            | Field::Caller
            | Field::Event
            | Field::File => {
                return None;
            }
            Field::Other(name) => match &**name {
                "name" => Said::text(&self.name),
                "kind" => Said::text(match self.kind {
                    SpanKind::Server => "server",
                    SpanKind::Client => "client",
                }),
                "status" => Said::text(match self.status {
                    Status::Unset => "unset",
                    Status::Error => "error",
                }),
                name => attribute(&self.attributes, &self.resource, name)?,
            },
        })
    }
}

fn attribute<'a>(own: &'a [Attribute], resource: &'a Resource, name: &str) -> Option<Said<'a>> {
    let named = |all: &'a [Attribute]| all.iter().find(|it| it.key == name);
    named(own).or_else(|| named(&resource.attributes)).map(|it| Said::Value(&it.value))
}

impl Expr {
    /// Reads one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        parse::parse(text).map(Self)
    }

    /// It certainly holds for a record.
    pub fn holds_for_record(&self, record: &LogRecord) -> bool {
        self.0.eval(record) == Some(true)
    }

    /// It certainly holds for a span.
    pub fn holds_for_span(&self, span: &Span) -> bool {
        self.0.eval(span) == Some(true)
    }
}

impl Node {
    /// None where it is not known. As deep as the parser lets it be.
    fn eval(&self, subject: &dyn Subject) -> Option<bool> {
        match self {
            Self::Not(inner) => inner.eval(subject).map(|holds| !holds),
            Self::Any(terms) => decided(terms, subject, true),
            Self::All(terms) => decided(terms, subject, false),
            Self::Has(field) => Some(subject.said(field).is_some()),
            Self::Compare(field, test) => subject.said(field).and_then(|said| test.eval(&said)),
        }
    }
}

/// One term that says `by` decides; else one that is not known leaves all unknown.
fn decided(terms: &[Node], subject: &dyn Subject, by: bool) -> Option<bool> {
    let mut known = true;
    for term in terms {
        match term.eval(subject) {
            Some(holds) if holds == by => return Some(by),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!by)
}

impl Test {
    /// None where what was said cannot be compared so.
    fn eval(&self, said: &Said<'_>) -> Option<bool> {
        match (self, said) {
            (Self::Level(order, level), Said::Level(said)) => Some(order.holds(said.cmp(level))),
            (Self::Level(..), _) => None,
            (Self::Number(order, number), said) => {
                said.number()?.partial_cmp(number).map(|ordering| order.holds(ordering))
            }
            (Self::Is(text, number), Said::Value(value)) => Some(match value {
                Value::Str(said) => said.as_str() == &**text,
                Value::Bool(said) => (if *said { "true" } else { "false" }) == &**text,
                Value::Strs(said) => said.iter().any(|said| **said == **text),
                Value::Int(_) | Value::Double(_) => number.is_some() && said.number() == *number,
            }),
            (Self::Is(text, _), Said::Text(said)) => Some(**said == **text),
            (Self::Is(text, _), Said::Level(said)) => Some(said.name() == &**text),
            (Self::Matches(pattern), Said::Value(value)) => Some(match value {
                Value::Str(said) => pattern.is_match(said),
                Value::Bool(said) => pattern.is_match(if *said { "true" } else { "false" }),
                Value::Strs(said) => said.iter().any(|said| pattern.is_match(said)),
                Value::Int(said) => pattern.is_match(&said.to_string()),
                Value::Double(said) => pattern.is_match(&said.to_string()),
            }),
            (Self::Matches(pattern), Said::Text(said)) => Some(pattern.is_match(said)),
            (Self::Matches(pattern), Said::Level(said)) => Some(pattern.is_match(said.name())),
        }
    }
}

impl Said<'_> {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Level(_) => None,
            Self::Value(Value::Str(text)) => text.trim().parse().ok(),
            #[expect(
                clippy::cast_precision_loss,
                reason = "compared with what was written as a double"
            )]
            Self::Value(Value::Int(number)) => Some(*number as f64),
            Self::Value(Value::Double(number)) => Some(*number),
            Self::Value(Value::Bool(_) | Value::Strs(_)) => None,
        }
    }
}

/// A class by its name.
pub fn class(name: &str) -> Option<Class> {
    [Class::Business, Class::Middleware, Class::Infrastructure]
        .into_iter()
        .find(|class| class.name() == name)
}
