//! Protocol decoders without I/O: bytes of one direction in, messages out.

pub mod http1;
pub mod http2;
