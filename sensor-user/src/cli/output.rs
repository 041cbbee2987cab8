//! Standard output: a thread of its own behind a bounded queue, so that a reader who does not read
//! costs spans and records (counted) and never the capture.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::export::terminal::{SpanWriter, Summary};
use crate::export::weight_of_record;
use crate::metrics::{Counter, Metrics};
use crate::model::{LogRecord, Span};

use super::footer::{Footer, Watch};
use super::stop::Stop;

/// Spans that may wait to be written: about 16 MiB, or what comes in a twentieth of a second at 160,000 a second.
const SPANS: u64 = 8192;

/// Bytes of records that may wait, about: one may be as long as 64 KiB.
const RECORD_BYTES: u64 = 16 << 20;

/// Spans written before the output is flushed and the footer looked after.
const BATCH: u64 = 256;

/// How often the footer is refreshed.
const REFRESH: Duration = Duration::from_secs(1);

/// Rest after a batch that was not full, so that under load a system call writes many spans and not
/// one. Little of the 100 ms in which a span has to show.
const GATHER: Duration = Duration::from_millis(5);

/// How often somebody who waits looks again.
const WAIT: Duration = Duration::from_millis(1);

/// A buffered output that a [`SpanWriter`] and a [`Footer`] share, within one thread.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<BufWriter<Box<dyn Write + Send>>>>);

impl Shared {
    pub(super) fn new(output: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(BufWriter::with_capacity(64 << 10, output))))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// What the writer thread works with.
pub(super) struct Sheet {
    pub(super) writer: Box<dyn SpanWriter + Send>,
    /// What `writer` writes to.
    pub(super) out: Shared,
    pub(super) watch: Watch,
    /// On a terminal.
    pub(super) footer: Option<Footer>,
    /// Whoever read the output is gone; asked now and then, for when there is nothing to write.
    pub(super) reader_gone: fn() -> bool,
}

enum Message {
    Span(Arc<Span>),
    Record(Arc<LogRecord>),
    Open(Box<Span>),
    Summary(Summary),
}

/// How much waits. Spans and records have bounds of their own: a service that floods its log costs no spans.
#[derive(Default)]
struct Waiting {
    spans: AtomicU64,
    record_bytes: AtomicU64,
}

impl Waiting {
    /// Where a message counts, how much, and how much may wait there.
    fn share(&self, message: &Message) -> Option<(&AtomicU64, u64, u64)> {
        match message {
            Message::Span(_) | Message::Open(_) => Some((&self.spans, 1, SPANS)),
            Message::Record(record) => {
                Some((&self.record_bytes, weight_of_record(record) as u64, RECORD_BYTES))
            }
            Message::Summary(_) => None,
        }
    }

    /// Whether there is room for a message, which then has it. There is one sender.
    fn enter(&self, message: &Message) -> bool {
        let Some((waiting, weight, most)) = self.share(message) else { return true };
        let already = waiting.load(Ordering::Acquire);
        // One that is larger than everything may wait where nothing else does.
        let fits = already == 0 || already + weight <= most;
        if fits {
            waiting.fetch_add(weight, Ordering::AcqRel);
        }
        fits
    }

    fn leave(&self, message: &Message) {
        if let Some((waiting, weight, _)) = self.share(message) {
            waiting.fetch_sub(weight, Ordering::AcqRel);
        }
    }
}

/// The way to the writer thread.
pub(super) struct Output {
    /// Bounded by `waiting`.
    sender: Sender<Message>,
    thread: JoinHandle<io::Result<()>>,
    offered: u64,
    written: Arc<AtomicU64>,
    waiting: Arc<Waiting>,
    metrics: Arc<Metrics>,
}

/// How the output ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Everything is written, the summary too.
    Written,
    /// Nobody reads it any more. What a pipe is for; not an error.
    ReaderGone,
    /// It cannot be written: a full disk.
    Failed(io::Error),
    /// It was not taken in time. The summary is handed back.
    Stuck(Summary),
}

impl Output {
    /// Starts the thread. When the output cannot be written any more, it asks `stop` for the end.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(sheet: Sheet, stop: Stop, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let written = Arc::new(AtomicU64::new(0));
        let waiting = Arc::new(Waiting::default());
        let shared = (Arc::clone(&written), Arc::clone(&waiting));
        let thread = thread::Builder::new().name("output".into()).spawn(move || {
            let result = write_all(sheet, &receiver, &shared.0, &shared.1);
            if result.is_err() {
                stop.request();
            }
            result
        })?;
        Ok(Self { sender, thread, offered: 0, written, waiting, metrics })
    }

    /// Queues a span. Never waits, unless `patient`: then as long as it takes, or until the end is
    /// asked for. A span that finds no room is counted as lost.
    pub(super) fn offer(&mut self, span: &Arc<Span>, patient: Option<&Stop>) {
        self.send(Message::Span(Arc::clone(span)), patient);
    }

    /// The same for a record of a log.
    pub(super) fn offer_record(&mut self, record: &Arc<LogRecord>, patient: Option<&Stop>) {
        self.send(Message::Record(Arc::clone(record)), patient);
    }

    fn send(&mut self, message: Message, patient: Option<&Stop>) {
        while !self.waiting.enter(&message) {
            if patient.is_none_or(Stop::requested) || self.thread.is_finished() {
                return self.metrics.inc(Counter::OutputLost);
            }
            thread::sleep(WAIT);
        }
        match self.sender.send(message) {
            Ok(()) => self.offered += 1,
            Err(_) => self.metrics.inc(Counter::OutputLost),
        }
    }

    /// Queues a line on an exchange that goes on. It is no loss if there is no room: its span is to
    /// come.
    pub(super) fn offer_open(&mut self, so_far: Span) {
        let message = Message::Open(Box::new(so_far));
        if self.waiting.enter(&message) {
            let _ = self.sender.send(message);
        }
    }

    /// Waits until what is queued is written, for at most `limit`, and counts the rest as lost.
    /// Spans are lost before the summary is made, so that it tells of them: `summary` is asked once,
    /// when nothing is waiting any more or the time is up.
    pub(super) fn finish(self, summary: impl FnOnce() -> Summary, limit: Duration) -> Ended {
        let Self { sender, thread, offered, written, waiting: _, metrics } = self;
        let deadline = Instant::now() + limit;
        let unwritten = || offered - written.load(Ordering::Acquire);
        while unwritten() > 0 && !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(WAIT);
        }
        metrics.add(Counter::OutputLost, unwritten());
        let stuck = unwritten() > 0 && !thread.is_finished();
        let summary = summary();
        if stuck {
            return Ended::Stuck(summary);
        }
        // This fails only if the thread has ended, which is looked at below.
        let _ = sender.send(Message::Summary(summary.clone()));
        drop(sender);
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return Ended::Stuck(summary);
            }
            thread::sleep(WAIT);
        }
        match thread.join() {
            Ok(Ok(())) => Ended::Written,
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ended::ReaderGone,
            Ok(Err(error)) => Ended::Failed(error),
            Err(_) => Ended::Failed(io::Error::other("the thread that writes broke off")),
        }
    }
}

/// Standard output is a pipe or socket whose other end is closed.
pub(super) fn stdout_is_gone() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Writes until there is nobody left to send, or the output fails.
fn write_all(
    mut sheet: Sheet,
    receiver: &Receiver<Message>,
    written: &AtomicU64,
    waiting: &Waiting,
) -> io::Result<()> {
    let mut next_look = Instant::now();
    let mut explained = sheet.footer.is_some();
    loop {
        let next = sheet.writer.due().map_or(next_look, |due| due.min(next_look));
        let mut message =
            match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return sheet.end(),
            };
        let due = sheet.writer.due().is_some_and(|due| due <= Instant::now());
        if message.is_some() || due {
            sheet.erase()?;
        }
        let mut batch: u64 = 0;
        let mut over = false;
        while let Some(current) = message {
            waiting.leave(&current);
            match current {
                Message::Span(span) => {
                    sheet.writer.span(&span)?;
                    sheet.watch.note_shown();
                    batch += 1;
                }
                Message::Record(record) => {
                    sheet.writer.record(&record)?;
                    sheet.watch.note_shown();
                    batch += 1;
                }
                Message::Open(so_far) => {
                    sheet.writer.open(&so_far)?;
                    sheet.watch.note_shown();
                }
                Message::Summary(summary) => {
                    sheet.writer.summary(&summary)?;
                    over = true;
                }
            }
            message = if over || batch == BATCH { None } else { receiver.try_recv().ok() };
        }
        if over {
            return sheet.end();
        }
        sheet.writer.rest(Instant::now())?;
        explained |= batch > 0;
        if Instant::now() >= next_look {
            next_look = Instant::now() + REFRESH;
            sheet.watch.look();
            if !explained && let Some(quiet) = sheet.watch.quiet() {
                tracing::warn!("{quiet}");
                explained = true;
            }
            if (sheet.reader_gone)() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        sheet.draw()?;
        sheet.out.flush()?;
        written.fetch_add(batch, Ordering::Release);
        if (1..BATCH).contains(&batch) {
            thread::sleep(GATHER);
        }
    }
}

impl Sheet {
    fn erase(&mut self) -> io::Result<()> {
        self.footer.as_ref().map_or(Ok(()), |footer| footer.erase(&mut self.out))
    }

    fn draw(&mut self) -> io::Result<()> {
        self.footer.as_ref().map_or(Ok(()), |footer| footer.draw(&self.watch, &mut self.out))
    }

    fn end(mut self) -> io::Result<()> {
        self.erase()?;
        self.out.flush()
    }
}

#[cfg(test)]
pub(super) mod tests;
