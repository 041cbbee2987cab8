//! One stream, as both directions tell of it.
//!
//! RFC 9113 section 5.1 has one state for a stream as one of its ends sees it. Who listens sees two
//! directions, and not always in the order of cause and effect, so each keeps its own:
//!
//! ```text
//!              +--1xx--+              +--DATA--+
//!              v       |              v        |
//!  Waiting ----+-------+--- head ---> Open ----+---- END_STREAM ---> Ended
//!     |                                                                ^
//!     +-------------------- head with END_STREAM ----------------------+
//! ```
//!
//! | section 5.1 | request | response |
//! |---|---|---|
//! | idle | Waiting | Waiting |
//! | open | Open | Waiting, Open |
//! | half-closed, the client's | Ended | Waiting, Open |
//! | half-closed, the server's | Open | Ended |
//! | reserved | Ended (by PUSH_PROMISE) | Waiting |
//! | closed | Ended | Ended |
//!
//! RST_STREAM ends both. What is not drawn is a [`Violation`].

use crate::capture::event::Monotonic;
use crate::model::Attribute;
use crate::stream::Piece;
use crate::trace::exchange::{Exchange, Response, Rpc};
use crate::wire::Kind;
use crate::wire::grpc::Messages;
use crate::wire::http2::ErrorCode;

/// A frame that the stream's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation;

/// One direction of a stream: see the diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    #[default]
    Waiting,
    Open,
    Ended,
}

impl Progress {
    /// A head; `end` is END_STREAM.
    pub(super) fn head(self, end: bool) -> Result<Self, Violation> {
        match self {
            Self::Waiting if end => Ok(Self::Ended),
            Self::Waiting => Ok(Self::Open),
            Self::Open | Self::Ended => Err(Violation),
        }
    }

    /// DATA, or the end of it.
    pub(super) fn data(self, end: bool) -> Result<Self, Violation> {
        match self {
            Self::Open if end => Ok(Self::Ended),
            Self::Open => Ok(Self::Open),
            Self::Waiting | Self::Ended => Err(Violation),
        }
    }

    /// Trailers, which end it (section 8.1).
    pub(super) fn trailers(self, end: bool) -> Result<Self, Violation> {
        match self {
            Self::Open if end => Ok(Self::Ended),
            Self::Waiting | Self::Open | Self::Ended => Err(Violation),
        }
    }
}

/// One direction of a stream, and what went by in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Half {
    pub(super) progress: Progress,
    /// When it ended, if that is known.
    pub(super) end: Option<Monotonic>,
    /// Bytes of DATA; none where there was no DATA.
    body: Option<u64>,
    /// Something of it may be in a gap.
    pub(super) gap: bool,
    /// How much DATA there was is not known.
    unsized_body: bool,
}

impl Half {
    pub(super) fn data(&mut self, piece: Piece<'_>) {
        self.body = Some(self.body.unwrap_or(0).saturating_add(piece.length()));
    }

    /// DATA of a length that is not known.
    pub(super) fn data_unsized(&mut self) {
        self.unsized_body = true;
    }

    /// An empty DATA is a body too.
    pub(super) fn has_data(&mut self) {
        self.body = self.body.or(Some(0));
    }

    /// Bytes of DATA, where there was DATA and all of it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.body.filter(|_| !self.gap && !self.unsized_body)
    }

    pub(super) fn ended(&self) -> bool {
        self.progress == Progress::Ended
    }
}

/// How a stream was reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset {
    pub(super) code: ErrorCode,
    /// The direction it came in.
    pub(super) by: Kind,
    pub(super) time: Monotonic,
}

/// A stream that is open, or whose response was seen before its request.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Once the request was seen.
    pub(super) exchange: Option<Exchange>,
    pub(super) request: Half,
    pub(super) response: Half,
    /// The final response's head, or what may be it.
    pub(super) head: Option<Head>,
    /// What the response says, where it was seen before the request.
    pub(super) early: Option<Box<Rpc>>,
    /// What else the response's head tells.
    pub(super) answered: Vec<Attribute>,
    pub(super) reset: Option<Reset>,
    /// A reset may be in a gap.
    pub(super) in_doubt: bool,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    pub(super) status: Option<u16>,
    pub(super) first: Option<Monotonic>,
}

impl Stream {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            exchange: None,
            request: Half::default(),
            response: Half::default(),
            head: None,
            early: None,
            answered: Vec::new(),
            reset: None,
            in_doubt: false,
        }
    }

    /// Anything of one of its directions may be in a gap.
    pub(super) fn lose(&mut self, kind: Kind) {
        self.in_doubt = true;
        let half = self.half(kind);
        if half.ended() {
            return;
        }
        half.gap = true;
        if kind == Kind::Response && half.progress == Progress::Waiting {
            // What seemed to be the head was an interim one, if the head is in the gap.
            self.head = None;
        }
        if let Some(rpc) = self.rpc() {
            *rpc.messages(kind) = Messages::unknown();
        }
    }

    pub(super) fn half(&mut self, kind: Kind) -> &mut Half {
        match kind {
            Kind::Request => &mut self.request,
            Kind::Response => &mut self.response,
        }
    }

    /// The call that it is, or may be.
    pub(super) fn rpc(&mut self) -> Option<&mut Rpc> {
        match &mut self.exchange {
            Some(exchange) => exchange.rpc.as_deref_mut(),
            None => Some(self.early.get_or_insert_with(|| Box::new(Rpc::new(None, None)))),
        }
    }

    /// Nothing more is to come that matters: both directions ended, or it was reset. A request whose
    /// end may be in a gap is not waited for.
    pub(super) fn is_over(&self) -> bool {
        let request = self.request.ended() || self.request.gap;
        self.reset.is_some() || self.response.ended() && request
    }

    /// The exchange, with all that was seen of it. `closed` says that nothing more is to come in
    /// either direction; otherwise, messages of a direction that did not end may be on their way.
    pub(super) fn finish(mut self, closed: bool) -> Option<Exchange> {
        let mut exchange = self.exchange.take()?;
        if let Some(rpc) = &mut exchange.rpc {
            for kind in [Kind::Request, Kind::Response] {
                let reset = self.reset.is_some_and(|reset| reset.by == kind);
                if !closed && !reset && !self.half(kind).ended() {
                    *rpc.messages(kind) = Messages::unknown();
                }
            }
        }
        // Of an upgrade, the request is known already.
        if self.request.ended() && !exchange.request_done {
            exchange.request_ended(self.request.end, self.request.size());
        }
        exchange.response = self.told();
        exchange.answered(self.answered);
        Some(exchange)
    }

    /// What the response has said so far.
    pub(super) fn told(&self) -> Option<Response> {
        let ended = self.response.ended();
        if self.response.progress == Progress::Waiting {
            // What there is may be an interim one.
            return None;
        }
        // Of a response whose head is in a gap, the end may be known.
        let Head { status, first } = self.head.or_else(|| ended.then(Head::default))?;
        let body = self.response.size().filter(|_| ended);
        Some(Response { status, first, end: self.response.end.filter(|_| ended), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_and_nothing_else() {
        use Progress::{Ended, Open, Waiting};
        for (state, head, data, trailers) in [
            (Waiting, [Ok(Open), Ok(Ended)], [Err(Violation); 2], [Err(Violation); 2]),
            (Open, [Err(Violation); 2], [Ok(Open), Ok(Ended)], [Err(Violation), Ok(Ended)]),
            (Ended, [Err(Violation); 2], [Err(Violation); 2], [Err(Violation); 2]),
        ] {
            assert_eq!([false, true].map(|end| state.head(end)), head, "{state:?}");
            assert_eq!([false, true].map(|end| state.data(end)), data, "{state:?}");
            assert_eq!([false, true].map(|end| state.trailers(end)), trailers, "{state:?}");
        }
    }
}
