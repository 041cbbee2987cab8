//! Text that is safe and short enough for a terminal.

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
/// characters count as one: names and paths are ASCII but for rare cases, which lose alignment only.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().nth(width).is_none() {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

/// Three digits, or all of them above a second: `812ns`, `4.20µs`, `31.5ms`, `117ms`, `1.25s`,
/// `2m03s`. Cut, not rounded, so that it never claims more than there was.
pub(super) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => three(ns, 1_000, "µs"),
        1_000_000..1_000_000_000 => three(ns, 1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => three(ns, 1_000_000_000, "s"),
        _ => {
            let seconds = ns / 1_000_000_000;
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

fn three(ns: u64, divisor: u64, unit: &str) -> String {
    let whole = ns / divisor;
    let rest = ns % divisor;
    match whole {
        0..10 => format!("{whole}.{:02}{unit}", rest * 100 / divisor),
        10..100 => format!("{whole}.{}{unit}", rest * 10 / divisor),
        _ => format!("{whole}{unit}"),
    }
}
