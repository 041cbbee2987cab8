//! HTTP/2 by nghttp2's server and clients and by curl, as it goes by: each request has a marker of its
//! own, which is found once at each end, or is counted as lost.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;
use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{
    Engine, Report, SpanJson, all_ends, assert_mirrored, assert_status, grpc_go_workload, tool,
};
use sensor_tests::workloads::{
    HELLO, LARGE, Loaded, Server, Transfer, curl_marked, h2load, nghttpd, received, traced,
    transfers,
};

both_engines!(many_streams, tables_and_padding, pushed, curl_over_http2, curl_asks_for_http2);

/// How much longer than h2load says a request may seem to take: it counts whole microseconds.
const ROUNDED: u64 = 2_000;

/// Nothing was lost, and all is HTTP/2 from its first byte on.
fn all_known(report: &Report, connections: u64) {
    report.assert_all_delivered();
    assert_eq!(report.counter("connections.http2"), 2 * connections, "each at both ends");
    assert_eq!(report.counter("connections.http2_joined"), 0);
    assert_eq!(report.counter("http2.places_lost"), 0);
    assert_eq!(report.counter("http2.fields_unknown"), 0);
    assert_eq!(report.counter("http2.blocks_unplaced"), 0);
}

fn size_of(path: &str) -> i64 {
    if path == "/large" { LARGE } else { HELLO }
}

/// h2load asks nghttpd, 1, 2, 8 and 100 streams at a time.
fn many_streams(engine: Engine) {
    const EACH: usize = 400;
    let (Some(program), Some(server)) = (tool("h2load"), nghttpd(&[]).unwrap()) else { return };
    let directory = fresh_directory("h2load").unwrap();
    let streams = [1, 2, 8, 100];
    let log = |streams: usize| directory.join(format!("{streams}"));
    let target = |streams: usize, n: usize| {
        let path = if n.is_multiple_of(16) { "/large" } else { "/hello" };
        format!("{path}?m={streams}-{n}")
    };
    let clients = streams.map(|streams| {
        let targets: Vec<_> = (0..EACH).map(|n| target(streams, n)).collect();
        h2load(&program, &server, streams, &targets, &log(streams)).unwrap()
    });
    let count = streams.len() * EACH;
    let (outputs, report) = traced(engine, &[server.pid()], &clients, 2 * count).unwrap();
    all_known(&report, streams.len() as u64);
    assert_eq!(report.spans.len(), 2 * count);
    let received = received(&server);
    assert_eq!(received.len(), count);
    let ends = all_ends(&report.spans, |span| span.get("url.query")?.as_str());
    for (streams, output) in streams.into_iter().zip(&outputs) {
        let said = Loaded::read(&log(streams), output).unwrap();
        assert_eq!(said.statuses, vec![200; EACH]);
        let mut took = Vec::new();
        for n in 0..EACH {
            let target = target(streams, n);
            assert_eq!(received[&target], 1);
            let (path, marker) = target.split_once('?').unwrap();
            let (at_server, at_client) = ends[marker];
            agree(at_server, at_client, path, 200);
            assert_eq!(at_client.body_sizes(), [None, Some(size_of(path))]);
            assert!(at_client.str("user_agent.original").starts_with("h2load nghttp2/"));
            took.push(u64::try_from(at_client.duration().as_nanos()).unwrap());
        }
        // Which of them is which is not in its log, but none is seen to take longer than it does.
        let mut said = said.nanoseconds;
        said.sort_unstable();
        took.sort_unstable();
        for (took, said) in took.iter().zip(said) {
            assert!(*took <= said + ROUNDED, "{took} {said}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Tables of any size that the two agree on, and padding.
fn tables_and_padding(engine: Engine) {
    const EACH: usize = 100;
    let Some(program) = tool("h2load") else { return };
    let directory = fresh_directory("h2load").unwrap();
    let agreed: [(&[&str], &[&str]); 4] = [
        (&["--header-table-size=0", "--padding=255"], &["--header-table-size=0"]),
        (
            &["--header-table-size=64K", "--encoder-header-table-size=64K", "--padding=8"],
            &["--header-table-size=64K", "--encoder-header-table-size=64K"],
        ),
        (&["--header-table-size=300"], &["--encoder-header-table-size=0"]),
        (&["--encoder-header-table-size=100"], &["--header-table-size=200"]),
    ];
    let target =
        |n: usize| format!("{}?m={n}", if n.is_multiple_of(16) { "/large" } else { "/hello" });
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for (i, (servers_own, clients_own)) in agreed.into_iter().enumerate() {
        let Some(server) = nghttpd(servers_own).unwrap() else { return };
        let targets: Vec<_> = (i * EACH..(i + 1) * EACH).map(target).collect();
        let log = directory.join(i.to_string());
        let mut client = h2load(&program, &server, 8, &targets, &log).unwrap();
        client.args(clients_own).args(["-H", &format!("x-own: {}", "o".repeat(150))]);
        servers.push(server);
        clients.push(client);
    }
    let pids: Vec<_> = servers.iter().map(Server::pid).collect();
    let count = agreed.len() * EACH;
    let (_, report) = traced(engine, &pids, &clients, 2 * count).unwrap();
    all_known(&report, agreed.len() as u64);
    let ends = all_ends(&report.spans, |span| span.get("url.query")?.as_str());
    assert_eq!(ends.len(), count);
    for n in 0..count {
        let target = target(n);
        let (path, marker) = target.split_once('?').unwrap();
        assert_eq!(received(&servers[n / EACH])[&target], 1);
        let (at_server, at_client) = ends[marker];
        agree(at_server, at_client, path, 200);
        assert_eq!(at_client.body_sizes(), [None, Some(size_of(path))]);
        assert_eq!(at_server.resource("process.pid").unwrap(), servers[n / EACH].pid());
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// nghttpd answers a request that its client, nghttp, did not make.
fn pushed(engine: Engine) {
    let Some(server) = nghttpd(&["--push=/hello=/large"]).unwrap() else { return };
    let Some(program) = tool("nghttp") else { return };
    let mut client = Command::new(program);
    client.args(["--null-out", "--verbose", "--no-dep", &server.url("/hello")]);
    // A header block of more than a frame.
    client.arg("--continuation");
    let (output, report) = traced(engine, &[server.pid()], &[client], 4).unwrap();
    assert!(output[0].text().contains(" recv PUSH_PROMISE frame "), "{}", output[0].text());
    assert!(output[0].text().contains(" send HEADERS frame <length=18"), "{}", output[0].text());
    all_known(&report, 1);
    let ends = all_ends(&report.spans, |span| span.get("url.path")?.as_str());
    assert_eq!(ends.len(), 2);
    for path in ["/hello", "/large"] {
        agree(ends[path].0, ends[path].1, path, 200);
        assert_eq!(ends[path].0.body_sizes(), [None, Some(size_of(path))]);
    }
    let [(_, cause), (at_server, at_client)] = ["/hello", "/large"].map(|path| ends[path]);
    for span in [at_server, at_client] {
        assert_eq!(span.get("sensor.http2.pushed"), Some(&true.into()));
        assert_eq!(span.trace_id(), cause.trace_id());
    }
    assert_eq!(at_client.parent_span_id(), Some(cause.span_id()));
}

/// What is the same of every request.
fn agree(at_server: &SpanJson, at_client: &SpanJson, path: &str, code: i64) {
    assert_mirrored(at_server, at_client);
    for span in [at_server, at_client] {
        assert_status(span, code);
        assert_eq!(span.path(), path);
        assert_eq!(span.str("network.protocol.version"), "2");
        assert_eq!(span.str("url.scheme"), "http");
    }
}

/// The context that curl sends with the `n`th request: trace and parent.
fn context(n: usize) -> (String, String) {
    (format!("{:032x}", 0xa000 + n), format!("{:016x}", 0xb000 + n))
}

/// curl asks for these paths, all with the same `options` and each with its own, its marker and its
/// context.
fn asked(program: &Path, server: &Server, options: &[&str], asked: &[(&str, &[&str])]) -> Command {
    let headers: Vec<_> = (0..asked.len())
        .map(context)
        .map(|(trace, parent)| format!("traceparent: 00-{trace}-{parent}-01"))
        .collect();
    let asked: Vec<(&str, Vec<&str>)> = asked
        .iter()
        .zip(&headers)
        .map(|((path, own), header)| (*path, [options, own, &["-H", header]].concat()))
        .collect();
    let asked: Vec<_> = asked.iter().map(|(path, options)| (*path, &**options)).collect();
    curl_marked(program, server, &asked)
}

/// What curl says of its `n`th request, and what the spans say.
fn as_curl_says(report: &Report, said: &Transfer, path: &str, n: usize) {
    let Some((at_server, at_client)) = report.both_ends(&format!("m={n}")) else { return };
    assert_eq!(said.0["http_version"], "2");
    assert_mirrored(at_server, at_client);
    for span in [at_server, at_client] {
        assert_status(span, said.int("http_code"));
        assert_eq!(span.path(), path);
        let [received, sent] = span.body_sizes().map(Option::unwrap_or_default);
        assert_eq!(received, said.int("size_upload"), "{span:#?}");
        assert_eq!(sent, said.int("size_download"), "{span:#?}");
    }
    assert_eq!(at_client.method(), said.0["method"]);
    assert_eq!(at_client.int("network.local.port"), said.int("local_port"));
    assert!(at_client.duration().as_nanos() <= said.nanoseconds(), "{at_client:#?}");
    let (trace, parent) = context(n);
    assert_eq!(at_client.trace_id(), trace);
    assert_eq!(at_client.span_id(), parent);
    assert_eq!(at_server.parent_span_id(), Some(&*parent));
}

/// curl, which takes a connection for each request of these: it does not go on with one that it
/// began without asking (7.88).
fn curl_over_http2(engine: Engine) {
    let Some(program) = tool("curl") else { return };
    let Some(server) = nghttpd(&["--echo-upload", "--trailer", "x-sum: 1"]).unwrap() else {
        return;
    };
    let body = "b".repeat(40_000);
    let all: [(&str, &[&str]); 8] = [
        ("/hello", &[]),
        ("/large", &[]),
        ("/none", &[]),
        ("/large", &["-I"]),
        ("/echo", &["--data-binary", &body]),
        ("/echo", &["-X", "PUT", "-d", "x"]),
        ("/hello", &["-X", "DELETE"]),
        ("/large", &["-H", "range: bytes=0-9"]),
    ];
    let mut client = asked(&program, &server, &["--http2-prior-knowledge"], &all);
    client.args(["--parallel", "--parallel-immediate", "--no-progress-meter"]);
    let (output, report) = traced(engine, &[server.pid()], &[client], 2 * all.len()).unwrap();
    all_known(&report, all.len() as u64);
    assert_eq!(report.spans.len(), 2 * all.len());
    let said = transfers(&output[0]).unwrap();
    assert_eq!(said.len(), all.len());
    for said in &said {
        let n = said.0["urlnum"].as_u64().map(|n| usize::try_from(n).unwrap()).unwrap();
        as_curl_says(&report, said, all[n].0, n);
    }
}

/// curl asks in HTTP/1.1 for HTTP/2, which Go grants: the first request is stream 1, the others
/// follow on the same connection.
fn curl_asks_for_http2(engine: Engine) {
    let (Some(curl), Some(program)) = (tool("curl"), grpc_go_workload("h2c")) else { return };
    let server = Server::on_port("h2c", Command::new(program)).unwrap();
    let all: [(&str, &[&str]); 6] = [
        ("/first", &[]),
        ("/second", &["-d", "hello"]),
        ("/third", &["-I"]),
        ("/fourth", &["-X", "PUT", "-d", "x"]),
        ("/fifth", &[]),
        ("/sixth", &[]),
    ];
    let client = asked(&curl, &server, &["--http2"], &all);
    let (output, report) = traced(engine, &[server.pid()], &[client], 2 * all.len()).unwrap();
    all_known(&report, 1);
    assert_eq!(report.counter("connections.http2_upgraded"), 2, "seen at both ends");
    assert_eq!(report.spans.len(), 2 * all.len());
    let said = transfers(&output[0]).unwrap();
    for (n, said) in said.iter().enumerate() {
        assert_eq!(said.int("num_connects"), i64::from(n == 0), "one connection");
        as_curl_says(&report, said, all[n].0, n);
    }
}
