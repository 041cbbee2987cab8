//! Where events come from.

pub mod event;
pub mod live;

use event::Event;

/// A source of events: the live kernel, a recording, a packet capture.
pub trait Source {
    /// Delivers what is there now, in order, and returns; never blocks for more.
    ///
    /// # Errors
    /// When the source cannot go on: a cut or damaged file, a failing ring.
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError>;
}

/// What came of one [`Source::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This many events were delivered; there may be more.
    Delivered(usize),
    /// Nothing was there.
    Idle,
    /// There will never be more.
    Finished,
}

/// Why a source cannot go on. The text names what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaptureError(pub String);
