//! Records of which it is not known yet whose they are, by the exchange that they wait for.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::capture::event::{Monotonic, ProcessKey};
use crate::model::{LogIds, LogRecord};
use crate::trace::{Owner, ServerId};

/// How long the first record waits for an exchange, and all others with it, in nanoseconds: as long as a span
/// waits.
const FORCED: u64 = 10_000_000_000;

/// So many entries of the order may be for nothing, beside as many as there are exchanges.
const SPARE: usize = 1024;

/// A record, and what says whose it is.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) process: ProcessKey,
    pub(super) owner: Owner,
    pub(super) ids: LogIds,
    pub(super) record: Box<LogRecord>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting {
    by_server: FxHashMap<ServerId, Group>,
    /// The exchanges by when the first record began to wait for them. For some, none waits any more, or none that
    /// has waited since then.
    order: VecDeque<(Monotonic, ServerId)>,
    len: usize,
    bytes: usize,
    len_max: usize,
    bytes_max: usize,
}

/// The records that wait for an exchange.
#[derive(Debug)]
struct Group {
    since: Monotonic,
    /// At least one.
    records: Vec<Unsettled>,
}

impl Waiting {
    /// At most so many, with so many bytes of text.
    pub(super) fn new(len_max: usize, bytes_max: usize) -> Self {
        let (by_server, order) = Default::default();
        Self { by_server, order, len: 0, bytes: 0, len_max, bytes_max }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a record behind all others that wait for the exchange. Says whether it is the first.
    pub(super) fn add(&mut self, server: ServerId, unsettled: Unsettled, now: Monotonic) -> bool {
        self.len += 1;
        self.bytes += weight(&unsettled);
        match self.by_server.entry(server) {
            Entry::Occupied(mut there) => {
                there.get_mut().records.push(unsettled);
                false
            }
            Entry::Vacant(place) => {
                place.insert(Group { since: now, records: vec![unsettled] });
                self.order.push_back((now, server));
                if self.order.len() > 2 * self.by_server.len() + SPARE {
                    let Self { by_server, order, .. } = self;
                    order.retain(|&entry| is_waiting(by_server, entry));
                }
                true
            }
        }
    }

    /// Takes the records that wait for an exchange and for which `is_known`, in their order; and says whether
    /// others are left.
    pub(super) fn take(
        &mut self,
        server: ServerId,
        mut is_known: impl FnMut(&Unsettled) -> bool,
    ) -> (Vec<Unsettled>, bool) {
        let Entry::Occupied(mut there) = self.by_server.entry(server) else {
            return (Vec::new(), false);
        };
        let taken: Vec<_> = there.get_mut().records.extract_if(.., |it| is_known(it)).collect();
        let left = !there.get().records.is_empty();
        if !left {
            there.remove();
        }
        self.len -= taken.len();
        self.bytes -= taken.iter().map(weight).sum::<usize>();
        (taken, left)
    }

    /// The exchange for which records wait for longest, if that is too long, or if there are too many.
    pub(super) fn overdue(&mut self, now: Monotonic) -> Option<ServerId> {
        while let Some(&(since, server)) = self.order.front() {
            let full = self.len > self.len_max || self.bytes > self.bytes_max;
            if !full && since.0.saturating_add(FORCED) > now.0 {
                return None;
            }
            self.order.pop_front();
            if is_waiting(&self.by_server, (since, server)) {
                return Some(server);
            }
        }
        None
    }

    /// Any exchange for which records wait, the one for longest first.
    pub(super) fn next(&mut self) -> Option<ServerId> {
        while let Some(entry) = self.order.pop_front() {
            if is_waiting(&self.by_server, entry) {
                return Some(entry.1);
            }
        }
        None
    }
}

/// Whether records have waited for the exchange since then.
fn is_waiting(
    by_server: &FxHashMap<ServerId, Group>,
    (since, server): (Monotonic, ServerId),
) -> bool {
    by_server.get(&server).is_some_and(|group| group.since == since)
}

/// About the memory that a record takes.
fn weight(unsettled: &Unsettled) -> usize {
    let LogRecord { message, attributes, .. } = &*unsettled.record;
    size_of::<LogRecord>() + message.len() + attributes.len() * 96
}
