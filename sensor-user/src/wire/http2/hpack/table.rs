//! The dynamic table (RFC 7541 sections 2.3.2 and 4), as far as it is known.
//!
//! ```text
//!   index  1    2    3   ...                       the encoder's table
//!        +----+----+----+----+----+----+----+----+----+
//!        | known: inserted since we listen | older    |
//!        +----+----+----+----+----+----+----+----+----+
//!        ^ insertion                                  ^ eviction
//! ```
//!
//! Indexes count from the newest insertion, and only the oldest entry is ever evicted. So what is
//! known is always the front: an index within it is what was inserted there, whatever is behind it,
//! and one beyond it is an older entry or, where there can be none, an error. That holds without
//! knowing the table's size. If an entry that is thought to be there was evicted by the encoder, or
//! was too large for its table and emptied it (section 4.4), then everything behind it is gone as
//! well, and a valid encoder refers to none of that: it can at most be kept for nothing.
//!
//! The size is needed to know when older entries are certainly gone, and to keep no more than there
//! can be. The size of an entry whose name is unknown is at least that of its value and 32.

use std::collections::VecDeque;

/// What the table's size is until the encoder says otherwise (RFC 9113 section 6.5.2).
const INITIAL_SIZE: u32 = 4_096;

/// Bytes (of [`Table::held`]) kept of a table, however large the encoder may make it. Entries beyond
/// are unknown then.
pub(super) const KEPT_MAX: u32 = 64 << 10;

/// Bytes kept while neither the table's size nor a bound of it is known. Most encoders never go
/// beyond 4,096.
pub(super) const KEPT_UNSIZED: u32 = 16 << 10;

/// What an entry counts beyond its name and value (RFC 7541 section 4.1).
pub(super) const OVERHEAD: u32 = 32;

/// The first allocation, for strings: a connection whose headers never change takes no more.
const FIRST_ROOM: usize = 512;

/// The name of an entry to insert.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    /// These bytes, which are not in the table.
    Bytes(&'a [u8]),
    /// That of an entry.
    Held(Span),
    /// That of an entry which is not known.
    Unknown,
}

/// Where a name is in the table, until the next insertion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    len: u16,
}

/// What an index refers to.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// An entry whose insertion was seen.
    Known(Known<'a>),
    /// An entry older than that.
    Older,
    /// Nothing: the index is an error.
    Nothing,
}

/// An entry whose insertion was seen, though perhaps with a name that is not known.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) name: Option<(&'a [u8], Span)>,
    pub(super) value: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the name begins, and the value after it: counted from where `Table::bytes` began
    /// before anything was dropped from its front, and wrapping around.
    start: u32,
    name: Option<u16>,
    value: u16,
}

impl Entry {
    /// Bytes of its strings.
    fn len(self) -> u32 {
        u32::from(self.name.unwrap_or(0)) + u32::from(self.value)
    }
}

/// What is known of the encoder's dynamic table.
#[derive(Debug)]
pub(super) struct Table {
    /// The known ones, the newest one last.
    entries: VecDeque<Entry>,
    /// Their strings, in the same order, behind those of entries that are gone.
    bytes: Vec<u8>,
    /// The position of the first of `bytes`, as `Entry::start` counts.
    base: u32,
    /// The least size that the known entries can have.
    held: u32,
    /// How many known entries have no name.
    unnamed: u32,
    /// The encoder's maximum size, if it is known.
    max: Option<u32>,
    /// A bound of the size, if it is not.
    limit: Option<u32>,
    /// Whether the encoder's table may have entries older than the known ones.
    older: bool,
}

impl Table {
    /// The table of an encoder that has not written anything yet.
    pub(super) const fn new() -> Self {
        Self::with(Some(INITIAL_SIZE), false)
    }

    /// The table of an encoder of which nothing is known.
    pub(super) const fn unknown() -> Self {
        Self::with(None, true)
    }

    const fn with(max: Option<u32>, older: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            base: 0,
            held: 0,
            unnamed: 0,
            max,
            limit: None,
            older,
        }
    }

    /// Forgets everything but the limit.
    pub(super) fn lose(&mut self) {
        self.clear();
        self.max = None;
        self.older = true;
    }

    /// Whether every entry of the encoder's table is known, name and value.
    pub(super) fn is_complete(&self) -> bool {
        !self.older && self.unnamed == 0
    }

    /// How many entries are known.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says how large the table may become at most.
    pub(super) fn limit(&mut self, bytes: u32) {
        self.limit = Some(bytes);
    }

    /// A size update (section 6.3).
    pub(super) fn resize(&mut self, max: u32) {
        self.max = Some(max);
        self.evict(max);
        self.bury(max);
    }

    /// What the `nth` newest insertion was, counted from 0.
    pub(super) fn get(&self, nth: u32) -> Found<'_> {
        let place = self.entries.len().checked_sub(1 + nth as usize);
        if let Some(entry) = place.and_then(|place| self.entries.get(place)) {
            return Found::Known(self.known(*entry));
        }
        // Every entry takes its overhead of the table at least.
        let beyond = self.max.is_some_and(|max| nth >= max / OVERHEAD);
        if self.older && !beyond { Found::Older } else { Found::Nothing }
    }

    fn known(&self, entry: Entry) -> Known<'_> {
        let len = entry.name.unwrap_or(0);
        let start = entry.start.wrapping_sub(self.base) as usize;
        let (name, value) = (start..start + usize::from(len), usize::from(entry.value));
        let value = name.end..name.end + value;
        #[expect(clippy::indexing_slicing, reason = "an entry's strings stay while it does")]
        Known {
            name: entry.name.map(|len| (&self.bytes[name], Span { start: entry.start, len })),
            value: &self.bytes[value],
        }
    }

    /// Inserts an entry (section 4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let name_len = match name {
            Name::Bytes(bytes) => Some(bytes.len()),
            Name::Held(span) => Some(usize::from(span.len)),
            Name::Unknown => None,
        };
        let len = name_len.unwrap_or(0) + value.len();
        let size = u32::try_from(len).unwrap_or(u32::MAX).saturating_add(OVERHEAD);
        if let Some(max) = self.max {
            if size > max {
                self.clear();
                self.older = false;
                return;
            }
            self.evict(max - size);
        }
        let kept = self.kept();
        let (Some(room), Ok(value_len)) = (kept.checked_sub(size), u16::try_from(value.len()))
        else {
            self.older = true;
            return self.forget(0);
        };
        self.forget(room);

        let source = if let Name::Held(span) = name { Some(span) } else { None };
        self.make_room(len, source, kept as usize);
        let start = self.end();
        match name {
            Name::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
            Name::Held(span) => {
                let from = span.start.wrapping_sub(self.base) as usize;
                self.bytes.extend_from_within(from..from + usize::from(span.len));
            }
            Name::Unknown => self.unnamed += 1,
        }
        self.bytes.extend_from_slice(value);
        self.held += size;
        let name = name_len.and_then(|len| u16::try_from(len).ok());
        self.entries.push_back(Entry { start, name, value: value_len });
        if let Some(max) = self.max {
            self.bury(max);
        }
    }

    /// How much is kept.
    fn kept(&self) -> u32 {
        self.max.or(self.limit).map_or(KEPT_UNSIZED, |max| max.min(KEPT_MAX))
    }

    /// The position after the last string.
    fn end(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "positions wrap around")]
        self.base.wrapping_add(self.bytes.len() as u32)
    }

    /// The encoder evicted entries until those that are left take up to `size` bytes.
    fn evict(&mut self, size: u32) {
        while self.held > size {
            self.older = false;
            self.drop_oldest();
        }
    }

    /// Lets go of entries, which the encoder may still have, until those that are left take up to
    /// `size` bytes.
    fn forget(&mut self, size: u32) {
        while self.held > size {
            self.older = true;
            self.drop_oldest();
        }
    }

    /// There is nothing older where the known ones leave no room for it.
    fn bury(&mut self, max: u32) {
        if self.held.saturating_add(OVERHEAD) > max {
            self.older = false;
        }
    }

    fn drop_oldest(&mut self) {
        match self.entries.pop_front() {
            Some(entry) => {
                self.held -= entry.len() + OVERHEAD;
                self.unnamed -= u32::from(entry.name.is_none());
            }
            None => self.held = 0,
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        (self.base, self.held, self.unnamed) = (0, 0, 0);
    }

    /// Makes room for `len` bytes of strings without dropping those at `source`, which may be of an
    /// entry that is just gone.
    ///
    /// The strings of entries that are gone stay until there is no room. Then they are dropped if
    /// they are half of all, so that each byte moves once on average; else there is more room, up to
    /// twice of what is `kept`, where they are half of all in any case.
    fn make_room(&mut self, len: usize, source: Option<Span>, kept: usize) {
        if self.bytes.capacity() - self.bytes.len() >= len {
            return;
        }
        let first = self.entries.front().map_or_else(|| self.end(), |entry| entry.start);
        let gone = first.wrapping_sub(self.base);
        let source = source.map_or(gone, |span| span.start.wrapping_sub(self.base));
        let gone = gone.min(source);
        let full = self.bytes.len() + len > 2 * kept;
        if full || gone as usize >= self.bytes.len() / 2 {
            self.bytes.drain(..gone as usize);
            self.base = self.base.wrapping_add(gone);
        }
        let needed = self.bytes.len() + len;
        if needed > self.bytes.capacity() {
            let doubled = (2 * self.bytes.capacity()).clamp(FIRST_ROOM, (2 * kept).max(FIRST_ROOM));
            self.bytes.reserve_exact(doubled.max(needed) - self.bytes.len());
        }
    }
}

#[cfg(test)]
impl Table {
    /// Names (empty where unknown) and values, the newest one first.
    pub(super) fn dump(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let known = self.entries.iter().rev().map(|entry| self.known(*entry));
        known
            .map(|known| (known.name.map_or(vec![], |(name, _)| name.into()), known.value.into()))
            .collect()
    }

    /// See [`Table::held`].
    pub(super) fn size(&self) -> u32 {
        self.held
    }

    /// Bytes that it has allocated for strings.
    pub(super) fn allocated(&self) -> usize {
        self.bytes.capacity()
    }
}
