//! What caused a client exchange: evidence, doubts, and when spans are handed over.

use std::net::IpAddr;
use std::num::NonZeroU64;

use super::world::{CLIENT, SERVER, TestFlow, World};
use super::*;
use crate::capture::event::{Caller, Cause, ClockSync, Direction, GoStream, Goroutine, StartTime};
use crate::model::{Attribute, Resource};

pub(crate) const SERVICE: u32 = 100;
pub(crate) const CONTEXT: &str =
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

/// A service that answers on `server(n)` and calls on `client(n)`.
pub(crate) struct Service {
    pub(crate) world: World,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self { world: World::new() }
    }

    pub(crate) fn of(runtime: &'static str) -> Self {
        let mut this = Self::new();
        let name = Attribute::new("process.runtime.name", runtime);
        let resource = Arc::new(Resource { attributes: vec![name], ..Resource::default() });
        this.world.handle(&Event::Process {
            process: ProcessKey::undated(SERVICE),
            exec: false,
            resource,
        });
        this
    }

    pub(crate) fn flow(&mut self, kind: bool, remote: u8) -> TestFlow {
        let mut flow = self.world.flow(kind);
        flow.pid = SERVICE;
        let far: IpAddr = [198, 51, 100, remote].into();
        let near: IpAddr = [192, 0, 2, 7].into();
        let port = 40_000 + u16::from(remote);
        flow.endpoints = match kind {
            SERVER => Endpoints::Tcp { local: (near, 80), remote: (far, port) },
            _ => Endpoints::Tcp { local: (near, port), remote: (far, 80) },
        };
        flow
    }

    pub(crate) fn server(&mut self, remote: u8) -> TestFlow {
        self.flow(SERVER, remote)
    }

    pub(crate) fn client(&mut self, remote: u8) -> TestFlow {
        self.flow(CLIENT, remote)
    }

    pub(crate) fn go(
        &mut self,
        flow: &TestFlow,
        way: Direction,
        time: u64,
        caller: Caller,
        bytes: &[u8],
    ) {
        self.world.segment(flow, way, time, bytes, 0, |segment| segment.caller = caller);
    }

    pub(crate) fn asked(&mut self, flow: &TestFlow, time: u64, caller: Caller) {
        self.go(flow, Direction::Receive, time, caller, ASKED);
    }

    pub(crate) fn answers(&mut self, flow: &TestFlow, time: u64, caller: Caller) {
        self.go(flow, Direction::Send, time, caller, ANSWER.as_bytes());
    }

    pub(crate) fn asks(&mut self, flow: &TestFlow, time: u64, caller: Caller) {
        self.go(flow, Direction::Send, time, caller, b"GET /out HTTP/1.1\r\nHost: b\r\n\r\n");
    }

    pub(crate) fn answered(&mut self, flow: &TestFlow, time: u64, caller: Caller) {
        self.go(flow, Direction::Receive, time, caller, ANSWER.as_bytes());
    }

    /// The spans of the service: its own exchange and the one below it.
    pub(crate) fn spans(&mut self) -> Vec<Span> {
        let spans = &mut self.world.spans;
        self.world.pipeline.finish(&mut |span| spans.push(span));
        let mut spans = std::mem::take(&mut self.world.spans);
        spans.sort_by_key(|span| (span.start_unix_ns, span.kind == SpanKind::Client));
        spans
    }
}

pub(crate) fn thread(tid: u32) -> Caller {
    Caller { tid, ..Caller::default() }
}

pub(crate) fn goroutine(id: u64, parent: u64) -> Caller {
    let id = NonZeroU64::new(id).unwrap();
    let goroutine = Some(Goroutine { id, parent: NonZeroU64::new(parent) });
    Caller { tid: 1, goroutine, nonblocking: true, ..Caller::default() }
}

pub(crate) fn event_loop(cause: Option<(&TestFlow, u64, bool)>) -> Caller {
    let cause = cause.map(|(flow, position, alone)| Cause { flow: flow.id, position, alone });
    Caller { tid: 1, nonblocking: true, multiplexes: true, cause, ..Caller::default() }
}

const ASKED: &[u8] = b"GET /in HTTP/1.1\r\nHost: a\r\n\r\n";
pub(crate) const ASKED_END: u64 = ASKED.len() as u64;
const ANSWER: &str = "HTTP/1.1 204 No Content\r\n\r\n";
pub(crate) const ANSWER_END: u64 = ANSWER.len() as u64;

fn joined(spans: &[Span], evidence: &str) {
    let [server, client] = spans else { panic!("two spans: {spans:?}") };
    assert_eq!(client.parent_span_id, Some(server.span_id), "{client:?}");
    assert_eq!(client.trace_id, server.trace_id);
    assert_eq!(text(client, EVIDENCE), Some(evidence));
    assert_eq!(text(client, DOUBT), None);
    // Where the other end's span is, if it is seen elsewhere: not in this trace.
    let [link] = &client.links[..] else { panic!("one link: {client:?}") };
    assert_eq!(link.attributes, [Attribute::new(FAR_END, true)]);
    assert_ne!((link.trace_id, link.span_id), (client.trace_id, client.span_id));
}

fn apart(spans: &[Span], doubt: Option<&str>) {
    let [server, client] = spans else { panic!("two spans: {spans:?}") };
    assert_eq!(client.parent_span_id, None, "{client:?}");
    assert_ne!(client.trace_id, server.trace_id);
    assert_eq!((text(client, EVIDENCE), text(client, DOUBT)), (None, doubt));
    for link in &client.links {
        assert_eq!((link.trace_id, link.span_id), (server.trace_id, server.span_id));
    }
}

/// An exchange with one below it: asked by `callers[0]`, asks by `[1]`, is answered by `[2]`, answers by `[3]`.
fn nested(service: &mut Service, callers: [Caller; 4]) -> Vec<Span> {
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, callers[0]);
    service.asks(&client, 2_000, callers[1]);
    service.answered(&client, 3_000, callers[2]);
    service.answers(&server, 4_000, callers[3]);
    service.spans()
}

/// Numbers of threads are used again, and a process may end without a word.
#[test]
fn the_same_thread_id_in_another_process() {
    let mut service = Service::new();
    let abandoned = service.server(3);
    let other = ProcessKey { start: StartTime(77), ..ProcessKey::undated(SERVICE) };
    service.world.segment(&abandoned, Direction::Receive, 500, ASKED, 0, |segment| {
        (segment.process, segment.caller) = (other, thread(7));
    });
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, thread(7));
    service.asks(&client, 2_000, thread(7));
    service.answered(&client, 3_000, thread(7));
    service.answers(&server, 4_000, thread(7));
    joined(&service.spans(), "thread");
}

/// Of Node.js, a second loop takes away what the first one's order says; so does not to hear again
/// who it is, but for an exec.
#[test]
fn to_hear_again_who_a_process_is_changes_nothing() {
    let run = |exec| {
        let mut service = Service::of("nodejs");
        let (other, server, client) = (service.server(9), service.server(1), service.client(2));
        service.asked(&other, 500, Caller { tid: 2, ..event_loop(None) });
        service.answers(&other, 600, Caller { tid: 2, ..event_loop(None) });
        let name = Attribute::new("process.runtime.name", "nodejs");
        let resource = Arc::new(Resource { attributes: vec![name], ..Resource::default() });
        let process = ProcessKey::undated(SERVICE);
        service.world.handle(&Event::Process { process, exec, resource });
        service.asked(&server, 1_000, event_loop(None));
        service.asks(&client, 2_000, event_loop(Some((&server, ASKED_END, false))));
        service.answered(&client, 3_000, event_loop(None));
        service.answers(&server, 4_000, event_loop(None));
        service.spans().split_off(1)
    };
    apart(&run(false), None);
    joined(&run(true), "event_loop");
}

#[test]
fn the_same_thread() {
    joined(&nested(&mut Service::new(), [thread(5); 4]), "thread");
    // Another thread's.
    apart(&nested(&mut Service::new(), [thread(5), thread(6), thread(6), thread(5)]), None);
    // It was handed on, so this thread may have had something else to do meanwhile.
    let elsewhere = [thread(5), thread(5), thread(5), thread(6)];
    apart(&nested(&mut Service::new(), elsewhere), Some("answered_elsewhere"));
    // A socket that nobody waits at: who takes it up next is not known.
    let nonblocking = Caller { nonblocking: true, ..thread(5) };
    apart(&nested(&mut Service::new(), [nonblocking; 4]), None);
}

#[test]
fn the_same_goroutine() {
    joined(&nested(&mut Service::new(), [goroutine(7, 1); 4]), "goroutine");
    // Its connection's reader takes the answer up: no matter.
    let asked = Caller { asked: true, ..goroutine(7, 1) };
    let callers = [goroutine(7, 1), asked, goroutine(9, 8), goroutine(7, 1)];
    joined(&nested(&mut Service::new(), callers), "goroutine");
    apart(
        &nested(
            &mut Service::new(),
            [goroutine(7, 1), goroutine(8, 1), goroutine(8, 1), goroutine(7, 1)],
        ),
        None,
    );
}

/// What a goroutine started is for the request it handles, if that is its first one.
#[test]
fn a_goroutine_that_was_started() {
    let mut service = Service::new();
    let (server, client) = (service.server(1), service.client(2));
    for turn in 0..2 {
        let at = 10_000 * turn;
        service.asked(&server, at + 1_000, goroutine(7, 1));
        service.asks(&client, at + 2_000, goroutine(20 + turn, 7));
        service.answered(&client, at + 3_000, goroutine(20 + turn, 7));
        service.answers(&server, at + 4_000, goroutine(7, 1));
    }
    let spans = service.spans();
    joined(&spans[..2], "goroutine");
    // Of the second it may as well be the first one's.
    apart(&spans[2..], None);
}

#[test]
fn a_parent_contains_its_child() {
    let mut service = Service::new();
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, goroutine(7, 1));
    service.asks(&client, 2_000, goroutine(7, 1));
    service.answers(&server, 3_000, goroutine(7, 1));
    service.answered(&client, 4_000, goroutine(9, 1));
    let spans = service.spans();
    apart(&spans, Some("outlived"));
    assert_eq!(spans[1].links.len(), 1);
}

/// Spans come as soon as it is settled where they belong, not later.
#[test]
fn when_spans_are_handed_over() {
    let mut service = Service::new();
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, thread(5));
    service.asks(&client, 2_000, thread(5));
    service.answered(&client, 3_000, thread(5));
    assert_eq!((service.world.spans.len(), service.world.pipeline.settling()), (0, 1));
    service.answers(&server, 4_000, thread(5));
    assert_eq!((service.world.spans.len(), service.world.pipeline.settling()), (2, 0));
}

#[test]
fn an_event_loop() {
    let cause = |alone| {
        let mut service = Service::of("nodejs");
        let (server, client) = (service.server(1), service.client(2));
        service.asked(&server, 1_000, event_loop(None));
        service.asks(&client, 2_000, event_loop(Some((&server, ASKED_END, alone))));
        service.answered(&client, 3_000, event_loop(None));
        service.answers(&server, 4_000, event_loop(Some((&client, ANSWER_END, alone))));
        service.spans()
    };
    joined(&cause(true), "event_loop");
    joined(&cause(false), "event_loop");
}

/// A request that follows from the answer to another one is that one's cause's.
#[test]
fn an_event_loop_goes_on_after_an_answer() {
    let mut service = Service::of("nodejs");
    let (server, first, second) = (service.server(1), service.client(2), service.client(3));
    service.asked(&server, 1_000, event_loop(None));
    service.asks(&first, 2_000, event_loop(Some((&server, ASKED_END, false))));
    service.answered(&first, 3_000, event_loop(None));
    service.asks(&second, 4_000, event_loop(Some((&first, ANSWER_END, false))));
    service.answered(&second, 5_000, event_loop(None));
    service.answers(&server, 6_000, event_loop(Some((&second, ANSWER_END, false))));
    let spans = service.spans();
    for client in &spans[1..] {
        assert_eq!(client.parent_span_id, Some(spans[0].span_id));
    }
}

/// What waits in memory for a connection, or in a queue, goes out when another one's answer was read.
#[test]
fn an_answer_may_set_going_what_another_one_waits_with() {
    let mut service = Service::of("nodejs");
    let (one, other) = (service.server(1), service.server(4));
    let (first, second) = (service.client(2), service.client(3));
    service.asked(&one, 1_000, event_loop(None));
    service.asks(&first, 2_000, event_loop(Some((&one, ASKED_END, false))));
    service.asked(&other, 2_500, event_loop(None));
    service.answered(&first, 3_000, event_loop(None));
    service.asks(&second, 4_000, event_loop(Some((&first, ANSWER_END, true))));
    service.answered(&second, 5_000, event_loop(None));
    service.answers(&one, 6_000, event_loop(None));
    service.answers(&other, 7_000, event_loop(None));
    let parents: Vec<_> =
        service.spans().iter().map(|span| (span.kind, span.parent_span_id.is_some())).collect();
    let (client, server) = (SpanKind::Client, SpanKind::Server);
    assert_eq!(parents, [(server, false), (client, true), (server, false), (client, false)]);
}

#[test]
fn what_an_event_loop_does_not_show() {
    let run = |runtime, alone, position, several| {
        let mut service = Service::of(runtime);
        let (server, client) = (service.server(1), service.client(2));
        let another = Caller { tid: 2, ..event_loop(None) };
        let other = service.server(9);
        service.asked(&server, 1_000, event_loop(None));
        if several {
            service.go(&other, Direction::Receive, 1_500, another, b"GET");
        }
        service.asks(&client, 2_000, event_loop(Some((&server, position, alone))));
        service.answered(&client, 3_000, event_loop(None));
        service.answers(&server, 4_000, event_loop(None));
        service.spans()
    };
    joined(&run("deno", true, ASKED_END, false), "event_loop");
    // Only of Node.js it is known what it does in a turn.
    apart(&run("deno", false, ASKED_END, false), None);
    // More was read since than is known here.
    apart(&run("nodejs", true, ASKED_END - 1, false), None);
    // There, tasks may move between threads.
    apart(&run("nodejs", false, ASKED_END, true), None);
}

/// A stream's goroutine may be known before its request, and after it.
#[test]
fn streams_of_goroutines() {
    for early in [true, false] {
        let mut service = Service::new();
        let (server, client) = (service.server(1), service.client(2));
        let told = |flow: &TestFlow, id| {
            Event::GoStream(GoStream {
                time: Monotonic(1_500),
                process: ProcessKey::undated(SERVICE),
                flow: flow.id,
                stream: 1,
                goroutine: goroutine(id, 3).goroutine.unwrap(),
            })
        };
        // The reader's and the writer's goroutines.
        let (reader, writer) = (goroutine(3, 1), goroutine(4, 1));
        if early {
            service.world.handle(&told(&server, 30));
            service.world.handle(&told(&client, 30));
        }
        service.go(&server, Direction::Receive, 1_000, reader, H2_REQUEST);
        if !early {
            service.world.handle(&told(&server, 30));
        }
        service.go(&client, Direction::Send, 2_000, writer, H2_REQUEST);
        if !early {
            service.world.handle(&told(&client, 30));
        }
        service.go(&client, Direction::Receive, 3_000, reader, H2_RESPONSE);
        service.go(&server, Direction::Send, 4_000, writer, H2_RESPONSE);
        joined(&service.spans(), "goroutine");
    }
}

/// The preface, empty SETTINGS, and `GET http /` on stream 1 (RFC 7541 appendix A).
pub(crate) const H2_REQUEST: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
    \0\0\x07\x01\x05\0\0\0\x01\x42\x03GET\x86\x84";
/// Empty SETTINGS, and status 204.
pub(crate) const H2_RESPONSE: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x08\x03204";

/// Two sensors: the link of the client's span at one leads to the server's span at the other.
#[test]
fn the_far_end_of_a_caused_exchange() {
    let mut near = Service::new();
    let (server, client) = (near.server(1), near.client(2));
    near.asked(&server, 1_000, thread(5));
    near.asks(&client, 2_000, thread(5));
    near.answered(&client, 3_000, thread(5));
    near.answers(&server, 4_000, thread(5));
    let spans = near.spans();

    let mut far = Service::new();
    let Endpoints::Tcp { local, remote } = client.endpoints.clone() else { panic!("TCP") };
    let mut there = far.server(2);
    there.endpoints = Endpoints::Tcp { local: remote, remote: local };
    far.go(&there, Direction::Receive, 2_100, thread(9), b"GET /out HTTP/1.1\r\nHost: b\r\n\r\n");
    far.answers(&there, 2_900, thread(9));
    let seen = far.spans();
    assert_eq!(
        (spans[1].links[0].trace_id, spans[1].links[0].span_id),
        (seen[0].trace_id, seen[0].span_id)
    );
}

/// Both ends of an exchange, the server's seen first and answered before the client's is seen.
#[test]
fn a_late_other_end() {
    let mut world = World::new();
    let (client, server) = (world.flow(CLIENT), world.flow(SERVER));
    let request = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    world.send(&client, 100, request);
    world.receive(&server, 200, request);
    world.send(&server, 300, ANSWER);
    world.receive(&client, 400, ANSWER);
    assert_eq!((world.spans.len(), world.pipeline.settling()), (2, 0));
    world.receive(&server, 1_000, request);
    world.send(&server, 2_000, ANSWER);
    assert_eq!((world.spans.len(), world.pipeline.settling()), (2, 1));
    world.send(&client, 1_500, request);
    world.receive(&client, 1_900, ANSWER);
    let [.., client, server] = &world.spans[..] else { panic!("spans") };
    assert_eq!(server.parent_span_id, Some(client.span_id));
    // Cause comes before effect, though a send is stamped late.
    assert_eq!(client.start_unix_ns, server.start_unix_ns);
    assert_eq!(client.end_unix_ns, server.end_unix_ns);
}

/// Who may be on this node is waited for, but not for long.
#[test]
fn an_other_end_that_does_not_come() {
    let mut world = World::new();
    let mut server = world.flow(SERVER);
    let here: IpAddr = [127, 0, 0, 1].into();
    server.endpoints = Endpoints::Tcp { local: (here, 80), remote: (here, 40_000) };
    world.exchange(&server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.spans.len(), 0);
    let later = ClockSync { monotonic: Monotonic(25_000_000), unix_ns: 3_600_025_000_000 };
    world.handle(&Event::Clock(later));
    assert_eq!((world.spans.len(), world.pipeline.settling()), (1, 0));
}

/// Both ends of a Unix socket are known by the connection's name and what is asked.
#[test]
fn both_ends_of_a_unix_socket() {
    let mut world = World::new();
    let (mut client, mut server) = (world.flow(CLIENT), world.flow(SERVER));
    for flow in [&mut client, &mut server] {
        flow.endpoints = Endpoints::Unix;
        flow.unix_connection = NonZeroU64::new(77);
    }
    for turn in 0..2 {
        let at = 10_000 * turn;
        let request = "GET /same HTTP/1.1\r\nHost: a\r\n\r\n";
        world.send(&client, at + 1_000, request);
        world.receive(&server, at + 2_000, request);
        world.send(&server, at + 3_000, ANSWER);
        world.receive(&client, at + 4_000, ANSWER);
    }
    let traces: Vec<_> = world
        .spans
        .chunks(2)
        .map(|pair| {
            assert_eq!(pair[1].parent_span_id, Some(pair[0].span_id));
            assert_eq!(pair[1].trace_id, pair[0].trace_id);
            pair[0].trace_id
        })
        .collect();
    assert_ne!(traces[0], traces[1]);
}

/// A context that was only forwarded: the next server hangs below the client, which has an id of its own.
#[test]
fn a_forwarded_context_goes_through_the_client() {
    let mut service = Service::new();
    let (incoming, outgoing) = (service.server(1), service.client(2));
    let next = {
        let mut next = service.world.flow(SERVER);
        let Endpoints::Tcp { local, remote } = outgoing.endpoints.clone() else { panic!("TCP") };
        next.endpoints = Endpoints::Tcp { local: remote, remote: local };
        next
    };
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{CONTEXT}\r\n");
    service.world.receive(&incoming, 1_000, &request);
    service.world.send(&outgoing, 2_000, &request);
    service.world.receive(&next, 3_000, &request);
    service.world.send(&next, 4_000, ANSWER);
    service.world.receive(&outgoing, 5_000, ANSWER);
    service.world.send(&incoming, 6_000, ANSWER);
    let spans = service.spans();
    let [first, client, second] = &spans[..] else { panic!("three spans") };
    assert_eq!(first.parent_span_id.map(|id| id.to_string()).as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(client.parent_span_id, Some(first.span_id));
    assert_eq!(second.parent_span_id, Some(client.span_id));
    assert_eq!(text(client, EVIDENCE), Some("context"));
}

/// What waits for too long, or in too large a number, is handed over as far as it is known.
#[test]
fn nothing_waits_for_ever() {
    let mut service = Service { world: World::with(Limits { settling: 2, ..Limits::default() }) };
    let server = service.server(1);
    service.asked(&server, 1_000, thread(5));
    for n in 0..3 {
        let client = service.client(10 + n);
        service.asks(&client, 2_000 + u64::from(n), thread(5));
        service.answered(&client, 3_000 + u64::from(n), thread(5));
    }
    let later = ClockSync { monotonic: Monotonic(4_000), unix_ns: 3_600_000_004_000 };
    service.world.handle(&Event::Clock(later));
    assert_eq!((service.world.spans.len(), service.world.pipeline.settling()), (1, 2));
    assert_eq!(text(&service.world.spans[0], DOUBT), Some("unsettled"));
    let later = ClockSync { monotonic: Monotonic(11_000_000_000), unix_ns: 3_611_000_000_000 };
    service.world.handle(&Event::Clock(later));
    assert_eq!((service.world.spans.len(), service.world.pipeline.settling()), (3, 0));
    assert_eq!(service.world.count(Counter::SpansUnsettled), 3);
}

/// A stream that is open for long does not gather what was below it.
#[test]
fn many_below_one() {
    let mut service = Service::new();
    let server = service.server(1);
    service.asked(&server, 1_000, goroutine(7, 1));
    // Answered already, so nothing waits for that; and it goes on.
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    service.go(&server, Direction::Send, 1_500, goroutine(7, 1), head);
    let client = service.client(2);
    for n in 0..10_000 {
        service.asks(&client, 2_000 + 2 * n, goroutine(7, 1));
        service.answered(&client, 2_001 + 2 * n, goroutine(7, 1));
    }
    assert!(service.world.pipeline.core.forest.listed() < 100);
    let later = ClockSync { monotonic: Monotonic(25_000_000), unix_ns: 3_600_025_000_000 };
    service.world.handle(&Event::Clock(later));
    assert_eq!((service.world.spans.len(), service.world.pipeline.settling()), (10_000, 0));
}

/// A cause of which nothing more will be known.
#[test]
fn a_cause_that_is_lost() {
    let mut service = Service::new();
    let (server, client) = (service.server(1), service.client(2));
    service.asked(&server, 1_000, thread(5));
    service.asks(&client, 2_000, thread(5));
    service.answered(&client, 3_000, thread(5));
    // A record with an answer, and what was asked after it, is lost.
    service.world.segment(&server, Direction::Receive, 4_000, b"GET /", 0, |segment| {
        segment.position += 100;
    });
    let spans = service.spans();
    let [client] = &spans[..] else { panic!("one span: {spans:?}") };
    assert_eq!((client.parent_span_id, text(client, DOUBT)), (None, Some("lost")));
}
