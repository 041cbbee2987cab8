//! `OTEL_RESOURCE_ATTRIBUTES`
//! (<https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable>).

use super::{ATTRIBUTES_COUNT_MAX, ATTRIBUTES_MAX};

/// The variable breaks the grammar, is not UTF-8, or is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes the variable apart: `key=value` pairs, separated by commas, percent-encoded. As the
/// specification says, any error discards the whole. Empty values say nothing and are left out; a
/// comma too many is forgiven; of a key that comes twice, the last counts.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    if text.len() > ATTRIBUTES_MAX {
        return Err(Malformed);
    }
    let text = str::from_utf8(text).map_err(|_| Malformed)?;
    let mut attributes: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(Malformed)?;
        let key = percent_decoded(key.trim())?;
        let value = percent_decoded(value.trim())?;
        if key.is_empty() || key.chars().any(char::is_control) {
            return Err(Malformed);
        }
        attributes.retain(|(known, _)| *known != key);
        if !value.is_empty() {
            attributes.push((key, value));
        }
        if attributes.len() > ATTRIBUTES_COUNT_MAX {
            return Err(Malformed);
        }
    }
    Ok(attributes)
}

fn percent_decoded(text: &str) -> Result<String, Malformed> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    u8::try_from(digit).ok()
                };
                let (high, low) = (digit().ok_or(Malformed)?, digit().ok_or(Malformed)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<(String, String)>> {
        parse(text.as_bytes()).ok()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
    }

    #[test]
    fn pairs_are_decoded() {
        assert_eq!(parsed(""), pairs(&[]));
        assert_eq!(
            parsed("service.name=shop, deployment.environment.name = prod ,"),
            pairs(&[("service.name", "shop"), ("deployment.environment.name", "prod")])
        );
        assert_eq!(parsed("a=x%2Cy%3Dz%20%C3%A9,b=c=d"), pairs(&[("a", "x,y=z é"), ("b", "c=d")]));
        assert_eq!(parsed("a=1,b=,a=2"), pairs(&[("a", "2")]));
    }

    #[test]
    fn any_error_discards_all() {
        for text in ["a=1,b", "=x", "a=%", "a=%2", "a=%zz", "a=%ff", "a=%+1", "a%0Ab=1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parse(b"a=\xff"), Err(Malformed));
        assert_eq!(parse(&[b'a'; ATTRIBUTES_MAX + 1]), Err(Malformed));
        let many = |n: usize| (0..n).map(|n| format!("k{n}=v,")).collect::<String>();
        assert_eq!(parse(many(ATTRIBUTES_COUNT_MAX).as_bytes()).unwrap().len(), 128);
        assert_eq!(parse(many(ATTRIBUTES_COUNT_MAX + 1).as_bytes()), Err(Malformed));
    }
}
