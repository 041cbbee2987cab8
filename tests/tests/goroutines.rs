//! Which goroutine a call is for: what Go's own runtime says of it, in a header of everything that the
//! traced programs send, is what the records say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sensor::capture::event::{Direction, Endpoints, Event, FlowId, Segment, Tgid};
use sensor::capture::{self, Pace, Progress};
use sensor::metrics::Metrics;
use sensor_tests::both_engines;
use sensor_tests::edges::raw::Running;
use sensor_tests::process::{Held, fresh_directory};
use sensor_tests::sensor::{Engine, go_workload_with, grpc_go_workload_with};
use sensor_tests::workloads::Server;
use serde_json::Value;

both_engines!(
    whoever_writes,
    whoever_writes_in_a_stripped_program,
    whoever_asks,
    whoever_asks_in_a_stripped_program,
    streams_of_grpc,
    streams_of_grpc_in_a_stripped_program,
    streams_of_net_http,
    streams_of_x_net,
);

const PATIENCE: Duration = Duration::from_secs(60);

/// `go build` for programs with and without symbols and debug information.
const BUILDS: [(&str, &[&str]); 2] =
    [("goroutines", &[]), ("goroutines-stripped", &["-ldflags=-s -w"])];

/// A head that went by, and whose the sensor says it is.
struct Head {
    tgid: Tgid,
    direction: Direction,
    request: bool,
    /// In the header.
    said: u64,
    /// In the record.
    seen: Option<u64>,
    asked: bool,
}

impl Head {
    fn of(segment: &Segment<'_>) -> Option<Self> {
        let text = String::from_utf8_lossy(segment.bytes);
        let said = text.lines().find_map(|line| line.strip_prefix("X-Goroutine: "))?;
        Some(Self {
            tgid: segment.process.tgid,
            direction: segment.direction,
            request: text.starts_with("GET "),
            said: said.parse().unwrap(),
            seen: segment.caller.goroutine.map(|it| it.id.get()),
            asked: segment.caller.asked,
        })
    }
}

/// The server, and a client of `concurrency` workers in this mode, `count` requests each: the heads of both
/// in a recording, and their process ids.
fn heads(
    engine: Engine,
    build: usize,
    mode: &str,
    concurrency: usize,
    count: usize,
) -> Option<(Tgid, Tgid, Vec<Head>)> {
    let (name, flags) = BUILDS[build];
    let program = go_workload_with("goroutines", name, flags)?;
    let server = Server::start("goroutines", |port, _| {
        let mut command = Command::new(&program);
        command.args(["serve", &port.to_string()]);
        Ok(command)
    });
    let server = server.unwrap();
    let mut client = Command::new(&program);
    let port = server.address.port().to_string();
    client.args([mode, &port, &concurrency.to_string(), &count.to_string()]);
    let mut heads = Vec::new();
    let (client, _) = recorded(engine, &[&server], &client, &mut |event| {
        if let Event::Segment(segment) = event {
            heads.extend(Head::of(&segment));
        }
    });
    Some((Tgid(server.pid()), client, heads))
}

/// Lets a client run, and records it and these servers: hands over all that happened, and returns the
/// client's process id and what it said.
fn recorded(
    engine: Engine,
    servers: &[&Server],
    client: &Command,
    take: &mut dyn FnMut(Event<'_>),
) -> (Tgid, String) {
    let client = Held::new(client).unwrap();
    let directory = fresh_directory("goroutines-recorded").unwrap();
    let file = directory.join("recording");
    let client_pid = client.pid();
    let pids = servers.iter().map(|server| server.pid()).chain([client_pid]);
    let pids: Vec<_> = pids.map(|pid| pid.to_string()).collect();
    let engine = engine.to_string();
    let file_name = file.to_str().unwrap();
    let arguments = ["record", file_name, "--engine", &engine, "--pid", &pids.join(",")];
    let recorder = Running::start(&arguments);
    let output = client.finish(PATIENCE).unwrap();
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    recorder.wait_until_quiet(PATIENCE);
    let recorded = recorder.stop();
    assert!(recorded.status.success(), "{recorded:#?}");
    let mut source = capture::open(&file, Pace::Full, &Arc::new(Metrics::default())).unwrap();
    while source.poll(take).unwrap() != Progress::Finished {}
    std::fs::remove_dir_all(directory).unwrap();
    (Tgid(client_pid), output.text())
}

/// Each of `heads` is of the goroutine that it tells of; returns how many there are.
fn assert_right<'a>(heads: impl IntoIterator<Item = &'a Head>) -> usize {
    let mut count = 0;
    for head in heads {
        assert_eq!(head.seen, Some(head.said), "asked: {}", head.asked);
        count += 1;
    }
    count
}

fn check_writers(engine: Engine, build: usize) {
    for (concurrency, count) in [(1, 50), (64, 5)] {
        let Some((server, client, heads)) = heads(engine, build, "write", concurrency, count)
        else {
            return;
        };
        let sent = |tgid, request| {
            heads.iter().filter(move |head| {
                head.tgid == tgid && head.request == request && head.direction == Direction::Send
            })
        };
        // The server answers what its client asked, and what it asked itself.
        assert_eq!(assert_right(sent(server, false)), 2 * concurrency * count);
        assert_eq!(assert_right(sent(client, true)), concurrency * count);
        assert!(sent(client, true).all(|head| !head.asked));
    }
}

fn whoever_writes(engine: Engine) {
    check_writers(engine, 0);
}

fn whoever_writes_in_a_stripped_program(engine: Engine) {
    check_writers(engine, 1);
}

/// Clients of net/http write from a goroutine of the connection.
fn check_askers(engine: Engine, build: usize) {
    for (concurrency, count) in [(1, 50), (8, 20), (64, 5)] {
        let Some((server, client, heads)) = heads(engine, build, "call", concurrency, count) else {
            return;
        };
        for (tgid, request) in [(client, true), (server, true), (server, false)] {
            let sent = || {
                heads.iter().filter(|head| {
                    head.tgid == tgid
                        && head.request == request
                        && head.direction == Direction::Send
                })
            };
            let answers = if request { 1 } else { 2 };
            assert_eq!(assert_right(sent()), answers * concurrency * count);
            assert!(sent().all(|head| head.asked == request));
        }
    }
}

fn whoever_asks(engine: Engine) {
    check_askers(engine, 0);
}

fn whoever_asks_in_a_stripped_program(engine: Engine) {
    check_askers(engine, 1);
}

/// Who does something for a stream: a process, as which end, the stream's number, the goroutine.
type Stream = (u32, bool, u64, u64);

/// What a program said of it.
fn stream(pid: u32, line: &Value) -> Stream {
    let [stream, goroutine] = ["stream", "goroutine"].map(|name| line[name].as_u64().unwrap());
    (pid, line["side"] == "server", stream, goroutine)
}

fn started(program: &Path, mode: &str, next: Option<u16>) -> Server {
    let server = Server::start("goroutines", |port, _| {
        let mut command = Command::new(program);
        command.args([mode, &port.to_string()]).args(next.map(|port| port.to_string()));
        Ok(command)
    });
    server.unwrap()
}

/// A client in this mode makes calls of servers, each of which calls the next: what both ends of each
/// connection say of their streams is what the records say.
fn check_streams(engine: Engine, program: &Path, server: &str, chained: bool, client: &str) {
    for (concurrency, count) in [(1, 30), (8, 20), (64, 5)] {
        let leaf = started(program, server, None);
        let middle = chained.then(|| started(program, server, Some(leaf.address.port())));
        let servers: Vec<_> = [Some(&leaf), middle.as_ref()].into_iter().flatten().collect();
        let ports: BTreeSet<_> = servers.iter().map(|server| server.address.port()).collect();
        let first = middle.as_ref().unwrap_or(&leaf).address.port().to_string();
        let mut command = Command::new(program);
        command.args([client, &first, &concurrency.to_string(), &count.to_string()]);

        let mut flows: BTreeMap<u64, u16> = BTreeMap::new();
        let mut told = Vec::new();
        let (client, text) = recorded(engine, &servers, &command, &mut |event| match event {
            Event::Segment(segment) => {
                let FlowId(flow) = segment.flow.id;
                if let Endpoints::Tcp { local, .. } = segment.flow.endpoints {
                    flows.insert(flow, local.1);
                }
            }
            Event::GoStream(it) => told.push(it),
            _ => {}
        });
        let calls = concurrency * count;
        let mut expected: BTreeSet<Stream> = text
            .lines()
            .map(|line| stream(client.0, &serde_json::from_str(line).unwrap()))
            .collect();
        for server in servers {
            let lines = if server.pid() == leaf.pid() { calls } else { 2 * calls };
            expected.extend(server.said(lines).iter().map(|line| stream(server.pid(), line)));
        }
        let seen: BTreeSet<Stream> = told
            .iter()
            .map(|it| {
                let served = flows.get(&it.flow.0).is_some_and(|port| ports.contains(port));
                (it.process.tgid.0, served, it.stream.into(), it.goroutine.id.get())
            })
            .collect();
        assert!(expected.len() >= calls, "{} of {calls}", expected.len());
        assert_eq!(seen, expected, "{} and {}", seen.len(), expected.len());
    }
}

fn grpc_program(build: usize) -> Option<PathBuf> {
    let (name, flags) = BUILDS[build];
    grpc_go_workload_with("goroutines", name, flags)
}

fn streams_of_grpc(engine: Engine) {
    let Some(program) = grpc_program(0) else { return };
    check_streams(engine, &program, "grpc", true, "call");
}

fn streams_of_grpc_in_a_stripped_program(engine: Engine) {
    let Some(program) = grpc_program(1) else { return };
    check_streams(engine, &program, "grpc", true, "call");
}

fn streams_of_net_http(engine: Engine) {
    let Some(program) = grpc_program(0) else { return };
    check_streams(engine, &program, "http", false, "get");
}

fn streams_of_x_net(engine: Engine) {
    let Some(program) = grpc_program(1) else { return };
    check_streams(engine, &program, "xnet", false, "get");
}
