//! Executables that were looked at.

use std::collections::HashMap;
use std::sync::Arc;

use crate::capture::live::executable::{Executable, FileId, Version};
use crate::process::golang::Program;

/// Executables that are remembered.
const EXECUTABLES: usize = 1024;

/// What a look at an executable came to.
#[derive(Clone)]
pub(super) enum Outcome {
    /// It is written in Go, or not.
    Read(Option<Arc<Program>>),
    /// It was given up.
    Refused,
}

/// Which file, and when it was made, as its number may be used again. Its owner can set neither.
type Key = (FileId, Option<u128>);

struct Entry {
    key: Key,
    version: Version,
    outcome: Outcome,
    used: bool,
}

/// The executables of late. When there are too many, one that was not asked for lately goes (the clock
/// algorithm).
#[derive(Default)]
pub(super) struct Seen {
    entries: Vec<Entry>,
    places: HashMap<Key, usize>,
    hand: usize,
}

impl Seen {
    /// What is known of this version of an executable; of any version, where it was given up, so that
    /// touch(1) does not buy another look.
    pub(super) fn get(&mut self, executable: &Executable) -> Option<Outcome> {
        let &place = self.places.get(&key(executable))?;
        let entry = self.entries.get_mut(place)?;
        let known =
            matches!(entry.outcome, Outcome::Refused) || entry.version == executable.version();
        entry.used |= known;
        known.then(|| entry.outcome.clone())
    }

    pub(super) fn insert(&mut self, executable: &Executable, outcome: Outcome) {
        let key = key(executable);
        let entry = Entry { key, version: executable.version(), outcome, used: false };
        if let Some(&place) = self.places.get(&key) {
            self.entries[place] = entry;
            return;
        }
        let place = if self.entries.len() < EXECUTABLES {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.victim();
            self.places.remove(&self.entries[place].key);
            self.entries[place] = entry;
            place
        };
        self.places.insert(key, place);
    }

    /// Ends after at most one round, which leaves none in use.
    fn victim(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.entries.len();
            if !std::mem::take(&mut self.entries[place].used) {
                return place;
            }
        }
    }
}

fn key(executable: &Executable) -> Key {
    (executable.id(), executable.version().made)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::PathBuf;

    use super::*;

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn open(&self, name: usize, text: &str) -> Executable {
            fs::write(self.0.join(name.to_string()), text).unwrap();
            self.again(name)
        }

        fn again(&self, name: usize) -> Executable {
            Executable::new(File::open(self.0.join(name.to_string())).unwrap()).unwrap()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_was_refused_stays_so_when_it_changes() {
        let files = Files::new("seen-refused");
        let mut seen = Seen::default();
        let (refused, read) = (files.open(0, "a"), files.open(1, "b"));
        assert!(seen.get(&refused).is_none());
        seen.insert(&refused, Outcome::Refused);
        seen.insert(&read, Outcome::Read(None));
        assert!(matches!(seen.get(&read), Some(Outcome::Read(None))));
        let (refused, read) = (files.open(0, "longer"), files.open(1, "longer"));
        assert!(matches!(seen.get(&refused), Some(Outcome::Refused)));
        assert!(seen.get(&read).is_none(), "another version is looked at");
    }

    #[test]
    fn what_is_asked_for_stays() {
        let files = Files::new("seen-clock");
        let mut seen = Seen::default();
        for name in 0..EXECUTABLES + 300 {
            seen.insert(&files.open(name, ""), Outcome::Read(None));
            assert!(seen.get(&files.again(0)).is_some(), "in use");
        }
        assert_eq!((seen.entries.len(), seen.places.len()), (EXECUTABLES, EXECUTABLES));
        let mut is_known = |name| seen.get(&files.again(name)).is_some();
        let known = (0..EXECUTABLES + 300).filter(|&name| is_known(name)).count();
        assert_eq!(known, EXECUTABLES);
        assert!(!is_known(1) && is_known(EXECUTABLES + 299));
    }
}
