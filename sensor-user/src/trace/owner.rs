//! Whose a line is: the server exchange on whose behalf it was written.
//!
//! The evidence is taken when the line is written ([`Owner`]), and what comes of it when that is known
//! ([`Belongs`]): the exchange has to be answered, where the evidence asks for that, and settled, since its
//! trace may be that of what it hangs below.

use std::sync::Arc;

use super::Pipeline;
use super::causes::Found;
use super::forest::{Evidence, NodeId, Owns};
use crate::capture::event::{Monotonic, ProcessKey, Written};
use crate::context::RequestId;
use crate::model::{Correlation, LogIds, Resource, TraceId};

/// What says whose a record is, where it says that itself.
const LINE: &str = "line";

/// On whose behalf something was written, by the evidence that there was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner(Option<Found>);

/// A server exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerId(NodeId);

/// Whose a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// It will be known when there is news of that exchange.
    Pending(ServerId),
    /// This exchange's.
    To(Correlation),
    /// It is not known whose it is.
    Nothing,
}

impl Pipeline {
    /// The same, and lines will be asked about.
    #[must_use]
    pub fn with_lines(mut self) -> Self {
        self.core.causes.remember_more();
        self.core.forest.remember();
        self
    }

    /// On whose behalf a process writes. To be asked when everything before has been handled.
    pub fn owner(&mut self, written: &Written<'_>) -> Owner {
        let Written { process, caller, time, .. } = written;
        let super::Core { causes, forest, .. } = &mut self.core;
        Owner(causes.of_line(*process, caller, *time, forest))
    }

    /// Whose a record of a process is that says this itself, and whose first byte was written by that owner.
    ///
    /// What a record says itself counts most. Of others, a span is taken only if it is in that trace. It is never
    /// pending at `last`.
    pub fn belongs(
        &mut self,
        process: ProcessKey,
        owner: Owner,
        ids: &LogIds,
        last: bool,
    ) -> Belongs {
        let found = self.by_request_id(process, ids).or(owner.0);
        let mut by_evidence = found.map_or(Belongs::Nothing, |found| self.resolve(found));
        if last && matches!(by_evidence, Belongs::Pending(_)) {
            by_evidence = Belongs::Nothing;
        }
        let Some(trace_id) = ids.trace_id else {
            return by_evidence;
        };
        let of_line = |trace_id, span_id| Correlation {
            trace_id,
            span_id,
            evidence: LINE,
            after_response: false,
        };
        match by_evidence {
            Belongs::Pending(_) if ids.span_id.is_none() => by_evidence,
            Belongs::To(other) if ids.span_id.is_none() && is_same(trace_id, other.trace_id) => {
                let after_response = other.after_response;
                let record = of_line(other.trace_id, other.span_id);
                Belongs::To(Correlation { after_response, ..record })
            }
            _ => Belongs::To(of_line(trace_id, ids.span_id)),
        }
    }

    /// Has what becomes known of an exchange told by [`Self::news`].
    pub fn watch(&mut self, server: ServerId) {
        self.core.forest.watch(server.0);
    }

    /// It need not be told any more.
    pub fn unwatch(&mut self, server: ServerId) {
        self.core.forest.unwatch(server.0);
    }

    /// The exchanges of which something became known.
    pub fn news(&mut self) -> impl Iterator<Item = ServerId> + use<> {
        self.core.forest.news().into_iter().map(ServerId)
    }

    /// How late it is, by the last event.
    pub fn now(&self) -> Monotonic {
        self.core.forest.now()
    }

    /// A time of the capturing machine, in nanoseconds since the Unix epoch.
    pub fn unix_ns(&self, time: Monotonic) -> u64 {
        self.core.clock.unix_ns(time)
    }

    /// Who a process is, as far as that was said.
    pub fn process(&mut self, process: ProcessKey) -> Arc<Resource> {
        self.core.resource(process)
    }

    /// The exchange that came with an identifier of a record. The header that it came in is not known.
    fn by_request_id(&mut self, process: ProcessKey, ids: &LogIds) -> Option<Found> {
        let super::Core { causes, reading, .. } = &mut self.core;
        let mut found = None;
        for value in &ids.requests {
            for name in reading.request_id_names() {
                let node = causes.of_request_id(process, RequestId::new(name, value.as_bytes()));
                if node.is_some() && found.is_some() && node != found {
                    return None;
                }
                found = found.or(node);
            }
        }
        let evidence = Evidence::RequestId;
        found.map(|node| Found { node, evidence, thread: None, answer: false, over: false })
    }

    fn resolve(&self, found: Found) -> Belongs {
        let Found { node, evidence, thread, answer, over } = found;
        match self.core.forest.owns(node, thread, answer) {
            Owns::Pending => Belongs::Pending(ServerId(node)),
            Owns::To(trace_id, span_id) => Belongs::To(Correlation {
                trace_id,
                span_id: Some(span_id),
                evidence: evidence.name(),
                after_response: over,
            }),
            Owns::No => Belongs::Nothing,
        }
    }
}

/// Whether a record means the trace `known`. Some formats have the lower half of an identifier only.
fn is_same(of_record: TraceId, known: TraceId) -> bool {
    let (of_record, known) = (of_record.bytes(), known.bytes());
    of_record == known || (of_record[..8] == [0; 8] && of_record[8..] == known[8..])
}
