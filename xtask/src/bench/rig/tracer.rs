//! What is put beside the load: the sensor, or whatever `--against` says.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::child::Owned;
use super::sensor::{Sensor, Summary};
use crate::bench::Bench;

/// How long another tool may take to end.
const END: Duration = Duration::from_secs(20);

/// Another tool.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Against {
    /// A line for the shell; `{pids}` in it stands for the processes under load: `12,34`.
    pub(in crate::bench) command: String,
    /// How long it takes until it traces.
    pub(in crate::bench) settle: Duration,
}

/// A running tracer; ended when this is dropped.
pub(in crate::bench) enum Tracer {
    Sensor(Sensor),
    Other(Other),
}

impl Tracer {
    /// Traces these processes and their children, with the engine of the run.
    ///
    /// # Errors
    /// It does not start.
    pub(in crate::bench) fn attach(bench: &Bench, pids: &[u32]) -> Result<Self> {
        match &bench.against {
            Some(against) => Other::start(bench, against, pids).map(Self::Other),
            None => Sensor::trace(bench, pids).map(Self::Sensor),
        }
    }

    /// The sensor, with this engine, with or without following event loops.
    ///
    /// # Errors
    /// It does not start.
    pub(in crate::bench) fn attach_with(
        bench: &Bench,
        pids: &[u32],
        engine: &str,
        loops: bool,
    ) -> Result<Self> {
        Sensor::trace_loops(bench, pids, engine, loops).map(Self::Sensor)
    }

    /// Ends it; what the sensor counted.
    ///
    /// # Errors
    /// It fails, or had ended before.
    pub(in crate::bench) fn stop(self) -> Result<Option<Summary>> {
        match self {
            Self::Sensor(sensor) => sensor.stop().map(Some),
            Self::Other(other) => other.stop().map(|()| None),
        }
    }
}

/// Another tool, with all that its command started.
pub(in crate::bench) struct Other {
    process: Owned,
    log: PathBuf,
}

impl Other {
    fn start(bench: &Bench, against: &Against, pids: &[u32]) -> Result<Self> {
        let log = bench.file("against.log");
        let said = File::create(&log)?;
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &for_pids(&against.command, pids)])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let mut other = Self { process: Owned::start(&mut shell)?, log };
        thread::sleep(against.settle);
        other.check()?;
        Ok(other)
    }

    fn check(&mut self) -> Result<()> {
        if self.process.check().is_err() {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(3).collect();
            bail!("the command of --against ended by itself: {}", last.join("; "));
        }
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        self.check()?;
        self.signal(libc::SIGTERM);
        self.process.wait(END).map(drop)
    }

    /// To all of its group.
    fn signal(&self, signal: libc::c_int) {
        if let Ok(group) = libc::pid_t::try_from(self.process.pid()) {
            // SAFETY: kill takes two numbers and touches no memory. The group is the child's own: it was
            // made with it, and lasts until all of it has ended.
            unsafe {
                libc::kill(-group, signal);
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // What the shell started and did not wait for.
        self.signal(libc::SIGKILL);
    }
}

fn for_pids(command: &str, pids: &[u32]) -> String {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    command.replace("{pids}", &pids.join(","))
}

#[cfg(test)]
mod tests {
    use super::for_pids;

    #[test]
    fn the_processes_are_told_where_they_are_asked_for() {
        assert_eq!(for_pids("tool --pid {pids} -q", &[1, 23]), "tool --pid 1,23 -q");
        assert_eq!(for_pids("tool -a", &[1]), "tool -a");
    }
}
