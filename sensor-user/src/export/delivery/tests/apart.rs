//! Streams that the backend treats differently do not hold up each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Backend, Grouping, Outcome, Part, Policy, Queue, Scope, Worker};
use super::{TIMEOUT, seconds};
use crate::export::otlp::LEDGER;
use crate::export::testing::{account, assert_balanced, resource, span_of};
use crate::metrics::{Counter, Metrics};
use crate::model::{Resource, Span};

/// What comes of a request of a service, by its name and how often it was asked before.
type Answers = fn(&str, usize) -> Outcome;

/// One stream a service. Notes when each request came, of whom, and with which spans.
#[derive(Clone)]
struct Streams {
    answers: Answers,
    requests: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone, Debug)]
struct Request {
    at: Instant,
    service: String,
    /// Their numbers, as they were offered.
    spans: Vec<u64>,
}

impl Backend for Streams {
    type Item = Arc<Span>;
    type Request = (String, Vec<u64>);

    const GROUPING: Grouping = Grouping::Stream;

    fn target(&self) -> &'static str {
        "the streams"
    }

    fn encode(&self, batch: Vec<Arc<Span>>) -> Vec<Part<Self::Request>> {
        let service = batch[0].resource.service_name().unwrap();
        assert!(batch.iter().all(|span| span.resource.service_name() == Some(service)));
        let numbers = batch.iter().map(|span| span.start_unix_ns).collect();
        vec![Part { request: (service.to_owned(), numbers), items: batch.len() as u64 }]
    }

    async fn send(&self, part: &Part<Self::Request>) -> Outcome {
        let (service, spans) = part.request.clone();
        let mut requests = self.requests.lock().unwrap();
        let before = requests.iter().filter(|request| request.service == service).count();
        requests.push(Request { at: Instant::now(), service: service.clone(), spans });
        (self.answers)(&service, before)
    }
}

struct Bench {
    backend: Streams,
    queue: Arc<Queue<Arc<Span>>>,
    metrics: Arc<Metrics>,
    resources: BTreeMap<&'static str, Arc<Resource>>,
    /// Of each span, when it was offered.
    offered: Vec<Instant>,
    start: Instant,
}

impl Bench {
    fn new(policy: Policy, answers: Answers) -> Self {
        let backend = Streams { answers, requests: Arc::default() };
        let metrics = Arc::new(Metrics::default());
        let queue = Queue::new(Grouping::Stream, policy.clone(), &LEDGER, Arc::clone(&metrics));
        let queue = Arc::new(queue);
        let worker = Worker::new(backend.clone(), Arc::clone(&queue), policy, TIMEOUT);
        tokio::spawn(worker.run());
        let (resources, offered) = Default::default();
        Self { backend, queue, metrics, resources, offered, start: Instant::now() }
    }

    fn offer(&mut self, service: &'static str, count: usize) {
        let resource = self.resources.entry(service).or_insert_with(|| resource(service));
        for _ in 0..count {
            let start_unix_ns = self.offered.len() as u64;
            self.offered.push(Instant::now());
            self.queue.offer(Arc::new(Span { start_unix_ns, ..span_of(resource, 1) }));
        }
        self.assert_balanced();
    }

    #[track_caller]
    fn assert_balanced(&self) {
        assert_balanced(&self.metrics, &LEDGER, self.queue.queued());
    }

    /// The requests of a service: milliseconds since the start, and spans.
    fn requests(&self, service: &str) -> Vec<(u128, Vec<u64>)> {
        let requests = self.backend.requests.lock().unwrap().clone();
        let mine = requests.into_iter().filter(|request| request.service == service);
        mine.map(|it| ((it.at - self.start).as_millis(), it.spans)).collect()
    }

    /// How long the spans of a service waited for their last request, in milliseconds.
    fn waits(&self, service: &str) -> Vec<u128> {
        let requests = self.backend.requests.lock().unwrap().clone();
        let mine = requests.iter().filter(|request| request.service == service);
        let mut waits = BTreeMap::new();
        for request in mine {
            for &number in &request.spans {
                let offered = self.offered[usize::try_from(number).unwrap()];
                waits.insert(number, (request.at - offered).as_millis());
            }
        }
        waits.into_values().collect()
    }

    fn account(&self) -> [u64; 5] {
        account(&self.metrics, &LEDGER)
    }
}

fn later(scope: Scope, after: Option<u64>) -> Outcome {
    Outcome::Retry { scope, reason: "429".into(), after: after.map(Duration::from_secs) }
}

/// A process that prints fast runs into the limit of its stream. Another one's lines arrive in
/// their time, all of them; the fast one's are late or lost, and each of those is counted.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_slowed_down_waits_alone() {
    let policy = Policy {
        capacity: 1_000,
        batch_items: 100,
        retry_limit: Duration::from_secs(20),
        ..Policy::default()
    };
    let mut bench = Bench::new(policy, |service, _| match service {
        "aanoisy" => later(Scope::Stream, None),
        _ => Outcome::ACCEPTED,
    });
    for _ in 0..200 {
        bench.offer("aanoisy", 50);
        bench.offer("quiet", 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.assert_balanced();
    }
    seconds(2).await;
    let waits = bench.waits("quiet");
    assert_eq!(waits.len(), 200);
    assert!(waits.iter().all(|wait| *wait <= 1_000), "{waits:?}");
    let [offered, sent, refused, rejected, failed] = bench.account();
    assert_eq!((offered, sent, rejected), (200 * 51, 200, 0));
    // Each batch of 100 has 20 seconds; two thirds of the queue may wait behind it.
    assert_eq!(failed, 300, "of 62 seconds");
    assert_eq!(refused, bench.metrics.get(Counter::OtlpLostShare));
    // The last of these batches ended when nothing came any more.
    assert!((550..=567).contains(&bench.queue.queued()), "{}", bench.queue.queued());
    // Backoff: about ten requests a batch, not one for each second.
    let noisy = bench.requests("aanoisy").len();
    assert!((15..50).contains(&noisy), "{noisy}");
    bench.queue.close(Instant::now() + Duration::from_secs(1));
    seconds(2).await;
    assert_eq!(bench.queue.queued(), 0);
    bench.assert_balanced();
}

/// What comes later of a stream goes later, whatever becomes of what was before.
#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_order() {
    let policy = Policy { batch_items: 10, ..Policy::default() };
    let mut bench = Bench::new(policy, |_, before| match before {
        0..4 => later(Scope::Stream, None),
        _ => Outcome::ACCEPTED,
    });
    for _ in 0..40 {
        bench.offer("shop", 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    seconds(10).await;
    let requests = bench.requests("shop");
    let first: Vec<_> = requests[..5].iter().map(|(_, spans)| spans.clone()).collect();
    assert_eq!(first, vec![first[0].clone(); 5], "the same is tried until it is taken");
    let taken: Vec<_> = requests[4..].iter().flat_map(|(_, spans)| spans.clone()).collect();
    assert_eq!(taken, (0..40).collect::<Vec<_>>());
    assert_eq!(bench.account(), [40, 40, 0, 0, 0]);
    assert_eq!(bench.metrics.get(Counter::OtlpRetries), 4);
}

/// A wait that is asked of one stream is for that one.
#[tokio::test(start_paused = true)]
async fn a_stream_is_left_alone_for_as_long_as_is_asked() {
    let mut bench = Bench::new(Policy::default(), |service, before| match (service, before) {
        ("a", 0) => later(Scope::Stream, Some(77)),
        _ => Outcome::ACCEPTED,
    });
    bench.offer("a", 3);
    seconds(2).await;
    bench.offer("a", 1);
    bench.offer("b", 1);
    seconds(100).await;
    assert_eq!(
        bench.requests("a"),
        [(1_000, vec![0, 1, 2]), (78_000, vec![0, 1, 2]), (78_000, vec![3])]
    );
    assert_eq!(bench.requests("b"), [(3_000, vec![4])]);
    assert_eq!(bench.account(), [5, 5, 0, 0, 0]);
}

/// A stream is left alone also where its batch is given up at once, as it would have to wait too
/// long.
#[tokio::test(start_paused = true)]
async fn a_long_wait_holds_for_later_items_too() {
    let policy = Policy { retry_limit: Duration::from_secs(20), ..Policy::default() };
    let mut bench = Bench::new(policy, |service, before| match (service, before) {
        ("a", 0) => later(Scope::Stream, Some(30)),
        _ => Outcome::ACCEPTED,
    });
    bench.offer("a", 3);
    seconds(2).await;
    assert_eq!(bench.account(), [3, 0, 0, 0, 3]);
    bench.offer("a", 1);
    bench.offer("b", 1);
    seconds(60).await;
    assert_eq!(bench.requests("a"), [(1_000, vec![0, 1, 2]), (31_000, vec![3])]);
    assert_eq!(bench.requests("b"), [(3_000, vec![4])]);
    assert_eq!(bench.account(), [5, 2, 0, 0, 3]);
}

/// Refusals without a scope count only among themselves.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_stream_is_never_for_all() {
    let mut bench = Bench::new(Policy::default(), |service, before| match (service, before) {
        ("a" | "b", 0) => later(Scope::Unsaid, Some(3)),
        ("c" | "d" | "e", 0) => later(Scope::Stream, Some(3)),
        _ => Outcome::ACCEPTED,
    });
    for service in ["a", "b", "c", "d", "e", "quiet"] {
        bench.offer(service, 1);
    }
    seconds(2).await;
    assert_eq!(bench.requests("quiet"), [(1_000, vec![5])]);
    seconds(3).await;
    assert_eq!(bench.account(), [6, 6, 0, 0, 0]);
}

/// An answer that concerns the whole backend pauses all streams.
#[tokio::test(start_paused = true)]
async fn an_outage_pauses_all() {
    let mut bench = Bench::new(Policy::default(), |service, before| match (service, before) {
        ("a", 0) => later(Scope::Backend, Some(40)),
        _ => Outcome::ACCEPTED,
    });
    bench.offer("a", 1);
    seconds(2).await;
    bench.offer("b", 1);
    seconds(60).await;
    assert_eq!(bench.requests("a"), [(1_000, vec![0]), (41_000, vec![0])]);
    assert_eq!(bench.requests("b"), [(41_000, vec![1])]);
    bench.assert_balanced();
}

/// One that is failed again and again, as if all were, costs the others the first two steps of the
/// backoff at most.
#[tokio::test(start_paused = true)]
async fn a_stream_on_which_the_backend_fails_does_not_stop_the_others() {
    let mut bench = Bench::new(Policy::default(), |service, _| match service {
        "poison" => later(Scope::Backend, None),
        _ => Outcome::ACCEPTED,
    });
    bench.offer("poison", 10);
    for _ in 0..300 {
        bench.offer("quiet", 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.assert_balanced();
    }
    seconds(2).await;
    let waits = bench.waits("quiet");
    assert_eq!(waits.len(), 300);
    assert!(waits.iter().all(|wait| *wait <= 2_500), "{waits:?}");
    let poison = bench.requests("poison").len();
    assert!(poison < 15, "{poison} requests, as if there were no backoff");
    seconds(300).await;
    assert_eq!(bench.account(), [310, 300, 0, 0, 10]);
}

/// Where the backend does not say what a refusal is for, it is for one stream, until several are
/// refused.
#[tokio::test(start_paused = true)]
async fn refusals_without_a_word_are_for_all_when_all_are_refused() {
    let mut bench = Bench::new(Policy::default(), |service, _| match service {
        "a" | "b" | "c" => later(Scope::Unsaid, None),
        _ => Outcome::ACCEPTED,
    });
    for service in ["a", "b", "quiet"] {
        bench.offer(service, 1);
    }
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    // Two were refused; then one was taken at once.
    assert_eq!(bench.requests("quiet"), [(1_000, vec![2])]);
    bench.offer("c", 1);
    seconds(30).await;
    let all =
        |bench: &Bench| ["a", "b", "c"].map(|it| bench.requests(it).len()).iter().sum::<usize>();
    // One backoff for all of them, not three.
    let before = all(&bench);
    seconds(120).await;
    let after = all(&bench) - before;
    assert!((4..=8).contains(&after), "{after} requests in two minutes, at one in 15 to 30 s");
    assert_eq!(bench.queue.queued(), 3);
    seconds(300).await;
    assert_eq!(bench.account(), [4, 1, 0, 0, 3]);
}

/// Many streams that are set aside are tried by turns with what is new.
#[tokio::test(start_paused = true)]
async fn streams_set_aside_do_not_crowd_out_new_ones() {
    const NAMES: [&str; 40] = {
        let mut names = [""; 40];
        let all = "0123456789012345678901234567890123456789";
        let mut at = 0;
        while at < 40 {
            names[at] = all.split_at(at).1;
            at += 1;
        }
        names
    };
    let mut bench = Bench::new(Policy::default(), |service, _| match service {
        "quiet" => Outcome::ACCEPTED,
        _ => later(Scope::Stream, None),
    });
    for name in NAMES {
        bench.offer(name, 1);
    }
    for _ in 0..100 {
        bench.offer("quiet", 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    seconds(2).await;
    assert!(bench.waits("quiet").iter().all(|wait| *wait <= 1_000));
    assert_eq!(bench.account(), [140, 100, 0, 0, 0]);
    assert_eq!(bench.queue.queued(), 40);
}
