//! Records in JSON (RFC 8259), whatever the logger: most differ in names alone, and those are in
//! `key`. Few need a look at the order of their fields ([`Order`]), or into lists (OTLP's, .NET's
//! scopes, tracing's spans).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::draft::{Dialect, Draft, Raw};
use super::key::{self, Name, Role};
use super::{ansi, pairs};

/// Reads an object into `draft`. What came before the error is in it.
///
/// # Errors
/// It is not one whole object, or breaks the grammar.
pub(super) fn read<'a>(text: &'a str, draft: &mut Draft<'a>) -> Result<(), serde_json::Error> {
    let mut json = Deserializer::from_str(text);
    let mut path = String::new();
    Object { draft, path: &mut path, depth: 0 }.deserialize(&mut json)?;
    json.end()
}

/// An object, whose fields' names go behind `path`.
struct Object<'d, 'a> {
    draft: &'d mut Draft<'a>,
    path: &'d mut String,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { draft, path, depth } = self;
        let base = path.len();
        let mut order = Order::default();
        while let Some(()) = map.next_key_seed(Key(path))? {
            let name = if base == 0 { order.next(path, draft) } else { None };
            // Looked at but once if it is plain, and once for each depth if it is not; the depth has a bound.
            let value: &'a RawValue = map.next_value()?;
            field(value.get(), draft, path, depth, name);
            path.truncate(base);
        }
        Ok(())
    }
}

/// Names that mean something by their place alone, since no others are as short or as common.
///
/// ```text
/// {"t":{"$date":"…"},"s":"I",…                MongoDB: a severity comes right after the time
/// {"logger":"x","level":0,"msg":"…"           funcr: the logger comes first, the verbosity right before the message
/// ```
#[derive(Debug, Default)]
struct Order {
    first: Mark,
    before: Mark,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    /// There was none.
    #[default]
    Start,
    Logger,
    Level,
    MongoTime,
    Other,
}

impl Order {
    /// The next key. Gives its role, where that is only due to its place.
    fn next(&mut self, key: &str, draft: &mut Draft<'_>) -> Option<Name> {
        let mark = match key {
            "logger" => Mark::Logger,
            "level" => Mark::Level,
            "t" => Mark::MongoTime,
            _ => Mark::Other,
        };
        if self.before == Mark::Start {
            self.first = mark;
        }
        let before = std::mem::replace(&mut self.before, mark);
        match (before, key) {
            (Mark::MongoTime, "s") if self.first == Mark::MongoTime => {
                Some(Name { role: Role::Level, rank: 1, plain: "s" })
            }
            (Mark::Level, "msg") if self.first == Mark::Logger => {
                draft.dialect(Dialect::Funcr);
                None
            }
            _ => None,
        }
    }
}

/// A name, put behind the path.
struct Key<'p>(&'p mut String);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}

/// A value that is known to be one, by its first byte.
fn field<'a>(
    json: &'a str,
    draft: &mut Draft<'a>,
    path: &mut String,
    depth: usize,
    name: Option<Name>,
) {
    let value = match json.as_bytes() {
        b"null" => return,
        b"true" => Raw::Bool(true),
        b"false" => Raw::Bool(false),
        [b'"', ..] => Raw::Str(text(json)),
        [b'{', ..] if depth + 1 < draft.limits().depth => {
            let inner = Object { draft, path, depth: depth + 1 };
            // It is whole, or it would not be here: nothing is left to go wrong but names that are no text.
            let _whole = inner.deserialize(&mut Deserializer::from_str(json));
            return;
        }
        [b'[', ..] => match texts(json, draft.limits().items) {
            Some(texts) if texts.is_empty() => return,
            Some(texts) => {
                if path == "Scopes" {
                    texts.iter().for_each(|text| pairs::within(text, draft));
                }
                Raw::Strs(texts)
            }
            None => match list(json, draft, path, depth) {
                true => return,
                false => Raw::Json(json),
            },
        },
        [b'{', ..] => Raw::Json(json),
        _ => Raw::Number(json),
    };
    match name {
        Some(name) => draft.field_as(name, path, value),
        None => draft.field(path, value),
    }
}

/// The text between the quotes, without colours: winston's `colorize` puts some into the level.
fn text(json: &str) -> Cow<'_, str> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    // An escape may be half of a pair that is not there: then it stays an escape.
    let Ok(text) = serde_json::from_str::<String>(json) else { return Cow::Borrowed(inner) };
    match ansi::strip(&text) {
        Some(Cow::Owned(plain)) => Cow::Owned(plain),
        _ => Cow::Owned(text),
    }
}

/// A list, if it has nothing but texts, and not too many.
fn texts(json: &str, most: usize) -> Option<Vec<String>> {
    let texts: Vec<String> = serde_json::from_str(json).ok()?;
    (texts.len() <= most).then_some(texts)
}

/// A list that means more than its values; true where nothing is left of it.
///
/// - tracing-subscriber's `spans`, outermost first, and .NET's `Scopes`: their identifiers are the
///   record's;
/// - OTLP's attributes: `[{"key": "k", "value": {"stringValue": "v"}}]`;
/// - OTLP's lists around a record, where each has one element: the record is the line.
fn list<'a>(json: &'a str, draft: &mut Draft<'a>, path: &mut String, depth: usize) -> bool {
    match path.as_str() {
        "spans" | "Scopes" => {
            let each: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            for span in each.into_iter().rev().take(draft.limits().depth) {
                let _whole = Deserializer::from_str(span.get()).deserialize_map(IdsOf { draft });
            }
            false
        }
        "attributes" | "resource.attributes" => attributes(json, draft, path).is_some(),
        "resourceLogs" | "scopeLogs" | "logRecords" if depth + 1 < draft.limits().depth => {
            let each: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            let [one] = *each.as_slice() else { return false };
            path.clear();
            let inner = Object { draft, path, depth: depth + 1 };
            inner.deserialize(&mut Deserializer::from_str(one.get())).is_ok()
        }
        _ => false,
    }
}

/// OTLP's attributes in JSON; none where it is another list.
fn attributes<'a>(json: &'a str, draft: &mut Draft<'a>, path: &mut String) -> Option<()> {
    type Fields<'a> = BTreeMap<String, &'a RawValue>;
    let each: Vec<Fields<'a>> = serde_json::from_str(json).ok()?;
    let mut pairs = Vec::with_capacity(each.len());
    for fields in &each {
        let (Some(key), Some(value)) = (fields.get("key"), fields.get("value")) else {
            return None;
        };
        let key: String = serde_json::from_str(key.get()).ok()?;
        let value: Fields<'a> = serde_json::from_str(value.get()).ok()?;
        let (kind, value) = value.into_iter().next()?;
        pairs.push((
            key,
            match (kind.as_str(), value.get()) {
                ("stringValue", json) if json.starts_with('"') => Raw::Str(text(json)),
                ("boolValue", "true") => Raw::Bool(true),
                ("boolValue", "false") => Raw::Bool(false),
                // In quotes, as 64 bits are in protobuf's JSON, or without.
                ("intValue" | "doubleValue", json) => Raw::Number(json.trim_matches('"')),
                (_, json) => Raw::Json(json),
            },
        ));
    }
    let base = path.len();
    for (key, value) in pairs {
        path.push('.');
        path.push_str(&key);
        draft.field(path, value);
        path.truncate(base);
    }
    Some(())
}

/// An object of which only identifiers are looked at.
struct IdsOf<'d, 'a> {
    draft: &'d mut Draft<'a>,
}

impl<'a> Visitor<'a> for IdsOf<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let mut name = String::new();
        while let Some(()) = map.next_key_seed(Key(&mut name))? {
            if let Some(id) = key::identifies(&name) {
                let value: &'a RawValue = map.next_value()?;
                if value.get().starts_with('"') {
                    let _taken = self.draft.id(id, &text(value.get()));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            name.clear();
        }
        Ok(())
    }
}

/// A text, and the objects (or empty lists) behind it: nothing but these, up to two.
pub(super) fn behind(text: &str) -> (&str, [Option<&str>; 2]) {
    let starts = memchr::memchr2_iter(b'{', b'[', text.as_bytes()).take(8);
    for at in starts.filter(|at| *at > 0) {
        let Some((before, rest)) = text.split_at_checked(at) else { continue };
        let Some(before) = before.strip_suffix(' ') else { continue };
        let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
        let found = [values.next(), values.next(), values.next()];
        let [Some(Ok(first)), second @ (None | Some(Ok(_))), None] = found else { continue };
        let second = second.and_then(Result::ok);
        let each = [Some(first), second].map(|it| it.map(RawValue::get));
        if each.iter().flatten().all(|it| it.starts_with('{') || *it == "[]") {
            return (before, each.map(|it| it.filter(|it| *it != "[]")));
        }
    }
    (text, [None; 2])
}

/// Whether it is one whole object.
pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
