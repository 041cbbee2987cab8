//! When a record says that it was written.
//!
//! A time with a zone, or a number of units since the epoch, is what it says. One without a zone is in a zone that
//! nobody states: it is taken for UTC or for the host's zone if it is then about the time at which the line was
//! written, and else for nothing. The same goes for one without a year or a day.

mod civil;
mod number;

pub(super) use civil::{Written, klog, read};
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
            Some(offset) => self.whole(written, observed)? - i64::from(offset),
            None => [0, self.host_offset].into_iter().find_map(|offset| {
                let offset = i64::from(offset);
                let at = self.whole(written, observed + offset)? - offset;
                (at.abs_diff(observed) <= NEAR.unsigned_abs()).then_some(at)
            })?,
        };
        u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(written.ns.into())
    }

    /// Seconds since the epoch by the zone's own clocks, `now` by which it is; what is left out is what
    /// makes it the nearest.
    fn whole(self, written: &Written, now: i64) -> Option<i64> {
        let second = i64::from(written.second);
        let at = |days: i64| days * DAY + second;
        match (written.year, written.day) {
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
