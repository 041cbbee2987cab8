//! `sensor run`: trace what runs on this host.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::capture::live::LogsOf;
use crate::config;
use crate::metrics::Metrics;

use super::footer::Screen;
use super::pipeline::Limits;
use super::session::{Plan, Session};
use super::{Failure, connect};

/// How long, at the end, what is still in the ring may be taken.
const DRAIN: Duration = Duration::from_millis(500);

/// # Errors
/// When this machine cannot run it, or it broke off.
pub(super) fn run(config: config::Run, screen: &Screen) -> Result<ExitCode, Failure> {
    let config::Run { mut capture, context, callers, output, export, govern, duration } = config;
    let probes_refused = connect::restrict(&mut capture);
    let metrics = Arc::new(Metrics::default());
    let plan = Plan {
        output,
        export,
        context,
        callers,
        govern,
        limits: Limits { duration, drain: DRAIN },
        lines: capture.logs.of != LogsOf::Nobody,
        filtered: capture.is_filtered(),
        patient: false,
    };
    // First what fails most often, and before anything is shown.
    let live = connect::open_live(&capture, probes_refused, &metrics)?;
    let engine = live.engine();
    let session = Session::start(plan, screen, Arc::clone(&metrics))?;
    // From here on a signal ends it in good order.
    tracing::info!(?engine, "tracing");
    session.run(&mut connect::live_feed(live, &metrics))
}
