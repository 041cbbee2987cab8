//! The stage as a whole: records wait until it is known whose they are, and no longer.

mod cases;

use std::sync::Arc;

use super::*;
use crate::capture::event::{Caller, ClockSync, Direction, Monotonic, Written};
use crate::model::{Attribute, Correlation, Resource, Severity};
use crate::trace::tests::causes::{SERVICE, Service, goroutine, thread};
use crate::trace::tests::world::TestFlow;

const SECOND: u64 = 1_000_000_000;

/// A service, and the stage behind it.
struct Logs {
    service: Service,
    lines: Lines,
    metrics: Arc<Metrics>,
    records: Vec<LogRecord>,
}

impl Logs {
    fn new(limits: Limits) -> Self {
        let metrics = Arc::new(Metrics::default());
        let mut service = Service::new();
        let pipeline = std::mem::replace(
            &mut service.world.pipeline,
            Pipeline::new(crate::trace::Limits::default(), Arc::default()),
        );
        service.world.pipeline = pipeline.with_lines();
        let lines = Lines::new(limits, 0, Arc::clone(&metrics));
        Self { service, lines, metrics, records: Vec::new() }
    }

    fn handle(&mut self, event: &Event<'_>) {
        let Self { service, lines, records, .. } = self;
        lines.before(event, &mut service.world.pipeline, &mut |record| records.push(record));
        self.service.world.handle(event);
        let Self { service, lines, records, .. } = self;
        lines.handle(event, &mut service.world.pipeline, &mut |record| records.push(record));
    }

    /// Gives way to what has changed.
    fn at(&mut self, time: u64) {
        let unix_ns = 3_600 * SECOND + time;
        self.handle(&Event::Clock(ClockSync { monotonic: Monotonic(time), unix_ns }));
    }

    fn writes(&mut self, time: u64, caller: Caller, line: &str) {
        let text = format!("{line}\n");
        self.handle(&Event::Written(Written {
            time: Monotonic(time),
            process: ProcessKey::undated(SERVICE),
            caller,
            file: FileId { device: 1, inode: 2, generation: 3 },
            stream: LogStream::Stdout,
            bytes: text.as_bytes(),
            continues: false,
            lost_after: 0,
            lost_records: 0,
        }));
    }

    fn told(&self) -> Vec<(&str, Option<&'static str>)> {
        let evidence = |record: &LogRecord| record.correlation.map(|it| it.evidence);
        self.records.iter().map(|it| (it.message.as_str(), evidence(it))).collect()
    }

    fn finish(&mut self) {
        let Self { service, lines, records, .. } = self;
        service.world.pipeline.finish(&mut |_| {});
        lines.finish(&mut service.world.pipeline, &mut |record| records.push(record));
    }
}

fn request(service: &mut Service) -> TestFlow {
    let flow = service.server(1);
    service.asked(&flow, 1_000, thread(7));
    flow
}

#[test]
fn a_line_comes_with_the_answer() {
    let mut logs = Logs::new(Limits::default());
    let flow = request(&mut logs.service);
    logs.writes(2_000, thread(7), "one");
    logs.writes(2_100, thread(9), "a stranger's");
    logs.writes(2_200, thread(7), "two");
    logs.at(SECOND);
    assert_eq!(logs.told(), [("a stranger's", None)]);
    assert_eq!(logs.lines.waiting(), 2);
    logs.service.answers(&flow, SECOND + 1, thread(7));
    logs.at(SECOND + 2);
    let all = [("a stranger's", None), ("one", Some("thread")), ("two", Some("thread"))];
    assert_eq!(logs.told(), all);
    assert_eq!(logs.lines.waiting(), 0);
    let span = logs.service.spans().remove(0);
    let expected = Correlation {
        trace_id: span.trace_id,
        span_id: Some(span.span_id),
        evidence: "thread",
        after_response: false,
    };
    assert_eq!(logs.records[1].correlation, Some(expected));
    assert_eq!(logs.records[1].observed_unix_ns, 3_600 * SECOND + 2_000);
    assert_eq!(logs.metrics.get(Counter::LogRecords), 3);
    assert_eq!(logs.metrics.get(Counter::LogRecordsCorrelated), 2);
    assert_eq!(logs.metrics.get(Counter::LogRecordsUnsettled), 0);
}

/// An answer that takes longer than anybody wants to wait.
#[test]
fn no_line_waits_for_ever() {
    let mut logs = Logs::new(Limits::default());
    request(&mut logs.service);
    logs.writes(2_000, thread(7), "one");
    logs.at(SECOND);
    logs.at(10 * SECOND);
    assert_eq!(logs.told(), []);
    logs.at(12 * SECOND);
    assert_eq!(logs.told(), [("one", None)]);
    assert_eq!(logs.metrics.get(Counter::LogRecordsUnsettled), 1);
}

#[test]
fn too_many_lines_wait() {
    let mut logs = Logs::new(Limits { waiting: 10, ..Limits::default() });
    request(&mut logs.service);
    for n in 0..11 {
        logs.writes(2_000 + n, thread(7), "line");
    }
    logs.at(SECOND);
    assert_eq!(logs.records.len(), 11);
    assert_eq!(logs.lines.waiting(), 0);
    assert_eq!(logs.metrics.get(Counter::LogRecordsUnsettled), 11);
}

#[test]
fn at_the_end_every_line_comes() {
    let mut logs = Logs::new(Limits::default());
    request(&mut logs.service);
    logs.writes(2_000, thread(7), "one");
    logs.writes(2_100, goroutine(5, 1), "two");
    logs.finish();
    let mut told = logs.told();
    told.sort_unstable();
    assert_eq!(told, [("one", None), ("two", None)]);
    assert_eq!(logs.metrics.get(Counter::LogRecords), 2);
}

#[test]
fn a_file_has_its_path() {
    let mut logs = Logs::new(Limits::default());
    let file = FileId { device: 1, inode: 2, generation: 3 };
    logs.handle(&Event::LogFile { file, path: "/var/log/shop.log".into() });
    logs.handle(&Event::Written(Written {
        time: Monotonic(5),
        process: ProcessKey::undated(SERVICE),
        caller: thread(1),
        file,
        stream: LogStream::File,
        bytes: b"line\n",
        continues: false,
        lost_after: 0,
        lost_records: 0,
    }));
    logs.finish();
    assert_eq!(logs.records[0].source, LogSource::File("/var/log/shop.log".into()));
}

/// The last words of a process are its own, also when another program runs under its number.
#[test]
fn what_a_process_wrote_before_its_end() {
    let named = |name: &'static str| {
        Arc::new(Resource {
            attributes: vec![Attribute::new("service.name", name)],
            ..Resource::default()
        })
    };
    for exec in [false, true] {
        let mut logs = Logs::new(Limits::default());
        let process = ProcessKey::undated(SERVICE);
        logs.handle(&Event::Process { process, exec: false, resource: named("shop") });
        logs.writes(2_000, thread(9), "2026-11-21 15:05:14,911 ERROR shop: gone");
        logs.handle(&match exec {
            true => Event::Process { process, exec: true, resource: named("other") },
            false => Event::ProcessExit { process, time: Monotonic(3_000) },
        });
        let [record] = &logs.records[..] else { panic!("{:?}", logs.records) };
        assert_eq!(record.resource.service_name(), Some("shop"));
        assert_eq!(record.severity, Some(Severity::Error));
    }
}

/// As it is written when there is none.
#[test]
fn a_line_without_a_request_id_says_so() {
    let mut logs = Logs::new(Limits::default());
    let flow = logs.service.server(1);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: None\r\n\r\n";
    logs.service.go(&flow, Direction::Receive, 1_000, thread(7), request);
    logs.service.answers(&flow, 2_000, thread(7));
    logs.writes(SECOND + 400, thread(9), "swept request_id=None");
    logs.at(3 * SECOND);
    assert_eq!(logs.told(), [("swept request_id=None", None)]);
    assert_eq!(logs.metrics.get(Counter::LogRecordsCorrelated), 0);
}

#[test]
fn a_trace_that_nothing_confirms() {
    let mut logs = Logs::new(Limits::default());
    logs.writes(1_000, thread(9), "swept trace_id=4bf92f3577b34da6a3ce929d0e0e4736");
    logs.at(SECOND);
    assert_eq!(logs.told().iter().map(|it| it.1).collect::<Vec<_>>(), [Some("claimed")]);
    let counters = [Counter::LogRecordsCorrelated, Counter::LogRecordsClaimed];
    assert_eq!(counters.map(|it| logs.metrics.get(it)), [0, 1]);
}
