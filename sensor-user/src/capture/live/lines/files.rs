//! Which files beside standard output and error are logs: those whose paths match what was asked for.
//!
//! A record names the descriptor that was written to; what that is, `/proc` tells as long as it is open.
//! Who opens a file for each line has closed it by then: such a file is looked for where the globs say that
//! it can be. Nothing is decided by a path alone: the inode has to be the same.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustc_hash::FxHashMap;
use sensor_ebpf::limits::LINE_FILES;

use super::super::{OpenError, take_map};
use super::device;
use crate::capture::event::{FileId, Tgid};

/// Entries of directories that are looked at to find one file.
const ENTRIES: usize = 4096;

/// How deep below a glob's fixed part `**` is followed.
const DEPTH: usize = 8;

/// How many files are looked for in a second: each may cost some milliseconds.
const SEARCHES: u32 = 20;

/// A [`FileId`] as the map takes it: inode, device and generation.
type Key = [u8; 16];

/// What becomes of what was written to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken.
    Wanted,
    /// Taken; the file has this path, which is said once.
    WantedAs(Arc<str>),
    /// Not asked for.
    Unwanted,
    /// It cannot be told which file it was.
    Unknown,
}

/// The files that were written to.
pub(super) struct Files {
    /// `/proc`.
    proc: PathBuf,
    globs: GlobSet,
    searches: Vec<Search>,
    /// Whether each is wanted. At most [`LINE_FILES`]; then it begins anew.
    known: FxHashMap<FileId, bool>,
    map: Option<BpfHashMap<MapData, Key, u8>>,
    /// Since when, and how many files have been looked for.
    searched: (Option<Instant>, u32),
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

impl Files {
    /// # Errors
    /// For globs that are none, or that match no absolute path.
    pub(super) fn new(proc: PathBuf, globs: &[String]) -> Result<Self, OpenError> {
        let mut set = GlobSetBuilder::new();
        let refused = |error: globset::Error| OpenError::Scope(format!("--log-file: {error}"));
        for glob in globs {
            set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(refused)?);
        }
        Ok(Self {
            proc,
            globs: set.build().map_err(refused)?,
            searches: globs.iter().map(|glob| Search::of(glob)).collect(),
            known: FxHashMap::default(),
            map: None,
            searched: (None, 0),
        })
    }

    /// Whether any are asked for.
    pub(super) fn any(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Will tell the kernel side.
    ///
    /// # Errors
    /// When the object has no such map.
    pub(super) fn connect(&mut self, ebpf: &mut Ebpf) -> Result<(), OpenError> {
        if self.any() {
            self.map = Some(take_map(ebpf, "LINE_FILES_WANTED")?);
        }
        Ok(())
    }

    /// Decides on what this process has written to its descriptor `fd`, which was `file` then.
    pub(super) fn decide(&mut self, tgid: Tgid, fd: u32, file: FileId) -> Verdict {
        match self.known.get(&file) {
            Some(true) => return Verdict::Wanted,
            Some(false) => return Verdict::Unwanted,
            None => {}
        }
        let directory = self.proc.join(tgid.0.to_string());
        let descriptor = directory.join("fd").join(fd.to_string());
        // The descriptor may be another file's by now.
        let open = fs::metadata(&descriptor)
            .is_ok_and(|metadata| metadata.ino() == file.inode)
            .then(|| fs::read_link(&descriptor).ok())
            .flatten();
        let open = open.map(|path| {
            let path = path.to_string_lossy();
            path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
        });
        let found = match open {
            Some(path) if self.globs.is_match(&path) => Some(path),
            // Its path may be another one than it was asked for by: a link, a mount.
            Some(_) => self.look(&directory, file, false),
            None if !self.may_search() => return Verdict::Unknown,
            None => self.look(&directory, file, true),
        };
        if self.known.len() >= LINE_FILES as usize {
            self.known.clear();
        }
        self.known.insert(file, found.is_some());
        self.tell(file, found.is_some());
        found.map_or(Verdict::Unwanted, |path| Verdict::WantedAs(path.into()))
    }

    fn may_search(&mut self) -> bool {
        let now = Instant::now();
        let (since, count) = &mut self.searched;
        if since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        *count <= SEARCHES
    }

    /// Looks for a file where the globs say that it can be: those without wildcards, and the others if `all`.
    fn look(&self, process: &Path, file: FileId, all: bool) -> Option<String> {
        // The process's own view; when it is gone, ours may still be the same.
        let roots = [process.join("root"), PathBuf::from("/")];
        let root = roots.into_iter().find(|root| root.is_dir())?;
        let mut left = ENTRIES;
        self.searches
            .iter()
            .filter(|search| all || search.depth == 0)
            .find_map(|search| self.find(&root, &search.fixed, search.depth, file, &mut left))
    }

    fn find(
        &self,
        root: &Path,
        path: &Path,
        depth: usize,
        file: FileId,
        left: &mut usize,
    ) -> Option<String> {
        *left = left.checked_sub(1)?;
        let metadata = fs::metadata(root.join(path)).ok()?;
        if metadata.is_file() {
            let path = format!("/{}", path.to_string_lossy());
            return (is(&metadata, file) && self.globs.is_match(&path)).then_some(path);
        }
        if depth == 0 || !metadata.is_dir() {
            return None;
        }
        fs::read_dir(root.join(path))
            .ok()?
            .flatten()
            .find_map(|entry| self.find(root, &path.join(entry.file_name()), depth - 1, file, left))
    }

    fn tell(&mut self, file: FileId, wanted: bool) {
        let Some(map) = &mut self.map else { return };
        let FileId { device, inode, generation } = file;
        let mut key: Key = [0; 16];
        let (first, rest) = key.split_at_mut(8);
        first.copy_from_slice(&inode.to_ne_bytes());
        let (second, third) = rest.split_at_mut(4);
        second.copy_from_slice(&device.to_ne_bytes());
        third.copy_from_slice(&generation.to_ne_bytes());
        if let Err(error) = map.insert(key, u8::from(wanted), 0) {
            // It is decided here again, each time.
            tracing::debug!(inode, device, %error, "the kernel side cannot be told of a file");
        }
    }
}

/// Whether this is the file. Some file systems show other device numbers than they have inside: those are
/// anonymous (major 0) either way.
fn is(metadata: &fs::Metadata, file: FileId) -> bool {
    let shown = device(metadata.dev());
    metadata.ino() == file.inode
        && (shown == file.device || (shown >> 20 == 0 && file.device >> 20 == 0))
}

#[cfg(test)]
mod tests;
