//! Files and links for tests.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use super::MINOR_BITS;
use crate::capture::event::FileId;

/// A descriptor that is not open.
pub(super) const CLOSED: u32 = 1_000_000;

/// A new directory, removed on drop.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sensor-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    /// Creates a file, and its parent directories.
    pub(super) fn file(&self, name: &str) -> File {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap()
    }

    /// Creates a symbolic link, and its parent directories.
    pub(super) fn link(&self, name: &str, target: impl AsRef<Path>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub(super) fn path(&self, tail: &str) -> String {
        format!("{}/{tail}", self.0.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The file as a record of a write to it names it.
pub(super) fn id(file: &File) -> FileId {
    let metadata = file.metadata().unwrap();
    let device = metadata.dev();
    let device = libc::major(device) << MINOR_BITS | libc::minor(device);
    FileId { device, inode: metadata.ino(), generation: 0 }
}

pub(super) fn fd(file: &File) -> u32 {
    file.as_raw_fd().cast_unsigned()
}
