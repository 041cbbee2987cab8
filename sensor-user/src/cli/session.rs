//! From a source of events to wherever spans go, and to an end in good order: what `run` and
//! `replay` share.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashMap;
use tokio::runtime::{Builder, Runtime};

use crate::capture::event::Event;
use crate::capture::{CaptureError, Progress};
use crate::config;
use crate::context;
use crate::export::Exporters;
use crate::export::terminal::{
    Clock, JsonLines, Pretty, PrettyOptions, ServiceCount, SpanWriter, Summary, Tree,
};
use crate::govern::{self, Governor, Verdict};
use crate::logs::{self, Lines};
use crate::metrics::Metrics;
use crate::model::{LogRecord, Resource, Span, SpanId, SpanKind, Status};
use crate::process::utc_offset;
use crate::system::notify::ServiceManager;
use crate::system::{private_file, restrict};
use crate::trace::{self, Pipeline};

use super::Failure;
use super::footer::{Footer, Screen, Watch};
use super::output::{self, Ended, Output, Shared, Sheet};
use super::pipeline::{self, Limits, Work};
use super::stop::Stop;
use super::view::View;

/// How long exporters may take to deliver what is queued when the command ends.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// How long standard output may take for what is queued when the command ends.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(2);

/// Spans that may be on their way to a backend before a replay waits: half of the smallest queue
/// that is any use, so that a replay loses nothing to its own speed.
const REPLAY_QUEUED: u64 = 256;

/// How long a replay waits for a backend that takes nothing.
const REPLAY_PATIENCE: Duration = Duration::from_secs(10);

/// How old an exchange is when it is first shown before its end.
const LONG: Duration = Duration::from_secs(10);

/// Services that are told apart in the summary; the rest are one.
const SERVICES: usize = 1000;

/// A source of events, live or not.
pub(super) trait Feed {
    /// [`crate::capture::Source::poll`].
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError>;
    /// What the kernel side counted until now.
    fn kernel_counters(&mut self) -> Vec<(String, u64)>;
    /// No more is to come: what is there already can still be polled.
    fn stop(&mut self) {}
    /// What is still there will not be polled any more; it is counted where it counts as lost.
    fn abandon(&mut self) {}
}

/// What `run` and `replay` do differently.
pub(super) struct Plan {
    pub(super) output: config::Output,
    pub(super) export: config::Export,
    /// What is kept of requests.
    pub(super) context: context::Settings,
    /// Whose trace contexts count.
    pub(super) callers: trace::Callers,
    pub(super) govern: govern::Settings,
    pub(super) limits: Limits,
    /// There may be lines of logs, and it will be asked whose they are.
    pub(super) lines: bool,
    /// Only some processes are traced; so the filter may be why nothing is.
    pub(super) filtered: bool,
    /// Spans wait for their receivers instead of being lost: nothing else is waiting.
    pub(super) patient: bool,
}

/// Everything that runs beside the main loop.
pub(super) struct Session {
    stop: Stop,
    context: context::Settings,
    callers: trace::Callers,
    limits: Limits,
    lines: bool,
    metrics: Arc<Metrics>,
    view: Arc<View>,
    runtime: Runtime,
    sinks: Sinks,
}

impl Session {
    /// Starts what has to be there before the first event: signal handlers, exporters, the output.
    ///
    /// # Errors
    /// When one of them cannot be started.
    pub(super) fn start(
        plan: Plan,
        screen: &Screen,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Failure> {
        let Plan { output, export, context, callers, govern, limits, lines, filtered, patient } =
            plan;
        let broken = |what: &str, error: &dyn std::error::Error| {
            Failure::Broken(format!("cannot start {what}: {error}"))
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("export")
            .on_thread_start(restrict::without_capabilities)
            .enable_all()
            .build()
            .map_err(|error| broken("threads", &error))?;
        let stop = Stop::default();
        stop.on_signals(runtime.handle()).map_err(|error| broken("signal handlers", &error))?;
        for note in &export.notes {
            tracing::warn!("{note}");
        }
        let exporters = Exporters::start(export.settings, Arc::clone(&metrics), runtime.handle())
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let governor = Governor::new(govern, Arc::clone(&metrics));
        let view = View::new(Arc::clone(&metrics)).with_rules(governor.rule_counts());
        let view = Arc::new(view);
        let terminal = io::stdout().is_terminal();
        if output != config::Output::None
            && let Some(mode) = private_file::readable_by_others(io::stdout())
        {
            tracing::warn!(
                "standard output is a file that others may read (mode {mode:04o}), and gets captured data: \
                 `umask 077` before, or `chmod 600` it"
            );
        }
        let out = Shared::new(Box::new(io::stdout()));
        let writer: Option<Box<dyn SpanWriter + Send>> = match output {
            config::Output::Auto if !terminal => Some(Box::new(JsonLines::new(out.clone()))),
            config::Output::Json => Some(Box::new(JsonLines::new(out.clone()))),
            config::Output::Auto | config::Output::Pretty => {
                Some(Box::new(Pretty::new(out.clone(), style(terminal))))
            }
            config::Output::Tree => Some(Box::new(Tree::new(out.clone(), style(terminal)))),
            config::Output::None => None,
        };
        let for_people = !matches!(output, config::Output::Json | config::Output::None);
        let footer = for_people && terminal;
        let writer = writer
            .map(|writer| {
                let watch = Watch::new(Arc::clone(&view), filtered);
                let footer = footer.then(|| Footer::new(screen.clone()));
                let sheet =
                    Sheet { writer, out, watch, footer, reader_gone: output::stdout_is_gone };
                Output::start(sheet, stop.clone(), Arc::clone(&metrics))
            })
            .transpose()
            .map_err(|error| broken("the output", &error))?;
        let patience = patient.then(|| Patience { stop: stop.clone(), exhausted: false });
        let services = Services::default();
        let sinks = Sinks { output: writer, exporters, governor, services, patience };
        Ok(Self { stop, context, callers, limits, lines, metrics, view, runtime, sinks })
    }

    /// Runs to the end: polls, drains, delivers, and says what came of it.
    ///
    /// # Errors
    /// When the source or the output broke; everything else is in good order by then.
    pub(super) fn run(self, feed: &mut dyn Feed) -> Result<ExitCode, Failure> {
        let Self { stop, context, callers, limits, lines, metrics, view, runtime, mut sinks } =
            self;
        let pipeline = Pipeline::new(trace::Limits::default(), Arc::clone(&metrics))
            .reading(context)
            .trusting(callers);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let zone = utc_offset(now.as_secs());
        let mut work = Tracing {
            feed,
            lines: Lines::new(logs::Limits::default(), zone, Arc::clone(&metrics)),
            pipeline: if lines { pipeline.with_lines() } else { pipeline },
            sinks: &mut sinks,
            view: &view,
            long: LongLived::default(),
        };
        let started = Instant::now();
        let captured =
            pipeline::drive(&mut work, &stop, limits, &mut ServiceManager::from_environment());
        let Tracing { pipeline, lines, sinks: last, .. } = &mut work;
        pipeline.finish(&mut |span| last.deliver(span));
        lines.finish(pipeline, &mut |record| last.deliver_record(record));

        let Sinks { output, exporters, services, governor: _, patience: _ } = sinks;
        runtime.block_on(exporters.shutdown(EXPORT_DEADLINE));
        let summary = move || Summary {
            elapsed: started.elapsed(),
            counters: view.counters().0,
            by_service: services.counted(),
        };
        let written = match output {
            None => {
                say(&summary());
                Ok(())
            }
            Some(output) => match output.finish(summary, OUTPUT_DEADLINE) {
                Ended::Written | Ended::ReaderGone => Ok(()),
                Ended::Failed(error) => Err(Failure::Broken(format!(
                    "cannot write to standard output: {error}; what was not written is lost"
                ))),
                Ended::Stuck(summary) => {
                    tracing::warn!("standard output is not being read; the summary comes here");
                    say(&summary);
                    Ok(())
                }
            },
        };
        // The delivery tasks have ended or were given up; nothing there may hold up the exit.
        runtime.shutdown_background();
        captured.map_err(|error| Failure::Broken(error.to_string()))?;
        written.map(|()| ExitCode::SUCCESS)
    }
}

/// The summary on standard error, where standard output is not for it.
fn say(summary: &Summary) {
    let style = style(io::stderr().is_terminal());
    // With standard error gone too, there is nobody left to tell.
    let _ = Pretty::new(io::stderr(), style).summary(summary);
}

/// How lines for people look there.
fn style(terminal: bool) -> PrettyOptions {
    let width = terminal_size::terminal_size().map(|(width, _)| width.0.into());
    PrettyOptions {
        colour: terminal && super::colour_is_welcome(),
        width: width.filter(|_| terminal),
        full_trace_ids: false,
        clock: Clock::Local,
    }
}

/// The work of the main loop.
struct Tracing<'a> {
    feed: &'a mut dyn Feed,
    pipeline: Pipeline,
    lines: Lines,
    sinks: &'a mut Sinks,
    view: &'a View,
    long: LongLived,
}

impl Work for Tracing<'_> {
    fn poll(&mut self) -> Result<Progress, CaptureError> {
        let Self { feed, pipeline, lines, sinks, view: _, long: _ } = self;
        feed.poll(&mut |event| {
            lines.before(&event, pipeline, &mut |record| sinks.deliver_record(record));
            pipeline.handle(&event, &mut |span| sinks.deliver(span));
            lines.handle(&event, pipeline, &mut |record| sinks.deliver_record(record));
        })
    }

    fn stop(&mut self) {
        self.feed.stop();
    }

    fn abandon(&mut self) {
        self.feed.abandon();
    }

    fn tick(&mut self) -> Result<(), CaptureError> {
        let open = u64::try_from(self.pipeline.open_exchanges()).unwrap_or(u64::MAX);
        self.view.update(&self.feed.kernel_counters(), open);
        self.long.tell(&self.pipeline, self.sinks);
        Ok(())
    }
}

/// Exchanges that go on for long, and at what age they are shown next: after [`LONG`], and then
/// each time that they are twice as old.
#[derive(Default)]
struct LongLived(FxHashMap<SpanId, Duration>);

impl LongLived {
    fn tell(&mut self, pipeline: &Pipeline, sinks: &mut Sinks) {
        // A replay has its spans before anybody could have watched them come.
        let live = sinks.patience.is_none();
        let Sinks { output, governor, .. } = sinks;
        let Some(output) = output.as_mut().filter(|_| live) else {
            return;
        };
        let before = std::mem::take(&mut self.0);
        let wanted = |id, age| {
            if age < LONG {
                return false;
            }
            let due = before.get(&id).copied().unwrap_or(LONG);
            self.0.insert(id, if age < due { due } else { age * 2 });
            age >= due
        };
        pipeline.open_now(wanted, &mut |so_far| {
            if let Some(so_far) = governor.show(so_far) {
                output.offer_open(so_far);
            }
        });
    }
}

/// Where spans go.
struct Sinks {
    output: Option<Output>,
    exporters: Exporters,
    governor: Governor,
    services: Services,
    patience: Option<Patience>,
}

/// A replay waits for its receivers.
struct Patience {
    stop: Stop,
    /// A backend took nothing for [`REPLAY_PATIENCE`]: from then on it loses what it cannot hold.
    exhausted: bool,
}

impl Sinks {
    fn deliver_record(&mut self, record: LogRecord) {
        let Some(record) = self.governor.govern_record(record) else {
            return;
        };
        let record = Arc::new(record);
        if let Some(patience) = &mut self.patience {
            patience.wait(&self.exporters);
        }
        self.exporters.offer_record(&record);
        if let Some(output) = &mut self.output {
            output.offer_record(&record, self.patience.as_ref().map(|patience| &patience.stop));
        }
    }

    fn deliver(&mut self, span: Span) {
        // All of them: what is left out was traffic all the same.
        self.services.count(&span);
        let verdict = self.governor.govern(span);
        if matches!(verdict, Verdict::Drop) || self.output.is_none() && !self.exporters.any() {
            return;
        }
        if let Some(patience) = &mut self.patience {
            patience.wait(&self.exporters);
        }
        let span = match verdict {
            Verdict::Drop => return,
            Verdict::Record(span) => return self.exporters.offer_access_record(&Arc::new(span)),
            Verdict::Export(span) => Arc::new(span),
        };
        self.exporters.offer(&span);
        if let Some(output) = &mut self.output {
            output.offer(&span, self.patience.as_ref().map(|patience| &patience.stop));
        }
    }
}

/// Spans by service.
#[derive(Default)]
struct Services {
    counts: Vec<(String, ServiceCount)>,
    by_name: BTreeMap<String, usize>,
    /// The same by the resource's address, which stays what it is while the resource is held here.
    /// At most [`SERVICES`]; then it begins anew.
    by_resource: FxHashMap<usize, (Arc<Resource>, Option<usize>)>,
}

impl Services {
    /// To its service; spans of unknown services are in the counters alone.
    fn count(&mut self, span: &Span) {
        let address = Arc::as_ptr(&span.resource).addr();
        let at = match self.by_resource.get(&address) {
            Some(&(_, at)) => at,
            None => {
                let at = span.resource.service_name().map(|name| self.place(name));
                if self.by_resource.len() >= SERVICES {
                    self.by_resource.clear();
                }
                self.by_resource.insert(address, (Arc::clone(&span.resource), at));
                at
            }
        };
        let Some((_, count)) = at.and_then(|at| self.counts.get_mut(at)) else {
            return;
        };
        match span.kind {
            SpanKind::Server => count.server += 1,
            SpanKind::Client => count.client += 1,
        }
        count.errors += u64::from(span.status == Status::Error);
    }

    fn place(&mut self, service: &str) -> usize {
        let known = self.by_name.contains_key(service) || self.by_name.len() < SERVICES;
        let name = if known { service } else { "(others)" };
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let at = self.counts.len();
        self.counts.push((name.to_owned(), ServiceCount::default()));
        self.by_name.insert(name.to_owned(), at);
        at
    }

    /// By name, in its order.
    fn counted(self) -> Vec<(String, ServiceCount)> {
        let mut counts = self.counts;
        counts.sort_by(|(a, _), (b, _)| a.cmp(b));
        counts
    }
}

impl Patience {
    /// Until few enough spans are queued for every backend.
    fn wait(&mut self, exporters: &Exporters) {
        let queued = || {
            let queued = exporters.queued();
            queued.otlp.max(queued.loki)
        };
        let started = Instant::now();
        while !self.exhausted && queued() >= REPLAY_QUEUED && !self.stop.requested() {
            if started.elapsed() >= REPLAY_PATIENCE {
                tracing::warn!("a backend takes no spans; the replay goes on without it");
                self.exhausted = true;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests;
