//! HTTP/1.0 and HTTP/1.1 as RFC 9112 has it, one direction at a time.
//!
//! [`Decoder`] takes the pieces of a direction ([`crate::stream::Piece`]) and tells a [`Sink`]
//! where messages begin, what their heads say and where they end. It never needs the bytes of a
//! body of known length, and it never guesses: what cannot be framed is a [`Failure`].

mod chunked;
mod decoder;
mod detect;
mod head;
mod line;

pub use super::{At, Kind};
pub use decoder::{Asked, Decoder, Failure, MessageEnd, Sink};
pub use detect::{Detection, Detector, detect};
pub use head::{Body, Field, Head, Malformed, StartLine};
pub(crate) use sensor_ebpf::frame::is_token;

/// [`is_token`] of every byte: names of fields are read byte by byte.
pub(crate) static TCHARS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let at = byte as u8;
        table[byte] = is_token(at);
        byte += 1;
    }
    table
};

/// A byte that a request target may hold: visible, and (as servers take it) anything beyond ASCII.
pub(crate) const fn is_target(byte: u8) -> bool {
    byte > 0x20 && byte != 0x7f
}
