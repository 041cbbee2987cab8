//! HTTP/2 by Go's net/http, as it goes by: what its client and its server say of each exchange is what
//! the spans of the two ends say, also of large headers, and while the server ends.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::sensor::{
    Engine, SpanJson, all_ends, assert_mirrored, assert_status, grpc_go_workload,
};
use sensor_tests::workloads::{Server, traced};
use serde_json::Value;

both_engines!(net_http);

/// Requests that the client makes.
const REQUESTS: usize = 132;

/// The one whose handler gives up: a panic, of which the server says nothing.
const GIVEN_UP: &str = "m=9";

fn by_query(lines: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let query =
        |line: &Value| line["target"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    lines.into_iter().map(|line| (query(&line), line)).collect()
}

fn net_http(engine: Engine) {
    let Some(program) = grpc_go_workload("http2") else { return };
    let server = Server::start("http2", |port, _| {
        let mut command = Command::new(&program);
        command.arg("server").arg(port.to_string());
        Ok(command)
    })
    .unwrap();
    let mut client = Command::new(&program);
    client.arg("client").arg(server.address.port().to_string());
    let (output, report) = traced(engine, &[server.pid()], &[client], 2 * REQUESTS).unwrap();
    let text = output[0].text();
    let heard = by_query(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    let said = by_query(server.said(REQUESTS - 1));
    assert_eq!(heard.len(), REQUESTS);
    // The client may end while it reads the last GOAWAY.
    report.assert_all_delivered_but(&["kernel.bytes_unseen", "streams.gaps"]);
    assert!(report.counter("streams.gap_bytes") <= 64, "{:#?}", report.counters);
    assert_eq!(report.counter("connections.http2"), 2, "seen at both ends");
    assert_eq!(report.counter("http2.fields_unknown"), 0);
    let ends = all_ends(&report.spans, |span| span.get("url.query")?.as_str());
    assert_eq!(ends.len(), REQUESTS);
    for (&query, &(at_server, at_client)) in &ends {
        if query == GIVEN_UP {
            given_up(at_server);
            given_up(at_client);
            continue;
        }
        assert_mirrored(at_server, at_client);
        let (said, heard) = (&said[query], &heard[query]);
        assert_eq!(heard.get("error"), None);
        assert_eq!(format!("{}?{query}", at_server.path()), said["target"]);
        assert_eq!(at_server.str("network.protocol.version"), "2");
        for span in [at_server, at_client] {
            assert_status(span, heard["status"].as_i64().unwrap());
            let [received, sent] = span.body_sizes().map(Option::unwrap_or_default);
            assert_eq!(
                (received, sent),
                (heard["sent"].as_i64().unwrap(), heard["received"].as_i64().unwrap())
            );
        }
        assert_eq!(said["received"], heard["sent"]);
        let took = u128::from(heard["nanoseconds"].as_u64().unwrap());
        assert!(at_client.duration().as_nanos() <= took, "{at_client:#?}");
        if let Some(slept) = at_server.path().strip_prefix("/sleep/") {
            let slept = slept.parse::<u128>().unwrap() * 1_000_000;
            assert!(at_server.duration().as_nanos() >= slept, "{at_server:#?}");
        }
    }
    assert_eq!(said["m=1"]["trailer"], "1", "Go sent a trailer");
    let (at_server, at_client) = ends["m=10"];
    assert_eq!(at_server.trace_id(), "3".repeat(32));
    assert_eq!(at_server.parent_span_id(), Some("4".repeat(16).as_str()));
    assert_eq!(at_client.span_id(), "4".repeat(16));
}

fn given_up(span: &SpanJson) {
    assert_eq!(span.str("error.type"), "INTERNAL_ERROR");
    assert_eq!(span.str("sensor.http2.reset_by"), "server");
    assert_eq!(span.get("http.response.status_code"), None);
}
