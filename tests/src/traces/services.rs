//! The middle services, one for each runtime and the clients that are usual there; and the leaf. Sources:
//! `tests/workloads/traces-*`, and `sensor-workload` for tokio.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::sensor::{python, tool, traces_go_workload};
use crate::workloads::{Server, jdk_classes, python_packages, source};

/// A service.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// What it is called.
    pub name: &'static str,
    /// It speaks gRPC, at both ends, and HTTP/1.1 else.
    pub grpc: bool,
    /// None where this machine cannot run it. Takes `sensor-workload`.
    pub(crate) program: fn(&Path) -> Option<Command>,
}

pub(crate) const fn http(name: &'static str, program: fn(&Path) -> Option<Command>) -> Runtime {
    Runtime { name, grpc: false, program }
}

/// Every one.
pub const RUNTIMES: [Runtime; 11] = [
    http("go-http", |_| Some(Command::new(traces_go_workload("nethttp")?))),
    http("go-gin", |_| Some(Command::new(traces_go_workload("gin")?))),
    Runtime {
        name: "go-grpc",
        grpc: true,
        program: |_| Some(Command::new(traces_go_workload("grpc")?)),
    },
    http("python-threads", |_| in_python("threads.py")),
    http("python-aiohttp", |_| in_python("aio.py")),
    http("python-httpx", |_| in_python("asgi.py")),
    http("node-http", |_| in_node("agent.js")),
    http("node-fetch", |_| in_node("fetch.js")),
    http("java-url", |_| in_java("url")),
    http("java-client", |_| in_java("client")),
    http("rust-tokio", |workload| Some(scene(workload, "traces-middle"))),
];

pub(crate) fn in_python(script: &str) -> Option<Command> {
    let mut command = Command::new(python()?);
    command.env("PYTHONPATH", python_packages("traces-python")?);
    command.arg(source("traces-python").join(script));
    Some(command)
}

pub(crate) fn in_node(script: &str) -> Option<Command> {
    let mut command = Command::new(tool("node")?);
    command.arg(source("traces-node").join(script));
    Some(command)
}

pub(crate) fn in_java(client: &str) -> Option<Command> {
    let mut command = Command::new(tool("java")?);
    command.arg("-cp").arg(jdk_classes("traces-java", "Work")?).args(["Work", client]);
    Some(command)
}

pub(crate) fn scene(workload: &Path, scene: &str) -> Command {
    let mut command = Command::new(workload);
    command.arg(scene);
    command
}

/// A service and its leaf, running.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) middle: Server,
    pub(crate) leaf: Server,
}

/// Where a service writes whom it calls, in its directory.
const TRUTH: &str = "truth";

impl Runtime {
    /// Starts it, on `sensor-workload` where it is one of our own; none where this machine cannot run it.
    ///
    /// # Errors
    /// It does not come to listen.
    pub(super) fn start(&self, workload: &Path) -> Result<Option<Services>> {
        self.start_logging(workload, None)
    }

    /// The same, writing lines of what it does by this logger.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn start_logging(
        &self,
        workload: &Path,
        logger: Option<&str>,
    ) -> Result<Option<Services>> {
        let Some(mut program) = (self.program)(workload) else { return Ok(None) };
        match logger {
            Some(logger) => program.env("LINES", logger),
            None => program.env_remove("LINES"),
        };
        let leaf = match self.grpc {
            false => Some(scene(workload, "traces-leaf")),
            true => traces_go_workload("grpc").map(|program| scene(&program, "leaf")),
        };
        let Some(leaf) = leaf else { return Ok(None) };
        let leaf = Server::on_port("leaf", leaf)?;
        let middle = middle(self.name, program, leaf.address)?;
        Ok(Some(Services { middle, leaf }))
    }
}

/// Starts `program` as one that calls the server at `leaf`.
///
/// # Errors
/// It does not come to listen.
pub(super) fn middle(name: &str, mut program: Command, leaf: SocketAddr) -> Result<Server> {
    Server::start(name, |port, directory: &Path| {
        let truth: PathBuf = directory.join(TRUTH);
        program.env("LEAF", leaf.to_string()).env("TRUTH", truth).arg(port.to_string());
        // Whoever runs this may have a proxy or an exporter configured.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_lowercase();
            if text.ends_with("_proxy") || text.starts_with("otel_") {
                program.env_remove(name);
            }
        }
        Ok(program)
    })
}

impl Services {
    /// What the service wrote of its calls, as soon as there are `count` lines: caller and callee.
    pub(super) fn truth(&self, count: usize) -> Vec<String> {
        self.middle.process.lines(TRUTH, count)
    }
}
