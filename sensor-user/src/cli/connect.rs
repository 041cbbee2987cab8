//! From settings to the parts that they are for, and from their failures to ours.

use std::sync::Arc;

use crate::capture::event::Event;
use crate::capture::live::{self, Live, probe};
use crate::capture::{CaptureError, Decoding, Progress, Source};
use crate::config::{Capture, Engine};
use crate::metrics::Metrics;
use crate::system::restrict;

use super::Failure;
use super::doctor;
use super::session::Feed;

/// Gives up what tracing does not need, before the first thread. Turns off probes in programs written
/// in Go where this process may not attach them, and returns whether it did.
#[must_use]
pub(super) fn restrict(capture: &mut Capture) -> bool {
    let refused = !restrict::for_tracing(capture.go_probes) && capture.go_probes;
    capture.go_probes &= !refused;
    refused
}

/// Loads and attaches the kernel side.
///
/// # Errors
/// [`Failure::Unsupported`] with what is missing and the remedies, where this machine cannot run
/// it; else what went wrong.
pub(super) fn open_live(
    capture: &Capture,
    probes_refused: bool,
    metrics: &Arc<Metrics>,
) -> Result<Live, Failure> {
    let live = Live::open(&options(capture), metrics).map_err(|error| {
        let mut text = format!("cannot trace: {}", chain(&error));
        let checks = probe::checks();
        let missing = doctor::missing(&checks);
        if missing.is_empty() {
            // Nothing is missing for another way of running it.
            return match error {
                live::OpenError::Engine { .. } => Failure::Unsupported(text),
                _ => Failure::Broken(text),
            };
        }
        for check in missing {
            text.push('\n');
            text.push_str(&doctor::line(check, false));
        }
        Failure::Unsupported(text)
    })?;
    // Behind the errors: who cannot trace at all need not hear of it.
    if probes_refused {
        tracing::warn!(
            "programs written in Go are not probed: this process may not attach uprobes, which takes \
             CAP_SYS_ADMIN (CAP_PERFMON before Linux 6.16 and the stable releases of that time). Requests that \
             their HTTP and gRPC clients send have no known parent then; --go-probes off does the same \
             without this message"
        );
    }
    Ok(live)
}

fn options(capture: &Capture) -> live::Options {
    let Capture {
        selection,
        cgroups,
        ports,
        engine,
        event_loops,
        ring_bytes,
        go_probes,
        trust,
        logs,
        verbose,
    } = capture.clone();
    live::Options {
        selection,
        ports,
        cgroups,
        engine: match engine {
            Engine::Auto => live::EngineChoice::Auto,
            Engine::Socket => live::EngineChoice::Only(live::Engine::Socket),
            Engine::Syscall => live::EngineChoice::Only(live::Engine::Syscall),
        },
        ring_bytes,
        flows: None,
        event_loops,
        go_probes,
        trust,
        logs,
        verbose,
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl Feed for Decoding<Live> {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        Source::poll(self, sink)
    }

    fn kernel_counters(&mut self) -> Vec<(String, u64)> {
        self.source().counters()
    }

    fn stop(&mut self) {
        self.source().stop();
    }

    fn abandon(&mut self) {
        self.source().abandon();
    }
}

impl Feed for Box<dyn Source + Send> {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        (**self).poll(sink)
    }

    fn kernel_counters(&mut self) -> Vec<(String, u64)> {
        Source::kernel_counters(&**self).to_vec()
    }
}

/// The live kernel as a source of events.
pub(super) fn live_feed(live: Live, metrics: &Arc<Metrics>) -> Decoding<Live> {
    Decoding::new(live, Arc::clone(metrics))
}
