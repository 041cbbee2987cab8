//! gRPC by grpc-go, as it goes by: what its client and its server say of each call is what the spans
//! of the two ends say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, Report, SpanJson, all_ends, grpc_go_workload};
use sensor_tests::workloads::{Server, traced};
use serde_json::Value;

both_engines!(all_kinds_of_calls, many_at_once, connections_that_the_server_ends);

/// What one side said of each call, by its marker.
type Said = BTreeMap<String, Value>;

fn by_marker(said: Vec<Value>) -> Said {
    said.into_iter().map(|said| (said["marker"].as_str().unwrap().to_owned(), said)).collect()
}

/// What there is of the calls of some clients that ran one after the other.
struct Calls {
    client: Said,
    server: Said,
    report: Report,
}

/// Clients make calls, each `STREAMS CALLS FIRST [kinds]`; `unheard` of them the server has no method
/// for, so that it says nothing of them.
fn calls(
    engine: Engine,
    age: &str,
    clients: &[&str],
    count: usize,
    unheard: usize,
) -> Option<Calls> {
    let (program, client) = (grpc_go_workload("server")?, grpc_go_workload("client")?);
    let server = Server::start("grpc-go", |port, _| {
        let mut command = Command::new(program);
        command.arg(port.to_string()).arg(age);
        Ok(command)
    });
    let server = server.unwrap();
    let clients: Vec<_> = clients
        .iter()
        .map(|arguments| {
            let mut command = Command::new(&client);
            command.arg(server.address.port().to_string()).args(arguments.split(' '));
            command
        })
        .collect();
    let (outputs, report) = traced(engine, &[server.pid()], &clients, 2 * count).unwrap();
    let lines = outputs.iter().flat_map(|output| {
        let lines: Vec<_> = output.text().lines().map(str::to_owned).collect();
        lines
    });
    let client = by_marker(lines.map(|line| serde_json::from_str(&line).unwrap()).collect());
    assert_eq!(client.len(), count);
    let server = by_marker(server.said(count - unheard));
    // A client may end while it reads a PING or a GOAWAY, which is about no call.
    report.assert_all_delivered_but(&["kernel.bytes_unseen", "streams.gaps"]);
    assert!(report.counter("streams.gap_bytes") <= 64, "{:#?}", report.counters);
    assert_eq!(report.spans.len(), 2 * count);
    assert_eq!(report.counter("connections.http2_joined"), 0);
    assert_eq!(report.counter("http2.fields_unknown"), 0);
    Some(Calls { client, server, report })
}

impl Calls {
    /// The two ends of all calls, server's and client's: a call's marker is the parent-id that the client
    /// made, so it is its span's.
    fn ends(&self) -> BTreeMap<&str, (&SpanJson, &SpanJson)> {
        all_ends(&self.report.spans, |span| match span.is_client() {
            true => Some(span.span_id()),
            false => span.parent_span_id(),
        })
    }

    fn numbered(&self, number: u64) -> (&SpanJson, &SpanJson) {
        self.ends()[&*format!("{number:016x}")]
    }

    /// Both ends of each call say what the programs say of it.
    fn agree(&self) {
        let ends = self.ends();
        assert_eq!(ends.len(), self.client.len());
        for (marker, called) in &self.client {
            let (server, client) = ends[&**marker];
            let number = u64::from_str_radix(marker, 16).unwrap();
            for span in [server, client] {
                assert_eq!(span.trace_id(), format!("{:032x}", 1000 + number));
                assert_eq!(span.str("url.path"), called["method"]);
                assert_eq!(span.str("rpc.system"), "grpc");
                let named = format!("/{}/{}", span.str("rpc.service"), span.str("rpc.method"));
                assert_eq!(named, called["method"]);
                // A code that is on the wire is the server's; the client may have made up its own.
                if let Some(code) = span.get("rpc.grpc.status_code") {
                    assert_eq!(
                        code,
                        &self.server.get(marker).unwrap_or(called)["code"],
                        "{span:#?}"
                    );
                }
            }
            assert_eq!(server.get("network.local.port"), client.get("network.peer.port"));
            assert_eq!(server.get("network.peer.port"), client.get("network.local.port"));
            counted(client, [&called["sent"], &called["received"]]);
            // Of a call that it gave up, the client says so before it tells the server.
            if client.get("sensor.http2.reset_by").is_none_or(|by| by != "client") {
                let took = Duration::from_nanos(called["nanoseconds"].as_u64().unwrap());
                assert!(client.duration() <= took, "{took:?} {client:#?}");
            }
            if let Some(heard) = self.server.get(marker) {
                counted(server, [&heard["received"], &heard["sent"]]);
            }
        }
    }

    /// A call that came to its end.
    fn ended(&self, number: u64) -> (&SpanJson, &SpanJson) {
        let (server, client) = self.numbered(number);
        whole(server, client, &self.client[&format!("{number:016x}")]);
        (server, client)
    }
}

/// A call that came to its end: both say its code and message, and all messages are known.
fn whole(server: &SpanJson, client: &SpanJson, said: &Value) {
    for span in [server, client] {
        assert_eq!(span.int("rpc.grpc.status_code"), said["code"].as_i64().unwrap());
        assert_eq!(span.get("sensor.grpc.message"), said.get("message"));
        for messages in ["request", "response"] {
            assert!(span.get(&format!("sensor.grpc.{messages}.messages")).is_some(), "{span:#?}");
        }
    }
}

/// Messages that a span counts are those that its own side says; where they are not known, it says
/// nothing of them.
fn counted(span: &SpanJson, said: [&Value; 2]) {
    for (key, said) in ["request", "response"].iter().zip(said) {
        let counted = span.get(&format!("sensor.grpc.{key}.messages"));
        assert!(counted.is_none_or(|it| it == said), "{key}: {said} {span:#?}");
    }
}

fn all_kinds_of_calls(engine: Engine) {
    let Some(calls) = calls(engine, "0", &["1 1 1000 kinds"], 30, 1) else { return };
    calls.agree();
    let both = |(server, client)| [server, client];
    // Compressed, both ways.
    for span in both(calls.ended(3)) {
        assert_eq!(span.int("sensor.grpc.request.compressed_messages"), 1);
        assert_eq!(span.int("sensor.grpc.response.compressed_messages"), 1);
    }
    // Every code: for the client each is an error, for the server those that are its fault.
    for code in 1..=16 {
        let (server, client) = calls.ended(9 + code);
        assert_eq!(client.status(), "error");
        let error = [2, 4, 12, 13, 14, 15].contains(&code);
        assert_eq!(server.status(), if error { "error" } else { "unset" }, "{server:#?}");
        assert_eq!(server.int("rpc.grpc.status_code"), i64::try_from(code).unwrap());
        assert_eq!(server.str("sensor.grpc.message"), "no such thing: 50% of \u{2603}");
    }
    // Streams of messages: the client's, the server's, both, and none.
    for (number, sent, received) in [(30, 4, 1), (31, 1, 12), (32, 4, 4), (33, 0, 0)] {
        for span in both(calls.ended(number)) {
            assert_eq!(span.int("sensor.grpc.request.messages"), sent, "{span:#?}");
            assert_eq!(span.int("sensor.grpc.response.messages"), received, "{span:#?}");
            assert_eq!(span.get("error.type"), None);
        }
    }
    // A deadline of 100 ms: whoever is first to say so.
    for span in both(calls.numbered(40)) {
        match span.str("error.type") {
            "CANCEL" => assert_eq!(span.str("sensor.grpc.cancelled_by"), "deadline"),
            error => assert_eq!(error, "DEADLINE_EXCEEDED"),
        }
        assert!((90_000_000..=100_000_000).contains(&span.int("sensor.grpc.timeout_ns")));
    }
    // Cancelled, without and with a deadline that was far.
    for span in [41, 42].into_iter().flat_map(|number| both(calls.numbered(number))) {
        assert_eq!(span.str("error.type"), "CANCEL");
        assert_eq!(span.str("sensor.http2.reset_by"), "client");
        assert_eq!(span.str("sensor.grpc.cancelled_by"), "caller");
        assert_eq!(span.get("rpc.grpc.status_code"), None);
    }
    for span in both(calls.ended(43)) {
        assert_eq!(span.get("error.type"), None);
    }
    assert_eq!(calls.ended(50).0.int("rpc.grpc.status_code"), 12);
    for span in both(calls.ended(51)) {
        assert_eq!(span.str("sensor.grpc.class"), "health_check");
        assert_eq!(span.name(), "grpc.health.v1.Health/Check");
    }
}

/// 1, 2, 8 and 100 at a time, each over a connection.
fn many_at_once(engine: Engine) {
    let clients = ["1 50 1000", "2 50 2000", "8 25 3000", "100 5 4000"];
    let Some(calls) = calls(engine, "0", &clients, 50 + 100 + 200 + 500, 0) else { return };
    calls.agree();
    assert_eq!(calls.report.counter("connections.http2"), 2 * 4, "each at both ends");
    for (marker, (server, client)) in calls.ends() {
        whole(server, client, &calls.client[marker]);
        assert_eq!((server.status(), client.status()), ("unset", "unset"));
        let sizes = client.body_sizes();
        assert!(sizes.iter().all(Option::is_some) && sizes == server.body_sizes(), "{client:#?}");
    }
}

/// The server ends each connection after 100 ms, by GOAWAY: what was begun goes on, and the client
/// asks on another.
fn connections_that_the_server_ends(engine: Engine) {
    let Some(calls) = calls(engine, "100", &["20 10 1000 slowly"], 200, 0) else { return };
    calls.agree();
    assert!(calls.report.counter("connections.http2") >= 2 * 2, "more than one connection");
    for (marker, (server, client)) in calls.ends() {
        whole(server, client, &calls.client[marker]);
        assert_eq!((server.status(), client.status()), ("unset", "unset"));
    }
}
