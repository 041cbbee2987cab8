//! Which trace a span belongs to, its own identifier, and its parent where that is certain.
//!
//! | exchange | context in the request | trace | span | parent |
//! |---|---|---|---|---|
//! | server | (T, A) | T | derived | the client's span at the other end, if that is seen too; else A |
//! | client | (T, A), minted for it | T | A | the server exchange of the process that is open in T |
//! | client | (T, A), only forwarded | T | derived | the open server exchange that (T, A) came in by |
//! | either | T without a parent | T | derived | its cause, if that is in T |
//! | server | none | the other end's, else derived | derived | the client's span at the other end |
//! | client | none | its cause's, else derived | derived | its cause: see [`super::causes`] |
//!
//! Where several server exchanges are open in T, or were lately, other evidence has to say which; if none
//! does, the parent is not known and is left out. A context was only forwarded where the same (T, A) came in by
//! an exchange that is still open in the process, or where it was taken for an earlier client span
//! already (a retry, or a fixed header of a load generator): two spans must not share an identifier.
//!
//! # Derived identifiers
//!
//! Both ends of a TCP connection have to come to the same trace id without talking, also behind a
//! destination NAT. What both know: the client's address and port, the TCP sequence number of the
//! request's first byte, and the bytes of the request's head (of HTTP/2: of its header block). Of these the trace id is a hash,
//! SipHash-2-4 with 128 bits: a published function that stays what it is over versions of the
//! sensor and of its compiler. There is nobody to keep a secret from, so its keys are fixed. Its
//! input, numbers in network byte order: address (IPv4 as mapped to IPv6), port, sequence number,
//! length of the head (64 bits), the head: in HTTP/1 from the start line to the empty line, in HTTP/2
//! the fragments of the header block as they were sent, joined.
//!
//! Not in it, because the ends may see it differently: the server's address (NAT), clocks,
//! the time the connection was opened (unknown for those older than the sensor), the request's
//! number on its connection (likewise). What sets apart two requests from the same port over time
//! is the sequence number (initial ones are unpredictable, RFC 6528) and the head, which most
//! often holds something of its own: that is why it is in the hash, 32 bits alone would repeat
//! within a day on a busy client. Loopback addresses are the same on every host, so for those the
//! host's identity is mixed in, which both ends share there.
//!
//! A Unix socket has no sequence numbers: identifiers derive from the flow, its cookie, the
//! position and the time, and the two ends do not agree; but both are on this node.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::few::{self, Few, Left};
use super::forest::NodeId;
use crate::capture::event::{Flow, Monotonic, ProcessKey};
use crate::context::TraceContext;
use crate::context::w3c::Traceparent;
use crate::model::{Resource, SpanId, SpanKind, TraceFlags, TraceId};
use crate::wire::At;

/// Who a span is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) flags: TraceFlags,
    /// What the sender of the context decided on recording the trace, if it did.
    pub(super) remote_sampled: Option<bool>,
    /// The application has a span of its own with this identifier.
    pub(super) minted: bool,
}

/// What identifiers of an exchange derive from: the same on both of its ends, if it goes by TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seed([u8; 16]);

impl Seed {
    /// Of nothing.
    pub(super) const NONE: Self = Self([0; 16]);

    /// For the request that begins at `first` and has the head `raw`; `client` is its sender,
    /// if it goes by TCP.
    pub(super) fn new(
        flow: &Flow,
        client: Option<(IpAddr, u16)>,
        first: At,
        raw: &[u8],
        resource: &Resource,
    ) -> Self {
        let mut hash = SipHasher24::new_with_keys(0x7365_6e73_6f72, 1);
        let host = || resource.text("host.id").or_else(|| resource.text("host.name"));
        let length = (raw.len() as u64).to_be_bytes();
        let on_this_host = match (client, first.tcp_seq) {
            (Some((address, port)), Some(seq)) => {
                let address = address.to_canonical();
                let octets = match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                // In one piece, with the length that follows: each call has its price.
                let mut known = [0; 30];
                known[..16].copy_from_slice(&octets);
                known[16..18].copy_from_slice(&port.to_be_bytes());
                known[18..22].copy_from_slice(&seq.to_be_bytes());
                known[22..].copy_from_slice(&length);
                hash.write(&known);
                address.is_loopback()
            }
            _ => {
                let cookie = flow.cookie.unwrap_or_default();
                for part in [flow.id.0, cookie, first.position, first.time.0] {
                    hash.write(&part.to_be_bytes());
                }
                hash.write(&length);
                true
            }
        };
        hash.write(raw);
        if let Some(host) = host().filter(|_| on_this_host) {
            hash.write(host.as_bytes());
        }
        Self(hash.finish128().as_bytes())
    }

    /// What the two ends of an exchange have in common: this, or where it goes by a Unix socket whose
    /// name both ends know, that and the head. There the same may come again later.
    pub(super) fn shared(self, flow: &Flow, raw: &[u8]) -> Self {
        let Some(connection) = flow.unix_connection else {
            return self;
        };
        let mut hash = SipHasher24::new_with_keys(0x7365_6e73_6f72, 3);
        hash.write(&connection.get().to_be_bytes());
        hash.write(raw);
        Self(hash.finish128().as_bytes())
    }

    pub(super) fn trace_id(&self) -> TraceId {
        // Zero is no identifier; that a hash is zero will not be seen.
        TraceId::new(self.0).unwrap_or_else(nonzero_trace)
    }

    pub(super) fn span_id(&self, trace_id: TraceId, kind: SpanKind) -> SpanId {
        let mut hash = SipHasher24::new_with_keys(0x7365_6e73_6f72, 2);
        let mut known = [0; 33];
        known[..16].copy_from_slice(&self.0);
        known[16..32].copy_from_slice(&trace_id.bytes());
        known[32] = match kind {
            SpanKind::Server => 0,
            SpanKind::Client => 1,
        };
        hash.write(&known);
        SpanId::new(hash.finish128().h1.to_le_bytes()).unwrap_or_else(nonzero_span)
    }
}

/// How long it is remembered that a context came in by an exchange that is over, in nanoseconds: work that
/// it has left behind may take that context out again, and is not to be taken for another exchange's.
const REMEMBERED: u64 = 30_000_000_000;

/// What requests brought in and what they took out, as far as it is needed to tell causes.
#[derive(Debug)]
pub(super) struct Contexts {
    /// Server exchanges that are open, or were lately, by process and trace.
    open: HashMap<Key<28>, Few<Server>>,
    /// How many of those that are not listed there came in by this parent.
    unlisted: HashMap<(Key<28>, SpanId), u32>,
    /// Those that were, by when they ended.
    over: VecDeque<(Monotonic, (Key<28>, SpanId), NodeId)>,
    /// Traces and identifiers taken for client spans, the younger and the older half.
    taken: [HashSet<Key<24>>; 2],
    taken_cap: usize,
}

/// A trace id and something else, in one piece: hashed at once. Trace ids are the peers' choice, so
/// these maps take the standard library's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key<const N: usize>([u8; N]);

impl Key<28> {
    fn open(process: ProcessKey, trace_id: TraceId) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&process.tgid.0.to_ne_bytes());
        bytes[4..].copy_from_slice(&process.start.0.to_ne_bytes());
        Self::joined(trace_id, &bytes)
    }
}

impl Key<24> {
    fn taken(trace_id: TraceId, span_id: SpanId) -> Self {
        Self::joined(trace_id, &span_id.bytes())
    }
}

impl<const N: usize> Key<N> {
    /// `rest` is what is left of `N`.
    fn joined(trace_id: TraceId, rest: &[u8]) -> Self {
        let mut key = [0; N];
        let (trace, other) = key.split_at_mut(16);
        trace.copy_from_slice(&trace_id.bytes());
        other.copy_from_slice(rest);
        Self(key)
    }
}

impl<const N: usize> Hash for Key<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// A server exchange: the parent that came in, and what it has in common with its other end.
#[derive(Clone, Copy, Debug)]
struct Server {
    node: NodeId,
    span: SpanId,
    came_in: SpanId,
    key: Seed,
    /// It is over, and what it has begun may go on.
    over: bool,
}

/// What the trace context that a request takes out says of its cause.
#[derive(Clone, Copy, Debug)]
pub(super) enum InContext {
    /// Nothing: there is none, or it did not come in.
    Nothing,
    /// It came in by this exchange, which is still open, and by no other.
    One(NodeId),
    /// By several, or by another one lately: by the trace alone, or by this parent in it.
    Several(Option<SpanId>),
    /// By this one alone, which is over.
    Over(SpanId),
}

impl InContext {
    /// Of those that came in by `parent`, or by any in their trace.
    fn of(mut servers: impl Iterator<Item = Server>, parent: Option<SpanId>) -> Self {
        match (servers.next(), servers.next()) {
            (None, _) => Self::Nothing,
            (Some(only), None) if only.over => Self::Over(only.span),
            (Some(only), None) => Self::One(only.node),
            _ => Self::Several(parent),
        }
    }
}

impl Contexts {
    /// Remembers at least the last `taken_cap` identifiers that client spans took, and as many exchanges
    /// that are over.
    pub(super) fn new(taken_cap: usize) -> Self {
        Self {
            open: HashMap::new(),
            unlisted: HashMap::new(),
            over: VecDeque::new(),
            taken: Default::default(),
            taken_cap: taken_cap.max(1),
        }
    }

    /// The identity of a server span.
    pub(super) fn server(incoming: Option<Traceparent>, seed: &Seed) -> Identity {
        identity(incoming, seed, SpanKind::Server)
    }

    /// The identity of a client span of `process`, which sent `outgoing`, and what that says of its
    /// cause.
    pub(super) fn client(
        &mut self,
        outgoing: Option<Traceparent>,
        seed: &Seed,
        key: &Seed,
        process: ProcessKey,
    ) -> (Identity, InContext) {
        let mut identity = identity(outgoing, seed, SpanKind::Client);
        identity.parent = None;
        let Some(Traceparent { trace_id, parent_id, .. }) = outgoing else {
            return (identity, InContext::Nothing);
        };
        let of_trace = Key::open(process, trace_id);
        let open = self.open.get(&of_trace);
        // All but the other end of the same request: a process may call itself, and its receive may
        // be seen before its send. A request is not its own cause.
        let all = open.into_iter().flat_map(Few::iter).filter(|server| server.key != *key);
        let came_in = all.clone().filter(|server| server.came_in == parent_id);
        let whole = open.is_none_or(Few::is_whole);
        let listed = InContext::of(came_in, Some(parent_id));
        let forwarded = match whole || !self.unlisted.contains_key(&(of_trace, parent_id)) {
            true => listed,
            false => InContext::Several(Some(parent_id)),
        };
        if !matches!(forwarded, InContext::Nothing) {
            return (identity, forwarded);
        }
        let listed = InContext::of(all, None);
        let any = if whole { listed } else { InContext::Several(None) };
        if self.take(trace_id, parent_id) {
            identity.span_id = parent_id;
            identity.minted = true;
        }
        (identity, any)
    }

    /// The identity of a span whose request names no parent: of the trace, if it names that, and as
    /// the sender decided on recording it.
    pub(super) fn parentless(context: TraceContext, seed: &Seed, kind: SpanKind) -> Identity {
        let trace_id = context.trace_id.unwrap_or_else(|| seed.trace_id());
        let span_id = seed.span_id(trace_id, kind);
        Identity {
            trace_id,
            span_id,
            parent: None,
            flags: context.flags,
            remote_sampled: None,
            minted: false,
        }
    }

    /// The identity of a span of an exchange that the server promised within another (RFC 9113
    /// section 8.4): the same trace, caused by that one, at both ends.
    pub(super) fn promised(cause: &Identity, seed: &Seed, kind: SpanKind) -> Identity {
        Identity {
            trace_id: cause.trace_id,
            span_id: seed.span_id(cause.trace_id, kind),
            parent: Some(cause.span_id),
            flags: cause.flags,
            remote_sampled: cause.remote_sampled,
            minted: false,
        }
    }

    /// A server exchange with a context is open from here.
    pub(super) fn opened(
        &mut self,
        process: ProcessKey,
        server: &Identity,
        key: Seed,
        node: NodeId,
    ) {
        let Some(came_in) = server.parent else {
            return;
        };
        let opened = Server { node, span: server.span_id, came_in, key, over: false };
        let of_trace = Key::open(process, server.trace_id);
        if !few::enter(&mut self.open, of_trace, opened) {
            *self.unlisted.entry((of_trace, came_in)).or_default() += 1;
        }
    }

    /// It is not any more; what it has begun may go on for a while.
    pub(super) fn closed(
        &mut self,
        process: ProcessKey,
        server: &Identity,
        node: NodeId,
        now: Monotonic,
    ) {
        let Some(came_in) = server.parent else {
            return;
        };
        let of_trace = Key::open(process, server.trace_id);
        if let Some(servers) = self.open.get_mut(&of_trace) {
            servers.change(|it| it.over |= it.node == node);
            self.over.push_back((now, (of_trace, came_in), node));
        }
        while let Some(&(since, key, node)) = self.over.front()
            && (since.0.saturating_add(REMEMBERED) <= now.0 || self.over.len() > self.taken_cap)
        {
            self.over.pop_front();
            let left = few::leave(&mut self.open, key.0, |server| server.node == node);
            if left == Some(Left::Unlisted)
                && let Entry::Occupied(mut count) = self.unlisted.entry(key)
            {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// False where it was taken before.
    fn take(&mut self, trace_id: TraceId, span_id: SpanId) -> bool {
        let key = Key::taken(trace_id, span_id);
        if self.taken.iter().any(|half| half.contains(&key)) {
            return false;
        }
        if self.taken[0].len() >= self.taken_cap {
            self.taken.swap(0, 1);
            self.taken[0].clear();
        }
        self.taken[0].insert(key)
    }

    #[cfg(test)]
    pub(super) fn open_len(&self) -> usize {
        self.open.values().flat_map(Few::iter).filter(|server| !server.over).count()
    }
}

fn identity(context: Option<Traceparent>, seed: &Seed, kind: SpanKind) -> Identity {
    let trace_id = context.map_or_else(|| seed.trace_id(), |context| context.trace_id);
    Identity {
        trace_id,
        span_id: seed.span_id(trace_id, kind),
        parent: context.map(|context| context.parent_id),
        flags: context.map_or(TraceFlags(1), |context| context.flags),
        remote_sampled: None,
        minted: false,
    }
}

#[expect(clippy::expect_used, reason = "the bytes are not all zero")]
fn nonzero_trace() -> TraceId {
    TraceId::new([1; 16]).expect("not all zero")
}

#[expect(clippy::expect_used, reason = "the bytes are not all zero")]
fn nonzero_span() -> SpanId {
    SpanId::new([1; 8]).expect("not all zero")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::forest::{Forest, New};
    use crate::trace::origin::Origin;

    const TGID: ProcessKey = ProcessKey::undated(7);

    fn context(parent: u8) -> Traceparent {
        Traceparent {
            trace_id: TraceId::new([9; 16]).unwrap(),
            parent_id: SpanId::new([parent; 8]).unwrap(),
            flags: TraceFlags(1),
        }
    }

    fn node() -> NodeId {
        let mut forest = Forest::new(1);
        forest.begin(New {
            kind: SpanKind::Server,
            process: TGID,
            identity: Contexts::server(None, &Seed([0; 16])),
            in_context: false,
            start: Monotonic(0),
            key: Seed([0; 16]),
            paired: false,
            origin: Origin::Trusted,
            cause: Ok(None),
        })
    }

    /// A process that calls itself, whose receive is seen before its send.
    #[test]
    fn a_request_is_not_its_own_cause() {
        let mut contexts = Contexts::new(16);
        let itself = Seed([1; 16]);
        let server = Contexts::server(Some(context(1)), &itself);
        contexts.opened(TGID, &server, itself, node());
        let (client, cause) = contexts.client(Some(context(1)), &itself, &itself, TGID);
        assert!(matches!(cause, InContext::Nothing));
        assert_eq!(client.span_id, context(1).parent_id, "minted, not forwarded");
    }

    #[test]
    fn a_forwarded_context_names_its_server() {
        let mut contexts = Contexts::new(16);
        let before = Seed([1; 16]);
        let server = Contexts::server(Some(context(1)), &before);
        contexts.opened(TGID, &server, before, node());
        let other = Seed([2; 16]);
        let (client, cause) = contexts.client(Some(context(1)), &other, &other, TGID);
        assert!(matches!(cause, InContext::One(there) if there == node()));
        assert_ne!(client.span_id, context(1).parent_id);
    }

    /// What an exchange has left behind takes its context out after it is over, while another exchange of
    /// the same trace is open.
    #[test]
    fn who_is_over_may_still_be_the_cause() {
        let mut contexts = Contexts::new(16);
        let mut forest = Forest::new(1);
        let keys = [1, 2, 3].map(|n| Seed([n; 16]));
        let servers = [1, 2, 3].map(|n| Contexts::server(Some(context(n)), &Seed([n; 16])));
        let nodes = [0, 1, 2].map(|n| {
            forest.begin(New {
                kind: SpanKind::Server,
                process: TGID,
                identity: servers[n].clone(),
                in_context: true,
                start: Monotonic(0),
                key: keys[n],
                paired: false,
                origin: Origin::Trusted,
                cause: Ok(None),
            })
        });
        let open = |contexts: &mut Contexts, n: usize| {
            contexts.opened(TGID, &servers[n], keys[n], nodes[n]);
        };
        let close = |contexts: &mut Contexts, n: usize, now| {
            contexts.closed(TGID, &servers[n], nodes[n], Monotonic(now));
        };
        let out = |contexts: &mut Contexts, parent, n| {
            let seed = Seed([n; 16]);
            contexts.client(Some(context(parent)), &seed, &seed, TGID).1
        };
        open(&mut contexts, 0);
        close(&mut contexts, 0, 0);
        let first = servers[0].span_id;
        assert!(matches!(out(&mut contexts, 1, 10), InContext::Over(span) if span == first));
        assert!(matches!(out(&mut contexts, 7, 11), InContext::Over(_)));
        open(&mut contexts, 1);
        assert!(matches!(out(&mut contexts, 8, 12), InContext::Several(None)));
        assert!(matches!(out(&mut contexts, 2, 13), InContext::One(node) if node == nodes[1]));
        // Until it is long ago.
        open(&mut contexts, 2);
        close(&mut contexts, 2, REMEMBERED);
        assert!(matches!(out(&mut contexts, 1, 14), InContext::Several(_)), "minted anew");
        assert!(matches!(out(&mut contexts, 3, 15), InContext::Over(_)));
    }
}
