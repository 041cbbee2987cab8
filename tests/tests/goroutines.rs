//! Which goroutine a call is for: what Go's own runtime says of it, in a header of everything that the
//! traced programs send, is what the records say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sensor::capture::event::{Direction, Event, Segment, Tgid};
use sensor::capture::{self, Pace, Progress};
use sensor::metrics::Metrics;
use sensor_tests::both_engines;
use sensor_tests::edges::raw::Running;
use sensor_tests::process::{Held, fresh_directory};
use sensor_tests::sensor::{Engine, go_workload_with};
use sensor_tests::workloads::Server;

both_engines!(whoever_writes, whoever_writes_in_a_stripped_program);

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
            tgid: segment.tgid,
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
    let client = Held::new(&client).unwrap();

    let directory = fresh_directory("goroutines-recorded").unwrap();
    let file = directory.join("recording");
    let (client_pid, server_pid) = (client.pid(), server.pid());
    let pids = format!("{client_pid},{server_pid}");
    let engine = engine.to_string();
    let arguments = ["record", file.to_str().unwrap(), "--engine", &engine, "--pid", &pids];
    let recorder = Running::start(&arguments);
    let output = client.finish(PATIENCE).unwrap();
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    recorder.wait_until_quiet(PATIENCE);
    let recorded = recorder.stop();
    assert!(recorded.status.success(), "{recorded:#?}");

    let mut source = capture::open(&file, Pace::Full, &Arc::new(Metrics::default())).unwrap();
    let mut heads = Vec::new();
    let mut take = |event: Event<'_>| {
        if let Event::Segment(segment) = event {
            heads.extend(Head::of(&segment));
        }
    };
    while source.poll(&mut take).unwrap() != Progress::Finished {}
    std::fs::remove_dir_all(directory).unwrap();
    Some((Tgid(server_pid), Tgid(client_pid), heads))
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
