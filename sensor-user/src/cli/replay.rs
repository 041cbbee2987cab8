//! `sensor replay`: spans of a recording or a packet capture.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::capture::{self, Pace};
use crate::config;
use crate::metrics::Metrics;
use crate::system::restrict;

use super::Failure;
use super::footer::Screen;
use super::pipeline::Limits;
use super::session::{Plan, Session};

/// # Errors
/// When the file cannot be read or is damaged. What came before the damage is delivered.
pub(super) fn replay(config: config::Replay, screen: &Screen) -> Result<ExitCode, Failure> {
    let config::Replay { file, real_time, context, callers, output, export, govern } = config;
    restrict::for_reading();
    let metrics = Arc::new(Metrics::default());
    let pace = if real_time { Pace::RealTime } else { Pace::Full };
    let mut feed =
        capture::open(&file, pace, &metrics).map_err(|error| Failure::Broken(error.to_string()))?;
    restrict::without_capabilities();
    let plan = Plan {
        output,
        export,
        context,
        callers,
        govern,
        // Whoever interrupts a replay does not want the rest of the file.
        limits: Limits { duration: None, drain: Duration::ZERO },
        lines: true,
        filtered: false,
        patient: true,
    };
    Session::start(plan, screen, metrics)?.run(&mut feed)
}
