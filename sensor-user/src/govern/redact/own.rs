//! What people's own patterns find.

use super::Rules;
use super::mask::{self, Action};
use super::scan::Clean;
use crate::govern::pattern::Pattern;

/// Matches of one pattern in one text. With more, all behind the last is masked: looking for a match may
/// take the whole rest of the text each time.
pub(super) const MATCHES_MAX: usize = 1000;

impl Rules {
    /// People's own patterns. What stands for a secret already is not matched again.
    pub(super) fn matched(&self, text: &str) -> Option<Clean> {
        let mut clean: Option<Clean> = None;
        for (pattern, rule, action) in &self.patterns {
            let before = clean.as_ref().map_or(text, |clean| &clean.text);
            if let Some(after) = self.matched_by(pattern, *rule, *action, before) {
                let drop = *action == Action::Drop || clean.is_some_and(|clean| clean.drop);
                clean = Some(Clean { text: after, drop });
            }
        }
        clean
    }

    fn matched_by(
        &self,
        pattern: &Pattern,
        rule: usize,
        action: Action,
        text: &str,
    ) -> Option<String> {
        if !pattern.is_match(text) {
            return None;
        }
        let (mut out, mut done, mut at) = (String::new(), 0, 0);
        let mut markers = Markers::default();
        for n in 0.. {
            let Some((start, end)) = pattern.find_at(text, at) else { break };
            if n >= MATCHES_MAX {
                out.push_str(text.get(done..start).unwrap_or_default());
                out.push_str(mask::MASK);
                done = text.len();
                break;
            }
            if start == end {
                let Some(next) = text.get(end..).and_then(|rest| rest.chars().next()) else {
                    break;
                };
                at = end + next.len_utf8();
            } else if let Some(past) = markers.overlapping(text, start, end) {
                at = past;
            } else {
                out.push_str(text.get(done..start).unwrap_or_default());
                out.push_str(&self.stand_in(action, text.as_bytes().get(start..end)?));
                self.counts.inc(rule);
                (done, at) = (end, end);
            }
        }
        if done == 0 {
            return None;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Some(out)
    }
}

/// Where, in a text, something stands for a secret already; looked for in the order of the text.
#[derive(Debug, Default)]
struct Markers {
    /// The next one, from there on.
    next: Option<(usize, usize)>,
    looked: usize,
}

impl Markers {
    /// The end of one that overlaps with that.
    fn overlapping(&mut self, text: &str, start: usize, end: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        loop {
            match self.next {
                Some((_, past)) if past <= start => self.next = None,
                Some((from, past)) => return (from < end).then_some(past),
                None => {}
            }
            while self.looked < end && self.next.is_none() {
                let rest = bytes.get(self.looked..).unwrap_or_default();
                let Some(found) = memchr::memchr2(b'[', b'R', rest) else {
                    self.looked = bytes.len();
                    return None;
                };
                let from = self.looked + found;
                let length = mask::marker(rest.get(found..).unwrap_or_default());
                self.looked = from + length.unwrap_or(1);
                self.next = length.map(|length| (from, from + length));
            }
            self.next?;
        }
    }
}
