use super::{Plan, run};

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

fn plan(address: SocketAddr, rate: u64, requests: u64, connections: usize) -> Plan {
    Plan { address, rate, requests, connections, marker: "m-".to_owned() }
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
