//! A map with a cap: when it is full, what was not used for longest (nearly: the clock algorithm,
//! one bit per entry) makes room.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Keys are chosen by the kernel or the sensor, never by a peer: the fast hash is safe for them.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    index: FxHashMap<K, u32>,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    hand: usize,
    cap: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    entry: Option<(K, V)>,
    used: bool,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    /// Room for `cap` entries, at least one; allocated as they come.
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            index: FxHashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            cap: cap.clamp(1, u32::MAX as usize),
        }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let slot = self.slots.get_mut(*self.index.get(&key)? as usize)?;
        slot.used = true;
        slot.entry.as_mut().map(|(_, value)| value)
    }

    /// What is there; it does not count as used by that.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let slot = self.slots.get(*self.index.get(&key)? as usize)?;
        slot.entry.as_ref().map(|(_, value)| value)
    }

    /// All of them, in no order; none counts as used by that.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref()).map(|(_, value)| value)
    }

    /// The keys, likewise.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref()).map(|(key, value)| (*key, value))
    }

    /// Inserts or replaces; gives the entry that had to make room.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let (at, evicted) = self.place(key);
        self.slots[at].entry = Some((key, value));
        evicted
    }

    /// What is there, or else what `make` makes, and the entry that had to make room for that.
    pub(crate) fn get_or_insert_with(
        &mut self,
        key: K,
        make: impl FnOnce() -> V,
    ) -> (&mut V, Option<(K, V)>) {
        let (at, evicted) = self.place(key);
        let (_, value) = self.slots[at].entry.get_or_insert_with(|| (key, make()));
        (value, evicted)
    }

    /// The slot of a key, which is empty where it is new; and the entry that had to make room.
    fn place(&mut self, key: K) -> (usize, Option<(K, V)>) {
        if let Some(&at) = self.index.get(&key) {
            self.slots[at as usize].used = true;
            return (at as usize, None);
        }
        let evicted = if self.index.len() >= self.cap { self.evict() } else { None };
        // Where it is used once only, it makes room before those that are used again.
        let slot = Slot { entry: None, used: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.index.insert(key, at);
        (at as usize, evicted)
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.index.remove(&key)?;
        self.free.push(at);
        self.slots[at as usize].entry.take().map(|(_, value)| value)
    }

    /// Removes those whose keys `keep` says no to.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let gone: Vec<K> = self.index.keys().filter(|key| !keep(key)).copied().collect();
        for key in gone {
            self.remove(key);
        }
    }

    /// The hand goes round: an entry used since it last came by is spared once.
    fn evict(&mut self) -> Option<(K, V)> {
        for _ in 0..=2 * self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            match &slot.entry {
                Some((key, _)) if !slot.used => {
                    let key = *key;
                    return self.remove(key).map(|value| (key, value));
                }
                _ => slot.used = false,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unused_one_makes_room() {
        let mut table = Table::new(3);
        for key in 0..3 {
            assert_eq!(table.insert(key, key * 10), None);
            table.get_mut(key);
        }
        // The hand takes every mark away once, then finds the first unused.
        let (first, _) = table.insert(3, 30).unwrap();
        assert!(table.get_mut(first).is_none());
        let kept: Vec<i32> = (0..3).filter(|key| *key != first).collect();
        table.get_mut(kept[0]);
        let (second, value) = table.insert(4, 40).unwrap();
        assert_eq!((second, value), (kept[1], kept[1] * 10));
        assert_eq!(table.remove(kept[0]), Some(kept[0] * 10));
        assert_eq!(table.insert(5, 50), None);
        assert_eq!((table.slots.len(), table.index.len()), (3, 3));
    }
}
