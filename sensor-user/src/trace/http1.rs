//! The exchanges of one connection: which response belongs to which request.
//!
//! HTTP/1 answers requests in their order, so the pairing is certain as long as both directions
//! were seen without a gap from the first byte on, and then it does not matter which of the two is
//! seen first. It is not certain any more once a gap (or a head that cannot be read) may have held
//! a request or a response:
//!
//! ```text
//!   seen from its start                older than the sensor
//!          |                                    |
//!          v      an exchange was complete      v
//!  +--> Certain <------------------------- Inferred
//!  |       |  \                                 | a gap, or two requests at once
//!  |       |   \ too many requests in flight    |
//!  |       |    v                               |
//!  |  a gap|   Draining -- all answered --+     |
//!  |       v                              v     v
//!  +--- Unknown <-------------------------+-----+
//!     a whole exchange went by alone, and the connection never pipelined
//! ```
//!
//! In `Unknown` every request is counted as lost and every response as one without a request: the
//! bias is to lose. It is left only when a request, then its response, then the next request were
//! seen in strict turn. A client that keeps several requests in flight can look like that as well
//! (if what was lost held one of them, each response is taken for the answer to the request after
//! its own). So a connection that had two requests in flight while the pairing was certain stays in
//! `Unknown`; one that seemed to while it was not (the response between them may be among what was
//! lost) has to go [`TURNS_IF_SUSPECT`] such turns without an exception.

mod feed;
mod fields;

use std::collections::VecDeque;

use super::core::{self, Core, Site};
use super::exchange::{
    CONNECTION_CLOSED, CONNECTION_RESET, Exchange, INCOMPLETE_RESPONSE, Response, Rpc,
};
use crate::capture::event::{Direction, End, Monotonic};
use crate::metrics::Counter;
use crate::model::Attribute;
use crate::stream::Piece;
use crate::wire::http1::{Asked, Decoder};
use crate::wire::http2::Settings;
use crate::wire::{At, Kind};
use feed::Feed;

/// Most responses that wait for their request to be seen. More than one takes a client whose
/// reader overtakes its writer more than once; a server that sends on its own is given up.
const EARLY_MAX: usize = 4;

/// Strict turns after which pairing starts anew where requests seemed to be in flight together:
/// more than a client sends ahead that only fills its pipeline now and then.
const TURNS_IF_SUSPECT: u8 = 4;

/// See the diagram above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairing {
    Certain,
    /// Whether an exchange was complete.
    Inferred(bool),
    Draining,
    Unknown(Counter, Turn),
}

/// How far a whole exchange has gone by while the pairing is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Idle,
    Asked(Asked),
    Answering,
    Answered,
}

/// Whose the response is that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answering {
    Nothing,
    /// Of the first exchange that is not answered completely.
    Open,
    /// Of a request to come.
    Early,
    /// Of nobody, but its end matters for [`Turn`].
    Turn,
}

/// What the other direction's decoder has to be told after a piece.
#[derive(Clone, Copy, Debug, Default)]
struct Notice {
    expect: Option<Kind>,
    resume: bool,
    opaque: bool,
    /// This one's decoder, too.
    both_opaque: bool,
    /// HTTP/2 has taken over; what follows the response begins here.
    h2c: Option<At>,
}

/// A connection that turned to HTTP/2 by an Upgrade.
#[derive(Debug)]
pub(super) struct Upgraded {
    /// The request that asked for it: it is stream 1 now.
    pub(super) exchange: Box<Exchange>,
    /// The client's settings.
    pub(super) settings: Settings,
    /// Where requests go.
    pub(super) requests: Direction,
    /// First byte of HTTP/2 in the other direction.
    pub(super) first: At,
    /// Nothing of what the client sent since is missing.
    pub(super) unseen: bool,
}

/// A request in flight.
#[derive(Debug)]
struct Open {
    exchange: Box<Exchange>,
    asked: Asked,
}

/// A response whose request was not seen yet.
#[derive(Debug)]
struct Early {
    response: Response,
    /// What else it tells.
    more: Vec<Attribute>,
    rpc: Option<Box<Rpc>>,
}

/// A connection that speaks HTTP/1, or may.
#[derive(Debug)]
pub(super) struct Connection {
    /// By [`Direction::index`].
    decoders: [Decoder; 2],
    exchanges: Exchanges,
}

/// The exchanges of a connection.
#[derive(Debug)]
struct Exchanges {
    notice: Notice,
    /// Where requests go.
    requests: Option<Direction>,
    pairing: Pairing,
    /// Two requests were in flight together, for certain.
    pipelined: bool,
    /// Strict turns seen while the pairing is unknown, and how many it takes.
    turns: u8,
    turns_needed: u8,
    open: VecDeque<Open>,
    /// A request has begun whose head is incomplete.
    heading: bool,
    /// The last of `open` has a request that goes on.
    requesting: bool,
    answering: Answering,
    early: Vec<Early>,
    /// The last request asked for HTTP/2, with these settings.
    h2c_asked: Option<Settings>,
    /// And the answer was to turn to it.
    h2c: bool,
    /// Nothing more comes of this: it is not HTTP/1, or not any more.
    over: bool,
}

impl Connection {
    /// One that is seen from its first byte, or from anywhere.
    pub(super) fn new(from_start: bool, head_max: u32) -> Self {
        Self {
            decoders: [Decoder::new(from_start, head_max), Decoder::new(from_start, head_max)],
            exchanges: Exchanges::new(from_start),
        }
    }

    /// A message was recognised: this is HTTP/1.
    pub(super) fn is_certain(&self) -> bool {
        self.exchanges.requests.is_some()
    }

    /// It is not, or not any more.
    pub(super) fn is_over(&self) -> bool {
        self.exchanges.over
    }

    /// The next piece of a direction, whose first byte is `at`; `cut` says that the head in the
    /// bytes goes on beyond them. Gives what is left of the connection where it turns to HTTP/2.
    pub(super) fn feed(
        &mut self,
        piece: Piece<'_>,
        at: At,
        cut: bool,
        direction: Direction,
        site: &mut Site,
        core: &mut Core,
    ) -> Option<Upgraded> {
        self.with(direction, site, core, |decoder, feed| {
            decoder.feed(piece, at, feed);
            if cut && matches!(piece, Piece::Bytes(_)) {
                decoder.cut(feed);
            }
        })
    }

    /// The directions `ended` have; requests first, as an exchange that was answered while its
    /// request went on is complete.
    pub(super) fn ended(&mut self, ended: [bool; 2], end: &End, site: &mut Site, core: &mut Core) {
        for kind in [Kind::Request, Kind::Response] {
            for direction in [Direction::Receive, Direction::Send] {
                let i = direction.index();
                if !ended[i] || self.exchanges.kind(direction) != Some(kind) {
                    continue;
                }
                match kind {
                    Kind::Request => self.exchanges.requests_ended(core),
                    Kind::Response => {
                        // A body that goes on until the end is complete only where the end is in
                        // order.
                        if !end.error {
                            let last = end.last[i].unwrap_or(end.time);
                            self.with(direction, site, core, |decoder, feed| {
                                decoder.finish(last, feed);
                            });
                        }
                        self.exchanges.responses_ended(end.time, end.error, core);
                    }
                }
            }
        }
    }

    /// Both directions ended at `time`, with no more to be known of it.
    pub(super) fn gone(&mut self, time: Monotonic, core: &mut Core) {
        self.exchanges.requests_ended(core);
        self.exchanges.responses_ended(time, false, core);
    }

    /// Nothing more will be known of it: what is in flight is lost.
    pub(super) fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        self.exchanges.lose_head(core, reason);
        self.exchanges.lose_all(core, reason);
    }

    /// Exchanges in flight whose request is known, and what of their responses was seen.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Exchange, Option<Response>)> {
        self.exchanges.open.iter().map(|open| (&*open.exchange, open.exchange.response))
    }

    /// Has a direction's decoder do something, then tells the other what came of it.
    fn with(
        &mut self,
        direction: Direction,
        site: &mut Site,
        core: &mut Core,
        act: impl FnOnce(&mut Decoder, &mut Feed<'_>),
    ) -> Option<Upgraded> {
        let Self { decoders: [receive, send], exchanges } = self;
        let (this, other) = match direction {
            Direction::Receive => (receive, send),
            Direction::Send => (send, receive),
        };
        act(this, &mut Feed { exchanges, site, core, direction });
        let Notice { expect, resume, opaque, both_opaque, h2c } =
            std::mem::take(&mut exchanges.notice);
        if let Some(kind) = expect {
            other.expect(kind);
        }
        if resume {
            other.resume();
        }
        let unseen = other.is_unseen();
        if opaque || both_opaque {
            other.give_over();
        }
        if both_opaque {
            this.give_over();
            exchanges.lose_head(core, Counter::ExchangesLostUndecodable);
            exchanges.lose_all(core, Counter::ExchangesLostUndecodable);
        }
        let first = h2c?;
        let Open { exchange, asked: _ } = exchanges.open.pop_front()?;
        let requests = direction.opposite();
        let settings = exchanges.h2c_asked.take().unwrap_or_default();
        Some(Upgraded { exchange, settings, requests, first, unseen })
    }
}

impl Exchanges {
    fn new(from_start: bool) -> Self {
        Self {
            pairing: if from_start { Pairing::Certain } else { Pairing::Inferred(false) },
            notice: Notice::default(),
            requests: None,
            pipelined: false,
            turns: 0,
            turns_needed: 1,
            open: VecDeque::new(),
            heading: false,
            requesting: false,
            answering: Answering::Nothing,
            early: Vec::new(),
            h2c_asked: None,
            h2c: false,
            over: false,
        }
    }

    /// What a direction carries, once it is known.
    fn kind(&self, direction: Direction) -> Option<Kind> {
        core::kind(self.requests, direction)
    }

    /// Nothing of this connection can be paired any more: all in flight is lost.
    fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        for open in self.open.drain(..) {
            core.lose(&open.exchange, reason);
        }
        self.open = VecDeque::new();
        self.requesting = false;
        self.answering = Answering::Nothing;
        core.metrics.add(Counter::ResponsesOrphaned, self.early.len() as u64);
        self.early = Vec::new();
    }

    /// A request whose head will never be complete.
    fn lose_head(&mut self, core: &mut Core, reason: Counter) {
        if std::mem::take(&mut self.heading) {
            core.lose_head(reason);
        }
    }

    fn desync(&mut self, core: &mut Core, reason: Counter) {
        // One request more than the last is what a lost response looks like; more are suspect.
        if self.open.len() > 2 {
            self.turns_needed = TURNS_IF_SUSPECT;
        }
        self.lose_all(core, reason);
        self.turns = 0;
        self.pairing = Pairing::Unknown(reason, Turn::Idle);
    }

    /// No request will end any more: those that were answered meanwhile are complete.
    fn requests_ended(&mut self, core: &mut Core) {
        self.lose_head(core, Counter::ExchangesLostHeadIncomplete);
        if std::mem::take(&mut self.requesting)
            && let Some(last) = self.open.back_mut()
        {
            last.exchange.request_ended(None, None);
        }
        self.emit_complete(core);
    }

    /// No response will come any more: all in flight ended at `time`.
    fn responses_ended(&mut self, time: Monotonic, error: bool, core: &mut Core) {
        self.requesting = false;
        self.answering = Answering::Nothing;
        while let Some(Open { exchange, asked: _ }) = self.open.pop_front() {
            let cut = match exchange.response {
                Some(_) => INCOMPLETE_RESPONSE,
                None if error => CONNECTION_RESET,
                None => CONNECTION_CLOSED,
            };
            core.complete(*exchange, time, cut);
        }
    }

    fn emit_complete(&mut self, core: &mut Core) {
        while let Some(Open { exchange: first, asked: _ }) = self.open.front() {
            if !(first.is_answered() && first.request_done) {
                break;
            }
            if let Some(Open { exchange, asked: _ }) = self.open.pop_front() {
                core.complete(*exchange, Monotonic(0), INCOMPLETE_RESPONSE);
                self.after_removal();
            }
        }
    }

    fn after_removal(&mut self) {
        if !self.open.is_empty() {
            return;
        }
        // An idle connection holds no memory for exchanges beyond the smallest.
        if self.open.capacity() > 8 {
            self.open = VecDeque::new();
        }
        match self.pairing {
            Pairing::Inferred(_) => self.pairing = Pairing::Inferred(true),
            Pairing::Draining => {
                self.pairing = Pairing::Unknown(Counter::ExchangesLostPipelineFull, Turn::Idle);
            }
            Pairing::Certain | Pairing::Unknown(..) => {}
        }
    }

    /// A request begins while the pairing is unknown.
    fn turned(&mut self, reason: Counter, turn: Turn) -> Pairing {
        match turn {
            Turn::Idle => {}
            Turn::Asked(_) | Turn::Answering => {
                self.turns = 0;
                self.turns_needed = TURNS_IF_SUSPECT;
            }
            Turn::Answered => {
                self.turns = self.turns.saturating_add(1);
                if self.turns >= self.turns_needed && !self.pipelined {
                    return Pairing::Certain;
                }
            }
        }
        Pairing::Unknown(reason, Turn::Idle)
    }

    /// The first exchange that is not answered completely, and where it is.
    fn unanswered(&mut self) -> Option<(usize, &mut Open)> {
        self.open.iter_mut().enumerate().find(|(_, open)| !open.exchange.is_answered())
    }
}
