//! The OpenTelemetry Collector with its OTLP receiver, writing what it received.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Unavailable, build};
use crate::free_port;
use crate::process::{Process, fresh_directory};

/// A running Collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    /// Where it takes OTLP over gRPC.
    pub grpc: SocketAddr,
    /// Where it takes OTLP over HTTP.
    pub http: SocketAddr,
    /// What to trust in order to reach it over TLS.
    pub certificate: Option<PathBuf>,
}

impl Collector {
    /// Builds and starts one, with TLS under a certificate of its own where `tls`.
    ///
    /// # Errors
    /// The inner one when it cannot be built here, the outer one when it does not start.
    pub fn start(tls: bool) -> Result<Result<Self, Unavailable>> {
        let program = match build::build("collector", ".") {
            Ok(program) => program,
            Err(unavailable) => return Ok(Err(unavailable)),
        };
        let [grpc, http] =
            [free_port()?, free_port()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let directory = fresh_directory("collector")?;
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| directory.join(name));
        let mut tls_config = Value::Null;
        if tls {
            let made = Command::new(&program)
                .arg("self-signed")
                .args([&certificate, &key])
                .status()
                .context("cannot make a certificate")?;
            ensure!(made.success(), "cannot make a certificate: {made}");
            tls_config = json!({ "cert_file": certificate, "key_file": key });
        }
        // JSON is YAML.
        let config = json!({
            "receivers": { "otlp": { "protocols": {
                "grpc": { "endpoint": grpc, "tls": tls_config },
                "http": { "endpoint": http, "tls": tls_config },
            } } },
            "exporters": { "jsonlines": { "path": directory.join(RECEIVED) } },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": {
                    "traces": { "receivers": ["otlp"], "exporters": ["jsonlines"] },
                    "logs": { "receivers": ["otlp"], "exporters": ["jsonlines"] },
                },
            },
        });
        let path = directory.join("config.yaml");
        std::fs::write(&path, config.to_string())?;
        let mut command = Command::new(program);
        command.arg("--config").arg(path);
        let process = Process::start(&mut command, directory, &[grpc, http])?;
        Ok(Ok(Self { process, grpc, http, certificate: tls.then_some(certificate) }))
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What came out of its pipelines: every span with its resource and scope, in OTLP/JSON. The
    /// pipelines are synchronous, so what was acknowledged is there.
    ///
    /// # Errors
    /// When the file cannot be read or is not OTLP/JSON.
    pub fn spans(&self) -> Result<Vec<Received>> {
        let received = self.received("resourceSpans", "scopeSpans", "spans")?;
        let made = |[resource, scope, span]: [Value; 3]| Received { resource, scope, span };
        Ok(received.into_iter().map(made).collect())
    }

    /// The same for every record of a log.
    ///
    /// # Errors
    /// When the file cannot be read or is not OTLP/JSON.
    pub fn records(&self) -> Result<Vec<ReceivedRecord>> {
        let received = self.received("resourceLogs", "scopeLogs", "logRecords")?;
        let made =
            |[resource, scope, record]: [Value; 3]| ReceivedRecord { resource, scope, record };
        Ok(received.into_iter().map(made).collect())
    }

    /// Resource, scope and item of each.
    fn received(&self, groups: &str, scopes: &str, items: &str) -> Result<Vec<[Value; 3]>> {
        let text = std::fs::read_to_string(self.process.directory().join(RECEIVED))?;
        let mut received = Vec::new();
        for line in text.lines() {
            let request: Value = serde_json::from_str(line)?;
            if request.get(groups).is_none() {
                continue;
            }
            for group in list(&request[groups])? {
                for scope in list(&group[scopes])? {
                    for item in list(&scope[items])? {
                        let resource = group["resource"]["attributes"].clone();
                        received.push([resource, scope["scope"].clone(), item.clone()]);
                    }
                }
            }
        }
        Ok(received)
    }
}

const RECEIVED: &str = "received.jsonl";

/// One span as the Collector tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The attributes of its resource.
    pub resource: Value,
    /// Its instrumentation scope.
    pub scope: Value,
    /// The span.
    pub span: Value,
}

/// One record of a log as the Collector tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRecord {
    /// The attributes of its resource.
    pub resource: Value,
    /// Its instrumentation scope.
    pub scope: Value,
    /// The record.
    pub record: Value,
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("{value} is not a list"))
}
