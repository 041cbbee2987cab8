//! Base64 (RFC 4648) as gRPC-Web and HTTP/2's upgrade use it.

/// Decodes bytes as they come, four characters at a time. `=` may end any group of four: who sends
/// message by message pads each (PROTOCOL-WEB).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoder {
    bits: u32,
    characters: u8,
    padding: u8,
}

/// A character that base64 does not have, or one after the padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Decoder {
    /// No character of a group was taken yet.
    pub(crate) fn is_between(self) -> bool {
        self.characters == 0
    }

    /// Takes a character; gives the bytes of a whole group.
    pub(crate) fn push(&mut self, character: u8) -> Result<Option<([u8; 3], usize)>, Broken> {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' if self.characters >= 2 => {
                self.padding += 1;
                0
            }
            _ => return Err(Broken),
        };
        if self.padding > 0 && character != b'=' {
            return Err(Broken);
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.characters += 1;
        if self.characters < 4 {
            return Ok(None);
        }
        let [_, a, b, c] = self.bits.to_be_bytes();
        let length = 3 - usize::from(self.padding);
        *self = Self::default();
        Ok(Some(([a, b, c], length)))
    }
}

/// Decodes all of it; the padding at the end may be missing (base64url as RFC 7540 section 3.2.1 has
/// it, and binary metadata of gRPC). None where it is not base64.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::default();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let padding = (4 - text.len() % 4) % 4;
    for &character in text.iter().chain(&b"=="[..padding.min(2)]) {
        if let Some((group, length)) = decoder.push(character).ok()? {
            bytes.extend_from_slice(&group[..length]);
        }
    }
    (decoder.characters == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10.
    #[test]
    fn vectors() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9vYg", "foob"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode(b"_-8").unwrap(), [0xff, 0xef]);
        for bad in ["Z", "Zm9vY", "Z===", "Zg=a", "Zm 9", "===="] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
