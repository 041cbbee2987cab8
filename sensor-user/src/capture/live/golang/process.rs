//! A process that is looked at, by one descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::capture::event::Tgid;
use crate::capture::live::executable::FileId;

/// An open directory of `/proc`: it is this process's alone, also when its number is used again.
pub(super) struct Process(OwnedFd);

impl Process {
    /// # Errors
    /// When there is no such process.
    pub(super) fn open(tgid: Tgid) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, directory(tgid), flags, Mode::empty())?))
    }

    /// Opens the executable. May wait for its file system.
    ///
    /// # Errors
    /// When the process has ended, or the file cannot be opened.
    pub(super) fn executable(&self) -> io::Result<File> {
        let file = openat(&self.0, "exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(file.into())
    }

    /// Whether the process, if it still is one, runs this file now.
    pub(super) fn runs(&self, file: FileId) -> bool {
        FileId::at(self.0.as_fd(), "exe").is_ok_and(|now| now == file)
    }
}

/// Whether a process runs this file now.
pub(super) fn runs(tgid: Tgid, file: FileId) -> bool {
    FileId::at(CWD, &format!("{}/exe", directory(tgid))).is_ok_and(|now| now == file)
}

/// The user to whom a look at a process is charged: the owner of its directory in `/proc`. That is root
/// also where the kernel guards a process from its user (prctl(2), `PR_SET_DUMPABLE`), which any program
/// can ask for: then the real user. None when there is no such process.
pub(super) fn user(tgid: Tgid) -> Option<u32> {
    let directory = directory(tgid);
    let owner = fs::metadata(&directory).ok()?.uid();
    if owner != 0 {
        return Some(owner);
    }
    let status = fs::read_to_string(format!("{directory}/status")).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_whitespace().next()?.parse().ok()
}

fn directory(tgid: Tgid) -> String {
    format!("/proc/{}", tgid.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_by_its_directory() {
        let tgid = Tgid(std::process::id());
        let this = Process::open(tgid).unwrap();
        let id = FileId::at(CWD, "/proc/self/exe").unwrap();
        assert!(this.runs(id) && runs(tgid, id) && this.executable().is_ok());
        let other = FileId::at(CWD, "/proc/self/maps").unwrap();
        assert!(!this.runs(other) && !runs(tgid, other));

        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let process = Process::open(Tgid(child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.executable().is_err());
        assert_eq!(user(Tgid(child.id())), None);
    }

    #[test]
    fn the_user_also_of_a_process_that_is_guarded_from_it() {
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg("60");
        let this = fs::metadata("/proc/self").unwrap().uid();
        let mut child = command.spawn().unwrap();
        assert_eq!(user(Tgid(child.id())), Some(this));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
