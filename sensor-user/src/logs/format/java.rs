//! `java.util.logging`: a record has two lines, and its level is in the second.
//!
//! ```text
//! Nov 30, 2026 3:31:55 PM com.example.Shop pay
//! SEVERE: card declined
//! ```

use super::draft::{Draft, Raw};
use super::{level, pairs, stack, time};

/// Reads both lines, and what is below them.
pub(super) fn logging<'a>(line: &'a str, rest: &'a str, draft: &mut Draft<'a>) -> bool {
    let rest = rest.trim_start_matches(['\r', '\n']);
    let (second, below) = rest.split_once('\n').unwrap_or((rest, ""));
    let Some((word, message)) = second.trim_end().split_once(": ") else { return false };
    let own = ["SEVERE", "WARNING", "INFO", "CONFIG", "FINE", "FINER", "FINEST"].contains(&word);
    let Some(severity) = level::word(word).filter(|_| own) else { return false };
    let Some((written, length)) = time::read(line.as_bytes()) else { return false };
    let (Some(stamp), Some(source)) = (line.get(..length), line.get(length + 1..)) else {
        return false;
    };
    draft.time(draft.clock().resolve(&written), stamp);
    draft.level(severity, word);
    // A class and a method, or the logger's name.
    match source.split_once(' ') {
        Some((class, method)) => {
            draft.logger(class);
            draft.other("code.function.name", Raw::Str(method.into()));
        }
        None => draft.logger(source),
    }
    draft.message(message);
    pairs::within(message, draft);
    if !below.trim().is_empty() && !stack::rest(below, draft) {
        let message = [message, "\n", below].concat();
        draft.message(message);
    }
    true
}
