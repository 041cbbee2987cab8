//! VictoriaLogs: a log store that takes Loki's push requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value};

use super::{Unavailable, build, get, percent_encode};
use crate::free_port;
use crate::process::{Process, fresh_directory};

const PACKAGE: &str = "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs";

/// A running VictoriaLogs.
#[derive(Debug)]
pub struct VictoriaLogs {
    /// Where it takes everything.
    pub http: SocketAddr,
    process: Process,
}

impl VictoriaLogs {
    /// Builds and starts one.
    ///
    /// # Errors
    /// The inner one when it cannot be built here, the outer one when it does not start.
    pub fn start() -> Result<Result<Self, Unavailable>> {
        let program = match build::build("victorialogs", PACKAGE) {
            Ok(program) => program,
            Err(unavailable) => return Ok(Err(unavailable)),
        };
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let directory = fresh_directory("victorialogs")?;
        let mut command = Command::new(program);
        command.arg(format!("-httpListenAddr={http}")).arg("-storageDataPath=data");
        let process = Process::start(&mut command, directory, &[http])?;
        Ok(Ok(Self { http, process }))
    }

    /// Where Loki's clients are pointed. It takes lines that are JSON apart, and has to be told which field the
    /// message is.
    #[must_use]
    pub fn loki_endpoint(&self) -> String {
        format!("http://{}/insert/loki/api/v1/push?_msg_field=message", self.http)
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What a LogsQL query finds, one object of fields a line.
    ///
    /// # Errors
    /// When it does not answer, or not with JSON lines.
    pub fn query(&self, query: &str) -> Result<Vec<Map<String, Value>>> {
        let query = percent_encode(query);
        let lines = get(self.http, &format!("/select/logsql/query?query={query}"))?;
        lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}
