//! Requests of strangers: what they ask of the trace has no bearing on what is recorded.

use std::net::IpAddr;

use super::causes::{SERVICE, Service, thread};
use super::world::{CLIENT, SERVER, TestFlow, World};
use super::*;
use crate::capture::event::{Caller, Direction};
use crate::model::{Attribute, Link, TraceId};

const ANSWER: &str = "HTTP/1.1 204 No Content\r\n\r\n";
/// Span ids of callers.
const A: &str = "00f067aa0ba902b7";
const B: &str = "b7ad6b7169203331";
/// A trace that is not `T`.
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";

fn w3c(trace: &str, parent: &str, flags: &str) -> String {
    format!("traceparent: 00-{trace}-{parent}-{flags}\r\ntracestate: a=1\r\n")
}

fn request(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn trusting(networks: &[&str], foreign_trace: ForeignTrace) -> Callers {
    Callers { trusted: networks.iter().map(|it| it.parse().unwrap()).collect(), foreign_trace }
}

/// Whether the decision of a caller at `address` counts, which is not seen.
fn counts(networks: &[&str], address: &str, fields: &str) -> bool {
    let mut world = World::new();
    world.pipeline.core.callers = trusting(networks, ForeignTrace::Keep);
    let mut flow = world.flow(SERVER);
    let remote: IpAddr = address.parse().unwrap();
    flow.endpoints =
        Endpoints::Tcp { local: ([192, 0, 2, 7].into(), 80), remote: (remote, 40_000) };
    world.exchange(&flow, &request("/", fields));
    // Until the other end of a connection on this node would have been seen.
    let sync = ClockSync { monotonic: Monotonic(1_000_000_000), unix_ns: 3_601_000_000_000 };
    world.handle(&Event::Clock(sync));
    let span = world.one();
    assert!(span.remote_sampled.is_some());
    !span.flag_refused
}

#[test]
fn a_decision_counts_by_where_it_comes_from() {
    let (deny, accept) = (w3c(T, A, "00"), w3c(T, A, "01"));
    let pods = &["10.244.0.0/16"][..];
    // Trusted, address, counts where it denies, where it accepts.
    for (networks, address, expected) in [
        (&[][..], "198.51.100.1", (false, false)),
        (&[], "2001:db8::1", (false, false)),
        (&[], "10.244.0.7", (false, true)),
        (&[], "127.0.0.1", (false, true)),
        (&[], "::ffff:127.0.0.1", (false, true)),
        (pods, "10.244.0.7", (true, true)),
        (pods, "::ffff:10.244.0.7", (true, true)),
        (pods, "10.245.0.7", (false, false)),
        (pods, "127.0.0.1", (false, false)),
    ] {
        let found = (counts(networks, address, &deny), counts(networks, address, &accept));
        assert_eq!(found, expected, "{address} {networks:?}");
    }
}

/// One of each format that has a decision.
#[test]
fn no_format_hides_a_request() {
    for fields in [
        w3c(T, A, "00"),
        format!("b3: {T}-{A}-0\r\n"),
        "b3: 0\r\n".to_owned(),
        "x-b3-sampled: 0\r\n".to_owned(),
        format!("uber-trace-id: {T}:{A}:0:0\r\n"),
        "x-datadog-trace-id: 7\r\nx-datadog-parent-id: 8\r\nx-datadog-sampling-priority: -1\r\n"
            .into(),
        "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0\r\n".into(),
    ] {
        assert!(!counts(&[], "198.51.100.1", &fields), "{fields}");
        assert!(counts(&["198.51.100.0/24"], "198.51.100.1", &fields), "{fields}");
    }
}

/// Both ends are seen, whichever of them first.
#[test]
fn a_caller_that_is_seen_counts() {
    for server_first in [false, true] {
        let mut world = World::new();
        let (client, server) = (world.flow(CLIENT), world.flow(SERVER));
        let request = request("/", &w3c(T, A, "00"));
        // There was a connection before: the address is known to be of this node.
        world.send(&client, 1, "");
        let mut begin = [(&client, Direction::Send), (&server, Direction::Receive)];
        begin.rotate_left(usize::from(server_first));
        for (flow, way) in begin {
            world.segment(flow, way, 20, request.as_bytes(), 0, |_| {});
        }
        world.send(&server, 30, ANSWER);
        world.receive(&client, 40, ANSWER);
        let told: Vec<_> =
            world.spans.iter().map(|it| (it.remote_sampled, it.flag_refused)).collect();
        assert_eq!(told, [(Some(false), false); 2], "{server_first}");
        assert_eq!(world.spans[1].parent_span_id, Some(world.spans[0].span_id));
    }
}

/// A service is asked by somebody at 198.51.100.1, and asks somebody else in another thread or the same.
fn called(callers: &Callers, came_in: &str, went_out: &str, other: Caller) -> (Span, Span) {
    let mut service = Service::new();
    service.world.pipeline.core.callers = callers.clone();
    if callers.foreign_trace == ForeignTrace::Restart {
        service.world.pipeline.core.forest.restart_foreign_traces();
    }
    let (server, client) = (service.server(1), service.client(2));
    let go = |service: &mut Service, flow: &TestFlow, way, time, caller, text: &str| {
        service.go(flow, way, time, caller, text.as_bytes());
    };
    let this = thread(5);
    go(&mut service, &server, Direction::Receive, 1_000, this, &request("/in", came_in));
    go(&mut service, &client, Direction::Send, 2_000, other, &request("/out", went_out));
    go(&mut service, &client, Direction::Receive, 3_000, other, ANSWER);
    go(&mut service, &server, Direction::Send, 4_000, this, ANSWER);
    let [server, client] = service.spans().try_into().unwrap();
    (server, client)
}

/// A view of what goes on, which may go on for hours.
#[test]
fn a_stranger_hides_nothing_that_goes_on() {
    let open = |callers: Callers| {
        let mut service = Service::new();
        service.world.pipeline.core.callers = callers;
        let (server, client) = (service.server(1), service.client(2));
        let [came_in, went_out] = [w3c(T, A, "00"), w3c(T, B, "00")].map(|it| request("/", &it));
        service.go(&server, Direction::Receive, 1_000, thread(5), came_in.as_bytes());
        service.go(&client, Direction::Send, 2_000, thread(5), went_out.as_bytes());
        let sync = ClockSync { monotonic: Monotonic(2_000_000), unix_ns: 3_600_002_000_000 };
        service.world.handle(&Event::Clock(sync));
        let mut told = Vec::new();
        service.world.pipeline.open_now(|_, _| true, &mut |span| told.push(span.flag_refused));
        told
    };
    assert_eq!(open(Callers::default()), [true; 2]);
    assert_eq!(open(trusting(&["198.51.100.1"], ForeignTrace::Keep)), [false; 2]);
}

/// What a stranger asks is passed on by the service, as SDKs do: under the same trace, or, where it named
/// none, under a new one.
#[test]
fn a_stranger_hides_no_calls() {
    let deny = w3c(T, A, "00");
    let nobody = Callers::default();
    let trusted = trusting(&["198.51.100.0/24"], ForeignTrace::Keep);
    let (this, another) = (thread(5), thread(6));
    for (came_in, went_out, other) in [
        // Forwarded, made for the call, and by a thread that is not known to handle the request.
        (deny.clone(), deny.clone(), this),
        (deny.clone(), w3c(T, B, "00"), this),
        (deny.clone(), w3c(T, B, "00"), another),
        ("b3: 0\r\n".into(), "b3: 0\r\n".into(), this),
        ("b3: 0\r\n".into(), w3c(OTHER, B, "00"), this),
        ("b3: 0\r\n".into(), w3c(OTHER, B, "00"), another),
        // Without a decision of its own, that of the trace is the stranger's.
        (deny.clone(), String::new(), this),
    ] {
        let (server, client) = called(&nobody, &came_in, &went_out, other);
        assert_eq!(client.remote_sampled, Some(false));
        assert!(server.flag_refused && client.flag_refused, "{came_in}{went_out}");
        let (server, client) = called(&trusted, &came_in, &went_out, other);
        assert!(!server.flag_refused && !client.flag_refused, "{came_in}{went_out}");
    }
    // The service decides by itself.
    for came_in in [String::new(), w3c(T, A, "01")] {
        let (_, client) = called(&nobody, &came_in, &w3c(T, B, "00"), this);
        assert!(!client.flag_refused, "{came_in}");
    }
    let (server, client) = called(&nobody, &w3c(T, A, "01"), &w3c(T, B, "01"), this);
    assert!(server.flag_refused && client.flag_refused, "nor does a stranger make spans");
}

/// Calls of unknown cause: they may be a stranger's while one is served and for a while after.
#[test]
fn a_stranger_matters_for_a_while() {
    let calls_after = |nanoseconds: u64| {
        let mut service = Service::new();
        let (server, client) = (service.server(1), service.client(2));
        service.go(
            &server,
            Direction::Receive,
            1_000,
            thread(5),
            request("/", "b3: 0\r\n").as_bytes(),
        );
        service.go(&server, Direction::Send, 2_000, thread(5), ANSWER.as_bytes());
        let out = request("/out", &w3c(OTHER, B, "00"));
        let at = 2_000 + nanoseconds;
        service.go(&client, Direction::Send, at, thread(6), out.as_bytes());
        service.go(&client, Direction::Receive, at + 10, thread(6), ANSWER.as_bytes());
        service.spans()[1].flag_refused
    };
    assert!(calls_after(30_000_000_000) && !calls_after(30_000_000_001));
}

/// A proxy of this node passes a stranger's request on to a service of this node: that the proxy is seen
/// does not make the decision its own. Whether or not the proxy's call is tied to the request, and by TCP
/// and by a Unix socket. The same of a caller that is trusted.
#[test]
fn a_stranger_hides_nothing_behind_a_proxy() {
    for (other, unix, trusted) in [
        (5, false, false),
        (6, false, false),
        (6, true, false),
        (5, false, true),
        (6, false, true),
        (6, true, true),
    ] {
        let mut service = Service::new();
        if trusted {
            let callers = trusting(&["198.51.100.0/24"], ForeignTrace::Keep);
            service.world.pipeline.core.callers = callers;
        }
        let (front, back) = (service.server(1), service.client(2));
        let mut behind = service.world.flow(SERVER);
        let Endpoints::Tcp { local, remote } = back.endpoints.clone() else { unreachable!() };
        behind.endpoints = Endpoints::Tcp { local: remote, remote: local };
        let mut back = back;
        if unix {
            for flow in [&mut back, &mut behind] {
                flow.endpoints = Endpoints::Unix;
                flow.unix_connection = NonZeroU64::new(7);
            }
        }
        let (came_in, went_out) = (w3c(T, A, "00"), w3c(T, B, "00"));
        let out = request("/out", &went_out);
        let here = thread(other);
        let go = |service: &mut Service, flow: &TestFlow, way, time, caller, text: &str| {
            service.go(flow, way, time, caller, text.as_bytes());
        };
        go(&mut service, &front, Direction::Receive, 1_000, thread(5), &request("/", &came_in));
        go(&mut service, &back, Direction::Send, 2_000, here, &out);
        go(&mut service, &behind, Direction::Receive, 2_500, thread(9), &out);
        // What the service behind calls, in a thread of which nothing is known.
        let mut last = service.client(3);
        last.pid = behind.pid;
        let further = request("/last", &w3c(OTHER, "0102030405060708", "00"));
        go(&mut service, &last, Direction::Send, 2_600, thread(10), &further);
        go(&mut service, &last, Direction::Receive, 2_700, thread(10), ANSWER);
        go(&mut service, &behind, Direction::Send, 3_000, thread(9), ANSWER);
        go(&mut service, &back, Direction::Receive, 3_500, here, ANSWER);
        go(&mut service, &front, Direction::Send, 4_000, thread(5), ANSWER);
        let spans = service.spans();
        let told: Vec<_> = spans.iter().map(|it| (it.remote_sampled, it.flag_refused)).collect();
        assert_eq!(told, [(Some(false), !trusted); 4], "{other} {unix}");
        assert_ne!(SERVICE, behind.pid);
    }
}

fn foreign(trace: &str, span: &str) -> Link {
    Link {
        trace_id: TraceId::new(u128::from_str_radix(trace, 16).unwrap().to_be_bytes()).unwrap(),
        span_id: SpanId::new(u64::from_str_radix(span, 16).unwrap().to_be_bytes()).unwrap(),
        attributes: vec![Attribute::new(FOREIGN_TRACE, true)],
    }
}

#[test]
fn a_foreign_trace_begins_anew() {
    let restart = trusting(&[], ForeignTrace::Restart);
    let here = |span: &Span| span.trace_id.to_string() != T && span.trace_state.is_none();
    // What the service calls is in its trace, and where it is seen elsewhere, in the caller's.
    let came_in = w3c(T, A, "01");
    let (server, client) = called(&restart, &came_in, &w3c(T, B, "01"), thread(5));
    assert!(here(&server) && server.parent_span_id.is_none());
    assert_eq!(server.links, [foreign(T, A)]);
    assert!(here(&client) && client.trace_id == server.trace_id);
    assert_eq!(client.parent_span_id, Some(server.span_id));
    assert_eq!(client.span_id.to_string(), B, "the next service's parent");
    let [theirs, far_end] = &client.links[..] else { panic!("{client:?}") };
    assert_eq!(*theirs, foreign(T, B));
    assert_eq!(far_end.trace_id.to_string(), T);
    assert_eq!(far_end.attributes, [Attribute::new(FAR_END, true)]);
    // Forwarded, and without a context.
    for went_out in [came_in.as_str(), ""] {
        let (server, client) = called(&restart, &came_in, went_out, thread(5));
        assert!(here(&server) && client.trace_id == server.trace_id);
        assert_eq!(client.parent_span_id, Some(server.span_id));
    }
    // Another trace is another one, and without one there is nothing to begin anew.
    let (server, client) = called(&restart, &came_in, &w3c(OTHER, B, "01"), thread(5));
    assert_eq!((client.trace_id.to_string().as_str(), client.parent_span_id), (OTHER, None));
    assert!(here(&server));
    let (server, _) = called(&restart, "", "", thread(5));
    assert!(server.links.is_empty());
    // Kept: of trusted callers, and by default.
    let trusted = trusting(&["198.51.100.1"], ForeignTrace::Restart);
    for callers in [trusted, Callers::default()] {
        let (server, client) = called(&callers, &came_in, &w3c(T, B, "01"), thread(5));
        assert_eq!((server.trace_id.to_string().as_str(), server.links.len()), (T, 0));
        assert_eq!(
            (client.trace_id, client.parent_span_id),
            (server.trace_id, Some(server.span_id))
        );
        assert_eq!(server.parent_span_id.map(|id| id.to_string()).as_deref(), Some(A));
    }
}

/// The next service of this node is in the trace that begins here, though its request names the other.
#[test]
fn a_trace_that_begins_anew_goes_on() {
    let mut service = Service::new();
    service.world.pipeline.core.callers = trusting(&[], ForeignTrace::Restart);
    service.world.pipeline.core.forest.restart_foreign_traces();
    let (front, back) = (service.server(1), service.client(2));
    let mut behind = service.world.flow(SERVER);
    let Endpoints::Tcp { local, remote } = back.endpoints.clone() else { unreachable!() };
    behind.endpoints = Endpoints::Tcp { local: remote, remote: local };
    let out = request("/out", &w3c(T, B, "01"));
    for (flow, way, time, tid, text) in [
        (&front, Direction::Receive, 1_000, 5, request("/", &w3c(T, A, "01"))),
        (&back, Direction::Send, 2_000, 5, out.clone()),
        (&behind, Direction::Receive, 2_500, 9, out),
        (&behind, Direction::Send, 3_000, 9, ANSWER.to_owned()),
        (&back, Direction::Receive, 3_500, 5, ANSWER.to_owned()),
        (&front, Direction::Send, 4_000, 5, ANSWER.to_owned()),
    ] {
        service.go(flow, way, time, thread(tid), text.as_bytes());
    }
    let [front, back, behind] = &service.spans()[..] else { panic!("three spans") };
    assert_ne!(front.trace_id.to_string(), T);
    assert_eq!([back.trace_id, behind.trace_id], [front.trace_id; 2]);
    assert_eq!(
        (back.parent_span_id, behind.parent_span_id),
        (Some(front.span_id), Some(back.span_id))
    );
    assert_eq!((back.links.len(), behind.links.len()), (1, 0), "to the application's own span");
}
