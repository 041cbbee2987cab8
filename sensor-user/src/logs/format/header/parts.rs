//! Parts of a header, as they are written.

use super::super::draft::{Draft, Raw, is_place};
use super::super::time::Written;
use super::super::{ids, level, pairs, time};
use crate::model::Severity;

/// A level, as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level<'a> {
    pub(super) text: &'a str,
    pub(super) severity: Severity,
    /// In capitals: prose has none such.
    pub(super) upper: bool,
}

/// A word of which the place says what it is.
pub(super) enum Named<'a> {
    Logger(&'a str),
    /// And where.
    At(&'a str, &'a str),
    /// Before ` --- `.
    Pid(&'a str),
}

/// What is left of a line.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl Level<'_> {
    /// Words that often begin a sentence or a heading, too.
    pub(super) fn is_odd(&self) -> bool {
        ["config", "fine", "success", "alert", "notice", "trace", "verbose", "information"]
            .iter()
            .any(|word| self.text.eq_ignore_ascii_case(word))
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// Without the spaces before it.
    pub(super) fn rest(&self) -> &'a str {
        self.rest.trim_start_matches([' ', '\t'])
    }

    pub(super) fn rest_as_is(&self) -> &'a str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips so many bytes behind the spaces.
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest().get(bytes..).unwrap_or_default();
    }

    pub(super) fn time(&mut self) -> Option<(Written, &'a str)> {
        let (written, length) = time::read(self.rest().as_bytes())?;
        let text = self.rest().get(..length)?;
        self.skip(length);
        Some((written, text))
    }

    /// What is between brackets, of which there may be some within them.
    pub(super) fn bracket(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with('[') {
            return None;
        }
        let mut depth = 0_usize;
        let end = rest.bytes().take(512).position(|byte| {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        self.skip(end + 1);
        rest.get(1..end)
    }

    /// ` - `, ` -- `, ` --- `, ` | `, ` : `
    pub(super) fn separator(&mut self) -> bool {
        for mark in ["- ", "-- ", "--- ", "| ", ": "] {
            if self.rest().starts_with(mark) {
                self.skip(mark.len());
                return true;
            }
        }
        false
    }

    pub(super) fn colon(&mut self) -> bool {
        let found = self.rest.starts_with(": ");
        if found {
            self.skip(2);
        }
        found
    }

    /// A word that is a level, whatever comes behind it.
    pub(super) fn level(&mut self) -> Option<Level<'a>> {
        let rest = self.rest();
        let end = rest.bytes().take(12).take_while(u8::is_ascii_alphabetic).count();
        let text = rest.get(..end)?;
        let severity = level::word(text)?;
        self.skip(end);
        Some(Level { text, severity, upper: text.bytes().all(|byte| byte.is_ascii_uppercase()) })
    }

    /// A level in capitals, then a space or a separator.
    pub(super) fn upper_level(&mut self) -> Option<Level<'a>> {
        let mut after = self.clone();
        let level = after.level().filter(|level| level.upper)?;
        after.rest.starts_with([' ', '|', '\t']).then(|| {
            *self = after;
            level
        })
    }

    /// `level: `, in either case.
    pub(super) fn level_colon(mut self) -> Option<(Level<'a>, Self)> {
        let level = self.level()?;
        self.colon().then_some((level, self))
    }

    /// zerolog's three letters.
    pub(super) fn short_level(&mut self) -> Option<Level<'a>> {
        let text = self.rest().get(..3)?;
        let known = matches!(text, "TRC" | "DBG" | "INF" | "WRN" | "ERR" | "FTL" | "PNC");
        let ended = matches!(self.rest().as_bytes().get(3), None | Some(b' '));
        if !known || !ended {
            return None;
        }
        self.skip(3);
        Some(Level { text, severity: level::word(text)?, upper: true })
    }

    /// Whether a level comes next, perhaps behind one more thing in brackets.
    pub(super) fn has_level(&self) -> bool {
        let mut ahead = self.clone();
        for _ in 0..3 {
            ahead.separator();
            let mut level = ahead.clone();
            if level.upper_level().is_some()
                || level.level().is_some_and(|it| it.upper) && level.colon()
            {
                return true;
            }
            match ahead.bracket() {
                Some(inner) if level::word(inner.trim()).is_some() => return true,
                Some(_) => {}
                None => return false,
            }
        }
        false
    }

    /// Whether a word and a separator come next, perhaps behind more in brackets. `path`: only one that looks like a
    /// logger's name.
    pub(super) fn has_logger(&self, path: bool) -> bool {
        let mut ahead = self.clone();
        for _ in 0..4 {
            if ahead.bracket().is_none() {
                break;
            }
        }
        match ahead.named(true, true, false) {
            Some(Named::Logger(name)) => !path || is_path(name),
            _ => false,
        }
    }

    /// A word that is a part of the header. `late`: the level is known; `marked`: there were separators or brackets;
    /// `bracketed`: the time is in brackets.
    pub(super) fn named(&mut self, late: bool, marked: bool, bracketed: bool) -> Option<Named<'a>> {
        let rest = self.rest();
        let end = memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        let behind = after.trim_start();
        let separated = ["- ", "-- ", "| ", ": "].iter().any(|mark| behind.starts_with(mark));
        let shaped = is_path(word.trim_end_matches(':'));
        if behind.starts_with("--- ") && word.bytes().all(|byte| byte.is_ascii_digit()) && late {
            self.skip(end);
            return Some(Named::Pid(word));
        }
        // Flask: `[time] LEVEL in module: message`
        if late && bracketed && word == "in" {
            let (name, _) = behind.split_once(": ")?;
            let plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
            if name.is_empty() || !plain {
                return None;
            }
            self.skip(rest.len() - behind.len() + name.len());
            return Some(Named::Logger(name));
        }
        // `name (file.py:8): message`
        if let Some((place, _)) = behind.strip_prefix('(').and_then(|it| it.split_once("): "))
            && is_place(place)
        {
            self.skip(rest.len() - behind.len() + place.len() + 4);
            return Some(Named::At(word, place));
        }
        // `name [pairs] - message`
        let grouped = behind.starts_with('[') && {
            let mut ahead = Self::new(behind);
            ahead.bracket().is_some_and(|inner| is_group(inner.trim())) && ahead.separator()
        };
        let named = !word.is_empty()
            && word.len() <= 256
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._$-/:@#<>[]()".contains(&byte));
        let logger = named && (separated && (shaped || marked) || grouped && shaped);
        if logger {
            self.skip(end);
            return Some(Named::Logger(word));
        }
        // `shop.orders: message`
        if late && shaped && word.ends_with(':') && end < rest.len() {
            self.skip(end);
            return Some(Named::Logger(word.trim_end_matches(':')));
        }
        None
    }

    /// Go's `main.go:135: ` before the message.
    pub(super) fn place(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let (place, _) = rest.split_once(": ").filter(|(place, _)| is_place(place))?;
        self.skip(place.len() + 2);
        Some(place)
    }
}

/// Names with dots or `::` between them, as packages, modules and loggers have.
pub(super) fn is_path(text: &str) -> bool {
    let mut parts = text.split(['.', ':', '$']).filter(|part| !part.is_empty());
    let name = |part: &str| {
        part.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-'))
    };
    (text.contains('.') || text.contains("::"))
        && !text.ends_with('.')
        && !text.contains("://")
        && parts.clone().count() >= 2
        && parts.all(name)
}

/// `1:28PM`
pub(super) fn is_kitchen(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hour, rest)| {
        hour.parse::<u8>().is_ok_and(|hour| (1..=12).contains(&hour))
            && rest.len() == 4
            && (rest.ends_with("AM") || rest.ends_with("PM"))
            && rest.bytes().take(2).all(|it| it.is_ascii_digit())
    })
}

/// Whether brackets have pairs, or the identifiers that Spring puts there: `shop,TRACE,SPAN`, `TRACE-SPAN`.
pub(super) fn is_group(text: &str) -> bool {
    if text.contains('=') {
        return text.split([' ', ',', ';']).filter(|part| !part.is_empty()).all(|part| {
            part.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-'))
            })
        });
    }
    matches!(text.split(',').count(), 3 | 4) && spring_ids(text).is_some()
        || text
            .split_once('-')
            .is_some_and(|(trace, span)| ids::trace(trace).is_some() && ids::span(span).is_some())
}

/// The trace and the span; empty where the request has none.
fn spring_ids(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split(',').map(str::trim);
    let (_application, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is = |text: &str, lengths: &[usize]| {
        text.is_empty()
            || lengths.contains(&text.len()) && text.bytes().all(|it| it.is_ascii_hexdigit())
    };
    (is(trace, &[16, 32]) && is(span, &[16])).then_some((trace, span))
}

pub(super) fn group<'a>(text: &'a str, draft: &mut Draft<'a>) {
    if pairs::group(text, draft) {
        return;
    }
    let found = spring_ids(text).or_else(|| text.split_once('-'));
    if let Some((trace, span)) = found
        && let Some((trace, _)) = ids::trace(trace)
    {
        draft.ids(trace, ids::span(span));
    }
    let application = text.split_once(',').map_or("", |(name, _)| name);
    draft.other("application", Raw::Str(application.into()));
}

/// Kafka's pattern: the logger behind the message. Gives both.
pub(super) fn in_parentheses(message: &str) -> Option<(&str, &str)> {
    let (message, logger) = message.strip_suffix(')')?.rsplit_once(" (")?;
    is_path(logger).then_some((message, logger))
}

/// Whether a word says where: `main.go:3`, `Main.main(Main.java:7)`, `OrderService:7`, `__main__:<module>:37`.
pub(super) fn place(word: &str) -> bool {
    let inner = word.strip_suffix(')').and_then(|rest| rest.split_once('('));
    inner.is_some_and(|(_, inner)| is_place(inner))
        || word.rsplit_once(':').is_some_and(|(name, line)| {
            !name.is_empty() && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// Who, of a word in a logger's place.
pub(super) fn logger(word: &str) -> Option<&str> {
    if !place(word) {
        return Some(word);
    }
    let name = word.split([':', '(']).next()?;
    (!word.contains('(') && !is_place(word)).then_some(name)
}
