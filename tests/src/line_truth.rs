//! The truth of lines: services in every runtime write lines with the marker of the request that they work on, in the
//! line's text only, and the sensor says whose each line is. What a service does meanwhile is told in [`crate::traces`].

pub mod bench;
mod judge;
mod run;
mod table;
mod wrote;

use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::sensor::traces_go_workload;
use crate::traces::Runtime;
use crate::traces::services::{http, in_java, in_node, in_python, scene};
use crate::workloads::npm_packages;

pub use judge::{Judgement, Tally};
pub use run::{Outcome, Plan, run};
pub use table::table;

/// Where in its work a service writes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Before anything else.
    Begin,
    /// When a call has been answered.
    Called,
    /// After some time on the runtime's timer.
    Slept,
    /// When something else that it waited for is over: other goroutines, tasks, threads; a file.
    Joined,
    /// Before the answer.
    End,
    /// In a goroutine, thread or task that it has started and waits for.
    Started,
    /// In a goroutine or thread that was there before.
    Pooled,
    /// When the answer is out, by the same goroutine, thread or task.
    After,
    /// When the answer is out, by another one.
    Later,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Begin,
        Self::Called,
        Self::Slept,
        Self::Joined,
        Self::End,
        Self::Started,
        Self::Pooled,
        Self::After,
        Self::Later,
    ];

    /// As the services write it.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Called => "called",
            Self::Slept => "slept",
            Self::Joined => "joined",
            Self::End => "end",
            Self::Started => "started",
            Self::Pooled => "pooled",
            Self::After => "after",
            Self::Later => "later",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A service that logs.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// What it is called.
    pub name: &'static str,
    runtime: Runtime,
    /// As the services know it.
    logger: &'static str,
}

const fn of(runtime: Runtime, logger: &'static str) -> Service {
    Service { name: runtime.name, runtime, logger }
}

const fn go(name: &'static str, program: fn(&Path) -> Option<Command>) -> Runtime {
    http(name, program)
}

/// Every one.
pub const SERVICES: [Service; 14] = [
    of(go("go-http", |_| Some(Command::new(traces_go_workload("nethttp")?))), "log"),
    of(go("go-gin", |_| Some(Command::new(traces_go_workload("gin")?))), "slog"),
    of(go("go-echo", |_| Some(Command::new(traces_go_workload("echo")?))), "log"),
    of(go("go-fiber", |_| Some(Command::new(traces_go_workload("fiber")?))), "slog"),
    of(
        Runtime {
            grpc: true,
            ..go("go-grpc", |_| Some(Command::new(traces_go_workload("grpc")?)))
        },
        "log",
    ),
    of(http("python-threads", |_| in_python("threads.py")), "logging"),
    of(http("python-aiohttp", |_| in_python("aio.py")), "logging"),
    of(http("python-httpx", |_| in_python("asgi.py")), "logging"),
    of(http("node-console", |_| in_node("agent.js")), "console"),
    of(http("node-pino", |_| with_pino(in_node("agent.js")?)), "pino"),
    of(http("java-url", |_| in_java("url")), "println"),
    of(http("java-client", |_| in_java("client")), "println"),
    of(http("java-buffered", |_| in_java("url")), "buffered"),
    of(http("rust-tokio", |workload| Some(scene(workload, "traces-middle"))), "tracing"),
];

fn with_pino(mut command: Command) -> Option<Command> {
    command.env("NODE_PATH", npm_packages("loggers-node")?);
    Some(command)
}
