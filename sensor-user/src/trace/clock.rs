//! From the kernel's monotonic clock to wall-clock time.

use crate::capture::event::{ClockSync, Monotonic};

/// The last two readings of both clocks.
#[derive(Debug, Default)]
pub(super) struct Clock {
    before: Option<ClockSync>,
    latest: Option<ClockSync>,
}

impl Clock {
    pub(super) fn sync(&mut self, sync: ClockSync) {
        self.before = self.latest.replace(sync);
    }

    pub(super) fn is_set(&self) -> bool {
        self.latest.is_some()
    }

    /// The monotonic clock, by the latest reading.
    pub(super) fn now(&self) -> Option<Monotonic> {
        self.latest.map(|sync| sync.monotonic)
    }

    /// Nanoseconds since the Unix epoch, by the latest reading at or before `time`; 0 where there
    /// was no reading at all.
    pub(super) fn unix_ns(&self, time: Monotonic) -> u64 {
        let sync = match (self.latest, self.before) {
            (Some(latest), Some(before)) if latest.monotonic > time => before,
            (Some(latest), _) => latest,
            (None, _) => return 0,
        };
        let at = i128::from(sync.unix_ns) + i128::from(time.0) - i128::from(sync.monotonic.0);
        u64::try_from(at.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_latest_reading_at_or_before() {
        let mut clock = Clock::default();
        let reading = |monotonic, unix_ns| ClockSync { monotonic: Monotonic(monotonic), unix_ns };
        clock.sync(reading(100, 5_000));
        assert_eq!(clock.unix_ns(Monotonic(100)), 5_000);
        assert_eq!(clock.unix_ns(Monotonic(90)), 4_990);
        // The wall clock was set back by 1,000 in the meantime.
        clock.sync(reading(200, 4_100));
        assert_eq!(clock.unix_ns(Monotonic(199)), 5_099);
        assert_eq!(clock.unix_ns(Monotonic(200)), 4_100);
        assert_eq!(clock.unix_ns(Monotonic(250)), 4_150);
        clock.sync(reading(300, 0));
        assert_eq!(clock.unix_ns(Monotonic(0)), 3_900);
    }
}
