//! Identifies the file of a descriptor without any call into its file system.
//!
//! The thread that reads the rings uses this module, so nothing here can block. The links in
//! `/proc/PID/fd` are read, not followed: the kernel formats their text from names in memory
//! (`d_path`). `/proc/PID/fdinfo` prints the inode number from memory, and for a regular file
//! nothing of its file system. Following a link instead, even for statx(2), calls the file system
//! (`d_weak_revalidate`, `getattr`) and blocks on a dead server.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// Bytes read of `/proc/PID/fdinfo/N`; the inode number is in the first lines.
const FDINFO_MAX: u64 = 1024;

/// The result of [`descriptor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    /// The file, with this path.
    File(String),
    /// A file with this path; kernels before 5.14 do not print its inode number.
    Perhaps(String),
    /// Another file, or closed.
    Another,
}

/// Checks whether descriptor `fd` of the process at `process` (`/proc/PID`) is the file with this
/// inode.
pub(super) fn descriptor(process: &Path, fd: u32, inode: u64) -> Descriptor {
    let now = file_inode(process, fd);
    if now == Some(Some(inode))
        && let Some(path) = target(process, fd)
    {
        return Descriptor::File(path);
    }
    match now {
        Some(None) => target(process, fd).map_or(Descriptor::Another, Descriptor::Perhaps),
        _ => Descriptor::Another,
    }
}

/// The inode number of an open file: `None` if the descriptor is closed, `Some(None)` if the kernel
/// prints none.
fn file_inode(process: &Path, fd: u32) -> Option<Option<u64>> {
    let mut text = String::new();
    let file = fs::File::open(process.join("fdinfo").join(fd.to_string())).ok()?;
    file.take(FDINFO_MAX).read_to_string(&mut text).ok()?;
    let inode = text.lines().find_map(|line| line.strip_prefix("ino:"));
    Some(inode.and_then(|inode| inode.trim().parse().ok()))
}

/// The text of a descriptor's link: the path of a file (also of a removed one), or a name like
/// `pipe:[7]`.
pub(super) fn target(process: &Path, fd: u32) -> Option<String> {
    let link = fs::read_link(process.join("fd").join(fd.to_string())).ok()?;
    let text = String::from_utf8_lossy(&link.into_os_string().into_vec()).into_owned();
    Some(text.strip_suffix(" (deleted)").map_or(text.clone(), str::to_owned))
}

/// The inode number of an anonymous pipe, from the text of its link (fs/pipe.c, `pipefs_dname`).
/// Paths begin with a slash, so no file can have such a text.
pub(super) fn pipe_inode(target: &str) -> Option<u64> {
    target.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn own(file: &impl std::os::fd::AsRawFd) -> u32 {
        file.as_raw_fd().cast_unsigned()
    }

    #[test]
    fn anonymous_pipes() {
        let (reading, writing) = std::io::pipe().unwrap();
        let metadata = |fd: u32| fs::metadata(format!("/proc/self/fd/{fd}")).unwrap();
        for fd in [own(&reading), own(&writing)] {
            let target = target(Path::new("/proc/self"), fd).unwrap();
            assert_eq!(pipe_inode(&target), Some(metadata(fd).ino()));
        }
        for other in ["/tmp/pipe:[7]", "pipe:[]", "pipe:[7", "pipe:[-7]", "socket:[7]", ""] {
            assert_eq!(pipe_inode(other), None, "{other}");
        }
    }

    #[test]
    fn a_descriptor_is_identified_by_its_inode() {
        let file = fs::File::open("/proc/self/exe").unwrap();
        let inode = file.metadata().unwrap().ino();
        let (process, fd) = (Path::new("/proc/self"), file.as_raw_fd().cast_unsigned());
        let path = target(process, fd).unwrap();
        match descriptor(process, fd, inode) {
            Descriptor::File(found) | Descriptor::Perhaps(found) => assert_eq!(found, path),
            Descriptor::Another => panic!("open"),
        }
        assert_ne!(descriptor(process, fd, inode + 1), Descriptor::File(path));
        assert_eq!(descriptor(process, 1_000_000, inode), Descriptor::Another);
    }
}
