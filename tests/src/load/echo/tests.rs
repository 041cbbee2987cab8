use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{PING, PONG, run, serve};

fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || serve(&listener).expect("serving"));
    address
}

#[test]
fn requests_are_as_long_as_those_of_redis() {
    assert_eq!((PING.len(), PONG.len()), (14, 7));
}

#[test]
fn every_connection_is_answered_as_long_as_it_takes() {
    let report = run(server(), 16, Duration::from_millis(200)).expect("a run");
    let answered = report["answered"].as_u64().expect("a number");
    assert!(answered >= 16, "{report}");
    let seconds = report["seconds"].as_f64().expect("a number");
    assert!((0.2..5.0).contains(&seconds), "{report}");
    assert!(report["latency_ns"]["p50"].as_u64().is_some_and(|nanos| nanos > 0), "{report}");
}

#[test]
fn the_server_takes_requests_in_any_pieces_and_nothing_else() {
    let address = server();
    let mut stream = TcpStream::connect(address).expect("a server");
    stream.set_nodelay(true).expect("a socket");
    for piece in [&PING[..3], &PING[3..], &PING.repeat(3)[..]] {
        stream.write_all(piece).expect("open");
        thread::sleep(Duration::from_millis(20));
    }
    let mut answers = [0; 28];
    stream.read_exact(&mut answers).expect("four answers");
    assert_eq!(answers[..], PONG.repeat(4)[..]);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("open");
    assert_eq!(stream.read(&mut answers).unwrap_or(0), 0, "it goes on");
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"-ERR\r\n").expect("open");
        thread::sleep(Duration::from_secs(5));
    });
    assert!(run(address, 1, Duration::from_secs(1)).is_err());
    assert!(run(address, 0, Duration::from_secs(1)).is_err());
}
