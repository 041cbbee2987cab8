//! Items that wait, by owner and by stream, and how much of the queue each owner holds.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::Grouping;

/// Owners with a share of their own. All further ones have one share together, as [`OTHERS`].
pub(super) const OWNERS_MAX: usize = 256;

/// Streams of one owner that wait apart. All further ones wait in one lane, as [`OTHERS`].
pub(super) const STREAMS_MAX: usize = 64;

/// The key of all that have none of their own. An owner or stream with this hash shares it.
const OTHERS: u64 = 0;

/// The lane of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) struct LaneKey {
    /// Hash of the container or service that the item comes from.
    pub(in crate::export) owner: u64,
    /// Hash of what the backend keeps in order, among the streams of one owner.
    pub(in crate::export) stream: u64,
}

/// Items, and about how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Amount {
    pub(super) fn one(bytes: usize) -> Self {
        Self { items: 1, bytes }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
    }

    /// The difference, zero where `other` is more.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            items: self.items.saturating_sub(other.items),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    pub(super) fn times(self, factor: usize) -> Self {
        Self { items: self.items.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor) }
    }

    /// Whether it stays within `limit` with one more item of this weight. A first item always does.
    pub(super) fn takes(self, weight: usize, limit: Self) -> bool {
        self.items == 0
            || (self.items < limit.items && self.bytes.saturating_add(weight) <= limit.bytes)
    }

    fn reaches(self, limit: Self) -> bool {
        self.items >= limit.items || self.bytes >= limit.bytes
    }
}

/// Items for one request. Its lanes are charged with them until the ticket is given back.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) items: Vec<T>,
    pub(super) ticket: Ticket,
}

/// The lanes of a batch, and how much of it is of each.
#[derive(Debug, Default)]
pub(super) struct Ticket(Vec<(LaneKey, Amount)>);

impl Ticket {
    pub(super) fn sum(&self) -> Amount {
        let mut sum = Amount::default();
        self.0.iter().for_each(|(_, amount)| sum.add(*amount));
        sum
    }
}

/// When the next batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// There is nothing that may be taken.
    Never,
}

#[derive(Debug)]
pub(super) struct Lanes<T> {
    grouping: Grouping,
    /// The most for one request.
    batch: Amount,
    owners: FxHashMap<u64, Owner<T>>,
    /// The keys of all owners, in the order of their turns.
    turns: VecDeque<u64>,
    waiting: Amount,
}

#[derive(Debug)]
struct Owner<T> {
    /// In the order of their turns.
    streams: Vec<Stream<T>>,
    /// Waiting and under way.
    held: Amount,
    /// The log has named it as one that is refused items.
    named: bool,
}

#[derive(Debug)]
struct Stream<T> {
    key: u64,
    /// Each with its weight.
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
    /// When it began to wait: the first item since it was last empty.
    since: Instant,
    /// A batch of it is not settled, so later items have to wait. With [`Grouping::Stream`] only.
    busy: bool,
}

impl<T> Stream<T> {
    fn new(key: u64, since: Instant) -> Self {
        Self { key, waiting: VecDeque::new(), bytes: 0, since, busy: false }
    }

    fn amount(&self) -> Amount {
        Amount { items: self.waiting.len(), bytes: self.bytes }
    }

    fn due(&self, age: Duration, batch: Amount, now: Instant) -> Due {
        match () {
            () if self.busy || self.waiting.is_empty() => Due::Never,
            () if self.amount().reaches(batch) || self.since + age <= now => Due::Now,
            () => Due::At(self.since + age),
        }
    }

    /// Moves items into a batch that has `taken` already, in order, within the `share` of this
    /// stream and the `limit` of the batch.
    fn drain(
        &mut self,
        items: &mut Vec<T>,
        taken: &mut Amount,
        share: Amount,
        limit: Amount,
    ) -> Amount {
        let mut mine = Amount::default();
        while let Some((weight, item)) = self.waiting.pop_front() {
            if !taken.takes(weight, limit) || !mine.takes(weight, share) {
                self.waiting.push_front((weight, item));
                break;
            }
            self.bytes -= weight;
            mine.add(Amount::one(weight));
            taken.add(Amount::one(weight));
            items.push(item);
        }
        mine
    }
}

impl<T> Owner<T> {
    fn new() -> Self {
        Self { streams: Vec::new(), held: Amount::default(), named: false }
    }

    fn waits(&self) -> bool {
        self.streams.iter().any(|stream| !stream.waiting.is_empty())
    }

    /// The lane for a stream.
    fn stream(&mut self, key: u64, now: impl Fn() -> Instant) -> &mut Stream<T> {
        let find = |streams: &[Stream<T>], key| streams.iter().position(|it| it.key == key);
        let known = find(&self.streams, key).or_else(|| {
            let crowded = self.streams.len() >= STREAMS_MAX;
            crowded.then(|| find(&self.streams, OTHERS)).flatten()
        });
        let at = known.unwrap_or_else(|| {
            let key = if self.streams.len() < STREAMS_MAX { key } else { OTHERS };
            self.streams.push(Stream::new(key, now()));
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }
}

impl<T> Lanes<T> {
    pub(super) fn new(grouping: Grouping, batch: Amount) -> Self {
        let (owners, turns) = Default::default();
        Self { grouping, batch, owners, turns, waiting: Amount::default() }
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        assert_eq!(self.owners.len(), self.turns.len());
        self.owners.len()
    }

    /// How much of an owner waits or is under way.
    pub(super) fn held_by(&self, owner: u64) -> Amount {
        self.owners.get(&self.place(owner)).map_or_else(Amount::default, |owner| owner.held)
    }

    /// Marks the owner as named in the log. Whether it was not yet.
    pub(super) fn name(&mut self, owner: u64) -> bool {
        let key = self.place(owner);
        self.owners.get_mut(&key).is_some_and(|owner| !std::mem::replace(&mut owner.named, true))
    }

    fn place(&self, owner: u64) -> u64 {
        let has_place = self.owners.len() < OWNERS_MAX || self.owners.contains_key(&owner);
        if has_place { owner } else { OTHERS }
    }

    /// Appends an item. Whether that changes when the next batch is due.
    pub(super) fn push(
        &mut self,
        lane: LaneKey,
        weight: usize,
        item: T,
        now: impl Fn() -> Instant,
    ) -> bool {
        let key = self.place(lane.owner);
        let owner = self.owners.entry(key).or_insert_with(|| {
            self.turns.push_back(key);
            Owner::new()
        });
        let one = Amount::one(weight);
        owner.held.add(one);
        let before = self.waiting;
        self.waiting.add(one);
        let stream = owner.stream(lane.stream, &now);
        let was = stream.amount();
        if was.items == 0 {
            stream.since = now();
        }
        stream.waiting.push_back((weight, item));
        stream.bytes += weight;
        let (was, is) = match self.grouping {
            Grouping::Mixed => (before, self.waiting),
            Grouping::Stream => (was, stream.amount()),
        };
        !stream.busy && (was.items == 0 || is.reaches(self.batch) && !was.reaches(self.batch))
    }

    /// When the next batch is due. Items wait for `age`, unless there are enough for a batch.
    pub(super) fn due(&self, age: Duration, now: Instant) -> Due {
        if self.grouping == Grouping::Mixed && self.waiting.reaches(self.batch) {
            return Due::Now;
        }
        let streams = self.owners.values().flat_map(|owner| &owner.streams);
        let mut first = Due::Never;
        for stream in streams {
            match (stream.due(age, self.batch, now), first) {
                (Due::Now, _) => return Due::Now,
                (Due::At(at), Due::At(earlier)) if at >= earlier => {}
                (due @ Due::At(_), _) => first = due,
                (Due::Never, _) => {}
            }
        }
        first
    }

    /// Takes the next batch in turn of those that are due, or says when there will be one.
    pub(super) fn take(&mut self, age: Duration, now: Instant) -> Result<Batch<T>, Due> {
        match self.due(age, now) {
            Due::Now => {}
            later => return Err(later),
        }
        let batch = match self.grouping {
            Grouping::Mixed => self.take_of_all(),
            Grouping::Stream => self.take_of_one(age, now).ok_or(Due::Never)?,
        };
        self.waiting = self.waiting.minus(batch.ticket.sum());
        Ok(batch)
    }

    /// Round by round an equal part of every owner, until the batch is full or nothing is left.
    fn take_of_all(&mut self) -> Batch<T> {
        let mut items = Vec::with_capacity(self.waiting.items.min(self.batch.items));
        let mut shares: Vec<(LaneKey, Amount)> = Vec::new();
        let mut taken = Amount::default();
        loop {
            let before = taken;
            let active = self.owners.values().filter(|owner| owner.waits()).count();
            let room = self.batch.minus(taken);
            if active == 0 || room.items == 0 {
                break;
            }
            let share = Amount { items: room.items.div_ceil(active), bytes: room.bytes / active };
            for _ in 0..self.turns.len() {
                if taken.reaches(self.batch) {
                    break;
                }
                let Some(key) = self.turns.pop_front() else { break };
                self.turns.push_back(key);
                let Some(owner) = self.owners.get_mut(&key) else { continue };
                for stream in &mut owner.streams {
                    let mine = stream.drain(&mut items, &mut taken, share, self.batch);
                    if mine.items > 0 {
                        shares.push((LaneKey { owner: key, stream: stream.key }, mine));
                    }
                }
            }
            if taken == before {
                break;
            }
        }
        Batch { items, ticket: Ticket(shares) }
    }

    fn take_of_one(&mut self, age: Duration, now: Instant) -> Option<Batch<T>> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            self.turns.push_back(key);
            let Some(owner) = self.owners.get_mut(&key) else { continue };
            let due = |it: &Stream<T>| it.due(age, self.batch, now) == Due::Now;
            let Some(at) = owner.streams.iter().position(due) else { continue };
            let mut stream = owner.streams.remove(at);
            let mut items = Vec::with_capacity(stream.waiting.len().min(self.batch.items));
            let mut taken = Amount::default();
            stream.drain(&mut items, &mut taken, self.batch, self.batch);
            stream.busy = true;
            let lane = LaneKey { owner: key, stream: stream.key };
            owner.streams.push(stream);
            return Some(Batch { items, ticket: Ticket(vec![(lane, taken)]) });
        }
        None
    }

    /// Forgets all of it.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.grouping, self.batch);
    }

    /// Frees what a batch held, and its lanes.
    pub(super) fn release(&mut self, ticket: Ticket) {
        let Ticket(shares) = ticket;
        for (lane, amount) in shares {
            let Some(owner) = self.owners.get_mut(&lane.owner) else { continue };
            owner.held = owner.held.minus(amount);
            for stream in owner.streams.iter_mut().filter(|stream| stream.key == lane.stream) {
                stream.busy = false;
            }
            owner.streams.retain(|stream| stream.busy || !stream.waiting.is_empty());
            if owner.held.items == 0 {
                self.owners.remove(&lane.owner);
                self.turns.retain(|key| *key != lane.owner);
            }
        }
    }
}
