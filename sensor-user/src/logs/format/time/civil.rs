//! Dates and times of day as loggers write them.

mod zone;

/// What is written, and no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Written {
    pub(in super::super) year: Option<i64>,
    /// Month and day.
    pub(in super::super) day: Option<(u32, u32)>,
    /// Three numbers of which none is known to be the year, the month or the day: `26/11/30`,
    /// `11/30/2026`.
    pub(in super::super) numeric: Option<[u32; 3]>,
    /// Of the day.
    pub(in super::super) second: u32,
    /// Of the second.
    pub(in super::super) ns: u32,
    /// Seconds ahead of UTC.
    pub(in super::super) offset: Option<i32>,
    /// The same by a zone's name (`CEST`): names are not unique, so this is a guess that needs
    /// proof.
    pub(in super::super) named: Option<i32>,
}

/// Reads the time that the text begins with; gives its length too.
///
/// ```text
/// 2026-11-21T13:28:04.562Z     2026-11-21 13:28:03,187      2026/11/21 13:28:04   RFC 3339, ISO 8601, Go, nginx
/// 20261121T132804Z             20261121 13:28:04,187        2026-11-21T13:28Z     ISO 8601: basic, without seconds
/// 2026/11/21 - 13:28:04        2026-11-21 13:28:04 +0000    2026-11-21  3:28:04   gin, gunicorn, MariaDB
/// 2026-11-21 13:28:04.5 +0100 CET m=+0.1                    2026-11-21T13:28Z[UTC]       Go's String, Java's
/// 21/Nov/2026:13:28:51 +0000   21/Nov/2026 13:28:04         21 Nov 2026 13:28:04  access logs, werkzeug, Redis
/// Sat Nov 21 13:28:50.123456 2026     Nov 21 13:28:50       Nov 21, 2026 1:28:50 PM      Apache, syslog, Java
/// Sat Nov 21 13:28:50 UTC 2026        Sat Nov 21 2026 13:28:50 GMT+0000 (…)       Java's Date, JavaScript's
/// 26/11/21 13:28:04            11/21/2026, 1:28:04 PM       21.11.2026 13:28:04   Spark, Nest, German
/// 13:28:03.187                                                                    logback
/// ```
pub(in super::super) fn read(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let digits = text.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let mut written = match (digits, text.get(digits)) {
        (2, Some(b':')) => scan.time(Written::default())?,
        (8, Some(b'T' | b' ')) => scan.basic()?,
        (4, _) => scan.year_first()?,
        (1 | 2, Some(b'/' | b'.' | b'-'))
            if text.get(digits + 1).is_some_and(u8::is_ascii_digit) =>
        {
            scan.numbers()?
        }
        (1 | 2, _) => scan.day_first()?,
        (0, Some(b'A'..=b'Z')) => scan.name_first()?,
        _ => return None,
    };
    if written.offset.is_none() && written.named.is_none() {
        scan.zone(&mut written);
    }
    // Not the beginning of something longer.
    let ended = scan.peek(0).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ended.then_some((written, scan.at))
}

/// `1121 13:28:04.563535`, after the letter that klog begins with; glog has the year since version 0.5.
pub(in super::super) fn klog(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let long = text.get(..8).is_some_and(|date| date.iter().all(u8::is_ascii_digit));
    let year = if long { Some(i64::from(scan.number(4)?)) } else { None };
    let day = (scan.number(2)?, scan.number(2)?);
    scan.byte(b' ')?;
    Some((scan.time(Written { year, day: Some(day), ..Written::default() })?, scan.at))
}

/// `261121 13:28:04.563535`, as CockroachDB has it.
pub(in super::super) fn cockroach(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let year = 2000 + i64::from(scan.number(2)?);
    let day = (scan.number(2)?, scan.number(2)?);
    scan.byte(b' ')?;
    let date = Written { year: Some(year), day: Some(day), offset: Some(0), ..Written::default() };
    Some((scan.time(date)?, scan.at))
}

/// `11-21 13:28`: Python's documentation has it as a `datefmt`. Too short to be a time anywhere.
pub(in super::super) fn short(text: &[u8]) -> Option<(Written, usize)> {
    let mut scan = Scan { text, at: 0 };
    let month = scan.number(2)?;
    scan.byte(b'-')?;
    let day = scan.number(2)?;
    scan.byte(b' ')?;
    // Of any year: a leap one has all days.
    days(2000, month, day)?;
    let hour = scan.number(2).filter(|&hour| hour < 24)?;
    scan.byte(b':')?;
    let minute = scan.number(2).filter(|&minute| minute < 60)?;
    let second = hour * 3600 + minute * 60;
    let ended = scan.peek(0) == Some(b' ');
    ended.then_some((Written { day: Some((month, day)), second, ..Written::default() }, scan.at))
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
        let date = Written { year: Some(year), day: Some((month, day)), ..Written::default() };
        match self.peek(0)? {
            b'T' | b't' | b'_' => self.at += 1,
            b' ' if self.text.get(self.at..).is_some_and(|it| it.starts_with(b" - ")) => {
                self.at += 3;
            }
            // Airflow.
            b',' if self.peek(1) == Some(b' ') => self.at += 2,
            // MariaDB pads the hour with a space.
            b' ' => self.at += 1 + usize::from(self.peek(1) == Some(b' ')),
            _ => return None,
        }
        self.time_or_minute(date)
    }

    /// `20261121T132804Z`, `20261121 13:28:04`.
    fn basic(&mut self) -> Option<Written> {
        let year = i64::from(self.number(4)?);
        let (month, day) = (self.number(2)?, self.number(2)?);
        days(year, month, day)?;
        self.at += 1;
        let date = Written { year: Some(year), day: Some((month, day)), ..Written::default() };
        if self.peek(2) == Some(b':') {
            return self.time(date);
        }
        let hour = self.number(2).filter(|&hour| hour < 24)?;
        let minute = self.number(2).filter(|&minute| minute < 60)?;
        let second = self.number(2).filter(|&second| second <= 60)?.min(59);
        let second = hour * 3600 + minute * 60 + second;
        Some(Written { second, ns: self.fraction(), ..date })
    }

    /// Three numbers in an order that is not known.
    fn numbers(&mut self) -> Option<Written> {
        let first = self.one_or_two()?;
        let dash = self.peek(0)?;
        self.at += 1;
        let second = self.one_or_two()?;
        self.byte(dash)?;
        let third = self.number(4).or_else(|| self.number(2))?;
        if self.peek(0) == Some(b',') {
            self.at += 1;
        }
        self.byte(b' ')?;
        self.time(Written { numeric: Some([first, second, third]), ..Written::default() })
    }

    fn one_or_two(&mut self) -> Option<u32> {
        let two = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        self.number(if two { 2 } else { 1 })
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
        self.time(Written { year: Some(year), day: Some((month, day)), ..Written::default() })
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
        let comma = self.byte(b',').is_some();
        self.byte(b' ')?;
        let date = Written { day: Some((month, day)), ..Written::default() };
        // `Nov 21, 2026 1:28:50 PM`, `Nov 21 2026 13:28:50`: the year may be before the time.
        let before = self.at;
        let year = self.number(4).filter(|_| self.peek(0) == Some(b' '));
        if let Some(year) = year.map(i64::from) {
            days(year, month, day)?;
            self.at += 1;
            return self.time(Written { year: Some(year), ..date });
        }
        self.at = before;
        if comma {
            return None;
        }
        let mut written = self.time(date)?;
        let before = self.at;
        // Java: the zone is between the time and the year.
        self.zone(&mut written);
        let year = self.byte(b' ').and_then(|()| self.number(4));
        match year {
            Some(year) if !self.peek(0).is_some_and(|byte| byte.is_ascii_alphanumeric()) => {
                days(i64::from(year), month, day)?;
                written.year = Some(i64::from(year));
            }
            _ => {
                self.at = before;
                (written.offset, written.named) = (None, None);
            }
        }
        Some(written)
    }

    /// `13:28:03`, with a fraction after a dot or a comma; with AM or PM, the hour may have one
    /// digit.
    fn time(&mut self, date: Written) -> Option<Written> {
        let two = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        let padded = self.at > 0 && self.text.get(self.at - 1) == Some(&b' ');
        let hour = self.number(if two { 2 } else { 1 }).filter(|&hour| hour < 24)?;
        self.byte(b':')?;
        let minute = self.number(2).filter(|&minute| minute < 60)?;
        self.byte(b':')?;
        // A leap second is told as the one before it.
        let second = self.number(2).filter(|&second| second <= 60)?.min(59);
        let ns = self.fraction();
        let hour = match self.half() {
            Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
            None => Some(hour).filter(|_| two || padded)?,
        };
        Some(Written { second: hour * 3600 + minute * 60 + second, ns, ..date })
    }

    /// A time behind a whole date, perhaps without seconds.
    fn time_or_minute(&mut self, date: Written) -> Option<Written> {
        if self.peek(2) != Some(b':') || self.peek(5) == Some(b':') {
            return self.time(date);
        }
        let hour = self.number(2).filter(|&hour| hour < 24)?;
        self.byte(b':')?;
        let minute = self.number(2).filter(|&minute| minute < 60)?;
        Some(Written { second: hour * 3600 + minute * 60, ..date })
    }

    /// Nanoseconds behind a dot or a comma, if they are there.
    fn fraction(&mut self) -> u32 {
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
        ns
    }

    /// ` AM` and ` PM`, as hours to add. Java has put a narrow space there since version 20.
    fn half(&mut self) -> Option<u32> {
        let rest = self.text.get(self.at..)?;
        let rest = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix("\u{202f}".as_bytes()))?;
        let half = match rest.get(..2)? {
            b"AM" => 0,
            b"PM" => 12,
            _ => return None,
        };
        if rest.get(2).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        self.at = self.text.len() - rest.len() + 2;
        Some(half)
    }
}
