//! One process's directory in `/proc`, read through one descriptor.
//!
//! The descriptor belongs to the process, not to its id: after the end of the process, opening a
//! file through it fails, even if the id has been given to another process. The start time in
//! `stat` identifies the process. It is shown in the reader's time namespace, whose offset is
//! subtracted. (The offset has to be of whole ticks, else no process is recognised; the initial
//! time namespace has none.)

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::LazyLock;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use crate::capture::event::{ProcessKey, StartTime, Tgid};

/// Longest `/proc/PID/stat`: a name of up to 64 bytes and 51 numbers.
const STAT_MAX: u64 = 4096;

/// `PF_EXITING` (include/linux/sched.h): the process gives up its resources.
const EXITING: u64 = 4;

/// The directory of a process.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

/// Text of `/proc`, and whether there was more of it.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) cut: bool,
}

/// What is taken of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent's id.
    pub parent: u32,
    /// When the process was started; 0 where the line ends before that.
    pub start: StartTime,
    /// The process gives up its memory: arguments and environment may read as empty.
    pub exiting: bool,
}

impl Directory {
    /// Opens the directory of `process` below `proc_root`.
    ///
    /// # Errors
    /// When there is no such process: it has ended, or its id is another's.
    pub(crate) fn open(proc_root: &Path, process: ProcessKey) -> io::Result<Self> {
        let directory = Self::of_pid(proc_root, process.tgid)?;
        let known = process.start != StartTime::UNKNOWN;
        if known && directory.stat()?.start != process.start {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its id is another process's"));
        }
        Ok(directory)
    }

    /// Opens the directory of the process that has this id now.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of_pid(proc_root: &Path, pid: Tgid) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, proc_root.join(pid.0.to_string()), flags, Mode::empty())?))
    }

    /// Opens a file. May wait for its file system where it is a link (`exe`).
    ///
    /// # Errors
    /// When the process has ended, or the file cannot be opened.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        Ok(openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// At most `max` bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&self, file: &str, max: u64) -> io::Result<Text> {
        let mut text = Text::default();
        self.open_file(file)?.take(max + 1).read_to_end(&mut text.bytes)?;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        text.cut = text.bytes.len() > max;
        text.bytes.truncate(max);
        Ok(text)
    }

    /// Where `exe` leads to; none where that is not to be read, or no text.
    pub(super) fn exe(&self) -> Option<String> {
        readlinkat(&self.0, "exe", Vec::new()).ok()?.into_string().ok()
    }

    /// The kernel's name of the process.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn comm(&self) -> io::Result<Vec<u8>> {
        let mut comm = self.read("comm", 64)?.bytes;
        if comm.last() == Some(&b'\n') {
            comm.pop();
        }
        Ok(comm)
    }

    /// # Errors
    /// When the process has ended.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let text = self.read("stat", STAT_MAX)?;
        let mut stat = stat(&text.bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a line of stat"))?;
        stat.start.0 = stat.start.0.saturating_add_signed(-*NAMESPACE_TICKS);
        Ok(stat)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How many ticks this process's time namespace is ahead of the initial one since boot.
static NAMESPACE_TICKS: LazyLock<i64> = LazyLock::new(|| {
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    namespace_ticks(&offsets).unwrap_or(0)
});

/// The same by `/proc/PID/timens_offsets` (time_namespaces(7)): lines of a clock, seconds,
/// nanoseconds.
fn namespace_ticks(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    let tick = i64::try_from(StartTime::TICK_NS).ok()?;
    seconds.checked_mul(1_000_000_000 / tick)?.checked_add(ns / tick)
}

/// Takes `/proc/PID/stat` apart (proc_pid_stat(5)). The second field, the name, may hold anything. None
/// where the line ends before the parent's id.
pub fn stat(line: &[u8]) -> Option<Stat> {
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&str> =
        str::from_utf8(line.get(name_end + 1..)?).ok()?.split_ascii_whitespace().collect();
    // The third field is the first of these.
    let field = |number: usize| fields.get(number - 3);
    let number = |at: usize| field(at).and_then(|text| text.parse::<u64>().ok());
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        start: StartTime(number(22).unwrap_or(0)),
        exiting: number(9).is_some_and(|flags| flags & EXITING != 0)
            || matches!(field(3), Some(&("Z" | "X"))),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A line of Linux 6.18, of a process whose name tries to look like the rest of it.
    #[test]
    fn a_line_of_stat() {
        let line = b"4242 (a) S 1 (b) R 77 4242 4242 0 -1 4194560 120 0 0 0 1 2 0 0 20 0 1 0 \
                     987654 1024 1 18446744073709551615 0 0\n";
        let expected = Stat { parent: 77, start: StartTime(987_654), exiting: false };
        assert_eq!(stat(line), Some(expected));
        let ends = String::from_utf8_lossy(line).replace("4194560", "4194564");
        assert!(stat(ends.as_bytes()).unwrap().exiting);
        assert_eq!(stat(b"1 (init) S 0").map(|stat| stat.start), Some(StartTime::UNKNOWN));
        assert_eq!(stat(b"no name"), None);
    }

    /// The layout is that of the manual page.
    #[test]
    fn the_offset_of_a_time_namespace() {
        let initial = "monotonic           0         0\nboottime            0         0\n";
        assert_eq!(namespace_ticks(initial), Some(0));
        let other = "monotonic      172800         0\nboottime       604800 500000000\n";
        assert_eq!(namespace_ticks(other), Some(60_480_050));
        assert_eq!(namespace_ticks(""), None);
    }

    #[test]
    fn a_process_that_has_ended_is_not_its_successor() {
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let proc = Path::new("/proc");
        let pid = Tgid(child.id());
        let open = Directory::of_pid(proc, pid).unwrap();
        let start = open.stat().unwrap().start;
        assert!(Directory::open(proc, ProcessKey { tgid: pid, start }).is_ok());
        let other = StartTime(start.0 + 1);
        let error = Directory::open(proc, ProcessKey { tgid: pid, start: other }).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        child.kill().unwrap();
        // Not reaped yet: its directory is there, its memory is not.
        while !open.stat().unwrap().exiting {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(open.stat().is_err() && open.comm().is_err() && open.exe().is_none());
    }
}
