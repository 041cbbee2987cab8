//! Whose a line is.

use super::causes::{
    ANSWER_END, ASKED_END, CONTEXT, H2_REQUEST, H2_RESPONSE, SERVICE, Service, event_loop,
    goroutine, thread,
};
use super::world::{TestFlow, World};
use super::*;
use crate::capture::event::{Caller, ClockSync, Direction, FileId, GoStream, LogStream, Written};
use crate::model::{Correlation, LogIds, TraceId};

/// Nobody says whose it is.
fn no_ids() -> LogIds {
    LogIds::default()
}

impl Service {
    pub(super) fn with_lines(mut self) -> Self {
        self.world.pipeline.core.causes.remember_more();
        self.world.pipeline.core.carried.remember();
        self.world.pipeline.core.forest.remember();
        self
    }

    pub(super) fn writes(&mut self, time: u64, caller: Caller) -> Owner {
        self.world.pipeline.owner(&Written {
            time: Monotonic(time),
            process: ProcessKey::undated(SERVICE),
            caller,
            file: FileId { device: 1, inode: 2, generation: 3 },
            stream: LogStream::Stdout,
            bytes: b"line\n",
            continues: false,
            lost_after: 0,
            lost_records: 0,
        })
    }

    fn belongs(&mut self, owner: Owner, ids: &LogIds) -> Belongs {
        self.world.pipeline.belongs(ProcessKey::undated(SERVICE), owner, ids, false)
    }

    /// The same of a record that was written then and may name requests.
    pub(super) fn record(&mut self, time: u64, owner: Owner, ids: &LogIds) -> Belongs {
        let pipeline = &self.world.pipeline;
        let owner = pipeline.owner_by_request(
            ProcessKey::undated(SERVICE),
            owner,
            Monotonic(time),
            &ids.requests,
        );
        self.belongs(owner, ids)
    }

    /// It is a line of the `n`th server span, by that evidence.
    fn is_of(&mut self, owner: Owner, n: usize, evidence: &str, after: bool) {
        let belongs = self.belongs(owner, &no_ids());
        let spans: Vec<_> =
            self.world.spans.iter().filter(|span| span.kind == SpanKind::Server).collect();
        let span = spans[n];
        let Belongs::To(told) = belongs else { panic!("{belongs:?}") };
        assert_eq!((told.trace_id, told.span_id), (span.trace_id, Some(span.span_id)));
        assert_eq!((told.evidence, told.after_response), (evidence, after));
    }

    pub(super) fn late(&mut self) {
        let sync = ClockSync { monotonic: Monotonic(50_000_000), unix_ns: 3_600_050_000_000 };
        self.world.handle(&Event::Clock(sync));
    }
}

#[test]
fn the_goroutine_that_handles_the_request() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    let handler = goroutine(7, 1);
    let before = service.writes(500, handler);
    service.asked(&server, 1_000, handler);
    let line = service.writes(2_000, handler);
    let other = service.writes(2_100, goroutine(8, 1));
    let started = service.writes(2_200, goroutine(9, 7));
    // Before the answer it could still be that records of another request are missing.
    assert!(matches!(service.belongs(line, &no_ids()), Belongs::Pending(_)));
    service.answers(&server, 3_000, handler);
    let after = service.writes(4_000, handler);
    let started_after = service.writes(4_100, goroutine(9, 7));
    let much_later = service.writes(6_000_000_000, handler);
    service.late();
    service.is_of(line, 0, "goroutine", false);
    service.is_of(started, 0, "goroutine", false);
    service.is_of(after, 0, "goroutine", true);
    for owner in [before, other, started_after, much_later] {
        assert_eq!(service.belongs(owner, &no_ids()), Belongs::Nothing);
    }
}

/// A pool that one handler has made works for another.
#[test]
fn a_goroutine_that_was_started_while_others_are_served() {
    let mut service = Service::new().with_lines();
    let (first, second) = (service.server(1), service.server(2));
    service.asked(&first, 1_000, goroutine(7, 1));
    service.asked(&second, 1_100, goroutine(8, 1));
    let pooled = service.writes(2_000, goroutine(9, 7));
    service.answers(&second, 3_000, goroutine(8, 1));
    // It may still have work of the other one's.
    let late = service.writes(3_100, goroutine(9, 7));
    service.answers(&first, 4_000, goroutine(7, 1));
    service.late();
    for owner in [pooled, late] {
        assert_eq!(service.belongs(owner, &no_ids()), Belongs::Nothing);
    }
}

#[test]
fn the_second_request_of_a_goroutine() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    let handler = goroutine(7, 1);
    service.asked(&server, 1_000, handler);
    service.answers(&server, 2_000, handler);
    let between = service.writes(2_500, handler);
    service.asked(&server, 3_000, handler);
    let second = service.writes(3_500, handler);
    // For which of the two it was started is not known.
    let started = service.writes(3_600, goroutine(9, 7));
    service.answers(&server, 4_000, handler);
    let started_before = service.writes(4_100, goroutine(9, 7));
    service.late();
    service.is_of(between, 0, "goroutine", true);
    service.is_of(second, 1, "goroutine", false);
    assert_eq!(service.belongs(started, &no_ids()), Belongs::Nothing);
    assert_eq!(service.belongs(started_before, &no_ids()), Belongs::Nothing);
}

/// fasthttp: a goroutine serves one connection after the other. What it has started for the first goes on
/// during the second.
#[test]
fn a_goroutine_that_serves_several_connections() {
    let mut service = Service::new().with_lines();
    let (first, second) = (service.server(1), service.server(2));
    let worker = goroutine(7, 1);
    service.asked(&first, 1_000, worker);
    service.answers(&first, 2_000, worker);
    service.asked(&second, 3_000, worker);
    let own = service.writes(3_500, worker);
    let started = service.writes(3_600, goroutine(9, 7));
    service.answers(&second, 4_000, worker);
    service.late();
    service.is_of(own, 1, "goroutine", false);
    assert_eq!(service.belongs(started, &no_ids()), Belongs::Nothing);
}

#[test]
fn a_stream_of_http2_before_its_end() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    service.go(&server, Direction::Receive, 1_000, goroutine(3, 1), H2_REQUEST);
    service.world.handle(&Event::GoStream(GoStream {
        time: Monotonic(1_500),
        process: ProcessKey::undated(SERVICE),
        flow: server.id,
        stream: 1,
        goroutine: goroutine(30, 3).goroutine.unwrap(),
    }));
    let line = service.writes(2_000, goroutine(30, 3));
    let reader = service.writes(2_100, goroutine(3, 1));
    let told = match service.belongs(line, &no_ids()) {
        // Nobody has asked yet.
        Belongs::Pending(server) => {
            service.world.pipeline.watch(server);
            assert_eq!(service.world.pipeline.news().collect::<Vec<_>>(), [server]);
            service.belongs(line, &no_ids())
        }
        told => told,
    };
    assert!(matches!(told, Belongs::To(Correlation { evidence: "goroutine", .. })), "{told:?}");
    assert_eq!(service.belongs(reader, &no_ids()), Belongs::Nothing);
    service.go(&server, Direction::Send, 4_000, goroutine(4, 1), H2_RESPONSE);
    service.late();
    assert_eq!(service.belongs(line, &no_ids()), told);
    service.is_of(line, 0, "goroutine", false);
}

#[test]
fn the_thread_that_handles_the_request() {
    let mut service = Service::new().with_lines();
    let (first, second) = (service.server(1), service.server(2));
    service.asked(&first, 1_000, thread(7));
    service.asked(&second, 1_100, thread(8));
    let lines = [service.writes(2_000, thread(7)), service.writes(2_100, thread(8))];
    let other = service.writes(2_200, thread(9));
    service.answers(&first, 3_000, thread(7));
    service.answers(&second, 3_100, thread(8));
    let after = [service.writes(4_000, thread(7)), service.writes(4_100, thread(8))];
    service.late();
    for n in 0..2 {
        service.is_of(lines[n], n, "thread", false);
        service.is_of(after[n], n, "thread", true);
    }
    assert_eq!(service.belongs(other, &no_ids()), Belongs::Nothing);
}

#[test]
fn a_thread_that_hands_the_request_on() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    service.asked(&server, 1_000, thread(7));
    let line = service.writes(2_000, thread(7));
    service.answers(&server, 3_000, thread(8));
    service.late();
    assert_eq!(service.belongs(line, &no_ids()), Belongs::Nothing);
}

/// Whatever a thread of a pool does after the answer may be another's.
#[test]
fn a_thread_of_a_pool_after_the_response() {
    let mut service = Service::new().with_lines();
    let flows: Vec<TestFlow> = (1..=3).map(|n| service.server(n)).collect();
    service.asked(&flows[0], 1_000, thread(7));
    service.answers(&flows[0], 1_500, thread(7));
    service.asked(&flows[1], 2_000, thread(8));
    service.answers(&flows[1], 2_500, thread(8));
    service.asked(&flows[2], 3_000, thread(7));
    let during = service.writes(3_100, thread(7));
    service.answers(&flows[2], 3_500, thread(7));
    let after = service.writes(3_600, thread(7));
    service.late();
    service.is_of(during, 2, "thread", false);
    assert_eq!(service.belongs(after, &no_ids()), Belongs::Nothing);

    // The only thread that serves: nobody else could leave it anything.
    let mut service = Service::new().with_lines();
    let (first, second) = (service.server(1), service.server(2));
    service.asked(&first, 1_000, thread(7));
    service.answers(&first, 1_500, thread(7));
    service.asked(&second, 2_000, thread(7));
    service.answers(&second, 2_500, thread(7));
    let after = service.writes(2_600, thread(7));
    service.late();
    service.is_of(after, 1, "thread", true);
}

#[test]
fn an_event_loop() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    let acts_on = |alone| event_loop(Some((&server, ASKED_END, alone)));
    service.asked(&server, 1_000, event_loop(None));
    let alone = service.writes(2_000, acts_on(true));
    let in_turn = service.writes(2_100, acts_on(false));
    let unknown = service.writes(2_200, event_loop(None));
    service.answers(&server, 3_000, acts_on(true));
    let after = service.writes(3_100, acts_on(true));
    service.late();
    service.is_of(alone, 0, "event_loop", false);
    service.is_of(after, 0, "event_loop", true);
    // Only Node.js does all at once that an event leads to.
    for owner in [in_turn, unknown] {
        assert_eq!(service.belongs(owner, &no_ids()), Belongs::Nothing);
    }

    let mut service = Service::of("nodejs").with_lines();
    let server = service.server(1);
    service.asked(&server, 1_000, event_loop(None));
    let in_turn = service.writes(2_100, event_loop(Some((&server, ASKED_END, false))));
    service.answers(&server, 3_000, event_loop(None));
    service.late();
    service.is_of(in_turn, 0, "event_loop", false);
}

/// After the answer to a call: only while no other request is open that may wait for it.
#[test]
fn an_event_loop_that_acts_on_an_answer() {
    for others in [false, true] {
        let mut service = Service::new().with_lines();
        let (server, other, client) = (service.server(1), service.server(2), service.client(3));
        service.asked(&server, 1_000, event_loop(None));
        service.asks(&client, 2_000, event_loop(Some((&server, ASKED_END, true))));
        if others {
            service.asked(&other, 2_500, event_loop(None));
        }
        service.answered(&client, 3_000, event_loop(None));
        let line = service.writes(3_500, event_loop(Some((&client, ANSWER_END, true))));
        service.answers(&server, 4_000, event_loop(None));
        service.late();
        if others {
            assert_eq!(service.belongs(line, &no_ids()), Belongs::Nothing);
        } else {
            service.is_of(line, 0, "event_loop", false);
        }
    }
}

#[test]
fn what_the_line_says_counts_most() {
    let mut service = Service::new().with_lines();
    let server = service.server(1);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{CONTEXT}\r\n");
    service.go(&server, Direction::Receive, 1_000, thread(7), request.as_bytes());
    let owner = service.writes(2_000, thread(7));
    let of = |hex: &str| TraceId::new(u128::from_str_radix(hex, 16).unwrap().to_be_bytes());
    let said = |trace| LogIds { trace_id: of(trace), ..LogIds::default() };
    let own = "0af7651916cd43dd8448eb211c80319c";
    // The span may yet be known.
    assert!(matches!(service.belongs(owner, &said(own)), Belongs::Pending(_)));
    service.answers(&server, 3_000, thread(7));
    service.late();
    let span = service.world.spans[0].clone();
    let told = |evidence, trace_id, span_id| {
        Belongs::To(Correlation { trace_id, span_id, evidence, after_response: false })
    };
    let own_one = told("line", of(own).unwrap(), Some(span.span_id));
    assert_eq!(service.belongs(owner, &said(own)), own_one);
    // Datadog's, and whoever else writes the lower half only.
    assert_eq!(service.belongs(owner, &said("8448eb211c80319c")), own_one);
    // No exchange was in that one.
    let other = "4bf92f3577b34da6a3ce929d0e0e4736";
    let claimed = told("claimed", of(other).unwrap(), None);
    assert_eq!(service.belongs(owner, &said(other)), claimed);
    let theirs = LogIds { span_id: Some(span.span_id), ..said(other) };
    let theirs = service.belongs(Owner::default(), &theirs);
    assert_eq!(theirs, told("claimed", of(other).unwrap(), Some(span.span_id)));
}

/// A line waits for an exchange that is lost: then nobody knows.
#[test]
fn an_exchange_that_is_lost() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let mut service = Service { world: World::with(limits) }.with_lines();
    let (server, other) = (service.server(1), service.server(2));
    service.asked(&server, 1_000, thread(7));
    let line = service.writes(2_000, thread(7));
    let Belongs::Pending(waits_for) = service.belongs(line, &no_ids()) else { panic!() };
    service.world.pipeline.watch(waits_for);
    drop(service.world.pipeline.news());
    // It has to make room.
    service.asked(&other, 3_000, thread(8));
    assert_eq!(service.world.pipeline.news().collect::<Vec<_>>(), [waits_for]);
    assert_eq!(service.belongs(line, &no_ids()), Belongs::Nothing);
}
