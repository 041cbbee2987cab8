//! Processes that do not outlive us.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const POLL: Duration = Duration::from_millis(5);

/// A started process; killed when this is dropped.
pub(in crate::bench) struct Owned {
    child: Child,
    name: String,
}

impl Owned {
    /// Starts it. Its standard streams are the command's.
    pub(in crate::bench) fn start(command: &mut Command) -> Result<Self> {
        let program = Path::new(command.get_program());
        let name =
            program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        // SAFETY: between fork and exec only async-signal-safe functions may be called; prctl is one,
        // and it touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                // Not even SIGKILL for us leaves it behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(in crate::bench) fn name(&self) -> &str {
        &self.name
    }

    /// Its pipes.
    pub(in crate::bench) fn streams(&mut self) -> &mut Child {
        &mut self.child
    }

    /// # Errors
    /// It has ended.
    pub(in crate::bench) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself: {status}", self.name),
        }
    }

    /// Asks it to end.
    pub(in crate::bench) fn terminate(&mut self) {
        // One that has been waited for may have left its number to another.
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), libc::pid_t::try_from(self.child.id()))
        {
            // SAFETY: kill takes two numbers and touches no memory. The child has not been waited
            // for, so the number is still its own.
            unsafe {
                libc::kill(pid, libc::SIGTERM);
            }
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It takes longer than `patience`; it is killed then.
    pub(in crate::bench) fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                bail!("{} did not end within {patience:?}", self.name);
            }
            thread::sleep(POLL);
        }
    }
}

/// The lines of a pipe, as they come: so one that does not come can be waited for in vain.
pub(in crate::bench) fn lines(pipe: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Does nothing to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
