//! `sensor-bench` and `sensor-load hold`: processes that take a line, and answer with one.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::child::{self, Owned};
use super::load::MARKER;
use super::server::FILE_PATH;
use crate::bench::Bench;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running helper; ended when this is dropped.
pub(in crate::bench) struct Helper {
    process: Owned,
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Helper {
    fn start(program: &Path, args: &[&str]) -> Result<Self> {
        Self::started(Command::new(program).args(args))
    }

    fn started(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::start(command)?;
        let orders = process.streams().stdin.take().context("no pipe")?;
        let stdout = process.streams().stdout.take().context("no pipe")?;
        Ok(Self { process, orders, answers: child::lines(stdout) })
    }

    /// Makes calls that are not socket I/O.
    pub(in crate::bench) fn calls(bench: &Bench) -> Result<Self> {
        let tmpfs = Path::new("/dev/shm");
        let dir = if tmpfs.is_dir() { tmpfs } else { bench.dir.as_path() };
        let dir = dir.to_str().context("a path that is not text")?;
        Self::start(&bench.tools.sensor_bench, &["calls", "--dir", dir])
    }

    /// Counts the BPF objects that there are.
    pub(in crate::bench) fn objects(bench: &Bench) -> Result<Self> {
        Self::start(&bench.tools.sensor_bench, &["objects"])
    }

    /// Opens and closes the capture.
    pub(in crate::bench) fn reopen(bench: &Bench) -> Result<Self> {
        Self::start(&bench.tools.sensor_bench, &["reopen", "--engine", &bench.engine])
    }

    /// Decodes header blocks and frames, each decoder for `round` milliseconds at a time.
    pub(in crate::bench) fn hpack(bench: &Bench, round: u32) -> Result<Self> {
        Self::start(&bench.tools.sensor_bench, &["hpack", "--round", &round.to_string()])
    }

    /// Reads log lines: the sensor's or another's.
    pub(in crate::bench) fn formats(program: &Path) -> Result<Self> {
        Self::start(program, &[])
    }

    /// Asks services in every runtime, and holds the sensor's parents against what they say.
    pub(in crate::bench) fn traces(bench: &Bench, loads: &str, seed: u64) -> Result<Self> {
        Self::with_sensor(bench, &["traces", "--loads", loads, "--seed", &seed.to_string()])
    }

    /// Asks services in every runtime, and holds what the sensor says of their lines against the truth.
    pub(in crate::bench) fn lines(bench: &Bench, loads: &str, seed: u64) -> Result<Self> {
        Self::with_sensor(bench, &["lines", "--loads", loads, "--seed", &seed.to_string()])
    }

    /// Asks services that SDKs trace, and holds the sensor's spans against theirs.
    pub(in crate::bench) fn sdk(bench: &Bench, requests: u32) -> Result<Self> {
        Self::with_sensor(bench, &["sdk", "--requests", &requests.to_string()])
    }

    /// One that starts the sensor itself.
    fn with_sensor(bench: &Bench, args: &[&str]) -> Result<Self> {
        let engine = if bench.engine == "auto" { "socket" } else { &bench.engine };
        let mut command = Command::new(&bench.tools.sensor_bench);
        command.env("SENSOR", &bench.tools.sensor).args(args).args(["--engine", engine]);
        Self::started(&mut command)
    }

    /// Holds connections open.
    pub(in crate::bench) fn hold(bench: &Bench, address: SocketAddr) -> Result<Self> {
        Self::start(&bench.tools.sensor_load, &["hold", &address.to_string()])
    }

    /// Keeps so many requests going over one connection of HTTP/2, from an order to begin to one to end,
    /// and writes a line on each to `log`.
    pub(in crate::bench) fn streams(
        bench: &Bench,
        address: SocketAddr,
        authority: &str,
        streams: u32,
        seed: u64,
        log: &Path,
    ) -> Result<Self> {
        let log = log.to_str().context("a path that is not text")?;
        let (address, streams, seed) = (address.to_string(), streams.to_string(), seed.to_string());
        let args = [
            &["streams", &address, "--authority", authority, "--path", FILE_PATH][..],
            &["--marker", MARKER, "--streams", &streams],
            &["--seed", &seed, "--log", log],
        ];
        Self::start(&bench.tools.sensor_load, &args.concat())
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// # Errors
    /// It does not answer.
    pub(in crate::bench) fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}").with_context(|| format!("{order}: it has ended"))?;
        self.answer().with_context(|| order.to_owned())
    }

    /// The next line that it writes without being asked; none when it has ended.
    ///
    /// # Errors
    /// It is silent.
    pub(in crate::bench) fn next(&mut self) -> Result<Option<String>> {
        self.next_within(PATIENCE)
    }

    /// The same, with a patience of one's own.
    ///
    /// # Errors
    /// It is silent.
    pub(in crate::bench) fn next_within(&mut self, patience: Duration) -> Result<Option<String>> {
        match self.answers.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("{} is silent", self.process.name()),
        }
    }

    fn answer(&mut self) -> Result<String> {
        self.answers.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("{} is silent", self.process.name()),
            RecvTimeoutError::Disconnected => anyhow!("{} ended", self.process.name()),
        })
    }
}

/// The kernel takes statistics on BPF programs as long as this lives; and empty ones are attached, if
/// they can be had.
pub(in crate::bench) struct Statistics {
    helper: Helper,
    baseline_missing: Option<String>,
}

impl Statistics {
    /// # Errors
    /// The kernel has none.
    pub(in crate::bench) fn start(bench: &Bench, baseline: bool) -> Result<Self> {
        let args: &[&str] = if baseline { &["bpf", "--baseline"] } else { &["bpf"] };
        let mut helper = Helper::start(&bench.tools.sensor_bench, args)?;
        let said: Value = serde_json::from_str(&helper.answer()?)?;
        let missing = said.get("baseline_missing").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { helper, baseline_missing: missing })
    }

    /// Of the process that holds the empty programs.
    pub(in crate::bench) fn pid(&self) -> u32 {
        self.helper.pid()
    }

    /// Why there are no empty programs.
    pub(in crate::bench) fn baseline_missing(&self) -> Option<&str> {
        self.baseline_missing.as_deref()
    }

    /// The name of each of these programs, as the kernel has it: its first 15 bytes.
    ///
    /// # Errors
    /// One of them is not there.
    pub(in crate::bench) fn names(
        &mut self,
        ids: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<(u32, String)>> {
        let all: Vec<Value> = serde_json::from_str(&self.helper.ask("programs")?)?;
        let name = |id: u32| {
            let info = all.iter().find(|info| info.get("id") == Some(&Value::from(id)))?;
            Some((id, info.get("name")?.as_str()?.to_owned()))
        };
        let ids: Vec<_> = ids.into_iter().collect();
        let names: Vec<_> = ids.iter().filter_map(|id| name(*id)).collect();
        if names.len() != ids.len() {
            bail!("the kernel does not list all of the BPF programs {ids:?}");
        }
        Ok(names)
    }
}
