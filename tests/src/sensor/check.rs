//! What has to be true of spans whatever the programs are.

use std::collections::BTreeMap;

use super::SpanJson;

/// The two ends of an exchange that a query (its marker) names.
///
/// # Panics
/// When there is not exactly one span of each side.
#[must_use]
pub fn both_ends<'a>(spans: &'a [SpanJson], query: &str) -> (&'a SpanJson, &'a SpanJson) {
    let is_it = |span: &&SpanJson| span.get("url.query").is_some_and(|it| it == query);
    let found: Vec<_> = spans.iter().filter(is_it).collect();
    match found[..] {
        [a, b] if a.is_server() && b.is_client() => (a, b),
        [a, b] if b.is_server() && a.is_client() => (b, a),
        _ => panic!("not a server and a client span with {query}: {found:#?}"),
    }
}

/// The two ends, server's and client's, of all exchanges, by the marker that `marker` finds in a span.
///
/// # Panics
/// When there is not exactly one span of each side for one of them, or one without a marker.
pub fn all_ends<'a>(
    spans: &'a [SpanJson],
    marker: impl Fn(&'a SpanJson) -> Option<&'a str>,
) -> BTreeMap<&'a str, (&'a SpanJson, &'a SpanJson)> {
    let mut found = BTreeMap::<&str, Vec<&SpanJson>>::new();
    for span in spans {
        match marker(span) {
            Some(marker) => found.entry(marker).or_default().push(span),
            None => panic!("without a marker: {span:#?}"),
        }
    }
    let ends = |(marker, found): (_, Vec<&'a SpanJson>)| match found[..] {
        [a, b] if a.is_server() && b.is_client() => (marker, (a, b)),
        [a, b] if b.is_server() && a.is_client() => (marker, (b, a)),
        _ => panic!("not a server and a client span of {marker}: {found:#?}"),
    };
    found.into_iter().map(ends).collect()
}

/// Both ends of an exchange saw the same bytes, so they tell the same.
///
/// # Panics
/// When they do not.
pub fn assert_mirrored(server: &SpanJson, client: &SpanJson) {
    assert_eq!([server.kind(), client.kind()], ["server", "client"]);
    for key in [
        "http.request.method",
        "http.request.method_original",
        "url.path",
        "url.query",
        "url.scheme",
        "http.request.body.size",
        "http.response.body.size",
        "http.response.status_code",
        "network.protocol.version",
        "network.transport",
        "network.type",
        "server.address",
        "server.port",
        "user_agent.original",
    ] {
        assert_eq!(server.get(key), client.get(key), "{key} of {server:#?} and {client:#?}");
    }
    for (one, other) in [(server, client), (client, server)] {
        for what in ["address", "port"] {
            assert_eq!(
                one.get(&format!("network.local.{what}")),
                other.get(&format!("network.peer.{what}")),
                "{server:#?}\n{client:#?}"
            );
        }
    }
    if server.str("network.transport") == "tcp" {
        assert_eq!(server.get("client.address"), client.get("network.local.address"));
        assert_eq!(server.get("client.port"), client.get("network.local.port"));
        // A proxy that is asked to connect to a server is not that server.
        if server.method() != "CONNECT" {
            assert_eq!(server.get("server.port"), client.get("network.peer.port"));
        }
    }
    assert_eq!(server.trace_id(), client.trace_id(), "{server:#?}\n{client:#?}");
    assert_ne!(server.span_id(), client.span_id(), "{server:#?}");
    assert_eq!(server.name(), client.name());
    assert!(server.start() <= client.end() && client.start() <= server.end());
}

/// Status and `error.type` follow from the status code (semantic conventions for HTTP spans): an
/// error of the server's span from 500 on, of the client's from 400 on.
///
/// # Panics
/// When they do not.
pub fn assert_status(span: &SpanJson, code: i64) {
    assert_eq!(span.status_code(), code, "{span:#?}");
    let error = code >= if span.is_server() { 500 } else { 400 };
    assert_eq!(span.status(), if error { "error" } else { "unset" }, "{span:#?}");
    let kind = span.get("error.type").and_then(serde_json::Value::as_str);
    assert_eq!(kind, error.then(|| code.to_string()).as_deref(), "{span:#?}");
}
