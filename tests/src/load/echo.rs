//! A protocol of tiny messages that is not HTTP, as Redis speaks it: a PING of 14 bytes is answered by
//! a PONG of 7. One thread at each end, many connections, one request in flight on each (closed loop):
//! little happens beside the socket calls, so it is the load on which their cost shows most.

mod client;
mod server;

pub use client::run;
pub use server::serve;

/// `PING` as an array of one bulk string (RESP).
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// Its answer, a simple string.
const PONG: &[u8] = b"+PONG\r\n";
/// What marks what is not a connection.
const OTHER: u64 = u64::MAX;

#[cfg(test)]
mod tests;
