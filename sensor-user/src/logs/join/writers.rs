//! The writers of whom something is held, the longest untouched first.

use rustc_hash::FxHashMap;

use super::Key;
use super::writer::Writer;
use crate::capture::event::Monotonic;

/// No slot.
const NONE: u32 = u32::MAX;

/// What a writer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Nothing: it is only known to be within a line.
    Midway,
    /// The end of a line.
    Line,
    /// The rest of a line that is in a buffer.
    Flushed,
    /// Another line of a record.
    Record,
}

impl Queue {
    fn of<T: Copy>(writer: &Writer<T>) -> Self {
        if let Some(line) = &writer.line {
            if line.flushed { Self::Flushed } else { Self::Line }
        } else if writer.holds_text() {
            Self::Record
        } else {
            Self::Midway
        }
    }
}

/// All of them. Keys are chosen by the kernel: the fast hash is safe for them.
#[derive(Debug)]
pub(super) struct Writers<T> {
    index: FxHashMap<Key, u32>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// First and last of each queue.
    ends: [(u32, u32); 4],
    held: usize,
}

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    writer: Writer<T>,
    touched: Monotonic,
    held: usize,
    queue: Queue,
    before: u32,
    after: u32,
}

impl<T: Copy> Writers<T> {
    pub(super) fn new() -> Self {
        Self {
            index: FxHashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            ends: [(NONE, NONE); 4],
            held: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes that are held for all of them.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Writer<T>> {
        let at = *self.index.get(&key)?;
        self.slots.get_mut(at as usize).map(|slot| &mut slot.writer)
    }

    /// Takes a writer out.
    pub(super) fn take(&mut self, key: Key) -> Option<Writer<T>> {
        let at = self.index.remove(&key)?;
        self.unlink(at);
        let slot = &mut self.slots[at as usize];
        self.held -= slot.held;
        self.free.push(at);
        Some(std::mem::take(&mut slot.writer))
    }

    /// Puts one in that is not there, as the last that was touched.
    pub(super) fn put(&mut self, key: Key, writer: Writer<T>, now: Monotonic) {
        let queue = Queue::of(&writer);
        let held = writer.held();
        self.held += held;
        let slot = Slot { key, writer, touched: now, held, queue, before: NONE, after: NONE };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        self.index.insert(key, at);
        self.link(at, queue);
    }

    /// The one in a queue that was not touched for longest, and when it was.
    pub(super) fn oldest(&self, queue: Queue) -> Option<(Key, Monotonic)> {
        let slot = self.slots.get(self.ends[queue as usize].0 as usize)?;
        Some((slot.key, slot.touched))
    }

    /// All of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.index.keys().copied()
    }

    fn link(&mut self, at: u32, queue: Queue) {
        let (first, last) = &mut self.ends[queue as usize];
        let before = std::mem::replace(last, at);
        if before == NONE {
            *first = at;
        }
        self.slots[at as usize].before = before;
        if let Some(slot) = self.slots.get_mut(before as usize) {
            slot.after = at;
        }
    }

    fn unlink(&mut self, at: u32) {
        let &Slot { before, after, queue, .. } = &self.slots[at as usize];
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.after = after,
            None => self.ends[queue as usize].0 = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.before = before,
            None => self.ends[queue as usize].1 = before,
        }
    }
}
