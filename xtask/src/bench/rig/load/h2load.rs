//! h2load: requests over HTTP/2, as many at once on each connection as are allowed.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Gated, MARKER};
use crate::bench::rig::Tools;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is run.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Shape {
    pub(in crate::bench) connections: u32,
    /// Open at once on each of them.
    pub(in crate::bench) streams: u32,
}

/// h2load, not yet let go.
pub(in crate::bench) struct H2load {
    gated: Gated,
    requests: u64,
}

/// What is asked for: a list that each connection goes through, again and again.
pub(in crate::bench) struct Targets(PathBuf);

impl Targets {
    /// The path, with a marker in its query: the first request of a connection has number 0.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(in crate::bench) fn new(
        file: PathBuf,
        address: SocketAddr,
        path: &str,
        count: u64,
    ) -> Result<Self> {
        let mut out = BufWriter::new(File::create(&file).with_context(|| show(&file))?);
        for number in 0..count {
            writeln!(out, "http://{address}{path}?{MARKER}{number}")?;
        }
        out.flush().with_context(|| show(&file))?;
        Ok(Self(file))
    }
}

fn show(file: &Path) -> String {
    file.display().to_string()
}

impl H2load {
    /// So many requests in all, divided among the connections.
    pub(in crate::bench) fn new(targets: &Targets, shape: Shape, requests: u64) -> Result<Self> {
        let mut command = Command::new(Tools::h2load()?);
        command.arg("--input-file").arg(&targets.0);
        command.args(["-n", &requests.to_string()]);
        command.args(["-c", &shape.connections.to_string(), "-m", &shape.streams.to_string()]);
        Ok(Self { gated: Gated::new(&command, PATIENCE)?, requests })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.gated.pid()
    }

    /// Runs it; requests a second.
    ///
    /// # Errors
    /// It fails, or a request did.
    pub(in crate::bench) fn run(self) -> Result<f64> {
        throughput(&self.gated.run()?, self.requests)
    }
}

/// From what h2load prints.
fn throughput(said: &str, requests: u64) -> Result<f64> {
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key));
    let done = value("requests: ").with_context(|| format!("h2load said: {said}"))?;
    let all =
        format!("{requests} total, {requests} started, {requests} done, {requests} succeeded,");
    if !done.starts_with(&all) {
        bail!("not every request was answered: h2load said {done}");
    }
    let rate =
        value("finished in ").and_then(|rest| rest.split(", ").nth(1)?.strip_suffix(" req/s"));
    let rate = rate.with_context(|| format!("h2load said: {said}"))?;
    rate.parse().with_context(|| format!("h2load said: {rate} requests a second"))
}

#[cfg(test)]
mod tests {
    use super::throughput;

    /// As h2load 1.52 prints it.
    const SAID: &str = "starting benchmark...
spawning thread #0: 2 total client(s). 200 total requests
Application protocol: h2c
progress: 100% done

finished in 85.62ms, 2335.88 req/s, 2.35MB/s
requests: 200 total, 200 started, 200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 200 2xx, 0 3xx, 0 4xx, 0 5xx
req/s           :   59349.96    61011.62    60180.79     1174.97   100.00%
";

    #[test]
    fn h2load_is_understood_and_not_believed_with_errors() {
        assert_eq!(throughput(SAID, 200).ok(), Some(2_335.88));
        assert!(throughput(SAID, 201).is_err());
        assert!(
            throughput(&SAID.replace("200 succeeded, 0 f", "199 succeeded, 1 f"), 200).is_err()
        );
        assert!(throughput("could not connect", 200).is_err());
    }
}
