//! What stands in the place of a secret.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// What becomes of what a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It stays: the rule is off, or an exception from those after it.
    Keep,
    /// `[redacted]` takes its place; `[redacted-1111]` that of a card number, with its last digits; `REDACTED` in
    /// URLs, as the semantic conventions have it.
    Mask,
    /// `[hash-` and 32 hexadecimal digits `]` take its place: its SipHash-2-4-128 under a [`Key`], so that equal values stay
    /// equal.
    Hash,
    /// The attribute goes. Within a text, where nothing but a part could go, as [`Self::Mask`].
    Drop,
}

impl Action {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "keep" => Self::Keep,
            "mask" => Self::Mask,
            "hash" => Self::Hash,
            "drop" => Self::Drop,
            _ => return None,
        })
    }
}

/// Whoever does not have it cannot find out what was hashed by trying values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    /// Of 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(digits, 16).ok().map(|key| Self(key.to_be_bytes()))
    }

    fn hash(&self, secret: &[u8]) -> u128 {
        let mut hash = SipHasher24::new_with_key(&self.0);
        hash.write(secret);
        // In the order of bytes that the reference implementation prints.
        u128::from_be_bytes(hash.finish128().as_bytes())
    }
}

/// Not what it is.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// In the place of a secret.
pub(super) const MASK: &str = "[redacted]";

/// The same in URLs.
pub(super) const URL_MASK: &str = "REDACTED";

/// The hash of `secret`; masked where there is no key, which settings do not allow.
pub(super) fn hashed(key: Option<&Key>, secret: &[u8]) -> String {
    key.map_or_else(|| MASK.to_owned(), |key| format!("[hash-{:032x}]", key.hash(secret)))
}

/// What stands for a secret already begins here: how long that is.
pub(super) fn marker(text: &[u8]) -> Option<usize> {
    if let Some(rest) = text.strip_prefix(b"[redacted") {
        if rest.first() == Some(&b']') {
            return Some(MASK.len());
        }
        let digits = rest.strip_prefix(b"-")?.get(..5)?;
        let well = digits.ends_with(b"]") && digits.iter().take(4).all(u8::is_ascii_digit);
        return well.then_some(MASK.len() + 5);
    }
    if let Some(rest) = text.strip_prefix(b"[hash-") {
        let digits = rest.get(..33)?;
        let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let well = digits.ends_with(b"]") && digits.iter().take(32).all(lower);
        return well.then_some(6 + 33);
    }
    text.starts_with(URL_MASK.as_bytes()).then_some(URL_MASK.len())
}

/// Nothing but that, or user and password, both of them gone.
pub(super) fn is_marker(text: &[u8]) -> bool {
    marker(text) == Some(text.len()) || text == b"REDACTED:REDACTED"
}
