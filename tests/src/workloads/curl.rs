//! curl, and what it says of its transfers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Server;
use crate::process::Output;

/// One curl for these requests (URL and options of each), one after the other, over one connection
/// where the server keeps it. Its standard output is a line of JSON for each.
#[must_use]
pub fn curl(program: &Path, requests: &[&[&str]]) -> Command {
    let mut command = Command::new(program);
    for (index, request) in requests.iter().enumerate() {
        if index > 0 {
            command.arg("--next");
        }
        command.args(["-sS", "-m", "20", "-o", "/dev/null", "-w", "%{json}\n"]);
        // Whatever the environment says.
        command.env_remove("http_proxy").env_remove("ALL_PROXY").env_remove("all_proxy");
        command.args(*request);
    }
    command
}

/// [`curl`] for paths of a server, each with its own marker as the query: `m=0`, `m=1`, …
#[must_use]
pub fn curl_marked(program: &Path, server: &Server, asked: &[(&str, &[&str])]) -> Command {
    let urls: Vec<String> = asked
        .iter()
        .enumerate()
        .map(|(i, (path, _))| server.url(&format!("{path}?m={i}")))
        .collect();
    let requests: Vec<Vec<&str>> = asked
        .iter()
        .zip(&urls)
        .map(|((_, options), url)| [&[url.as_str()], *options].concat())
        .collect();
    curl(program, &requests.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// What curl says of a transfer (`man curl`, `--write-out`).
#[derive(Clone, Debug)]
pub struct Transfer(pub Value);

impl Transfer {
    /// One of its numbers.
    ///
    /// # Panics
    /// When it does not have it.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        #[expect(clippy::panic, reason = "this is how a test fails")]
        match self.0[name].as_i64() {
            Some(number) => number,
            None => panic!("curl says no {name}: {:#}", self.0),
        }
    }

    /// `time_total`, in nanoseconds.
    ///
    /// # Panics
    /// When it does not have it.
    #[must_use]
    pub fn nanoseconds(&self) -> u128 {
        #[expect(clippy::panic, reason = "this is how a test fails")]
        match self.0["time_total"].as_f64() {
            Some(seconds) => std::time::Duration::from_secs_f64(seconds).as_nanos(),
            None => panic!("curl says no time: {:#}", self.0),
        }
    }
}

/// The transfers of a [`curl`].
///
/// # Errors
/// When it says something else.
pub fn transfers(output: &Output) -> Result<Vec<Transfer>> {
    let text = output.text();
    let parse = |line: &str| serde_json::from_str(line).map(Transfer);
    let parsed: Result<Vec<_>, _> = text.lines().map(parse).collect();
    parsed.with_context(|| format!("curl said {text}\n{}", output.stderr))
}
