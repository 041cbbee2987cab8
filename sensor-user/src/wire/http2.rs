//! HTTP/2 as RFC 9113 has it, one direction at a time.
//!
//! [`Decoder`] takes the pieces of a direction ([`crate::stream::Piece`]) and tells a [`Sink`] of
//! header blocks, data and ends of streams. It needs the bytes of headers only; of DATA it can do
//! with the frames' headers. What the header blocks say is [`hpack`]'s; what it all means for a
//! stream is told where both directions are known.

mod decoder;
pub mod frame;
pub mod hpack;
mod opening;
mod seek;

pub use decoder::{Begun, Block, Decoder, Failure, Sink, Start};
pub use frame::{ErrorCode, Settings};
pub use opening::{Opening, opening};
