//! Whether a field name may be among some others, without comparing it with them.

/// A set of field names as a filter: it never misses one that was put in, and now and then takes
/// another for one. Case does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSet(u64);

impl NameSet {
    /// These names.
    pub const fn of(names: &[&str]) -> Self {
        let mut set = Self(0);
        let mut at = 0;
        while at < names.len() {
            set = set.with(names[at].as_bytes());
            at += 1;
        }
        set
    }

    /// The same, and this name.
    #[must_use]
    #[inline]
    pub const fn with(self, name: &[u8]) -> Self {
        Self(self.0 | bit(name))
    }

    /// False where it certainly was not put in.
    #[inline]
    pub const fn may_have(self, name: &[u8]) -> bool {
        self.0 & bit(name) != 0
    }

    /// False where they certainly have no name in common.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A name's place by its length and its two ends. The factors are those that keep the names of
/// trace contexts and request ids apart from the fields that most messages have.
#[inline]
const fn bit(name: &[u8]) -> u64 {
    let (first, last) = match name {
        [] => return 0,
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
    };
    let ends = (first | 0x20) as usize * 28 + (last | 0x20) as usize * 11;
    1 << ((name.len() * 42 + ends) % 64)
}

#[cfg(test)]
mod tests {
    use super::NameSet;

    #[test]
    fn no_name_is_missed_in_any_case() {
        let names = ["b3", "x-request-id", "Traceresponse", "a"];
        let set = NameSet::of(&names);
        for name in names {
            assert!(set.may_have(name.to_ascii_uppercase().as_bytes()));
            assert!(set.may_have(name.to_ascii_lowercase().as_bytes()));
            assert!(set.meets(NameSet::default().with(name.as_bytes())));
        }
        assert!(!set.may_have(b""));
        assert!(!NameSet::default().may_have(b"b3") && !set.meets(NameSet::default()));
    }
}
