//! Whether a process of another user can be looked into as the sensor does: tried on one that `doctor` starts for
//! that, else on one that is there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Answer, Check, Needed};

/// `nobody`, on every distribution.
const NOBODY: u32 = 65_534;

/// The variable that the started process has in its environment.
const VARIABLE: &str = "SENSOR_DOCTOR";

/// What the started process has as its standard output.
const OUTPUT: &str = "/dev/null";

/// The most that is read of an environment.
const ENVIRONMENT_MAX: u64 = 64 * 1024;

/// How long the end of the started process is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process of another user.
pub enum Stranger {
    /// Started for this. Ends when this is dropped, or when this process ends.
    Started {
        /// The process.
        child: Child,
        /// The value of its variable.
        marker: String,
    },
    /// One that was there, by its id.
    Found(u32),
    /// None, for this reason.
    None(String),
}

impl Stranger {
    /// Starts one, which takes privileges that tracing does not need; else finds one. Before any of them is given up.
    #[must_use]
    pub fn start() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let marker = format!("{}-{}", std::process::id(), now.as_nanos());
        // Another user than this one, whichever that is.
        let user = NOBODY - u32::from(rustix::process::geteuid().as_raw() == NOBODY);
        // This executable, whatever leads to it: another user may not be able to come by the path.
        let started = Command::new("/proc/self/exe")
            .args(["doctor", "--stand-in"])
            .env_clear()
            .env(VARIABLE, &marker)
            .current_dir("/")
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(child) => Self::Started { child, marker },
            Err(error) => find().unwrap_or_else(|| {
                Self::None(format!("none could be started ({error}), and none is there"))
            }),
        }
    }

    fn pid(&self) -> Result<u32, String> {
        match self {
            Self::Started { child, .. } => Ok(child.id()),
            Self::Found(pid) => Ok(*pid),
            Self::None(why) => Err(why.clone()),
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Self::Started { child, .. } = self {
            // Its standard input ends, and so does it. There is no other way: the capability to signal it is given up.
            drop(child.stdin.take());
            let deadline = Instant::now() + PATIENCE;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// A process of another user: one of `nobody` or a service for root, the first of the system for anybody else.
fn find() -> Option<Stranger> {
    let own = rustix::process::geteuid().as_raw();
    let pids = fs::read_dir("/proc").ok()?.flatten();
    pids.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() != own))
        .find_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Stranger::Found)
}

/// What comes of looking into it.
pub(super) fn checks(stranger: &Stranger) -> [Check; 3] {
    let check = |name, look: fn(&Stranger, u32) -> io::Result<bool>, remedy: &str| Check {
        name,
        answer: match stranger.pid() {
            Err(why) => Answer::Unknown(format!("not tried on a process of another user: {why}")),
            Ok(pid) => answer(pid, look(stranger, pid)),
        },
        needed: Needed::Optional,
        remedy: remedy.into(),
    };
    [
        check(
            "another user's process: environment",
            environment,
            "takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; without it services are named by their \
             executable, not by OTEL_SERVICE_NAME",
        ),
        check(
            "another user's process: executable",
            executable,
            "takes CAP_SYS_PTRACE (and CAP_DAC_READ_SEARCH where only its owner may read it); without it \
             goroutines of programs written in Go are unknown",
        ),
        check(
            "another user's process: descriptors and log files",
            descriptors,
            "takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH; without it --log-file finds no files, and lines \
             that one process passes on for another may be taken twice",
        ),
    ]
}

fn answer(pid: u32, looked: io::Result<bool>) -> Answer {
    match looked {
        Ok(true) => Answer::Yes,
        Ok(false) => Answer::No(format!("/proc/{pid} shows something else than was set")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Answer::No(format!("/proc/{pid}: {error}"))
        }
        Err(error) => Answer::Unknown(format!("/proc/{pid}: {error}")),
    }
}

fn environment(stranger: &Stranger, pid: u32) -> io::Result<bool> {
    let file = File::open(format!("/proc/{pid}/environ"))?;
    // Of a process that was there, nothing is read: that it can be opened is answer enough, and its memory may be
    // of a kind that keeps a reader waiting.
    let Stranger::Started { marker, .. } = stranger else { return Ok(true) };
    let mut bytes = Vec::new();
    file.take(ENVIRONMENT_MAX).read_to_end(&mut bytes)?;
    let expected = format!("{VARIABLE}={marker}");
    Ok(bytes.split(|&byte| byte == 0).any(|entry| entry == expected.as_bytes()))
}

fn executable(stranger: &Stranger, pid: u32) -> io::Result<bool> {
    let path = format!("/proc/{pid}/exe");
    let Stranger::Started { .. } = stranger else { return fs::read_link(path).map(|_| true) };
    let seen = File::open(path)?.metadata()?;
    let own = fs::metadata("/proc/self/exe")?;
    Ok((seen.dev(), seen.ino()) == (own.dev(), own.ino()))
}

fn descriptors(stranger: &Stranger, pid: u32) -> io::Result<bool> {
    let directory = format!("/proc/{pid}/fd");
    let Stranger::Started { child, .. } = stranger else {
        for entry in fs::read_dir(&directory)? {
            fs::read_link(entry?.path())?;
        }
        return Ok(true);
    };
    // The pipe that both ends have in common, and a file by its path, as it is for that process.
    let Some(stdin) = &child.stdin else { return Ok(false) };
    let ours = rustix::fs::fstat(stdin)?;
    let theirs = fs::metadata(format!("{directory}/0"))?;
    let mut inside = format!("/proc/{pid}/root");
    let path = fs::read_link(format!("{directory}/1"))?;
    let _ = write!(inside, "{}", path.display());
    let (named, open) = (fs::metadata(inside)?, fs::metadata(format!("{directory}/1"))?);
    Ok((theirs.dev(), theirs.ino()) == (ours.st_dev, ours.st_ino)
        && path == Path::new(OUTPUT)
        && (named.dev(), named.ino()) == (open.dev(), open.ino()))
}
