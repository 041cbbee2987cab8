//! Which exchanges came with an identifier of a request.
//!
//! An identifier is evidence while one exchange of the process has it, from its request until
//! [`AFTER`] behind its end. A second request with the same one is a retry, another call of the same
//! caller, or one that was made up by somebody who has seen the identifier: lines and calls of either
//! have it. So from then on, until the windows no longer overlap, the identifier alone proves
//! nothing, and other evidence has to say which of them it is. Taken for the first one's, the lines
//! of a second request would end up in a stranger's trace.
//!
//! The second request takes nothing away that was proved before it came: a line is the first one's if
//! it was written before, whenever it is asked about.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::lines::AFTER;
use crate::capture::event::{Monotonic, ProcessKey};
use crate::context::RequestId;
use crate::trace::few::{self, Few};
use crate::trace::forest::NodeId;
use crate::trace::identity::Seed;

/// How long an exchange that is over is known, in nanoseconds: [`AFTER`], and the time that the parts
/// of a record may take to come.
const KNOWN: u64 = 2 * AFTER;

/// Identifiers of exchanges that are over, at most; the oldest makes room.
const KNOWN_MAX: usize = 32_768;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Requests {
    holders: FxHashMap<(ProcessKey, RequestId), Few<Holder>>,
    /// Those that are over, by when they ended.
    over: VecDeque<(Monotonic, (ProcessKey, RequestId), NodeId)>,
}

/// An exchange that came with an identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) node: NodeId,
    key: Seed,
    since: Monotonic,
    over: Option<Monotonic>,
}

impl Holder {
    /// Whether something at that time can be its.
    fn is_at(&self, time: Monotonic) -> bool {
        self.since <= time && self.over.is_none_or(|over| time.0.saturating_sub(over.0) <= AFTER)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// It was over by then.
    pub(super) fn is_over_at(&self, time: Monotonic) -> bool {
        self.over.is_some_and(|over| over < time)
    }
}

/// Who has all of some identifiers.
#[derive(Debug)]
pub(super) enum Held {
    /// No exchange has any of them, or too many have.
    Nowhere,
    /// This one alone.
    One(Holder),
    /// It can be each of these, of which other evidence has to name one; none, where no exchange has all of
    /// them.
    Several(Vec<NodeId>),
}

impl Requests {
    /// A server exchange begins that came with these.
    pub(super) fn enter(
        &mut self,
        process: ProcessKey,
        ids: &[RequestId],
        node: NodeId,
        key: Seed,
        since: Monotonic,
    ) {
        for &id in ids {
            let holder = Holder { node, key, since, over: None };
            few::enter(&mut self.holders, (process, id), holder);
        }
    }

    /// It is over.
    pub(super) fn leave(
        &mut self,
        process: ProcessKey,
        ids: &[RequestId],
        node: NodeId,
        end: Monotonic,
    ) {
        for &id in ids {
            if let Some(holders) = self.holders.get_mut(&(process, id)) {
                holders.change(|it| {
                    if it.node == node {
                        it.over = Some(end);
                    }
                });
                self.over.push_back((end, (process, id), node));
            }
        }
        while let Some(&(since, key, node)) = self.over.front()
            && (since.0.saturating_add(KNOWN) <= end.0 || self.over.len() > KNOWN_MAX)
        {
            self.over.pop_front();
            few::leave(&mut self.holders, key, |it| it.node == node);
        }
    }

    /// Whose something with these identifiers is, at that time. `key` is that of the exchange itself, if it
    /// is one: no request is its own cause.
    pub(super) fn held(
        &self,
        process: ProcessKey,
        ids: &[RequestId],
        key: Seed,
        time: Monotonic,
    ) -> Held {
        // An id that too many requests have says nothing, neither for one of them nor against it.
        let known = ids.iter().filter_map(|&id| self.holders.get(&(process, id)));
        let mut some = known.filter(|few| few.is_whole() && at(few, key, time).next().is_some());
        let Some(first) = some.next() else { return Held::Nowhere };
        let has = |few, node| at(few, key, time).any(|it| it.node == node);
        let mut all =
            at(first, key, time).filter(|it| some.clone().all(|other| has(other, it.node)));
        match (all.next(), all.next()) {
            (Some(only), None) => Held::One(only),
            (first, second) => Held::Several(
                first.into_iter().chain(second).chain(all).map(|it| it.node).collect(),
            ),
        }
    }
}

/// Those of a list that something at that time can be of.
fn at(few: &Few<Holder>, key: Seed, time: Monotonic) -> impl Iterator<Item = Holder> + '_ {
    few.iter().filter(move |it| it.key != key && it.is_at(time))
}
