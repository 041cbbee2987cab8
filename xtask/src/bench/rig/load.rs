//! Load: wrk for as much as goes, `sensor-load` for a fixed rate and for what is not HTTP.

pub(in crate::bench) mod h2load;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Tools;
use super::child::{self, Owned};
use crate::bench::Bench;

/// Connections of either.
pub(in crate::bench) const CONNECTIONS: u32 = 64;
/// How much longer than its time a load may take.
const GRACE: Duration = Duration::from_secs(20);

/// A load that has a process already, and waits to be let go: so the sensor can be told of it first.
pub(in crate::bench) struct Gated {
    process: Owned,
    gate: ChildStdin,
    patience: Duration,
}

impl Gated {
    fn new(command: &Command, duration: Duration) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        // exec: the process stays the one that is traced.
        shell.args(["-c", "read go && exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Owned::start(&mut shell)?;
        let gate = process.streams().stdin.take().context("no pipe")?;
        Ok(Self { process, gate, patience: duration + GRACE })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn go(&mut self) -> Result<()> {
        self.gate.write_all(b"go\n").context("the load has ended before it began")
    }

    /// Lets it go, and returns what it printed at its end.
    fn run(mut self) -> Result<String> {
        self.go()?;
        self.finish()
    }

    fn finish(mut self) -> Result<String> {
        let status = self.process.wait(self.patience)?;
        let mut said = String::new();
        let stdout = self.process.streams().stdout.take().context("no pipe")?;
        stdout.take(1 << 16).read_to_string(&mut said)?; // less than a pipe holds
        if !status.success() {
            bail!("the load failed: {status}: {}", said.trim());
        }
        Ok(said)
    }
}

/// wrk, not yet let go.
pub(in crate::bench) struct Wrk(Gated);

impl Wrk {
    pub(in crate::bench) fn new(address: SocketAddr, duration: Duration) -> Result<Self> {
        let mut command = Command::new(Tools::wrk()?);
        let seconds = duration.as_secs().max(1);
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
        command.arg(format!("http://{address}/wrk"));
        Ok(Self(Gated::new(&command, duration)?))
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Runs it; requests a second.
    ///
    /// # Errors
    /// It fails, or a request did.
    pub(in crate::bench) fn run(self) -> Result<f64> {
        throughput(&self.0.run()?)
    }

    /// Lets it go, and calls `meanwhile` every second until it ends.
    ///
    /// # Errors
    /// As [`Wrk::run`], and those of `meanwhile`.
    pub(in crate::bench) fn run_with(
        mut self,
        duration: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<f64> {
        self.0.go()?;
        for _ in 1..duration.as_secs().max(2) {
            std::thread::sleep(Duration::from_secs(1));
            meanwhile()?;
        }
        throughput(&self.0.finish()?)
    }
}

/// From what wrk prints.
fn throughput(said: &str) -> Result<f64> {
    let value = |key: &str| said.lines().find_map(|line| line.trim().strip_prefix(key));
    for bad in ["Non-2xx or 3xx responses:", "Socket errors:"] {
        if let Some(what) = value(bad) {
            bail!("wrk: {bad}{what}");
        }
    }
    let rate = value("Requests/sec:").with_context(|| format!("wrk said: {said}"))?;
    rate.trim().parse().with_context(|| format!("wrk said: {rate} requests a second"))
}

/// Tiny requests that are not HTTP, as fast as they are answered; not yet let go.
pub(in crate::bench) struct Echo(Gated);

impl Echo {
    pub(in crate::bench) fn new(
        bench: &Bench,
        address: SocketAddr,
        connections: u32,
        duration: Duration,
    ) -> Result<Self> {
        let mut command = Command::new(&bench.tools.sensor_load);
        command.args(["echo", &address.to_string()]);
        command.args(["--connections", &connections.to_string()]);
        command.args(["--seconds", &duration.as_secs().max(1).to_string()]);
        Ok(Self(Gated::new(&command, duration)?))
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// # Errors
    /// It fails.
    pub(in crate::bench) fn run(self) -> Result<Outcome> {
        let said = self.0.run()?;
        let report: Value = serde_json::from_str(&said)?;
        figures(&report, "answered").with_context(|| format!("sensor-load said {report}"))
    }
}

/// A load of `sensor-load` that connects and warms up when it is let go, then waits for the word to
/// begin, and at its end for the word to close: so what is measured is nothing but the load.
pub(in crate::bench) struct Poised {
    process: Owned,
    orders: ChildStdin,
    said: Receiver<String>,
    patience: Duration,
}

impl Poised {
    /// The load of `args`, which has a process already. `duration` is that of the load alone.
    pub(in crate::bench) fn new(
        bench: &Bench,
        args: &[String],
        duration: Duration,
    ) -> Result<Self> {
        let mut command = Command::new(&bench.tools.sensor_load);
        command.args(args);
        let Gated { mut process, gate, patience } = Gated::new(&command, duration * 10)?;
        let stdout = process.streams().stdout.take().context("no pipe")?;
        Ok(Self { process, orders: gate, said: child::lines(stdout), patience })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Lets it connect, and returns when it is ready.
    ///
    /// # Errors
    /// It fails.
    pub(in crate::bench) fn connect(&mut self) -> Result<()> {
        match self.go()?.as_str() {
            "ready" => Ok(()),
            said => bail!("the load is not ready: {said}"),
        }
    }

    /// Lets it begin, and returns how many requests were answered; its connections are still open.
    ///
    /// # Errors
    /// It fails, or not every request was answered.
    pub(in crate::bench) fn run(&mut self) -> Result<u64> {
        let report: Value = serde_json::from_str(&self.go()?)?;
        let count = |key: &str| report.get(key).and_then(Value::as_u64);
        match (count("sent"), count("answered")) {
            (Some(sent), Some(answered)) if sent == answered => Ok(answered),
            _ => bail!("not every request was answered: {report}"),
        }
    }

    /// What it says next.
    fn go(&mut self) -> Result<String> {
        self.orders.write_all(b"go\n").context("the load has ended before it began")?;
        let said = self.said.recv_timeout(self.patience);
        said.with_context(|| format!("{} says nothing", self.process.name()))
    }
}

/// A run at a fixed rate, not yet let go.
pub(in crate::bench) struct Rate {
    gated: Gated,
    plan: Plan,
}

/// Requests of a run at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Plan {
    /// A second.
    pub(in crate::bench) rate: u64,
    /// In all.
    pub(in crate::bench) requests: u64,
}

impl Plan {
    pub(in crate::bench) fn new(rate: u64, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { rate, requests: (rate.saturating_mul(millis) / 1000).max(1) }
    }

    fn duration(self) -> Duration {
        Duration::from_millis(self.requests.saturating_mul(1000) / self.rate.max(1))
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Outcome {
    pub(in crate::bench) sent: u64,
    /// Latencies count from when a request was due.
    pub(in crate::bench) p50_nanos: f64,
    pub(in crate::bench) p99_nanos: f64,
    /// Answers a second; below the planned rate the load was too much.
    pub(in crate::bench) rate: f64,
}

impl Outcome {
    /// Whether the answers came at less than 99 % of the planned rate: then the latencies are those of
    /// a growing queue.
    #[expect(clippy::cast_precision_loss, reason = "requests a second")]
    pub(in crate::bench) fn is_late(&self, plan: Plan) -> bool {
        self.rate < 0.99 * plan.rate as f64
    }
}

/// What begins the path of every request; its number follows.
pub(in crate::bench) const MARKER: &str = "m-";

impl Rate {
    pub(in crate::bench) fn new(bench: &Bench, address: SocketAddr, plan: Plan) -> Result<Self> {
        let mut command = Command::new(&bench.tools.sensor_load);
        command.args(["rate", &address.to_string(), "--marker", MARKER]);
        command.args(["--rate", &plan.rate.to_string()]);
        command.args(["--requests", &plan.requests.to_string()]);
        command.args(["--connections", &CONNECTIONS.to_string()]);
        // A machine that is too slow for the rate takes longer.
        Ok(Self { gated: Gated::new(&command, plan.duration() * 10)?, plan })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.gated.pid()
    }

    /// # Errors
    /// It fails, or not every request was answered.
    pub(in crate::bench) fn run(self) -> Result<Outcome> {
        let said = self.gated.run()?;
        let report: Value = serde_json::from_str(&said)?;
        outcome(&report, self.plan).with_context(|| format!("sensor-load said {report}"))
    }
}

fn outcome(report: &Value, plan: Plan) -> Result<Outcome> {
    let count = |key: &str| report.get(key).and_then(Value::as_u64).context("not a count");
    if count("sent")? != plan.requests || count("answered")? != plan.requests {
        bail!("not all of {} requests were sent and answered", plan.requests);
    }
    figures(report, "sent")
}

/// What a report says of latencies, and of the rate of what it counts under `counted`.
fn figures(report: &Value, counted: &str) -> Result<Outcome> {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64).context("not a number");
    let latency = |key: &str| number(report.get("latency_ns").and_then(|all| all.get(key)));
    let sent = report.get(counted).and_then(Value::as_u64).context("not a count")?;
    #[expect(clippy::cast_precision_loss, reason = "at most some millions")]
    let rate = sent as f64 / number(report.get("seconds"))?;
    Ok(Outcome { sent, p50_nanos: latency("p50")?, p99_nanos: latency("p99")?, rate })
}

#[cfg(test)]
mod tests {
    use super::{Plan, outcome, throughput};
    use serde_json::json;
    use std::time::Duration;

    /// As wrk 4.1 prints it.
    const WRK: &str = "Running 2s test @ http://127.0.0.1:18080/a
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   135.23us   72.97us   1.95ms   94.63%
    Req/Sec   174.14k     8.17k  184.67k    80.95%
  363962 requests in 2.10s, 53.11MB read
Requests/sec: 173316.39
Transfer/sec:     25.29MB
";

    #[test]
    fn wrk_is_understood_and_not_believed_with_errors() {
        assert_eq!(throughput(WRK).ok(), Some(173_316.39));
        assert!(throughput(&format!("{WRK}  Non-2xx or 3xx responses: 7\n")).is_err());
        let errors = "  Socket errors: connect 0, read 1, write 0, timeout 0\n";
        assert!(throughput(&format!("{WRK}{errors}")).is_err());
        assert!(throughput("unable to connect").is_err());
    }

    #[test]
    fn a_run_counts_only_when_all_was_answered() {
        let plan = Plan::new(1000, Duration::from_millis(2500));
        assert_eq!(plan.requests, 2500);
        assert_eq!(plan.duration(), Duration::from_millis(2500));
        let report = |answered: u64| {
            json!({"sent": 2500, "answered": answered, "seconds": 2.5,
                   "latency_ns": {"p50": 50, "p99": 99}})
        };
        assert_eq!(outcome(&report(2500), plan).ok().map(|it| it.p99_nanos), Some(99.0));
        assert!(outcome(&report(2499), plan).is_err());
    }
}
