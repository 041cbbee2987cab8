//! The sensor's command, with any arguments, whatever comes of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::process;
use crate::sensor::{Report, binary};

/// How long loading and attaching, or the end, may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How the command ended.
#[derive(Debug)]
pub struct Ended {
    /// With what.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// What it reports as JSON lines.
    ///
    /// # Panics
    /// When it failed, or its output is anything else.
    #[must_use]
    pub fn report(self) -> Report {
        assert!(self.status.success(), "{self:#?}");
        Report::of(&self.stdout, self.stderr)
    }
}

/// The command, without exporters that whoever runs the tests may have configured.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("SENSOR_LOG", "sensor=info").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run(command: &mut Command) -> Ended {
    match command.output() {
        Ok(output) => Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// A running command that traces. Nobody reads its standard output until it is stopped. Killed when
/// dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: String,
}

impl Running {
    /// Starts it, and waits until it traces.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let mut running = Self { child, lines, stderr: String::new() };
        loop {
            let Ok(line) = running.lines.recv_timeout(LIMIT) else {
                panic!("{command:?} does not trace:\n{}", running.stderr);
            };
            running.stderr.push_str(&line);
            running.stderr.push('\n');
            if line.contains(": tracing ") || line.contains(": recording ") {
                return running;
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: to stop and to go on, say.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        if let Err(error) = rustix::process::kill_process(pid, signal) {
            panic!("{signal:?}: {error}");
        }
    }

    /// Waits until it has nothing to do.
    ///
    /// # Panics
    /// When it has something to do still after `timeout`.
    pub fn wait_until_quiet(&self, timeout: Duration) {
        process::wait_until_quiet(self.child.id(), timeout);
    }

    /// Ends it as Ctrl-C does, and takes all that it says.
    ///
    /// # Panics
    /// When its output cannot be read.
    #[must_use]
    pub fn stop(mut self) -> Ended {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take()
            && let Err(error) = pipe.read_to_string(&mut stdout)
        {
            panic!("{error}");
        }
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(error) => panic!("{error}"),
        };
        let mut stderr = std::mem::take(&mut self.stderr);
        while let Ok(line) = self.lines.recv() {
            stderr.push_str(&line);
            stderr.push('\n');
        }
        Ended { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
