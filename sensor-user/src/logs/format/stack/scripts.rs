//! Stacks of PHP, Ruby and Elixir, and the reports of Go's race detector.

use super::super::draft::{Draft, Raw};
use super::{MESSAGE, TYPE};
use crate::model::Severity;

/// The first line of a record that is such a stack, with others below it.
pub(super) fn alone<'a>(first: &'a str, rest: &'a str, draft: &mut Draft<'a>) -> bool {
    if let Some((place, raised)) = raised_by_ruby(first) {
        draft.message(raised.0);
        draft.other(TYPE, Raw::Str(raised.1.into()));
        draft.other(MESSAGE, Raw::Str(raised.0.into()));
        draft.caller(place);
        return true;
    }
    if let Some((kind, said)) = raised_by_elixir(first) {
        draft.message(said);
        draft.other(TYPE, Raw::Str(kind.into()));
        draft.other(MESSAGE, Raw::Str(said.into()));
        return true;
    }
    // Go's race detector: a line of `=`, then its title.
    let title = rest.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    let race = title == "WARNING: DATA RACE" && first.bytes().all(|byte| byte == b'=');
    if race {
        draft.level(Severity::Warn, "WARNING");
        draft.message("DATA RACE");
    }
    race
}

/// Whether the line below a record's first begins such a stack.
pub(super) fn rest<'a>(first: &'a str, draft: &mut Draft<'a>) -> bool {
    if let Some((kind, said)) = raised_by_elixir(first) {
        draft.other(TYPE, Raw::Str(kind.into()));
        draft.other(MESSAGE, Raw::Str(said.into()));
        return true;
    }
    if first == "Stack trace:" {
        // PHP: what was thrown is in the message.
        let thrown = draft
            .so_far()
            .strip_prefix("Uncaught ")
            .map(|it| it.rsplit_once(" in ").map_or(it, |(thrown, _)| thrown).to_owned());
        if let Some((kind, said)) = thrown.as_deref().and_then(|it| it.split_once(": ")) {
            draft.other(TYPE, Raw::Str(kind.to_owned().into()));
            draft.other(MESSAGE, Raw::Str(said.to_owned().into()));
        }
        return true;
    }
    if ruby_frame(first).is_some() {
        // Ruby's Logger: `card declined (RuntimeError)`, and frames below it.
        let raised = raised(draft.so_far()).map(|(said, kind)| [kind, said].map(str::to_owned));
        if let Some([kind, said]) = raised {
            draft.other(TYPE, Raw::Str(kind.into()));
            draft.other(MESSAGE, Raw::Str(said.into()));
        }
        return true;
    }
    false
}

/// `** (RuntimeError) boom`.
fn raised_by_elixir(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("** (")?.split_once(") ").or_else(|| {
        // Without a message.
        Some((line.strip_prefix("** (")?.strip_suffix(')')?, ""))
    })
}

/// `/srv/a.rb:3:in 'pay'`, and what is behind it.
fn ruby_frame(line: &str) -> Option<(&str, &str)> {
    let at = line.find(".rb:")? + 4;
    let number = line.get(at..)?.bytes().take_while(u8::is_ascii_digit).count();
    let (place, rest) = line.split_at_checked(at + number)?;
    let rest = rest.strip_prefix(":in ").filter(|_| number > 0)?;
    (!place.contains(char::is_whitespace)).then_some((place, rest))
}

/// `/srv/a.rb:3:in 'pay': card declined (RuntimeError)`: where, what is said, and its class.
fn raised_by_ruby(line: &str) -> Option<(&str, (&str, &str))> {
    let (place, rest) = ruby_frame(line)?;
    let (_method, said) = rest.split_once("': ")?;
    Some((place, raised(said)?))
}

/// `card declined (RuntimeError)`.
fn raised(text: &str) -> Option<(&str, &str)> {
    let (said, class) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let is_class = class.starts_with(|it: char| it.is_ascii_uppercase())
        && class.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b':' | b'_'));
    is_class.then_some((said, class))
}
