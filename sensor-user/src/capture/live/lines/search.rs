//! Which file it was that a process wrote to, where that takes more than a look at its descriptors.
//!
//! A file may have another path than the one that it was asked for by: a link, a mount. And who opens a file for
//! each line has closed it by now: it is looked for where the globs say that it can be. Both may wait for a file
//! system, so both are for a thread that may. Nothing is decided by a path alone: device and inode have to be the
//! same.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{Dir, FileType};

use super::descriptor::{Descriptor, descriptor};
use super::root::{self, Root};
use super::{MINOR_BITS, View};
use crate::capture::event::{FileId, Tgid};

/// Entries of directories that are looked at to find one file.
const ENTRIES: usize = 4096;

/// How long one file is looked for.
const SEARCH: Duration = Duration::from_millis(20);

/// How deep below a glob's fixed part `**` is followed.
const DEPTH: usize = 8;

/// How many files are looked for in a second, and of how many one process can be the writer.
const SEARCHES: u32 = 20;
const SEARCHES_EACH: u32 = 10;

/// The files that are asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    globs: GlobSet,
    searches: Vec<Search>,
}

/// Where the files of a glob can be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Search {
    /// The part of it that is fixed, from the root, without a slash in front.
    fixed: PathBuf,
    /// How many components may follow.
    depth: usize,
}

impl Search {
    fn of(glob: &str) -> Self {
        let is_fixed = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
        let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty()).collect();
        let fixed: PathBuf = parts.iter().copied().take_while(is_fixed).collect();
        let rest = parts.len() - fixed.components().count();
        Self { fixed, depth: if glob.contains("**") { DEPTH } else { rest } }
    }
}

impl Wanted {
    /// # Errors
    /// For globs that are none.
    pub(super) fn new(globs: &[String]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(GlobBuilder::new(glob).literal_separator(true).build()?);
        }
        let searches = globs.iter().map(|glob| Search::of(glob)).collect();
        Ok(Self { globs: set.build()?, searches })
    }

    /// Whether any are asked for.
    pub(super) fn any(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Whether some file is asked for by its whole path, which may be one of several that it has.
    pub(super) fn by_whole_path(&self) -> bool {
        self.searches.iter().any(|search| search.depth == 0)
    }

    /// Whether this path is asked for.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}

/// A file that a process has written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) fd: u32,
    pub(super) file: FileId,
    pub(super) view: View,
}

/// What came of looking for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is asked for, by this path of its process's.
    As(String),
    /// It is not asked for.
    Unwanted,
    /// It cannot be told: it was looked for in vain, for as long as may be.
    Unknown,
}

/// Looks for files, one after the other.
pub(super) struct Searcher {
    proc: PathBuf,
    wanted: Arc<Wanted>,
    /// Since when, how many files have been looked for, and for whom.
    searched: (Option<Instant>, u32, HashMap<Tgid, u32>),
}

impl Searcher {
    /// For files of processes below `proc` (`/proc`).
    pub(super) fn new(proc: PathBuf, wanted: Arc<Wanted>) -> Self {
        Self { proc, wanted, searched: (None, 0, HashMap::new()) }
    }

    /// Finds out which file this process has written to.
    pub(super) fn find(&mut self, tgid: Tgid, question: &Question) -> Found {
        let &Question { fd, file, view } = question;
        let process = self.proc.join(tgid.0.to_string());
        let open = match descriptor(&process, fd, file.inode) {
            Descriptor::File(path) => Some(path),
            Descriptor::Perhaps(path) => {
                let link = process.join("fd").join(fd.to_string());
                let is = root::link(&link).is_ok_and(|facts| facts.place.1 == file.inode);
                is.then_some(path)
            }
            Descriptor::Another => None,
        };
        // Its path may be another one than it was asked for by; if it is not known, it may be any of them.
        let all = open.is_none();
        if let Some(path) = open.filter(|path| self.wanted.matches(path)) {
            return Found::As(path);
        }
        if all && !self.may_search(tgid) {
            return Found::Unknown;
        }
        let wanted = &*self.wanted;
        let until = Instant::now() + SEARCH;
        let mut one = One { wanted, file, exact: false, left: ENTRIES, until };
        let root = match Root::at(&process.join("root")) {
            Ok(root) => root,
            // It is gone. Its view was ours, or what has the very same device and inode in ours is that file.
            Err(_) if view != View::Other => {
                one.exact = view == View::Unknown;
                let Ok(root) = Root::at(Path::new("/")) else { return Found::Unknown };
                root
            }
            Err(_) => return Found::Unknown,
        };
        let found = wanted
            .searches
            .iter()
            .filter(|search| all || search.depth == 0)
            .find_map(|search| one.find(&root, &search.fixed, search.depth, true));
        match found {
            Some(path) => Found::As(path),
            None if one.is_over() => Found::Unknown,
            None => Found::Unwanted,
        }
    }

    fn may_search(&mut self, tgid: Tgid) -> bool {
        let now = Instant::now();
        let (since, count, of) = &mut self.searched;
        if since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
            of.clear();
        }
        let own = of.entry(tgid).or_default();
        let may = *count < SEARCHES && *own < SEARCHES_EACH;
        if may {
            *count += 1;
            *own += 1;
        }
        may
    }
}

/// The search for one file.
struct One<'a> {
    wanted: &'a Wanted,
    file: FileId,
    /// Only a device that is the very same will do.
    exact: bool,
    /// Entries that may be looked at still.
    left: usize,
    until: Instant,
}

impl One<'_> {
    fn is_over(&self) -> bool {
        self.left == 0 || Instant::now() >= self.until
    }

    /// Looks at a path, and if it may, at what is below it.
    fn find(&mut self, root: &Root, path: &Path, depth: usize, fixed: bool) -> Option<String> {
        self.left = self.left.checked_sub(1)?;
        let facts = root.look(path).ok()?;
        if let Some(path) = self.check(path, &facts) {
            return Some(path);
        }
        if depth == 0 || facts.kind != FileType::Directory {
            return None;
        }
        let directory = root.directory(path, fixed).ok()?;
        let mut entries = Dir::read_from(&directory).ok()?;
        while !self.is_over() {
            let Some(Ok(entry)) = entries.next() else { return None };
            let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
            if matches!(name.as_os_str().as_bytes(), b"." | b"..") {
                continue;
            }
            let below = path.join(name);
            // Most entries are other files: one call tells.
            let found = match root::entry(&directory, name) {
                Ok(facts) if facts.kind == FileType::RegularFile => {
                    self.left -= 1;
                    self.check(&below, &facts)
                }
                Ok(_) => self.find(root, &below, depth - 1, false),
                Err(_) => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The path, if what it leads to is the file, and it is asked for.
    fn check(&self, path: &Path, facts: &root::Facts) -> Option<String> {
        let (device, inode) = facts.place;
        let same_device = if device == self.file.device {
            !self.exact || device >> MINOR_BITS != 0
        } else {
            // Some file systems show other device numbers than they have inside: those are anonymous (major 0)
            // either way.
            !self.exact && device >> MINOR_BITS == 0 && self.file.device >> MINOR_BITS == 0
        };
        if facts.kind != FileType::RegularFile || inode != self.file.inode || !same_device {
            return None;
        }
        let path = format!("/{}", path.to_string_lossy());
        self.wanted.matches(&path).then_some(path)
    }
}

#[cfg(test)]
mod tests;
