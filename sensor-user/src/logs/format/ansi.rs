//! Colours and other orders to a terminal (ECMA-48), which are no part of what is said.

use std::borrow::Cow;

const ESCAPE: u8 = 0x1b;

/// The text without them; none where an escape is the beginning of nothing.
pub(super) fn strip(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let Some(first) = memchr::memchr(ESCAPE, bytes) else { return Some(Cow::Borrowed(text)) };
    let mut plain = String::with_capacity(text.len());
    let (mut from, mut at) = (0, first);
    loop {
        plain.push_str(text.get(from..at)?);
        from = at + length(bytes.get(at..)?)?;
        match memchr::memchr(ESCAPE, bytes.get(from..)?) {
            Some(next) => at = from + next,
            None => break,
        }
    }
    plain.push_str(text.get(from..)?);
    Some(Cow::Owned(plain))
}

/// Of the order that the text begins with.
fn length(order: &[u8]) -> Option<usize> {
    match order.get(1)? {
        // Control sequence: parameters, then one final byte.
        b'[' => {
            let parameters =
                order.get(2..)?.iter().take_while(|it| (0x20..0x40).contains(*it)).count();
            let end = order.get(2 + parameters)?;
            (0x40..0x7f).contains(end).then_some(3 + parameters)
        }
        // Operating system command (a title, a link): up to BEL or `ESC \`.
        b']' => {
            let end = memchr::memchr2(0x07, ESCAPE, order.get(2..)?)? + 2;
            Some(if order.get(end) == Some(&0x07) { end + 1 } else { end + 2 })
                .filter(|it| *it <= order.len())
        }
        // Character sets: one byte more.
        b'(' | b')' => order.get(2).filter(|byte| byte.is_ascii_alphanumeric()).map(|_| 3),
        0x30..=0x7e => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn what_is_left() {
        for (text, plain) in [
            ("plain", Some("plain")),
            ("\x1b[32m INFO\x1b[0m ok", Some(" INFO ok")),
            ("\x1b[2;36mDEBU\x1b[0m\x1b[0;39m", Some("DEBU")),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07.", Some("link.")),
            ("\x1b(Bé\x1bc", Some("é")),
            ("\x1b", None),
            ("\x1b[31", None),
            ("a\x1b[31é", None),
            ("\x1b]title", None),
            ("\x1b\x01", None),
        ] {
            assert_eq!(strip(text).as_deref(), plain, "{text:?}");
        }
    }
}
