use std::net::IpAddr;
use std::sync::Mutex;

use super::*;
use crate::capture::event::{
    Caller, ClockSync, Direction, End, Endpoints, Flow, FlowId, Monotonic, ProcessKey, Segment,
};
use crate::export;
use crate::metrics::Counter;
use crate::model::{Attribute, LogRecord, Resource};

const PROCESS: ProcessKey = ProcessKey::undated(7);
const UNIX_NS: u64 = 1_800_000_000_000_000_000;

fn flow(id: u64) -> Flow {
    let local = IpAddr::from([127, 0, 0, 1]);
    Flow {
        id: FlowId(id),
        endpoints: Endpoints::Tcp { local: (local, 80), remote: (local, 40_000) },
        netns: None,
        cookie: None,
        inode: None,
        from_start: true,
        unix_connection: None,
    }
}

fn segment(id: u64, direction: Direction, time: u64, bytes: &[u8]) -> Event<'_> {
    Event::Segment(Segment {
        flow: flow(id),
        direction,
        time: Monotonic(time),
        time_is_start: false,
        process: PROCESS,
        caller: Caller { tid: 7, ..Caller::default() },
        position: 0,
        skipped_before: 0,
        bytes,
        skipped_after: 0,
        unreadable_after: false,
        tcp_seq: None,
        lost_records: 0,
        frame_start: false,
        head_too_large: false,
    })
}

fn events() -> Vec<Event<'static>> {
    let request = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    let response = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let service = Attribute::new("service.name", "shop");
    vec![
        Event::Clock(ClockSync { monotonic: Monotonic(1000), unix_ns: UNIX_NS }),
        Event::Process {
            process: PROCESS,
            exec: false,
            resource: Arc::new(Resource { attributes: vec![service], ..Resource::default() }),
        },
        segment(1, Direction::Receive, 2000, request),
        segment(1, Direction::Send, 3000, response),
        Event::End(End {
            flow: flow(1),
            time: Monotonic(4000),
            process: PROCESS,
            receive_eof: true,
            send_eof: true,
            closed: true,
            error: false,
            position: [request.len() as u64, response.len() as u64],
            skipped: [0; 2],
            last: [Some(Monotonic(2000)), Some(Monotonic(3000))],
            lost_records: [0; 2],
        }),
        // Never answered.
        segment(2, Direction::Receive, 5000, request),
    ]
}

/// Events from memory, one with each poll.
struct Memory(std::vec::IntoIter<Event<'static>>);

impl Feed for Memory {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        Ok(match self.0.next() {
            Some(event) => {
                sink(event);
                Progress::Delivered(1)
            }
            None => Progress::Finished,
        })
    }

    fn kernel_counters(&mut self) -> Vec<(String, u64)> {
        vec![("kernel.ring_full".into(), 3)]
    }
}

/// Notes names, and the last summary.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<(Vec<String>, Summary)>>);

impl SpanWriter for Notes {
    fn span(&mut self, span: &Span) -> io::Result<()> {
        self.0.lock().unwrap().0.push(span.name.to_string());
        Ok(())
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        self.0.lock().unwrap().0.push(record.message.to_string());
        Ok(())
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        let seconds = (so_far.end_unix_ns - so_far.start_unix_ns) / 1_000_000_000;
        self.0.lock().unwrap().0.push(format!("{} for {seconds} s", so_far.name));
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.0.lock().unwrap().1 = summary.clone();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn session(notes: &Notes, duration: Option<Duration>) -> (Session, Stop) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let metrics = Arc::new(Metrics::default());
    let stop = Stop::default();
    let view = Arc::new(View::new(Arc::clone(&metrics)));
    let sheet = Sheet {
        writer: Box::new(notes.clone()),
        out: Shared::new(Box::new(io::sink())),
        watch: Watch::new(Arc::clone(&view), false),
        footer: None,
        reader_gone: || false,
    };
    let output = Output::start(sheet, stop.clone(), Arc::clone(&metrics)).unwrap();
    let exporters =
        Exporters::start(export::Settings::default(), Arc::clone(&metrics), runtime.handle())
            .unwrap();
    let governor = Governor::new(govern::Settings::default(), Arc::clone(&metrics));
    let services = Services::default();
    let sinks = Sinks { output: Some(output), exporters, governor, services, patience: None };
    let limits = Limits { duration, drain: Duration::from_secs(1) };
    let context = context::Settings::default();
    (
        Session {
            stop: stop.clone(),
            context,
            callers: trace::Callers::default(),
            limits,
            lines: true,
            metrics,
            view,
            runtime,
            sinks,
        },
        stop,
    )
}

fn check(notes: &Notes) {
    let (names, summary) = &*notes.0.lock().unwrap();
    assert_eq!(names, &["GET"]);
    let get = |name: &str| {
        summary.counters.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    };
    assert_eq!(get("exchanges.seen"), Some(2));
    assert_eq!(get("exchanges.spans"), Some(1));
    assert_eq!(get("exchanges.open"), Some(1), "seen = spans + open + lost");
    assert_eq!(get("kernel.ring_full"), Some(3), "the kernel side's are there too");
    assert_eq!(get(Counter::OutputLost.name()), Some(0));
    let shop = ServiceCount { server: 1, client: 0, errors: 1 };
    assert_eq!(summary.by_service, [("shop".to_owned(), shop)]);
}

#[test]
fn from_events_to_the_summary() {
    let notes = Notes::default();
    let (session, _) = session(&notes, None);
    session.run(&mut Memory(events().into_iter())).unwrap();
    check(&notes);
}

/// What sampling leaves out counts all the same, and is not shown while it goes on.
#[test]
fn what_is_not_sampled_is_traffic_too() {
    let notes = Notes::default();
    let (mut session, _) = session(&notes, None);
    let sampler = govern::Sampler::Fixed { root: govern::Root::AlwaysOff, parent_based: true };
    let settings = govern::Settings { sampler, ..govern::Settings::default() };
    session.sinks.governor = Governor::new(settings, Arc::clone(&session.metrics));
    let metrics = Arc::clone(&session.metrics);
    let mut pipeline = Pipeline::new(trace::Limits::default(), metrics);
    let sinks = &mut session.sinks;
    for event in events() {
        pipeline.handle(&event, &mut |span| sinks.deliver(span));
    }
    let sync = ClockSync { monotonic: Monotonic(60_000_000_000), unix_ns: UNIX_NS };
    pipeline.handle(&Event::Clock(sync), &mut |span| sinks.deliver(span));
    LongLived::default().tell(&pipeline, sinks);
    let Session { metrics, sinks, .. } = session;
    let output = sinks.output.unwrap();
    assert!(matches!(output.finish(Summary::default, OUTPUT_DEADLINE), Ended::Written));
    assert!(notes.0.lock().unwrap().0.is_empty());
    let shop = ServiceCount { server: 1, client: 0, errors: 1 };
    assert_eq!(sinks.services.counted(), [("shop".to_owned(), shop)]);
    let counts = [Counter::ExchangesSpans, Counter::SpansNotSampled, Counter::OutputLost];
    assert_eq!(counts.map(|counter| metrics.get(counter)), [1, 1, 0]);
}

#[test]
fn a_stop_still_delivers_what_is_there() {
    let notes = Notes::default();
    let (session, stop) = session(&notes, None);
    stop.request();
    session.run(&mut Memory(events().into_iter())).unwrap();
    check(&notes);
}

#[test]
fn a_source_that_breaks_is_reported_after_what_it_gave() {
    struct Broken(Memory);
    impl Feed for Broken {
        fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
            match self.0.poll(sink)? {
                Progress::Finished => Err(CaptureError("the file is cut".into())),
                progress => Ok(progress),
            }
        }

        fn kernel_counters(&mut self) -> Vec<(String, u64)> {
            self.0.kernel_counters()
        }
    }
    let notes = Notes::default();
    let (session, _) = session(&notes, None);
    let failure = session.run(&mut Broken(Memory(events().into_iter()))).unwrap_err();
    assert_eq!((failure.code(), failure.to_string().as_str()), (1, "the file is cut"));
    check(&notes);
}

/// First after ten seconds, then each time that it is twice as old; not at all in a replay.
#[test]
fn what_goes_on_for_long_is_shown_ever_more_seldom() {
    for live in [true, false] {
        let notes = Notes::default();
        let (session, _) = session(&notes, None);
        let Session { stop, metrics, mut sinks, .. } = session;
        if !live {
            sinks.patience = Some(Patience { stop, exhausted: false });
        }
        let mut pipeline = Pipeline::new(trace::Limits::default(), metrics);
        let mut long = LongLived::default();
        events().iter().for_each(|event| pipeline.handle(event, &mut |_| {}));
        for second in 0..50 {
            let monotonic = Monotonic(5000 + second * 1_000_000_000);
            let sync = ClockSync { monotonic, unix_ns: 0 };
            pipeline.handle(&Event::Clock(sync), &mut |_| {});
            long.tell(&pipeline, &mut sinks);
        }
        let output = sinks.output.take().unwrap();
        assert!(matches!(output.finish(Summary::default, OUTPUT_DEADLINE), Ended::Written));
        let shown: &[&str] =
            if live { &["GET for 10 s", "GET for 20 s", "GET for 40 s"] } else { &[] };
        assert_eq!(notes.0.lock().unwrap().0, shown);
        let end = Event::ProcessExit { process: PROCESS, time: Monotonic(6000) };
        pipeline.handle(&end, &mut |_| {});
        long.tell(&pipeline, &mut sinks);
    }
}

#[test]
fn many_services_are_bounded() {
    let notes = Notes::default();
    let (mut session, _) = session(&notes, None);
    let template = output::tests::span(1);
    for n in 0..SERVICES + 5 {
        let service = Attribute::new("service.name", format!("s{n}"));
        let resource = Arc::new(Resource { attributes: vec![service], ..Resource::default() });
        session.sinks.services.count(&Span { resource, ..(*template).clone() });
    }
    let counted = session.sinks.services.counted();
    assert_eq!(counted.len(), SERVICES + 1);
    // In the order of the names, and a parenthesis comes before all letters.
    assert_eq!((counted[0].0.as_str(), counted[0].1.server), ("(others)", 5));
}
