//! HTTP/2, gRPC and gRPC-Web, from events to spans.

mod contexts;
mod endings;
mod endpoint;
mod grpc;
mod joining;
mod properties;
mod upgrade;

use endpoint::{Endpoint, data, frame, goaway, message, preface, reset, settings};

use super::world::{CLIENT, SERVER, TestFlow, World, attributes, int, names, text};
use super::*;
use crate::capture::event::Direction;
use crate::model::{SpanKind, Status};

const GET: [(&str, &str); 5] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/items?id=7&sig=secret"),
    (":authority", "shop.example:8080"),
    ("user-agent", "curl/7.88.1"),
];
const OK: [(&str, &str); 2] = [(":status", "200"), ("server", "x")];
const GRPC: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
const METHOD: &str = "/shop.v1.Cart/Add";
const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn grpc(path: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "shop.example"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
}

/// A connection, and the encoders of its two ends.
pub(super) struct Talk {
    world: World,
    flow: TestFlow,
    client: Endpoint,
    server: Endpoint,
    is_client: bool,
    time: u64,
}

impl Talk {
    /// Both have sent what they begin with.
    fn new(is_client: bool) -> Self {
        let mut world = World::new();
        let flow = world.flow(is_client);
        let mut talk = Self::on(world, flow, is_client);
        talk.ask(&preface());
        talk.answer(&settings());
        talk
    }

    fn on(world: World, flow: TestFlow, is_client: bool) -> Self {
        let (client, server) = Default::default();
        Self { world, flow, client, server, is_client, time: 0 }
    }

    fn bytes(&mut self, from_client: bool, bytes: &[u8]) {
        self.time += 10;
        let direction = match from_client == self.is_client {
            true => Direction::Send,
            false => Direction::Receive,
        };
        self.world.segment(&self.flow, direction, self.time, bytes, 0, |_| {});
    }

    /// The client sends; 10 ns after what came before.
    fn ask(&mut self, bytes: &[u8]) {
        self.bytes(true, bytes);
    }

    /// The server sends.
    fn answer(&mut self, bytes: &[u8]) {
        self.bytes(false, bytes);
    }

    fn request(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) {
        let frame = self.client.headers(stream, end, fields);
        self.ask(&frame);
    }

    fn response(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) {
        let frame = self.server.headers(stream, end, fields);
        self.answer(&frame);
    }

    fn end(&mut self, error: bool) {
        self.time += 10;
        self.world.end(&self.flow.clone(), self.time, error);
        assert_eq!(self.world.pipeline.open_exchanges(), 0);
        assert_eq!(self.world.pipeline.core.contexts.open_len(), 0);
    }

    fn count(&self, counter: Counter) -> u64 {
        self.world.count(counter)
    }
}

#[test]
fn a_server_span() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    assert_eq!(talk.world.pipeline.open_exchanges(), 1);
    talk.response(1, false, &OK);
    talk.answer(&data(1, true, b"hello"));
    let span = talk.world.one();
    assert_eq!((span.kind, span.status, &*span.name), (SpanKind::Server, Status::Unset, "GET"));
    let times = (span.start_unix_ns, span.end_unix_ns);
    assert_eq!(times, (3_600_000_000_030, 3_600_000_000_050));
    assert_eq!((span.parent_span_id, span.flags.0), (None, 1));
    // As in HTTP/1, but for the version.
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
        "network.protocol.version=2",
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
    let events: Vec<_> = span.events.iter().map(|e| (e.name, e.time_unix_ns % 100)).collect();
    assert_eq!(events, [("http.response.first_byte", 40)]);
    assert_eq!((talk.count(Counter::Http2Connections), talk.count(Counter::Http2Joined)), (1, 0));
    talk.end(false);
    assert_eq!(talk.world.spans.len(), 0);
}

#[test]
fn both_ends_agree_on_the_trace() {
    let of = |is_client| {
        let mut talk = Talk::new(is_client);
        let post = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")];
        talk.request(1, false, &post);
        talk.ask(&data(1, true, b"abc"));
        talk.response(1, true, &[(":status", "404")]);
        talk.world.one()
    };
    let (client, server) = (of(CLIENT), of(SERVER));
    assert_eq!(client.trace_id, server.trace_id);
    assert_ne!(client.span_id, server.span_id);
    assert_eq!((client.status, server.status), (Status::Error, Status::Unset));
    assert_eq!(text(&client, "error.type"), Some("404"));
    assert_eq!(text(&client, "url.full"), Some("http://a/x"));
    assert_eq!(int(&client, "server.port"), Some(80));
    assert_eq!(int(&client, "http.request.body.size"), Some(3));
    assert_eq!(int(&client, "http.response.body.size"), None);
    assert_eq!(names(&client), ["http.request.body.end", "http.response.first_byte"]);
}

/// The server's SETTINGS may be seen first, whole or not.
#[test]
fn whoever_speaks_first() {
    for cut in 0..=settings().len() {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let mut talk = Talk::on(world, flow, SERVER);
        let first = settings();
        if cut > 0 {
            talk.answer(&first[..cut]);
        }
        talk.ask(&preface()[..10]);
        talk.ask(&preface()[10..]);
        if cut < first.len() {
            talk.answer(&first[cut..]);
        }
        talk.request(1, true, &GET);
        talk.response(1, true, &OK);
        assert_eq!(int(&talk.world.one(), "http.response.status_code"), Some(200));
        assert_eq!(talk.count(Counter::Http2PlacesLost), 0);
    }
}

#[test]
fn what_opens_like_http2_and_is_not() {
    // A server that begins with nine bytes of SETTINGS, and a client that asks in HTTP/1.
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.segment(&flow, Direction::Send, 1, &settings(), 0, |_| {});
    assert_eq!(world.count(Counter::ConnectionsNotHttp), 0);
    world.receive(&flow, 2, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(world.count(Counter::Http2Connections), 0);
    world.end(&flow, 3, false);
    // No answer is in what it sent.
    assert_eq!(text(&world.one(), "error.type"), Some("connection_closed"));

    // A client that begins like the preface.
    let mut world = World::new();
    let flow = world.flow(SERVER);
    for part in ["P", "RI / HT", "TP/1.1\r\n\r\n"] {
        world.receive(&flow, 1, part);
    }
    world.send(&flow, 2, "HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n");
    let span = world.one();
    assert_eq!(text(&span, "http.request.method_original"), Some("PRI"));

    // Neither.
    let mut world = World::new();
    let flow = world.flow(SERVER);
    world.segment(&flow, Direction::Send, 1, b"\0\0\0\x04\0", 0, |_| {});
    world.segment(&flow, Direction::Send, 1, b"\0\0\x01", 0, |_| {});
    assert_eq!(world.count(Counter::ConnectionsNotHttp), 1);
}

#[test]
fn streams_are_interleaved() {
    let mut talk = Talk::new(SERVER);
    for n in 0..100 {
        let path = format!("/{n}");
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", &*path), ("x", "y")];
        talk.request(2 * n + 1, true, &fields);
    }
    assert_eq!(talk.world.pipeline.open_exchanges(), 100);
    for n in (0..100).rev() {
        talk.response(2 * n + 1, false, &[(":status", &(200 + n).to_string())]);
    }
    for n in 0..100 {
        talk.answer(&data(2 * n + 1, n % 2 == 0, b"abc"));
    }
    for n in (1..100).step_by(2) {
        talk.response(2 * n + 1, true, &[("x-trailer", "1")]);
    }
    assert_eq!(talk.world.spans.len(), 100);
    for span in &talk.world.spans {
        let path = text(span, "url.path").unwrap();
        let status = int(span, "http.response.status_code").unwrap();
        assert_eq!(path, format!("/{}", status - 200));
        assert_eq!(int(span, "http.response.body.size"), Some(3));
    }
    talk.end(false);
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 0);
}

#[test]
fn interim_responses_and_trailers() {
    let mut talk = Talk::new(SERVER);
    talk.request(
        1,
        false,
        &[(":method", "PUT"), (":scheme", "http"), (":path", "/"), ("te", "trailers")],
    );
    talk.response(1, false, &[(":status", "100")]);
    talk.ask(&data(1, false, b"ab"));
    talk.request(1, true, &[("x-sum", "1")]);
    talk.response(1, false, &[(":status", "103"), ("link", "</a>")]);
    talk.response(1, false, &[(":status", "201")]);
    talk.response(1, true, &[("x-sum", "2")]);
    let span = talk.world.one();
    assert_eq!(int(&span, "http.response.status_code"), Some(201));
    assert_eq!(int(&span, "http.request.body.size"), Some(2));
    assert_eq!(int(&span, "http.response.body.size"), None);
    let events: Vec<_> = span.events.iter().map(|e| (e.name, e.time_unix_ns % 1000)).collect();
    assert_eq!(events, [("http.request.body.end", 60), ("http.response.first_byte", 80)]);
    assert_eq!(span.end_unix_ns % 1000, 90);
}

#[test]
fn a_large_block_in_continuations() {
    let mut talk = Talk::new(SERVER);
    let cookie = "c".repeat(64 << 10);
    let mut fields = GET.to_vec();
    let traceparent = format!("00-{T}-00f067aa0ba902b7-01");
    fields.extend([("!cookie", &*cookie), ("traceparent", &traceparent)]);
    let block = talk.client.block(&fields);
    let mut parts = block.chunks(16_384).peekable();
    talk.ask(&frame(1, 1, 1, parts.next().unwrap()));
    while let Some(part) = parts.next() {
        talk.ask(&frame(9, if parts.peek().is_none() { 4 } else { 0 }, 1, part));
    }
    talk.response(1, true, &OK);
    assert_eq!(talk.world.one().trace_id.to_string(), T);
}

#[test]
fn an_early_answer_waits_for_its_request_or_for_its_reset() {
    for end in [true, false] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, false, &GET);
        talk.response(1, true, &[(":status", "413")]);
        assert!(talk.world.spans.is_empty());
        if end {
            talk.ask(&data(1, true, b"abc"));
        } else {
            // RFC 9113 section 8.1: NO_ERROR, it does not want the rest.
            talk.answer(&reset(1, 0));
        }
        let span = talk.world.one();
        assert_eq!(int(&span, "http.response.status_code"), Some(413));
        assert_eq!(text(&span, "error.type"), None);
        assert_eq!(span.end_unix_ns % 1000, 40);
        assert_eq!(int(&span, "http.request.body.size"), end.then_some(3));
    }
}

#[test]
fn a_reset_ends_it_and_says_why_and_by_whom() {
    for (by_client, code, kind, named) in [
        (true, 8, "CANCEL", "CANCEL"),
        (false, 7, "REFUSED_STREAM", "REFUSED_STREAM"),
        (false, 2, "INTERNAL_ERROR", "INTERNAL_ERROR"),
        (false, 0xabc, "stream_reset", "0xabc"),
    ] {
        let mut talk = Talk::new(CLIENT);
        talk.request(1, true, &GET);
        talk.response(1, false, &OK);
        talk.bytes(by_client, &reset(1, code));
        // What was under way is nobody's.
        talk.answer(&data(1, false, b"late"));
        talk.response(1, true, &[("late", "trailers")]);
        let span = talk.world.one();
        assert_eq!((text(&span, "error.type"), span.status), (Some(kind), Status::Error));
        assert_eq!(text(&span, "sensor.http2.error_code"), Some(named));
        let by = if by_client { "client" } else { "server" };
        assert_eq!(text(&span, "sensor.http2.reset_by"), Some(by));
        assert_eq!(int(&span, "http.response.status_code"), Some(200));
        assert_eq!(int(&span, "http.response.body.size"), None);
        assert_eq!(span.end_unix_ns % 1000, 50);
        talk.end(false);
    }
}

#[test]
fn goaway_says_what_will_not_be_processed() {
    let mut talk = Talk::new(CLIENT);
    for id in [1, 3, 5] {
        talk.request(id, true, &GET);
    }
    // First all that may be, then what was (section 6.8).
    talk.answer(&goaway(0x7fff_ffff, 0));
    assert!(talk.world.spans.is_empty());
    talk.answer(&goaway(3, 0));
    talk.request(7, true, &GET);
    talk.response(3, true, &OK);
    talk.response(1, true, &OK);
    let errors: Vec<_> = talk.world.spans.iter().map(|span| text(span, "error.type")).collect();
    let refused = Some("not_processed");
    assert_eq!(errors, [refused, refused, None, None]);
    assert_eq!(text(&talk.world.spans[0], "sensor.http2.error_code"), Some("NO_ERROR"));
    assert_eq!(int(&talk.world.spans[0], "http.response.status_code"), None);
    talk.end(false);
}

#[test]
fn incoming_context_is_joined() {
    let mut talk = Talk::new(SERVER);
    let traceparent = format!("00-{T}-00f067aa0ba902b7-01");
    let mut fields = GET.to_vec();
    fields.extend([("traceparent", &*traceparent), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    talk.request(1, true, &fields);
    talk.response(1, true, &OK);
    let span = talk.world.one();
    assert_eq!(span.trace_id.to_string(), T);
    assert_eq!(span.parent_span_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(span.trace_state.as_deref(), Some("a=1,b=2"));
    assert_eq!(text(&span, "sensor.link"), None);

    // Twice is as bad as never.
    fields.push(("traceparent", &traceparent));
    talk.request(3, true, &fields);
    talk.response(3, true, &OK);
    assert_ne!(talk.world.one().trace_id.to_string(), T);
    assert_eq!(talk.count(Counter::TraceparentMalformed), 1);

    // The context of OpenCensus: version 0, then the identifiers, in Base64.
    let binary = "AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE";
    let mut fields = GET.to_vec();
    fields.push(("grpc-trace-bin", binary));
    talk.request(5, true, &fields);
    talk.response(5, true, &OK);
    let span = talk.world.one();
    assert_eq!(span.trace_id.to_string(), T);
    assert_eq!(span.parent_span_id.unwrap().to_string(), "00f067aa0ba902b7");
}
