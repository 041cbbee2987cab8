//! W3C Baggage (<https://www.w3.org/TR/baggage/>): pairs that a request carries for whoever comes
//! later. Only keys that were asked for are kept.

use super::{Malformed, Settings};

/// Members that are looked at: what the specification asks to propagate at least (section 3.3).
const MEMBERS_MAX: usize = 64;

/// Bytes of all values together (same section).
const LENGTH_MAX: usize = 8192;

/// Reads the values of all `baggage` fields in order, and gives those of the wanted keys, each with
/// the key's index in the settings. A key that has two different values has none.
///
/// ```text
/// list-member = key OWS "=" OWS value *( OWS ";" OWS property )
/// ```
///
/// # Errors
/// Where a member breaks the grammar (section 3.2.1), or there are more or longer ones than the
/// specification asks to pass on.
pub fn baggage<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    settings: &Settings,
) -> Result<Vec<(usize, String)>, Malformed> {
    let (mut length, mut members) = (0, 0);
    let mut found = Found::default();
    for value in values {
        length += value.len();
        if length > LENGTH_MAX {
            return Err(Malformed);
        }
        for member in value.split(|&byte| byte == b',') {
            members += 1;
            let (key, value) = pair(member)?;
            if members > MEMBERS_MAX {
                return Err(Malformed);
            }
            let Some(key) = settings.baggage_key(key) else { continue };
            found.add(key, decoded(value));
        }
    }
    Ok(found.values())
}

/// The same of Jaeger's `uberctx-*`, each with its key's index: a field for each key.
///
/// # Errors
/// Where they are longer than that together. Every value is well-formed.
pub fn uber<'a>(
    fields: impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<Vec<(usize, String)>, Malformed> {
    let mut length = 0;
    let mut found = Found::default();
    for (key, value) in fields {
        length += value.len();
        if length > LENGTH_MAX {
            return Err(Malformed);
        }
        found.add(key, decoded(value));
    }
    Ok(found.values())
}

/// Values by key; none where two differ.
#[derive(Default)]
struct Found(Vec<(usize, Option<String>)>);

impl Found {
    fn add(&mut self, key: usize, value: String) {
        match self.0.iter_mut().find(|(before, _)| *before == key) {
            None => self.0.push((key, Some(value))),
            Some((_, before)) if before.as_ref() == Some(&value) => {}
            Some((_, before)) => *before = None,
        }
    }

    fn values(self) -> Vec<(usize, String)> {
        self.0.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Key and value of a member whose properties are well-formed too.
fn pair(member: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let (key, value) = split(parts.next().unwrap_or_default()).ok_or(Malformed)?;
    for property in parts {
        let key = split(property).map_or(property, |(key, _)| key);
        if !is_key(key) || split(property).is_some_and(|(_, value)| !is_value(value)) {
            return Err(Malformed);
        }
    }
    if is_key(key) && is_value(value) { Ok((key, value)) } else { Err(Malformed) }
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    Some((text[..equals].trim_ascii_end(), text[equals + 1..].trim_ascii_start()))
}

/// `token` (RFC 9110 section 5.6.2).
pub(super) fn is_key(key: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !key.is_empty() && key.iter().all(tchar)
}

/// `baggage-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E`.
fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

/// Percent-decoded (section 3.2.1.3): `%` that no two digits follow stays, and what is not UTF-8 then
/// is replaced, as it says there.
fn decoded(value: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        let pair = digit(value.get(at + 1)).zip(digit(value.get(at + 2))).filter(|_| byte == b'%');
        match pair.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                at += 3;
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
