use super::{Plan, fields};

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A server that notes the paths, and answers each request after `pause`.
fn server(pause: Duration) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    let paths = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&paths);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let noted = Arc::clone(&noted);
            thread::spawn(move || answer(&stream, &noted, pause));
        }
    });
    (address, paths)
}

fn answer(stream: &TcpStream, noted: &Mutex<Vec<String>>, pause: Duration) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(line) = lines.next() {
        let path = line.split(' ').nth(1).expect("a request line").to_owned();
        noted.lock().expect("not poisoned").push(path);
        assert!(lines.any(|line| line.is_empty()));
        thread::sleep(pause);
        let mut stream = stream;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

fn run(plan: &Plan) -> anyhow::Result<serde_json::Value> {
    run_after(plan, || Ok(()))
}

fn run_after(
    plan: &Plan,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<serde_json::Value> {
    let mut report = serde_json::Value::Null;
    super::run(plan, ready, |said| {
        report = said.clone();
        Ok(())
    })?;
    Ok(report)
}

fn plan(address: SocketAddr, rate: u64, requests: u64, connections: usize) -> Plan {
    Plan {
        address,
        rate,
        requests,
        connections,
        marker: "m-".to_owned(),
        header_bytes: 0,
        warm: false,
        delay: Duration::ZERO,
    }
}

#[test]
fn every_request_has_a_marker_of_its_own_and_comes_at_its_time() {
    let (address, paths) = server(Duration::ZERO);
    let report = run(&plan(address, 1_000, 300, 4)).expect("a run");
    assert_eq!(report["sent"], 300);
    assert_eq!(report["answered"], 300);
    assert_eq!(report["failed"], 0);
    // The last of 300 is due 299 ms after the first.
    let seconds = report["seconds"].as_f64().expect("a number");
    assert!((0.299..5.0).contains(&seconds), "{seconds}");
    let mut paths = paths.lock().expect("not poisoned").clone();
    paths.sort();
    let mut expected: Vec<_> = (0..300).map(|k| format!("/m-{k}")).collect();
    expected.sort();
    assert_eq!(paths, expected);
}

#[test]
fn waiting_for_a_connection_is_latency() {
    // 20 ms each on one connection, ten due at once: the last has waited for nine others.
    let (address, _) = server(Duration::from_millis(20));
    let report = run(&plan(address, 1_000_000, 10, 1)).expect("a run");
    assert_eq!(report["answered"], 10);
    let max = report["latency_ns"]["max"].as_u64().expect("a number");
    assert!(max >= 200_000_000, "{max}");
    let p50 = report["latency_ns"]["p50"].as_u64().expect("a number");
    assert!(p50 >= 100_000_000, "{p50}");
}

#[test]
fn a_run_has_bounds_and_needs_a_server() {
    let (address, _) = server(Duration::ZERO);
    for (rate, requests, connections) in [(0, 1, 1), (1, 0, 1), (1, u64::MAX, 1), (1, 1, 0)] {
        assert!(run(&plan(address, rate, requests, connections)).is_err());
    }
    let nobody = TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound");
    assert!(run(&plan(nobody, 1, 1, 1)).is_err());
}

#[test]
fn a_warm_connection_has_had_its_exchange_before_the_word_to_go() {
    let (address, paths) = server(Duration::ZERO);
    let plan = Plan { warm: true, ..plan(address, 1_000, 3, 2) };
    let noted = || paths.lock().expect("not poisoned").clone();
    let mut before = Vec::new();
    let ready = || {
        before = noted();
        Ok(())
    };
    let report = run_after(&plan, ready).expect("a run");
    assert_eq!(before, ["/held-0", "/held-1"]);
    assert_eq!(report["answered"], 3);
    let mut after = noted().split_off(2);
    after.sort();
    assert_eq!(after, ["/m-0", "/m-1", "/m-2"]);
}

#[test]
fn a_head_is_filled_up_with_fields_that_servers_take() {
    let address = "127.0.0.1:80".parse().expect("an address");
    for wanted in [0, 256, 2048, 12_288] {
        let fields = fields(&Plan { header_bytes: wanted, ..plan(address, 1, 1, 1) });
        let text = String::from_utf8(fields).expect("text");
        assert!(text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1);
        let head = "GET /m- HTTP/1.1\r\n".len() + text.len();
        assert!(wanted == 0 || (wanted..wanted + 32).contains(&head), "{wanted}: {head}");
        assert!(text.lines().all(|line| line.len() <= 1000));
        assert!(text.lines().all(|line| line.is_empty() || line.contains(": ")));
    }
}
