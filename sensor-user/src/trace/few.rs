//! A list that mostly has one element, which needs no memory of its own.

/// At least one.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    first: T,
    more: Vec<T>,
}

impl<T: Copy> Few<T> {
    pub(super) const fn new(first: T) -> Self {
        Self { first, more: Vec::new() }
    }

    pub(super) fn push(&mut self, next: T) {
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
    pub(super) fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> bool {
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
