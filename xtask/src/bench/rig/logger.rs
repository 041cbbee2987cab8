//! A service that logs a lot, by Zap: `tests/workloads/loggers-go/load`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::Tools;
use super::child::Owned;
use crate::bench::Bench;
use crate::run::Cmd;
use crate::workspace;

/// How much longer than it should take it may take.
const GRACE: Duration = Duration::from_secs(60);

/// Builds it.
///
/// # Errors
/// There is no Go, or it does not build.
pub(in crate::bench) fn build() -> Result<PathBuf> {
    let program = workspace::target().join("workloads/loggers-go/load");
    Cmd::new(Tools::go()?)
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg("./load")
        .dir(workspace::root().join("tests/workloads/loggers-go"))
        .env("GOFLAGS", "-mod=readonly")
        .run()?;
    Ok(program)
}

/// What it is to do.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Lines {
    /// How many, with their numbers in them.
    pub(in crate::bench) count: u32,
    /// In a second; 0 for as fast as it can.
    pub(in crate::bench) rate: u32,
    /// Turns of other work for each.
    pub(in crate::bench) spin: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Logged {
    /// Lines a second.
    pub(in crate::bench) rate: f64,
    /// The longest that one line took to log, in nanoseconds.
    pub(in crate::bench) longest: f64,
}

/// It, with a process already, waiting to be let go.
pub(in crate::bench) struct Logger {
    process: Owned,
    gate: ChildStdin,
    lines: Lines,
    result: PathBuf,
    log: PathBuf,
}

impl Logger {
    /// # Errors
    /// It does not start.
    pub(in crate::bench) fn new(bench: &Bench, program: &Path, lines: Lines) -> Result<Self> {
        let (result, log) = (bench.file("logged"), bench.file("lines.log"));
        let Lines { count, rate, spin } = lines;
        let mut command = Command::new(program);
        command.args([count, rate, spin].map(|number| number.to_string())).arg(&result);
        command.stdin(Stdio::piped()).stdout(File::create(&log)?).stderr(Stdio::null());
        let mut process = Owned::start(&mut command)?;
        let gate = process.streams().stdin.take().context("no pipe")?;
        Ok(Self { process, gate, lines, result, log })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Lets it go, and waits for its end.
    ///
    /// # Errors
    /// It fails, hangs, or has not written all lines.
    pub(in crate::bench) fn run(mut self) -> Result<Logged> {
        self.gate.write_all(b"go\n").context("it has ended before it began")?;
        let status = self.process.wait(GRACE)?;
        if !status.success() {
            bail!("the service that logs failed: {status}");
        }
        let written = fs::read(&self.log)?.iter().filter(|byte| **byte == b'\n').count();
        fs::remove_file(&self.log)?;
        let count = self.lines.count;
        if u32::try_from(written).ok() != Some(count) {
            bail!("it has written {written} lines of {count}");
        }
        let said = fs::read_to_string(&self.result)?;
        let mut numbers = said.split_whitespace().map(str::parse::<f64>);
        let (nanos, longest) = numbers.next().zip(numbers.next()).context("no result")?;
        Ok(Logged { rate: f64::from(count) / nanos? * 1e9, longest: longest? })
    }
}
