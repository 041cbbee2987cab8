//! The two ends of an exchange, and what they say of who asks.

use super::{Forest, NodeId, Task};
use crate::capture::event::Monotonic;
use crate::model::SpanKind;
use crate::trace::identity::Seed;

impl Forest {
    /// Finds the other end of an exchange, or lets it be found.
    pub(super) fn pair(&mut self, id: NodeId, key: Seed, kind: SpanKind, start: Monotonic) {
        let other = self.unpaired.insert(key, id);
        let Some(other) = other else { return };
        let Some(there) = self.get_mut(other).filter(|there| there.kind != kind) else {
            return;
        };
        there.pair = Some(id);
        there.pair_start = Some(start);
        let (other_start, other_end) = (there.start, there.end);
        self.unpaired.remove(&key);
        self.with(id, |node| {
            node.pair = Some(other);
            node.pair_start = Some(other_start);
            node.pair_end = other_end;
        });
        let (server, client) = if kind == SpanKind::Server { (id, other) } else { (other, id) };
        self.introduce(server, client);
        self.tasks.push_back(Task::Settle(server));
        self.run();
    }

    /// The caller of an exchange is seen here: it is no stranger, but may pass on what one asks.
    fn introduce(&mut self, server: NodeId, client: NodeId) {
        let stranger = self.get(client).is_some_and(|client| match client.cause {
            Ok(Some(cause)) => self.get(cause.node).is_none_or(|above| above.stranger),
            _ => self.strangers.may_cause(client.process, client.start),
        });
        let Some(node) = self.get_mut(server) else { return };
        let stranger = stranger && node.identity.remote_sampled == Some(false);
        let before = std::mem::replace(&mut node.stranger, stranger);
        let (process, start, open) = (node.process, node.start, node.end.is_none());
        match (before, stranger) {
            (true, false) if open => self.strangers.known(process),
            (false, true) if open => self.strangers.enter(process, start),
            _ => {}
        }
    }

    /// An exchange is over: if a stranger's, what it has left behind may go on.
    pub(super) fn leave(&mut self, id: NodeId, now: Monotonic) {
        let Some(node) = self.get(id).filter(|node| node.stranger) else { return };
        self.strangers.over(node.process, now);
    }
}
