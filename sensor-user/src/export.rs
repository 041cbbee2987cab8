//! Where spans go: one directory per destination.
//!
//! The terminal is written to by whoever owns standard output, in that thread. The backends (OTLP,
//! Loki) are reached by delivery tasks, one each, behind bounded queues; [`delivery`] is the one
//! place where batches, retries and losses are decided. Per backend, at any quiet moment:
//! `offered = sent + queued + Σ lost.*`.

mod delivery;
mod http;
pub mod loki;
pub mod otlp;
pub mod terminal;

#[cfg(test)]
mod testing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::model::{LogRecord, Span, SpanKind};

pub use delivery::Policy;
use delivery::{Backend, Queue, Worker};

/// What the sensor calls itself towards backends.
const USER_AGENT: &str = concat!("sensor/", env!("CARGO_PKG_VERSION"));

/// How long the delivery tasks go on after the last handle is dropped without a shutdown.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// Which backends to export to. Both may be absent.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Spans over OTLP.
    pub otlp: Option<otlp::Settings>,
    /// A line per server exchange to Loki.
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

/// Spans waiting for or on their way to each backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Towards OTLP.
    pub otlp: u64,
    /// Towards Loki.
    pub loki: u64,
}

/// The running exporters. Clones share them.
#[derive(Clone, Debug)]
pub struct Exporters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    otlp: Option<Delivery>,
    loki: Option<Delivery>,
}

/// A queue and the task that empties it.
#[derive(Debug)]
struct Delivery {
    queue: Arc<Queue>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Exporters {
    /// Starts the delivery tasks on `runtime`, which has to outlive them: call
    /// [`shutdown`](Self::shutdown) before it ends.
    ///
    /// # Errors
    /// At once for what can never work (an unreadable certificate); not for an unreachable backend,
    /// which is retried, logged and counted.
    #[expect(clippy::needless_pass_by_value, reason = "the settings have done their work here")]
    pub fn start(
        settings: Settings,
        metrics: Arc<Metrics>,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        // The gRPC channel binds itself to the runtime in whose context it is made.
        let _context = runtime.enter();
        let otlp = settings
            .otlp
            .as_ref()
            .map(|settings| {
                let sink = otlp::Sink::new(settings)?;
                let (policy, timeout) = (settings.policy.clone(), settings.timeout);
                Ok(Delivery::start(sink, policy, timeout, &otlp::LEDGER, &metrics, runtime))
            })
            .transpose()?;
        let loki = settings
            .loki
            .as_ref()
            .map(|settings| {
                let sink = loki::Sink::new(settings)?;
                let (policy, timeout) = (settings.policy.clone(), settings.timeout);
                Ok(Delivery::start(sink, policy, timeout, &loki::LEDGER, &metrics, runtime))
            })
            .transpose()?;
        Ok(Self(Arc::new(Inner { otlp, loki })))
    }

    /// Queues a span for every backend that wants it. Never blocks; what a full queue refuses is
    /// counted as lost.
    pub fn offer(&self, span: &Arc<Span>) {
        if let Some(otlp) = &self.0.otlp {
            otlp.queue.offer(span);
        }
        if let Some(loki) = &self.0.loki
            && span.kind == SpanKind::Server
        {
            loki.queue.offer(span);
        }
    }

    /// The same for a record of a log.
    pub fn offer_record(&self, _record: &Arc<LogRecord>) {}

    /// Whether there is any backend at all.
    pub fn any(&self) -> bool {
        self.0.otlp.is_some() || self.0.loki.is_some()
    }

    /// What is queued now, requests on their way included.
    pub fn queued(&self) -> Queued {
        let queued = |delivery: &Option<Delivery>| {
            delivery.as_ref().map_or(0, |delivery| delivery.queue.queued())
        };
        Queued { otlp: queued(&self.0.otlp), loki: queued(&self.0.loki) }
    }

    /// Delivers what is queued, for at most `deadline`, and ends the tasks. What remains then is
    /// counted as lost (`failed`), and so is everything that other clones offer afterwards.
    pub async fn shutdown(self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        let deliveries = || [&self.0.otlp, &self.0.loki].into_iter().flatten();
        deliveries().for_each(|delivery| delivery.queue.close(deadline));
        for delivery in deliveries() {
            let worker = delivery.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(worker) = worker
                && let Err(error) = worker.await
            {
                tracing::error!(%error, "a delivery task broke off: what it held is lost");
            }
            delivery.queue.abandon();
        }
    }
}

impl Delivery {
    fn start<B: Backend>(
        backend: B,
        policy: Policy,
        timeout: Duration,
        ledger: &'static delivery::Ledger,
        metrics: &Arc<Metrics>,
        runtime: &Handle,
    ) -> Self {
        let queue = Arc::new(Queue::new(policy.clone(), ledger, Arc::clone(metrics)));
        let worker = Worker::new(backend, Arc::clone(&queue), policy, timeout);
        Self { queue, worker: Mutex::new(Some(runtime.spawn(worker.run()))) }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for delivery in [&self.otlp, &self.loki].into_iter().flatten() {
            delivery.queue.close(Instant::now() + DROP_GRACE);
        }
    }
}
