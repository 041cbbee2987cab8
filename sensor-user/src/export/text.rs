//! Text from elsewhere, made fit for terminals and logs.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes what would do something to the terminal or to the order of what is read: a server can
/// be asked for any path, and the path must not move the cursor of whoever watches.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            character if acts(character) => {
                // A String takes everything.
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(character));
            }
            character => clean.push(character),
        }
    }
    Cow::Owned(clean)
}

/// Controls of C0 and C1, line separators, and the marks that reorder or hide text (Unicode TR 36).
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// At most `width` characters; the last one is an ellipsis where something is left out. Wide
/// characters count as one: names and paths are ASCII but for rare cases, which lose alignment
/// only.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().nth(width).is_none() {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

/// At most `max` characters of it, cleaned: what comes from a backend or a process and goes into
/// the log.
pub(super) fn bounded(text: &str, max: usize) -> String {
    // Longer than what is kept, so that the ellipsis is there.
    let text = text.trim();
    let end = text.char_indices().nth(max + 1).map_or(text.len(), |(end, _)| end);
    cut(&clean(&text[..end]), max).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_does_nothing_to_a_terminal() {
        // CSI, BEL, a right-to-left override (Unicode TR 36), a new line.
        let hostile = "a\u{1b}[2Jb\u{7}c\u{202e}d\ne";
        assert_eq!(bounded(hostile, 300), "a\\u{1b}[2Jb\\u{7}c\\u{202e}d\\ne");
        assert_eq!(bounded(" ok \n", 300), "ok");
        assert_eq!(bounded("0123456789", 10), "0123456789");
        assert_eq!(bounded("0123456789x", 10), "012345678…");
        let long = bounded(&"\u{202e}".repeat(1_000_000), 300);
        assert_eq!(long.chars().count(), 300);
    }
}
