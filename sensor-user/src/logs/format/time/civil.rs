//! Dates and times of day as loggers write them.

/// What is written, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Written {
    pub(in super::super) year: Option<i64>,
    /// Month and day.
    pub(in super::super) day: Option<(u32, u32)>,
    /// Of the day.
    pub(in super::super) second: u32,
    /// Of the second.
    pub(in super::super) ns: u32,
    /// Seconds ahead of UTC.
    pub(in super::super) offset: Option<i32>,
}

/// Reads the time that the text begins with; gives its length too.
///
/// ```text
/// 2026-11-21T13:28:04.562Z     2026-11-21 13:28:03,187      2026/11/21 13:28:04   RFC 3339, ISO 8601, Go, nginx
/// 2026/11/21 - 13:28:04        2026-11-21 13:28:04 +0000                          gin, gunicorn
/// 21/Nov/2026:13:28:51 +0000   21/Nov/2026 13:28:04         21 Nov 2026 13:28:04  access logs, werkzeug, Redis
/// Sat Nov 21 13:28:50.123456 2026     Nov 21 13:28:50                             Apache, syslog
/// 13:28:03.187                                                                    logback
/// ```
pub(in super::super) fn read(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let mut written = match text {
        [b'0'..=b'9', b'0'..=b'9', b':', ..] => scan.time(None, None)?,
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => scan.year_first()?,
        [b'0'..=b'9', ..] => scan.day_first()?,
        [b'A'..=b'Z', ..] => scan.name_first()?,
        _ => return None,
    };
    if written.offset.is_none() {
        written.offset = scan.zone();
    }
    // Not the beginning of something longer.
    let ended = scan.peek(0).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ended.then_some((written, scan.at))
}

/// `1121 13:28:04.563535`, after the letter that klog begins with.
pub(in super::super) fn klog(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let day = (scan.number(2)?, scan.number(2)?);
    scan.byte(b' ')?;
    Some((scan.time(None, Some(day))?, scan.at))
}

/// Days since the epoch of a date of the Gregorian calendar; none where there is no such date.
pub(super) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March: the leap day is then the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let month = i64::from((month + 9) % 12);
    let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let of_era = year.rem_euclid(400);
    Some(
        year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
            - 719_468,
    )
}

/// The date that is so many days after the epoch: year, month, day.
pub(super) fn date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    // Both are small.
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek(0)? == byte).then(|| self.at += 1)
    }

    /// So many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let text = self.text.get(self.at..self.at + digits)?;
        let mut number = 0;
        for byte in text {
            number = number * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        self.at += digits;
        Some(number)
    }

    /// One digit or two, perhaps with a space in place of the first.
    fn day(&mut self) -> Option<u32> {
        if self.peek(0)? == b' ' {
            self.at += 1;
        }
        let two = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        self.number(if two { 2 } else { 1 })
    }

    fn month(&mut self) -> Option<u32> {
        let name: [u8; 3] = self.text.get(self.at..self.at + 3)?.try_into().ok()?;
        let names = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (at, _) = names.as_chunks().0.iter().enumerate().find(|(_, it)| **it == name)?;
        self.at += 3;
        u32::try_from(at + 1).ok()
    }

    fn year_first(&mut self) -> Option<Written> {
        let year = i64::from(self.number(4)?);
        let dash = self.peek(0).filter(|byte| matches!(byte, b'-' | b'/' | b'.'))?;
        self.at += 1;
        let month = self.number(2)?;
        self.byte(dash)?;
        let day = self.number(2)?;
        days(year, month, day)?;
        match self.peek(0)? {
            b'T' | b't' | b'_' => self.at += 1,
            b' ' if self.text.get(self.at..).is_some_and(|it| it.starts_with(b" - ")) => {
                self.at += 3;
            }
            b' ' => self.at += 1,
            _ => return None,
        }
        self.time(Some(year), Some((month, day)))
    }

    fn day_first(&mut self) -> Option<Written> {
        let day = self.day()?;
        let dash = self.peek(0).filter(|byte| matches!(byte, b'/' | b' ' | b'-'))?;
        self.at += 1;
        let month = self.month()?;
        self.byte(dash)?;
        let year = i64::from(self.number(4)?);
        days(year, month, day)?;
        if !matches!(self.peek(0)?, b':' | b' ') {
            return None;
        }
        self.at += 1;
        self.time(Some(year), Some((month, day)))
    }

    fn name_first(&mut self) -> Option<Written> {
        let weekdays = b"MonTueWedThuFriSatSun";
        let name: [u8; 3] = self.text.get(..3)?.try_into().ok()?;
        if weekdays.as_chunks().0.contains(&name) {
            self.at += 3;
            if self.peek(0) == Some(b',') {
                self.at += 1;
                self.byte(b' ')?;
                return self.day_first();
            }
            self.byte(b' ')?;
        }
        let month = self.month()?;
        self.byte(b' ')?;
        let day = self.day()?;
        self.byte(b' ')?;
        let mut written = self.time(None, Some((month, day)))?;
        let before = self.at;
        let year = self.byte(b' ').and_then(|()| self.number(4));
        match year {
            Some(year) if !self.peek(0).is_some_and(|byte| byte.is_ascii_alphanumeric()) => {
                days(i64::from(year), month, day)?;
                written.year = Some(i64::from(year));
            }
            _ => self.at = before,
        }
        Some(written)
    }

    /// `13:28:03`, with a fraction after a dot or a comma.
    fn time(&mut self, year: Option<i64>, day: Option<(u32, u32)>) -> Option<Written> {
        let hour = self.number(2).filter(|&hour| hour < 24)?;
        self.byte(b':')?;
        let minute = self.number(2).filter(|&minute| minute < 60)?;
        self.byte(b':')?;
        // A leap second is told as the one before it.
        let second = self.number(2).filter(|&second| second <= 60)?.min(59);
        let mut ns = 0;
        if matches!(self.peek(0), Some(b'.' | b','))
            && self.peek(1).is_some_and(|byte| byte.is_ascii_digit())
        {
            self.at += 1;
            let mut unit = 100_000_000;
            while let Some(byte) = self.peek(0).filter(u8::is_ascii_digit) {
                ns += u32::from(byte - b'0') * unit;
                unit /= 10;
                self.at += 1;
            }
        }
        Some(Written { year, day, second: hour * 3600 + minute * 60 + second, ns, offset: None })
    }

    /// `Z`, `+01:00`, `+0100`, `+01`, ` +0100`, ` UTC`, ` GMT`. Other names of zones mean several.
    fn zone(&mut self) -> Option<i32> {
        let rest = self.text.get(self.at..)?;
        let ends = |length: usize| !rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
        for name in [&b"Z"[..], b"z", b" UTC", b" GMT", b"UTC"] {
            if rest.starts_with(name) && ends(name.len()) {
                self.at += name.len();
                return Some(0);
            }
        }
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
