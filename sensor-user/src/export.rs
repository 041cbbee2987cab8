//! Where spans and records of logs go: one directory per destination.
//!
//! The terminal is written to by whoever owns standard output, in that thread. The backends (OTLP,
//! Loki) are reached by delivery tasks, one each, behind bounded queues; [`delivery`] is the one
//! place where batches, retries and losses are decided. Per backend, at any quiet moment:
//! `offered = sent + queued + Σ lost.*`.

mod access;
mod delivery;
mod http;
pub mod loki;
pub mod otlp;
mod secrets;
pub mod terminal;
mod text;

#[cfg(test)]
mod testing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::model::{LogRecord, LogSource, Span, SpanKind};

pub use delivery::Policy;
pub(crate) use delivery::weight_of_record;
use delivery::{Backend, Item, Queue, Worker};
pub(crate) use secrets::endpoint_holds_key;

/// What the sensor calls itself towards backends.
const USER_AGENT: &str = concat!("sensor/", env!("CARGO_PKG_VERSION"));

/// How long the delivery tasks go on after the last handle is dropped without a shutdown.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// Which backends to export to. Both may be absent.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Spans over OTLP.
    pub otlp: Option<otlp::Settings>,
    /// Records of logs over OTLP.
    pub otlp_logs: Option<otlp::Settings>,
    /// Records of logs, and one of each server exchange, to Loki.
    pub loki: Option<loki::Settings>,
}

/// Why the exporters cannot start. Never for a backend that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file with trusted certificates cannot be used.
    #[error("cannot use the certificates in {path}: {reason}; it has to be a readable PEM file")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP or gRPC client cannot be set up.
    #[error("cannot set up the client for {target}: {reason}")]
    Client {
        /// The endpoint.
        target: String,
        /// What is wrong.
        reason: String,
    },
}

/// What waits for each backend, or is on its way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Towards OTLP: spans, and records of logs.
    pub otlp: u64,
    /// Towards Loki.
    pub loki: u64,
}

/// The running exporters. Clones share them.
#[derive(Clone, Debug)]
pub struct Exporters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    otlp: Option<Delivery<Arc<Span>>>,
    otlp_logs: Option<Delivery<Arc<LogRecord>>>,
    loki: Option<Delivery<loki::Entry>>,
}

/// A queue and the task that empties it.
#[derive(Debug)]
struct Delivery<T> {
    queue: Arc<Queue<T>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Exporters {
    /// Starts the delivery tasks on `runtime`, which has to outlive them: call
    /// [`shutdown`](Self::shutdown) before it ends.
    ///
    /// # Errors
    /// At once for what can never work (an unreadable certificate); not for an unreachable backend,
    /// which is retried, logged and counted.
    #[expect(clippy::needless_pass_by_value, reason = "each task has its own")]
    pub fn start(
        settings: Settings,
        metrics: Arc<Metrics>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        // The gRPC channel binds itself to the runtime in whose context it is made.
        let _context = runtime.enter();
        let Settings { otlp, otlp_logs, loki } = settings;
        let start_otlp = |settings: otlp::Settings| {
            let sink = otlp::Sink::traces(&settings)?;
            let otlp::Settings { policy, timeout, .. } = settings;
            Ok(Delivery::start(sink, policy, timeout, &otlp::LEDGER, &metrics, runtime))
        };
        let start_otlp_logs = |settings: otlp::Settings| {
            let sink = otlp::Sink::logs(&settings)?;
            let otlp::Settings { policy, timeout, .. } = settings;
            Ok(Delivery::start(sink, policy, timeout, &otlp::LOGS_LEDGER, &metrics, runtime))
        };
        let start_loki = |settings: loki::Settings| {
            let sink = loki::Sink::new(&settings)?;
            let loki::Settings { policy, timeout, .. } = settings;
            Ok(Delivery::start(sink, policy, timeout, &loki::LEDGER, &metrics, runtime))
        };
        Ok(Self(Arc::new(Inner {
            otlp: otlp.map(start_otlp).transpose()?,
            otlp_logs: otlp_logs.map(start_otlp_logs).transpose()?,
            loki: loki.map(start_loki).transpose()?,
        })))
    }

    /// Queues a span for every backend that wants it. Never blocks; what a full queue refuses is
    /// counted as lost.
    pub fn offer(&self, span: &Arc<Span>) {
        if let Some(otlp) = &self.0.otlp {
            otlp.queue.offer(Arc::clone(span));
        }
        if span.kind == SpanKind::Server {
            self.offer_access_record(span);
        }
    }

    /// Queues the access record of a server span, which is a log: it goes out although the span does
    /// not.
    pub fn offer_access_record(&self, span: &Arc<Span>) {
        if let Some(loki) = &self.0.loki {
            loki.queue.offer(loki::Entry::Exchange(Arc::clone(span)));
        }
    }

    /// The same for a record of a log.
    pub fn offer_record(&self, record: &Arc<LogRecord>) {
        // An exchange is a span there.
        if let Some(otlp) = &self.0.otlp_logs
            && record.source != LogSource::Exchange
        {
            otlp.queue.offer(Arc::clone(record));
        }
        if let Some(loki) = &self.0.loki {
            loki.queue.offer(loki::Entry::Record(Arc::clone(record)));
        }
    }

    /// Whether there is any backend at all.
    pub fn any(&self) -> bool {
        let Inner { otlp, otlp_logs, loki } = &*self.0;
        otlp.is_some() || otlp_logs.is_some() || loki.is_some()
    }

    /// What is queued now, requests on their way included.
    pub fn queued(&self) -> Queued {
        let Inner { otlp, otlp_logs, loki } = &*self.0;
        Queued {
            otlp: queued(otlp.as_ref()) + queued(otlp_logs.as_ref()),
            loki: queued(loki.as_ref()),
        }
    }

    /// Delivers what is queued, for at most `deadline`, and ends the tasks. What remains then is
    /// counted as lost (`failed`), and so is everything that other clones offer afterwards.
    pub async fn shutdown(self, deadline: Duration) {
        let Inner { otlp, otlp_logs, loki } = &*self.0;
        self.0.close(Instant::now() + deadline);
        end(otlp.as_ref()).await;
        end(otlp_logs.as_ref()).await;
        end(loki.as_ref()).await;
    }
}

fn queued<T: Item>(delivery: Option<&Delivery<T>>) -> u64 {
    delivery.map_or(0, |delivery| delivery.queue.queued())
}

/// Waits for a task that was asked to end, and gives up what it leaves.
async fn end<T: Item>(delivery: Option<&Delivery<T>>) {
    let Some(Delivery { queue, worker }) = delivery else { return };
    let worker = worker.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(worker) = worker
        && let Err(error) = worker.await
    {
        tracing::error!(%error, "a delivery task broke off: what it held is lost");
    }
    queue.abandon();
}

impl Inner {
    fn close(&self, deadline: Instant) {
        fn close<T: Item>(delivery: Option<&Delivery<T>>, deadline: Instant) {
            if let Some(delivery) = delivery {
                delivery.queue.close(deadline);
            }
        }
        close(self.otlp.as_ref(), deadline);
        close(self.otlp_logs.as_ref(), deadline);
        close(self.loki.as_ref(), deadline);
    }
}

impl<T: Item> Delivery<T> {
    fn start<B: Backend<Item = T>>(
        backend: B,
        policy: Policy,
        timeout: Duration,
        ledger: &'static delivery::Ledger,
        metrics: &Arc<Metrics>,
        runtime: &Handle,
    ) -> Self {
        let metrics = Arc::clone(metrics);
        let queue = Arc::new(Queue::new(B::GROUPING, policy.clone(), ledger, metrics));
        let worker = Worker::new(backend, Arc::clone(&queue), policy, timeout);
        Self { queue, worker: Mutex::new(Some(runtime.spawn(worker.run()))) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close(Instant::now() + DROP_GRACE);
    }
}
