//! Programs that live as long as a value: servers, and clients that wait until they are traced.

#![expect(clippy::panic, reason = "this is how a test fails")]

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take until it listens, or has written what it has to.
const READY: Duration = Duration::from_secs(30);

/// How long a server may take to end in order.
const END: Duration = Duration::from_secs(2);

/// How often a state is looked at again.
const POLL: Duration = Duration::from_millis(10);

/// A started server and its directory. Both go away when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    directory: PathBuf,
}

/// A fresh directory for a program's files.
///
/// # Errors
/// When it cannot be made.
pub fn fresh_directory(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sensor-{name}-{}-{unique}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
    Ok(directory)
}

impl Process {
    /// Starts `command` and waits until it listens on all of `ready`. Owns `directory` from then.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen in time; with what it said.
    pub fn start(command: &mut Command, directory: PathBuf, ready: &[SocketAddr]) -> Result<Self> {
        let log = File::create(directory.join("log"))?;
        let child = command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let mut process = Self { child, directory };
        let deadline = Instant::now() + READY;
        while !ready.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended with {status}:\n{}", process.log());
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not listen on {ready:?}:\n{}", process.log());
            }
            sleep(POLL);
        }
        Ok(process)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it runs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it wrote to its standard output and error.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The lines of one of its files (of an access log, say) as soon as there are `count` of them;
    /// those that are there when that takes too long.
    #[must_use]
    pub fn lines(&self, file: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + READY;
        loop {
            let text = std::fs::read_to_string(self.directory.join(file)).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
            if lines.len() >= count || Instant::now() > deadline {
                return lines;
            }
            sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: nginx takes its workers with it then.
        let pid = rustix::process::Pid::from_child(&self.child);
        let deadline = Instant::now() + END;
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(POLL);
        }
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Waits until a process has nothing to do: until it is found asleep most of the time. A process that
/// does not get the processor that it wants is not asleep, so this holds on a busy machine too.
///
/// # Panics
/// When it does not come to that within `timeout`, or is gone.
pub fn wait_until_quiet(pid: u32, timeout: Duration) {
    const LOOKS: usize = 50;
    let deadline = Instant::now() + timeout;
    loop {
        let awake = (0..LOOKS)
            .filter(|_| {
                sleep(POLL);
                is_awake(pid)
            })
            .count();
        if awake < LOOKS / 2 {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} is busy still after {timeout:?}");
    }
}

/// Whether a thread of a process runs, or would if it could (proc_pid_stat(5), `state`).
fn is_awake(pid: u32) -> bool {
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) => panic!("process {pid}: {error}"),
    };
    threads.flatten().any(|thread| {
        // It may end while it is looked at. Its name, in brackets, may be anything.
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('S'))
    })
}

/// A program that is there, with its process id, but does not start before it is told to: so a
/// short-lived client can be traced by its id from its first byte on.
///
/// It is a shell until then. Killed when dropped.
#[derive(Debug)]
pub struct Held {
    child: Child,
    stdin: Option<ChildStdin>,
    directory: PathBuf,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

impl Output {
    /// Its standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Held {
    /// Prepares `command`: its program, arguments, environment and directory. In front of the
    /// program stands a shell that becomes it.
    ///
    /// # Errors
    /// When the shell cannot be started.
    pub fn new(command: &Command) -> Result<Self> {
        let directory = fresh_directory("held")?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"read -r go && exec "$0" "$@""#]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(File::create(directory.join("stdout"))?)
            .stderr(File::create(directory.join("stderr"))?)
            .spawn()
            .with_context(|| format!("{shell:?}"))?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, directory })
    }

    /// Its process id, the same before and after it starts.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it start.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(&mut self) -> Result<()> {
        if let Some(mut stdin) = self.stdin.take() {
            writeln!(stdin, "go").context("the program ended before it began")?;
        }
        Ok(())
    }

    /// What it wrote to its standard output until now.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.read("stdout")).into_owned()
    }

    /// Lets it start, if it has not, and waits for its end.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn finish(mut self, limit: Duration) -> Result<Output> {
        self.release()?;
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                let stderr = self.read("stderr");
                let stderr = String::from_utf8_lossy(&stderr);
                bail!("not ended after {limit:?}: {}\n{stderr}", self.stdout());
            }
            sleep(POLL);
        };
        let stderr = String::from_utf8_lossy(&self.read("stderr")).into_owned();
        Ok(Output { status, stdout: self.read("stdout"), stderr })
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.join(name)).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
