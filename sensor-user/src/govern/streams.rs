//! What is remembered of each stream of records: one service's writes to one place.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;
use siphasher::sip::SipHasher13;

use crate::model::LogRecord;

/// Streams that are told apart. When there are more, all begin anew: each with its burst, and its first record kept.
const STREAMS_MAX: usize = 8192;

/// A clock that was set back by more than this was set; by less, records are out of order.
const DISORDER: u64 = 60 * 1_000_000_000;

/// By stream.
#[derive(Debug)]
pub(super) struct Streams<T>(FxHashMap<u64, T>);

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<T: Default> Streams<T> {
    /// Of the record's stream; `rule` tells several of them apart.
    pub(super) fn of(&mut self, record: &LogRecord, rule: usize) -> &mut T {
        let mut hash = SipHasher13::new_with_keys(0x7374_7265_616d, 0);
        record.resource.service_name().hash(&mut hash);
        record.source.hash(&mut hash);
        rule.hash(&mut hash);
        let stream = hash.finish();
        if self.0.len() >= STREAMS_MAX && !self.0.contains_key(&stream) {
            self.0.clear();
        }
        self.0.entry(stream).or_default()
    }
}

/// So many records in so much time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds per record.
    interval: u64,
    /// How far ahead of its interval a record may be, in nanoseconds.
    ahead: u64,
}

impl Rate {
    /// `count` records (at least one in a day, at most 10^9 a second) in `period` nanoseconds, and `burst` of them at once. None for
    /// what is beyond that.
    pub fn new(count: f64, period: u64, burst: u64) -> Option<Self> {
        const DAY: f64 = 86_400e9;
        #[expect(clippy::cast_precision_loss, reason = "a period of a second, a minute or an hour")]
        let interval = period as f64 / count;
        if !(1.0..=DAY).contains(&interval) || burst == 0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 to the nanoseconds of a day"
        )]
        let interval = interval.round() as u64;
        Some(Self { interval, ahead: interval.checked_mul(burst - 1)? })
    }
}

/// How much of its rate a stream has used: the generic cell rate algorithm (ITU-T I.371), which is a bucket of tokens in
/// one number.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// When the next record is due, at that rate.
    due: u64,
}

impl Bucket {
    /// Whether there is room for another record at `now`. Time that does not move on gives none; nor does time that goes
    /// back, until it has done so by so much that the clock was set: then the bucket is empty, and fills from there.
    fn take(&mut self, rate: Rate, now: u64) -> bool {
        let Rate { interval, ahead } = rate;
        let full = now.saturating_add(ahead);
        if self.due > full.saturating_add(interval).saturating_add(DISORDER) {
            self.due = full.saturating_add(interval);
        }
        if self.due > full {
            return false;
        }
        self.due = self.due.max(now).saturating_add(interval);
        true
    }
}

/// What a stream has of its rate: errors have as much again for themselves, when the rest is used up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    all: Bucket,
    errors: Bucket,
}

impl Share {
    pub(super) fn take(&mut self, rate: Rate, now: u64, error: bool) -> bool {
        self.all.take(rate, now) || error && self.errors.take(rate, now)
    }
}
