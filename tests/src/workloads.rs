//! The servers and clients that are traced: real programs, each telling what it did itself.

mod curl;
pub mod grpc;
mod nghttp2;
mod nginx;
mod packages;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::free_port;
use crate::process::{Held, Output, Process, fresh_directory};
use crate::sensor::{Engine, Report, Sensor, python};
pub use curl::{Transfer, curl, curl_marked, transfers};
pub use nghttp2::{HELLO, LARGE, Loaded, h2load, nghttpd, received};
pub use nginx::{ACCESS, BIG, nginx};
pub use packages::{cargo_program, java_classes, jdk_classes, npm_packages, python_packages};

/// A program's source in `tests/workloads`.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(path)
}

/// How long a client, or the spans of what it did, may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs clients one after the other; they and the processes `pids` are traced from the first byte on,
/// until there are `spans` spans. What the clients left behind, and what the sensor did.
///
/// # Errors
/// When a client cannot be run, or fails.
///
/// # Panics
/// When there are fewer spans.
pub fn traced(
    engine: Engine,
    pids: &[u32],
    clients: &[Command],
    spans: usize,
) -> Result<(Vec<Output>, Report)> {
    let clients: Vec<Held> = clients.iter().map(Held::new).collect::<Result<_>>()?;
    let all: Vec<u32> = pids.iter().copied().chain(clients.iter().map(Held::pid)).collect();
    let sensor = Sensor::on(engine, &all);
    let finish = |client: Held| {
        let output = client.finish(PATIENCE)?;
        let Output { status, stderr, .. } = &output;
        ensure!(status.success(), "{status}: {}\n{stderr}", output.text());
        Ok(output)
    };
    let outputs = clients.into_iter().map(finish).collect::<Result<_>>()?;
    let _ = sensor.wait_for(spans, |_| true, PATIENCE);
    Ok((outputs, sensor.stop()))
}

/// A server, and where it listens.
#[derive(Debug)]
pub struct Server {
    /// It.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts what `command` gives for a free port of 127.0.0.1, in a directory of its own.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(name: &str, command: impl FnOnce(u16, &Path) -> Result<Command>) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let directory = fresh_directory(name)?;
        let mut command = command(address.port(), &directory)?;
        let process = Process::start(&mut command, directory, &[address])?;
        Ok(Self { process, address })
    }

    /// [`Self::start`] of a program that takes its port as the last argument.
    ///
    /// # Errors
    /// As there.
    pub fn on_port(name: &str, mut command: Command) -> Result<Self> {
        Self::start(name, |port, _| {
            command.arg(port.to_string());
            Ok(command)
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The URL of a target on it.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// What it said of itself, a line of JSON for each exchange, as soon as there are `count`.
    ///
    /// # Panics
    /// When something else is in its log, or there are not that many after a while.
    #[must_use]
    pub fn said(&self, count: usize) -> Vec<Value> {
        self.said_in("log", count)
    }

    /// [`Self::said`] in one of its files.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn said_in(&self, file: &str, count: usize) -> Vec<Value> {
        let lines = self.process.lines(file, count);
        assert!(lines.len() >= count, "{} of {count} lines: {lines:#?}", lines.len());
        #[expect(clippy::panic, reason = "this is how a test fails")]
        let parse = |line: &String| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {line}"),
        };
        lines.iter().map(parse).collect()
    }

    /// nginx's access log, in the order of the requests' markers (`m=N`, the query). It logs an exchange
    /// when it is done with it, which may be after another connection's next.
    ///
    /// # Panics
    /// As [`Self::said`], or when a line has no marker.
    #[must_use]
    pub fn accesses(&self, count: usize) -> Vec<Value> {
        let mut lines = self.said_in(ACCESS, count);
        #[expect(clippy::panic, reason = "this is how a test fails")]
        let marker = |line: &Value| -> u64 {
            let number =
                line["uri"].as_str().and_then(|uri| uri.rsplit_once("?m=")?.1.parse().ok());
            number.unwrap_or_else(|| panic!("without a marker: {line}"))
        };
        lines.sort_by_key(marker);
        lines
    }
}

/// `tests/workloads/python/server.py`; None where there is no Python.
///
/// # Errors
/// [`Server::start`].
pub fn python_server(threads: bool) -> Result<Option<Server>> {
    let Some(python) = python() else {
        return Ok(None);
    };
    let server = Server::start("python", |port, _| {
        let mut command = Command::new(python);
        command.arg(source("python/server.py")).arg(port.to_string());
        if threads {
            command.arg("threads");
        }
        Ok(command)
    })?;
    Ok(Some(server))
}
