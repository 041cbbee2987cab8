//! Records in JSON (RFC 8259), whatever the logger: all differ in names alone, and those are in `key`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::draft::{Draft, Raw};

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
        while let Some(()) = map.next_key_seed(Key(path))? {
            // Looked at but once if it is plain, and once for each depth if it is not; the depth has a bound.
            let value: &'a RawValue = map.next_value()?;
            field(value.get(), draft, path, depth);
            path.truncate(base);
        }
        Ok(())
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
fn field<'a>(json: &'a str, draft: &mut Draft<'a>, path: &mut String, depth: usize) {
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
            Some(texts) => Raw::Strs(texts),
            None => {
                spans(json, draft, path);
                Raw::Json(json)
            }
        },
        [b'{', ..] => Raw::Json(json),
        _ => Raw::Number(json),
    };
    draft.field(path, value);
}

/// What is between the quotes.
fn text(json: &str) -> Cow<'_, str> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    // An escape may be half of a pair that is not there: then it stays an escape.
    serde_json::from_str(json).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// A list, if it has nothing but texts, and not too many.
fn texts(json: &str, most: usize) -> Option<Vec<String>> {
    let texts: Vec<String> = serde_json::from_str(json).ok()?;
    (texts.len() <= most).then_some(texts)
}

/// tracing-subscriber: `spans` has what the record is within, outermost first. Their identifiers are the record's.
fn spans<'a>(json: &'a str, draft: &mut Draft<'a>, path: &str) {
    if path != "spans" {
        return;
    }
    let each: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    for span in each.into_iter().rev().take(draft.limits().depth) {
        let ids = IdsOf { draft };
        let _whole = Deserializer::from_str(span.get()).deserialize_map(ids);
    }
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
            if super::key::identifies(&name) {
                let value: &'a RawValue = map.next_value()?;
                if value.get().starts_with('"') {
                    let role = super::key::role(&name);
                    let _other = self.draft.id_field(role, Raw::Str(text(value.get())));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            name.clear();
        }
        Ok(())
    }
}

/// Whether it is one whole object.
pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
