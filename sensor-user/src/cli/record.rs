//! `sensor record`: what the kernel side sees, into a file.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::capture::live::Live;
use crate::capture::recording::{RecordingError, Writer};
use crate::capture::{CaptureError, Progress, Raw, RawSource};
use crate::config;
use crate::metrics::Metrics;
use crate::system::notify::ServiceManager;
use crate::system::private_file::{Existing, PrivateFile};
use crate::system::restrict;

use super::pipeline::{self, Limits, Work};
use super::stop::Stop;
use super::view::Counters;
use super::{Failure, connect};

/// How long, at the end, what is still in the ring may be taken.
const DRAIN: Duration = Duration::from_millis(500);

/// # Errors
/// When this machine cannot trace, the file cannot be written, or the capture broke off. What was
/// written before that can be replayed; a file that was to be replaced is still there then.
pub(super) fn record(mut config: config::Record) -> Result<ExitCode, Failure> {
    let broken = |error: &dyn std::error::Error| Failure::Broken(error.to_string());
    let probes_refused = connect::restrict(&mut config.capture);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("signals")
        .on_thread_start(restrict::without_capabilities)
        .enable_all()
        .build()
        .map_err(|error| broken(&error))?;
    let stop = Stop::default();
    stop.on_signals(runtime.handle()).map_err(|error| broken(&error))?;
    // The kernel side first: where it cannot be had, a file that is there stays as it is.
    let live = connect::open_live(&config.capture, probes_refused, &Arc::new(Metrics::default()))?;
    let existing = if config.force { Existing::Replace } else { Existing::Refuse };
    let writer = Writer::create(&config.file, existing).map_err(|error| broken(&error))?;
    tracing::info!(engine = ?live.engine(), file = %config.file.display(), "recording");

    let mut recording = Recording { live, writer, too_long: 0 };
    let limits = Limits { duration: config.duration, drain: DRAIN };
    let mut manager = ServiceManager::from_environment();
    let recorded = pipeline::drive(&mut recording, &stop, limits, &mut manager);
    let Recording { live, writer, too_long } = recording;
    let partial = writer.file().partial();
    let broken_off = |error: &dyn std::error::Error| match &partial {
        None => broken(error),
        Some(partial) => Failure::Broken(format!(
            "{error}; {} is as it was, and what was recorded until then is in {}",
            config.file.display(),
            partial.display()
        )),
    };
    let finished = writer.finish();
    runtime.shutdown_background();
    recorded.map_err(|error| broken_off(&error))?;
    let (file, totals) = finished.map_err(|error| broken_off(&error))?;
    file.commit().map_err(|error| broken(&error))?;

    let mut counters = live.counters();
    counters.push(("recording.lost.too_long".to_owned(), too_long));
    let mut text = format!(
        "{} items, {} KiB before compression, in {}",
        totals.items,
        totals.raw_bytes.div_ceil(1024),
        config.file.display()
    );
    let counters = Counters(counters);
    let losses = counters.losses();
    for (name, value) in &losses {
        text.push_str(&format!("\nlost: {name} {value}"));
    }
    if losses.is_empty() {
        text.push_str("\nnothing lost");
    }
    // Where nobody listens, the recording is still good.
    let _ = writeln!(io::stderr(), "{text}");
    Ok(ExitCode::SUCCESS)
}

struct Recording {
    live: Live,
    writer: Writer<PrivateFile>,
    /// Items that a recording does not take.
    too_long: u64,
}

impl Recording {
    fn append(
        writer: &mut Writer<PrivateFile>,
        too_long: &mut u64,
        raw: Raw<'_>,
    ) -> Result<(), CaptureError> {
        match writer.append(raw) {
            Err(RecordingError::TooLong { .. }) => *too_long += 1,
            result => result?,
        }
        Ok(())
    }
}

impl Work for Recording {
    fn poll(&mut self) -> Result<Progress, CaptureError> {
        let Self { live, writer, too_long } = self;
        let mut failed = None;
        let progress = live.poll_raw(&mut |raw| {
            if failed.is_none() {
                failed = Self::append(writer, too_long, raw).err();
            }
        });
        failed.map_or(progress, Err)
    }

    fn stop(&mut self) {
        self.live.stop();
    }

    fn abandon(&mut self) {
        self.live.abandon();
    }

    fn tick(&mut self) -> Result<(), CaptureError> {
        let counters = self.live.counters();
        Self::append(&mut self.writer, &mut self.too_long, Raw::Counters(&counters))?;
        // A recorder that is killed loses at most what it saw since the last tick.
        Ok(self.writer.flush()?)
    }
}
