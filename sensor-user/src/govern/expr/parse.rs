//! The parser of expressions.

use super::{ExprError, Field, Node, Order, Test, class};
use crate::govern::pattern::Pattern;
use crate::model::Severity;

/// How deep expressions may be nested.
const DEPTH_MAX: usize = 64;

/// Longest expression, in bytes.
const LENGTH_MAX: usize = 16 << 10;

const LEVELS: [(&str, Severity); 6] = [
    ("trace", Severity::Debug),
    ("debug", Severity::Debug),
    ("info", Severity::Info),
    ("warn", Severity::Warn),
    ("error", Severity::Error),
    ("fatal", Severity::Fatal),
];

/// In the order in which they have to be looked for.
const OPERATORS: [&str; 9] = ["==", "!=", "!~", "<=", ">=", "=", "~", "<", ">"];

const COMPARISON: &str = "a field, `not`, `has` or `(`";

pub(super) fn parse(text: &str) -> Result<Node, ExprError> {
    let mut parser = Parser { text, at: 0 };
    if text.len() > LENGTH_MAX {
        return Err(ExprError {
            expected: format!("at most {LENGTH_MAX} bytes"),
            column: 1,
            found: Some(format!("{} bytes", text.len())),
        });
    }
    let node = parser.expression(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.error("`and`, `or` or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The rest, without the white space before it.
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn peek(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let taken = self.rest().starts_with(text);
        self.at += if taken { text.len() } else { 0 };
        taken
    }

    /// A word of the language, in any case; the name of a field may only begin with it.
    fn keyword(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let is = rest.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
        let next = rest.get(word.len()..).and_then(|rest| rest.chars().next());
        if !is || next.is_some_and(is_name) {
            return false;
        }
        // A field of that name, compared.
        let after = rest.get(word.len()..).unwrap_or_default().trim_start();
        if OPERATORS.iter().any(|operator| after.starts_with(operator)) {
            return false;
        }
        self.at += word.len();
        true
    }

    fn error(&mut self, expected: impl Into<String>) -> ExprError {
        let rest = self.rest();
        let word = rest.split_whitespace().next().map(|word| word.chars().take(24).collect());
        self.error_at(self.at, expected, word)
    }

    fn error_at(&self, at: usize, expected: impl Into<String>, found: Option<String>) -> ExprError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ExprError { expected: expected.into(), column: before.chars().count() + 1, found }
    }

    fn expression(&mut self, depth: usize) -> Result<Node, ExprError> {
        let first = self.term(depth)?;
        let mut terms = vec![first];
        while self.keyword("or") {
            terms.push(self.term(depth)?);
        }
        Ok(one_or(terms, Node::Any))
    }

    fn term(&mut self, depth: usize) -> Result<Node, ExprError> {
        let first = self.factor(depth)?;
        let mut factors = vec![first];
        while self.keyword("and") {
            factors.push(self.factor(depth)?);
        }
        Ok(one_or(factors, Node::All))
    }

    fn factor(&mut self, depth: usize) -> Result<Node, ExprError> {
        if depth >= DEPTH_MAX {
            return Err(self.error(format!("nothing nested deeper than {DEPTH_MAX}")));
        }
        if self.keyword("not") {
            return Ok(Node::Not(Box::new(self.factor(depth + 1)?)));
        }
        if self.take("(") {
            let inner = self.expression(depth + 1)?;
            if !self.take(")") {
                return Err(self.error("`and`, `or` or `)`"));
            }
            return Ok(inner);
        }
        if self.keyword("has") {
            return Ok(Node::Has(self.field("the name of a field")?));
        }
        let field = self.field(COMPARISON)?;
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.take(operator)) else {
            return Err(self.error("=, !=, ~, !~, <, <=, > or >="));
        };
        let value = self.value()?;
        self.comparison(field, operator, &value)
    }

    fn field(&mut self, expected: &str) -> Result<Field, ExprError> {
        if self.peek() == Some('"') {
            let value = self.value()?;
            return Ok(Field::named(&value.text));
        }
        let rest = self.rest();
        let length = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        let is_word = ["and", "or"].iter().any(|word| name.eq_ignore_ascii_case(word));
        let after = rest.get(length..).unwrap_or_default().trim_start();
        if name.is_empty() || is_word && !OPERATORS.iter().any(|it| after.starts_with(it)) {
            return Err(self.error(expected));
        }
        self.at += length;
        Ok(Field::named(name))
    }

    fn value(&mut self) -> Result<Quoted, ExprError> {
        let rest = self.rest();
        let at = self.at;
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let length = bare(rest);
                if length == 0 {
                    return Err(self.error("a value, in quotes if it is empty or has spaces"));
                }
                self.at += length;
                Ok(Quoted { text: rest.get(..length).unwrap_or_default().to_owned(), at })
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Quoted, ExprError> {
        let at = self.at;
        let mut text = String::new();
        let mut characters = self.text.get(at..).unwrap_or_default().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '\\' => {
                    let next = characters.next().map(|(_, character)| character);
                    // Others are a regular expression's.
                    if !next.is_some_and(|next| next == quote || next == '\\') {
                        text.push('\\');
                    }
                    text.extend(next);
                }
                character if character == quote => {
                    self.at = at + offset + character.len_utf8();
                    return Ok(Quoted { text, at });
                }
                character => text.push(character),
            }
        }
        self.at = self.text.len();
        Err(self.error(format!("a closing {quote}")))
    }

    fn comparison(&self, field: Field, operator: &str, value: &Quoted) -> Result<Node, ExprError> {
        let Quoted { text, at } = value;
        let wrong = |expected: String| self.error_at(*at, expected, Some(text.clone()));
        let level = LEVELS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        let order = match operator {
            "<" => Some(Order::Less),
            "<=" => Some(Order::LessOrEqual),
            ">" => Some(Order::Greater),
            ">=" => Some(Order::GreaterOrEqual),
            _ => None,
        };
        let test = match (order, &field, operator) {
            (Some(order), Field::Level, _) => {
                let (_, level) = level.ok_or_else(|| {
                    wrong("a level (debug, info, warn, error or fatal)".to_owned())
                })?;
                Test::Level(order, *level)
            }
            (Some(order), ..) => {
                let number = text.parse().ok().filter(|number: &f64| !number.is_nan());
                Test::Number(order, number.ok_or_else(|| wrong("a number".to_owned()))?)
            }
            (None, _, "~" | "!~") => {
                let pattern = Pattern::new(text);
                Test::Matches(
                    pattern.map_err(|why| wrong(format!("a regular expression ({why})")))?,
                )
            }
            (None, field, _) => {
                let text = match field {
                    Field::Level => {
                        level.map(|(_, level)| level.name().to_owned()).ok_or_else(|| {
                            wrong("a level (debug, info, warn, error or fatal)".to_owned())
                        })?
                    }
                    Field::Class if class(text).is_none() => {
                        return Err(wrong("business, middleware or infrastructure".to_owned()));
                    }
                    Field::Source
                        if !["stdout", "stderr", "file", "exchange"].contains(&text.as_str()) =>
                    {
                        return Err(wrong("stdout, stderr, file or exchange".to_owned()));
                    }
                    Field::TraceId | Field::SpanId => text.to_ascii_lowercase(),
                    _ => text.clone(),
                };
                let number = text.parse().ok();
                Test::Is(text.into(), number)
            }
        };
        let compare = Node::Compare(field, test);
        let not = operator.starts_with('!');
        Ok(if not { Node::Not(Box::new(compare)) } else { compare })
    }
}

/// A value, and where it begins.
struct Quoted {
    text: String,
    at: usize,
}

fn one_or(mut nodes: Vec<Node>, several: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(only)) => only,
        (_, last) => several(nodes.into_iter().chain(last).collect()),
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '@' | '/' | '$')
}

/// How long a value without quotes is.
fn bare(text: &str) -> usize {
    let mut open = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' if open == 0 => return at,
            ')' => open -= 1,
            character if character.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}
