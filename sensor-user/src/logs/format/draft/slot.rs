//! A role of the schema, and the best of the fields that may fill it.

use std::borrow::Cow;

use super::super::key::Name;
use super::Raw;

/// A field that reads as what its role needs.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a, V> {
    pub(super) value: V,
    /// As it came: what becomes of it where a better one fills the role.
    pub(super) raw: Raw<'a>,
    pub(super) key: Cow<'static, str>,
    rank: u8,
}

/// Below all ranks of the table: an empty text, say, is better than nothing.
pub(super) const LAST: u8 = u8::MAX;

impl<'a, V> Slot<'a, V> {
    pub(super) fn new(key: &str, name: Name, raw: Raw<'a>, value: V) -> Self {
        // The table's own spelling needs no memory.
        let key =
            if key == name.plain { Cow::Borrowed(name.plain) } else { Cow::Owned(key.to_owned()) };
        Self { value, raw, key, rank: name.rank }
    }

    /// The same field, read as something else.
    pub(super) fn with<W>(self, value: W) -> Slot<'a, W> {
        let Self { value: _, raw, key, rank } = self;
        Slot { value, raw, key, rank }
    }

    pub(super) fn last(mut self) -> Self {
        self.rank = LAST;
        self
    }

    /// Fills the role with the better of the two; the other one is left over. Of equal ones, the
    /// first is better.
    pub(super) fn offer(self, role: &mut Option<Self>) -> Option<Self> {
        match role {
            Some(best) if best.rank <= self.rank => Some(self),
            _ => role.replace(self),
        }
    }
}
