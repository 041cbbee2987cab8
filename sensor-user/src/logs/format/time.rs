//! When a record says that it was written.
//!
//! A time with a zone, or a number of units since the epoch, is what it says. One without a zone is in a zone that
//! nobody states: it is taken for UTC, for the host's zone or for the one whose name it has
//! (`CEST`: names are not unique) if it is then about the time at which the line was written, and
//! else for nothing. The same goes for one without a year or a day, or with numbers whose order is
//! not known (`11/30/2026`).

mod civil;
mod number;

pub(super) use civil::{Written, cockroach, klog, read, short};
pub(super) use number::epoch;

/// Seconds between what a line says and when it was written, up to which a zone is believed. The narrowest
/// distance of two zones is 15 minutes: never are two believed.
const NEAR: i64 = 300;

const DAY: i64 = 86_400;

/// Tells which moment a written time is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the line was written, in nanoseconds since the epoch.
    pub(super) observed_unix_ns: u64,
    /// Seconds that the host's clocks are ahead of UTC.
    pub(super) host_offset: i32,
}

impl Clock {
    /// Nanoseconds since the epoch; none where it is not known.
    pub(super) fn resolve(self, written: &Written) -> Option<u64> {
        let observed = i64::try_from(self.observed_unix_ns / 1_000_000_000).ok()?;
        let seconds = match written.offset {
            Some(offset) => self.dates(written).find_map(|date| {
                let at = whole(date, written.second, observed)? - i64::from(offset);
                // A zone proves a date, but not the order of its numbers.
                (written.numeric.is_none() || is_near(at, observed)).then_some(at)
            })?,
            None => {
                let zones = [0, self.host_offset, written.named.unwrap_or(0)];
                let offsets = || zones.into_iter().map(i64::from);
                self.dates(written).find_map(|date| {
                    offsets().find_map(|offset| {
                        let at = whole(date, written.second, observed + offset)? - offset;
                        is_near(at, observed).then_some(at)
                    })
                })?
            }
        };
        u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(written.ns.into())
    }

    /// The dates that may be meant: one, or each order of three numbers.
    fn dates(self, written: &Written) -> impl Iterator<Item = Date> + use<> {
        let orders = match written.numeric {
            Some([first, second, third]) => {
                let date = |year: u32, month, day| {
                    let year = if year < 100 { 2000 + year } else { year };
                    Some(Date { year: Some(year.into()), day: Some((month, day)) })
                };
                // 26/11/30, 11/30/2026, 30/11/2026.
                [date(first, second, third), date(third, first, second), date(third, second, first)]
            }
            None => [Some(Date { year: written.year, day: written.day }), None, None],
        };
        orders.into_iter().flatten()
    }
}

/// A date, as far as it is written.
#[derive(Clone, Copy, Debug)]
struct Date {
    year: Option<i64>,
    /// Month and day.
    day: Option<(u32, u32)>,
}

fn is_near(at: i64, observed: i64) -> bool {
    at.abs_diff(observed) <= NEAR.unsigned_abs()
}

/// Seconds since the epoch by the zone's own clocks, `now` by which it is; what is left out is what
/// makes it the nearest.
fn whole(date: Date, second: u32, now: i64) -> Option<i64> {
    let at = |days: i64| days * DAY + i64::from(second);
    match (date.year, date.day) {
        (Some(year), Some((month, day))) => civil::days(year, month, day).map(at),
        (None, Some((month, day))) => {
            let (this, _, _) = civil::date(now.div_euclid(DAY));
            [this - 1, this, this + 1]
                .into_iter()
                .filter_map(|year| civil::days(year, month, day).map(at))
                .min_by_key(|at| at.abs_diff(now))
        }
        (_, None) => {
            let today = now.div_euclid(DAY);
            [today - 1, today, today + 1].map(at).into_iter().min_by_key(|at| at.abs_diff(now))
        }
    }
}

/// A whole text that is a time, of any kind.
pub(super) fn text(text: &str, clock: Clock) -> Option<u64> {
    match read(text.as_bytes()) {
        Some((written, length)) if length == text.len() => clock.resolve(&written),
        _ => epoch(text),
    }
}

/// Whether it is a time of any kind, even if it is not known which moment.
pub(super) fn is_time(text: &str) -> bool {
    read(text.as_bytes()).is_some_and(|(_, length)| length == text.len()) || epoch(text).is_some()
}

#[cfg(test)]
mod tests;
