//! Secrets in URLs. Paths are left alone: whoever has some there has to say what they look like.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Rules;
use super::mask::{self, Action, URL_MASK};
use super::names::{Verdict, hex};
use super::rules::BuiltIn;
use super::scan::{Clean, says_nothing};
use super::shapes;

impl Rules {
    /// A query without its secrets (`url.query`).
    pub(super) fn query(&self, query: &str) -> Option<Clean> {
        let mut clean = Writer::default();
        let mut at = 0;
        for pair in query.split(['&', ';']) {
            let end = at + pair.len();
            if let Some((name, value)) = pair.split_once('=')
                && let Some((stand_in, drop)) = self.parameter(name, value)
            {
                clean.replace(query, at + name.len() + 1..end, &stand_in);
                clean.drop |= drop;
            } else if !pair.contains('=')
                && let Some(found) = self.scanned(pair)
            {
                clean.replace(query, at..end, &found.text);
                clean.drop |= found.drop;
            }
            at = end + 1;
        }
        clean.finish(query)
    }

    /// What takes the place of a parameter's value, which is hidden whole; and whether all goes with it.
    fn parameter(&self, name: &str, value: &str) -> Option<(Cow<'static, str>, bool)> {
        if says_nothing(value) {
            return None;
        }
        let value = decoded(value);
        match self.names.look_up(name.as_bytes()) {
            Verdict::Identifier => None,
            Verdict::Secret(hit) => {
                self.counts.inc(hit.rule);
                Some((self.url_stand_in(hit.action, &value), hit.action == Action::Drop))
            }
            Verdict::Nothing => {
                let Clean { text, drop } = self.scanned(&value)?;
                // A hash of all of it stays one; what is left beside a secret is not told from it.
                let hash = text.starts_with("[hash-") && mask::is_marker(text.as_bytes());
                Some((if hash { Cow::Owned(text) } else { Cow::Borrowed(URL_MASK) }, drop))
            }
        }
    }

    fn url_stand_in(&self, action: Action, secret: &str) -> Cow<'static, str> {
        match action {
            Action::Hash => self.stand_in(action, secret.as_bytes()),
            Action::Keep | Action::Mask | Action::Drop => Cow::Borrowed(URL_MASK),
        }
    }

    /// A whole URL without its secrets (`url.full`).
    pub(super) fn url(&self, url: &str) -> Option<Clean> {
        let mut clean = Writer::default();
        let head = url.find(['?', '#']).unwrap_or(url.len());
        if let Some(slashes) = url.get(..head).and_then(|head| head.find("://"))
            && self.action(BuiltIn::UrlPassword) != Action::Keep
            && let Some((start, end)) = shapes::user_info(url.as_bytes(), slashes + 1, true)
            && let Some(secret) = url.get(start..end)
            && !secret.is_empty()
            && !mask::is_marker(secret.as_bytes())
        {
            let action = self.action(BuiltIn::UrlPassword);
            self.counts.inc(BuiltIn::UrlPassword as usize);
            clean.drop |= action == Action::Drop;
            clean.replace(url, start..end, &self.url_stand_in(action, secret));
        }
        // The fragment may be a query by another name (RFC 6749 section 4.2.2).
        let mut at = head;
        for part in url.get(head..).unwrap_or_default().split_inclusive(['?', '#']) {
            let text = part.trim_end_matches(['?', '#']);
            if let Some(found) = self.query(text) {
                clean.drop |= found.drop;
                clean.replace(url, at..at + text.len(), &found.text);
            }
            at += part.len();
        }
        clean.finish(url)
    }
}

/// A text with parts of it replaced.
#[derive(Default)]
struct Writer {
    out: String,
    done: usize,
    changed: bool,
    drop: bool,
}

impl Writer {
    fn replace(&mut self, text: &str, range: std::ops::Range<usize>, with: &str) {
        self.changed = true;
        let kept = text.get(self.done..range.start).unwrap_or_default();
        // Writing to a text does not fail.
        let _ = write!(self.out, "{kept}{with}");
        self.done = range.end;
    }

    fn finish(mut self, text: &str) -> Option<Clean> {
        self.out.push_str(text.get(self.done..).unwrap_or_default());
        self.changed.then_some(Clean { text: self.out, drop: self.drop })
    }
}

/// Percent-encoding undone, and `+`, which is a space in forms; what that does not make text stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, hex(tail)) {
            (b'%', Some((byte, after))) => {
                rest = after;
                byte
            }
            (b'+', _) => b' ',
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}
