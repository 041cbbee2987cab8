//! The client: as soon as an answer comes, the next request goes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::Timespec;
use serde_json::{Value, json};

use super::super::latency::Latencies;
use super::super::{CONNECTIONS, room_for};
use super::{PING, PONG};

/// How long nothing at all may come.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// Latencies that there is room for from the start, a second.
const A_SECOND: usize = 200_000;

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that have come.
    matched: usize,
    asked: Instant,
}

/// Asks over so many connections for so long, and says what came of it, as a JSON object: `answered`,
/// `seconds` and `latency_ns`. What is in flight at the end is not waited for.
///
/// # Errors
/// No connection, one that breaks, or an answer that is none.
pub fn run(address: SocketAddr, connections: usize, duration: Duration) -> Result<Value> {
    if connections == 0 || connections > CONNECTIONS {
        bail!("1 to {CONNECTIONS} connections");
    }
    room_for(connections)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut all = Vec::with_capacity(connections);
    for (number, token) in (0..connections).zip(0..) {
        let stream = TcpStream::connect(address)
            .with_context(|| format!("connection {number} to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        all.push(Connection { stream, matched: 0, asked: Instant::now() });
    }
    let seconds = usize::try_from(duration.as_secs() + 1)?.min(60);
    let mut latencies = Latencies::with_capacity(seconds * A_SECOND);
    let start = Instant::now();
    for connection in &mut all {
        connection.ask(start)?;
    }
    let mut events = Vec::with_capacity(256);
    let mut now = start;
    while now.duration_since(start) < duration {
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&PATIENCE))?;
        if events.is_empty() {
            bail!("{address} does not answer");
        }
        for event in events.drain(..) {
            let number = usize::try_from(event.data.u64())?;
            let connection = all.get_mut(number).context("an event of no connection")?;
            if !connection.answered()? {
                continue;
            }
            now = Instant::now();
            let nanos = now.duration_since(connection.asked).as_nanos();
            latencies.push(u64::try_from(nanos).unwrap_or(u64::MAX));
            connection.ask(now)?;
        }
    }
    let answered = u64::try_from(latencies.len())?;
    Ok(json!({
        "answered": answered,
        "seconds": now.duration_since(start).as_secs_f64(),
        "latency_ns": latencies.report(),
    }))
}

impl Connection {
    fn ask(&mut self, now: Instant) -> Result<()> {
        self.asked = now;
        // Nothing is in its buffer: it takes a request whole, or it is broken.
        match self.stream.write(PING)? {
            n if n == PING.len() => Ok(()),
            n => bail!("{n} bytes of a request were taken"),
        }
    }

    /// Whether the answer is whole.
    fn answered(&mut self) -> Result<bool> {
        let mut input = [0; 64];
        let read = match self.stream.read(&mut input) {
            Ok(0) => bail!("closed by the server"),
            Ok(read) => read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let end = self.matched + read;
        if PONG.get(self.matched..end) != input.get(..read) {
            bail!("the server's answer is no PONG");
        }
        self.matched = if end == PONG.len() { 0 } else { end };
        Ok(self.matched == 0)
    }
}
