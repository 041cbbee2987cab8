//! The delivery rules, against a backend that answers by a script, in simulated time.

mod apart;
mod shares;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Backend, Grouping, Loss, Outcome, Part, Policy, Queue, Worker};
use crate::export::otlp::LEDGER;
use crate::export::testing::{account, assert_balanced, spans};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Span};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Says what the script says, forever as its last entry; None hangs. Notes when each request came,
/// and with how many spans.
#[derive(Clone, Debug, Default)]
struct Scripted {
    /// Spans that go by themselves; all of a batch if zero.
    part: usize,
    script: Arc<Mutex<VecDeque<Option<Outcome>>>>,
    requests: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Backend for Scripted {
    type Item = Arc<Span>;
    type Request = ();

    const GROUPING: Grouping = Grouping::Mixed;

    fn target(&self) -> &'static str {
        "the script"
    }

    fn encode(&self, batch: Vec<Arc<Span>>) -> Vec<Part<()>> {
        let size = if self.part == 0 { batch.len() } else { self.part };
        batch.chunks(size).map(|part| Part { request: (), items: part.len() as u64 }).collect()
    }

    async fn send(&self, part: &Part<()>) -> Outcome {
        let spans = usize::try_from(part.items).unwrap();
        self.requests.lock().unwrap().push((Instant::now(), spans));
        let next = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        match next {
            Some(Some(outcome)) => outcome,
            _ => std::future::pending().await,
        }
    }
}

struct Bench {
    backend: Scripted,
    queue: Arc<Queue<Arc<Span>>>,
    metrics: Arc<Metrics>,
    worker: tokio::task::JoinHandle<()>,
    start: Instant,
}

impl Bench {
    fn new(policy: Policy, script: impl IntoIterator<Item = Option<Outcome>>) -> Self {
        Self::in_parts(0, policy, script)
    }

    fn in_parts(
        part: usize,
        policy: Policy,
        script: impl IntoIterator<Item = Option<Outcome>>,
    ) -> Self {
        let backend = Scripted {
            part,
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            ..Scripted::default()
        };
        let metrics = Arc::new(Metrics::default());
        let queue =
            Arc::new(Queue::new(Grouping::Mixed, policy.clone(), &LEDGER, Arc::clone(&metrics)));
        let worker = Worker::new(backend.clone(), Arc::clone(&queue), policy, TIMEOUT);
        let worker = tokio::spawn(worker.run());
        Self { backend, queue, metrics, worker, start: Instant::now() }
    }

    fn offer(&self, count: usize) {
        let span = &spans(1)[0];
        (0..count).for_each(|_| self.queue.offer(Arc::clone(span)));
    }

    /// Milliseconds since the start, and spans, of each request.
    fn requests(&self) -> Vec<(u128, usize)> {
        let requests = self.backend.requests.lock().unwrap();
        requests.iter().map(|(at, spans)| ((*at - self.start).as_millis(), *spans)).collect()
    }

    #[track_caller]
    fn assert_account(&self, expected: [u64; 5]) {
        assert_balanced(&self.metrics, &LEDGER, self.queue.queued());
        let names = "offered, sent, refused by the queue, rejected, failed";
        assert_eq!(account(&self.metrics, &LEDGER), expected, "{names}");
    }
}

fn accepted() -> Option<Outcome> {
    Some(Outcome::ACCEPTED)
}

fn retry(after: Option<u64>) -> Option<Outcome> {
    Some(Outcome::retry("busy", after.map(Duration::from_secs)))
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_the_rest_when_it_is_old() {
    let bench = Bench::new(Policy::default(), [accepted()]);
    bench.offer(1030);
    assert_eq!(bench.queue.queued(), 1030);
    bench.assert_account([1030, 0, 0, 0, 0]);
    seconds(5).await;
    assert_eq!(bench.requests(), [(0, 512), (0, 512), (1000, 6)]);
    bench.assert_account([1030, 1030, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_bytes_and_a_giant_goes_alone() {
    let policy = Policy { batch_bytes: 10_000, ..Policy::default() };
    let bench = Bench::new(policy, [accepted()]);
    let heavy = |bytes: usize| {
        let mut span = Span::clone(&spans(1)[0]);
        span.attributes = vec![Attribute::new("url.path", "x".repeat(bytes))];
        Arc::new(span)
    };
    for bytes in [4_000, 4_000, 4_000, 50_000, 100] {
        bench.queue.offer(heavy(bytes));
    }
    seconds(5).await;
    let sizes: Vec<_> = bench.requests().iter().map(|(_, spans)| *spans).collect();
    assert_eq!(sizes, [2, 1, 1, 1]);
    bench.assert_account([5, 5, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn backs_off_exponentially_and_loses_nothing_meanwhile() {
    let bench = Bench::new(
        Policy::default(),
        [retry(None), retry(None), retry(None), retry(None), accepted()],
    );
    bench.offer(3);
    seconds(60).await;
    let requests = bench.requests();
    assert_eq!(requests.len(), 5, "{requests:?}");
    let waits: Vec<_> = requests.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    for (wait, step) in waits.iter().zip([500, 1000, 2000, 4000]) {
        assert!((step / 2..=step + 1).contains(wait), "waited {waits:?}");
    }
    bench.assert_account([3, 3, 0, 0, 0]);
    assert_eq!(bench.metrics.get(Counter::OtlpRetries), 4);
}

#[tokio::test(start_paused = true)]
async fn leaves_the_backend_alone_for_as_long_as_it_asks() {
    let bench = Bench::new(Policy::default(), [retry(Some(77)), accepted()]);
    bench.offer(1);
    seconds(10).await;
    bench.offer(1);
    seconds(69).await;
    let requests = bench.requests();
    assert_eq!(requests[0], (1000, 1));
    // Neither the batch that was refused nor the next one comes before.
    assert_eq!(requests[1].0, 78_000);
    seconds(5).await;
    bench.assert_account([2, 2, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_endless_patience_ends() {
    let bench = Bench::new(Policy::default(), [retry(Some(u64::MAX / 4)), accepted()]);
    bench.offer(1);
    seconds(302).await;
    bench.assert_account([1, 1, 0, 0, 0]);
    assert_eq!(bench.requests()[1].0, 301_000);
}

#[tokio::test(start_paused = true)]
async fn gives_up_after_the_limit_and_counts() {
    let policy = Policy { retry_limit: Duration::from_secs(20), ..Policy::default() };
    let bench = Bench::new(policy, [retry(None)]);
    bench.offer(4);
    seconds(15).await;
    bench.assert_account([4, 0, 0, 0, 0]);
    assert_eq!(bench.queue.queued(), 4);
    seconds(10).await;
    bench.assert_account([4, 0, 0, 0, 4]);
    assert!(bench.requests().iter().all(|(at, _)| *at <= 21_000), "{:?}", bench.requests());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_backend_is_cut_off_and_tried_again() {
    let bench = Bench::new(Policy::default(), [None, accepted()]);
    bench.offer(1);
    seconds(20).await;
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].0 >= 11_000 + 250, "{requests:?}");
    bench.assert_account([1, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_counts_against_the_capacity() {
    let policy = Policy { capacity: 600, ..Policy::default() };
    let bench = Bench::new(Policy { batch_items: 200, ..policy }, [None]);
    bench.offer(200);
    seconds(1).await;
    // 200 are under way; of the 600 that there is room for, one service may have two thirds.
    bench.offer(300);
    assert_eq!(bench.queue.queued(), 400);
    bench.assert_account([500, 0, 100, 0, 0]);
}

/// Few spans may be much.
#[tokio::test(start_paused = true)]
async fn the_bytes_of_what_waits_are_bounded_too() {
    // Two thirds of it are 1,100.
    let policy = Policy { capacity_bytes: 1_650, batch_bytes: 600, ..Policy::default() };
    let bench = Bench::new(policy, [None, accepted()]);
    assert_eq!(super::Item::weight(&weighing(300)), 300);
    for _ in 0..4 {
        bench.queue.offer(weighing(300));
    }
    assert_eq!(bench.queue.queued(), 3);
    seconds(1).await;
    // Two of them hang under way, and count.
    bench.queue.offer(weighing(300));
    bench.queue.offer(weighing(200));
    bench.queue.offer(weighing(200));
    bench.assert_account([7, 0, 3, 0, 0]);
    seconds(60).await;
    bench.assert_account([7, 4, 3, 0, 0]);
    // One that is more than all may wait where nothing else does.
    bench.queue.offer(weighing(5_000));
    seconds(2).await;
    bench.assert_account([8, 5, 3, 0, 0]);
    let sizes: Vec<_> = bench.requests().iter().map(|(_, spans)| *spans).collect();
    assert_eq!(sizes, [2, 2, 2, 1]);
}

/// Many times the capacity goes through, as long as it is delivered in between.
#[tokio::test(start_paused = true)]
async fn the_bytes_of_what_is_settled_are_free_again() {
    let policy = Policy { capacity_bytes: 1_000, batch_bytes: 600, ..Policy::default() };
    let lost = Some(Outcome::lost(Loss::Rejected, "no"));
    let bench = Bench::new(policy, [accepted(), lost, accepted()]);
    for round in 1..=20 {
        bench.queue.offer(weighing(300));
        bench.queue.offer(weighing(300));
        seconds(2).await;
        let lost = if round == 1 { 0 } else { 2 };
        bench.assert_account([2 * round, 2 * round - lost, 0, lost, 0]);
    }
}

fn weighing(bytes: usize) -> Arc<Span> {
    let mut span = Span::clone(&spans(1)[0]);
    let other = super::Item::weight(&Arc::new(Span { attributes: vec![], ..span.clone() }));
    span.attributes = vec![Attribute::new("k", "x".repeat(bytes - other - 17))];
    Arc::new(span)
}

/// What is under way is counted with the rest, once, whatever comes of it afterwards.
#[tokio::test(start_paused = true)]
async fn abandoning_counts_what_is_under_way() {
    let bench = Bench::new(Policy::default(), [None, accepted()]);
    bench.offer(600);
    seconds(2).await;
    assert_eq!(bench.requests(), [(0, 512)]);
    bench.queue.abandon();
    bench.assert_account([600, 0, 0, 0, 600]);
    // The request is tried again after its timeout, and taken: too late.
    seconds(60).await;
    assert_eq!(bench.requests().len(), 2);
    bench.assert_account([600, 0, 0, 0, 600]);
}

/// The items are not kept for a time at which they are given up.
#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_limit_is_not_waited_for() {
    let policy = Policy { retry_limit: Duration::from_secs(20), ..Policy::default() };
    let bench = Bench::new(policy, [retry(Some(21)), accepted()]);
    bench.offer(3);
    seconds(2).await;
    bench.assert_account([3, 0, 0, 0, 3]);
    // The backend is left alone all the same.
    bench.offer(1);
    seconds(19).await;
    assert_eq!(bench.requests(), [(1000, 3)]);
    seconds(2).await;
    assert_eq!(bench.requests(), [(1000, 3), (22_000, 1)]);
    bench.assert_account([4, 1, 0, 0, 3]);

    // Up to the limit, it is.
    let policy = Policy { retry_limit: Duration::from_secs(20), ..Policy::default() };
    let bench = Bench::new(policy, [retry(Some(20)), accepted()]);
    bench.offer(3);
    seconds(30).await;
    assert_eq!(bench.requests(), [(1000, 3), (21_000, 3)]);
    bench.assert_account([3, 3, 0, 0, 0]);
}

/// Each part is tried by itself, and all of them have the time of one batch.
#[tokio::test(start_paused = true)]
async fn parts_of_a_batch_are_settled_one_by_one() {
    let lost = |loss| Some(Outcome::lost(loss, "no"));
    let partly = Some(Outcome::Accepted {
        refused: vec![(Loss::TooOld, 1), (Loss::Rejected, 1)],
        message: "some are too old".into(),
    });
    let script = [accepted(), retry(None), accepted(), partly, lost(Loss::OutOfOrder)];
    let bench = Bench::in_parts(3, Policy::default(), script);
    bench.offer(11);
    seconds(20).await;
    let sizes: Vec<_> = bench.requests().iter().map(|(_, spans)| *spans).collect();
    assert_eq!(sizes, [3, 3, 3, 3, 2]);
    // Of OTLP's losses, these are among the rejected.
    bench.assert_account([11, 7, 0, 4, 0]);
    assert_eq!(bench.queue.queued(), 0);

    let policy = Policy { retry_limit: Duration::from_secs(20), ..Policy::default() };
    let bench = Bench::in_parts(1, policy, [retry(None)]);
    bench.offer(5);
    seconds(25).await;
    bench.assert_account([5, 0, 0, 0, 5]);
    let late = bench.requests().iter().filter(|(at, _)| *at >= 21_000).count();
    assert_eq!(late, 5, "{:?}", bench.requests());
}

#[tokio::test(start_paused = true)]
async fn rejections_are_counted_and_clamped() {
    let partial = |rejected| {
        let refused = vec![(Loss::Rejected, rejected)];
        Some(Outcome::Accepted { refused, message: "too old".into() })
    };
    let bench = Bench::new(Policy::default(), [partial(2), partial(u64::MAX), partial(0)]);
    for _ in 0..3 {
        bench.offer(5);
        seconds(2).await;
    }
    bench.assert_account([15, 8, 0, 7, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_work_is_not_tried_again() {
    let lost = |loss| Some(Outcome::lost(loss, "no"));
    let bench = Bench::new(Policy::default(), [lost(Loss::Failed), lost(Loss::Rejected)]);
    for _ in 0..2 {
        bench.offer(3);
        seconds(2).await;
    }
    assert_eq!(bench.requests().len(), 2);
    bench.assert_account([6, 0, 0, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn closing_delivers_what_is_queued_without_waiting() {
    let bench = Bench::new(Policy::default(), [accepted()]);
    bench.offer(600);
    bench.queue.close(Instant::now() + Duration::from_secs(5));
    bench.worker.await.unwrap();
    assert_eq!(bench.start.elapsed(), Duration::ZERO);
    assert_eq!(account(&bench.metrics, &LEDGER), [600, 600, 0, 0, 0]);
    // And what comes afterwards is counted too.
    bench.queue.abandon();
    bench.queue.offer(Arc::clone(&spans(1)[0]));
    assert_eq!(account(&bench.metrics, &LEDGER), [601, 600, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_in_time_whatever_the_backend_does() {
    for script in [retry(None), None, retry(Some(120))] {
        let bench = Bench::new(Policy::default(), [script.clone()]);
        bench.offer(600);
        seconds(2).await;
        let asked = Instant::now();
        bench.queue.close(asked + Duration::from_secs(5));
        bench.worker.await.unwrap();
        bench.queue.abandon();
        assert!(asked.elapsed() <= Duration::from_secs(5), "{script:?}: {:?}", asked.elapsed());
        assert_eq!(account(&bench.metrics, &LEDGER), [600, 0, 0, 0, 600], "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_during_a_wait_tries_once_more() {
    let policy = Policy { initial_backoff: Duration::from_secs(30), ..Policy::default() };
    let bench = Bench::new(policy, [retry(None), accepted()]);
    bench.offer(1);
    seconds(2).await;
    bench.queue.close(Instant::now() + Duration::from_secs(5));
    bench.worker.await.unwrap();
    assert_eq!(account(&bench.metrics, &LEDGER), [1, 1, 0, 0, 0]);
    assert_eq!(bench.start.elapsed(), Duration::from_secs(2));
}

thread_local! {
    /// What this thread logged. One subscriber for all threads, because with one of a thread's own
    /// the callsites that other threads register remember that nobody listens.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ThreadLog;

impl std::io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every change of health there is, each of them lasting for more than one batch.
async fn ups_and_downs() -> Bench {
    let lost = Some(Outcome::lost(Loss::Rejected, "400 Bad Request"));
    let policy = Policy { capacity: 4, ..Policy::default() };
    let script = [
        accepted(),
        accepted(),
        retry(None),
        retry(None),
        retry(None),
        accepted(),
        lost.clone(),
        lost,
    ];
    let bench = Bench::new(policy, script);
    for _ in 0..2 {
        bench.offer(1);
        seconds(2).await;
    }
    // Fails three times, and overflows meanwhile.
    bench.offer(9);
    seconds(30).await;
    for _ in 0..2 {
        bench.offer(1);
        seconds(2).await;
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn changes_are_logged_once_and_repetitions_never() {
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(|| ThreadLog)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    // A callsite that another thread was registering just then may have missed it.
    ups_and_downs().await;
    tracing::callsite::rebuild_interest_cache();
    LOG.take();
    let bench = ups_and_downs().await;
    let expected = [
        "INFO delivering to the script",
        "WARN service shop has its share of the queue of 4 spans, its newest are dropped and \
         counted as otlp.lost.share",
        "WARN cannot deliver to the script: busy. Trying again for up to 300s a batch",
        "INFO delivering to the script again",
        "ERROR the script refuses the data, which is lost: 400 Bad Request",
    ];
    let text = String::from_utf8(LOG.take()).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line:?} is not {expected:?}");
    }
    bench.assert_account([13, 4, 7, 2, 0]);
}
