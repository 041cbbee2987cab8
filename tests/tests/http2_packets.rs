//! HTTP/2 and gRPC of real programs, seen as packets: what each program says of its requests is what
//! the spans say. And what they say when packets are missing is less, but nothing else.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sensor_tests::edges::raw::{command, run};
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Report, SpanJson, can_trace, grpc_go_workload, tool};
use sensor_tests::workloads::{Server, curl, source};
use serde_json::Value;

/// How far the capture's clock may be from the client's.
const APART: Duration = Duration::from_millis(5);

/// How late the packet that cancels a call may go out, on a machine that is busy.
const LATE: Duration = Duration::from_millis(500);

/// A packet capture that is running.
struct Packets {
    tcpdump: Child,
    words: Box<dyn Iterator<Item = std::io::Result<String>>>,
    directory: PathBuf,
}

impl Packets {
    /// Of a port of the loopback interface.
    fn of(port: u16) -> Option<Self> {
        if !can_trace("packets") {
            return None;
        }
        let program = tool("tcpdump")?;
        let directory = fresh_directory("packets").unwrap();
        let mut tcpdump = Command::new(program)
            .args(["-i", "lo", "-U", "--immediate-mode", "-s", "0", "-B", "65536", "-w"])
            .arg(directory.join("traffic.pcap"))
            .args(["port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(tcpdump.stderr.take().unwrap()).lines();
        assert!(words.any(|line| line.is_ok_and(|line| line.contains("listening on"))));
        Some(Self { tcpdump, words: Box::new(words), directory })
    }

    /// Everything that went by.
    fn stop(mut self) -> Traffic {
        std::thread::sleep(Duration::from_millis(300));
        let pid = rustix::process::Pid::from_child(&self.tcpdump);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.tcpdump.wait().unwrap();
        let words: Vec<String> = self.words.map_while(Result::ok).collect();
        assert!(words.iter().any(|line| line == "0 packets dropped by kernel"), "{words:?}");
        Traffic { directory: self.directory }
    }
}

/// Packets that were captured.
struct Traffic {
    directory: PathBuf,
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Traffic {
    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    fn report(&self) -> Report {
        replay(&self.file("traffic.pcap"))
    }

    /// Without the packets that `lost` says.
    fn without(&self, mut lost: impl FnMut(usize) -> bool) -> Report {
        let all = std::fs::read(self.file("traffic.pcap")).unwrap();
        // The file's header, then a header of 16 bytes and the data of each packet (pcap).
        let (header, mut rest) = all.split_at(24);
        let mut kept = header.to_vec();
        let mut number = 0;
        while let Some(length) = rest.get(8..12) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let (packet, after) = rest.split_at(16 + length);
            if !lost(number) {
                kept.extend_from_slice(packet);
            }
            rest = after;
            number += 1;
        }
        std::fs::write(self.file("part.pcap"), kept).unwrap();
        replay(&self.file("part.pcap"))
    }
}

fn replay(file: &str) -> Report {
    run(&mut command(&["replay", file, "--output", "json"])).report()
}

fn go_server(package: &str) -> Option<Server> {
    let program = grpc_go_workload(package)?;
    let server = Server::on_port(package, Command::new(program));
    Some(server.unwrap())
}

fn lines(output: std::process::Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a client and a server of gRPC said of each call, by its marker.
struct Calls {
    client: BTreeMap<String, Value>,
    server: BTreeMap<String, Value>,
}

fn by_marker(said: Vec<Value>) -> BTreeMap<String, Value> {
    said.into_iter().map(|said| (said["marker"].as_str().unwrap().to_owned(), said)).collect()
}

/// All kinds of calls, then `streams` at once, each `calls` times.
fn grpc(streams: usize, calls: usize) -> Option<(Traffic, Calls)> {
    let client = grpc_go_workload("client")?;
    let server = go_server("server")?;
    let packets = Packets::of(server.address.port())?;
    let output = Command::new(client)
        .arg(server.address.port().to_string())
        .args([streams, calls, 1000].map(|n| n.to_string()))
        .arg("kinds")
        .output()
        .unwrap();
    let client = by_marker(lines(output));
    // The server does not count what it has no method for.
    let server = by_marker(server.said(client.len() - 1));
    Some((packets.stop(), Calls { client, server }))
}

/// The span of a call, by its traceparent.
fn by_parent(spans: &[SpanJson]) -> BTreeMap<&str, &SpanJson> {
    // Packets of a connection whose start is not among them do not say which side is ours; where it is
    // the client's, the identifier that the client made is its span's own.
    spans
        .iter()
        .filter_map(|span| match span.kind() {
            "client" => Some((span.span_id(), span)),
            _ => Some((span.parent_span_id()?, span)),
        })
        .collect()
}

/// What a span says of a call is what its two ends say. An attribute that it does not have says nothing.
fn agrees(span: &SpanJson, marker: &str, calls: &Calls) {
    let client = &calls.client[marker];
    let server = calls.server.get(marker).unwrap_or(client);
    let same = |key: &str, said: &Value| {
        assert!(span.get(key).is_none_or(|it| it == said), "{key}: {said} {span:#?}");
    };
    let number = u64::from_str_radix(marker, 16).unwrap();
    assert_eq!(span.trace_id(), format!("{:032x}", 1000 + number));
    same("url.path", &client["method"]);
    same("rpc.grpc.status_code", &server["code"]);
    same("sensor.grpc.message", &server["message"]);
    if calls.server.contains_key(marker) {
        same("sensor.grpc.request.messages", &server["received"]);
        same("sensor.grpc.response.messages", &server["sent"]);
    }
    let took = Duration::from_nanos(client["nanoseconds"].as_u64().unwrap());
    // Packets are stamped between the two; but one that cancels a call goes out when its caller has gone on.
    let cancelled = span.get("sensor.http2.reset_by").is_some_and(|by| by == "client");
    let slack = if cancelled { LATE } else { APART };
    assert!(span.duration() <= took + slack, "{took:?} {span:#?}");
}

#[test]
fn calls_of_grpc_go() {
    for (streams, each) in [(1, 50), (2, 50), (8, 50), (100, 20)] {
        let Some((traffic, calls)) = grpc(streams, each) else { return };
        let report = traffic.report();
        report.assert_all_delivered();
        assert_eq!(report.counter("connections.http2"), 1);
        assert_eq!(report.counter("http2.fields_unknown"), 0);
        assert_eq!(report.spans.len(), calls.client.len());
        let spans = by_parent(&report.spans);
        for marker in calls.client.keys() {
            let span = spans[&**marker];
            agrees(span, marker, &calls);
            assert!(span.is_server() && span.get("rpc.system").is_some(), "{span:#?}");
        }
        if streams > 1 {
            continue;
        }
        let span = |number: u64| spans[&*format!("{number:016x}")];
        // Compressed, both ways.
        assert_eq!(span(3).int("sensor.grpc.request.compressed_messages"), 1);
        assert_eq!(span(3).int("sensor.grpc.response.compressed_messages"), 1);
        // Every code, and which are the server's errors.
        for code in 1..=16 {
            let span = span(9 + code);
            assert_eq!(span.int("rpc.grpc.status_code"), i64::try_from(code).unwrap());
            assert_eq!(span.str("sensor.grpc.message"), "no such thing: 50% of \u{2603}");
            let error = [2, 4, 12, 13, 14, 15].contains(&code);
            assert_eq!(span.status(), if error { "error" } else { "unset" }, "{span:#?}");
        }
        // Streams of messages.
        assert_eq!(span(30).int("sensor.grpc.request.messages"), 4);
        assert_eq!(span(31).int("sensor.grpc.response.messages"), 12);
        assert_eq!(span(32).int("sensor.grpc.response.messages"), 4);
        assert_eq!(span(33).int("sensor.grpc.request.messages"), 0);
        // A deadline: whoever was first to say so.
        match span(40).str("error.type") {
            "CANCEL" => {
                let by = span(40).get("sensor.grpc.cancelled_by");
                assert!(by.is_none_or(|by| by == "deadline"), "{by:?}");
            }
            error => assert_eq!(error, "DEADLINE_EXCEEDED"),
        }
        assert!((90_000_000..=100_000_000).contains(&span(40).int("sensor.grpc.timeout_ns")));
        // Cancelled, without and with a deadline that was far.
        for number in [41, 42] {
            assert_eq!(span(number).str("error.type"), "CANCEL");
            assert_eq!(span(number).str("sensor.http2.reset_by"), "client");
            let by = (number == 41).then_some("caller");
            let said = span(number).get("sensor.grpc.cancelled_by");
            assert_eq!(said.and_then(|by| by.as_str()), by);
            assert_eq!(span(number).get("rpc.grpc.status_code"), None);
        }
        assert_eq!(span(43).get("error.type"), None);
        assert_eq!(span(50).int("rpc.grpc.status_code"), 12);
        assert_eq!(span(51).str("sensor.grpc.class"), "health_check");
        assert_eq!(span(51).name(), "grpc.health.v1.Health/Check");
    }
}

/// A sensor that comes late, and one that loses packets.
#[test]
fn calls_of_which_a_part_is_missing() {
    let Some((traffic, calls)) = grpc(100, 20) else { return };
    let whole = traffic.report();
    let whole = by_parent(&whole.spans);
    for late in [10, 40, 150, 300] {
        let report = traffic.without(|packet| packet < late);
        report.assert_loss_equation();
        assert_eq!(report.counter("connections.http2_joined"), 1);
        // All that began since, and with the right context.
        assert_eq!(report.counter("exchanges.seen"), report.spans.len() as u64);
        let spans = by_parent(&report.spans);
        assert_eq!(spans.len(), report.spans.len(), "{late} packets late");
        for (marker, span) in spans {
            agrees(span, marker, &calls);
            assert_eq!(span.trace_id(), whole[marker].trace_id());
        }
    }
    // A generator of Park and Miller: the same losses in each run.
    let mut state = 42u64;
    let mut random = move || {
        state = state * 48_271 % 0x7fff_ffff;
        state
    };
    let mut gaps = 0;
    for share in [200, 50, 20] {
        let report = traffic.without(|_| random() % share == 0);
        report.assert_loss_equation();
        gaps += report.counter("streams.gaps");
        assert!(report.spans.len() > calls.client.len() / 2, "{:#?}", report.counters);
        for (marker, span) in by_parent(&report.spans) {
            agrees(span, marker, &calls);
            says_no_more(span, whole[marker]);
        }
    }
    assert!(gaps > 0, "only what carries no data was lost");
}

/// Everything that the one says, the other says too.
fn says_no_more(span: &SpanJson, whole: &SpanJson) {
    assert_eq!(span.start(), whole.start(), "{span:#?} {whole:#?}");
    // A call that both sides gave up has two ends, each with its own reset: where the first is lost, the second is told.
    let second_end = whole.get("error.type").is_some() && span.end() > whole.end();
    if !second_end {
        assert_eq!(span.end(), whole.end(), "{span:#?} {whole:#?}");
    }
    for (key, value) in span.json()["attributes"].as_object().unwrap() {
        let told_of_the_end = second_end && key == "sensor.http2.reset_by";
        if !told_of_the_end && !["sensor.link", "sensor.inferred"].contains(&&**key) {
            assert_eq!(whole.get(key), Some(value), "{key} of {span:#?} {whole:#?}");
        }
    }
}

/// By its path.
fn by_path(spans: &[SpanJson]) -> BTreeMap<&str, &SpanJson> {
    spans.iter().map(|span| (span.path(), span)).collect()
}

/// A server and a client of Node: bodies, interim responses, trailers, push, resets, 100 at once.
#[test]
fn node() {
    let Some(program) = tool("node") else { return };
    let port = sensor_tests::free_port().unwrap();
    let Some(packets) = Packets::of(port) else { return };
    let output =
        Command::new(program).arg(source("node/http2.js")).arg(port.to_string()).output().unwrap();
    let said = lines(output);
    let report = packets.stop().report();
    report.assert_all_delivered();
    let spans = by_path(&report.spans);
    assert_eq!(spans.len(), said.len() + 1, "and what was pushed");
    for said in &said {
        let span = spans[said["path"].as_str().unwrap()];
        assert_eq!(span.get("http.response.status_code"), said.get("status"), "{span:#?}");
        let [received, sent] = span.body_sizes().map(|size| size.unwrap_or_default());
        assert_eq!(received, said["sent"], "{span:#?}");
        if said["reset"] == 0 {
            assert_eq!(sent, said["received"], "{span:#?}");
        }
    }
    let error = |path: &str| spans[path].get("error.type").map(|it| it.as_str().unwrap());
    for (path, expected, by) in [
        ("/plain", None, None),
        ("/fails", Some("503"), None),
        ("/refused", Some("REFUSED_STREAM"), Some("server")),
        ("/cut", Some("INTERNAL_ERROR"), Some("server")),
        ("/cancelled", Some("CANCEL"), Some("client")),
    ] {
        assert_eq!(error(path), expected, "{:#?}", spans[path]);
        let said = spans[path].get("sensor.http2.reset_by").map(|it| it.as_str().unwrap());
        assert_eq!(said, by);
    }
    let (pushed, cause) = (spans["/pushed"], spans["/push"]);
    assert_eq!(pushed.get("sensor.http2.pushed"), Some(&Value::Bool(true)));
    assert_eq!(pushed.trace_id(), cause.trace_id());
    assert_eq!(pushed.parent_span_id(), Some(cause.span_id()));
}

/// curl asks in HTTP/1.1 for HTTP/2, which Go grants; the first request is stream 1 then.
#[test]
fn an_upgrade() {
    let Some(program) = tool("curl") else { return };
    let Some(server) = go_server("h2c") else { return };
    let Some(packets) = Packets::of(server.address.port()) else { return };
    let urls: Vec<_> = (0..3).map(|n| server.url(&format!("/{n}"))).collect();
    let asked: [&[&[&str]]; 2] = [
        &[&[&urls[0], "--http2", "-d", "hello"]],
        &[&[&urls[1], "--http2"], &[&urls[2], "--http2"]],
    ];
    let said: Vec<_> =
        asked.iter().flat_map(|asked| lines(curl(&program, asked).output().unwrap())).collect();
    let report = packets.stop().report();
    report.assert_all_delivered();
    assert_eq!(report.counter("connections.http2_upgraded"), 2);
    let spans = by_path(&report.spans);
    for (n, said) in said.iter().enumerate() {
        let span = spans[&*format!("/{n}")];
        assert_eq!(span.status_code(), said["http_code"].as_i64().unwrap());
        assert_eq!(said["http_version"], "2");
        let [received, sent] = span.body_sizes().map(Option::unwrap_or_default);
        assert_eq!(received, said["size_upload"].as_i64().unwrap(), "{span:#?}");
        assert_eq!(sent, said["size_download"].as_i64().unwrap(), "{span:#?}");
        assert_eq!(span.int("client.port"), said["local_port"].as_i64().unwrap());
    }
}

/// h2load asks nghttpd, 1, 8 and 100 streams a connection.
#[test]
fn many_streams_of_h2load() {
    let (Some(nghttpd), Some(h2load)) = (tool("nghttpd"), tool("h2load")) else { return };
    let server = Server::start("nghttpd", |port, directory| {
        std::fs::write(directory.join("index.html"), "hello")?;
        let mut command = Command::new(nghttpd);
        command.args(["--no-tls", "-d"]).arg(directory).arg(port.to_string());
        Ok(command)
    })
    .unwrap();
    for streams in [1, 8, 100] {
        let Some(packets) = Packets::of(server.address.port()) else { return };
        let output = Command::new(&h2load)
            .args(["-n", "400", "-c", "2", "-m", &streams.to_string()])
            .arg(server.url("/index.html"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("400 succeeded, 0 failed"), "{text}");
        let report = packets.stop().report();
        report.assert_all_delivered();
        assert_eq!(report.spans.len(), 400);
        for span in &report.spans {
            assert_eq!((span.status_code(), span.path()), (200, "/index.html"));
            assert_eq!(span.body_sizes(), [None, Some(5)]);
        }
    }
}
