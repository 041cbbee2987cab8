//! The exchanges of one connection of HTTP/2: each stream is one (RFC 9113 section 8.1).
//!
//! A stream has a number, so which response belongs to which request is certain however many go on
//! at once, and after any loss. What a loss makes uncertain is what was in it, so:
//!
//! - A direction that lost its place may have ended, reset or begun streams meanwhile. Those that are
//!   open then wait for a frame that tells of their end; if none comes, they are lost, not guessed.
//! - A response is never taken to be complete but by its own END_STREAM, with a time that was seen.
//! - Of a stream that was open before the connection was seen, nothing is told: its request is not
//!   known.
//!
//! Numbers only grow (section 5.1.1), and that tells a stream which has not begun from one that is
//! over. A response may be seen before its request (a client whose reader overtakes its writer): then
//! it waits for a while. Its request is not to come any more once one with a higher number has come.

mod feed;
mod fields;
mod stream;

use super::core::{self, Core, Site};
use super::exchange::{
    CONNECTION_CLOSED, CONNECTION_RESET, Exchange, INCOMPLETE_RESPONSE, Response,
};
use super::http1::Upgraded;
use crate::capture::event::{Direction, End, Monotonic};
use crate::metrics::Counter;
use crate::stream::Piece;
use crate::wire::http2::{Decoder, Settings, Start, hpack};
use crate::wire::{At, Kind};
use feed::Feed;
pub(super) use fields::Fields;
use stream::{Progress, Stream};

/// Most streams whose response was seen and whose request was not. What goes beyond is remembered
/// only in that its request, should it come, is lost.
const EARLY_MAX: usize = 32;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// By [`Direction::index`], as all that has two.
    decoders: [Decoder; 2],
    streams: Streams,
}

/// What is known of its streams.
#[derive(Debug)]
struct Streams {
    hpack: [hpack::Decoder; 2],
    /// SETTINGS_HEADER_TABLE_SIZE that binds a direction's encoder, and the one that it has not
    /// acknowledged yet.
    table_size: [(u32, Option<u32>); 2],
    /// Where requests go, once it is known.
    requests: Option<Direction>,
    /// In the order of their numbers.
    #[expect(clippy::vec_box, reason = "they are moved about, and are not small")]
    open: Vec<Box<Stream>>,
    /// The highest number of a client's stream that has begun.
    highest: u32,
    /// Requests may have gone by unseen since that one.
    numbers_missing: bool,
    /// The connection was not seen from its first byte.
    older: bool,
    /// Of requests after that one, responses are seen from their heads on.
    heads_seen: bool,
    /// The highest number of a stream of which a response was seen and not kept, before its request.
    early_dropped: u32,
    /// Streams that were reset or refused lately; see [`Self::note_early_end`].
    ended_early: [u32; 16],
    next_early: u8,
    /// Streams of the client beyond this one are not processed.
    last_processed: Option<u32>,
    /// The direction does not know its place.
    lost_place: [bool; 2],
    /// All of the direction was seen until now.
    whole: [bool; 2],
    /// This is HTTP/2.
    certain: bool,
    /// The capture source says where frames begin: so where it does not, none does.
    marked: bool,
}

impl Connection {
    /// One that is seen from its first byte; `client` is where the client's preface went.
    pub(super) fn from_start(client: Direction, core: &Core) -> Self {
        let decoder = |direction| match direction == client {
            true => Decoder::client(),
            false => Decoder::server(),
        };
        let mut streams = Streams::new(hpack::Decoder::new_complete, Some(client));
        streams.whole = [true; 2];
        // RFC 9113 section 6.5.2: the initial value.
        streams.table_size = [(4096, None); 2];
        streams.certain = true;
        core.metrics.inc(Counter::Http2Connections);
        Self { decoders: [Direction::Receive, Direction::Send].map(decoder), streams }
    }

    /// One that may be HTTP/2: it becomes certain when frames are recognised.
    pub(super) fn seeking() -> Self {
        let decoders = [Decoder::seeking(), Decoder::seeking()];
        let mut streams = Streams::new(hpack::Decoder::joining, None);
        streams.lost_place = [true; 2];
        streams.older = true;
        Self { decoders, streams }
    }

    /// One that was HTTP/1 until now.
    pub(super) fn upgraded(upgraded: Upgraded, core: &Core) -> Self {
        let Upgraded { exchange, settings, requests, first: _, unseen } = upgraded;
        let mut this = Self::from_start(requests, core);
        core.metrics.inc(Counter::Http2Upgraded);
        if !unseen {
            this.seek(requests);
        }
        this.streams.settings(requests, settings);
        // RFC 7540 section 3.2: the request is stream 1, half-closed by the client.
        let mut stream = Stream::new(1);
        stream.request.progress = Progress::Ended;
        stream.exchange = Some(*exchange);
        this.streams.highest = 1;
        this.streams.open.push(Box::new(stream));
        this
    }

    /// Where a direction stands is not known.
    pub(super) fn seek(&mut self, direction: Direction) {
        let i = direction.index();
        self.decoders[i] = Decoder::seeking();
        self.streams.hpack[i] = hpack::Decoder::joining();
        self.streams.lose_place(direction);
    }

    /// It is HTTP/2.
    pub(super) fn is_certain(&self) -> bool {
        self.streams.certain
    }

    /// The next piece of a direction; `at` is its first byte, and `start` what that is known to be.
    pub(super) fn feed(
        &mut self,
        piece: Piece<'_>,
        start: Start,
        at: At,
        direction: Direction,
        site: &mut Site,
        core: &mut Core,
    ) {
        let Self { decoders, streams } = self;
        streams.marked |= start == Start::Frame;
        let start = if start == Start::Segment && streams.marked { Start::Middle } else { start };
        let mut feed = Feed { streams, site, core, direction };
        decoders[direction.index()].feed(piece, start, at, &mut feed);
        if let Some(requests) = streams.requests {
            decoders[requests.index()].expect(Kind::Request);
            decoders[requests.opposite().index()].expect(Kind::Response);
        }
    }

    /// The directions `ended` have.
    pub(super) fn ended(&mut self, ended: [bool; 2], end: &End, core: &mut Core) {
        let Some(requests) = self.streams.requests else {
            return;
        };
        self.doubt(core);
        // Requests first: a stream that was answered while its request went on is complete.
        if ended[requests.index()] {
            self.streams.requests_ended(core);
        }
        if ended[requests.opposite().index()] {
            self.streams.responses_ended(end.time, end.error, core);
        }
    }

    /// Both directions ended at `time`, with no more to be known of it.
    pub(super) fn gone(&mut self, time: Monotonic, core: &mut Core) {
        self.doubt(core);
        self.streams.requests_ended(core);
        self.streams.responses_ended(time, false, core);
    }

    /// No more comes that could say what was passed over where a frame begins.
    fn doubt(&mut self, core: &Core) {
        for direction in [Direction::Receive, Direction::Send] {
            let i = direction.index();
            if self.decoders[i].is_in_doubt() && !self.streams.lost_place[i] {
                core.metrics.inc(Counter::Http2PlacesLost);
                self.streams.lose_place(direction);
            }
        }
    }

    /// Nothing more will be known of it: what is in flight is lost.
    pub(super) fn lose_all(&mut self, core: &mut Core, reason: Counter) {
        for stream in std::mem::take(&mut self.streams.open) {
            Streams::lose(&stream, core, reason);
        }
    }

    /// The exchange of a stream whose request is known.
    pub(super) fn stream(&mut self, id: u32) -> Option<&mut Exchange> {
        self.streams.get(id)?.exchange.as_mut()
    }

    /// Exchanges in flight whose request is known, and what of their responses was seen.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Exchange, Option<Response>)> {
        let open = self.streams.open.iter();
        open.filter_map(|stream| Some((stream.exchange.as_ref()?, stream.told())))
    }
}

impl Streams {
    fn new(decoder: fn() -> hpack::Decoder, requests: Option<Direction>) -> Self {
        Self {
            hpack: [decoder(), decoder()],
            // What was said before is not known.
            table_size: [(u32::MAX, None); 2],
            requests,
            open: Vec::new(),
            highest: 0,
            numbers_missing: false,
            older: false,
            heads_seen: false,
            early_dropped: 0,
            ended_early: [0; 16],
            next_early: 0,
            last_processed: None,
            lost_place: [false; 2],
            whole: [false; 2],
            certain: false,
            marked: false,
        }
    }

    /// What a direction carries, once it is known.
    fn kind(&self, direction: Direction) -> Option<Kind> {
        core::kind(self.requests, direction)
    }

    fn find(&self, id: u32) -> Result<usize, usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id)
    }

    fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.find(id).ok()?;
        self.open.get_mut(at).map(|stream| &mut **stream)
    }

    fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.find(id).ok()?;
        let stream = self.open.remove(at);
        // An idle connection holds no memory for streams beyond the smallest.
        if self.open.is_empty() && self.open.capacity() > 8 {
            self.open = Vec::new();
        }
        Some(*stream)
    }

    /// The stream of that number, new if there is none.
    fn enter(&mut self, id: u32) -> &mut Stream {
        let at = match self.find(id) {
            Ok(at) => at,
            Err(at) => {
                self.open.insert(at, Box::new(Stream::new(id)));
                at
            }
        };
        &mut self.open[at]
    }

    /// A part of the response on this stream was seen and not kept. If its request was not seen yet,
    /// it cannot become an exchange any more.
    fn missed(&mut self, id: u32) {
        if id > self.highest && id % 2 == 1 {
            self.early_dropped = self.early_dropped.max(id);
        }
    }

    /// The exchange of this stream was told before its response ended: what is still on its way is
    /// not a response without a request.
    fn note_early_end(&mut self, id: u32) {
        let n = self.ended_early.len();
        if let Some(place) = self.ended_early.get_mut(usize::from(self.next_early) % n) {
            *place = id;
        }
        self.next_early = self.next_early.wrapping_add(1);
    }

    /// `from` said what it can take (section 6.5.2): that binds the other direction's encoder. A
    /// larger table may be used at once, a smaller one has to be once it is acknowledged.
    fn settings(&mut self, from: Direction, settings: Settings) {
        if let Some(size) = settings.header_table_size {
            let other = from.opposite().index();
            let (limit, next) = &mut self.table_size[other];
            *limit = size.max(*limit);
            *next = Some(size);
            self.hpack[other].set_max_size(*limit);
        }
    }

    /// Anything may have gone by in a direction.
    fn lose_place(&mut self, direction: Direction) {
        let i = direction.index();
        self.hpack[i].lose();
        self.lost_place[i] = true;
        self.whole[i] = false;
        let kind = self.kind(direction);
        self.numbers_missing |= kind != Some(Kind::Response);
        self.heads_seen &= kind == Some(Kind::Request);
        for stream in &mut self.open {
            match kind {
                Some(kind) => stream.lose(kind),
                None => {
                    stream.lose(Kind::Request);
                    stream.lose(Kind::Response);
                }
            }
        }
    }

    /// No request goes on any more.
    fn requests_ended(&mut self, core: &mut Core) {
        let over: Vec<u32> = self
            .open
            .iter_mut()
            .filter_map(|stream| {
                // It is not waited for any more, and how long it would have been is not known.
                stream.request.gap |= !stream.request.ended();
                (stream.is_over() && stream.exchange.is_some()).then_some(stream.id)
            })
            .collect();
        for id in over {
            self.settle(id, core);
        }
    }

    /// No response goes on any more: all in flight ended at `time`, unless something may have
    /// ended them before.
    fn responses_ended(&mut self, time: Monotonic, error: bool, core: &mut Core) {
        let unknown = self.lost_place.contains(&true);
        for stream in std::mem::take(&mut self.open) {
            // A head with a hidden status: whether the response had begun is not known.
            let hidden = stream.head.is_some() && stream.response.progress == Progress::Waiting;
            let in_doubt = (unknown || stream.in_doubt || hidden) && !stream.response.ended();
            if stream.exchange.is_none() || in_doubt {
                Self::lose(&stream, core, Counter::ExchangesLostGap);
                continue;
            }
            let begun = stream.head.is_some();
            let Some(exchange) = stream.finish(true) else { continue };
            let call = exchange.rpc.as_ref().is_some_and(|rpc| rpc.is_call());
            let cut = match (begun && !call, error) {
                (true, _) => INCOMPLETE_RESPONSE,
                (false, true) => CONNECTION_RESET,
                (false, false) => CONNECTION_CLOSED,
            };
            core.complete(exchange, time, cut);
        }
    }

    /// Gives a stream that is over to whom it concerns.
    fn settle(&mut self, id: u32, core: &mut Core) {
        let over = self.get(id).is_some_and(|it| it.is_over() && it.exchange.is_some());
        let Some(stream) = over.then(|| self.remove(id)).flatten() else {
            return;
        };
        if !stream.response.ended() {
            self.note_early_end(id);
        }
        feed::complete(stream, core);
    }

    fn lose(stream: &Stream, core: &mut Core, reason: Counter) {
        match &stream.exchange {
            Some(exchange) => core.lose(exchange, reason),
            None => core.metrics.inc(Counter::ResponsesOrphaned),
        }
    }
}
