//! The truth of traces: services in every runtime that say themselves whom they call on whose behalf, held against
//! the parents that the sensor gives.
//!
//! A service is asked for `GET /work/PATTERN/MARKER`, and asks a leaf for `/leaf/MARKER.N` meanwhile: so whose call
//! a call is can be read from its path, and is in the service's log besides. The sensor reads neither.

pub mod bench;
pub(crate) mod driver;
mod judge;
mod run;
pub mod sdk;
pub(crate) mod services;
mod table;

use std::fmt;

pub use judge::{Judgement, Tally, Verdict};
pub use run::{Outcome, Plan, run};
pub use services::{RUNTIMES, Runtime};
pub use table::table;

/// What a service does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// A call, then the answer.
    One,
    /// Two calls, one after the other.
    Seq,
    /// Two calls at once.
    Par,
    /// Some milliseconds on the runtime's timer, then a call.
    Late,
    /// A call, and the runtime's pool of threads has a part in it: where calls block, one of its threads makes it;
    /// on an event loop it reads a file first.
    Pool,
    /// The answer, then a call that nobody waits for.
    After,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::One, Self::Seq, Self::Par, Self::Late, Self::Pool, Self::After];

    /// How many calls it makes.
    #[must_use]
    pub fn calls(self) -> u64 {
        match self {
            Self::Seq | Self::Par => 2,
            Self::One | Self::Late | Self::Pool | Self::After => 1,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::One => "one",
            Self::Seq => "seq",
            Self::Par => "par",
            Self::Late => "late",
            Self::Pool => "pool",
            Self::After => "after",
        })
    }
}

/// What a service does with the trace context that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassOn {
    /// Its calls have none. Every other request comes without one, too.
    None,
    /// Its calls have the same.
    Forwarded,
    /// Its calls have a span id of their own, as an SDK makes it.
    Fresh,
    /// Four requests are of one trace: of every other four each has a parent of its own and is passed on fresh, and the
    /// rest are the same context four times (a request that is tried again, say), and forwarded.
    Shared,
}

impl PassOn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Forwarded, Self::Fresh, Self::Shared];
}

impl fmt::Display for PassOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Forwarded => "forwarded",
            Self::Fresh => "fresh",
            Self::Shared => "shared",
        })
    }
}

/// What a request has in common with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What becomes of the context.
    pub pass_on: PassOn,
    /// Requests at once.
    pub at_once: usize,
    /// What the service does.
    pub pattern: Pattern,
}

/// A request that was answered with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// In its path; in no other's.
    pub marker: String,
    /// What it asked for.
    pub cell: Cell,
    /// The context that it came with.
    pub context: Option<Context>,
    /// What the service is told to do with it: one of the first three.
    pub told: PassOn,
}

/// A trace context as the driver makes it: sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 of them.
    pub span_id: String,
}

impl Context {
    fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

impl Sent {
    /// The paths of the calls made for it.
    fn calls(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.cell.pattern.calls()).map(|number| format!("{}.{number}", self.marker))
    }

    /// The path that was asked for.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/work/{}/{}", self.cell.pattern, self.marker)
    }
}
