//! Text that is cheap to make and to clone: an exchange has about ten of them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that are held in place. With the length and the tag, a [`Text`] is three words.
const SHORT: usize = 22;

/// Immutable text, as [`Value::Str`](super::Value::Str) holds it. Up to 22 bytes (IPv4 addresses,
/// most hosts and paths) need no memory beside it.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    /// UTF-8 in the first `len` bytes.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
    Shared(Arc<str>),
}

const _: () = assert!(size_of::<Text>() == 24);

impl Default for Text {
    fn default() -> Self {
        Self(Repr::Static(""))
    }
}

impl Text {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            // Always text: `short` made it from one.
            Repr::Short { len, bytes } => bytes
                .get(..usize::from(*len))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Repr::Long(text) => text,
            Repr::Shared(text) => text,
        }
    }

    /// It is part of the program, and came from nowhere.
    pub fn is_static(&self) -> bool {
        matches!(self.0, Repr::Static(_))
    }

    /// A copy.
    pub fn copy(text: &str) -> Self {
        Self::short(text).unwrap_or_else(|| Self(Repr::Long(text.into())))
    }

    /// A copy that is cheap to clone however long it is.
    pub fn shared(text: &str) -> Self {
        Self::short(text).unwrap_or_else(|| Self(Repr::Shared(text.into())))
    }

    fn short(text: &str) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self(Repr::Short { len, bytes }))
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Shared(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::short(&text).unwrap_or_else(|| Self(Repr::Long(text.into_boxed_str())))
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::copy(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// By what it says, not by how it is held.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_way_say_the_same() {
        for length in 0..=40 {
            // Two bytes a character, so that 22 and 23 differ by where a character ends.
            let text = "\u{e9}".repeat(length / 2) + &"x".repeat(length % 2);
            let all = [
                Text::copy(&text),
                Text::shared(&text),
                Text::from(text.clone()),
                Text::from(Cow::Borrowed(text.as_str())),
            ];
            for made in all {
                assert_eq!(made.as_str(), text);
                assert_eq!(made.clone(), made);
                assert_eq!(format!("{made} {made:?}"), format!("{text} {text:?}"));
            }
        }
        assert_eq!(Text::from("static"), Text::copy("static"));
        assert_ne!(Text::from("a"), Text::from("b"));
    }
}
