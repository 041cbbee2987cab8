//! nginx, which sends files without reading them, asked by curl and by wrk: its access log is what
//! the spans have to say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::process::Held;
use sensor_tests::sensor::{Engine, Sensor, SpanJson, assert_mirrored, assert_status, tool};
use sensor_tests::workloads::{ACCESS, BIG, Server, curl_marked, nginx, transfers};

const PATIENCE: Duration = Duration::from_secs(60);

both_engines!(files_by_sendfile, uploads, http_1_0, wrk_at_a_rate, wrk_at_saturation);

fn files_by_sendfile(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), nginx("").unwrap()) else {
        return;
    };
    let asked: [(&str, &[&str]); 8] = [
        ("/big", &[]),
        ("/big", &[]),
        ("/small", &[]),
        ("/big", &["-I"]),
        ("/big", &["-r", "1000-299999"]),
        ("/small", &["-H", "If-None-Match: *"]),
        ("/ok", &[]),
        ("/nothing", &[]),
    ];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let said = server.accesses(asked.len());
    let _ = sensor.wait_for(2 * asked.len(), |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(2 * asked.len());
    // Bodies are counted, not copied: of these three megabytes only the heads came along.
    assert!(report.counter("kernel.bytes_copied") < 64 << 10, "{:#?}", report.counters);

    for (i, (path, options)) in asked.iter().enumerate() {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        let (said, transfer) = (&said[i], &transfers[i]);
        assert_mirrored(at_server, at_client);
        assert_eq!(at_server.path(), *path);
        assert_eq!(at_server.method(), said["method"]);
        let code = said["status"].as_i64().unwrap();
        assert_status(at_server, code);
        assert_status(at_client, code);
        let sent = at_server.body_sizes()[1].unwrap_or_default();
        assert_eq!(sent, said["body"].as_i64().unwrap());
        assert_eq!(sent, transfer.int("size_download"));
        assert_eq!(sent + transfer.int("size_header"), said["bytes"].as_i64().unwrap());
        assert_eq!(at_server.int("client.port"), said["port"].as_i64().unwrap());
        assert_eq!(said["nth"], i + 1, "one connection for all");
        assert!(at_client.duration().as_nanos() <= transfer.nanoseconds(), "{at_client:#?}");
        let expected = match i {
            0 | 1 => BIG,
            2 => 5,
            4 => 299_000,
            _ => continue,
        };
        assert_eq!(sent, i64::try_from(expected).unwrap(), "{options:?}");
    }
}

/// nginx keeps what it is sent in files, whose bytes it splices in later: 1 MiB up, and down again
/// from another nginx behind it.
fn uploads(engine: Engine) {
    let (Some(program), Some(behind)) = (tool("curl"), nginx("").unwrap()) else {
        return;
    };
    let proxied = format!("location /to/ {{ proxy_pass {}/; }}", behind.url(""));
    let Some(server) = nginx(&proxied).unwrap() else {
        return;
    };
    let file = server.process.directory().join("upload");
    fs::write(&file, vec![b'u'; BIG]).unwrap();
    let data = format!("@{}", file.display());
    let asked: [(&str, &[&str]); 2] =
        [("/to/ok", &["--data-binary", &data, "-H", "Expect:"]), ("/to/big", &[])];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let sensor = Sensor::on(engine, &[behind.pid(), server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let _ = sensor.wait_for(8, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(8);
    // The two ends of a hop: those of a connection that has the server's port.
    let hop = |server: &Server| -> Vec<SpanJson> {
        let port = i64::from(server.address.port());
        let ports =
            |span: &SpanJson| ["network.local.port", "network.peer.port"].map(|end| span.int(end));
        report.spans.iter().filter(|span| ports(span).contains(&port)).cloned().collect()
    };
    let (outer_hop, inner_hop) = (hop(&server), hop(&behind));
    for (i, transfer) in transfers.iter().enumerate() {
        let marker = format!("m={i}");
        for (hop, server) in [(&outer_hop, &server), (&inner_hop, &behind)] {
            let Some((at_server, at_client)) = report.both_ends_of(hop, &marker) else { continue };
            assert_mirrored(at_server, at_client);
            assert_status(at_server, 200);
            let said = &server.accesses(2)[i];
            let [received, sent] = at_server.body_sizes().map(Option::unwrap_or_default);
            let length = said["length"].as_str().filter(|length| !length.is_empty());
            assert_eq!(received.to_string(), length.unwrap_or("0"));
            assert_eq!(sent, said["body"].as_i64().unwrap());
            assert_eq!(received, transfer.int("size_upload"));
            assert_eq!(sent, transfer.int("size_download"));
        }
        // What the one hop waits for is within the other.
        let (Some((outer, _)), Some((_, inner))) =
            (report.both_ends_of(&outer_hop, &marker), report.both_ends_of(&inner_hop, &marker))
        else {
            continue;
        };
        assert!(outer.start() <= inner.start(), "{outer:#?} {inner:#?}");
        assert!(inner.start() <= outer.end(), "{outer:#?} {inner:#?}");
        let uploaded = outer.event("http.request.body.end");
        assert_eq!(uploaded.is_some(), i == 0);
        assert!(uploaded.is_none_or(|at| at >= outer.start() && at <= outer.end()));
    }
}

/// No keep-alive, and no length where nginx makes the body up while it goes.
fn http_1_0(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), nginx("").unwrap()) else {
        return;
    };
    let asked: [(&str, &[&str]); 2] = [("/big", &["-0"]), ("/small", &["-0"])];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let said = server.accesses(2);
    let _ = sensor.wait_for(4, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(4);
    for i in 0..2 {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        // Each says its own version: curl asks with 1.0, nginx answers with 1.1; what counts is
        // the request's.
        assert_eq!(at_server.str("network.protocol.version"), "1.0");
        assert_mirrored(at_server, at_client);
        assert_status(at_server, 200);
        assert_eq!(at_server.int("http.response.body.size"), said[i]["body"].as_i64().unwrap());
        assert_eq!(transfers[i].int("num_connects"), 1);
        assert_eq!(said[i]["nth"], 1);
    }
}

/// The script gives each request a marker.
const MARKERS: &str = "
    local n = 0
    request = function()
      n = n + 1
      return wrk.format('GET', '/ok?m=' .. n)
    end
";

/// `N requests in T, …`
fn requests(said: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(" requests in "));
    assert!(line.is_some(), "wrk said {said}");
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// About 1,000 requests a second: every one is there, exactly once, on both sides.
fn wrk_at_a_rate(engine: Engine) {
    let (Some(program), Some(server)) = (tool("wrk"), nginx("").unwrap()) else {
        return;
    };
    let script = server.process.directory().join("markers.lua");
    fs::write(&script, format!("{MARKERS}\ndelay = function() return 8 end")).unwrap();
    let mut command = Command::new(program);
    command.args(["-t1", "-c8", "-d2", "-s"]).arg(&script).arg(server.url(""));
    let client = Held::new(&command).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let output = client.finish(PATIENCE).unwrap();
    let counted = usize::try_from(requests(&output.text())).unwrap();
    assert!(counted > 100, "{}", output.text());
    let answered =
        |span: &SpanJson| span.is_client() && span.get("http.response.status_code").is_some();
    let _ = sensor.wait_for(counted, answered, PATIENCE);
    let said = server.said_in(ACCESS, counted);
    let report = sensor.stop();
    // When its time is up, wrk closes connections with answers under way: nginx's call that sends one
    // ends after the reset that it causes.
    report.assert_all_delivered();
    let spans = &report.spans;

    // What wrk counts is what it read an answer to. Those it had asked for when its time was up
    // are spans of a connection that was closed.
    let clients: Vec<_> = spans.iter().filter(|span| span.is_client()).collect();
    let (complete, cut): (Vec<&SpanJson>, Vec<&SpanJson>) =
        clients.iter().partition(|span| answered(span));
    assert_eq!(complete.len(), counted);
    assert!(cut.iter().all(|span| span.status() == "error"), "{cut:#?}");

    let servers: BTreeMap<_, _> = spans
        .iter()
        .filter(|span| span.is_server())
        .map(|span| (format!("{}?{}", span.path(), span.str("url.query")), span))
        .collect();
    let logged: BTreeSet<_> =
        said.iter().map(|line| line["uri"].as_str().unwrap().to_owned()).collect();
    assert_eq!(servers.keys().cloned().collect::<BTreeSet<_>>(), logged);
    assert_eq!(spans.iter().filter(|span| span.is_server()).count(), said.len());
    for line in &said {
        let span = servers[line["uri"].as_str().unwrap()];
        assert_eq!(span.int("client.port"), line["port"].as_i64().unwrap());
        // wrk may leave before it is answered; then nginx says 499 without sending anything.
        if line["status"] == 200 {
            assert_status(span, 200);
            assert_eq!(span.int("http.response.body.size"), 2);
        }
    }
    for client in complete {
        let server = servers[&format!("/ok?{}", client.str("url.query"))];
        assert_mirrored(server, client);
    }
}

/// As fast as it goes: what is not delivered is counted.
fn wrk_at_saturation(engine: Engine) {
    let (Some(program), Some(server)) = (tool("wrk"), nginx("").unwrap()) else {
        return;
    };
    let script = server.process.directory().join("markers.lua");
    fs::write(&script, MARKERS).unwrap();
    let mut command = Command::new(program);
    command.args(["-t1", "-c16", "-d2", "-s"]).arg(&script).arg(server.url(""));
    let client = Held::new(&command).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let output = client.finish(PATIENCE).unwrap();
    let counted = requests(&output.text());
    let report = sensor.stop();
    report.assert_loss_equation();
    let logged = server.process.lines(ACCESS, 0).len() as u64;
    assert!(logged >= counted && logged <= counted + 16, "{logged} {counted}");
    // Nothing is seen that was not there; and if no record got lost, all of it is.
    let seen = report.counter("exchanges.seen");
    assert!(seen <= logged + counted + 16, "{seen} of {logged} and {counted}");
    let lost = report.counter("kernel.ring_full")
        + report.counter("kernel.ring_unread")
        + report.counter("kernel.runs_missed");
    if lost == 0 {
        assert!(seen >= logged + counted, "{seen} of {logged} and {counted}");
        assert_eq!(report.counter("streams.gaps"), 0);
    }
    // Every record that was put on the ring is an event, or is counted as left there; the few of
    // programs that begin are for the capture itself.
    let taken = report.counter("capture.events") + report.counter("kernel.ring_unread");
    let made = report.counter("kernel.records");
    assert!(taken <= made && made <= taken + 4, "{:#?}", report.counters);
    let mut found = BTreeSet::new();
    for span in &report.spans {
        let marker = span.str("url.query")[2..].parse::<u64>().unwrap();
        assert!(marker >= 1 && marker <= logged + 16, "{span:#?}");
        assert!(found.insert((span.kind().to_owned(), marker)), "twice: {span:#?}");
        match span.get("http.response.status_code") {
            Some(code) => assert_eq!(code, 200),
            None => assert_eq!(span.status(), "error", "{span:#?}"),
        }
    }
}
