//! One followed connection: which protocol it speaks, and its bytes on their way there.
//!
//! ```text
//!  seen from its start                      older than the sensor, or its start is in a gap
//!         |                                              |
//!         v          first bytes are missing             v
//!  HTTP/1 + Opening ------------------------------> HTTP/1 + Seeking
//!         |     |  \                                  /   |
//!         |     |   +--> HTTP/2 <-- frames recognised+    |
//!         |     | a whole preface ^                       |
//!         v     v                 | 101 to `Upgrade: h2c` v
//!     not HTTP  HTTP/1 -----------+          HTTP/1, recognised by a start line
//! ```
//!
//! HTTP/1 is looked for all the time; what may turn out to be HTTP/2 stands beside it until one of
//! them is certain.

use std::sync::Arc;

use super::core::{Core, Site};
use super::exchange::{Exchange, Response};
use super::{http1, http2};
use crate::capture::event::{Caller, Direction, End, Flow, Monotonic, ProcessKey, Segment};
use crate::metrics::Counter;
use crate::stream::{Extent, Piece, Track};
use crate::wire::At;
use crate::wire::http2::{Opening, Start, opening};

/// Most bytes of a direction that wait for what the other one begins with: a server's first flight.
const HELD_MAX: usize = 4096;

/// One followed connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) site: Site,
    /// By [`Direction::index`].
    tracks: [Track; 2],
    protocol: Protocol,
    /// What it may be beside HTTP/1, while neither is certain.
    prospect: Option<Box<Prospect>>,
    /// The kernel side knows where frames begin. Not where a run of it was missed unnoticed.
    marks: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "in place, as most connections are of this kind")]
enum Protocol {
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
}

#[derive(Debug)]
enum Prospect {
    /// Each direction's first bytes.
    Opening([First; 2]),
    /// Frames may be recognised from any segment's first byte on.
    Seeking(Box<http2::Connection>),
}

/// The first bytes of a direction.
#[derive(Debug, Default)]
struct First {
    /// While they can be HTTP/2's: them, and which came when.
    held: Vec<u8>,
    pieces: Vec<(usize, At)>,
    /// They cannot, and were handed on.
    passed: bool,
}

/// A piece of a direction and its place.
#[derive(Clone, Copy)]
struct Placed<'a> {
    piece: Piece<'a>,
    start: Start,
    at: At,
    /// The head in it is cut.
    cut: bool,
    direction: Direction,
}

/// What all that a connection does needs.
struct Way<'a> {
    site: &'a mut Site,
    core: &'a mut Core,
}

impl Connection {
    pub(super) fn new(
        flow: Flow,
        process: ProcessKey,
        unix_path: Option<Arc<str>>,
        head_max: u32,
    ) -> Self {
        let prospect = match flow.from_start {
            true => Prospect::Opening(Default::default()),
            false => Prospect::Seeking(Box::new(http2::Connection::seeking())),
        };
        Self {
            tracks: [Track::default(); 2],
            protocol: Protocol::Http1(http1::Connection::new(flow.from_start, head_max)),
            prospect: Some(Box::new(prospect)),
            site: Site::new(flow, process, unix_path),
            marks: true,
        }
    }

    /// Gives up what is open, and goes on as with a connection that is older than the sensor. The
    /// positions stay what they are.
    pub(super) fn begin_anew(&mut self, core: &mut Core, head_max: u32) {
        self.lose_all(core, Counter::ExchangesLostRunMissed);
        let flow = Flow { from_start: false, ..self.site.flow.clone() };
        let anew = Self::new(flow, self.site.process, self.site.unix_path.take(), head_max);
        *self = Self { tracks: self.tracks, marks: false, ..anew };
    }

    /// Takes a segment of it.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, core: &mut Core) {
        self.site.process = segment.process;
        core.called(segment.process, segment.caller);
        // Only an event loop is asked what it read last.
        let reads = segment.direction == Direction::Receive && segment.caller.multiplexes;
        let before = if reads { self.in_flight() } else { 0 };
        let extent = Extent {
            position: segment.position,
            skipped_before: segment.skipped_before,
            bytes: segment.bytes,
            skipped_after: segment.skipped_after,
            unreadable_after: segment.unreadable_after,
            lost_records: segment.lost_records,
        };
        let start = match segment.frame_start && self.marks {
            true => Start::Frame,
            false => Start::Segment,
        };
        let seq = segment.tcp_seq.map(|seq| (seq, segment.position));
        let cut = segment.head_too_large;
        self.advance(core, segment.direction, &extent, start, segment.time, seq, cut);
        if reads {
            let length = segment.bytes.len() as u64 + segment.skipped_after;
            let alone = before.max(self.in_flight()) <= 1;
            core.has_read(&self.site.flow, segment.position + length, alone);
        }
        core.caller = Caller::default();
    }

    /// Exchanges in flight.
    fn in_flight(&self) -> usize {
        match &self.protocol {
            Protocol::Http1(http1) => http1.open().count(),
            Protocol::Http2(http2) => http2.open().count(),
        }
    }

    /// The exchange of a stream, if it is seen.
    pub(super) fn stream(&mut self, id: u32) -> Option<&mut Exchange> {
        match &mut self.protocol {
            Protocol::Http1(_) => None,
            Protocol::Http2(http2) => http2.stream(id),
        }
    }

    /// Takes an end of it.
    pub(super) fn ended(&mut self, end: &End, core: &mut Core) {
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
            self.advance(core, direction, &extent, Start::Middle, time, None, false);
        }
        let ended = [end.closed || end.receive_eof, end.closed || end.send_eof];
        let Self { site, protocol, .. } = self;
        match protocol {
            Protocol::Http1(http1) => http1.ended(ended, end, site, core),
            Protocol::Http2(http2) => http2.ended(ended, end, core),
        }
    }

    /// Its process ended, and it with it.
    pub(super) fn gone(&mut self, time: Monotonic, core: &mut Core) {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.gone(time, core),
            Protocol::Http2(http2) => http2.gone(time, core),
        }
    }

    /// Nothing more will be known of it: what is in flight is lost.
    pub(super) fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.lose_all(core, reason),
            Protocol::Http2(http2) => http2.lose_all(core, reason),
        }
    }

    /// Hands over each exchange in flight whose request is known, as it stands.
    pub(super) fn open(&self, mut each: impl FnMut(&Exchange, Option<Response>)) {
        let mut each = |(exchange, response): (&Exchange, _)| each(exchange, response);
        match &self.protocol {
            Protocol::Http1(http1) => http1.open().for_each(&mut each),
            Protocol::Http2(http2) => http2.open().for_each(&mut each),
        }
    }

    /// Lays an extent against a direction and decodes what is new. `start` is what the first byte
    /// is known to be, `seq` the TCP sequence number of a position; `cut` says that the head in the
    /// bytes goes on beyond them.
    #[expect(clippy::too_many_arguments, reason = "an event's parts, each of its own type")]
    fn advance(
        &mut self,
        core: &mut Core,
        direction: Direction,
        extent: &Extent<'_>,
        start: Start,
        time: Monotonic,
        seq: Option<(u32, u64)>,
        cut: bool,
    ) {
        let mut track = self.tracks[direction.index()];
        let missing = track.advance(extent, |position, piece| {
            #[expect(clippy::cast_possible_truncation, reason = "they are modulo 2^32")]
            let tcp_seq = seq.map(|(seq, at)| seq.wrapping_add(position.wrapping_sub(at) as u32));
            // A segment of which a part was seen before begins in the middle of itself.
            let start = if position == extent.position { start } else { Start::Middle };
            let at = At { time, position, tcp_seq };
            self.feed(Placed { piece, start, at, cut, direction }, core);
        });
        self.tracks[direction.index()] = track;
        if missing.gaps > 0 {
            core.metrics.add(Counter::Gaps, missing.gaps);
            core.metrics.add(Counter::GapBytes, missing.bytes);
        }
    }

    fn feed(&mut self, placed: Placed<'_>, core: &mut Core) {
        let Self { site, protocol, prospect, .. } = self;
        let mut way = Way { site, core };
        let turned = match protocol {
            Protocol::Http2(http2) => return way.http2(http2, placed),
            Protocol::Http1(http1) => match prospect {
                Some(there) => {
                    let turned = there.feed(http1, placed, &mut way);
                    if http1.is_certain() || http1.is_over() || there.is_nothing() {
                        // What still waits, waits for nothing.
                        if let Prospect::Opening(firsts) = &mut **there {
                            release_all(firsts, http1, &mut way);
                        }
                        *prospect = None;
                    }
                    turned
                }
                None => way.http1(http1, placed),
            },
        };
        if let Some(http2) = turned {
            *prospect = None;
            *protocol = Protocol::Http2(http2);
        }
    }
}

impl Way<'_> {
    fn http2(&mut self, http2: &mut http2::Connection, placed: Placed<'_>) {
        let Self { site, core } = self;
        let Placed { piece, start, at, cut: _, direction } = placed;
        http2.feed(piece, start, at, direction, site, core);
    }

    /// Gives what the connection becomes, if it turns to HTTP/2.
    fn http1(
        &mut self,
        http1: &mut http1::Connection,
        placed: Placed<'_>,
    ) -> Option<Box<http2::Connection>> {
        let Self { site, core } = self;
        let Placed { piece, start: _, at, cut, direction } = placed;
        let upgraded = http1.feed(piece, at, cut, direction, site, core)?;
        let first = upgraded.first;
        let mut http2 = Box::new(http2::Connection::upgraded(upgraded, core));
        // What follows the response in the same piece.
        if let Piece::Bytes(bytes) = piece {
            let used = usize::try_from(first.position.saturating_sub(at.position));
            let rest = used.ok().and_then(|used| bytes.get(used..)).unwrap_or_default();
            if !rest.is_empty() {
                let piece = Piece::Bytes(rest);
                let start = Start::Middle;
                self.http2(&mut http2, Placed { piece, start, at: first, ..placed });
            }
        }
        Some(http2)
    }
}

impl Prospect {
    /// The next piece of a connection that may be either. Gives what it becomes, if that is HTTP/2.
    fn feed(
        &mut self,
        http1: &mut http1::Connection,
        placed: Placed<'_>,
        way: &mut Way<'_>,
    ) -> Option<Box<http2::Connection>> {
        let firsts = match self {
            Self::Opening(firsts) => firsts,
            Self::Seeking(http2) => {
                way.http2(http2, placed);
                if http2.is_certain() {
                    let seeking = Box::new(http2::Connection::seeking());
                    return Some(std::mem::replace(http2, seeking));
                }
                return way.http1(http1, placed);
            }
        };
        let i = placed.direction.index();
        let first = &mut firsts[i];
        let bytes = match placed.piece {
            _ if first.passed => return way.http1(http1, placed),
            Piece::Bytes(bytes) => bytes,
            Piece::Skip(_) | Piece::Lost(_) => {
                let waits = firsts.iter().any(|first| !first.held.is_empty());
                if waits && !http1.is_certain() && !http1.is_over() {
                    // As a rule a server's first frame: it begins nothing of HTTP/1, and is no reason
                    // to stop looking.
                    *http1 = http1::Connection::new(false, way.core.limits.head_bytes);
                }
                release_all(firsts, http1, way);
                if !http1.is_certain() && !http1.is_over() {
                    *self = Self::Seeking(Box::new(http2::Connection::seeking()));
                }
                return way.http1(http1, placed);
            }
        };
        let judged = if first.held.is_empty() {
            opening(bytes)
        } else {
            first.held.extend_from_slice(bytes);
            let judged = opening(&first.held);
            first.held.truncate(first.held.len() - bytes.len());
            judged
        };
        match judged {
            Opening::Client => {
                let mut http2 = Box::new(http2::Connection::from_start(placed.direction, way.core));
                let [receive, send] = firsts;
                for (first, direction) in [(receive, Direction::Receive), (send, Direction::Send)] {
                    if first.passed {
                        http2.seek(direction);
                    }
                    first.replay(direction, |placed| way.http2(&mut http2, placed));
                }
                way.http2(&mut http2, placed);
                return Some(http2);
            }
            Opening::NeedMore | Opening::MaybeServer
                if first.held.len() + bytes.len() <= HELD_MAX =>
            {
                first.held.extend_from_slice(bytes);
                first.pieces.push((bytes.len(), placed.at));
                return None;
            }
            _ => {}
        }
        first.passed = true;
        let mut turned = None;
        first.replay(placed.direction, |placed| turned = way.http1(http1, placed));
        // First bytes are no upgrade; were it otherwise, it would be the last thing they are.
        turned.or_else(|| way.http1(http1, placed))
    }

    /// Both directions are HTTP/1's alone.
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Opening([a, b]) if a.passed && b.passed)
    }
}

/// Hands on all that waits.
fn release_all(firsts: &mut [First; 2], http1: &mut http1::Connection, way: &mut Way<'_>) {
    let [receive, send] = firsts;
    for (first, direction) in [(receive, Direction::Receive), (send, Direction::Send)] {
        first.passed = true;
        first.replay(direction, |placed| {
            way.http1(http1, placed);
        });
    }
}

impl First {
    /// Gives back what was held.
    fn replay(&mut self, direction: Direction, mut each: impl FnMut(Placed<'_>)) {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        for (length, at) in self.pieces.drain(..) {
            let (bytes, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            let piece = Piece::Bytes(bytes);
            each(Placed { piece, start: Start::Segment, at, cut: false, direction });
        }
    }
}
