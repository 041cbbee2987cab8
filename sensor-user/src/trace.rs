//! Exchanges into spans: from what a capture source delivers to [`Span`]s, with no I/O, no clock
//! and no threads in between.
//!
//! Every exchange whose request was recognised becomes a span, is open, or is counted as lost with
//! a reason: `exchanges.seen = exchanges.spans + open + Σ exchanges.lost.*`, after every event.

mod carried;
mod causes;
mod clock;
mod connection;
mod core;
mod exchange;
mod few;
mod forest;
mod http1;
mod http2;
mod identity;
mod origin;
mod owner;
mod target;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

pub use exchange::{
    CONNECTION_CLOSED, CONNECTION_RESET, HTTP2_ERROR, HTTP2_PUSHED, HTTP2_RESET_BY,
    INCOMPLETE_RESPONSE, INFERRED, LINK, NOT_PROCESSED, PAIRING, REQUEST_BODY_END,
    RESPONSE_FIRST_BYTE, STREAM_RESET, rpc,
};

pub use forest::{DOUBT, EVIDENCE, FAR_END, FOREIGN_TRACE};
pub use origin::{Callers, ForeignTrace, Network, NotANetwork};
pub use owner::{Belongs, Owner, ServerId};

use self::core::Core;
use crate::capture::event::{
    End, Endpoints, Event, Flow, FlowId, GoStream, Monotonic, ProcessKey, Segment, SocketId,
};
use crate::context;
use crate::metrics::{Counter, Metrics};
use crate::model::{Span, SpanId};
use crate::table::Table;
use connection::Connection;

/// The bounds of the assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are followed at once; the one not used for longest makes room.
    pub connections: usize,
    /// Requests in flight on one connection.
    pub pipeline: usize,
    /// Bytes of a message head of HTTP/1, and of a chunk line or a trailer section. (Of HTTP/2:
    /// [`crate::wire::http2::hpack::MAX_BLOCK`].)
    pub head_bytes: u32,
    /// Streams that are followed at once on one connection of HTTP/2.
    pub streams: usize,
    /// Exchanges in flight on all connections with which no more streams of HTTP/2 are followed.
    pub exchanges: usize,
    /// Processes whose identity is kept; the one not used for longest makes room.
    pub processes: usize,
    /// Span identifiers of applications that are remembered, so that none is given out twice.
    pub contexts: usize,
    /// Spans that wait until it is settled what caused them.
    pub settling: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: sensor_ebpf::limits::FLOWS as usize,
            pipeline: 256,
            // The kernel side hands over whole records: a head that it finds to be over its limit
            // may come with up to one record more.
            head_bytes: sensor_ebpf::limits::HEAD_MAX + 2048,
            streams: 1024,
            exchanges: 65_536,
            processes: sensor_ebpf::limits::PROCESSES as usize,
            contexts: 16_384,
            settling: 65_536,
        }
    }
}

/// The whole of it: events in, spans out.
#[derive(Debug)]
pub struct Pipeline {
    limits: Limits,
    core: Core,
    connections: Table<FlowId, Box<Connection>>,
    /// Those of the connections whose socket is known.
    sockets: FxHashMap<SocketId, FlowId>,
    /// Paths of Unix sockets of which no segment has come yet.
    unix_paths: FxHashMap<FlowId, Arc<str>>,
    /// Unix sockets among the connections: they have no close event, the end of their process
    /// stands for it.
    unix: FxHashSet<FlowId>,
}

impl Pipeline {
    /// An empty one, counting into `metrics`.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            limits,
            core: Core::new(limits, metrics),
            connections: Table::new(limits.connections),
            sockets: FxHashMap::default(),
            unix_paths: FxHashMap::default(),
            unix: FxHashSet::default(),
        }
    }

    /// The same, reading these identifiers and this baggage of requests.
    #[must_use]
    pub fn reading(mut self, settings: context::Settings) -> Self {
        self.core.reading = settings;
        self
    }

    /// The same, trusting these callers.
    #[must_use]
    pub fn trusting(mut self, callers: Callers) -> Self {
        if callers.foreign_trace == ForeignTrace::Restart {
            self.core.forest.restart_foreign_traces();
        }
        self.core.callers = callers;
        self
    }

    /// Takes the next event and hands over the spans that are settled by it.
    pub fn handle(&mut self, event: &Event<'_>, out: &mut dyn FnMut(Span)) {
        match event {
            Event::Segment(segment) => {
                self.segment(segment);
                self.advance(segment.time);
            }
            Event::End(end) => {
                self.end(end);
                self.advance(end.time);
            }
            Event::UnixPath { flow, path } => self.unix_path(*flow, path),
            Event::Process { process, exec, resource } => {
                self.core.causes.process(*process, *exec, resource);
                self.core.processes.insert(*process, Arc::clone(resource));
            }
            Event::ProcessExit { process, time } => self.process_exit(*process, *time),
            Event::GoStream(stream) => self.go_stream(stream),
            // The next stage's.
            Event::LogFile { .. } | Event::Written(_) => {}
            Event::Clock(sync) => {
                self.core.clock.sync(*sync);
                self.advance(sync.monotonic);
            }
            Event::Missed => self.missed(),
        }
        self.core.forest.ready().for_each(out);
    }

    /// No more is to come: hands over the spans that wait for what could have caused them.
    pub fn finish(&mut self, out: &mut dyn FnMut(Span)) {
        self.core.forest.finish(&self.core.metrics);
        self.core.forest.ready().for_each(out);
    }

    /// Spans that wait until it is settled what caused them.
    pub fn settling(&self) -> usize {
        self.core.forest.waiting()
    }

    fn advance(&mut self, now: Monotonic) {
        self.core.forest.advance(now, &self.core.metrics);
    }

    fn go_stream(&mut self, stream: &GoStream) {
        let connection = self.connections.get_mut(stream.flow);
        match connection.and_then(|connection| connection.stream(stream.stream)) {
            Some(exchange) => self.core.go_stream(stream, exchange),
            None => self.core.causes.expect(stream.flow, stream.stream, stream.goroutine),
        }
    }

    /// Exchanges that were seen and are neither spans nor lost yet.
    pub fn open_exchanges(&self) -> usize {
        self.core.open
    }

    /// Hands over, as they stand now by the clock's last reading, exchanges in flight that `wanted`
    /// says yes to, asked for each with the identifier that its span will have and its age. There is
    /// no telling how they end, so they are no spans yet.
    pub fn open_now(
        &self,
        mut wanted: impl FnMut(SpanId, Duration) -> bool,
        out: &mut dyn FnMut(Span),
    ) {
        let Some(now) = self.core.clock.now().filter(|_| self.core.open > 0) else {
            return;
        };
        for connection in self.connections.values() {
            connection.open(|exchange, response| {
                let age = Duration::from_nanos(now.0.saturating_sub(exchange.start().0));
                if wanted(exchange.identity.span_id, age) {
                    let flag_refused = self.core.forest.may_refuse(exchange.node);
                    out(Span { flag_refused, ..exchange.so_far(response, now) });
                }
            });
        }
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        if !self.core.clock.is_set() {
            // A source that breaks its promise: there is no telling when this was.
            self.core.metrics.inc(Counter::EventsUndecodable);
            return;
        }
        let connection = match self.connections.get_mut(segment.flow.id) {
            Some(connection) => connection,
            None => {
                self.open(&segment.flow, segment.process);
                match self.connections.get_mut(segment.flow.id) {
                    Some(connection) => connection,
                    None => return,
                }
            }
        };
        connection.segment(segment, &mut self.core);
    }

    fn end(&mut self, end: &End) {
        let Some(connection) = self.connections.get_mut(end.flow.id) else {
            self.unix_paths.remove(&end.flow.id);
            return;
        };
        connection.ended(end, &mut self.core);
        if end.closed {
            self.close(end.flow.id);
        }
    }

    fn unix_path(&mut self, flow: FlowId, path: &Arc<str>) {
        if path.is_empty() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(flow) {
            connection.site.unix_path = Some(Arc::clone(path));
        } else if self.unix_paths.len() < self.limits.connections {
            self.unix_paths.insert(flow, Arc::clone(path));
        }
    }

    /// What is still open in it will not be answered. Connections over TCP have their own end.
    fn process_exit(&mut self, process: ProcessKey, time: Monotonic) {
        let connections = &mut self.connections;
        let ended: Vec<FlowId> = self
            .unix
            .iter()
            .copied()
            .filter(|&flow| {
                connections.get_mut(flow).is_some_and(|there| there.site.process == process)
            })
            .collect();
        for flow in ended {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.gone(time, &mut self.core);
            }
            self.close(flow);
        }
        self.core.processes.remove(process);
        self.core.causes.exit(process);
    }

    /// On each Unix socket the next answer may be that to a request which was not seen.
    fn missed(&mut self) {
        for &flow in &self.unix {
            if let Some(connection) = self.connections.get_mut(flow) {
                connection.begin_anew(&mut self.core, self.limits.head_bytes);
            }
        }
    }

    fn open(&mut self, flow: &Flow, process: ProcessKey) {
        let path = self.unix_paths.remove(&flow.id);
        if flow.endpoints == Endpoints::Unix {
            self.unix.insert(flow.id);
        }
        if let Some(socket) = flow.socket()
            && let Some(before) = self.sockets.insert(socket, flow.id)
        {
            // Its end will never come: the kernel side has forgotten it. What was in flight on it may
            // go on as this flow, but what belongs together there cannot be told.
            self.unix.remove(&before);
            if let Some(connection) = self.connections.remove(before) {
                self.forgotten(connection);
            }
        }
        let head_max = self.limits.head_bytes;
        let connection = Box::new(Connection::new(flow.clone(), process, path, head_max));
        self.core.metrics.inc(Counter::Connections);
        self.core.connected(flow);
        if let Some((evicted, connection)) = self.connections.insert(flow.id, connection) {
            self.unix.remove(&evicted);
            self.leave_socket(evicted, &connection);
            self.forgotten(connection);
        }
    }

    /// One that had to make room, here or on the kernel side.
    fn forgotten(&mut self, mut connection: Box<Connection>) {
        self.core.metrics.inc(Counter::ConnectionsEvicted);
        connection.lose_all(&mut self.core, Counter::ExchangesLostEvicted);
    }

    /// The socket of a connection that is none any more, unless it is another's by now.
    fn leave_socket(&mut self, id: FlowId, connection: &Connection) {
        self.core.causes.forget(id);
        if let Some(socket) = connection.site.flow.socket()
            && self.sockets.get(&socket) == Some(&id)
        {
            self.sockets.remove(&socket);
        }
    }

    /// Forgets a connection on which nothing is open that could still become a span.
    fn close(&mut self, flow: FlowId) {
        self.unix.remove(&flow);
        if let Some(mut connection) = self.connections.remove(flow) {
            self.leave_socket(flow, &connection);
            connection.lose_all(&mut self.core, Counter::ExchangesLostHeadIncomplete);
        }
    }
}
