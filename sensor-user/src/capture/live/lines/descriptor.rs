//! What a descriptor of a process is, as far as `/proc` tells it by itself.
//!
//! All of this may be done by a thread that must not wait. The links in `/proc/PID/fd` are read, not followed: the
//! kernel makes their text from names that it has in memory (`d_path`), and asks no file system. `/proc/PID/fdinfo`
//! has the inode's number as the kernel has it, and for a regular file nothing that a file system would add.
//! Following a link instead would ask the file's file system, be it only for its attributes: a dead server holds
//! whoever does.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// The most of `/proc/PID/fdinfo/N` that is looked at, in bytes; the inode's number is in the first lines.
const FDINFO_MAX: u64 = 1024;

/// What a descriptor is, if it is the regular file that was written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    /// That file, of this path.
    File(String),
    /// A file of this path: kernels before 5.14 do not tell its inode.
    Perhaps(String),
    /// Another file by now, or closed.
    Another,
}

/// What descriptor `fd` of the process at `process` (`/proc/PID`) is, if it is the file with this inode.
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

/// The inode of an open file, if the kernel tells; none if it is not open.
fn file_inode(process: &Path, fd: u32) -> Option<Option<u64>> {
    let mut text = String::new();
    let file = fs::File::open(process.join("fdinfo").join(fd.to_string())).ok()?;
    file.take(FDINFO_MAX).read_to_string(&mut text).ok()?;
    let inode = text.lines().find_map(|line| line.strip_prefix("ino:"));
    Some(inode.and_then(|inode| inode.trim().parse().ok()))
}

/// The text of a descriptor's link: a path, also of a file that was removed, or what else it is.
pub(super) fn target(process: &Path, fd: u32) -> Option<String> {
    let link = fs::read_link(process.join("fd").join(fd.to_string())).ok()?;
    let text = String::from_utf8_lossy(&link.into_os_string().into_vec()).into_owned();
    Some(text.strip_suffix(" (deleted)").map_or(text.clone(), str::to_owned))
}

/// The inode of a pipe, by the text of a link to it (fs/pipe.c, `pipefs_dname`). No path is like that: those begin
/// with a slash.
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
    fn pipes_by_their_links() {
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
    fn a_file_by_its_inode_and_not_by_its_number_alone() {
        let file = tempfile_in_proc();
        let inode = file.metadata().unwrap().ino();
        let (process, fd) = (Path::new("/proc/self"), file.as_raw_fd().cast_unsigned());
        let path = target(process, fd).unwrap();
        match descriptor(process, fd, inode) {
            Descriptor::File(found) | Descriptor::Perhaps(found) => assert_eq!(found, path),
            Descriptor::Another => panic!("it is open"),
        }
        assert_ne!(descriptor(process, fd, inode + 1), Descriptor::File(path));
        assert_eq!(descriptor(process, 1_000_000, inode), Descriptor::Another);
    }

    fn tempfile_in_proc() -> fs::File {
        fs::File::open("/proc/self/exe").unwrap()
    }
}
