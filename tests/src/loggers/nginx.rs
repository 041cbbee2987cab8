//! nginx with its logs where containers have them, on standard output and error; and a second access log, in JSON,
//! which is not traced: what it says of the same requests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::QUIET;
use crate::sensor::{Engine, LogJson, Sensor, tool};
use crate::workloads::Server;

/// The log in JSON.
const TRUTH: &str = "truth.json";

/// With what is escaped in logs.
const AGENT: &str = r#"probe/1.0 ("x" \ y)"#;

/// What is asked for: two that are there, and one that is not.
const TARGETS: [&str; 3] = ["/ok?m=1", "/missing?m=2", "/ok?m=3"];

/// Asks it, and gives what it says itself of each request, and the records of the sensor; none where this machine
/// cannot run it.
///
/// # Errors
/// It does not start, or does not answer.
///
/// # Panics
/// When the sensor does not run.
pub fn run(engine: Engine) -> Result<Option<(Vec<Value>, Vec<LogJson>)>> {
    let Some(program) = tool("nginx") else { return Ok(None) };
    let server = Server::start("nginx-logs", |port, directory| {
        let root = directory.display();
        let truth = r#"{"at":$msec,"client":"$remote_addr","request":"$request","method":"$request_method","target":"$request_uri","status":$status,"size":$body_bytes_sent,"agent":"$http_user_agent"}"#;
        let config = format!(
            "daemon off; worker_processes 1; user root; pid {root}/pid; error_log stderr;
             events {{ worker_connections 64; }}
             http {{
               log_format truth escape=json '{truth}';
               access_log /dev/stdout combined;
               access_log {root}/{TRUTH} truth;
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
               server {{ listen 127.0.0.1:{port}; root {root}; location = /ok {{ return 200 'ok'; }} }}
             }}"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(directory).arg("-c").arg(file);
        Ok(command)
    })?;
    let sensor = Sensor::with_logs(engine, &[server.pid()], &[]);
    for target in TARGETS {
        let mut stream = TcpStream::connect(server.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        stream.read_to_end(&mut Vec::new()).context(target)?;
    }
    let truth = server.said_in(TRUTH, TARGETS.len());
    // Of what is missing there is a line of the error log besides.
    sensor.wait_while_logging(0, TARGETS.len() + 1, QUIET);
    Ok(Some((truth, sensor.stop().logs)))
}

/// In what the records differ from what nginx says of the requests, in words.
#[must_use]
pub fn differences(truth: &[Value], records: &[LogJson]) -> Vec<String> {
    let mut all = Vec::new();
    let (errors, accesses): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record.message().contains("No such file or directory"));
    if accesses.len() != truth.len() {
        all.push(format!("{} records of {} requests", accesses.len(), truth.len()));
    }
    for (truth, record) in truth.iter().zip(&accesses) {
        let text = |key: &str| truth[key].as_str().unwrap_or_default();
        let target = text("target");
        let mut same = |what: &str, is: Option<&Value>, should: &Value| {
            if is != Some(should) {
                all.push(format!("{target}: {what} {is:?} and not {should}: {}", record.json()));
            }
        };
        same("message", record.json().get("message"), &truth["request"]);
        same("method", record.get("http.request.method"), &truth["method"]);
        same("target", record.get("url.original"), &truth["target"]);
        same("status", record.get("http.response.status_code"), &truth["status"]);
        same("size", record.get("http.response.body.size"), &truth["size"]);
        same("client", record.get("client.address"), &truth["client"]);
        same("agent", record.get("user_agent.original"), &truth["agent"]);
        // The line has whole seconds.
        let at = truth["at"].as_f64().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let written = (record.timestamp() / 1_000_000_000) as f64;
        if (at - written).abs() > 1.0 {
            all.push(format!("{target}: at {written} and not {at}"));
        }
        if record.text("level").is_some() {
            all.push(format!("{target}: a level, and the line has none: {}", record.json()));
        }
    }
    match errors[..] {
        [error] => {
            let words = error.words();
            let known = error.text("level") == Some("error")
                && ["open() ", "/missing", "GET /missing?m=2 HTTP/1.1"]
                    .iter()
                    .all(|word| words.contains(word));
            if !known {
                all.push(format!("the error: {}", error.json()));
            }
        }
        _ => all.push(format!("{} records of one error: {errors:?}", errors.len())),
    }
    all
}
