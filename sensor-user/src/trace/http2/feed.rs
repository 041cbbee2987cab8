//! What a decoder finds, laid against the streams of its connection.

mod blocks;

use super::Streams;
use super::fields::Looks;
use super::stream::{Half, Progress, Reset, Stream, Violation};
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
