//! The traces that requests of a process named, either way: what confirms that a record of the process is
//! in the trace that it names itself.

use std::collections::HashSet;

use crate::capture::event::ProcessKey;
use crate::model::TraceId;

/// Traces in one half.
const HALF: usize = 65_536;

/// Those that came up last. A trace is forgotten once as many as a half has room for came up after it.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Records will be asked about.
    wanted: bool,
    /// The younger and the older half. Trace ids are the peers' choice, so these are sets with the standard
    /// library's keyed hash.
    traces: [HashSet<Key>; 2],
}

/// A process and the lower half of a trace id: some records, and some contexts, have no more of it.
type Key = (ProcessKey, [u8; 8]);

fn key(process: ProcessKey, trace_id: TraceId) -> Key {
    let [.., a, b, c, d, e, f, g, h] = trace_id.bytes();
    (process, [a, b, c, d, e, f, g, h])
}

impl Carried {
    /// From now on traces are remembered.
    pub(super) fn remember(&mut self) {
        self.wanted = true;
    }

    /// A request of the process names this trace.
    pub(super) fn carry(&mut self, process: ProcessKey, trace_id: TraceId) {
        if self.wanted {
            self.insert(key(process, trace_id));
        }
    }

    /// Whether a request of the process named this trace, as far as that is remembered. One that is asked
    /// about is remembered for longer.
    pub(super) fn has(&mut self, process: ProcessKey, trace_id: TraceId) -> bool {
        let key = key(process, trace_id);
        if self.traces[0].contains(&key) {
            return true;
        }
        let older = self.traces[1].contains(&key);
        if older {
            self.insert(key);
        }
        older
    }

    fn insert(&mut self, key: Key) {
        if self.traces[0].len() >= HALF && !self.traces[0].contains(&key) {
            self.traces.swap(0, 1);
            self.traces[0].clear();
        }
        self.traces[0].insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut carried = Carried::default();
        carried.remember();
        let trace = |n: usize| TraceId::new((n as u128).to_be_bytes()).unwrap();
        for n in 1..=3 * HALF {
            carried.carry(ProcessKey::undated(7), trace(n));
            // It is in use.
            assert!(carried.has(ProcessKey::undated(7), trace(1)), "{n}");
        }
        assert!(!carried.has(ProcessKey::undated(7), trace(2)));
        assert!(
            carried.has(ProcessKey::undated(7), trace(3 * HALF))
                && !carried.has(ProcessKey::undated(8), trace(3 * HALF))
        );
        assert!(carried.traces.iter().map(HashSet::len).sum::<usize>() <= 2 * HALF);
    }
}
