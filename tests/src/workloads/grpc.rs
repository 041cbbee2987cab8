//! gRPC: programs that make calls of all kinds, each with a marker, and say at both ends what came of
//! them; and what has to be true of the spans of such calls. Sources: `tests/workloads/grpc*`.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Server, traced};
use crate::sensor::{Engine, Report, SpanJson, all_ends};

/// What one side said of each call, by its marker.
pub type Said = BTreeMap<String, Value>;

/// The calls of some clients that ran one after the other.
#[derive(Debug)]
pub struct Calls {
    /// What the clients said.
    pub client: Said,
    /// What the server said: of those that it has a method for.
    pub server: Said,
    /// What the sensor did.
    pub report: Report,
}

/// What calls say, by their markers.
///
/// # Panics
/// When one does not say its marker, or two say the same.
#[must_use]
pub fn by_marker(said: Vec<Value>) -> Said {
    let count = said.len();
    let marked = |said: Value| (said["marker"].as_str().unwrap().to_owned(), said);
    let said: Said = said.into_iter().map(marked).collect();
    assert_eq!(said.len(), count, "markers are there once");
    said
}

impl Calls {
    /// Runs these clients, which make `count` calls in all; `unheard` of them the server has no method
    /// for.
    ///
    /// # Panics
    /// When a call is not told once at each end, or anything is lost or unknown.
    #[must_use]
    pub fn run(
        engine: Engine,
        server: &Server,
        clients: &[Command],
        count: usize,
        unheard: usize,
    ) -> Self {
        let (outputs, report) = traced(engine, &[server.pid()], clients, 2 * count).unwrap();
        let texts: Vec<_> = outputs.iter().map(crate::process::Output::text).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        let client = by_marker(lines.map(|line| serde_json::from_str(line).unwrap()).collect());
        assert_eq!(client.len(), count);
        let server = by_marker(server.said(count - unheard));
        // A client may end while it reads a PING or a GOAWAY, and Node reads that of a connection that is
        // closed already. They are about no call.
        report.assert_all_delivered_but(&["kernel.bytes_unseen", "streams.gaps"]);
        let unseen = report.counter("kernel.bytes_unseen");
        assert!(unseen <= 64 * report.counter("connections.http2"), "{:#?}", report.counters);
        assert_eq!(report.spans.len(), 2 * count);
        assert_eq!(report.counter("connections.http2_joined"), 0);
        assert_eq!(report.counter("http2.fields_unknown"), 0);
        let calls = Self { client, server, report };
        calls.agree();
        calls
    }

    /// The two ends of all calls, server's and client's: a call's marker is the parent-id that the client
    /// made, so it is its span's.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<&str, (&SpanJson, &SpanJson)> {
        all_ends(&self.report.spans, |span| match span.is_client() {
            true => Some(span.span_id()),
            false => span.parent_span_id(),
        })
    }

    /// The two ends of one.
    #[must_use]
    pub fn both(&self, number: u64) -> [&SpanJson; 2] {
        self.ends()[&*format!("{number:016x}")].into()
    }

    /// The two ends of one that came to its end.
    ///
    /// # Panics
    /// When they do not say so.
    #[must_use]
    pub fn ended(&self, number: u64) -> [&SpanJson; 2] {
        let [server, client] = self.both(number);
        whole([server, client], &self.client[&format!("{number:016x}")]);
        [server, client]
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
                let said = self.server.get(marker).and_then(|said| said.get("code"));
                if let Some(code) = span.get("rpc.grpc.status_code") {
                    assert_eq!(code, said.unwrap_or(&called["code"]), "{span:#?}");
                }
            }
            assert_eq!(server.get("network.local.port"), client.get("network.peer.port"));
            assert_eq!(server.get("network.peer.port"), client.get("network.local.port"));
            // What it has handed over when the server refuses the call need not go out any more.
            counted(client, "request", &called["sent"], called["code"] == 0);
            counted(client, "response", &called["received"], true);
            // A call that it gives up is over for the client before it tells the server, and the server
            // may not look at messages that it has received of it.
            let given_up = [1, 4].contains(&called["code"].as_u64().unwrap());
            if !given_up {
                if let Some(heard) = self.server.get(marker) {
                    counted(server, "request", &heard["received"], true);
                    counted(server, "response", &heard["sent"], true);
                }
                let took = Duration::from_nanos(called["nanoseconds"].as_u64().unwrap());
                assert!(client.duration() <= took, "{took:?} {client:#?}");
            }
        }
    }

    /// What is so of those calls that all programs make: numbers 1 to 50.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_all_kinds(&self) {
        // Compressed by the client.
        for span in self.ended(3) {
            assert_eq!(span.int("sensor.grpc.request.compressed_messages"), 1);
        }
        // Every code: for the client each is an error, for the server those that are its fault.
        for code in 1..=16 {
            let [server, client] = self.ended(9 + code);
            assert_eq!(client.status(), "error");
            let error = [2, 4, 12, 13, 14, 15].contains(&code);
            assert_eq!(server.status(), if error { "error" } else { "unset" }, "{server:#?}");
            assert_eq!(server.int("rpc.grpc.status_code"), i64::try_from(code).unwrap());
            assert_eq!(server.str("sensor.grpc.message"), "no such thing: 50% of \u{2603}");
        }
        // Streams of messages: the client's, the server's, both, and none.
        for (number, sent, received) in [(30, 4, 1), (31, 1, 12), (32, 4, 4), (33, 0, 0)] {
            for span in self.ended(number) {
                assert_eq!(span.int("sensor.grpc.request.messages"), sent, "{span:#?}");
                assert_eq!(span.int("sensor.grpc.response.messages"), received, "{span:#?}");
                assert_eq!(span.get("error.type"), None);
            }
        }
        // A deadline of 100 ms: whoever is first to say so.
        for span in self.both(40) {
            match span.str("error.type") {
                // The client counts from before the sensor does.
                "CANCEL" => {
                    let by = span.get("sensor.grpc.cancelled_by");
                    assert!(by.is_none_or(|by| by == "deadline"), "{span:#?}");
                }
                error => assert_eq!(error, "DEADLINE_EXCEEDED", "{span:#?}"),
            }
            let timeout = span.int("sensor.grpc.timeout_ns");
            assert!((90_000_000..=101_000_000).contains(&timeout), "{timeout}");
        }
        // Cancelled, without and with a deadline that was far.
        for (number, span) in
            [41, 42].into_iter().flat_map(|number| self.both(number).map(|span| (number, span)))
        {
            assert_eq!(span.str("error.type"), "CANCEL", "{span:#?}");
            assert_eq!(span.str("sensor.http2.reset_by"), "client");
            let by = (number == 41).then_some("caller");
            assert_eq!(span.get("sensor.grpc.cancelled_by").and_then(|by| by.as_str()), by);
            assert_eq!(span.get("rpc.grpc.status_code"), None);
        }
        for span in self.ended(43) {
            assert_eq!(span.get("error.type"), None);
        }
        // Answered before it was heard to its end, perhaps.
        for span in self.both(50) {
            assert_eq!(span.int("rpc.grpc.status_code"), 12);
            assert_eq!(span.str("error.type"), "UNIMPLEMENTED");
        }
    }

    /// Those from `first` on came to their ends, without any error, and both ends say the same of them.
    ///
    /// # Panics
    /// When one did not.
    pub fn assert_well_from(&self, first: u64) {
        for (marker, (server, client)) in self.ends() {
            if u64::from_str_radix(marker, 16).unwrap() < first {
                continue;
            }
            whole([server, client], &self.client[marker]);
            assert_eq!((server.status(), client.status()), ("unset", "unset"));
            let sizes = client.body_sizes();
            assert!(sizes.iter().all(Option::is_some), "{client:#?}");
            assert_eq!(sizes, server.body_sizes());
        }
    }
}

/// A call that came to its end: both say its code and message, and all messages are known.
fn whole(ends: [&SpanJson; 2], said: &Value) {
    for span in ends {
        assert_eq!(span.int("rpc.grpc.status_code"), said["code"].as_i64().unwrap());
        assert_eq!(span.get("sensor.grpc.message"), said.get("message"));
        for messages in ["request", "response"] {
            assert!(span.get(&format!("sensor.grpc.{messages}.messages")).is_some(), "{span:#?}");
        }
    }
}

/// Messages that a span counts are those that its own side says, or, if these need not be `all`, some of them; where
/// they are not known, it says nothing of them.
fn counted(span: &SpanJson, key: &str, said: &Value, all: bool) {
    let counted = span.get(&format!("sensor.grpc.{key}.messages"));
    let fits = |it: &Value| if all { it == said } else { it.as_u64() <= said.as_u64() };
    assert!(counted.is_none_or(fits), "{key}: {said} {span:#?}");
}
