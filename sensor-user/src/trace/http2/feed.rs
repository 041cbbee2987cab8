//! What a decoder finds, laid against the streams of its connection.

use super::fields::{Fields, Looks};
use super::stream::{Half, Head, Progress, Reset, Stream, Violation};
use super::{EARLY_MAX, Streams};
use crate::capture::event::{Direction, Monotonic};
use crate::metrics::Counter;
use crate::stream::Piece;
use crate::trace::core::{Core, Site};
use crate::trace::exchange::{
    Exchange, HTTP2_ERROR, HTTP2_RESET_BY, NOT_PROCESSED, STREAM_RESET, rpc::CANCELLED_BY,
};
use crate::wire::Kind;
use crate::wire::grpc::Messages;
use crate::wire::http2::{Begun, Block, ErrorCode, Failure, Settings, Sink};

/// One piece of one direction, on its way through the decoder into the streams.
pub(super) struct Feed<'a> {
    pub(super) streams: &'a mut Streams,
    pub(super) site: &'a mut Site,
    pub(super) core: &'a mut Core,
    pub(super) direction: Direction,
}

/// A header block on its way, once its fields are read.
#[derive(Clone, Copy)]
struct Read<'a> {
    begun: Begun,
    raw: &'a [u8],
    last: Monotonic,
    looks: Looks,
}

impl Sink for Feed<'_> {
    fn block(&mut self, block: &Block<'_>) {
        let Block { begun, promised, bytes, last } = *block;
        let decoder = &mut self.streams.hpack[self.direction.index()];
        let mut fields = std::mem::take(&mut self.core.fields);
        match fields.read(decoder, &mut self.core.scratch, &self.core.reading, bytes) {
            Ok(unknown) => {
                self.core.metrics.add(Counter::Http2FieldsUnknown, u64::from(unknown));
                let read = Read { begun, raw: bytes, last, looks: fields.looks() };
                self.fields(&fields, read, promised);
            }
            // The decoder has forgotten its table by itself.
            Err(_) => self.lost(begun, Counter::ExchangesLostUndecodable),
        }
        self.core.fields = fields;
    }

    fn block_lost(&mut self, begun: Option<Begun>, why: Failure) {
        self.streams.hpack[self.direction.index()].lose();
        if let Some(begun) = begun {
            self.lost(begun, reason(why));
        }
    }

    fn data(&mut self, stream: u32, payload: Piece<'_>) {
        self.with_data(stream, |half| half.data(payload));
        let kind = self.streams.kind(self.direction);
        let Some(stream) = self.streams.get(stream) else { return };
        match (kind, stream.rpc()) {
            (Some(Kind::Request), Some(rpc)) => rpc.request.feed(payload),
            (Some(Kind::Response), Some(rpc)) => rpc.response_body(payload),
            (None, _) | (_, None) => {}
        }
    }

    fn data_unsized(&mut self, stream: u32) {
        self.with_data(stream, Half::data_unsized);
        let kind = self.streams.kind(self.direction);
        let rpc = self.streams.get(stream).and_then(Stream::rpc);
        if let (Some(rpc), Some(kind)) = (rpc, kind) {
            *rpc.messages(kind) = Messages::unknown();
        }
    }

    fn end_stream(&mut self, stream: u32, time: Option<Monotonic>) {
        self.with_data(stream, Half::has_data);
        let Some(kind) = self.streams.kind(self.direction) else { return };
        let Some(half) = self.streams.get(stream).map(|it| it.half(kind)) else { return };
        match half.progress.data(true) {
            Ok(progress) => {
                half.progress = progress;
                half.end = time;
            }
            Err(Violation) => return self.violation(stream),
        }
        if kind == Kind::Response && time.is_none() {
            // When it ended is in a gap.
            return self.drop_stream(stream, Counter::ExchangesLostGap);
        }
        self.settle(stream);
    }

    fn reset(&mut self, stream: u32, code: Option<ErrorCode>, time: Monotonic) {
        let Some(by) = self.streams.kind(self.direction) else { return };
        let early = by == Kind::Response
            && stream % 2 == 1
            && stream > self.streams.highest
            && self.streams.find(stream).is_err();
        if early && !self.enter_early(stream) {
            return;
        }
        let Some(there) = self.streams.get(stream) else { return };
        match code {
            Some(code) => {
                there.reset.get_or_insert(Reset { code, by, time });
                self.settle(stream);
            }
            // Why is in a gap; that is no matter where all else had been said.
            None if there.response.ended() => {
                there.request.gap = true;
                self.settle(stream);
            }
            None => self.drop_stream(stream, Counter::ExchangesLostGap),
        }
    }

    fn settings(&mut self, settings: Option<Settings>) {
        match settings {
            Some(settings) => self.streams.settings(self.direction, settings),
            // What is allowed now is not known, so nothing is refused.
            None => {
                let other = self.direction.opposite().index();
                self.streams.table_size[other] = (u32::MAX, None);
                self.streams.hpack[other].set_max_size(u32::MAX);
            }
        }
    }

    fn settings_acked(&mut self) {
        let i = self.direction.index();
        let (limit, next) = &mut self.streams.table_size[i];
        if let Some(size) = next.take() {
            *limit = size;
            self.streams.hpack[i].set_max_size(size);
        }
    }

    fn goaway(&mut self, last: Option<(u32, ErrorCode)>, time: Monotonic) {
        let (Some((last, code)), Some(Kind::Response)) = (last, self.streams.kind(self.direction))
        else {
            return;
        };
        let before = self.streams.last_processed.unwrap_or(u32::MAX);
        self.streams.last_processed = Some(last.min(before));
        let refused: Vec<u32> = self
            .streams
            .open
            .iter()
            .filter(|stream| stream.id > last && stream.id % 2 == 1 && stream.exchange.is_some())
            .map(|stream| stream.id)
            .collect();
        for id in refused {
            self.streams.note_early_end(id);
            if let Some(exchange) = self.streams.remove(id).and_then(|it| it.finish(false)) {
                refuse(exchange, code, time, self.core);
            }
        }
    }

    fn failed(&mut self, _failure: Failure) {
        if self.streams.certain {
            self.core.metrics.inc(Counter::Http2PlacesLost);
        }
        self.streams.lose_place(self.direction);
    }

    fn resumed(&mut self, kind: Option<Kind>, missed: bool) {
        if !std::mem::replace(&mut self.streams.certain, true) {
            self.core.metrics.inc(Counter::Http2Connections);
            self.core.metrics.inc(Counter::Http2Joined);
        }
        if let Some(kind) = kind {
            self.carries(kind);
        }
        if missed {
            // What began since the place was lost may have ended, too.
            self.streams.lose_place(self.direction);
        }
        self.streams.lost_place[self.direction.index()] = false;
    }
}

impl Feed<'_> {
    /// The direction carries these.
    fn carries(&mut self, kind: Kind) {
        self.streams.requests.get_or_insert(match kind {
            Kind::Request => self.direction,
            Kind::Response => self.direction.opposite(),
        });
    }

    fn settle(&mut self, stream: u32) {
        self.streams.settle(stream, self.core);
    }

    /// The stream's frames break the protocol: what it says is not to be believed.
    fn violation(&mut self, stream: u32) {
        self.drop_stream(stream, Counter::ExchangesLostUndecodable);
    }

    fn drop_stream(&mut self, stream: u32, reason: Counter) {
        if let Some(stream) = self.streams.remove(stream) {
            if stream.exchange.is_none() {
                self.streams.missed(stream.id);
            }
            Streams::lose(&stream, self.core, reason);
        }
    }

    /// A part of a DATA frame.
    fn with_data(&mut self, id: u32, act: impl FnOnce(&mut Half)) {
        let Some(kind) = self.streams.kind(self.direction) else { return };
        let Some(stream) = self.streams.get(id) else {
            if kind == Kind::Response {
                self.streams.missed(id);
            }
            return;
        };
        // What seemed to be the head was; or it is in a gap.
        let headed = kind == Kind::Response && (stream.head.is_some() || stream.response.gap);
        let half = stream.half(kind);
        if half.progress == Progress::Waiting && headed {
            half.progress = Progress::Open;
        }
        match half.progress.data(false) {
            Ok(_) => act(half),
            Err(Violation) => self.violation(id),
        }
    }

    /// A header block whose fields are read.
    fn fields(&mut self, fields: &Fields, read: Read<'_>, promised: Option<u32>) {
        match read.looks {
            _ if read.begun.promise => self.carries(Kind::Response),
            Looks::Request => self.carries(Kind::Request),
            Looks::Response => self.carries(Kind::Response),
            Looks::Trailers | Looks::Unknown | Looks::Broken => {}
        }
        let kind = self.streams.kind(self.direction);
        match (kind, promised) {
            (Some(Kind::Response), Some(promised)) => self.promise(fields, read, promised),
            (Some(Kind::Request), None) => self.request(fields, read),
            (Some(Kind::Response), None) => self.response(fields, read),
            (None, _) | (Some(Kind::Request), Some(_)) => self.unplaced(),
        }
    }

    fn unplaced(&self) {
        self.core.metrics.inc(Counter::Http2BlocksUnplaced);
    }

    /// A block of what the client sends.
    fn request(&mut self, fields: &Fields, read: Read<'_>) {
        let Begun { stream: id, end_stream, .. } = read.begun;
        if let Some(stream) = self.streams.get(id).filter(|stream| stream.exchange.is_some()) {
            let trailers = matches!(read.looks, Looks::Trailers | Looks::Unknown);
            match stream.request.progress.trailers(end_stream) {
                Ok(progress) if trailers => {
                    stream.request.progress = progress;
                    stream.request.end = Some(read.last);
                    self.settle(id);
                }
                _ => self.violation(id),
            }
            return;
        }
        if id <= self.streams.highest || id % 2 == 0 {
            // Of a stream that is over, or that was never followed.
            return match read.looks {
                Looks::Trailers | Looks::Unknown if end_stream => {}
                _ => self.unplaced(),
            };
        }
        let begins = match read.looks {
            Looks::Request => true,
            Looks::Broken | Looks::Response => {
                self.begin(id);
                return self.core.lose_head(Counter::ExchangesLostUndecodable);
            }
            // Trailers end a stream.
            Looks::Unknown => !end_stream || self.streams.whole[self.direction.index()],
            Looks::Trailers => false,
        };
        match (begins, read.looks) {
            (true, _) => self.new_request(fields, read),
            // The end of a request whose beginning was not seen.
            (false, Looks::Trailers) if end_stream => {}
            (false, _) => self.unplaced(),
        }
    }

    /// A client's stream begins that was not there before.
    fn begin(&mut self, id: u32) {
        self.core.seen();
        let before = std::mem::replace(&mut self.streams.highest, id);
        self.streams.heads_seen = !self.streams.lost_place[self.direction.opposite().index()];
        let comparable = before > 0 || !self.streams.older;
        if std::mem::take(&mut self.streams.numbers_missing) && comparable {
            // Clients leave no number out, though they might (RFC 9113 section 5.1.1).
            let unseen = id.saturating_sub(before).saturating_sub(2).div_ceil(2);
            self.core.metrics.add(Counter::Http2RequestsUnseen, u64::from(unseen));
        }
        // Requests of streams before it are not to come any more.
        let waits =
            |stream: &Stream| stream.exchange.is_none() && stream.id < id && stream.id % 2 == 1;
        if self.streams.open.iter().any(|stream| waits(stream)) {
            let before = self.streams.open.len();
            self.streams.open.retain(|stream| !waits(stream));
            let dropped = before - self.streams.open.len();
            self.core.metrics.add(Counter::ResponsesOrphaned, dropped as u64);
        }
    }

    fn new_request(&mut self, fields: &Fields, read: Read<'_>) {
        let Begun { stream: id, end_stream, first, .. } = read.begun;
        self.begin(id);
        if id <= self.streams.early_dropped {
            // Its response, or a part of it, was dropped.
            return self.core.lose_head(Counter::ExchangesLostGap);
        }
        if !self.has_room() {
            self.drop_stream(id, Counter::ExchangesLostStreamsFull);
            return self.core.lose_head(Counter::ExchangesLostStreamsFull);
        }
        let Self { streams, site, core, direction, .. } = self;
        let request = fields.request(read.raw, &core.reading, &core.metrics);
        let setting = site.setting(core, *direction, false, None);
        let mut exchange = core.begin(request, first, setting, Some(id));
        exchange.rpc = fields.rpc();
        let refused = streams.last_processed.is_some_and(|last| id > last);
        let stream = streams.enter(id);
        if let (Some(rpc), Some(early)) = (&mut exchange.rpc, stream.early.take()) {
            rpc.join(*early);
        }
        stream.exchange = Some(exchange);
        stream.request.progress = if end_stream { Progress::Ended } else { Progress::Open };
        stream.request.end = end_stream.then_some(read.last);
        if refused && let Some(exchange) = streams.remove(id).and_then(|it| it.finish(false)) {
            return refuse(exchange, ErrorCode::NO_ERROR, read.last, core);
        }
        self.settle(id);
    }

    /// Whether one more stream is followed. Where the response of another may have ended unseen, that
    /// one is not waited for any longer: else a connection on which responses were lost once, or are
    /// never found, would be full for ever.
    fn has_room(&mut self) -> bool {
        let limits = &self.core.limits;
        if self.streams.open.len() < limits.streams && self.core.open <= limits.exchanges {
            return true;
        }
        let Some(requests) = self.streams.requests else { return false };
        let lost = self.streams.lost_place[requests.opposite().index()];
        let doubtful = || {
            self.streams.open.iter().filter(|stream| {
                let waits = stream.exchange.is_some() && !stream.response.ended();
                waits && (lost || stream.response.gap)
            })
        };
        // Rather one that only waits for its response than one that may go on.
        let waiting = doubtful().find(|stream| stream.request.ended());
        let oldest = waiting.or_else(|| doubtful().next()).map(|stream| stream.id);
        if let Some(id) = oldest {
            self.drop_stream(id, Counter::ExchangesLostGap);
        }
        oldest.is_some()
    }

    /// A block of what the server sends, of its own stream.
    fn response(&mut self, fields: &Fields, read: Read<'_>) {
        let Begun { stream: id, end_stream, first, .. } = read.begun;
        if self.streams.find(id).is_err() {
            let head = read.looks == Looks::Response && !is_interim(fields);
            if id % 2 == 0 || id <= self.streams.highest {
                // The request was not seen, is lost, or the stream is over; of one that was reset,
                // frames may still be on their way (section 5.1).
                if head && !self.streams.ended_early.contains(&id) {
                    self.core.metrics.inc(Counter::ResponsesOrphaned);
                }
                return;
            }
            let first = match read.looks {
                Looks::Response => true,
                // A head whose status is hidden, and not trailers.
                Looks::Unknown => self.streams.heads_seen,
                _ => false,
            };
            if !first {
                return self.streams.missed(id);
            }
            if !self.enter_early(id) {
                return;
            }
        }
        let Some(stream) = self.streams.get(id) else { return };
        let seen = Head { status: fields.status(), first: Some(first.time) };
        let half = &mut stream.response;
        let waiting = half.progress == Progress::Waiting;
        let progress = match read.looks {
            Looks::Broken | Looks::Request => Err(Violation),
            Looks::Response if waiting && is_interim(fields) && !end_stream => return,
            Looks::Response => {
                let progress = half.progress.head(end_stream);
                if progress.is_ok() {
                    stream.head = Some(seen);
                    stream.answered = fields.answered(&self.core.reading, &self.core.metrics);
                }
                progress
            }
            // A head whose status is hidden, or trailers. Of the first one it is not known yet
            // whether it is final.
            Looks::Unknown if waiting && !end_stream => {
                stream.head = Some(seen);
                return;
            }
            Looks::Unknown if waiting && stream.head.is_none() && !half.gap => {
                stream.head = Some(seen);
                half.progress.head(end_stream)
            }
            // Trailers; after what seemed to be a head, or after one that is in a gap.
            Looks::Unknown | Looks::Trailers if waiting && (stream.head.is_some() || half.gap) => {
                half.progress.head(end_stream)
            }
            Looks::Unknown | Looks::Trailers => half.progress.trailers(end_stream),
        };
        let Ok(progress) = progress else {
            return self.violation(id);
        };
        half.progress = progress;
        half.end = end_stream.then_some(read.last);
        if stream.rpc().is_some_and(|rpc| !fields.answer(rpc))
            && let Some(exchange) = &mut stream.exchange
        {
            exchange.rpc = None;
        }
        self.settle(id);
    }

    /// A place for a response that is seen before its request; false where there is none.
    fn enter_early(&mut self, id: u32) -> bool {
        let early = self.streams.open.iter().filter(|stream| stream.exchange.is_none()).count();
        if early >= EARLY_MAX || id <= self.streams.early_dropped {
            self.streams.missed(id);
            self.core.metrics.inc(Counter::ResponsesOrphaned);
            return false;
        }
        self.streams.enter(id);
        true
    }

    /// A request that the server makes in the client's place (section 8.4).
    fn promise(&mut self, fields: &Fields, read: Read<'_>, promised: u32) {
        if promised % 2 == 1 || self.streams.find(promised).is_ok() {
            return self.unplaced();
        }
        self.core.seen();
        let cause = self.streams.get(read.begun.stream).and_then(|it| it.exchange.as_ref());
        let Some(cause) = cause.cloned() else {
            return self.core.lose_head(Counter::ExchangesLostGap);
        };
        if read.looks != Looks::Request {
            return self.core.lose_head(Counter::ExchangesLostUndecodable);
        }
        if !self.has_room() {
            return self.core.lose_head(Counter::ExchangesLostStreamsFull);
        }
        let Self { streams, site, core, direction, .. } = self;
        let request = fields.request(read.raw, &core.reading, &core.metrics);
        let requests = direction.opposite();
        let setting = site.setting(core, requests, false, Some(&cause));
        let exchange = core.begin(request, read.begun.first, setting, Some(promised));
        let stream = streams.enter(promised);
        stream.exchange = Some(exchange);
        stream.request.progress = Progress::Ended;
    }

    /// A header block that was not read.
    fn lost(&mut self, begun: Begun, reason: Counter) {
        let Begun { stream: id, promise, end_stream, .. } = begun;
        let i = self.direction.index();
        match self.streams.kind(self.direction) {
            _ if promise => {}
            None => self.unplaced(),
            Some(Kind::Request) => {
                // Trailers end a stream, and those of a stream from before may be the first block.
                let begins = !end_stream || self.streams.whole[i];
                let new = id > self.streams.highest && id % 2 == 1;
                match self.streams.get(id).filter(|stream| stream.exchange.is_some()) {
                    Some(stream) => {
                        if end_stream && stream.request.progress == Progress::Open {
                            stream.request.progress = Progress::Ended;
                            self.settle(id);
                        }
                    }
                    None if new && begins => {
                        self.begin(id);
                        self.drop_stream(id, reason);
                        self.core.lose_head(reason);
                    }
                    None => self.unplaced(),
                }
            }
            Some(Kind::Response) => {
                if self.streams.find(id).is_err() {
                    self.streams.missed(id);
                } else if end_stream {
                    self.drop_stream(id, reason);
                } else if let Some(stream) = self.streams.get(id) {
                    stream.lose(Kind::Response);
                }
            }
        }
    }
}

/// The block is the head of an interim response (RFC 9110 section 15.2).
fn is_interim(fields: &Fields) -> bool {
    fields.status().is_some_and(|status| (100..200).contains(&status))
}

fn reason(why: Failure) -> Counter {
    match why {
        Failure::Gap => Counter::ExchangesLostGap,
        Failure::TooLarge => Counter::ExchangesLostHeadTooLarge,
        Failure::Malformed => Counter::ExchangesLostUndecodable,
    }
}

fn error_name(code: ErrorCode) -> String {
    code.name().map_or_else(|| format!("{:#x}", code.0), str::to_owned)
}

/// The server will not process it.
fn refuse(mut exchange: Exchange, code: ErrorCode, time: Monotonic, core: &mut Core) {
    exchange.add(HTTP2_ERROR, error_name(code));
    // What it may have said before does not count.
    if let Some(response) = &mut exchange.response {
        response.end = None;
    }
    core.complete(exchange, time, NOT_PROCESSED);
}

/// A stream that is over, with its exchange.
pub(super) fn complete(stream: Stream, core: &mut Core) {
    let (reset, answered) = (stream.reset, stream.response.ended());
    let Some(mut exchange) = stream.finish(false) else { return };
    let Some(Reset { code, by, time }) = reset.filter(|_| !answered) else {
        // Also where it was reset after that: nobody wants the rest of the request (section 8.1).
        return core.complete(exchange, Monotonic(0), STREAM_RESET);
    };
    let cut = code.name().unwrap_or(STREAM_RESET);
    exchange.add(HTTP2_ERROR, error_name(code));
    exchange.add(
        HTTP2_RESET_BY,
        match by {
            Kind::Request => "client",
            Kind::Response => "server",
        },
    );
    let call = exchange.rpc.as_ref().filter(|rpc| rpc.is_call());
    if code == ErrorCode::CANCEL {
        let elapsed = time.0.saturating_sub(exchange.start().0);
        if let Some(why) = call.and_then(|rpc| rpc.cancelled_by(elapsed, by)) {
            exchange.add(CANCELLED_BY, why);
        }
    }
    core.complete(exchange, time, cut);
}
