//! HTTP/2 at its edges by Node, as it goes by: padding, large headers, trailers, tables of all sizes, codes of
//! resets, and connections that are ended in the midst of it.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::free_port;
use sensor_tests::sensor::{Engine, SpanJson, all_ends, assert_mirrored, assert_status, tool};
use sensor_tests::workloads::{source, traced};
use serde_json::Value;

both_engines!(without_padding, padded_to_eight, padded_as_much_as_can_be);

/// RFC 9113 section 7; the last one is not among them.
const CODES: [&str; 15] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
    "0xe",
];

/// Requests that the program makes.
const REQUESTS: usize = 226;

fn without_padding(engine: Engine) {
    edges(engine, "none");
}

fn padded_to_eight(engine: Engine) {
    edges(engine, "aligned");
}

fn padded_as_much_as_can_be(engine: Engine) {
    edges(engine, "max");
}

fn edges(engine: Engine, padding: &str) {
    let Some(program) = tool("node") else { return };
    let mut command = Command::new(program);
    command.arg(source("node/http2-edges.js")).arg(free_port().unwrap().to_string()).arg(padding);
    let (output, report) = traced(engine, &[], &[command], 2 * REQUESTS).unwrap();
    let text = output[0].text();
    let said: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), REQUESTS);
    // Node half-closes connections, and reads the other side's GOAWAY where they are closed already.
    report.assert_all_delivered_but(&["kernel.bytes_unseen"]);
    assert!(report.counter("kernel.bytes_unseen") <= 8 * 17, "{:#?}", report.counters);
    assert_eq!(report.spans.len(), 2 * REQUESTS);
    assert_eq!(report.counter("connections.http2"), 2 * 5, "each at both ends");
    assert_eq!(report.counter("http2.fields_unknown"), 0);
    assert_eq!(report.counter("http2.places_lost"), 0);
    assert_eq!(report.counter("http2.blocks_unplaced"), 0);
    let ends = all_ends(&report.spans, |span| span.get("url.query")?.as_str());
    for said in &said {
        let (at_server, at_client) = ends[said["query"].as_str().unwrap()];
        let path = said["path"].as_str().unwrap();
        for span in [at_server, at_client] {
            assert_eq!(span.path(), path);
            match (path.split('/').nth(1).unwrap(), said["reset"].as_u64().unwrap()) {
                ("reset", code) => was_reset(span, code, "server"),
                ("drop", code) => was_reset(span, code, "client"),
                // What the server had said that it would not process: the client's word is REFUSED_STREAM.
                ("wait", 7) => {
                    assert_eq!(span.str("error.type"), "not_processed", "{span:#?}");
                    assert_eq!(span.get("http.response.status_code"), None);
                    assert_eq!(span.str("sensor.http2.error_code"), "NO_ERROR");
                }
                (_, code) => {
                    assert_eq!((code, span.get("sensor.http2.error_code")), (0, None));
                    answered(span, said);
                }
            }
        }
        if said["reset"] == 0 {
            assert_mirrored(at_server, at_client);
        }
    }
}

/// As the client saw it, and without what was padding.
fn answered(span: &SpanJson, said: &Value) {
    assert_status(span, said["status"].as_i64().unwrap());
    let [sent, received] = span.body_sizes();
    assert_eq!(sent.unwrap_or(0), said["sent"], "{span:#?}");
    assert_eq!(received.unwrap_or(0), said["received"], "{span:#?}");
    if said["path"] == "/trailers" {
        assert_eq!(said["trailers"], sent.unwrap_or(0).to_string());
    }
}

fn was_reset(span: &SpanJson, code: u64, by: &str) {
    let name = CODES[usize::try_from(code).unwrap()];
    assert_eq!(span.str("sensor.http2.error_code"), name);
    assert_eq!(span.str("error.type"), if code == 14 { "stream_reset" } else { name });
    assert_eq!(span.str("sensor.http2.reset_by"), by);
    assert_eq!(span.status(), "error");
    let status = span.get("http.response.status_code").and_then(Value::as_i64);
    assert_eq!(status, (by == "client").then_some(200));
}
