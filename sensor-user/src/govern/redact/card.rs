//! Numbers of payment cards (ISO/IEC 7812).

use super::shapes::is_word;

/// Longest number.
const DIGITS_MAX: usize = 19;

/// How cards print their numbers, in groups; the longest ones first.
const GROUPS: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// A number that begins at `at`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Card {
    digits: [u8; DIGITS_MAX],
    len: usize,
    /// Where it ends in the text.
    pub(super) end: usize,
}

impl Card {
    /// Its digits, without what separates them.
    pub(super) fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// The last four of them.
    pub(super) fn last(&self) -> &[u8] {
        self.digits.get(self.len.saturating_sub(4)..self.len).unwrap_or_default()
    }

    /// Reads it at the beginning of a run of digits: in one piece, or in groups as cards print them, with one kind of
    /// separator. Not within longer numbers, fractions or identifiers.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        let first = run(rest);
        if is_inside(bytes.get(..at)?) {
            return None;
        }
        if first > 4 {
            return Self::of(rest, &[first]).map(|card| card.at(at));
        }
        GROUPS.iter().find_map(|groups| Self::of(rest, groups)).map(|card| card.at(at))
    }

    fn at(self, at: usize) -> Self {
        Self { end: at + self.end, ..self }
    }

    fn of(text: &[u8], groups: &[usize]) -> Option<Self> {
        let mut card = Self { digits: [0; DIGITS_MAX], len: 0, end: 0 };
        let mut separator = None;
        for (n, &group) in groups.iter().enumerate() {
            if n > 0 {
                let byte = *text.get(card.end).filter(|byte| matches!(byte, b' ' | b'-'))?;
                if *separator.get_or_insert(byte) != byte {
                    return None;
                }
                card.end += 1;
            }
            let digits = text.get(card.end..)?;
            if run(digits) != group {
                return None;
            }
            let slots = card.digits.get_mut(card.len..card.len + group)?;
            slots.copy_from_slice(digits.get(..group)?);
            card.len += group;
            card.end += group;
        }
        let continues = match text.get(card.end..)? {
            [byte, ..] if is_word(*byte) => true,
            [b'-', byte, ..] => byte.is_ascii_alphanumeric(),
            [b'.' | b',', byte, ..] => byte.is_ascii_digit(),
            _ => false,
        };
        (!continues && card.is_issued() && card.has_check_digit()).then_some(card)
    }

    /// Whether there are cards with such a beginning and of such a length. It is what sets them apart from times in
    /// milli-, micro- and nanoseconds, all of which begin with 1.
    fn is_issued(&self) -> bool {
        let number = |digits: usize| {
            let digits = self.digits.iter().take(digits);
            digits.fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
        };
        let (one, two, three, four) = (number(1), number(2), number(3), number(4));
        let diners = (300..=305).contains(&three) || matches!(two, 36 | 38 | 39);
        match self.len {
            13 => one == 4,
            14 => diners,
            15 => matches!(two, 34 | 37),
            16 => {
                one == 4
                    || diners
                    || (51..=55).contains(&two)
                    || (2221..=2720).contains(&four)
                    || four == 6011
                    || (644..=649).contains(&three)
                    || matches!(two, 50 | 56..=58 | 60 | 62 | 63 | 65 | 67 | 81)
                    || (3528..=3589).contains(&four)
            }
            17..=19 => {
                one == 4 && self.len == 19 || matches!(two, 50 | 56..=58 | 62 | 63 | 65 | 67)
            }
            _ => false,
        }
    }

    /// The formula of Luhn.
    fn has_check_digit(&self) -> bool {
        let digits = self.digits().iter().rev().map(|digit| u32::from(digit - b'0'));
        let sum: u32 = digits
            .enumerate()
            .map(|(n, digit)| match n % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            })
            .sum();
        sum.is_multiple_of(10)
    }
}

/// How many digits come next; one more than any card has stands for all beyond.
fn run(text: &[u8]) -> usize {
    text.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether what comes before makes it a part of something longer: a fraction, a UUID.
fn is_inside(before: &[u8]) -> bool {
    match before {
        [.., byte] if is_word(*byte) => true,
        [.., byte, b'.' | b','] => byte.is_ascii_digit(),
        [word @ .., b'-'] => {
            // `card-4111…` is one, `…-89ab-4111…` is not: it goes on where the word could be hexadecimal.
            let word = word.iter().rev().take(12).take_while(|byte| byte.is_ascii_alphanumeric());
            let mut word = word.peekable();
            word.peek().is_some() && word.all(u8::is_ascii_hexdigit)
        }
        _ => false,
    }
}
