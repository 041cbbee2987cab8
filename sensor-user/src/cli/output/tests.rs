use std::borrow::Cow;
use std::fs::File;
use std::sync::mpsc::{Sender, channel};

use super::super::footer::Screen;
use super::super::view::View;
use super::*;
use crate::model::{
    Class, LogRecord, LogSource, Resource, SpanId, SpanKind, Status, TraceFlags, TraceId,
};

pub(crate) fn span(n: u64) -> Arc<Span> {
    Arc::new(Span {
        trace_id: TraceId::new([1; 16]).unwrap(),
        span_id: SpanId::new((n + 1).to_be_bytes()).unwrap(),
        parent_span_id: None,
        flags: TraceFlags(1),
        remote_sampled: None,
        flag_refused: false,
        minted: false,
        exports_spans: None,
        trace_state: None,
        name: Cow::Owned(format!("GET {n}")),
        kind: SpanKind::Server,
        start_unix_ns: 1,
        end_unix_ns: 2,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::new(Resource::default()),
    })
}

/// A line per span with its name, and a last one.
struct Lines(Shared);

impl SpanWriter for Lines {
    fn span(&mut self, span: &Span) -> io::Result<()> {
        writeln!(self.0, "{}", span.name)
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        writeln!(self.0, "{}", record.message.as_str())
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        writeln!(self.0, "{} goes on", so_far.name)
    }

    fn summary(&mut self, _: &Summary) -> io::Result<()> {
        writeln!(self.0, "summary")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing until its gate is dropped.
struct Gated(Receiver<()>);

fn gated() -> (Gated, Sender<()>) {
    let (gate, closed) = channel();
    (Gated(closed), gate)
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails like a pipe whose reader is gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    output: Output,
    stop: Stop,
    metrics: Arc<Metrics>,
}

fn rig(to: impl Write + Send + 'static, footer: Option<Footer>, gone: fn() -> bool) -> Rig {
    let metrics = Arc::new(Metrics::default());
    let out = Shared::new(Box::new(to));
    let view = Arc::new(View::new(Arc::clone(&metrics)));
    let sheet = Sheet {
        writer: Box::new(Lines(out.clone())),
        out,
        watch: Watch::new(view, false),
        footer,
        reader_gone: gone,
    };
    let stop = Stop::default();
    let output = Output::start(sheet, stop.clone(), Arc::clone(&metrics)).unwrap();
    Rig { output, stop, metrics }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited too long: {what}");
        thread::sleep(WAIT);
    }
}

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn what_goes_on_is_shown_and_is_no_span() {
    let paper = Paper::default();
    let Rig { mut output, metrics, .. } = rig(paper.clone(), None, || false);
    output.offer_open(Span::clone(&span(1)));
    output.offer(&span(1), None);
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    assert_eq!(paper.text(), "GET 1 goes on\nGET 1\nsummary\n");
    assert_eq!(metrics.get(Counter::OutputLost), 0);
}

#[test]
fn spans_in_order_then_the_summary() {
    let paper = Paper::default();
    let Rig { mut output, metrics, .. } = rig(paper.clone(), None, || false);
    (0..1000).for_each(|n| output.offer(&span(n), None));
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    let expected: String =
        (0..1000).map(|n| format!("GET {n}\n")).chain(["summary\n".into()]).collect();
    assert_eq!(paper.text(), expected);
    assert_eq!(metrics.get(Counter::OutputLost), 0);
}

#[test]
fn a_span_is_written_at_once_when_nothing_follows() {
    let paper = Paper::default();
    let Rig { mut output, .. } = rig(paper.clone(), None, || false);
    output.offer(&span(7), None);
    until("the span is on paper", || paper.text() == "GET 7\n");
}

#[test]
fn a_reader_that_does_not_read_costs_spans_and_nothing_else() {
    let (to, gate) = gated();
    let Rig { mut output, stop, metrics } = rig(to, None, || false);
    let sent = 2 * SPANS;
    let started = Instant::now();
    (0..sent).for_each(|n| output.offer(&span(n), None));
    assert!(started.elapsed() < Duration::from_secs(10), "the capture went on");
    let lost = metrics.get(Counter::OutputLost);
    assert!(lost > 0 && lost >= sent - SPANS - BATCH - 1, "{lost}");
    assert!(!stop.requested());

    let ended = output.finish(
        || Summary { counters: vec![("x".into(), 1)], ..Summary::default() },
        Duration::from_millis(20),
    );
    let Ended::Stuck(summary) = ended else { panic!("{ended:?}") };
    assert_eq!(summary.counters, [("x".to_owned(), 1)], "the summary is not lost with it");
    assert_eq!(metrics.get(Counter::OutputLost), sent, "nothing was delivered, all is counted");
    drop(gate);
}

fn record(bytes: usize) -> Arc<LogRecord> {
    Arc::new(LogRecord {
        time_unix_ns: None,
        observed_unix_ns: 1,
        severity: None,
        severity_text: None,
        message: "x".repeat(bytes).into(),
        caller: None,
        event: None,
        correlation: None,
        class: Class::Business,
        source: LogSource::Stdout,
        attributes: Vec::new(),
        breach: None,
        resource: Arc::default(),
    })
}

/// A few long records are as much as many spans.
#[test]
fn the_bytes_of_records_that_wait_are_bounded() {
    let (to, gate) = gated();
    let Rig { mut output, stop, metrics } = rig(to, None, || false);
    let long = record(1 << 20);
    for _ in 0..40 {
        output.offer_record(&long, None);
    }
    // Sixteen wait; what the thread took before it was stopped does not.
    let lost = metrics.get(Counter::OutputLost);
    assert!((15..=25).contains(&lost), "{lost}");
    let opener = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(gate);
    });
    // Who is patient waits for room.
    output.offer_record(&long, Some(&stop));
    output.offer_record(&record(RECORD_BYTES as usize * 2), Some(&stop));
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    assert_eq!(metrics.get(Counter::OutputLost), lost);
    opener.join().unwrap();
}

#[test]
fn a_flood_of_records_costs_no_spans() {
    let (to, gate) = gated();
    let Rig { mut output, metrics, .. } = rig(to, None, || false);
    let long = record(1 << 20);
    (0..40).for_each(|_| output.offer_record(&long, None));
    let lost = metrics.get(Counter::OutputLost);
    assert!(lost > 0);
    (0..SPANS).for_each(|n| output.offer(&span(n), None));
    assert_eq!(metrics.get(Counter::OutputLost), lost);
    drop(gate);
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    assert_eq!(metrics.get(Counter::OutputLost), lost);
}

#[test]
fn a_patient_sender_loses_nothing() {
    let (to, gate) = gated();
    let Rig { mut output, stop, metrics } = rig(to, None, || false);
    let opener = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(gate);
    });
    (0..2 * SPANS).for_each(|n| output.offer(&span(n), Some(&stop)));
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    assert_eq!(metrics.get(Counter::OutputLost), 0);
    opener.join().unwrap();
}

#[test]
fn patience_ends_with_a_stop() {
    let (to, gate) = gated();
    let Rig { mut output, stop, metrics } = rig(to, None, || false);
    stop.request();
    (0..2 * SPANS).for_each(|n| output.offer(&span(n), Some(&stop)));
    assert!(metrics.get(Counter::OutputLost) > 0);
    drop(gate);
}

#[test]
fn a_closed_pipe_asks_for_a_quiet_end() {
    let Rig { mut output, stop, metrics } = rig(Closed, None, || false);
    output.offer(&span(1), None);
    until("the end is asked for", || stop.requested());
    until("the thread has ended", || output.thread.is_finished());
    output.offer(&span(2), None);
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::ReaderGone));
    assert_eq!(metrics.get(Counter::OutputLost), 2);
}

#[test]
fn a_reader_that_leaves_is_noticed_without_anything_to_write() {
    let Rig { output, stop, .. } = rig(Paper::default(), None, || true);
    until("the end is asked for", || stop.requested());
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::ReaderGone));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let Rig { mut output, stop, metrics } = rig(full, None, || false);
    output.offer(&span(1), None);
    until("the end is asked for", || stop.requested());
    let ended = output.finish(Summary::default, LIMIT);
    let Ended::Failed(error) = ended else { panic!("{ended:?}") };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(metrics.get(Counter::OutputLost), 1);
}

/// What a terminal shows: each line after its last [`ERASE`].
fn as_shown(text: &str) -> Vec<String> {
    let last = |line: &str| line.rsplit(super::super::footer::ERASE).next().map(str::to_owned);
    text.split('\n').filter_map(last).collect()
}

#[test]
fn the_footer_never_stays_among_the_spans() {
    let paper = Paper::default();
    let screen = Screen::default();
    let footer = Footer::new(screen.clone());
    let Rig { mut output, .. } = rig(paper.clone(), Some(footer), || false);
    until("a footer is there", || paper.text().contains("lost 0"));
    assert!(screen.footer_is_shown());
    output.offer(&span(1), None);
    until("it is there again below the span", || {
        let shown = as_shown(&paper.text());
        shown.len() == 2 && shown[0] == "GET 1" && shown[1].contains("lost 0")
    });
    output.offer(&span(2), None);
    assert!(matches!(output.finish(Summary::default, LIMIT), Ended::Written));
    assert_eq!(as_shown(&paper.text()), ["GET 1", "GET 2", "summary", ""]);
    assert!(!screen.footer_is_shown());
}
