//! Resolves paths within the root of a process.
//!
//! Symbolic links of a container belong to the container: an absolute link begins at the
//! container's root, and `..` stays below it (`RESOLVE_IN_ROOT`, openat2(2)). Magic links of
//! `/proc` are refused (`RESOLVE_NO_MAGICLINKS`). Mounts are crossed, without `RESOLVE_NO_XDEV`: a
//! log directory is often a volume, which is a mount.
//!
//! Path resolution can block on a server (NFS, FUSE) or an automount, so these functions must not
//! run on the thread that reads the rings. The kernel's caches are tried first (`RESOLVE_CACHED`):
//! that never blocks, and a file that was just written is cached. Files are opened with `O_PATH`:
//! no content is read, and neither the file system nor a device nor an automount at the end of the
//! path takes part.

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

/// A descriptor that only names a file.
const NAME: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The root directory of a process.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// Attributes of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) place: Place,
    pub(super) owner: u32,
    pub(super) mode: Mode,
}

impl Root {
    /// Opens the root at `path`: `/proc/PID/root`, or `/`.
    ///
    /// # Errors
    /// When the process has ended, or access is denied.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, NAME | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// Attributes of the root directory.
    ///
    /// # Errors
    /// Those of statx(2).
    pub(super) fn facts(&self) -> io::Result<Facts> {
        facts(&self.0)
    }

    /// Attributes of the file at `path`.
    ///
    /// # Errors
    /// When the path does not resolve within the root.
    pub(super) fn look(&self, path: &Path) -> io::Result<Facts> {
        facts(&self.open(path, NAME)?)
    }

    /// Opens a directory to read its entries. That triggers an automount only with `automount`.
    ///
    /// # Errors
    /// When the path is not that of a directory within the root, or an automount is pending.
    pub(super) fn directory(&self, path: &Path, automount: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // `O_PATH` does not trigger an automount at the end of a path, `O_DIRECTORY` does (open(2)).
        let named = self.open(path, if automount { NAME | OFlags::DIRECTORY } else { NAME })?;
        if !automount && fstatfs(&named)?.f_type == AUTOFS {
            return Err(Errno::NOENT.into());
        }
        // With CAP_FOWNER, reading leaves no trace in the access time.
        let open = |flags| openat(&named, ".", flags, Mode::empty());
        Ok(open(flags | OFlags::NOATIME).or_else(|_| open(flags))?)
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = |how| openat2(&self.0, path, flags, Mode::empty(), how);
        match open(within | ResolveFlags::CACHED) {
            // Not cached, or a kernel before 5.12, which lacks the flag.
            Err(Errno::AGAIN | Errno::INVAL) => open(within),
            result => result,
        }
    }
}

/// Attributes of an open file.
///
/// # Errors
/// Those of statx(2).
pub(super) fn facts(file: &OwnedFd) -> io::Result<Facts> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    facts_at(file, Path::new(""), flags)
}

/// Attributes of an entry of a directory; symbolic links are not followed.
///
/// # Errors
/// Those of statx(2).
pub(super) fn entry(directory: &OwnedFd, name: &Path) -> io::Result<Facts> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    facts_at(directory, name, flags)
}

/// Attributes of the file behind a magic link of `/proc`.
///
/// # Errors
/// Those of statx(2).
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

/// Opens the file behind a magic link of `/proc` with `O_PATH`.
///
/// # Errors
/// When the process has ended, or access is denied.
pub(super) fn executable(link: &Path) -> io::Result<OwnedFd> {
    Ok(open(link, NAME, Mode::empty())?)
}

/// The path of an open file in the sensor's view.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn path(file: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests;
