//! The server: one thread, one epoll.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::super::room_for;
use super::{OTHER, PING, PONG};

/// Connections at once; more wait in the listener's queue or are refused.
const CONNECTIONS: usize = 10_000;

/// Answers every PING until there is an error of the listener's. A connection that sends anything else,
/// or does not take its answers, is closed.
///
/// # Errors
/// No descriptors, or the listener fails.
pub fn serve(listener: &TcpListener) -> Result<()> {
    room_for(CONNECTIONS)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, epoll::EventData::new_u64(OTHER), epoll::EventFlags::IN)?;
    let mut connections = HashMap::new();
    let mut next = 0_u64;
    let mut events = Vec::with_capacity(256);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let token = event.data.u64();
            if token != OTHER {
                let known = connections.get_mut(&token);
                // Closing takes it out of the epoll set.
                if known.is_some_and(|connection: &mut Connection| !connection.answer()) {
                    connections.remove(&token);
                }
                continue;
            }
            while let Some(stream) = accept(listener)? {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let data = epoll::EventData::new_u64(next);
                epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
                connections.insert(next, Connection { stream, matched: 0 });
                next += 1;
            }
        }
    }
}

/// The next connection, if one waits.
fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                // The last: it was reset before it was accepted.
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes of a PING that have come.
    matched: usize,
}

impl Connection {
    /// Whether it goes on.
    fn answer(&mut self) -> bool {
        let mut input = [0; 4096];
        let read = match self.stream.read(&mut input) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        };
        let mut answers = 0;
        for byte in input.iter().take(read) {
            if PING.get(self.matched) != Some(byte) {
                return false;
            }
            self.matched += 1;
            if self.matched == PING.len() {
                self.matched = 0;
                answers += 1;
            }
        }
        let output = PONG.repeat(answers);
        output.is_empty() || matches!(self.stream.write(&output), Ok(n) if n == output.len())
    }
}
