//! HTTP/2 as RFC 9113 has it.

pub mod hpack;
