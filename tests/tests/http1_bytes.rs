//! Messages cut at every place and in forms that clients and servers seldom take, sent and answered
//! by sockets of this test; nginx and curl, which are traced, say what they made of them.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::process::{Held, fresh_directory};
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, assert_status, tool};
use sensor_tests::workloads::{Transfer, curl, nginx, transfers};

const PATIENCE: Duration = Duration::from_secs(60);

both_engines!(
    pipelined,
    answers_of_every_form,
    unanswered,
    killed_while_it_waits,
    thousands_of_chunks,
);

/// Ten requests in one write, then ten byte by byte, on connections of their own.
fn pipelined(engine: Engine) {
    let Some(server) = nginx("").unwrap() else {
        return;
    };
    let sensor = Sensor::on(engine, &[server.pid()]);
    let ports: Vec<u16> = [usize::MAX, 1]
        .iter()
        .zip(0..)
        .map(|(&size, run)| ask(server.address, size, run))
        .collect();
    let said = server.accesses(20);
    let _ = sensor.wait_for(20, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(20);
    assert!(report.spans.is_sorted_by_key(marked_with), "nginx answers in order");
    for (i, said) in said.iter().enumerate() {
        let Some(span) = marked(&report, i) else { continue };
        assert_eq!(span.kind(), "server");
        assert_eq!(said["uri"], format!("/small?m={i}"));
        let [received, sent] = span.body_sizes().map(Option::unwrap_or_default);
        assert_eq!(received.to_string(), said["length"].as_str().unwrap());
        assert_eq!(sent, said["body"].as_i64().unwrap());
        assert_status(span, said["status"].as_i64().unwrap());
        assert_eq!(span.int("client.port"), i64::from(ports[i / 10]));
        assert_eq!(span.int("client.port"), said["port"].as_i64().unwrap());
        // Each has its own context.
        assert_eq!(span.trace_id(), format!("{:032x}", i + 1));
        assert_eq!(span.parent_span_id(), Some(format!("{:016x}", i + 0x100).as_str()));
    }
}

/// Sends ten requests, `size` bytes a write, and reads all answers; says from which port.
fn ask(address: SocketAddr, size: usize, run: usize) -> u16 {
    let requests: String = (10 * run..10 * run + 10)
        .map(|i| {
            let close = if i % 10 == 9 { "Connection: close\r\n" } else { "" };
            let body = "b".repeat(i);
            let length = body.len();
            let (trace, parent) = (i + 1, i + 0x100);
            format!(
                "GET /small?m={i} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
                 traceparent: 00-{trace:032x}-{parent:016x}-01\r\n{close}\r\n{body}"
            )
        })
        .collect();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in requests.as_bytes().chunks(size) {
        socket.write_all(piece).unwrap();
    }
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10, "{answers}");
    socket.local_addr().unwrap().port()
}

/// An answer, in how many bytes a write, with what of it being body, and its status.
struct Answer {
    bytes: Vec<u8>,
    size: usize,
    body: i64,
    status: i64,
}

fn answer(bytes: &str, size: usize, body: i64, status: i64) -> Answer {
    Answer { bytes: bytes.into(), size, body, status }
}

/// Each on a connection of its own, to a curl of its own; the connection is closed after it.
fn serve_and_ask(engine: Engine, answers: Vec<Answer>) -> Option<(Report, Vec<Transfer>)> {
    let program = tool("curl")?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A name for each: else curl takes a connection again whose end it has not heard of yet.
    let port = address.port();
    let named = |i| [format!("http://m{i}:{port}/?m={i}"), format!("m{i}:{port}:{}", address.ip())];
    let named: Vec<[String; 2]> = (0..answers.len()).map(named).collect();
    let requests: Vec<[&str; 4]> =
        named.iter().map(|[url, resolve]| [url, "--raw", "--resolve", resolve]).collect();
    let requests: Vec<&[&str]> = requests.iter().map(<[&str; 4]>::as_slice).collect();
    let client = Held::new(&curl(&program, &requests)).unwrap();
    let sensor = Sensor::on(engine, &[client.pid()]);
    let count = answers.len();
    let server = thread::spawn(move || {
        for answer in answers {
            let (socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            let mut reader = BufReader::new(&socket);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert!(reader.read_line(&mut line).unwrap() > 0, "curl left");
            }
            for piece in answer.bytes.chunks(answer.size) {
                (&socket).write_all(piece).unwrap();
            }
        }
    });
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    server.join().unwrap();
    let _ = sensor.wait_for(count, |_| true, PATIENCE);
    Some((sensor.stop(), transfers))
}

/// The span with this marker; none where it is missing because the kernel left out runs.
fn marked(report: &Report, i: usize) -> Option<&SpanJson> {
    let found: Vec<_> = report.spans.iter().filter(|span| marked_with(span) == i).collect();
    let least = usize::from(report.runs_missed() == 0);
    assert!(found.len() <= 1 && found.len() >= least, "m={i}: {:#?}", report.spans);
    found.first().copied()
}

fn marked_with(span: &SpanJson) -> usize {
    span.str("url.query").strip_prefix("m=").unwrap().parse().unwrap()
}

fn answers_of_every_form(engine: Engine) {
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHTTP/1.1 500";
    let chunked = "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                   5;q=\"a;b\"\r\nhello\r\n1A\r\nHTTP/1.1 500 No\r\n\r\nGET / H\r\n0\r\n\
                   x-sum: 1\r\nx-more: HTTP/1.1 500\r\n\r\n";
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                 HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!";
    let delimited = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end\r\n\r\nHTTP/1.1 500 x\r\n";
    let none = "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n";
    let unreasonable = "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n";
    let folded = "HTTP/1.1 200 OK\r\nx-long: a\r\n b\r\ncontent-length:   2\t\r\n\r\nok";
    let forms = [
        (sized, 12, 200),
        (chunked, 5 + 26, 200),
        (early, 3, 404),
        (delimited, 33, 200),
        (none, 0, 204),
        (unreasonable, 0, 503),
        (folded, 2, 200),
    ];
    let answers = forms.iter().flat_map(|&(bytes, body, status)| {
        [usize::MAX, 1, 7].map(|size| answer(bytes, size, body, status))
    });
    let answers: Vec<_> = answers.collect();
    let expected: Vec<_> = answers.iter().map(|answer| (answer.body, answer.status)).collect();
    let Some((report, transfers)) = serve_and_ask(engine, answers) else {
        return;
    };
    report.assert_delivered(expected.len());
    for (i, (body, status)) in expected.into_iter().enumerate() {
        let Some(span) = marked(&report, i) else { continue };
        assert_status(span, status);
        assert_eq!(transfers[i].int("http_code"), status);
        assert_eq!(span.body_sizes()[1].unwrap_or_default(), body, "{i}: {span:#?}");
        // With --raw, curl counts chunk lines and trailers as well.
        if !(3..6).contains(&i) {
            assert_eq!(transfers[i].int("size_download"), body, "{i}");
        }
        assert_eq!(span.int("network.local.port"), transfers[i].int("local_port"));
        assert_eq!(span.int("network.peer.port"), transfers[i].int("remote_port"));
        assert!(span.duration().as_nanos() <= transfers[i].nanoseconds());
    }
}

/// Connections that end too soon: what was there is told, what was not is not.
fn unanswered(engine: Engine) {
    let answers = vec![
        answer("", 1, 0, 0),
        answer("HTTP/1.1 200 OK\r\nContent-Le", 9, 0, 0),
        answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 100, 0, 200),
        answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", 100, 0, 200),
    ];
    let Some((report, transfers)) = serve_and_ask(engine, answers) else {
        return;
    };
    report.assert_delivered(4);
    for (i, error) in
        ["connection_closed", "connection_closed", "incomplete_response", "incomplete_response"]
            .into_iter()
            .enumerate()
    {
        let Some(span) = marked(&report, i) else { continue };
        assert_eq!(span.status(), "error");
        assert_eq!(span.str("error.type"), error, "{i}: {span:#?}");
        assert_eq!(span.get("http.response.body.size"), None, "it did not come whole");
        let status = span.get("http.response.status_code").and_then(serde_json::Value::as_i64);
        assert_eq!(status, (i >= 2).then_some(200));
        // CURLE_GOT_NOTHING and CURLE_PARTIAL_FILE; half a head is good enough for curl.
        if i != 1 {
            assert_ne!(transfers[i].int("exitcode"), 0, "{i}");
        }
    }
}

/// Selected by its name, so that it is decided at its start who it is; and then it is gone before
/// its connection is.
fn killed_while_it_waits(engine: Engine) {
    let Some(program) = tool("curl") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let directory = fresh_directory("named").unwrap();
    // At most 15 bytes, and nobody else's.
    let name = format!("e2e{}", address.port());
    let named = directory.join(&name);
    std::os::unix::fs::symlink(program, &named).unwrap();
    let mut client = Held::new(&curl(&named, &[&[&format!("http://{address}/?m=0")]])).unwrap();
    let port = address.port().to_string();
    let sensor = Sensor::start(engine, &["--comm", &name, "--port", &port]);
    client.release().unwrap();
    let (socket, _) = listener.accept().unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(BufReader::with_capacity(1, &socket).read_line(&mut head).unwrap() > 0);
    }
    let pid = client.pid();
    drop(client);
    std::fs::remove_dir_all(directory).unwrap();
    let spans = sensor.wait_for(1, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(1);
    assert_eq!(report.spans, spans);
    let Some(span) = marked(&report, 0) else { return };
    assert_eq!(span.kind(), "client");
    assert_eq!(span.str("error.type"), "connection_closed");
    assert_eq!(span.get("http.response.status_code"), None);
    assert_eq!(span.resource("process.pid").unwrap(), pid);
    assert_eq!(span.resource("service.name").unwrap(), "curl");
}

/// Thousands of chunks of ten bytes, taken by curl in a few reads: more than the kernel side follows
/// in one call. What that costs is counted, nothing wrong is told, and later exchanges of the
/// connection are there again.
fn thousands_of_chunks(engine: Engine) {
    const CHUNKS: i64 = 5000;
    const EXCHANGES: usize = 8;
    let Some(program) = tool("curl") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let urls = std::array::from_fn::<_, EXCHANGES, _>(|i| format!("http://{address}/?m={i}"));
    let requests: Vec<[&str; 1]> = urls.iter().map(|url| [url.as_str()]).collect();
    let requests: Vec<&[&str]> = requests.iter().map(<[&str; 1]>::as_slice).collect();
    let client = Held::new(&curl(&program, &requests)).unwrap();
    let sensor = Sensor::on(engine, &[client.pid()]);
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&socket);
        for i in 0..EXCHANGES {
            let chunks = if i == 0 { CHUNKS } else { 1 };
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert!(reader.read_line(&mut line).unwrap() > 0, "curl left");
            }
            let mut answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            for _ in 0..chunks {
                answer.push_str("a\r\n0123456789\r\n");
            }
            (&socket).write_all((answer + "0\r\n\r\n").as_bytes()).unwrap();
        }
    });
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    server.join().unwrap();
    let _ = sensor.wait_for(
        1,
        |span| span.str("url.query") == format!("m={}", EXCHANGES - 1),
        PATIENCE,
    );
    let report = sensor.stop();
    report.assert_loss_equation();
    let seen = report.counter("exchanges.seen");
    assert!(seen <= EXCHANGES as u64, "{:#?}", report.counters);
    if report.runs_missed() == 0 {
        assert_eq!(seen, EXCHANGES as u64);
        assert_eq!(report.counter("exchanges.open"), 0);
    }
    for span in &report.spans {
        let i = marked_with(span);
        assert_status(span, 200);
        assert_eq!(span.int("http.response.body.size"), transfers[i].int("size_download"));
    }
    assert_eq!(transfers[0].int("size_download"), 10 * CHUNKS);
}
