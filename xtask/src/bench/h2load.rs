//! HTTP/2 as fast as it goes: h2load and nghttpd, both traced, with several streams at once on each
//! connection. Its throughput, with and without the sensor in turn; and whether every request, which has
//! a marker of its own on its connection, is told at both ends or counted as lost, and told right.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::loss::{Balance, count};
use super::rig::load::MARKER;
use super::rig::load::h2load::{H2load, Shape, Targets};
use super::rig::sensor::{Sensor, Summary};
use super::rig::server::{self, Server};
use super::rig::tracer::Tracer;
use super::row::{Row, Target};
use super::{Bench, progress};

const THROUGHPUT: f64 = 0.90;
/// Streams at once on a connection.
const STREAMS: [u32; 3] = [1, 8, 100];
/// One connection keeps a server and a client of one thread each busy, if it has several streams; ten
/// leave neither anything to wait for.
const CONNECTIONS: [u32; 2] = [1, 10];
/// Requests with a marker, of all connections.
const MARKED: u64 = 200_000;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nghttpd(bench)?;
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let marked = bench.pick(MARKED, MARKED / 10) / u64::from(connections);
        let file = bench.file(&format!("targets-{connections}"));
        let targets = Targets::new(file, server.address(), server::FILE_PATH, marked)?;
        for streams in STREAMS {
            let shape = Shape { connections, streams };
            let name = match connections {
                1 => format!("h2load: one connection, {streams} at once"),
                _ => format!("h2load: {connections} connections, {streams} at once on each"),
            };
            rows.push(throughput(bench, &server, &targets, shape, &name)?);
            if bench.against.is_none() {
                let account = Account::take(bench, &server, &targets, shape, marked)?;
                rows.extend(account.rows(&name));
            }
        }
    }
    Ok(rows)
}

/// The row of a shape's throughput.
fn throughput(
    bench: &Bench,
    server: &Server,
    targets: &Targets,
    shape: Shape,
    name: &str,
) -> Result<Row> {
    let rounds = bench.pick(5, 2);
    let requests = requests(H2load::new(targets, shape, 50_000)?.run()?, bench.pick(1.5, 0.5));
    let mut pairs = Vec::new();
    let mut losses = Vec::new();
    for round in 1..=rounds {
        let without = H2load::new(targets, shape, requests)?.run()?;
        let load = H2load::new(targets, shape, requests)?;
        let tracer = Tracer::attach(bench, &[server.pid(), load.pid()])?;
        let with = load.run()?;
        if let Some(summary) = tracer.stop()? {
            summary.some("exchanges.spans")?;
            losses.push(summary.lost_text());
        }
        pairs.push((without, with));
        progress(format_args!(
            "{name}, round {round} of {rounds}: {with:.0}/s, {without:.0}/s without"
        ));
    }
    losses.retain(|lost| !lost.is_empty());
    let note = match losses.len() {
        0 => String::new(),
        n => format!("in {n} of {rounds} runs some was lost, and counted: {}", losses.join("; ")),
    };
    let row = Row::of_pairs(format!("{name}: throughput"), "/s", &pairs).context("no round")?;
    Ok(row.target(Target::RatioAtLeast(THROUGHPUT)).note(note))
}

/// Requests of a run that takes about so long.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some millions, and positive"
)]
fn requests(rate: f64, seconds: f64) -> u64 {
    (rate * seconds) as u64 / 10_000 * 10_000 + 10_000
}

/// What was sent, and what came out.
#[derive(Default)]
struct Account {
    /// Requests.
    sent: u64,
    /// Of each end and connection, by the client's port, which of its requests came.
    ends: BTreeMap<(bool, u64), Vec<bool>>,
    /// Ends of requests that came.
    captured: u64,
    /// Spans that came twice, that are of no request, or that say what is not so.
    wrong: u64,
    /// The first of them.
    example: Option<String>,
    summary: Summary,
}

impl Account {
    fn take(
        bench: &Bench,
        server: &Server,
        targets: &Targets,
        shape: Shape,
        marked: u64,
    ) -> Result<Self> {
        let file = bench.file("h2load.jsonl");
        let sent = marked * u64::from(shape.connections);
        let load = H2load::new(targets, shape, sent)?;
        let sensor = Sensor::trace_json(bench, &[server.pid(), load.pid()], &file)?;
        load.run()?;
        sensor.stop()?;
        let mut account = Self { sent, ..Self::default() };
        account.read(&file, marked)?;
        let ports = account.ends.len();
        if ports > 2 * usize::try_from(shape.connections)? {
            bail!("{ports} ends of connections, and there were only {}", 2 * shape.connections);
        }
        Ok(account)
    }

    fn read(&mut self, file: &Path, marked: u64) -> Result<()> {
        let marked = usize::try_from(marked)?;
        let mut last = Value::Null;
        for line in BufReader::new(File::open(file)?).lines() {
            let line: Value = serde_json::from_str(&line?)?;
            if line.get("type").and_then(Value::as_str) == Some("span") {
                self.span(&line, marked);
            }
            last = line;
        }
        self.summary = Summary::from_json(&last)?;
        if self.captured == 0 {
            bail!("the sensor saw nothing of the load");
        }
        Ok(())
    }

    fn span(&mut self, span: &Value, marked: usize) {
        let seen = request(span).and_then(|(end, port, number)| {
            let ends = self.ends.entry((end, port)).or_insert_with(|| vec![false; marked]);
            ends.get_mut(number).filter(|seen| !**seen)
        });
        match seen {
            Some(seen) => {
                *seen = true;
                self.captured += 1;
            }
            None => {
                self.wrong += 1;
                self.example.get_or_insert_with(|| span.to_string());
            }
        }
    }

    fn rows(&self, name: &str) -> [Row; 2] {
        let Self { sent, captured, wrong, summary, example, .. } = self;
        let balance = Balance::new(*sent, *captured, *wrong, summary);
        let lost = match summary.lost_text().as_str() {
            "" => "nothing".to_owned(),
            lost => lost.to_owned(),
        };
        let note = format!(
            "{sent} requests at both ends: {captured} spans of {}; counted as lost: {lost}; wrong: {wrong}",
            2 * sent
        );
        progress(format_args!("{name}: {note}"));
        if let Some(example) = example {
            progress(format_args!("wrong is: {example}"));
        }
        [
            Row::new(format!("{name}: spans missing"), "", count(balance.missing)).note(note),
            Row::new(format!("{name}: unaccounted for"), "", count(balance.unexplained))
                .target(Target::ValueAtMost(0.0)),
        ]
    }
}

/// Which end (true for the client's), port of the client, and number a span is about; none when it says
/// anything that is not so. What is not known is absent, and may be.
fn request(span: &Value) -> Option<(bool, u64, usize)> {
    let attributes = span.get("attributes")?;
    let said = |key: &str, is: Value| attributes.get(key).is_none_or(|said| *said == is);
    let client = match span.get("kind")?.as_str()? {
        "client" => true,
        "server" => false,
        _ => return None,
    };
    let right = attributes.get("url.path")?.as_str()? == server::FILE_PATH
        && said("http.request.method", "GET".into())
        && said("http.response.status_code", 200.into())
        && said("http.response.body.size", server::FILE.into())
        && said("network.protocol.version", "2".into())
        && span.get("status")?.as_str()? != "error";
    let port = if client { "network.local.port" } else { "network.peer.port" };
    let port = attributes.get(port)?.as_u64()?;
    let number = attributes.get("url.query")?.as_str()?.strip_prefix(MARKER)?;
    right.then_some((client, port, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Account, request, requests};
    use serde_json::{Value, json};

    fn span(kind: &str, marker: &str) -> Value {
        json!({
            "type": "span", "kind": kind, "status": "unset",
            "attributes": {
                "url.path": "/file.html", "url.query": marker, "http.request.method": "GET",
                "http.response.status_code": 200, "http.response.body.size": 1024,
                "network.protocol.version": "2",
                "network.local.port": 40_001, "network.peer.port": 40_002,
            },
        })
    }

    #[test]
    fn requests_are_known_by_end_connection_and_number() {
        assert_eq!(request(&span("client", "m-7")), Some((true, 40_001, 7)));
        assert_eq!(request(&span("server", "m-0")), Some((false, 40_002, 0)));
        for bad in ["7", "m-", "m-x"] {
            assert_eq!(request(&span("server", bad)), None, "{bad}");
        }
    }

    #[test]
    fn what_is_said_has_to_be_so_and_what_is_not_may_be() {
        for (key, wrong) in [
            ("http.request.method", json!("POST")),
            ("http.response.status_code", json!(404)),
            ("http.response.body.size", json!(1023)),
            ("url.path", json!("/other")),
        ] {
            let mut span = span("server", "m-7");
            span["attributes"][key] = wrong;
            assert_eq!(request(&span), None, "{key}");
        }
        let mut less = span("server", "m-7");
        let attributes = less["attributes"].as_object_mut().expect("an object");
        attributes.remove("http.response.status_code");
        assert!(request(&less).is_some());
        let mut failed = span("server", "m-7");
        failed["status"] = "error".into();
        assert_eq!(request(&failed), None);
    }

    #[test]
    fn each_request_counts_once_at_each_end() {
        let mut account = Account { sent: 2, ..Account::default() };
        for (kind, marker) in [
            ("client", "m-0"),
            ("client", "m-1"),
            ("server", "m-0"),
            ("server", "m-0"),
            ("x", "m-0"),
        ] {
            account.span(&span(kind, marker), 2);
        }
        account.span(&span("server", "m-2"), 2);
        assert_eq!((account.captured, account.wrong), (3, 3));
        let [missing, unaccounted] = account.rows("x");
        assert_eq!(missing.cells()[1], "1");
        assert_eq!(unaccounted.cells()[1], "4");
    }

    #[test]
    fn runs_take_as_long_as_they_should() {
        assert_eq!(requests(100_000.0, 1.5), 160_000);
        assert_eq!(requests(10.0, 0.5), 10_000);
    }
}
