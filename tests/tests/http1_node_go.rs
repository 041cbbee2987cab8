//! Node and Go, each with its own client and its own server: what they say of their exchanges is
//! what the spans have to say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::process::Held;
use sensor_tests::sensor::{
    Engine, Report, Sensor, SpanJson, assert_mirrored, assert_status, go_workload, tool,
};
use sensor_tests::workloads::{Server, curl, nginx, source, transfers};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

both_engines!(node, go, through_a_tunnel);

/// Runs a client that is told the server's port; both are traced. What the server said, what the
/// client said, and what the sensor said: each exchange's by its marker.
fn both_sides(
    engine: Engine,
    server: &Server,
    mut client: Command,
    count: usize,
) -> (Vec<Value>, Vec<Value>, Report) {
    client.arg(server.address.port().to_string());
    let client = Held::new(&client).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let output = client.finish(PATIENCE).unwrap();
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    let marked = |mut lines: Vec<Value>| {
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines.sort_by_key(|line| marker(line["target"].as_str().unwrap()));
        lines
    };
    let at_client = output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (at_client, at_server) = (marked(at_client), marked(server.said(count)));
    let _ = sensor.wait_for(2 * count, |_| true, PATIENCE);
    (at_server, at_client, sensor.stop())
}

fn marker(target: &str) -> usize {
    target.split_once("?m=").unwrap().1.parse().unwrap()
}

/// What both sides said of an exchange is what both spans say.
fn agree(server: &SpanJson, client: &SpanJson, said: &Value, heard: &Value) {
    assert_mirrored(server, client);
    assert_eq!(server.method(), said["method"]);
    assert_eq!(format!("{}?{}", server.path(), server.str("url.query")), said["target"]);
    let code = said["status"].as_i64().unwrap();
    assert_eq!(heard["status"], code);
    assert_status(server, code);
    assert_status(client, code);
    let [received, sent] = client.body_sizes().map(Option::unwrap_or_default);
    assert_eq!(received, said["received"].as_i64().unwrap(), "{client:#?}");
    assert_eq!(received, heard["sent"].as_i64().unwrap(), "{client:#?}");
    assert_eq!(sent, heard["received"].as_i64().unwrap(), "{client:#?}");
    if said["method"] != "HEAD" {
        assert_eq!(sent, said["sent"].as_i64().unwrap(), "{client:#?}");
    }
    assert_eq!(server.int("client.port"), said["client"].as_i64().unwrap());
}

fn in_node(program: &Path, script: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(source(script));
    command
}

fn node_server(program: &Path) -> Server {
    Server::on_port("node", in_node(program, "node/server.js")).unwrap()
}

/// Keep-alive, chunks both ways, trailers, fetch, and an upgrade to bytes that look like HTTP.
fn node(engine: Engine) {
    let Some(program) = tool("node") else {
        return;
    };
    let server = node_server(&program);
    let client = in_node(&program, "node/client.js");
    let (said, heard, report) = both_sides(engine, &server, client, 8);
    report.assert_delivered(16);
    for i in 0..7 {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        agree(at_server, at_client, &said[i], &heard[i]);
        if let Some(port) = heard[i]["local"].as_i64() {
            assert_eq!(at_client.int("network.local.port"), port);
        }
    }
    assert_eq!(said[2]["trailers"]["x-sum"], "1", "node sent a trailer");
    if let Some((at_server, at_client)) = report.both_ends("m=5") {
        assert_eq!(at_server.trace_id(), "1".repeat(32));
        assert_eq!(at_server.parent_span_id(), Some("2".repeat(16).as_str()));
        assert_eq!(at_client.span_id(), "2".repeat(16));
    }
    // The upgrade: 101 is the answer, and what follows is nobody's exchange.
    assert_eq!(heard[7]["status"], 101);
    assert_eq!(heard[7]["received"], heard[7]["sent"], "node echoed it all");
    if let Some((at_server, at_client)) = report.both_ends("m=7") {
        assert_mirrored(at_server, at_client);
        assert_status(at_server, 101);
        assert_eq!(report.counter("connections.upgraded"), 2, "seen at both ends");
    }
}

/// Streaming, chunks with a trailer, a mebibyte both ways, and eight at once.
fn go(engine: Engine) {
    let (Some(program), Some(client)) = (go_workload("server"), go_workload("client")) else {
        return;
    };
    let server = Server::on_port("go", Command::new(program)).unwrap();
    let (said, heard, report) = both_sides(engine, &server, Command::new(client), 16);
    report.assert_delivered(32);
    for i in 0..16 {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        agree(at_server, at_client, &said[i], &heard[i]);
        let took = u128::from(heard[i]["nanoseconds"].as_u64().unwrap());
        assert!(at_client.duration().as_nanos() <= took, "{at_client:#?}");
        let slept = match i {
            7 => 50,
            8.. => 100,
            _ => 0,
        };
        assert!(at_server.duration() >= Duration::from_millis(slept), "{at_server:#?}");
        assert!(at_client.duration() >= Duration::from_millis(slept), "{at_client:#?}");
    }
    assert_eq!(said[1]["trailer"], "1", "Go sent a trailer");
    if let Some((at_server, at_client)) = report.both_ends("m=7") {
        assert_eq!(at_server.trace_id(), "3".repeat(32));
        assert_eq!(at_server.parent_span_id(), Some("4".repeat(16).as_str()));
        assert_eq!(at_client.span_id(), "4".repeat(16));
    }
}

/// curl asks Node to connect it to nginx: the tunnel is an exchange of its own, what goes through
/// it is opaque on curl's side, and an exchange again where it comes out.
fn through_a_tunnel(engine: Engine) {
    let (Some(program), Some(node)) = (tool("curl"), tool("node")) else {
        return;
    };
    let Some(behind) = nginx("").unwrap() else {
        return;
    };
    let proxy = node_server(&node);
    let (url, through) = (behind.url("/small?m=0"), proxy.url(""));
    let request: &[&str] = &[&url, "-x", &through, "-p"];
    let client = Held::new(&curl(&program, &[request])).unwrap();
    let sensor = Sensor::on(engine, &[behind.pid(), proxy.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let _ = sensor.wait_for(4, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(4);
    assert_eq!(transfers[0].int("http_connect"), 200);
    assert_eq!(transfers[0].int("http_code"), 200);
    let said = proxy.said(1);
    assert_eq!(said[0]["method"], "CONNECT");

    let tunnel: Vec<_> =
        report.spans.iter().filter(|span| span.method() == "CONNECT").cloned().collect();
    assert_eq!(tunnel.len(), 2, "{:#?}", report.spans);
    let server = tunnel.iter().find(|span| span.is_server()).unwrap();
    let client = tunnel.iter().find(|span| span.is_client()).unwrap();
    assert_mirrored(server, client);
    assert_status(server, 200);
    for span in [server, client] {
        // The target is an authority, of the server behind, and no path.
        assert_eq!(said[0]["target"], behind.address.to_string());
        assert_eq!(span.str("server.address"), "127.0.0.1");
        assert_eq!(span.get("url.path"), None);
        assert_eq!(span.name(), "CONNECT");
    }
    assert_eq!(server.int("network.local.port"), i64::from(proxy.address.port()));
    let Some((at_server, at_client)) = report.both_ends("m=0") else { return };
    assert_mirrored(at_server, at_client);
    assert_status(at_server, 200);
    assert_eq!(at_server.int("http.response.body.size"), transfers[0].int("size_download"));
    assert_eq!(at_client.resource("process.pid").unwrap(), proxy.pid());
    assert_eq!(report.spans.len(), 4);
    assert_eq!(report.counter("connections.upgraded"), 2, "the tunnel, seen at both ends");
}
