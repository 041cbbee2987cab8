//! Whose a line is: the server exchange on whose behalf it was written.

use super::Pipeline;
use crate::capture::event::{Monotonic, Tgid, Written};
use crate::model::{Correlation, LogIds, Resource};

use std::sync::Arc;

/// On whose behalf something was written, by the evidence that there was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner;

/// What is known of an [`Owner`] by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// It will be known later: ask again.
    Pending,
    /// To this.
    To(Correlation),
    /// It is not known whose it is.
    Nothing,
}

impl Pipeline {
    /// On whose behalf a process writes. To be asked when everything before has been handled.
    pub fn owner(&mut self, _written: &Written<'_>) -> Owner {
        Owner
    }

    /// Whose a record is that says this itself, and the first byte of which was written by that owner.
    pub fn belongs(&mut self, _tgid: Tgid, _owner: Owner, ids: &LogIds) -> Belongs {
        match ids.trace_id {
            Some(trace_id) => Belongs::To(Correlation {
                trace_id,
                span_id: ids.span_id,
                evidence: "line",
                after_response: false,
            }),
            None => Belongs::Nothing,
        }
    }

    /// A time of the capturing machine, in nanoseconds since the Unix epoch.
    pub fn unix_ns(&self, time: Monotonic) -> u64 {
        self.core.clock.unix_ns(time)
    }

    /// Who a process is, as far as that was said.
    pub fn process(&mut self, tgid: Tgid) -> Arc<Resource> {
        self.core.resource(tgid)
    }
}
