//! HTTP/2, gRPC and gRPC-Web, from events to spans.

mod contexts;
mod endpoint;
mod joining;
mod properties;

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
const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

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
fn what_was_not_answered_ends_with_the_connection() {
    for (error, expected) in [(false, "connection_closed"), (true, "connection_reset")] {
        let mut talk = Talk::new(CLIENT);
        talk.request(1, true, &GET);
        talk.request(3, true, &GET);
        talk.response(3, false, &OK);
        talk.end(error);
        let errors: Vec<_> =
            talk.world.spans.iter().map(|span| text(span, "error.type").unwrap()).collect();
        assert_eq!(errors, [expected, "incomplete_response"]);
        assert!(talk.world.spans.iter().all(|span| span.end_unix_ns % 1000 == 60));
    }
}

/// What was cut in the middle of a frame never arrived.
#[test]
fn a_frame_that_is_cut_by_the_end() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &GET);
    talk.request(3, false, &GET);
    talk.ask(&data(3, true, b"abc")[..10]);
    talk.response(1, false, &OK);
    talk.response(3, true, &OK);
    talk.answer(&data(1, true, b"abc")[..11]);
    talk.end(true);
    let told: Vec<_> = talk.world.spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(told, [None, Some("incomplete_response")]);
    assert_eq!(int(&talk.world.spans[0], "http.request.body.size"), None);
}

#[test]
fn a_frame_that_the_state_does_not_allow_costs_its_stream() {
    let cases: [fn(&mut Talk); 6] = [
        |talk| talk.answer(&data(1, false, b"before the head")),
        |talk| {
            talk.response(1, false, &OK);
            talk.response(1, false, &OK);
        },
        |talk| {
            talk.response(1, false, &OK);
            talk.response(1, false, &[("not", "the end")]);
        },
        |talk| talk.response(1, false, &[("no", "status")]),
        |talk| talk.ask(&data(1, false, b"after the end")),
        |talk| talk.request(1, true, &GET),
    ];
    for case in cases {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &GET);
        talk.request(3, true, &GET);
        case(&mut talk);
        talk.response(3, true, &OK);
        assert_eq!(talk.world.spans.len(), 1);
        assert_eq!(talk.count(Counter::ExchangesLostUndecodable), 1);
        talk.end(false);
    }
    // A request that is none.
    for fields in
        [&[("no", "pseudo"), (":method", "GET")][..], &[(":method", "GET"), (":status", "200")]]
    {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, fields);
        assert_eq!(talk.count(Counter::ExchangesLostUndecodable), 1);
        talk.end(false);
    }
}

#[test]
fn a_client_whose_reader_overtakes_its_writer() {
    let mut talk = Talk::new(CLIENT);
    talk.response(1, false, &OK);
    talk.answer(&data(1, true, b"abc"));
    talk.answer(&reset(3, 7));
    talk.request(1, true, &GET);
    talk.request(3, true, &GET);
    talk.response(5, true, &OK);
    talk.request(7, true, &GET);
    talk.response(7, true, &OK);
    let told: Vec<_> = talk.world.spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(told, [None, Some("REFUSED_STREAM"), None]);
    let first = &talk.world.spans[0];
    assert_eq!(int(first, "http.response.body.size"), Some(3));
    assert!(first.start_unix_ns <= first.end_unix_ns);
    // The request of stream 5 did not come before that of 7, so it never will.
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 1);
    talk.end(false);
}

#[test]
fn bounds_lose_and_count() {
    let limits = Limits { streams: 2, exchanges: 3, ..Limits::default() };
    let mut world = World::with(limits);
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(&preface());
    for id in [1, 3, 5, 7] {
        talk.request(id, true, &GET);
    }
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 2);
    for id in [1, 3, 5, 7] {
        talk.response(id, true, &OK);
    }
    assert_eq!(talk.world.spans.len(), 2);
    assert_eq!(talk.count(Counter::ResponsesOrphaned), 2);
    // Over all connections.
    for _ in 0..4 {
        let flow = talk.world.flow(SERVER);
        talk = Talk::on(talk.world, flow, SERVER);
        talk.ask(&preface());
        talk.request(1, true, &GET);
    }
    assert_eq!(talk.world.pipeline.open_exchanges(), 3);
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 3);
}

/// What is lost of the responses is not waited for when there is no room: else nothing would ever be
/// seen again.
#[test]
fn streams_in_doubt_make_room() {
    let limits = Limits { streams: 2, ..Limits::default() };
    let mut world = World::with(limits);
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    let mut talk = Talk::on(world, flow, SERVER);
    for id in [1, 3, 5, 7] {
        talk.request(id, true, &GET);
    }
    // The responses of 1 and 3 may have gone by; where the server's frames begin is not known.
    assert_eq!(talk.count(Counter::ExchangesLostGap), 2);
    talk.answer(&[0xff; 20]);
    talk.response(7, true, &OK);
    assert_eq!(talk.world.spans.len(), 1);
    // 5 may have been answered before that.
    for id in [9, 11] {
        talk.request(id, true, &GET);
    }
    assert_eq!(talk.count(Counter::ExchangesLostGap), 3);
    // These have not been.
    talk.request(13, true, &GET);
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 1);
    talk.response(9, true, &OK);
    talk.response(11, true, &OK);
    assert_eq!(talk.world.spans.len(), 3);
    talk.end(false);
}

#[test]
fn streams_whose_end_is_in_a_gap_make_room() {
    let limits = Limits { streams: 3, ..Limits::default() };
    let mut world = World::with(limits);
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(&preface());
    talk.answer(&settings());
    talk.request(1, false, &GET);
    talk.request(3, true, &GET);
    talk.world.pass(&talk.flow, Direction::Send, 60);
    talk.response(1, false, &[(":status", "404")]);
    for id in [5, 7] {
        talk.request(id, true, &GET);
    }
    // 3 may be over; what 1 asks for goes on.
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
    for id in [5, 7] {
        talk.response(id, true, &[(":status", "404")]);
    }
    talk.answer(&data(1, true, b""));
    talk.ask(&data(1, true, b""));
    assert_eq!(talk.world.spans.len(), 3);
    for id in [9, 11, 13, 15] {
        talk.request(id, true, &GET);
    }
    // None of these is in doubt.
    assert_eq!(talk.count(Counter::ExchangesLostStreamsFull), 1);
    assert_eq!(talk.count(Counter::ExchangesLostGap), 1);
}

#[test]
fn pushed_responses_are_exchanges_of_their_own() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client);
        let traceparent = format!("00-{T}-00f067aa0ba902b7-01");
        let mut fields = GET.to_vec();
        fields.push(("traceparent", &traceparent));
        talk.request(1, true, &fields);
        let block = talk.server.block(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/style.css"),
            (":authority", "a"),
        ]);
        talk.answer(&frame(5, 4, 1, &[&2u32.to_be_bytes()[..], &block].concat()));
        talk.response(1, true, &OK);
        talk.response(2, false, &OK);
        talk.answer(&data(2, true, b"css"));
        let [asked, pushed] = &talk.world.spans[..] else { panic!("two spans") };
        assert_eq!(text(pushed, "url.path"), Some("/style.css"));
        assert_eq!(int(pushed, "http.response.body.size"), Some(3));
        assert!(attributes_bool(pushed, "sensor.http2.pushed"));
        assert_eq!(pushed.trace_id, asked.trace_id);
        assert_eq!(pushed.parent_span_id, Some(asked.span_id));
        talk.end(false);
    }
}

fn attributes_bool(span: &Span, key: &str) -> bool {
    let value = span.attributes.iter().find(|it| it.key == key).map(|it| &it.value);
    value == Some(&crate::model::Value::Bool(true))
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

const UPGRADE: &str = "GET /up HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, HTTP2-Settings\r\n\
    Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

#[test]
fn an_upgrade_goes_on_as_stream_1() {
    let mut whole = SWITCH.as_bytes().to_vec();
    let mut server = Endpoint::default();
    whole.extend(settings());
    whole.extend(server.headers(1, false, &OK));
    whole.extend(data(1, true, b"abc"));
    for cut in [whole.len(), SWITCH.len(), SWITCH.len() + 4, 20] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let mut talk = Talk::on(world, flow, SERVER);
        talk.ask(UPGRADE.as_bytes());
        for part in [&whole[..cut], &whole[cut..]] {
            if !part.is_empty() {
                talk.answer(part);
            }
        }
        let span = talk.world.one();
        assert_eq!(text(&span, "url.path"), Some("/up"));
        assert_eq!(int(&span, "http.response.status_code"), Some(200));
        assert_eq!(int(&span, "http.response.body.size"), Some(3));
        // As it was asked for.
        assert_eq!(text(&span, "network.protocol.version"), Some("1.1"));
        // The connection goes on.
        talk.server = server.clone();
        talk.ask(&preface());
        talk.request(3, true, &GET);
        talk.response(3, true, &OK);
        assert_eq!(text(&talk.world.one(), "url.path"), Some("/items"));
        assert_eq!(talk.count(Counter::Http2Upgraded), 1);
        assert_eq!(talk.count(Counter::ConnectionsUpgraded), 0);
        assert_eq!(talk.count(Counter::Http2PlacesLost), 0);
        talk.end(false);
    }
}

#[test]
fn an_upgrade_may_have_a_body() {
    let mut world = World::new();
    let flow = world.flow(SERVER);
    let mut talk = Talk::on(world, flow, SERVER);
    talk.ask(format!("{}Content-Length: 3\r\n\r\nabc", &UPGRADE[..UPGRADE.len() - 2]).as_bytes());
    talk.answer(SWITCH.as_bytes());
    talk.answer(&settings());
    talk.response(1, true, &OK);
    let span = talk.world.one();
    assert_eq!(int(&span, "http.request.body.size"), Some(3));
    assert_eq!(names(&span), ["http.request.body.end", "http.response.first_byte"]);
}

#[test]
fn an_upgrade_that_was_not_asked_for_is_opaque() {
    for asked in ["", "HTTP2-Settings: ?\r\n", "HTTP2-Settings: AA\r\nHTTP2-Settings: AA\r\n"] {
        let mut world = World::new();
        let flow = world.flow(SERVER);
        let request =
            format!("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{asked}\r\n");
        world.receive(&flow, 1, &request);
        world.send(&flow, 2, SWITCH);
        world.segment(&flow, Direction::Receive, 3, &preface(), 0, |_| {});
        assert_eq!(int(&world.one(), "http.response.status_code"), Some(101));
        assert_eq!(world.count(Counter::ConnectionsUpgraded), 1);
    }
}

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

const GRPC: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
const METHOD: &str = "/shop.v1.Cart/Add";

#[test]
fn a_unary_call() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client);
        talk.request(1, false, &grpc(METHOD));
        talk.ask(&data(1, true, &message(false, b"abc")));
        talk.response(1, false, &GRPC);
        talk.answer(&data(1, false, &message(true, b"de")));
        talk.response(1, true, &[("grpc-status", "0"), ("grpc-message", "")]);
        let span = talk.world.one();
        assert_eq!((&*span.name, span.status), ("shop.v1.Cart/Add", Status::Unset));
        for (key, value) in [
            ("rpc.system", "grpc"),
            ("rpc.service", "shop.v1.Cart"),
            ("rpc.method", "Add"),
            ("http.request.method", "POST"),
            ("url.path", METHOD),
            ("server.address", "shop.example"),
            ("network.protocol.version", "2"),
        ] {
            assert_eq!(text(&span, key), Some(value), "{key}");
        }
        for (key, value) in [
            ("rpc.grpc.status_code", Some(0)),
            ("http.response.status_code", Some(200)),
            ("sensor.grpc.request.messages", Some(1)),
            ("sensor.grpc.request.compressed_messages", None),
            ("sensor.grpc.response.messages", Some(1)),
            ("sensor.grpc.response.compressed_messages", Some(1)),
            ("http.request.body.size", Some(8)),
            ("http.response.body.size", Some(7)),
        ] {
            assert_eq!(int(&span, key), value, "{key}");
        }
        assert_eq!(text(&span, "sensor.grpc.message"), None);
    }
}

#[test]
fn a_stream_of_messages_both_ways() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, false, &grpc("/shop.v1.Cart/Chat"));
    talk.response(1, false, &GRPC);
    for n in 0..5 {
        talk.ask(&data(1, false, &message(false, &vec![0; n])));
        // Two messages in one frame, one in two.
        let both = [message(false, b"abc"), message(false, &[1; 20])].concat();
        talk.answer(&data(1, false, &both[..12]));
        talk.answer(&data(1, false, &both[12..]));
    }
    talk.ask(&data(1, true, b""));
    talk.response(1, true, &[("grpc-status", "0")]);
    let span = talk.world.one();
    assert_eq!(int(&span, "sensor.grpc.request.messages"), Some(5));
    assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(10));
}

#[test]
fn a_trailers_only_answer_and_its_message() {
    for (is_client, status, expected) in [
        (true, "5", Some("NOT_FOUND")),
        (false, "5", None),
        (false, "13", Some("INTERNAL")),
        (true, "99", Some("99")),
    ] {
        let mut talk = Talk::new(is_client);
        talk.request(1, true, &grpc(METHOD));
        let fields =
            [GRPC[0], GRPC[1], ("grpc-status", status), ("grpc-message", "no%20such%20%E2%98%83")];
        talk.response(1, true, &fields);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), expected);
        assert_eq!(span.status == Status::Error, expected.is_some());
        assert_eq!(int(&span, "rpc.grpc.status_code"), status.parse().ok());
        assert_eq!(text(&span, "sensor.grpc.message"), Some("no such \u{2603}"));
    }
}

/// How a call ends that is not answered: by the client, at its deadline or before; with the
/// connection.
#[test]
fn cancelled_timed_out_and_cut_off() {
    let mut fields = grpc(METHOD);
    fields.push(("grpc-timeout", "100m"));
    for (after, code, expected, why) in [
        (50_000_000, 8, "CANCEL", Some("caller")),
        (97_000_000, 8, "CANCEL", Some("caller")),
        (99_500_000, 8, "CANCEL", Some("deadline")),
        (150_000_000, 8, "CANCEL", Some("deadline")),
        (150_000_000, 2, "INTERNAL_ERROR", None),
    ] {
        let mut talk = Talk::new(CLIENT);
        talk.request(1, true, &fields);
        talk.response(1, false, &GRPC);
        talk.time += after;
        talk.ask(&reset(1, code));
        // On its way already.
        talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "4")]);
        assert_eq!(talk.count(Counter::ResponsesOrphaned), 0);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), Some(expected), "{after}");
        assert_eq!(int(&span, "sensor.grpc.timeout_ns"), Some(100_000_000));
        assert_eq!(int(&span, "rpc.grpc.status_code"), None);
        assert_eq!(text(&span, "sensor.grpc.cancelled_by"), why, "{after}");
    }
    // The server says so itself.
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &fields);
    talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "4")]);
    let span = talk.world.one();
    assert_eq!(text(&span, "error.type"), Some("DEADLINE_EXCEEDED"));
    assert_eq!(int(&span, "rpc.grpc.status_code"), Some(4));
    // The connection is gone.
    for (error, expected) in [(true, "connection_reset"), (false, "connection_closed")] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &fields);
        talk.response(1, false, &GRPC);
        talk.end(error);
        let span = talk.world.one();
        assert_eq!(text(&span, "error.type"), Some(expected));
        assert_eq!(text(&span, "rpc.system"), Some("grpc"));
    }
}

#[test]
fn what_operators_call_is_told_apart() {
    for (path, class) in [
        ("/grpc.health.v1.Health/Check", Some("health_check")),
        ("/grpc.health.v1.Health/Watch", Some("health_check")),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some("reflection")),
        (METHOD, None),
    ] {
        let mut talk = Talk::new(SERVER);
        talk.request(1, true, &grpc(path));
        talk.response(1, true, &[GRPC[0], GRPC[1], ("grpc-status", "0")]);
        assert_eq!(text(&talk.world.one(), "sensor.grpc.class"), class);
    }
}

#[test]
fn grpc_web() {
    let body = [message(false, b"abc"), b"\x80\0\0\0\x0fgrpc-status:5\r\n".to_vec()].concat();
    // Over HTTP/2.
    let mut talk = Talk::new(CLIENT);
    let mut fields = grpc(METHOD);
    fields[4] = ("content-type", "application/grpc-web+proto");
    talk.request(1, false, &fields);
    talk.ask(&data(1, true, &message(false, b"abc")));
    talk.response(1, false, &[(":status", "200"), ("content-type", "application/grpc-web+proto")]);
    talk.answer(&data(1, true, &body));
    let h2 = talk.world.one();
    // Over HTTP/1.1, with a length and in chunks, and as text.
    let mut spans = vec![h2];
    let text_body = "AAAAAANhYmOAAAAAD2dycGMtc3RhdHVzOjUNCg==";
    let head = "POST /shop.v1.Cart/Add HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/grpc-web";
    for (kind, sent, response) in [
        (
            "",
            b"\0\0\0\0\x03abc".to_vec(),
            [
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(),
                body.clone(),
            ]
            .concat(),
        ),
        (
            "",
            b"\0\0\0\0\x03abc".to_vec(),
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n".to_vec(),
                body[..8].to_vec(),
                b"\r\n14\r\n".to_vec(),
                body[8..].to_vec(),
                b"\r\n0\r\n\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "-text",
            b"AAAAAANhYmM=".to_vec(),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text_body}", text_body.len())
                .into_bytes(),
        ),
    ] {
        let mut world = World::new();
        let flow = world.flow(CLIENT);
        let request =
            [format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n", sent.len()).into_bytes(), sent]
                .concat();
        for (direction, bytes) in [(Direction::Send, request), (Direction::Receive, response)] {
            for part in bytes.chunks(7) {
                world.segment(&flow, direction, 5, part, 0, |_| {});
            }
        }
        spans.push(world.one());
    }
    for span in spans {
        assert_eq!(
            (&*span.name, text(&span, "error.type")),
            ("shop.v1.Cart/Add", Some("NOT_FOUND"))
        );
        assert_eq!(int(&span, "rpc.grpc.status_code"), Some(5));
        assert_eq!(int(&span, "sensor.grpc.request.messages"), Some(1));
        assert_eq!(int(&span, "sensor.grpc.response.messages"), Some(1));
        assert_eq!(text(&span, "rpc.service"), Some("shop.v1.Cart"));
    }
}

#[test]
fn a_long_exchange_is_visible_before_it_ends() {
    use crate::capture::event::ClockSync;
    let mut talk = Talk::new(SERVER);
    let seen = |talk: &Talk, age| {
        let mut seen = Vec::new();
        let wanted = |_, old| old >= Duration::from_nanos(age);
        talk.world.pipeline.open_now(wanted, &mut |span| seen.push(span));
        seen
    };
    talk.request(1, false, &grpc(METHOD));
    talk.response(1, false, &GRPC);
    talk.answer(&data(1, false, &message(false, b"abc")));
    assert_eq!(seen(&talk, 1).len(), 0, "the clock was not read since");
    let sync = ClockSync { monotonic: Monotonic(1030), unix_ns: 3_600_000_001_030 };
    talk.world.handle(&Event::Clock(sync));
    assert_eq!(seen(&talk, 1001).len(), 0);
    let open = seen(&talk, 1000).remove(0);
    assert_eq!(text(&open, "rpc.method"), Some("Add"));
    assert_eq!(int(&open, "sensor.grpc.response.messages"), Some(1));
    assert_eq!((text(&open, "error.type"), open.status), (None, Status::Unset));
    assert_eq!(open.end_unix_ns - open.start_unix_ns, 1000);
    talk.ask(&data(1, true, b""));
    talk.response(1, true, &[("grpc-status", "0")]);
    let span = talk.world.one();
    assert_eq!((open.trace_id, open.span_id), (span.trace_id, span.span_id));
    assert_eq!(seen(&talk, 0).len(), 0);
}
