//! Header blocks: which stream they are of, and what they are to it.

use super::super::EARLY_MAX;
use super::super::fields::{Fields, Looks};
use super::super::stream::{Head, Progress, Stream, Violation};
use super::{Feed, Read, refuse};
use crate::metrics::Counter;
use crate::wire::Kind;
use crate::wire::http2::{Begun, ErrorCode};

impl Feed<'_> {
    /// A header block whose fields are read.
    pub(super) fn fields(&mut self, fields: &Fields, read: Read<'_>, promised: Option<u32>) {
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
    pub(super) fn enter_early(&mut self, id: u32) -> bool {
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
    pub(super) fn lost(&mut self, begun: Begun, reason: Counter) {
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
