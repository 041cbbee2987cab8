//! nghttp2's server and its clients, and what they say of themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Server;
use crate::process::Output;
use crate::sensor::tool;

/// Bytes of `/hello`.
pub const HELLO: i64 = 5;

/// Bytes of `/large`.
pub const LARGE: i64 = 100_000;

/// nghttpd with these options, which says of each request what it received ([`received`]). It has
/// `/hello` of [`HELLO`] bytes and `/large` of [`LARGE`].
///
/// # Errors
/// When it does not come to listen.
pub fn nghttpd(options: &[&str]) -> Result<Option<Server>> {
    let Some(program) = tool("nghttpd") else {
        return Ok(None);
    };
    let server = Server::start("nghttpd", |port, directory| {
        fs::write(directory.join("hello"), "hello")?;
        fs::write(directory.join("large"), vec![b'x'; usize::try_from(LARGE)?])?;
        let mut command = Command::new(program);
        command.args(["--no-tls", "--verbose", "--address=127.0.0.1"]).args(options);
        command.arg("-d").arg(directory).arg(port.to_string());
        Ok(command)
    })?;
    Ok(Some(server))
}

/// How often each path was asked for, as nghttpd says.
#[must_use]
pub fn received(server: &Server) -> BTreeMap<String, usize> {
    let mut paths = BTreeMap::new();
    for line in server.process.log().lines() {
        if let Some((_, path)) = line.split_once(") :path: ")
            && line.contains(" recv (stream_id=")
        {
            *paths.entry(path.to_owned()).or_default() += 1;
        }
    }
    paths
}

/// One h2load over one connection, `streams` at a time, for these targets; what it says of each goes
/// to the file `log`.
///
/// # Errors
/// When the list of its targets cannot be written.
pub fn h2load(
    program: &Path,
    server: &Server,
    streams: usize,
    targets: &[String],
    log: &Path,
) -> Result<Command> {
    let urls: Vec<String> = targets.iter().map(|target| server.url(target) + "\n").collect();
    let list = log.with_extension("urls");
    fs::write(&list, urls.concat())?;
    let mut command = Command::new(program);
    command.args(["-c", "1", "-n", &targets.len().to_string(), "-m", &streams.to_string()]);
    command.arg("-i").arg(list).arg(format!("--log-file={}", log.display()));
    Ok(command)
}

/// What h2load says of its requests.
#[derive(Debug)]
pub struct Loaded {
    /// The status of each, in the order of their ends.
    pub statuses: Vec<i64>,
    /// When each began, in nanoseconds since 1970, in that order.
    pub begun: Vec<u64>,
    /// How long each took from its start to its end, in nanoseconds, in that order.
    pub nanoseconds: Vec<u64>,
}

impl Loaded {
    /// From its log.
    ///
    /// # Errors
    /// When it is anything else, or when h2load says that a request failed.
    pub fn read(log: &Path, output: &Output) -> Result<Self> {
        let said = output.text();
        anyhow::ensure!(said.contains(" 0 failed, 0 errored, 0 timeout"), "{said}");
        let mut all = Self { statuses: Vec::new(), begun: Vec::new(), nanoseconds: Vec::new() };
        for line in fs::read_to_string(log)?.lines() {
            let mut columns = line.split('\t');
            let mut next = || columns.next().with_context(|| line.to_owned());
            all.begun.push(1000 * next()?.parse::<u64>()?);
            all.statuses.push(next()?.parse()?);
            all.nanoseconds.push(1000 * next()?.parse::<u64>()?);
        }
        Ok(all)
    }
}
