//! What a thread acts on, as the kernel side tells it: real servers that call on, whose outgoing requests
//! have to name the incoming ones, or nothing.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sensor::capture::event::{Caller, Direction, Endpoints, Event};
use sensor::capture::{Pace, Progress, open};
use sensor::metrics::Metrics;
use sensor_tests::both_engines;
use sensor_tests::edges::raw::Running;
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Engine, python, tool};
use sensor_tests::workloads::{Server, source};

both_engines!(node, asyncio, threads, nginx, switched_off, unix_connections);

const PATIENCE: Duration = Duration::from_secs(30);

/// Requests of each way that each client makes.
const ROUNDS: usize = 20;

/// Ways through a relay.
const WAYS: [&str; 5] = ["now", "awaited", "timer", "file", "twice"];

/// What was said of the outgoing requests of one way.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// The right cause, and that it is the only one.
    alone: usize,
    /// The right cause.
    right: usize,
    none: usize,
    /// A wrong cause, said to be the only one.
    wrong_alone: usize,
    wrong: usize,
}

impl Tally {
    fn all(self) -> usize {
        self.alone + self.right + self.none + self.wrong_alone + self.wrong
    }
}

type Tallies = BTreeMap<String, Tally>;

/// Answers each request with two bytes, for as long as the test runs.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    while head(&mut stream).is_some() {
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            break;
        }
    }
}

/// A head without a body behind it.
fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = stream.read(&mut piece).ok().filter(|&n| n > 0)?;
        bytes.extend_from_slice(piece.get(..n)?);
    }
    Some(bytes)
}

/// So many clients, each with a connection and the ways in turn, one request at a time. One alone leaves
/// the server the time to go to wait: libuv, where it is asked for its idle time, first looks without
/// waiting, and what that finds cannot be told from what came while there was more to do.
fn load(server: SocketAddr, clients: usize, ways: &[&'static str]) {
    let alone = clients == 1;
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let ways = ways.to_vec();
            thread::spawn(move || {
                let mut stream = TcpStream::connect(server).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                for round in 0..ROUNDS {
                    for way in &ways {
                        if alone {
                            thread::sleep(Duration::from_millis(3));
                        }
                        let number = client * ROUNDS + round;
                        let request =
                            format!("GET /in/{way}/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                        stream.write_all(request.as_bytes()).unwrap();
                        response(&mut stream);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

/// Reads a response whose body is `ok`, by length or in chunks.
fn response(stream: &mut TcpStream) {
    let mut bytes = head(stream).unwrap();
    let mut piece = [0; 4096];
    while !bytes.ends_with(b"ok") && !bytes.ends_with(b"0\r\n\r\n") {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..n]);
    }
}

/// A segment, as far as it matters here.
#[derive(Clone, Debug)]
struct Seen {
    flow: u64,
    direction: Direction,
    end: u64,
    bytes: Vec<u8>,
    caller: Caller,
}

impl Seen {
    /// The target of a request that begins here.
    fn target(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()?.strip_prefix("GET ")?.split_once(' ').map(|it| it.0)
    }
}

/// Traces a process while `act` runs, and gives what was seen of its exchanges.
fn record(engine: Engine, pid: u32, options: &[&str], act: impl FnOnce()) -> (Vec<Seen>, bool) {
    let (mut seen, _, missed) = record_all(engine, pid, options, act);
    let is_head = |it: &Seen| it.bytes.starts_with(b"GET ") || it.bytes.starts_with(b"HTTP/");
    // Something is seen of asyncio's self-pipe too, until it is known to be no HTTP.
    seen.retain(is_head);
    (seen, missed)
}

/// All that was seen, the names of Unix connections by flow, and whether the kernel has left out runs.
fn record_all(
    engine: Engine,
    pid: u32,
    options: &[&str],
    act: impl FnOnce(),
) -> (Vec<Seen>, BTreeMap<u64, Option<u64>>, bool) {
    let directory = fresh_directory("causes").unwrap();
    let file = directory.join("causes.rec");
    let (engine, pid) = (engine.to_string(), pid.to_string());
    let path = file.to_str().unwrap();
    let arguments = [&["record", path, "--engine", &engine, "--pid", &pid], options].concat();
    let recorder = Running::start(&arguments);
    act();
    recorder.wait_until_quiet(PATIENCE);
    let ended = recorder.stop();
    assert!(ended.status.success(), "{ended:#?}");
    let (seen, names) = read(&file);
    std::fs::remove_dir_all(directory).unwrap();
    (seen, names, ended.stderr.contains("kernel.runs_missed"))
}

fn read(file: &Path) -> (Vec<Seen>, BTreeMap<u64, Option<u64>>) {
    let mut source = open(file, Pace::Full, &Arc::new(Metrics::default())).unwrap();
    let (mut seen, mut unix) = (Vec::new(), BTreeMap::new());
    loop {
        let progress = source.poll(&mut |event| {
            let Event::Segment(segment) = event else { return };
            if segment.flow.endpoints == Endpoints::Unix {
                unix.insert(segment.flow.id.0, segment.flow.unix_connection.map(Into::into));
            }
            seen.push(Seen {
                flow: segment.flow.id.0,
                direction: segment.direction,
                end: segment.position + segment.bytes.len() as u64 + segment.skipped_after,
                bytes: segment.bytes.to_vec(),
                caller: segment.caller,
            });
        });
        if progress.unwrap() == Progress::Finished {
            return (seen, unix);
        }
    }
}

/// Compares the causes of the outgoing requests with where the incoming ones were read. Without the first
/// of each connection, which has to wait until it is connected.
fn tally(seen: &[Seen]) -> Tallies {
    let mut truth = BTreeMap::new();
    // Where a response has ended that was read before the next request goes out.
    let mut responses: BTreeMap<u64, u64> = BTreeMap::new();
    let mut tallies = Tallies::new();
    let mut begun = BTreeSet::new();
    let flows: BTreeSet<u64> = seen.iter().map(|it| it.flow).collect();
    for it in seen {
        match (it.direction, it.target()) {
            (Direction::Receive, Some(target)) => {
                truth.insert(target.to_owned(), (it.flow, it.end));
            }
            (Direction::Receive, None) => {
                responses.insert(it.flow, it.end);
            }
            (Direction::Send, Some(target)) => {
                let way = target.split('/').nth(2).unwrap();
                let (way, cause) = match target.strip_suffix("/2") {
                    Some(_) if way == "twice" && target.split('/').count() == 5 => {
                        ("second".to_owned(), responses.get(&it.flow).map(|&end| (it.flow, end)))
                    }
                    _ => (way.to_owned(), truth.get(&target.replace("/out/", "/in/")).copied()),
                };
                if begun.insert(it.flow) {
                    continue;
                }
                let tally = tallies.entry(way).or_default();
                // Of a flow that is no exchange's nothing was seen: asyncio's self-pipe, say.
                let said = it.caller.cause.filter(|said| flows.contains(&said.flow.0));
                let alone = said.is_some_and(|said| said.alone);
                let said = said.map(|said| (said.flow.0, said.position));
                *match (said, alone) {
                    (None, _) => &mut tally.none,
                    (said, true) if said == cause => &mut tally.alone,
                    (said, false) if said == cause => &mut tally.right,
                    (_, true) => &mut tally.wrong_alone,
                    (_, false) => &mut tally.wrong,
                } += 1;
            }
            (Direction::Send, None) => {}
        }
    }
    tallies
}

/// A relay under the load of so many clients.
fn relayed(
    engine: Engine,
    what: &str,
    clients: usize,
    ways: &[&'static str],
    command: impl FnOnce(u16) -> Command,
) -> (Tallies, Vec<Seen>, bool) {
    let backend = backend();
    let relay = Server::on_port("relay", command(backend.port())).unwrap();
    relayed_by(engine, what, clients, ways, &relay)
}

fn relayed_by(
    engine: Engine,
    what: &str,
    clients: usize,
    ways: &[&'static str],
    relay: &Server,
) -> (Tallies, Vec<Seen>, bool) {
    // What it does only once is over.
    load(relay.address, 1, ways);
    let (seen, missed) = record(engine, relay.pid(), &[], || load(relay.address, clients, ways));
    let tallies = tally(&seen);
    let mut table = String::new();
    for (way, tally) in &tallies {
        writeln!(table, "{what}, {engine}, {clients} at once: {way}: {tally:?}").unwrap();
        assert_eq!((tally.wrong_alone, tally.wrong), (0, 0), "{table}");
    }
    #[expect(clippy::print_stderr, reason = "the figures, for whoever asks with --nocapture")]
    {
        eprint!("{table}");
    }
    assert!(tallies.values().map(|tally| tally.all()).sum::<usize>() > 0, "nothing was seen");
    // What was missed costs causes, as many as it takes to be certain of the others.
    (tallies, seen, missed)
}

fn of(tallies: &Tallies, way: &str) -> Tally {
    tallies.get(way).copied().unwrap_or_default()
}

/// Event loops with one request at a time: what is certain, and what no cause may be told of.
fn assert_alone(tallies: &Tallies, ways: &[&str], missed: bool) {
    for way in ways.iter().filter(|_| !missed) {
        let Tally { alone, .. } = of(tallies, way);
        let all = of(tallies, way).all();
        // Another thread of the process (a compiler's, a collector's) may have run.
        assert!(all > 0 && alone * 2 > all, "{way}: {tallies:#?}");
    }
    let file = of(tallies, "file");
    assert!(file.none > 0 && file.none == file.all(), "{tallies:#?}");
    // A timer may be due before the loop gets to wait for it: then it is the request's own, for certain.
    let timer = of(tallies, "timer");
    assert!(timer.none * 2 > timer.all() && timer.right == 0, "{tallies:#?}");
}

fn node(engine: Engine) {
    let Some(program) = tool("node") else { return };
    let command = |backend: u16| {
        let mut command = Command::new(&program);
        command.arg(source("node/relay.js")).arg(backend.to_string());
        command
    };
    let ways = [&WAYS[..], &["immediate"]].concat();
    let (tallies, seen, missed) = relayed(engine, "node", 1, &ways, command);
    assert_alone(&tallies, &["now", "awaited", "immediate", "twice"], missed);
    assert!(seen.iter().all(|it| it.caller.nonblocking && it.caller.multiplexes), "{seen:#?}");
    relayed(engine, "node", 16, &ways, command);
}

fn asyncio(engine: Engine) {
    let Some(program) = python() else { return };
    let command = |backend: u16| {
        let mut command = Command::new(&program);
        command.arg(source("python/relay.py")).arg(backend.to_string()).arg("asyncio");
        command
    };
    let (tallies, seen, missed) = relayed(engine, "asyncio", 1, &WAYS, command);
    assert_alone(&tallies, &["now", "awaited", "twice", "second"], missed);
    assert!(seen.iter().all(|it| it.caller.nonblocking && it.caller.multiplexes), "{seen:#?}");
    relayed(engine, "asyncio", 16, &WAYS, command);
}

/// A thread for each connection: nothing is certain by what the thread has read alone, and nothing is
/// wrong.
fn threads(engine: Engine) {
    let Some(program) = python() else { return };
    let command = |backend: u16| {
        let mut command = Command::new(&program);
        command.arg(source("python/relay.py")).arg(backend.to_string()).arg("threads");
        command
    };
    let (tallies, seen, missed) = relayed(engine, "threads", 1, &WAYS, command);
    for way in ["now", "twice", "second"].into_iter().filter(|_| !missed) {
        let tally = of(&tallies, way);
        assert!(tally.right * 2 > tally.all() && tally.alone == 0, "{way}: {tallies:#?}");
    }
    assert!(seen.iter().all(|it| !it.caller.nonblocking && !it.caller.multiplexes), "{seen:#?}");
    relayed(engine, "threads", 16, &WAYS, command);
}

fn nginx(engine: Engine) {
    let Some(program) = tool("nginx") else { return };
    let backend = backend();
    let server = Server::start("nginx", |port, directory| {
        let root = directory.display();
        let config = format!(
            "daemon off; master_process off; user root; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 512; }}
             http {{
               access_log off; keepalive_requests 1000000;
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
               fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
               upstream backend {{ server {backend}; keepalive 32; }}
               server {{
                 listen 127.0.0.1:{port};
                 location /in/ {{
                   proxy_pass http://backend/out/; proxy_http_version 1.1;
                   proxy_set_header Connection \"\";
                 }}
               }}
             }}"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(directory).arg("-c").arg(file);
        Ok(command)
    })
    .unwrap();
    let (tallies, _, missed) = relayed_by(engine, "nginx", 1, &["now"], &server);
    let tally = of(&tallies, "now");
    assert!(missed || tally.alone == tally.all(), "one thread, and nothing else: {tally:?}");
    relayed_by(engine, "nginx", 16, &["now"], &server);
}

/// Then only what the call itself says is told.
fn switched_off(engine: Engine) {
    let Some(program) = tool("node") else { return };
    let backend = backend();
    let mut command = Command::new(program);
    command.arg(source("node/relay.js")).arg(backend.port().to_string());
    let relay = Server::on_port("relay", command).unwrap();
    let (seen, _) = record(engine, relay.pid(), &["--event-loops", "off"], || {
        load(relay.address, 2, &["now"]);
    });
    assert!(seen.len() > 4 * ROUNDS, "{seen:#?}");
    for it in seen {
        let Caller { nonblocking, multiplexes, cause, .. } = it.caller;
        assert!(nonblocking && !multiplexes && cause.is_none(), "{it:#?}");
    }
}

/// Both ends of a Unix connection are given one name, and other connections another.
fn unix_connections(engine: Engine) {
    let Some(program) = python() else { return };
    const BOTH_ENDS: &str = "
import os, socket, sys
sys.stdin.readline()
listener = socket.socket(socket.AF_UNIX)
listener.bind('\\0causes-%d' % os.getpid())
listener.listen()
pairs = []
for i in range(3):
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    pairs.append((client, server))
for client, server in pairs:
    client.sendall(b'GET /unix HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    server.recv(4096)
    server.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n')
    client.recv(4096)
print('done', flush=True)
sys.stdin.readline()
";
    let mut child = Command::new(program)
        .args(["-c", BOTH_ENDS])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut said = child.stdout.take().unwrap();
    let (_, names, _) = record_all(engine, child.id(), &[], || {
        orders.write_all(b"go\n").unwrap();
        said.read_exact(&mut [0; 5]).unwrap();
    });
    drop(orders);
    child.wait().unwrap();
    let mut ends: BTreeMap<u64, usize> = BTreeMap::new();
    for name in names.values() {
        *ends.entry(name.unwrap()).or_default() += 1;
    }
    assert_eq!(ends.values().copied().collect::<Vec<_>>(), [2, 2, 2], "{names:?}");
}
