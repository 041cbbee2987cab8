//! Protocol decoders without I/O: bytes of one direction in, messages out.

pub(crate) mod base64;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod names;
pub mod span_export;

use crate::capture::event::Monotonic;

/// What a direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests.
    Request,
    /// Responses.
    Response,
}

impl Kind {
    /// What the other direction carries.
    pub fn opposite(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// Where and when a byte of a direction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// When it went by.
    pub time: Monotonic,
    /// Its absolute position in the direction.
    pub position: u64,
    /// Its TCP sequence number.
    pub tcp_seq: Option<u32>,
}

impl At {
    /// `n` bytes further on, at the same time.
    #[must_use]
    pub fn advance(self, n: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        let step = n as u32;
        Self {
            time: self.time,
            position: self.position.saturating_add(n as u64),
            tcp_seq: self.tcp_seq.map(|seq| seq.wrapping_add(step)),
        }
    }
}
