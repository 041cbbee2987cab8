//! From raw records to events.

use std::sync::Arc;

use super::decode::{Decoded, ProcessChange, decode};
use super::event::Event;
use super::{CaptureError, Progress, Raw, RawSource, Source};
use crate::metrics::{Counter, Metrics};

/// Sees every raw item before it is decoded: a recording that is being written.
pub trait Tee {
    /// Takes one item.
    ///
    /// # Errors
    /// When it cannot be kept; the capture then ends with this error.
    fn raw(&mut self, raw: Raw<'_>) -> Result<(), CaptureError>;
}

/// Makes a [`Source`] of a [`RawSource`].
///
/// Counts [`Counter::Events`] (records taken) and [`Counter::EventsUndecodable`] (those of them
/// that no event could be made of).
pub struct Decoding<S> {
    source: S,
    metrics: Arc<Metrics>,
    tee: Option<Box<dyn Tee + Send>>,
    kernel_counters: Vec<(String, u64)>,
}

impl<S: RawSource> Decoding<S> {
    /// Decodes what `source` delivers.
    pub fn new(source: S, metrics: Arc<Metrics>) -> Self {
        Self { source, metrics, tee: None, kernel_counters: Vec::new() }
    }

    /// Lets `tee` see everything first.
    #[must_use]
    pub fn tee(mut self, tee: Box<dyn Tee + Send>) -> Self {
        self.tee = Some(tee);
        self
    }

    /// The source of the records.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }
}

impl<S: RawSource> Source for Decoding<S> {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        let Self { source, metrics, tee, kernel_counters } = self;
        let mut tee_error = None;
        let mut records = 0;
        let progress = source.poll_raw(&mut |raw| {
            if let Some(active) = tee
                && let Err(error) = active.raw(raw)
            {
                // What is on its way is still delivered; the error comes after it, once.
                tee_error = Some(error);
                *tee = None;
            }
            match raw {
                Raw::Record(record) => {
                    records += 1;
                    match decode(record) {
                        Ok(Decoded::Event(event)) => sink(event),
                        Ok(Decoded::Process(process)) => {
                            // The source itself names processes; here only their end is news.
                            if process.change == ProcessChange::Exit {
                                sink(Event::ProcessExit {
                                    process: process.process,
                                    time: process.time,
                                });
                            }
                        }
                        Err(error) => {
                            metrics.inc(Counter::EventsUndecodable);
                            tracing::debug!(%error, "record not decoded");
                        }
                    }
                }
                Raw::Process { process, exec, resource } => {
                    sink(Event::Process { process, exec, resource: Arc::clone(resource) });
                }
                Raw::LogFile { file, path } => {
                    sink(Event::LogFile { file, path: Arc::clone(path) });
                }
                Raw::Clock(clock) => sink(Event::Clock(clock)),
                Raw::Missed => sink(Event::Missed),
                Raw::Counters(counters) => {
                    kernel_counters.clear();
                    kernel_counters.extend_from_slice(counters);
                }
            }
        });
        metrics.add(Counter::Events, records);
        match (tee_error, progress) {
            (None, progress) => progress,
            (Some(tee), Ok(_)) => Err(tee),
            (Some(tee), Err(source)) => Err(CaptureError(format!("{source}; {tee}"))),
        }
    }

    fn kernel_counters(&self) -> &[(String, u64)] {
        &self.kernel_counters
    }
}
