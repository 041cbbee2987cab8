//! The files of a process, as it sees them: what a path leads to within its root, and nowhere else.
//!
//! A container's links are the container's: an absolute one begins at its root, not at the node's, and `..` does
//! not leave it (`RESOLVE_IN_ROOT`, openat2(2)). Links of `/proc` that jump to another place are not followed
//! (`RESOLVE_NO_MAGICLINKS`). Mounts are crossed: a directory of logs is often a volume, which is a mount of its own.
//!
//! Walking a path may wait for a server (NFS, FUSE) or for an automount, so all of this is for a thread that may
//! wait. What the kernel has in its caches is taken first (`RESOLVE_CACHED`): that waits for nobody, and what has
//! just been written to is there. Opened is what a path leads to by `O_PATH`: neither is a file's content looked at,
//! nor does a file system, a device or an automount at its end notice.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, FileType, FsWord, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, open, openat,
    openat2, statx,
};
use rustix::io::Errno;

use super::{MINOR_BITS, Place};

/// `AUTOFS_SUPER_MAGIC` (include/uapi/linux/magic.h).
const AUTOFS: FsWord = 0x0187;

/// To know what a path leads to, and not to open that.
const NAME: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The root of a process's files.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// What is known of a file without looking into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) place: Place,
    pub(super) owner: u32,
    pub(super) mode: Mode,
}

impl Root {
    /// That at `path`: `/proc/PID/root`, or our own.
    ///
    /// # Errors
    /// When the process is gone, or may not be looked at.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, NAME | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// What the root itself is.
    ///
    /// # Errors
    /// When its file system does not say.
    pub(super) fn facts(&self) -> io::Result<Facts> {
        facts(&self.0)
    }

    /// What a path from the root leads to.
    ///
    /// # Errors
    /// When there is nothing.
    pub(super) fn look(&self, path: &Path) -> io::Result<Facts> {
        facts(&self.open(path, NAME)?)
    }

    /// Opens a directory to read its entries. An automount that has not come yet is left alone, unless it
    /// `may` come.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn directory(&self, path: &Path, may_mount: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOATIME;
        let found = self.open(path, NAME | OFlags::DIRECTORY)?;
        if !may_mount && fstatfs(&found)?.f_type == AUTOFS {
            return Err(Errno::NOENT.into());
        }
        Ok(openat(&found, ".", flags, Mode::empty())?)
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = |how| openat2(&self.0, path, flags, Mode::empty(), how);
        match open(within | ResolveFlags::CACHED) {
            // Not in the caches; or a kernel before 5.12, which has no such flag.
            Err(Errno::AGAIN | Errno::INVAL) => open(within),
            result => result,
        }
    }
}

/// What an open file is.
///
/// # Errors
/// When its file system does not say.
pub(super) fn facts(file: &OwnedFd) -> io::Result<Facts> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    facts_at(file, Path::new(""), flags)
}

/// What an entry of a directory is, whatever it may lead to.
///
/// # Errors
/// When there is none.
pub(super) fn entry(directory: &OwnedFd, name: &Path) -> io::Result<Facts> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    facts_at(directory, name, flags)
}

/// What a link of `/proc` to an open file leads to.
///
/// # Errors
/// When there is none.
pub(super) fn link(path: &Path) -> io::Result<Facts> {
    facts_at(&CWD, path, AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC)
}

fn facts_at(at: &impl rustix::fd::AsFd, path: &Path, flags: AtFlags) -> io::Result<Facts> {
    let asked = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::UID | StatxFlags::MODE;
    let stat = statx(at, path, flags, asked)?;
    let mode = stat.stx_mode.into();
    Ok(Facts {
        kind: FileType::from_raw_mode(mode),
        place: (stat.stx_dev_major << MINOR_BITS | stat.stx_dev_minor, stat.stx_ino),
        owner: stat.stx_uid,
        mode: Mode::from_raw_mode(mode),
    })
}

/// Opens what a link of `/proc` leads to (an executable), by its name alone.
///
/// # Errors
/// When the process is gone, or may not be looked at.
pub(super) fn executable(link: &Path) -> io::Result<OwnedFd> {
    Ok(open(link, NAME, Mode::empty())?)
}

/// The path of an open file, as far as it has one here.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn path(file: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests;
