//! Whose a line is: the server exchange on whose behalf it was written.
//!
//! The evidence is taken when the line is written ([`Owner`]), and what comes of it when that is known
//! ([`Belongs`]): the exchange has to be answered, where the evidence asks for that, and settled, since its
//! trace may be that of what it hangs below.

use std::sync::Arc;

use super::Pipeline;
use super::causes::Found;
use super::forest::{NodeId, Owns};
use crate::capture::event::{Monotonic, ProcessKey, Written};
use crate::context::RequestId;
use crate::model::{Correlation, LogIds, Resource, Text, TraceId};

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
        self.core.carried.remember();
        self.core.forest.remember();
        self
    }

    /// On whose behalf a process writes. To be asked when everything before has been handled.
    pub fn owner(&mut self, written: &Written<'_>) -> Owner {
        let Written { process, caller, time, .. } = written;
        let super::Core { causes, forest, .. } = &mut self.core;
        Owner(causes.of_line(*process, caller, *time, forest))
    }

    /// On whose behalf a record was written, of which the first byte was written at `time` by that owner, and
    /// which names these requests. They count more than who wrote it: one that names one exchange's request
    /// is that exchange's, and one whose request several exchanges have is that one's which wrote it.
    pub fn owner_by_request(
        &self,
        process: ProcessKey,
        owner: Owner,
        time: Monotonic,
        requests: &[Text],
    ) -> Owner {
        if requests.is_empty() {
            return owner;
        }
        let super::Core { causes, reading, .. } = &self.core;
        // The header that it came in is not known.
        let of_each = requests.iter().flat_map(|value| {
            reading.request_id_names().map(|name| RequestId::new(name, value.as_bytes()))
        });
        let ids: Vec<_> = of_each.collect();
        Owner(causes.of_requests(process, &ids, time, owner.0))
    }

    /// Whose a record of a process is that says this itself, and that was written on behalf of that owner.
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
        let mut by_evidence = owner.0.map_or(Belongs::Nothing, |found| self.resolve(found));
        if last && matches!(by_evidence, Belongs::Pending(_)) {
            by_evidence = Belongs::Nothing;
        }
        let Some(trace_id) = ids.trace_id else {
            return by_evidence;
        };
        let same = match by_evidence {
            Belongs::Pending(_) if ids.span_id.is_none() => return by_evidence,
            Belongs::To(other) if is_same(trace_id, other.trace_id) => Some(other),
            _ => None,
        };
        let confirmed = same.is_some() || self.core.carried.has(process, trace_id);
        let evidence = if confirmed { Correlation::LINE } else { Correlation::CLAIMED };
        Belongs::To(match (same, ids.span_id) {
            (Some(other), None) => Correlation { evidence, ..other },
            (_, span_id) => Correlation { trace_id, span_id, evidence, after_response: false },
        })
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
