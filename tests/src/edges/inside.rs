//! The sensor within the test's own process: the capture and the assembly that `sensor run` uses, with
//! bounds that no user can choose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use sensor::capture::live::{self, EngineChoice, Live, LogOptions, Options};
use sensor::capture::{Decoding, Progress, Source as _};
use sensor::export::terminal::{JsonLines, SpanWriter as _, Summary};
use sensor::metrics::Metrics;
use sensor::process::{Selection, Trust};
use sensor::trace::{Limits, Pipeline};

use crate::sensor::{Engine, Report};

/// How long a source that is idle is left alone.
const REST: Duration = Duration::from_millis(4);
/// How long what is in the ring may take at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Flows that the kernel side tracks at once.
    pub flows: u32,
    /// Those of the assembly.
    pub limits: Limits,
}

/// A capture that runs on a thread of its own.
#[derive(Debug)]
pub struct Inside {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Result<String>>,
}

impl Inside {
    /// Traces these processes and their children. Returns when the programs are attached.
    ///
    /// # Panics
    /// When they cannot be.
    #[must_use]
    pub fn start(engine: Engine, pids: &[u32], bounds: Bounds) -> Self {
        let metrics = Arc::new(Metrics::default());
        let live = match open(engine, pids, bounds, &metrics) {
            Ok(live) => live,
            Err(error) => panic!("{error:#}"),
        };
        let ending = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ending);
        let thread = thread::spawn(move || run(live, bounds.limits, &metrics, &asked));
        Self { ending, thread }
    }

    /// Ends it, and takes all that it made.
    ///
    /// # Panics
    /// When it broke off.
    #[must_use]
    pub fn stop(self) -> Report {
        self.ending.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(Ok(lines)) => Report::of(&lines, String::new()),
            other => panic!("{other:?}"),
        }
    }
}

fn open(engine: Engine, pids: &[u32], bounds: Bounds, metrics: &Arc<Metrics>) -> Result<Live> {
    let selection = Selection::new(pids.iter().copied(), &[], &[])
        .map_err(|errors| anyhow!("these processes cannot be selected: {errors:?}"))?;
    let options = Options {
        selection,
        ports: Vec::new(),
        cgroups: Vec::new(),
        engine: EngineChoice::Only(match engine {
            Engine::Socket => live::Engine::Socket,
            Engine::Syscall => live::Engine::Syscall,
        }),
        ring_bytes: 16 << 20,
        flows: Some(bounds.flows),
        event_loops: true,
        go_probes: true,
        trust: Trust::default(),
        logs: LogOptions::default(),
        verbose: false,
    };
    Ok(Live::open(&options, metrics)?)
}

/// What `sensor run --output json` writes.
fn run(live: Live, limits: Limits, metrics: &Arc<Metrics>, ending: &AtomicBool) -> Result<String> {
    let mut feed = Decoding::new(live, Arc::clone(metrics));
    let mut pipeline = Pipeline::new(limits, Arc::clone(metrics));
    let mut lines = Vec::new();
    let mut out = JsonLines::new(&mut lines);
    let mut until: Option<Instant> = None;
    loop {
        let mut written = Ok(());
        let progress = feed.poll(&mut |event| {
            pipeline.handle(&event, &mut |span| {
                if written.is_ok() {
                    written = out.span(&span);
                }
            });
        })?;
        written?;
        match (progress, until) {
            (Progress::Finished, _) => break,
            (Progress::Idle, None) => thread::sleep(REST),
            (_, Some(until)) if Instant::now() > until => bail!("the ring does not run empty"),
            _ => {}
        }
        if until.is_none() && ending.load(Ordering::Relaxed) {
            feed.source().stop();
            until = Some(Instant::now() + DRAIN);
        }
    }
    let mut written = Ok(());
    pipeline.finish(&mut |span| {
        if written.is_ok() {
            written = out.span(&span);
        }
    });
    written?;
    let mut counters: Vec<_> =
        metrics.snapshot().map(|(name, value)| (name.to_owned(), value)).collect();
    counters.push(("exchanges.open".to_owned(), pipeline.open_exchanges() as u64));
    counters.extend(feed.source().counters());
    out.summary(&Summary { counters, ..Summary::default() })?;
    String::from_utf8(lines).context("not text")
}
