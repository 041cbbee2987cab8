//! The sensor, run on the shop: its output is passed on line by line.

use std::env;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::judge::Judge;
use crate::provision::is_root;
use crate::run::which;
use crate::{ui, workspace};

/// How long after its time, or after Ctrl-C, the sensor may take to end.
const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// The sensor's `--output`.
#[derive(Clone, Copy)]
pub(super) enum Output {
    Tree,
    Json,
}

/// A running sensor; killed when this is dropped.
pub(super) struct Sensor {
    child: Child,
    stdout: Option<ChildStdout>,
    duration: Option<Duration>,
    stop: Arc<AtomicBool>,
}

impl Sensor {
    /// Traces `pid` and its children. When we are not root, it alone is started through sudo.
    pub(super) fn start(pid: u32, duration: Option<Duration>, output: Output) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let sensor = workspace::release_binary("sensor");
        let mut command = if is_root() {
            let mut sensor = Command::new(&sensor);
            // Out of reach of the terminal's Ctrl-C: that is passed on, once, by `interrupt`.
            sensor.process_group(0);
            sensor
        } else if which("sudo").is_some() {
            ui::line(
                "Loading BPF programs takes root: the sensor, and only it, runs through sudo.",
            );
            let mut sudo = Command::new("sudo");
            if !io::stdin().is_terminal() {
                sudo.arg("--non-interactive"); // nobody is there to be asked for a password
            }
            sudo.arg(&sensor);
            sudo
        } else {
            bail!(
                "loading BPF programs takes root, and there is no sudo: run \
                 `cargo xtask demo` as root"
            );
        };
        command.args(["run", "--pid", &pid.to_string(), "--output"]);
        match output {
            Output::Tree => {
                command.arg("tree");
                // Its output passes through here, so it cannot see the terminal by itself.
                if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
                    command.env("CLICOLOR_FORCE", "1");
                }
            }
            Output::Json => {
                command.arg("json");
            }
        }
        if let Some(duration) = duration {
            command.arg("--for").arg(format!("{}ms", duration.as_millis()));
        }
        // SAFETY: between fork and exec only async-signal-safe functions may be called; prctl is one,
        // and it touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                // Not even SIGKILL for us leaves a sensor behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, SIGTERM);
                Ok(())
            });
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", sensor.display()))?;
        let stdout = child.stdout.take();
        Ok(Self { child, stdout, duration, stop })
    }

    /// Passes its output on until it ends, on its own or because of Ctrl-C. `check` is asked now and
    /// then whether there is still something to trace.
    pub(super) fn follow(
        &mut self,
        judge: &mut dyn Judge,
        mut check: impl FnMut() -> Result<()>,
    ) -> Result<ExitStatus> {
        let stdout = self.stdout.take().context("no pipe")?;
        let (sender, lines) = mpsc::sync_channel(1024);
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut deadline = self.duration.map(|duration| Instant::now() + duration + GRACE);
        let mut stopping = false;
        loop {
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    let line = String::from_utf8_lossy(&line);
                    if judge.line(&line) {
                        // A closed stdout is no reason to leave the services running: to the end.
                        let _ = writeln!(io::stdout(), "{line}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.stop.load(Ordering::Relaxed) && !stopping {
                stopping = true;
                deadline = Some(Instant::now() + GRACE);
                self.interrupt();
            }
            if !stopping {
                check()?;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                bail!("the sensor did not end {GRACE:?} after it should have");
            }
        }
        Ok(self.child.wait()?)
    }

    /// Asks it to end. One behind sudo is root's and does not hear us, but it hears the terminal.
    fn interrupt(&self) {
        let Ok(pid) = libc::pid_t::try_from(self.child.id()) else {
            return;
        };
        // SAFETY: kill takes two numbers and touches no memory. The child has not been waited for,
        // so the number is still its own.
        unsafe {
            libc::kill(pid, SIGTERM);
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // Does nothing to a child that has been waited for, and fails on one behind sudo, which ends
        // with its time or with the terminal.
        if self.child.kill().is_ok() {
            let _ = self.child.wait();
        }
    }
}
