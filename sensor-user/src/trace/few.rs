//! A list that mostly has one element, which needs no memory of its own, and that lists no more than
//! [`LISTED`]: whatever is done to it takes the same time, however many there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash};

/// Owners of one piece of evidence that are listed; more are only counted. Two already prove nothing
/// by themselves.
pub(super) const LISTED: usize = 16;

/// At least one, listed or not.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    more: Vec<T>,
    /// Those beyond [`LISTED`].
    unlisted: u32,
}

/// An element was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Listed,
    Unlisted,
}

impl<T: Copy> Few<T> {
    const fn new(first: T) -> Self {
        Self { first: Some(first), more: Vec::new(), unlisted: 0 }
    }

    /// False where it is only counted.
    fn push(&mut self, next: T) -> bool {
        if self.first.is_none() {
            self.first = Some(next);
        } else if self.more.len() + 1 < LISTED {
            self.more.push(next);
        } else {
            self.unlisted += 1;
            return false;
        }
        true
    }

    /// All of them are listed.
    pub(super) fn is_whole(&self) -> bool {
        self.unlisted == 0
    }

    /// Those that are listed.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + Clone + '_ {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    /// Changes each of those that are listed.
    pub(super) fn change(&mut self, mut change: impl FnMut(&mut T)) {
        self.first.iter_mut().for_each(&mut change);
        self.more.iter_mut().for_each(change);
    }

    /// Takes one out; one that is not listed is one of the others.
    fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> Left {
        if let Some(at) = self.more.iter().position(&is_it) {
            self.more.swap_remove(at);
        } else if self.first.as_ref().is_some_and(is_it) {
            self.first = self.more.pop();
        } else {
            self.unlisted = self.unlisted.saturating_sub(1);
            return Left::Unlisted;
        }
        Left::Listed
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.unlisted == 0
    }
}

/// Puts one more under a key. False where it is only counted.
pub(super) fn enter<K: Hash + Eq, T: Copy, S: BuildHasher>(
    map: &mut HashMap<K, Few<T>, S>,
    key: K,
    next: T,
) -> bool {
    match map.entry(key) {
        Entry::Vacant(place) => {
            place.insert(Few::new(next));
            true
        }
        Entry::Occupied(mut there) => there.get_mut().push(next),
    }
}

/// Takes one out from under a key, where it was put, and the key with the last.
pub(super) fn leave<K: Hash + Eq, T: Copy, S: BuildHasher>(
    map: &mut HashMap<K, Few<T>, S>,
    key: K,
    is_it: impl Fn(&T) -> bool,
) -> Option<Left> {
    let Entry::Occupied(mut there) = map.entry(key) else { return None };
    let left = there.get_mut().remove(is_it);
    if there.get().is_empty() {
        there.remove();
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_and_not_listed() {
        let mut map: HashMap<u8, Few<usize>> = HashMap::new();
        for n in 0..1000 {
            assert_eq!(enter(&mut map, 0, n), n < LISTED, "{n}");
        }
        let few = &map[&0];
        assert!(!few.is_whole());
        assert_eq!(few.iter().collect::<Vec<_>>(), (0..LISTED).collect::<Vec<_>>());
        for n in 0..LISTED {
            assert_eq!(leave(&mut map, 0, |&it| it == n), Some(Left::Listed));
        }
        assert_eq!(map[&0].iter().next(), None);
        assert!(!map[&0].is_whole(), "there are others");
        // There is room, and it is still unknown who the others are.
        assert!(enter(&mut map, 0, 1000));
        assert!(!map[&0].is_whole());
        for n in LISTED..1000 {
            assert_eq!(leave(&mut map, 0, |&it| it == n), Some(Left::Unlisted));
        }
        assert!(map[&0].is_whole());
        assert_eq!(leave(&mut map, 0, |&it| it == 1000), Some(Left::Listed));
        assert!(map.is_empty());
        assert_eq!(leave(&mut map, 0, |_| true), None);
    }
}
