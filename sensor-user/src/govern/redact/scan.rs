//! Secrets in a text: behind the names that they have there, and by what they look like. One pass.
//!
//! Names are looked for before what separates them from their values (`password=x`, `"password": "x"`, `Password: x`,
//! `<password>x<`), and behind two dashes (`--password x`). What looks like a secret is looked for where a word begins.

use std::borrow::Cow;

use super::Rules;
use super::card::Card;
use super::mask::{self, Action};
use super::names::{Hit, Shape, Verdict};
use super::rules::BuiltIn;
use super::shapes;
use super::value::{self, Extent};

/// A text without its secrets.
#[derive(Debug)]
pub(super) struct Clean {
    pub(super) text: String,
    /// One of them was to take the whole attribute with it.
    pub(super) drop: bool,
}

/// What a byte may begin, or end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Word,
    /// `=` or `:`.
    Separator,
    Dash,
    At,
    Angle,
}

static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Nothing; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => Kind::Word,
            b'=' | b':' => Kind::Separator,
            b'-' => Kind::Dash,
            b'@' => Kind::At,
            b'>' => Kind::Angle,
            _ => Kind::Nothing,
        };
        byte += 1;
    }
    kinds
};

/// White space between a name, what separates it, and the value.
const SPACES_MAX: usize = 16;

/// Longest name, percent-encoded.
const NAME_MAX: usize = 3 * super::names::NAME_MAX;

impl Rules {
    /// A text of any kind; none if it stays as it is.
    pub(super) fn scanned(&self, text: &str) -> Option<Clean> {
        let scan = Scan {
            rules: self,
            text,
            bytes: text.as_bytes(),
            at: 0,
            done: 0,
            out: String::new(),
            drop: false,
        };
        scan.run()
    }
}

struct Scan<'a> {
    rules: &'a Rules,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Until here, it is in `out` as it is to be.
    done: usize,
    out: String,
    drop: bool,
}

impl Scan<'_> {
    fn run(mut self) -> Option<Clean> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match KINDS[usize::from(byte)] {
                Kind::Nothing => self.at += 1,
                Kind::Word => self.word(byte),
                Kind::Separator => self.separator(byte),
                Kind::Dash => self.dash(),
                Kind::At => self.mail(),
                Kind::Angle => self.element(),
            }
        }
        if self.done == 0 {
            return None;
        }
        self.out.push_str(self.text.get(self.done..).unwrap_or_default());
        Some(Clean { text: self.out, drop: self.drop })
    }

    /// At the beginning of one.
    fn word(&mut self, first: u8) {
        let (bytes, at) = (self.bytes, self.at);
        match first {
            b'e' if self.is_on(BuiltIn::Jwt) => {
                if let Some(end) = shapes::jwt(bytes, at) {
                    return self.known(BuiltIn::Jwt, at, end);
                }
            }
            b'A' if self.is_on(BuiltIn::AwsKey) => {
                if let Some(end) = shapes::aws_key(bytes, at) {
                    return self.known(BuiltIn::AwsKey, at, end);
                }
            }
            b'b' | b'B' if self.is_on(BuiltIn::Authorization) => {
                if let Some((start, end)) = shapes::credentials(bytes, at) {
                    return self.known(BuiltIn::Authorization, start, end);
                }
            }
            b'0'..=b'9' if self.is_on(BuiltIn::Card) => {
                if let Some(card) = Card::read(bytes, at) {
                    return self.card(&card);
                }
            }
            _ => {}
        }
        let rest = bytes.get(at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| shapes::is_word(**byte)).count();
    }

    /// At `=` or `:`. A value may be behind it.
    fn separator(&mut self, separator: u8) {
        let at = self.at;
        let next = |n: usize| self.bytes.get(at + n).copied();
        if separator == b':' {
            match (next(1), next(2)) {
                (Some(b'/'), Some(b'/')) => return self.url(),
                // A path of Rust or C++.
                (Some(b':'), _) => return self.at += 2,
                _ => {}
            }
        }
        // `==`, `=>`, `:=`.
        let more = (1..=2).take_while(|n| matches!(next(*n), Some(b'=' | b'>'))).count();
        self.at += 1 + more;
        let Some((name, quoted)) = self.name_before(at) else { return };
        match self.rules.names.look_up(name) {
            Verdict::Nothing => {}
            Verdict::Identifier => {
                self.at = self.spaces(self.at);
                let rest = self.bytes.get(self.at..).unwrap_or_default().iter();
                let quote = |byte: &&u8| matches!(byte, b'"' | b'\'' | b'\\');
                self.at += rest.take(SPACES_MAX).take_while(quote).count();
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                let id = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
                self.at += rest.iter().take_while(id).count();
            }
            Verdict::Secret(hit) => {
                let at = self.spaces(self.at);
                let extent = value::extent(self.bytes, at, separator, hit.shape);
                self.value(hit, extent, quoted);
            }
        }
    }

    /// The name that ends before `at`, and whether it stands in quotes.
    fn name_before(&self, at: usize) -> Option<(&[u8], bool)> {
        let before = self.bytes.get(self.done..at)?;
        let spaces = before.iter().rev().take(SPACES_MAX);
        let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let mut before = before.get(..before.len() - spaces)?;
        let mut quoted = false;
        if let [rest @ .., b'"' | b'\'' | b'`'] = before {
            before = rest;
            quoted = true;
            while let [rest @ .., b'\\'] = before {
                before = rest;
            }
        } else if let [rest @ .., b']'] = before {
            before = rest;
        }
        let name = before.iter().rev().take(NAME_MAX);
        let name = name.take_while(|byte| value::is_name_byte(**byte)).count();
        let name = before.get(before.len() - name..)?;
        (!name.is_empty()).then_some((name, quoted))
    }

    fn spaces(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default().iter().take(SPACES_MAX);
        at + rest.take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    /// The value of a secret name, if it says anything.
    fn value(&mut self, hit: Hit, extent: Extent, name_is_quoted: bool) {
        let Extent { start, end, after, quoted } = extent;
        let secret = self.text.get(start..end).unwrap_or_default();
        if says_nothing(secret) {
            self.at = after.max(self.at);
            return;
        }
        let stand_in = self.rules.stand_in(hit.action, secret.as_bytes());
        // JSON stays JSON: a number becomes text.
        let quote = name_is_quoted && !quoted && self.text.is_char_boundary(end);
        let stand_in = if quote { Cow::Owned(format!("\"{stand_in}\"")) } else { stand_in };
        self.replace(hit.rule, hit.action, start..end, &stand_in);
        self.at = after;
    }

    /// At `://`.
    fn url(&mut self) {
        let at = self.at;
        self.at += 3;
        if !self.is_on(BuiltIn::UrlPassword) {
            return;
        }
        let scheme = self.bytes.get(at.saturating_sub(5)..at).unwrap_or_default();
        let web = scheme.to_ascii_lowercase();
        let web = web.ends_with(b"http") || web.ends_with(b"https");
        if let Some((start, end)) = shapes::user_info(self.bytes, at + 1, web) {
            let secret = self.bytes.get(start..end).unwrap_or_default();
            if !secret.is_empty() && !mask::is_marker(secret) {
                self.known(BuiltIn::UrlPassword, start, end);
            }
            self.at = end + 1;
        }
    }

    /// At one dash or several: a block of PEM, or a flag with its value behind it.
    fn dash(&mut self) {
        if self.is_on(BuiltIn::PrivateKey)
            && let Some(end) = shapes::key_block(self.bytes, self.at)
        {
            return self.known(BuiltIn::PrivateKey, self.at, end);
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let dashes = rest.iter().take_while(|byte| **byte == b'-').count();
        self.at += dashes;
        if dashes != 2 {
            return;
        }
        let name = rest.iter().skip(2).take(NAME_MAX);
        let name = name.take_while(|byte| value::is_name_byte(**byte)).count();
        let Some([b' ', ..]) = rest.get(2 + name..) else { return };
        if let Verdict::Secret(hit) = self.rules.names.look_up(rest.get(2..2 + name).unwrap_or(&[]))
        {
            let at = self.spaces(self.at + name);
            if self.bytes.get(at) != Some(&b'-') {
                let extent = value::extent(self.bytes, at, b'=', Shape::Word);
                self.value(hit, extent, false);
            }
        }
    }

    /// At `@`.
    fn mail(&mut self) {
        if self.is_on(BuiltIn::Email)
            && let Some((start, end)) = shapes::email(self.bytes, self.at, self.done)
        {
            return self.known(BuiltIn::Email, start, end);
        }
        self.at += 1;
    }

    /// At `>`: the end of an element's tag, perhaps.
    fn element(&mut self) {
        let at = self.at;
        self.at += 1;
        let Some((name, false)) = self.name_before(at) else { return };
        let before = at - name.len();
        let opens = self.bytes.get(self.done..before).is_some_and(|before| {
            let prefix = before.iter().rev().take(NAME_MAX);
            let prefix = prefix.take_while(|byte| value::is_name_byte(**byte) || **byte == b':');
            let prefix = prefix.count();
            before.len() > prefix && before.get(before.len() - prefix - 1) == Some(&b'<')
        });
        if !opens || self.bytes.get(before + name.len()) != Some(&b'>') {
            return;
        }
        if let Verdict::Secret(hit) = self.rules.names.look_up(name) {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let end = self.at + memchr::memchr(b'<', rest).unwrap_or(rest.len());
            self.value(hit, Extent { start: self.at, end, after: end, quoted: true }, false);
        }
    }

    fn card(&mut self, card: &Card) {
        let action = self.rules.action(BuiltIn::Card);
        let stand_in = match action {
            Action::Mask | Action::Drop => {
                format!("[redacted-{}]", str::from_utf8(card.last()).unwrap_or_default())
            }
            // However it is written.
            _ => self.rules.stand_in(action, card.digits()).into_owned(),
        };
        self.replace(BuiltIn::Card as usize, action, self.at..card.end, &stand_in);
        self.at = card.end;
    }

    fn is_on(&self, rule: BuiltIn) -> bool {
        self.rules.action(rule) != Action::Keep
    }

    /// A secret by its looks.
    fn known(&mut self, rule: BuiltIn, start: usize, end: usize) {
        let action = self.rules.action(rule);
        let secret = self.bytes.get(start..end).unwrap_or_default();
        let stand_in = self.rules.stand_in(action, secret);
        self.replace(rule as usize, action, start..end, &stand_in);
        self.at = end;
    }

    fn replace(&mut self, rule: usize, action: Action, range: std::ops::Range<usize>, with: &str) {
        self.rules.counts.inc(rule);
        self.drop |= action == Action::Drop;
        if self.out.capacity() == 0 {
            self.out.reserve(self.text.len() + with.len());
        }
        self.out.push_str(self.text.get(self.done..range.start).unwrap_or_default());
        self.out.push_str(with);
        self.done = range.end;
    }
}

/// Nothing to hide: no value, or one that is hidden already.
pub(super) fn says_nothing(value: &str) -> bool {
    const NOTHING: [&str; 6] = ["null", "nil", "none", "undefined", "true", "false"];
    let value = value.trim().trim_start_matches('<').trim_end_matches('>');
    !value.bytes().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        || NOTHING.iter().any(|nothing| value.eq_ignore_ascii_case(nothing))
        || mask::is_marker(value.as_bytes())
}
