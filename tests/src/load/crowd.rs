//! The load of [`super::rate`], divided among many processes with a connection each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::room_for;

/// Processes at most.
pub const PROCESSES: u64 = 5_000;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Requests a second, of all.
    pub rate: u64,
    /// Requests in all; each process sends the same number of them.
    pub requests: u64,
    /// Processes.
    pub processes: u64,
}

/// Starts the processes, each of them this program again, calls `ready` when all are connected, and
/// lets them go. Calls `done` with what came of it while they are still there: `sent`, `answered`, and
/// `seconds` of the slowest.
///
/// # Errors
/// Out of bounds, a process fails, or that of `ready` or `done`.
pub fn run(
    plan: &Plan,
    ready: impl FnOnce() -> Result<()>,
    done: impl FnOnce(&Value) -> Result<()>,
) -> Result<()> {
    let Plan { address, rate, requests, processes } = *plan;
    if processes == 0 || processes > PROCESSES || rate < processes || requests < processes {
        bail!("1 to {PROCESSES} processes, each with a request and one a second at least");
    }
    room_for(usize::try_from(2 * processes)?)?;
    let mut all = Vec::new();
    for number in 0..processes {
        // They take turns.
        let delay = Duration::from_micros(1_000_000 * number / rate);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["rate", &address.to_string(), "--wait", "--connections", "1"]);
        command.args(["--rate", &(rate / processes).to_string()]);
        command.args(["--requests", &(requests / processes).to_string()]);
        command.args(["--delay-us", &delay.as_micros().to_string()]);
        all.push(Member::start(&mut command)?);
    }
    for member in &mut all {
        member.is_ready()?;
    }
    ready()?;
    for member in &mut all {
        member.go()?;
    }
    let (mut sent, mut answered, mut seconds) = (0, 0, 0.0_f64);
    for member in &mut all {
        let report = member.report()?;
        let count = |key: &str| report.get(key).and_then(Value::as_u64).context("not a count");
        sent += count("sent")?;
        answered += count("answered")?;
        seconds = seconds.max(report.get("seconds").and_then(Value::as_f64).unwrap_or(0.0));
    }
    done(&json!({ "sent": sent, "answered": answered, "seconds": seconds }))
}

/// One of the processes; killed when this is dropped.
struct Member {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Member {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().context("no pipe")?;
        let said = BufReader::with_capacity(512, child.stdout.take().context("no pipe")?);
        Ok(Self { child, orders, said })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line)
    }

    fn is_ready(&mut self) -> Result<()> {
        match self.line()?.trim_end() {
            "ready" => Ok(()),
            said => bail!("a process is not ready: {said:?}"),
        }
    }

    fn go(&mut self) -> Result<()> {
        writeln!(self.orders, "go").context("a process has ended")
    }

    fn report(&mut self) -> Result<Value> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("a process said {line:?}"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
