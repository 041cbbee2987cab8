//! A process that is looked at, by one descriptor.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::CWD;

use crate::capture::event::ProcessKey;
use crate::capture::live::executable::FileId;
use crate::process::Directory;

/// An open directory of `/proc`: it is this process's alone, also when its number is used again.
pub(super) struct Process(Directory);

impl Process {
    /// # Errors
    /// When there is no such process: it has ended, or its id is another's.
    pub(super) fn open(key: ProcessKey) -> io::Result<Self> {
        Ok(Self(Directory::open(Path::new("/proc"), key)?))
    }

    /// Opens the executable. May wait for its file system.
    ///
    /// # Errors
    /// When the process has ended, or the file cannot be opened.
    pub(super) fn executable(&self) -> io::Result<File> {
        self.0.open_file("exe")
    }

    /// Whether the process, if it still is one, runs this file now.
    pub(super) fn runs(&self, file: FileId) -> bool {
        FileId::at(self.0.as_fd(), "exe").is_ok_and(|now| now == file)
    }
}

/// Whether a process runs this file now.
pub(super) fn runs(key: ProcessKey, file: FileId) -> bool {
    FileId::at(CWD, &format!("{}/exe", directory(key))).is_ok_and(|now| now == file)
}

/// The user to whom a look at a process is charged: the owner of its directory in `/proc`. That is root
/// also where the kernel guards a process from its user (prctl(2), `PR_SET_DUMPABLE`), which any program
/// can ask for: then the real user. None when there is no such process.
pub(super) fn user(key: ProcessKey) -> Option<u32> {
    let directory = directory(key);
    let owner = fs::metadata(&directory).ok()?.uid();
    if owner != 0 {
        return Some(owner);
    }
    let status = fs::read_to_string(format!("{directory}/status")).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_whitespace().next()?.parse().ok()
}

fn directory(key: ProcessKey) -> String {
    format!("/proc/{}", key.tgid.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_by_its_directory() {
        let key = ProcessKey::undated(std::process::id());
        let this = Process::open(key).unwrap();
        let id = FileId::at(CWD, "/proc/self/exe").unwrap();
        assert!(this.runs(id) && runs(key, id) && this.executable().is_ok());
        let other = FileId::at(CWD, "/proc/self/maps").unwrap();
        assert!(!this.runs(other) && !runs(key, other));

        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let process = Process::open(ProcessKey::undated(child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.executable().is_err());
        assert_eq!(user(ProcessKey::undated(child.id())), None);
    }

    #[test]
    fn the_user_also_of_a_process_that_is_guarded_from_it() {
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg("60");
        let this = fs::metadata("/proc/self").unwrap().uid();
        let mut child = command.spawn().unwrap();
        assert_eq!(user(ProcessKey::undated(child.id())), Some(this));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
