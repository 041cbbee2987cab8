//! The sensor under test, as its users start it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::child::Owned;
use crate::bench::Bench;

/// How long loading the programs may take.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end, what is in the ring included.
const END: Duration = Duration::from_secs(20);
/// What it may say on stderr.
const SAID: u64 = 1 << 20;

/// A running sensor; killed when this is dropped.
pub(in crate::bench) struct Sensor {
    process: Owned,
    said: Option<JoinHandle<String>>,
}

impl Sensor {
    /// Traces these processes and their children; spans are made and dropped.
    pub(in crate::bench) fn trace(bench: &Bench, pids: &[u32]) -> Result<Self> {
        Self::trace_with(bench, pids, &bench.engine)
    }

    /// The same with one engine.
    pub(in crate::bench) fn trace_with(bench: &Bench, pids: &[u32], engine: &str) -> Result<Self> {
        Self::trace_loops(bench, pids, engine, true)
    }

    /// The same, with or without following event loops.
    pub(in crate::bench) fn trace_loops(
        bench: &Bench,
        pids: &[u32],
        engine: &str,
        loops: bool,
    ) -> Result<Self> {
        let mut command = live(bench, "run", pids, engine);
        command.args(["--logs", "off"]);
        if !loops {
            command.args(["--event-loops", "off"]);
        }
        Self::start(command.args(["--output", "none"]).stdout(Stdio::null()))
    }

    /// The same with every span as a line of JSON, into a file.
    pub(in crate::bench) fn trace_json(bench: &Bench, pids: &[u32], file: &Path) -> Result<Self> {
        let mut command = live(bench, "run", pids, &bench.engine);
        command.args(["--logs", "off"]);
        Self::start(command.args(["--output", "json"]).stdout(File::create(file)?))
    }

    /// Traces these processes and their children, and takes what they log; spans and records are made and dropped.
    pub(in crate::bench) fn take_logs(bench: &Bench, pids: &[u32]) -> Result<Self> {
        let mut command = live(bench, "run", pids, &bench.engine);
        command.args(["--logs", "on", "--output", "none"]);
        Self::start(command.stdout(Stdio::null()))
    }

    /// The same with every span and every record as a line of JSON, into a file.
    pub(in crate::bench) fn logs_json(bench: &Bench, pids: &[u32], file: &Path) -> Result<Self> {
        let mut command = live(bench, "run", pids, &bench.engine);
        command.args(["--logs", "on", "--output", "json"]);
        Self::start(command.stdout(File::create(file)?))
    }

    /// Records these processes and their children.
    pub(in crate::bench) fn record(bench: &Bench, pids: &[u32], file: &OsStr) -> Result<Self> {
        Self::start(live(bench, "record", pids, &bench.engine).arg(file).stdout(Stdio::null()))
    }

    /// Returns when its programs are attached.
    fn start(command: &mut Command) -> Result<Self> {
        command.env("SENSOR_LOG", "info").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut process = Owned::start(command)?;
        let stderr = process.streams().stderr.take().context("no pipe")?;
        let (said, attached) = listen(stderr);
        if attached.recv_timeout(START).is_err() {
            drop(process); // stderr ends with it
            let said = said.join().map_err(|_| anyhow!("the reader of stderr failed"))?;
            bail!("the sensor did not start within {START:?}: {}", said.trim());
        }
        Ok(Self { process, said: Some(said) })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it as Ctrl-C does: it takes what is still in the ring.
    ///
    /// # Errors
    /// It fails, or hangs, or does not say what it counted.
    pub(in crate::bench) fn stop(mut self) -> Result<Summary> {
        self.process.terminate();
        let status = self.process.wait(END)?;
        let said = self.said.take().context("stopped twice")?;
        let said = said.join().map_err(|_| anyhow!("the reader of stderr failed"))?;
        if !status.success() {
            bail!("the sensor failed: {status}: {}", said.trim());
        }
        Ok(Summary::parse(&said))
    }
}

fn live(bench: &Bench, subcommand: &str, pids: &[u32], engine: &str) -> Command {
    let mut command = Command::new(&bench.tools.sensor);
    command.args([subcommand, "--engine", engine]);
    for pid in pids {
        command.args(["--pid", &pid.to_string()]);
    }
    // Exporters of ours, if any, are not what is measured.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Reads all it says; the receiver hears when it says that it is attached.
fn listen(stderr: ChildStderr) -> (JoinHandle<String>, Receiver<()>) {
    let (sender, attached) = mpsc::channel();
    let said = thread::spawn(move || {
        let mut sender = Some(sender);
        let mut said = String::new();
        for line in BufReader::new(stderr.take(SAID)).lines().map_while(Result::ok) {
            if line.contains(" engine=")
                && let Some(sender) = sender.take()
            {
                let _ = sender.send(());
            }
            said.push_str(&line);
            said.push('\n');
        }
        said
    });
    (said, attached)
}

/// The counters that the sensor printed at its end. One that is zero may be missing.
#[derive(Debug, Default)]
pub(in crate::bench) struct Summary(BTreeMap<String, u64>);

impl Summary {
    /// From its lines for people: `name  count`.
    pub(in crate::bench) fn parse(text: &str) -> Self {
        let counter = |line: &str| {
            let mut words = line.split_whitespace();
            let (name, count) = (words.next()?, words.next()?.parse().ok()?);
            // All counters have a dotted name; a service need not.
            (words.next().is_none() && name.contains('.')).then(|| (name.to_owned(), count))
        };
        Self(text.lines().filter_map(counter).collect())
    }

    /// From the last line of its JSON.
    ///
    /// # Errors
    /// It is not the summary.
    pub(in crate::bench) fn from_json(line: &serde_json::Value) -> Result<Self> {
        let counters = line.get("counters").and_then(serde_json::Value::as_object);
        let counters = counters.context("the last line of JSON has no counters")?;
        Ok(Self(counters.iter().filter_map(|(n, v)| Some((n.clone(), v.as_u64()?))).collect()))
    }

    pub(in crate::bench) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// # Errors
    /// It is zero: then nothing was measured.
    pub(in crate::bench) fn some(&self, name: &str) -> Result<u64> {
        match self.get(name) {
            0 => bail!("the sensor counted no {name}: it saw nothing of the load"),
            count => Ok(count),
        }
    }

    /// What it says was lost, or is not whole: the name and the count of each that is not zero.
    pub(in crate::bench) fn losses(&self) -> impl Iterator<Item = (&str, u64)> {
        let counts = |name: &str| name.contains(".lost.") || LOSSES.contains(&name);
        let all = self.0.iter().filter(move |(name, count)| **count > 0 && counts(name));
        all.map(|(name, count)| (name.as_str(), *count))
    }

    /// The same as words; nothing of nothing.
    pub(in crate::bench) fn lost_text(&self) -> String {
        self.losses().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }
}

/// Counters of losses that have no `.lost.` in their name.
const LOSSES: [&str; 8] = [
    "output.lost",
    "kernel.lines_lost",
    "kernel.ring_full",
    "kernel.flow_table_full",
    "kernel.runs_missed",
    "kernel.records_doubtful",
    "exchanges.open",
    "http2.requests_unseen",
];

#[cfg(test)]
mod tests {
    use super::Summary;

    /// As printed by the sensor at the end of a run.
    const SAID: &str = "2026-11-21T00:50:36.480960Z  INFO sensor::cli::run: tracing engine=Socket

3.18s of traffic

service                    received       sent     errors
nginx.example                287977          0          0

capture.events                            1151935
exchanges.lost.gap                              3
exchanges.open                                 46
kernel.ring_full                                7

connections 64 · captured 575974 · spans 575928 · lost 0 · orphan responses 33
";

    #[test]
    fn counters_are_read_and_nothing_else() {
        let summary = Summary::parse(SAID);
        assert_eq!(summary.0.len(), 4);
        assert_eq!(summary.get("capture.events"), 1_151_935);
        assert_eq!(summary.get("exchanges.seen"), 0);
        assert!(summary.some("exchanges.seen").is_err());
        assert_eq!(
            summary.lost_text(),
            "exchanges.lost.gap 3, exchanges.open 46, kernel.ring_full 7"
        );
    }

    #[test]
    fn the_json_summary_has_the_same() {
        let line = serde_json::json!({"type": "summary", "counters": {"output.lost": 2, "a.b": 0}});
        let summary = Summary::from_json(&line).expect("counters");
        assert_eq!(summary.lost_text(), "output.lost 2");
        assert!(Summary::from_json(&serde_json::json!({"type": "span"})).is_err());
    }
}
