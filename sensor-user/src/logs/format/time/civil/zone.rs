//! Zones behind a time.

use super::{Scan, Written};

/// Names that are common in logs, with the seconds that they mean most often. Some mean several:
/// none is believed without proof.
const NAMES: [(&[u8], i32); 20] = [
    (b"CET", 3600),
    (b"CEST", 7200),
    (b"EET", 7200),
    (b"EEST", 10_800),
    (b"WET", 0),
    (b"WEST", 3600),
    (b"BST", 3600),
    (b"MSK", 10_800),
    (b"IST", 19_800),
    (b"JST", 32_400),
    (b"KST", 32_400),
    (b"AEST", 36_000),
    (b"EST", -18_000),
    (b"EDT", -14_400),
    (b"CST", -21_600),
    (b"CDT", -18_000),
    (b"MST", -25_200),
    (b"MDT", -21_600),
    (b"PST", -28_800),
    (b"PDT", -25_200),
];

impl Scan<'_> {
    /// `Z`, `+01:00`, `+0100`, `+01`, ` +0100`, ` UTC`, ` GMT`, `GMT+0100`, ` CET`, and what Go,
    /// Java and JavaScript put behind that: ` CET m=+0.1`, `[Europe/Berlin]`, ` (Central European
    /// Time)`.
    pub(super) fn zone(&mut self, written: &mut Written) {
        let utc = self.utc();
        // `GMT+0100`
        let number = match utc {
            true if self.text.get(self.at.wrapping_sub(1)) == Some(&b'Z') => None,
            _ => self.number_of_zone(),
        };
        written.offset = number.or(utc.then_some(0));
        if written.offset.is_none() {
            written.named = self.name();
        } else if number.is_some() && !self.utc_again() {
            self.name();
        }
        if written.offset.is_some() {
            self.comment();
        }
    }

    /// A name of UTC, that nothing but the difference to it follows.
    fn utc(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for name in [&b"Z"[..], b"z", b" UTC", b" GMT", b"UTC", b" Z"] {
            let ended = !rest.get(name.len()).is_some_and(u8::is_ascii_alphanumeric);
            if rest.starts_with(name) && ended {
                self.at += name.len();
                return true;
            }
        }
        false
    }

    /// Go writes the name behind the number.
    fn utc_again(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let again =
            rest.starts_with(b" UTC") && !rest.get(4).is_some_and(u8::is_ascii_alphanumeric);
        self.at += if again { 4 } else { 0 };
        again
    }

    fn name(&mut self) -> Option<i32> {
        let rest = self.text.get(self.at..)?.strip_prefix(b" ")?;
        let end = rest.iter().take(5).take_while(|byte| byte.is_ascii_uppercase()).count();
        let name = rest.get(..end)?;
        let ended = !rest.get(end).is_some_and(u8::is_ascii_alphanumeric);
        let (_, offset) = NAMES.iter().find(|(it, _)| ended && *it == name)?;
        self.at += 1 + end;
        Some(*offset)
    }

    /// What says the same again.
    fn comment(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = match rest {
            [b'[', b'A'..=b'Z', ..] => {
                let is_name = |byte: &&u8| byte.is_ascii_alphabetic() || b"/_+-".contains(byte);
                let name = rest.iter().skip(1).take(40).take_while(is_name).count();
                let inner = rest.get(1..1 + name).unwrap_or_default();
                let zone = inner.contains(&b'/') || matches!(inner, b"UTC" | b"GMT" | b"Z");
                (zone && rest.get(1 + name) == Some(&b']')).then_some(name + 2)
            }
            // JavaScript: letters and spaces alone.
            [b' ', b'(', b'A'..=b'Z', ..] => {
                let is_name = |byte: &&u8| byte.is_ascii_alphabetic() || **byte == b' ';
                let name = rest.iter().skip(2).take(60).take_while(is_name).count();
                (rest.get(2 + name) == Some(&b')')).then_some(name + 3)
            }
            // Go: the process's own clock.
            [b' ', b'm', b'=', b'+' | b'-', ..] => {
                let is_part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
                Some(4 + rest.iter().skip(4).take_while(is_part).count())
            }
            _ => None,
        };
        self.at += end.unwrap_or(0);
    }

    fn number_of_zone(&mut self) -> Option<i32> {
        let before = self.at;
        let found = self.digits_of_zone();
        if found.is_none() {
            self.at = before;
        }
        found
    }

    fn digits_of_zone(&mut self) -> Option<i32> {
        let spaced = self.peek(0) == Some(b' ');
        self.at += usize::from(spaced);
        let sign = match self.peek(0)? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        let hours = self.number(2).filter(|&hours| hours <= 14)?;
        let colon = self.peek(0) == Some(b':');
        self.at += usize::from(colon);
        let minutes = match self.number(2) {
            Some(minutes) => minutes,
            // After a space, two digits are no zone.
            None if !colon && !spaced => 0,
            None => return None,
        };
        let ended = !self.peek(0).is_some_and(|byte| byte.is_ascii_digit());
        let seconds = i32::try_from(hours * 3600 + minutes.min(59) * 60).ok()?;
        ended.then_some(sign * seconds)
    }
}
