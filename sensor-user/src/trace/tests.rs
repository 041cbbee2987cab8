//! Whole exchanges, from events to spans.

pub(crate) mod causes;
mod contexts;
mod cuts;
mod evidence;
mod http2;
mod lines;
mod properties;
mod strangers;
mod web;
pub(crate) mod world;

use std::num::NonZeroU64;

use world::{CLIENT, SERVER, World, attributes, int, names, text};

use super::*;
use crate::capture::event::{ClockSync, Direction};
use crate::model::{SpanExport, SpanKind, Status};

const REQUEST: &str = "GET /items?id=7&sig=secret HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/7.88.1\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

#[test]
fn a_server_span() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1_000, REQUEST);
    assert_eq!(world.pipeline.open_exchanges(), 1);
    world.send(&flow, 3_000, RESPONSE);
    world.skip(&flow, Direction::Send, 4_000, 5);
    let span = world.one();
    assert_eq!((span.kind, span.status), (SpanKind::Server, Status::Unset));
    assert_eq!(span.name, "GET");
    // The clocks stand at 0 and at one hour.
    assert_eq!(span.start_unix_ns, 3_600_000_001_000);
    assert_eq!(span.end_unix_ns, 3_600_000_004_000);
    assert_eq!(span.parent_span_id, None);
    assert_eq!(span.flags.0, 1);
    let expected = [
        "client.address=192.0.2.1",
        "client.port=40000",
        "http.request.method=GET",
        "http.response.body.size=5",
        "http.response.status_code=200",
        "network.local.address=192.0.2.2",
        "network.local.port=80",
        "network.peer.address=192.0.2.1",
        "network.peer.port=40000",
        "network.protocol.version=1.1",
        "network.transport=tcp",
        "network.type=ipv4",
        "server.address=shop.example",
        "server.port=8080",
        "url.path=/items",
        "url.query=id=7&sig=REDACTED",
        "url.scheme=http",
        "user_agent.original=curl/7.88.1",
    ];
    assert_eq!(attributes(&span), expected);
    let events: Vec<_> = span.events.iter().map(|e| (e.name, e.time_unix_ns)).collect();
    assert_eq!(events, [("http.response.first_byte", 3_600_000_003_000)]);
    assert_eq!(span.resource.service_name(), Some("svc-10"));
}

#[test]
fn a_client_span_and_what_it_shares_with_its_server() {
    let mut world = World::new();
    let (client, server) = (world.flow(CLIENT), world.flow(SERVER));
    world.send(&client, 1_000, "POST http://u:p@shop.example/x HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc");
    world.receive(&server, 1_500, "POST http://u:p@shop.example/x HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc");
    world.send(&server, 2_000, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    world.receive(&client, 2_500, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    // The server's waits for the client's, which it hangs below.
    let [client, server] = &world.spans[..] else { panic!("two spans") };
    assert_eq!(client.kind, SpanKind::Client);
    assert_eq!((client.status, server.status), (Status::Error, Status::Unset));
    assert_eq!((text(client, "error.type"), text(server, "error.type")), (Some("404"), None));
    assert_eq!(text(client, "url.full"), Some("http://REDACTED:REDACTED@shop.example/x"));
    assert_eq!(text(server, "url.full"), None);
    assert_eq!(text(client, "client.address"), None);
    assert_eq!(text(client, "network.peer.address"), Some("192.0.2.2"));
    assert_eq!(int(client, "server.port"), Some(80));
    assert_eq!(int(client, "http.request.body.size"), Some(3));
    assert_eq!(names(client), ["http.request.body.end", "http.response.first_byte"]);
    // The trace is the same on both ends, the spans are not, and nothing is made up on the client's parent.
    assert_eq!(client.trace_id, server.trace_id);
    assert_ne!(client.span_id, server.span_id);
    assert_eq!((client.parent_span_id, server.parent_span_id), (None, Some(client.span_id)));
    assert_eq!(text(server, EVIDENCE), Some("connection"));
}

#[test]
fn other_methods_keep_their_name_aside() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1, "get / HTTP/1.0\r\n\r\n");
    world.send(&flow, 2, "HTTP/1.0 501 No\r\n\r\nsorry");
    world.end(&flow, 3, false);
    let span = world.one();
    assert_eq!(span.name, "HTTP");
    assert_eq!(text(&span, "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&span, "http.request.method_original"), Some("get"));
    assert_eq!(text(&span, "error.type"), Some("501"));
    assert_eq!(text(&span, "server.address"), Some("192.0.2.2"));
    assert_eq!(text(&span, "network.protocol.version"), Some("1.0"));
    // The body ended with the connection: its last byte went by at 2.
    assert_eq!(int(&span, "http.response.body.size"), Some(5));
    assert_eq!(span.end_unix_ns, 3_600_000_000_002);
}

#[test]
fn interim_responses_are_not_the_answer() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1, "PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    world.send(&flow, 2, "HTTP/1.1 100 Continue\r\n\r\n");
    world.receive(&flow, 3, "ab");
    world.send(&flow, 4, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let span = world.one();
    assert_eq!(int(&span, "http.response.status_code"), Some(201));
    assert_eq!(span.events.iter().map(|e| e.time_unix_ns % 10).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn an_early_answer_ends_with_its_connection_or_its_request() {
    for close in [true, false] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        world.receive(&flow, 1, "PUT /x HTTP/1.1\r\nContent-Length: 20\r\n\r\n");
        world.send(&flow, 2, "HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n");
        assert!(world.spans.is_empty());
        if close {
            world.end(&flow, 9, true);
        } else {
            world.skip(&flow, Direction::Receive, 9, 20);
        }
        let span = world.one();
        assert_eq!(int(&span, "http.response.status_code"), Some(413));
        assert_eq!(text(&span, "error.type"), None);
        assert_eq!(span.end_unix_ns % 10, 2);
        assert_eq!(int(&span, "http.request.body.size"), (!close).then_some(20));
    }
}

#[test]
fn what_was_not_answered_says_why_and_has_no_status() {
    for (error, expected) in [(false, "connection_closed"), (true, "connection_reset")] {
        let mut world = World::new();
        let flow = world.flow(CLIENT);
        world.send(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
        world.end(&flow, 9, error);
        let span = world.one();
        assert_eq!(text(&span, "error.type"), Some(expected));
        assert_eq!(int(&span, "http.response.status_code"), None);
        assert_eq!((span.status, span.end_unix_ns % 10), (Status::Error, 9));
        assert_eq!(world.pipeline.core.contexts.open_len(), 0);
    }
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    world.send(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    world.receive(&flow, 2, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    world.end(&flow, 9, false);
    let span = world.one();
    assert_eq!(text(&span, "error.type"), Some("incomplete_response"));
    assert_eq!(int(&span, "http.response.status_code"), Some(200));
    assert_eq!(int(&span, "http.response.body.size"), None);
}

#[test]
fn a_body_whose_end_only_the_close_tells() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    world.send(&flow, 2, RESPONSE);
    world.pass(&flow, Direction::Send, 5);
    world.end_with(&flow, 9, false, [0, 5], [None, Some(4)]);
    let span = world.one();
    assert_eq!((text(&span, "error.type"), span.end_unix_ns % 10), (None, 4));
    assert_eq!(int(&span, "http.response.body.size"), Some(5));
}

#[test]
fn a_response_lost_before_the_close_is_not_an_unanswered_request() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    world.receive(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    flow.sent += 200;
    world.end(&flow, 9, false);
    assert!(world.spans.is_empty());
    assert_eq!(world.count(Counter::ExchangesLostGap), 1);
}

#[test]
fn a_head_cut_by_the_end_is_counted() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1, "GET / HTTP/1.1\r\nHost:");
    assert_eq!(world.pipeline.open_exchanges(), 1);
    world.end(&flow, 2, false);
    assert!(world.spans.is_empty());
    assert_eq!(world.count(Counter::ExchangesLostHeadIncomplete), 1);
    assert_eq!(world.pipeline.open_exchanges(), 0);
}

const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn with_context(path: &str, parent: &str, flags: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\ntraceparent: 00-{T}-{parent}-{flags}\r\ntracestate: a=1\r\nTraceState: b=2\r\n\r\n"
    )
}

#[test]
fn incoming_context_is_joined() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.exchange(&flow, &with_context("/", "00f067aa0ba902b7", "01"));
    let span = world.one();
    assert_eq!(span.trace_id.to_string(), T);
    assert_eq!(span.parent_span_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(span.trace_state.as_deref(), Some("a=1,b=2"));
    assert_eq!(span.flags.0, 1);
}

#[test]
fn the_callers_sampling_is_told() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    for flags in ["00", "01"] {
        world.exchange(&flow, &with_context("/", "00f067aa0ba902b7", flags));
    }
    world.exchange(&flow, "GET / HTTP/1.1\r\n\r\n");
    let told: Vec<_> = world.spans.iter().map(|it| (it.remote_sampled, it.flags.0)).collect();
    assert_eq!(told, [(Some(false), 0), (Some(true), 1), (None, 1)]);
}

#[test]
fn exports_of_spans_are_told() {
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    for (target, content_type) in [
        ("/v1/traces", "application/x-protobuf"),
        ("http://collector/v1/traces?a=1", "application/json"),
        ("/v1/traces", "text/plain"),
        ("/v1/logs", "application/x-protobuf"),
    ] {
        world.exchange(&flow, &format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Type: {content_type}\r\n\r\n"));
    }
    let told: Vec<_> = world.spans.iter().map(|it| it.exports_spans).collect();
    assert_eq!(told, [Some(SpanExport::Typical), Some(SpanExport::Plain), None, None]);
}

#[test]
fn malformed_context_is_counted_and_ignored() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    let once = format!("traceparent: 00-{T}-00f067aa0ba902b7-01\r\n");
    for fields in ["traceparent: 00-x\r\n".to_owned(), format!("{once}{once}")] {
        world.exchange(&flow, &format!("GET / HTTP/1.1\r\n{fields}\r\n"));
    }
    assert_eq!(world.count(Counter::TraceparentMalformed), 2);
    assert!(world.spans.iter().all(|s| s.trace_id.to_string() != T && s.parent_span_id.is_none()));
    assert_ne!(world.spans[0].trace_id, world.spans[1].trace_id);
    world.exchange(&flow, &format!("GET / HTTP/1.1\r\n{once}tracestate: A=1\r\n\r\n"));
    assert_eq!(world.count(Counter::TracestateMalformed), 1);
    assert_eq!(world.spans[2].trace_state, None);
}

/// The process of the server flow calls out while it answers.
fn call_out(incoming: &[&str], outgoing: &str) -> (Vec<Span>, Span) {
    let mut world = World::new();
    let mut servers: Vec<_> = incoming.iter().map(|_| world.flow(SERVER)).collect();
    for (i, (flow, parent)) in servers.iter_mut().zip(incoming).enumerate() {
        flow.pid = 10;
        world.receive(flow, 10, &with_context(&format!("/in/{i}"), parent, "01"));
    }
    let mut client = world.flow(CLIENT);
    client.pid = servers[0].pid;
    world.exchange(&client, &with_context("/out", outgoing, "01"));
    let client = world.spans.remove(0);
    for flow in &servers {
        world.send(flow, 90, "HTTP/1.1 204 No\r\n\r\n");
    }
    assert_eq!(world.pipeline.core.contexts.open_len(), 0);
    (world.spans, client)
}

#[test]
fn a_minted_context_is_the_client_span() {
    let (servers, client) = call_out(&["00f067aa0ba902b7"], "aaaaaaaaaaaaaaaa");
    assert_eq!(client.span_id.to_string(), "aaaaaaaaaaaaaaaa");
    assert_eq!(client.trace_id.to_string(), T);
    assert_eq!(client.parent_span_id, Some(servers[0].span_id));
    // Which of two requests caused it is not known.
    let (_, client) = call_out(&["00f067aa0ba902b7", "00f067aa0ba902b8"], "aaaaaaaaaaaaaaaa");
    assert_eq!(client.span_id.to_string(), "aaaaaaaaaaaaaaaa");
    assert_eq!(client.parent_span_id, None);
}

#[test]
fn a_forwarded_context_is_not() {
    let (servers, client) = call_out(&["00f067aa0ba902b7", "00f067aa0ba902b8"], "00f067aa0ba902b7");
    assert_ne!(client.span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(client.parent_span_id, Some(servers[0].span_id));
    let (_, client) = call_out(&["00f067aa0ba902b7", "00f067aa0ba902b7"], "00f067aa0ba902b7");
    assert_ne!(client.span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(client.parent_span_id, None);
}

#[test]
fn no_identifier_is_given_out_twice() {
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    for _ in 0..3 {
        world.exchange(&flow, &with_context("/", "aaaaaaaaaaaaaaaa", "01"));
    }
    let ids: FxHashSet<_> = world.spans.iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(world.spans[0].span_id.to_string(), "aaaaaaaaaaaaaaaa");
}

#[test]
fn older_connections_work_at_once_and_say_what_is_inferred() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    world.send(&flow, 1, "rest of a body");
    world.send(&flow, 2, RESPONSE);
    assert_eq!(world.count(Counter::ResponsesOrphaned), 1);
    for _ in 0..2 {
        world.exchange(&flow, REQUEST);
    }
    assert_eq!(world.spans.len(), 2);
    assert_eq!(text(&world.spans[0], "sensor.pairing"), Some("inferred"));
    assert_eq!(text(&world.spans[1], "sensor.pairing"), None);
}

#[test]
fn an_older_connection_that_pipelines_is_not_guessed() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    world.receive(&flow, 1, "GET /1 HTTP/1.1\r\n\r\n");
    world.receive(&flow, 2, "GET /2 HTTP/1.1\r\n\r\n");
    for time in 3..6 {
        world.send(&flow, time, "HTTP/1.1 204 No\r\n\r\n");
    }
    assert!(world.spans.is_empty());
    assert_eq!(world.count(Counter::ExchangesLostGap), 2);
}

#[test]
fn a_client_whose_reader_overtakes_its_writer() {
    let mut world = World::new();
    let flow = world.flow(CLIENT);
    for id in 0..3 {
        world.receive(
            &flow,
            10 * id + 1,
            &format!("HTTP/1.1 20{id} OK\r\nContent-Length: 0\r\n\r\n"),
        );
        world.send(&flow, 10 * id + 2, &format!("GET /{id} HTTP/1.1\r\n\r\n"));
    }
    assert_eq!(world.spans.len(), 3);
    for (id, span) in (0..).zip(&world.spans) {
        assert_eq!(text(span, "url.path"), Some(&*format!("/{id}")));
        assert_eq!(int(span, "http.response.status_code"), Some(200 + id));
        assert!(span.start_unix_ns <= span.end_unix_ns);
    }
}

#[test]
fn after_a_gap_pairing_starts_anew_only_after_a_whole_turn() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    world.exchange(&flow, REQUEST);
    world.receive(&flow, 50, "GET /lost HTTP/1.1\r\n\r\n");
    flow.sent += 100;
    for id in 0..3 {
        world.exchange(&flow, &format!("GET /{id} HTTP/1.1\r\n\r\n"));
    }
    let paths: Vec<_> = world.spans.iter().map(|span| text(span, "url.path").unwrap()).collect();
    // The gap shows with the answer to /0, after which a whole exchange is watched.
    assert_eq!(paths, ["/items", "/2"]);
    assert_eq!(world.count(Counter::ExchangesLostGap), 3);
    assert_eq!((world.count(Counter::Gaps), world.count(Counter::GapBytes)), (1, 100));
}

#[test]
fn connect_and_upgrade_end_http() {
    for (request, response) in [
        (
            "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        (
            "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
        ),
    ] {
        let mut world = World::new();
        let flow = world.flow(CLIENT);
        world.send(&flow, 1, request);
        world.receive(&flow, 2, response);
        world.send(&flow, 3, "GET / HTTP/1.1\r\n\r\n");
        world.receive(&flow, 4, "HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(world.count(Counter::ConnectionsUpgraded), 1);
        assert_eq!(text(&world.one(), "error.type"), None);
        assert_eq!(world.count(Counter::ExchangesSeen), 1);
    }
}

#[test]
fn not_http_is_counted_once_per_connection() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.receive(&flow, 1, "\x16\x03\x01");
    world.send(&flow, 2, "\x16\x03\x03");
    world.receive(&flow, 3, REQUEST);
    assert_eq!(world.count(Counter::ConnectionsNotHttp), 1);
    assert_eq!(world.count(Counter::ExchangesSeen), 0);
}

#[test]
fn bounds_lose_and_count() {
    let limits = Limits { connections: 2, pipeline: 2, ..Limits::default() };
    let mut world = World::with(limits);
    let flow = world.flow(SERVER);
    for _ in 0..5 {
        world.receive(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    }
    assert_eq!(world.count(Counter::ExchangesLostPipelineFull), 3);
    for _ in 0..5 {
        world.send(&flow, 2, "HTTP/1.1 204 No\r\n\r\n");
    }
    assert_eq!(world.spans.len(), 2);
    for _ in 0..3 {
        let flow = world.flow(SERVER);
        world.receive(&flow, 1, "GET / HTTP/1.1\r\n\r\n");
    }
    assert_eq!(world.count(Counter::ConnectionsEvicted), 2);
    assert_eq!(world.count(Counter::ExchangesLostEvicted), 1);
    assert_eq!(world.pipeline.open_exchanges(), 2);
}

/// A flow on the socket of another, which the kernel side had to forget.
#[test]
fn a_flow_that_begins_anew_counts_what_was_in_flight() {
    let mut world = World::new();
    let inode = NonZeroU64::new(7);
    let mut before = world.flow(SERVER);
    before.inode = inode;
    world.receive(&before, 1, "GET /a HTTP/1.1\r\n\r\n");
    let mut anew = world.flow(SERVER);
    (anew.inode, anew.from_start) = (inode, false);
    world.send(&anew, 2, "HTTP/1.1 204 No\r\n\r\n");
    assert_eq!(world.count(Counter::ConnectionsEvicted), 1);
    assert_eq!(world.count(Counter::ExchangesLostEvicted), 1);
    assert_eq!(world.count(Counter::ResponsesOrphaned), 1);
    assert_eq!(world.pipeline.open_exchanges(), 0);
    assert!(world.spans.is_empty());
    // The end of the one that is forgotten takes nothing from the other.
    world.end(&before, 3, false);
    world.receive(&anew, 4, "GET /b HTTP/1.1\r\n\r\n");
    world.send(&anew, 5, "HTTP/1.1 200 Ok\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(text(&world.one(), "url.path"), Some("/b"));
    world.end(&anew, 6, false);
    // Its number is another's now, and nothing is left of it.
    let mut later = world.flow(SERVER);
    later.inode = inode;
    world.receive(&later, 7, "GET /c HTTP/1.1\r\n\r\n");
    assert_eq!(world.count(Counter::ConnectionsEvicted), 1);
}

#[test]
fn a_head_over_the_limit_is_counted() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.segment(&flow, Direction::Receive, 1, b"GET / HTTP/1.1\r\nX: ", 9, |s| {
        s.head_too_large = true;
    });
    world.send(&flow, 2, RESPONSE);
    assert_eq!(world.count(Counter::ExchangesLostHeadTooLarge), 1);
    assert_eq!(world.pipeline.open_exchanges(), 0);
}

#[test]
fn unix_sockets_end_with_their_process() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.endpoints = Endpoints::Unix;
    world.handle(&Event::UnixPath { flow: flow.id, path: "/run/app.sock".into() });
    world.exchange(&flow, REQUEST);
    world.receive(&flow, 5, REQUEST);
    world
        .handle(&Event::ProcessExit { process: ProcessKey::undated(flow.pid), time: Monotonic(9) });
    assert_eq!(world.spans.len(), 2);
    let span = &world.spans[1];
    assert_eq!(text(span, "server.address"), Some("/run/app.sock"));
    assert_eq!(text(span, "network.transport"), Some("unix"));
    assert_eq!(text(span, "error.type"), Some("connection_closed"));
    assert_ne!(world.spans[0].trace_id, span.trace_id);
    assert!(world.pipeline.unix.is_empty());
}

/// A Unix socket of which one event was not seen, as the kernel side numbers its bytes then.
#[test]
fn what_was_missed_on_a_unix_socket_is_never_paired() {
    let mut world = World::new();
    let mut flow = world.flow(CLIENT);
    (flow.endpoints, flow.from_start) = (Endpoints::Unix, false);
    let tcp = world.flow(SERVER);
    world.handle(&Event::UnixPath { flow: flow.id, path: "/run/app.sock".into() });
    world.receive(&tcp, 1, REQUEST);
    world.send(&flow, 1, "GET /a HTTP/1.1\r\n\r\n");
    // Here the answer to /a came, and then /b was asked: neither is known.
    world.handle(&Event::Missed);
    assert_eq!(world.count(Counter::ExchangesLostRunMissed), 1);
    world.receive(&flow, 3, "HTTP/1.1 404 Not /b\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(world.count(Counter::ResponsesOrphaned), 1);
    assert!(world.spans.is_empty());
    // From here on all is seen. The exchange on TCP, where a miss is noticed, is not given up.
    world.send(&flow, 5, "GET /c HTTP/1.1\r\n\r\n");
    world.receive(&flow, 6, "HTTP/1.1 201 Yes /c\r\nContent-Length: 0\r\n\r\n");
    world.send(&tcp, 7, "HTTP/1.1 204 No\r\n\r\n");
    let [unix, tcp] = &world.spans[..] else { panic!("{:#?}", world.spans) };
    assert_eq!(text(unix, "url.path"), Some("/c"));
    assert_eq!(int(unix, "http.response.status_code"), Some(201));
    assert_eq!(text(unix, "server.address"), Some("/run/app.sock"));
    assert_eq!(text(unix, PAIRING), Some("inferred"));
    assert_eq!(int(tcp, "http.response.status_code"), Some(204));
    assert_eq!((world.count(Counter::Gaps), world.count(Counter::Connections)), (0, 2));
    assert_eq!(world.pipeline.open_exchanges(), 0);
}

/// The rest of a body, and records that were dropped, are passed over.
#[test]
fn a_miss_within_a_body_on_a_unix_socket() {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    (flow.endpoints, flow.from_start) = (Endpoints::Unix, false);
    world.receive(&flow, 1, "GET /a HTTP/1.1\r\n\r\n");
    world.send(&flow, 2, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    world.handle(&Event::Missed);
    world.skip(&flow, Direction::Send, 3, 400);
    world.pass(&flow, Direction::Receive, 33);
    world.send(&flow, 4, "HTTP/1.1 500 Not /a\r\nContent-Length: 0\r\n\r\n");
    assert!(world.spans.is_empty());
    for _ in 0..3 {
        world.exchange(&flow, "GET /c HTTP/1.1\r\n\r\n");
    }
    let codes: Vec<_> =
        world.spans.iter().map(|span| int(span, "http.response.status_code")).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == Some(204)), "{codes:?}");
    assert_eq!(world.count(Counter::ExchangesLostRunMissed), 1);
    assert_eq!((world.count(Counter::Gaps), world.count(Counter::GapBytes)), (1, 33));
}

/// Both ends of a connection, and sensors of every version, come to this. The expected value is
/// SipHash-2-4-128 of the documented input, computed with OpenSSL's implementation.
#[test]
fn derived_trace_ids_are_what_they_are_documented_to_be() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.exchange(&flow, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(world.one().trace_id.to_string(), "0d5cf00d24ed3cb079a3e206f0dd4abb");
}
