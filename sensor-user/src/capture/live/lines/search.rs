//! Searches for the file that a process has written to, where its descriptor does not identify the
//! file.
//!
//! A glob can name a file by another path (a link, a mount). And a program that opens its log for
//! each line has closed the file by the time of the look-up: the search then goes through the
//! places that the globs allow. Both can block on a file system, so they run in a thread of their
//! own. A path alone decides nothing: device and inode must match.

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
use crate::capture::event::{FileId, ProcessKey};

/// Directory entries examined in one search.
const ENTRIES: usize = 4096;

/// Duration of one search.
const SEARCH: Duration = Duration::from_millis(20);

/// Depth of a search below the fixed part of a glob with `**`.
const DEPTH: usize = 8;

/// Searches in a second, of all processes and of each one.
const SEARCHES: u32 = 20;
const SEARCHES_EACH: u32 = 10;

/// The globs of `--log-file`.
#[derive(Debug)]
pub(super) struct Wanted {
    globs: GlobSet,
    searches: Vec<Search>,
}

/// The places where files of one glob can be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Search {
    /// The leading components without wildcards, relative to the root.
    fixed: PathBuf,
    /// The most components below `fixed`.
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
    /// Compiles the globs.
    ///
    /// # Errors
    /// When one is malformed.
    pub(super) fn new(globs: &[String]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(GlobBuilder::new(glob).literal_separator(true).build()?);
        }
        let searches = globs.iter().map(|glob| Search::of(glob)).collect();
        Ok(Self { globs: set.build()?, searches })
    }

    /// Whether there are any globs.
    pub(super) fn any(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Whether one of the globs is a plain path, which can be one of several paths of a file.
    pub(super) fn by_whole_path(&self) -> bool {
        self.searches.iter().any(|search| search.depth == 0)
    }

    /// Whether a glob matches this path.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}

/// Asks for the path of a file that a process has written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) fd: u32,
    pub(super) file: FileId,
    pub(super) view: View,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A glob matches this path, which is the file's in the view of its process.
    As(String),
    /// No glob matches.
    Unwanted,
    /// The search reached a bound, or the process has ended.
    Unknown,
}

/// Searches for files, within a budget.
pub(super) struct Searcher {
    proc: PathBuf,
    wanted: Arc<Wanted>,
    /// Start of the current second, and searches in it: all, and by process.
    searched: (Option<Instant>, u32, HashMap<ProcessKey, u32>),
}

impl Searcher {
    /// A searcher for processes below `proc` (`/proc`).
    pub(super) fn new(proc: PathBuf, wanted: Arc<Wanted>) -> Self {
        Self { proc, wanted, searched: (None, 0, HashMap::new()) }
    }

    /// Searches for a file that this process has written to.
    pub(super) fn find(&mut self, key: ProcessKey, question: &Question) -> Found {
        let &Question { fd, file, view } = question;
        let process = self.proc.join(key.tgid.0.to_string());
        let open = match descriptor(&process, fd, file.inode) {
            Descriptor::File(path) => Some(path),
            Descriptor::Perhaps(path) => {
                let link = process.join("fd").join(fd.to_string());
                let is = root::link(&link).is_ok_and(|facts| facts.place.1 == file.inode);
                is.then_some(path)
            }
            Descriptor::Another => None,
        };
        // An open file can match a plain path by another name. A closed file can match any glob.
        let all = open.is_none();
        if let Some(path) = open.filter(|path| self.wanted.matches(path)) {
            return Found::As(path);
        }
        if all && !self.may_search(key) {
            return Found::Unknown;
        }
        let wanted = &*self.wanted;
        let until = Instant::now() + SEARCH;
        let mut one = One { wanted, file, exact: false, left: ENTRIES, until };
        let root = match Root::at(&process.join("root")) {
            Ok(root) => root,
            // The process has ended. Its view was the sensor's; or, if unknown, a file with the
            // same device and inode in the sensor's view is the same file.
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

    fn may_search(&mut self, key: ProcessKey) -> bool {
        let now = Instant::now();
        let (since, count, of) = &mut self.searched;
        if since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
            of.clear();
        }
        let own = of.entry(key).or_default();
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
    /// The device number must be equal and not anonymous.
    exact: bool,
    /// Entries left to examine.
    left: usize,
    until: Instant,
}

impl One<'_> {
    fn is_over(&self) -> bool {
        self.left == 0 || Instant::now() >= self.until
    }

    /// Examines a path, and up to `depth` levels of entries below. An automount is triggered only
    /// at the `fixed` part.
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
            // Most entries are other regular files: one system call each.
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

    /// Returns the path if it is the file's and a glob matches.
    fn check(&self, path: &Path, facts: &root::Facts) -> Option<String> {
        let (device, inode) = facts.place;
        let same_device = if device == self.file.device {
            !self.exact || device >> MINOR_BITS != 0
        } else {
            // Some file systems (overlayfs, btrfs) report another device number than `s_dev`; both
            // are anonymous (major 0) then.
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
