//! Spans and records of logs for whoever started the sensor: JSON lines for programs, aligned lines for people.

mod footer;
mod json;
mod pretty;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use std::io;
use std::time::{Duration, Instant};

use crate::model::{LogRecord, Span, SpanKind};

pub use footer::footer;
pub use json::JsonLines;
pub use pretty::{Clock, Pretty, PrettyOptions};
pub use tree::Tree;

/// Writes spans and records as they come, and a summary at the end.
pub trait SpanWriter {
    /// Writes one span.
    ///
    /// # Errors
    /// Those of the writer below; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    fn span(&mut self, span: &Span) -> io::Result<()>;

    /// Writes one record of a log.
    ///
    /// # Errors
    /// As for [`span`](Self::span).
    fn record(&mut self, record: &LogRecord) -> io::Result<()>;

    /// Tells of an exchange that goes on: `so_far` is what its span would be if it ended now.
    ///
    /// # Errors
    /// As for [`span`](Self::span).
    fn open(&mut self, so_far: &Span) -> io::Result<()>;

    /// When something that it keeps back has to be written, if it keeps any.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Writes what it has kept back until `now`.
    ///
    /// # Errors
    /// As for [`span`](Self::span).
    fn rest(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    /// Writes the summary. Nothing comes after it.
    ///
    /// # Errors
    /// As for [`span`](Self::span).
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;

    /// Hands everything written so far to the writer below.
    ///
    /// # Errors
    /// As for [`span`](Self::span).
    fn flush(&mut self) -> io::Result<()>;
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// From start to end.
    pub elapsed: Duration,
    /// Every counter, zero or not, with its dotted name, in the order in which to show them.
    pub counters: Vec<(String, u64)>,
    /// Spans by `service.name`, in the order in which to show them.
    pub by_service: Vec<(String, ServiceCount)>,
}

/// The spans of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCount {
    /// Requests it received.
    pub server: u64,
    /// Requests it sent.
    pub client: u64,
    /// Of both, those with an error status.
    pub errors: u64,
}

impl Summary {
    /// Counts a span to its service; spans of unknown services are in the counters alone.
    pub fn count(&mut self, span: &Span) {
        let Some(service) = span.resource.service_name() else {
            return;
        };
        let known = self.by_service.iter().position(|(name, _)| name == service);
        let at = known.unwrap_or_else(|| {
            self.by_service.push((service.to_owned(), ServiceCount::default()));
            self.by_service.len() - 1
        });
        let count = &mut self.by_service[at].1;
        match span.kind {
            SpanKind::Server => count.server += 1,
            SpanKind::Client => count.client += 1,
        }
        count.errors += u64::from(span.status == crate::model::Status::Error);
    }
}
