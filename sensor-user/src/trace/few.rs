//! A list that mostly has one element, which needs no memory of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash};

/// At least one.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    first: T,
    more: Vec<T>,
}

impl<T: Copy> Few<T> {
    const fn new(first: T) -> Self {
        Self { first, more: Vec::new() }
    }

    fn push(&mut self, next: T) {
        self.more.push(next);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + Clone + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Changes each of them.
    pub(super) fn change(&mut self, mut change: impl FnMut(&mut T)) {
        change(&mut self.first);
        self.more.iter_mut().for_each(change);
    }

    /// Takes one out; true if it was the last.
    fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> bool {
        if let Some(at) = self.more.iter().position(&is_it) {
            self.more.swap_remove(at);
        } else if is_it(&self.first) {
            match self.more.pop() {
                Some(other) => self.first = other,
                None => return true,
            }
        }
        false
    }
}

/// Puts one more under a key.
pub(super) fn enter<K: Hash + Eq, T: Copy, S: BuildHasher>(
    map: &mut HashMap<K, Few<T>, S>,
    key: K,
    next: T,
) {
    match map.entry(key) {
        Entry::Vacant(place) => {
            place.insert(Few::new(next));
        }
        Entry::Occupied(mut there) => there.get_mut().push(next),
    }
}

/// Takes one out from under a key, and the key with the last.
pub(super) fn leave<K: Hash + Eq, T: Copy, S: BuildHasher>(
    map: &mut HashMap<K, Few<T>, S>,
    key: K,
    is_it: impl Fn(&T) -> bool,
) {
    if let Entry::Occupied(mut there) = map.entry(key)
        && there.get_mut().remove(is_it)
    {
        there.remove();
    }
}
