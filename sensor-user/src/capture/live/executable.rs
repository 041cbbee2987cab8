//! Executables that are probed.
//!
//! **The rule for every probe: one open descriptor → facts → attach through that descriptor.**
//!
//! The kernel puts a breakpoint into the file that a path leads to *at that moment*, for every process
//! that runs it, and asks nobody whether an instruction begins there. A path of the traced process
//! (`/proc/PID/exe`, `/proc/PID/root/…`, one of `/proc/PID/maps`) leads wherever the process wants it
//! to, and to another file as soon as it calls execve(2). So a path is opened once; offsets are read
//! through the descriptor; and the kernel is given the descriptor (`/proc/self/fd/N`, which resolves to
//! the open file itself, also where its name is gone or belongs to another file by now). A wrong
//! offset can then only be one that the file itself is wrong about, and its owner can change that file
//! anyway.
//!
//! A descriptor does not keep others from writing to the file. While a process runs it nobody can
//! (`ETXTBSY`); before and after that, its owner can. So the expected instructions are compared right
//! before each attachment, and a probe is detached with the last process known to run the file.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Instant;

use aya::programs::uprobe::{UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};
use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::process::elf::{Elf, ElfError, Reader, Segment, Source};
use crate::process::golang::Site;

/// Which file. No other file has this number as long as the file is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that a path leads to, below `directory` if it is relative. A file system that does not
    /// answer is not waited for.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub(super) fn at(directory: BorrowedFd<'_>, path: &str) -> io::Result<Self> {
        let found = statx(directory, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
        let device = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
        Ok(Self { device, inode: found.stx_ino })
    }
}

/// Tells one version of a file from another, and one file from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Version {
    /// When the file was made, in nanoseconds, where its file system knows. Its owner cannot set that.
    pub(super) made: Option<u128>,
    size: u64,
    /// When the file was last changed in any way: its owner cannot set that either.
    changed: (i64, i64),
}

/// An open executable: what is known of it, and what is attached to it, is by this descriptor.
pub(super) struct Executable {
    file: File,
    id: FileId,
    version: Version,
    code: Vec<Segment>,
}

impl Executable {
    /// Takes a file, of which nothing is read yet.
    ///
    /// # Errors
    /// When the system cannot say which file it is.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let made = metadata.created().ok();
        let version = Version {
            made: made
                .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
                .map(|since| since.as_nanos()),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { file, id, version, code: Vec::new() })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Reads where its code is, which is where probes may be attached, and whatever else `facts` asks
    /// for. There is time until `deadline`.
    ///
    /// # Errors
    /// When it is damaged, cannot be read in time, or reading it costs too much.
    pub(super) fn read<T>(
        &mut self,
        deadline: Instant,
        facts: impl FnOnce(&Elf<'_>) -> Result<T, ElfError>,
    ) -> Result<T, ElfError> {
        let source = Timed { file: &self.file, deadline };
        let elf = Elf::parse(&source)?;
        self.code = elf.code().to_vec();
        facts(&elf)
    }

    /// Attaches a program to an instruction. The descriptor stays open as long as it is attached.
    ///
    /// `UProbeScope::AllProcesses` is right here though only some processes may be traced: a program
    /// looks into `GO` first, which only traced processes are in, so any other that runs the same file
    /// pays for the trap, and nothing else changes for it. A set of probes for each process would cost
    /// more: the kernel asks every set at every hit, each holds descriptors, and each makes the
    /// process's main thread dearer to schedule.
    ///
    /// # Errors
    /// When it is not code, not the expected code, or the kernel refuses.
    pub(super) fn attach(
        self: &Arc<Self>,
        program: &mut UProbe,
        site: &Site,
    ) -> Result<Attached, AttachError> {
        self.check(site)?;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let id = program.attach(site.file_offset, path, UProbeScope::AllProcesses)?;
        Ok(Attached { _link: program.take_link(id)?, _executable: Arc::clone(self) })
    }

    /// Whether this instruction is there, now.
    fn check(&self, site: &Site) -> Result<(), AttachError> {
        let len = site.bytes.len() as u64;
        let is_in = |segment: &Segment| {
            let within = site.file_offset.checked_sub(segment.range.offset);
            within
                .and_then(|within| within.checked_add(len))
                .is_some_and(|end| end <= segment.range.len)
        };
        if site.bytes.is_empty() || !self.code.iter().any(is_in) {
            return Err(AttachError::NotCode);
        }
        let mut found = vec![0; site.bytes.len()];
        Reader::new(&self.file).fill(site.file_offset, &mut found)?;
        if found == site.bytes { Ok(()) } else { Err(AttachError::Changed) }
    }
}

impl AsFd for Executable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Executable").field(&self.id).finish()
    }
}

/// An attached program: detached when dropped, before the executable is closed.
pub(super) struct Attached {
    _link: UProbeLink,
    _executable: Arc<Executable>,
}

/// Why a probe is not attached.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    /// The offset is outside the executable segments.
    #[error("its place is not in the executable's code")]
    NotCode,
    /// There are other bytes than expected.
    #[error("the executable's code has changed")]
    Changed,
    /// The bytes cannot be read.
    #[error(transparent)]
    Read(#[from] ElfError),
    /// The kernel refuses.
    #[error(transparent)]
    Refused(#[from] ProgramError),
}

/// A file that is read until a deadline.
struct Timed<'a> {
    file: &'a File,
    deadline: Instant,
}

impl Source for Timed<'_> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.file.read_at(offset, into)
    }
}

#[cfg(test)]
mod tests;
