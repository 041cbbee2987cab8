//! Verdicts on files other than standard output and error: a glob of `--log-file` has to match the
//! path.
//!
//! A record names the descriptor that was written to. While that is open, `/proc` identifies the
//! file without a call into its file system ([`descriptor`]). Otherwise another thread has to
//! search for the file ([`Searcher`](super::search::Searcher)).

use std::path::PathBuf;
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use rustc_hash::FxHashMap;
use sensor_ebpf::limits::LINE_FILES;

use super::super::{OpenError, take_map};
use super::descriptor::{Descriptor, descriptor};
use super::search::Wanted;
use crate::capture::event::{FileId, ProcessKey};

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
    /// Another thread has to look the file up.
    Unknown,
}

/// The files that were written to.
pub(super) struct Files {
    /// `/proc`.
    proc: PathBuf,
    wanted: Arc<Wanted>,
    /// Whether each is wanted. At most [`LINE_FILES`]; then it begins anew.
    known: FxHashMap<FileId, bool>,
    map: Option<BpfHashMap<MapData, Key, u8>>,
}

impl Files {
    /// No verdicts yet; descriptors are read below `proc` (`/proc`).
    pub(super) fn new(proc: PathBuf, wanted: Arc<Wanted>) -> Self {
        Self { proc, wanted, known: FxHashMap::default(), map: None }
    }

    /// Will tell the kernel side.
    ///
    /// # Errors
    /// When the object has no such map.
    pub(super) fn connect(&mut self, ebpf: &mut Ebpf) -> Result<(), OpenError> {
        if self.wanted.any() {
            self.map = Some(take_map(ebpf, "LINE_FILES_WANTED")?);
        }
        Ok(())
    }

    /// Decides on a write of this process to its descriptor `fd`, which was `file` then. Never
    /// blocks.
    pub(super) fn decide(&mut self, key: ProcessKey, fd: u32, file: FileId) -> Verdict {
        match self.known.get(&file) {
            Some(true) => return Verdict::Wanted,
            Some(false) => return Verdict::Unwanted,
            None => {}
        }
        // The descriptor can refer to another file by now.
        match descriptor(&self.proc.join(key.tgid.0.to_string()), fd, file.inode) {
            Descriptor::File(path) if self.wanted.matches(&path) => self.settle(file, Some(&path)),
            Descriptor::File(_) if !self.wanted.by_whole_path() => self.settle(file, None),
            _ => Verdict::Unknown,
        }
    }

    /// Sets the verdict on a file: a glob matches `path`, or none does.
    pub(super) fn settle(&mut self, file: FileId, path: Option<&str>) -> Verdict {
        if self.known.len() >= LINE_FILES as usize {
            self.known.clear();
        }
        self.known.insert(file, path.is_some());
        self.tell(file, path.is_some());
        path.map_or(Verdict::Unwanted, |path| Verdict::WantedAs(path.into()))
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

#[cfg(test)]
mod tests;
