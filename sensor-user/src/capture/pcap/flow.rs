//! The TCP connections of a packet capture, each as one flow seen from its server.
//!
//! The server is whoever received the SYN. A connection that was open when the capture began has
//! none: then its first data decide, by who sends a line that opens a request, or one that opens a
//! response; and where they do neither, the lower port is taken for the server's. If that guess is
//! wrong, the flow is told from the client's side, which is as true: requests are sent then.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::assembly::{Assembly, Piece};
use super::packet::TcpPacket;
use crate::capture::event::{
    Caller, Direction, End, Endpoints, Event, Flow, FlowId, Monotonic, ProcessKey, Segment,
};
use crate::metrics::{Counter, Metrics};

/// Connections known at once.
const FLOWS_MAX: usize = 32_768;

/// The part of them that makes room at once, the least recently used first.
const FLOWS_FORGOTTEN: usize = 16;

/// Bytes that wait for holes to be filled, in all connections.
const WAITING_MAX: usize = 64 * 1024 * 1024;

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

/// All connections.
pub(super) struct Flows {
    flows: HashMap<Key, Connection>,
    flows_max: usize,
    metrics: Arc<Metrics>,
    next_id: u64,
    packets: u64,
    waiting: usize,
}

/// The two ends, the lower first.
type Key = (SocketAddr, SocketAddr);

struct Connection {
    flow: Flow,
    client: SocketAddr,
    /// Sequence number of the client's SYN.
    syn: Option<u32>,
    /// By [`Direction::index`].
    directions: [Assembly; 2],
    last: [Option<Monotonic>; 2],
    ended: [bool; 2],
    /// Over; kept so that late repetitions are not taken for a new connection.
    closed: bool,
    used: u64,
}

impl Flows {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            flows: HashMap::new(),
            flows_max: FLOWS_MAX,
            metrics,
            next_id: 1,
            packets: 0,
            waiting: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn bounded(metrics: Arc<Metrics>, flows_max: usize) -> Self {
        Self { flows_max, ..Self::new(metrics) }
    }

    /// Takes one packet.
    pub(super) fn packet(&mut self, time: Monotonic, packet: &TcpPacket<'_>, sink: Sink<'_>) {
        self.packets += 1;
        let ends = (packet.source, packet.destination);
        let key = if ends.0 <= ends.1 { ends } else { (ends.1, ends.0) };

        if let Some(known) = self.flows.get_mut(&key)
            && known.replaced_by(packet)
        {
            // Its end was not captured.
            self.waiting -= known.waiting();
            known.close(time, false, sink);
            self.flows.remove(&key);
        }
        let has_data = !packet.data.is_empty() || packet.cut > 0;
        if !self.flows.contains_key(&key) {
            if !packet.syn && !has_data {
                return;
            }
            self.make_room(sink);
            let connection = Connection::new(FlowId(self.next_id), packet);
            self.next_id += 1;
            self.flows.insert(key, connection);
        }
        let Some(connection) = self.flows.get_mut(&key) else {
            return;
        };
        connection.used = self.packets;
        if connection.closed {
            if connection.adds_data(packet) {
                self.metrics.inc(Counter::PacketsAfterClose);
            }
            return;
        }

        let before = connection.waiting();
        connection.packet(time, packet, sink);
        self.waiting = self.waiting - before + connection.waiting();
        if self.waiting > WAITING_MAX {
            self.waiting -= connection.waiting();
            connection.flush(sink);
        }
    }

    /// Nothing more comes: delivers what waits. Connections that are open stay so.
    pub(super) fn flush(&mut self, sink: Sink<'_>) {
        let mut open: Vec<_> = self.flows.values_mut().collect();
        open.sort_unstable_by_key(|connection| connection.flow.id.0);
        for connection in open {
            connection.flush(sink);
            // With the holes before it passed, a FIN that waited is due.
            if let Some(time) = connection.last.iter().flatten().max().copied() {
                connection.report_end(Direction::Receive, time, sink);
                connection.report_end(Direction::Send, time, sink);
            }
        }
        self.waiting = 0;
    }

    fn make_room(&mut self, sink: Sink<'_>) {
        if self.flows.len() < self.flows_max.max(2) {
            return;
        }
        let mut used: Vec<u64> = self.flows.values().map(|connection| connection.used).collect();
        let nth = (self.flows_max / FLOWS_FORGOTTEN).clamp(1, used.len() - 1);
        let (_, &mut newest_kept, _) = used.select_nth_unstable(nth);
        let Self { flows, waiting, metrics, .. } = self;
        flows.retain(|_, connection| {
            let keep = connection.used >= newest_kept;
            if !keep {
                *waiting -= connection.waiting();
                connection.flush(sink);
                if !connection.closed {
                    metrics.inc(Counter::PacketFlowsForgotten);
                }
            }
            keep
        });
    }
}

impl Connection {
    fn new(id: FlowId, packet: &TcpPacket<'_>) -> Self {
        let TcpPacket { source, destination, .. } = *packet;
        let from_client = (source, destination);
        let from_server = (destination, source);
        let (client, server) = match (packet.syn, packet.ack) {
            (true, None) => from_client,
            (true, Some(_)) => from_server,
            (false, _) if opens_request(packet.data) => from_client,
            // RFC 9113 section 3.4: only clients begin with it.
            (false, _) if packet.data.starts_with(b"PRI * HTTP/2.0\r\n") => from_client,
            (false, _) if packet.data.starts_with(b"HTTP/1.") => from_server,
            (false, _) if source.port() < destination.port() => from_server,
            (false, _) => from_client,
        };
        let part = |end: SocketAddr| (end.ip(), end.port());
        Self {
            flow: Flow {
                id,
                endpoints: Endpoints::Tcp { local: part(server), remote: part(client) },
                netns: None,
                cookie: None,
                inode: None,
                from_start: packet.syn,
                unix_connection: None,
            },
            client,
            syn: (packet.syn && packet.ack.is_none()).then_some(packet.seq),
            directions: [Assembly::default(), Assembly::default()],
            last: [None; 2],
            ended: [false; 2],
            closed: false,
            used: 0,
        }
    }

    /// The packet opens another connection between the same ends.
    fn replaced_by(&self, packet: &TcpPacket<'_>) -> bool {
        let another = self.syn.is_some_and(|syn| syn != packet.seq) || self.syn.is_none();
        packet.syn && (self.closed || (packet.ack.is_none() && another && self.seen()))
    }

    /// An event has named this flow.
    fn seen(&self) -> bool {
        self.last != [None; 2]
    }

    fn direction(&self, packet: &TcpPacket<'_>) -> Direction {
        if packet.source == self.client { Direction::Receive } else { Direction::Send }
    }

    fn adds_data(&self, packet: &TcpPacket<'_>) -> bool {
        self.directions[self.direction(packet).index()]
            .adds(packet.seq, packet.data.len() + packet.cut)
    }

    fn waiting(&self) -> usize {
        self.directions.iter().map(Assembly::waiting_bytes).sum()
    }

    fn packet(&mut self, time: Monotonic, packet: &TcpPacket<'_>, sink: Sink<'_>) {
        let direction = self.direction(packet);
        // What the packet acknowledges came before what it carries.
        if let Some(ack) = packet.ack {
            let other = direction.opposite();
            if self.flow.from_start {
                self.directions[other.index()].begin(ack);
            }
            self.assemble(other, sink, |assembly, sink| assembly.ack(ack, sink));
            self.report_end(other, time, sink);
        }
        let mut seq = packet.seq;
        if packet.syn {
            // It counts as one.
            seq = seq.wrapping_add(1);
            self.directions[direction.index()].begin(seq);
        }
        if !packet.data.is_empty() || packet.cut > 0 {
            self.assemble(direction, sink, |assembly, sink| {
                assembly.data(time, seq, packet.data, packet.cut, sink);
            });
        }
        if packet.fin {
            let len = packet.data.len() + packet.cut;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sequence numbers are modulo 2^32"
            )]
            self.directions[direction.index()].fin(seq.wrapping_add(len as u32));
        }
        self.report_end(direction, time, sink);
        if packet.rst {
            self.close(time, true, sink);
        }
    }

    fn flush(&mut self, sink: Sink<'_>) {
        for direction in [Direction::Receive, Direction::Send] {
            self.assemble(direction, sink, |assembly, sink| assembly.flush(sink));
        }
    }

    /// Lets one direction's assembly do something, and passes on what it delivers.
    fn assemble(
        &mut self,
        direction: Direction,
        sink: Sink<'_>,
        act: impl FnOnce(&mut Assembly, &mut dyn FnMut(Piece<'_>)),
    ) {
        let Self { flow, directions, last, .. } = self;
        act(&mut directions[direction.index()], &mut |piece| {
            let Piece { time, position, seq, data, cut } = piece;
            last[direction.index()] = Some(time);
            sink(Event::Segment(Segment {
                flow: flow.clone(),
                direction,
                time,
                time_is_start: false,
                process: ProcessKey::UNKNOWN,
                caller: Caller::default(),
                position,
                skipped_before: 0,
                bytes: data,
                skipped_after: cut,
                unreadable_after: cut > 0,
                tcp_seq: Some(seq),
                lost_records: 0,
                frame_start: false,
                head_too_large: false,
            }));
        });
    }

    /// Tells, once, that a direction has ended.
    fn report_end(&mut self, direction: Direction, time: Monotonic, sink: Sink<'_>) {
        let index = direction.index();
        if self.ended[index] || !self.directions[index].ended() {
            return;
        }
        self.ended[index] = true;
        self.closed = self.ended == [true; 2];
        if self.seen() {
            sink(Event::End(self.end(time, false)));
        }
    }

    fn close(&mut self, time: Monotonic, error: bool, sink: Sink<'_>) {
        if self.closed {
            return;
        }
        self.flush(sink);
        self.closed = true;
        if self.seen() {
            sink(Event::End(self.end(time, error)));
        }
    }

    fn end(&self, time: Monotonic, error: bool) -> End {
        let [receive, send] = &self.directions;
        End {
            flow: self.flow.clone(),
            time,
            process: ProcessKey::UNKNOWN,
            receive_eof: self.ended[Direction::Receive.index()],
            send_eof: self.ended[Direction::Send.index()],
            closed: self.closed,
            error,
            position: [receive.position(), send.position()],
            skipped: [0; 2],
            last: self.last,
            lost_records: [0; 2],
        }
    }
}

/// A first line of a request: a token (RFC 9110 section 5.6.2), a space, and the version at the end
/// of the line (RFC 9112 section 3).
fn opens_request(data: &[u8]) -> bool {
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !method.is_empty()
        && method.iter().all(token)
        && words.next_back().is_some_and(|version| version.starts_with(b"HTTP/1."))
}
