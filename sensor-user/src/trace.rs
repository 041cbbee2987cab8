//! Exchanges into spans: from what a capture source delivers to [`Span`]s, with no I/O, no clock
//! and no threads in between.
//!
//! Every exchange whose request was recognised becomes a span, is open, or is counted as lost with
//! a reason: `exchanges.seen = exchanges.spans + open + Σ exchanges.lost.*`, after every event.

mod clock;
mod connection;
mod exchange;
mod identity;
mod table;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

pub use exchange::{
    CONNECTION_CLOSED, CONNECTION_RESET, INCOMPLETE_RESPONSE, PAIRING, REQUEST_BODY_END,
    RESPONSE_FIRST_BYTE,
};

use crate::capture::event::{
    Direction, End, Endpoints, Event, Flow, FlowId, Monotonic, Segment, Tgid,
};
use crate::metrics::{Counter, Metrics};
use crate::model::Span;
use crate::stream::{Extent, Piece, Track};
use crate::wire::http1::{At, Decoder, Kind};
use clock::Clock;
use connection::{Core, Exchanges, Feed, Notice};
use identity::Contexts;
use table::Table;

/// The bounds of the assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are followed at once; the one not used for longest makes room.
    pub connections: usize,
    /// Requests in flight on one connection.
    pub pipeline: usize,
    /// Bytes of a message head, and of a chunk line or a trailer section.
    pub head_bytes: u32,
    /// Processes whose identity is kept; the one not used for longest makes room.
    pub processes: usize,
    /// Span identifiers of applications that are remembered, so that none is given out twice.
    pub contexts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: sensor_ebpf::limits::FLOWS as usize,
            pipeline: 256,
            // The kernel side hands over whole records: a head that it finds to be over its limit
            // may come with up to one record more.
            head_bytes: sensor_ebpf::limits::HEAD_MAX + 2048,
            processes: sensor_ebpf::limits::PROCESSES as usize,
            contexts: 16_384,
        }
    }
}

/// The whole of it: events in, spans out.
#[derive(Debug)]
pub struct Pipeline {
    limits: Limits,
    core: Core,
    connections: Table<FlowId, Box<Connection>>,
    /// Paths of Unix sockets of which no segment has come yet.
    unix_paths: FxHashMap<FlowId, Arc<str>>,
    /// Unix sockets among the connections: they have no close event, the end of their process
    /// stands for it.
    unix: FxHashSet<FlowId>,
}

/// One followed connection.
#[derive(Debug)]
struct Connection {
    halves: [Half; 2],
    exchanges: Exchanges,
}

/// One direction of it.
#[derive(Debug)]
struct Half {
    track: Track,
    decoder: Decoder,
}

impl Pipeline {
    /// An empty one, counting into `metrics`.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            limits,
            core: Core {
                metrics,
                clock: Clock::default(),
                contexts: Contexts::new(limits.contexts),
                processes: Table::new(limits.processes),
                open: 0,
                pipeline: limits.pipeline,
            },
            connections: Table::new(limits.connections),
            unix_paths: FxHashMap::default(),
            unix: FxHashSet::default(),
        }
    }

    /// Takes the next event and hands over the spans that it completes.
    pub fn handle(&mut self, event: &Event<'_>, out: &mut dyn FnMut(Span)) {
        match event {
            Event::Segment(segment) => self.segment(segment, out),
            Event::End(end) => self.end(end, out),
            Event::UnixPath { flow, path } => self.unix_path(*flow, path),
            Event::Process { tgid, resource } => {
                self.core.processes.insert(*tgid, Arc::clone(resource));
            }
            Event::ProcessExit { tgid, time } => self.process_exit(*tgid, *time, out),
            Event::Clock(sync) => self.core.clock.sync(*sync),
            Event::Missed => self.missed(),
        }
    }

    /// Exchanges that were seen and are neither spans nor lost yet.
    pub fn open_exchanges(&self) -> usize {
        self.core.open
    }

    fn segment(&mut self, segment: &Segment<'_>, out: &mut dyn FnMut(Span)) {
        if !self.core.clock.is_set() {
            // A source that breaks its promise: there is no telling when this was.
            self.core.metrics.inc(Counter::EventsUndecodable);
            return;
        }
        let connection = match self.connections.get_mut(segment.flow.id) {
            Some(connection) => connection,
            None => {
                self.open(&segment.flow, segment.tgid);
                match self.connections.get_mut(segment.flow.id) {
                    Some(connection) => connection,
                    None => return,
                }
            }
        };
        let core = &mut self.core;
        connection.exchanges.tgid = segment.tgid;
        let extent = Extent {
            position: segment.position,
            skipped_before: segment.skipped_before,
            bytes: segment.bytes,
            skipped_after: segment.skipped_after,
            unreadable_after: segment.unreadable_after,
            lost_records: segment.lost_records,
        };
        let seq = segment.tcp_seq.map(|seq| (seq, segment.position));
        let cut = segment.head_too_large;
        connection.advance(core, segment.direction, &extent, segment.time, seq, cut, out);
    }

    fn end(&mut self, end: &End, out: &mut dyn FnMut(Span)) {
        let Some(connection) = self.connections.get_mut(end.flow.id) else {
            self.unix_paths.remove(&end.flow.id);
            return;
        };
        let core = &mut self.core;
        for direction in [Direction::Receive, Direction::Send] {
            let i = direction.index();
            let extent = Extent {
                position: end.position[i],
                skipped_before: end.skipped[i],
                // Whatever records were lost, the last bytes' time is in this one.
                lost_records: 0,
                ..Extent::default()
            };
            let time = end.last[i].unwrap_or(end.time);
            connection.advance(core, direction, &extent, time, None, false, out);
        }
        // Requests first: an exchange that was answered while its request went on is complete.
        for kind in [Kind::Request, Kind::Response] {
            for direction in [Direction::Receive, Direction::Send] {
                let i = direction.index();
                let eof = end.closed || [end.receive_eof, end.send_eof][i];
                if eof && connection.exchanges.kind(direction) == Some(kind) {
                    let last = end.last[i].unwrap_or(end.time);
                    connection.direction_ended(core, direction, kind, last, end, out);
                }
            }
        }
        if end.closed {
            self.close(end.flow.id);
        }
    }

    fn unix_path(&mut self, flow: FlowId, path: &Arc<str>) {
        if path.is_empty() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(flow) {
            connection.exchanges.unix_path = Some(Arc::clone(path));
        } else if self.unix_paths.len() < self.limits.connections {
            self.unix_paths.insert(flow, Arc::clone(path));
        }
    }

    /// What is still open in it will not be answered. Connections over TCP have their own end.
    fn process_exit(&mut self, tgid: Tgid, time: Monotonic, out: &mut dyn FnMut(Span)) {
        let connections = &mut self.connections;
        let ended: Vec<FlowId> = self
            .unix
            .iter()
            .copied()
            .filter(|&flow| {
                connections.get_mut(flow).is_some_and(|there| there.exchanges.tgid == tgid)
            })
            .collect();
        for flow in ended {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.exchanges.requests_ended(&mut self.core, out);
                connection.exchanges.responses_ended(time, false, &mut self.core, out);
            }
            self.close(flow);
        }
        self.core.processes.remove(tgid);
    }

    /// On each Unix socket the next answer may be that to a request which was not seen.
    fn missed(&mut self) {
        for &flow in &self.unix {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.begin_anew(&mut self.core, self.limits.head_bytes);
            }
        }
    }

    fn open(&mut self, flow: &Flow, tgid: Tgid) {
        let path = self.unix_paths.remove(&flow.id);
        if flow.endpoints == Endpoints::Unix {
            self.unix.insert(flow.id);
        }
        let half = || Half {
            track: Track::default(),
            decoder: Decoder::new(flow.from_start, self.limits.head_bytes),
        };
        let connection = Box::new(Connection {
            halves: [half(), half()],
            exchanges: Exchanges::new(flow.clone(), tgid, path),
        });
        self.core.metrics.inc(Counter::Connections);
        if let Some((evicted, mut connection)) = self.connections.insert(flow.id, connection) {
            self.unix.remove(&evicted);
            self.core.metrics.inc(Counter::ConnectionsEvicted);
            connection.lose_all(&mut self.core, Counter::ExchangesLostEvicted);
        }
    }

    /// Forgets a connection on which nothing is open that could still become a span.
    fn close(&mut self, flow: FlowId) {
        self.unix.remove(&flow);
        if let Some(mut connection) = self.connections.remove(flow) {
            connection.lose_all(&mut self.core, Counter::ExchangesLostHeadIncomplete);
        }
    }
}

impl Connection {
    fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        self.exchanges.lose_head(core, reason);
        self.exchanges.lose_all(core, reason);
    }

    /// Gives up what is open, and goes on as with a connection that is older than the sensor. The
    /// positions stay what they are.
    fn begin_anew(&mut self, core: &mut Core, head_max: u32) {
        self.lose_all(core, Counter::ExchangesLostRunMissed);
        let flow = Flow { from_start: false, ..self.exchanges.flow.clone() };
        let path = self.exchanges.unix_path.take();
        self.exchanges = Exchanges::new(flow, self.exchanges.tgid, path);
        for half in &mut self.halves {
            half.decoder = Decoder::new(false, head_max);
        }
    }

    /// Lays an extent against a direction and decodes what is new. `seq` is the TCP sequence
    /// number of a position; `cut` says that the head in the bytes goes on beyond them.
    #[expect(clippy::too_many_arguments, reason = "an event's parts, each of its own type")]
    fn advance(
        &mut self,
        core: &mut Core,
        direction: Direction,
        extent: &Extent<'_>,
        time: Monotonic,
        seq: Option<(u32, u64)>,
        cut: bool,
        out: &mut dyn FnMut(Span),
    ) {
        let mut track = self.halves[direction.index()].track;
        let missing = track.advance(extent, |position, piece| {
            #[expect(clippy::cast_possible_truncation, reason = "they are modulo 2^32")]
            let tcp_seq = seq.map(|(seq, at)| seq.wrapping_add(position.wrapping_sub(at) as u32));
            let at = At { time, position, tcp_seq };
            self.with(core, direction, out, |decoder, feed| {
                decoder.feed(piece, at, feed);
                if cut && matches!(piece, Piece::Bytes(_)) {
                    decoder.cut(feed);
                }
            });
        });
        self.halves[direction.index()].track = track;
        if missing.gaps > 0 {
            core.metrics.add(Counter::Gaps, missing.gaps);
            core.metrics.add(Counter::GapBytes, missing.bytes);
        }
    }

    /// Nothing more comes in a direction that carries `kind`; its last byte went by at `last`.
    fn direction_ended(
        &mut self,
        core: &mut Core,
        direction: Direction,
        kind: Kind,
        last: Monotonic,
        end: &End,
        out: &mut dyn FnMut(Span),
    ) {
        match kind {
            Kind::Request => self.exchanges.requests_ended(core, out),
            Kind::Response => {
                // A body that goes on until the end is complete only where the end is in order.
                if !end.error {
                    self.with(core, direction, out, |decoder, feed| {
                        decoder.finish(last, feed);
                    });
                }
                self.exchanges.responses_ended(end.time, end.error, core, out);
            }
        }
    }

    /// Has a direction's decoder do something, then tells the other what came of it.
    fn with(
        &mut self,
        core: &mut Core,
        direction: Direction,
        out: &mut dyn FnMut(Span),
        act: impl FnOnce(&mut Decoder, &mut Feed<'_>),
    ) {
        let Self { halves, exchanges } = self;
        let [receive, send] = halves;
        let (this, other) = match direction {
            Direction::Receive => (receive, send),
            Direction::Send => (send, receive),
        };
        act(&mut this.decoder, &mut Feed { exchanges, core, direction, out });
        let Notice { expect, resume, opaque, both_opaque } = std::mem::take(&mut exchanges.notice);
        if let Some(kind) = expect {
            other.decoder.expect(kind);
        }
        if resume {
            other.decoder.resume();
        }
        if opaque || both_opaque {
            other.decoder.give_over();
        }
        if both_opaque {
            this.decoder.give_over();
            exchanges.lose_head(core, Counter::ExchangesLostUndecodable);
            exchanges.lose_all(core, Counter::ExchangesLostUndecodable);
        }
    }
}
