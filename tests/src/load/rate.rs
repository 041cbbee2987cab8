//! Open-loop load: request `k` is due at `start + k / rate`, whatever became of those before it, and
//! its latency counts from when it was due. A server that stalls is so charged with the requests that
//! had to wait, not only with the one it answered late (no coordinated omission).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde_json::{Value, json};

use super::latency::Latencies;
use super::response::Response;
use super::{CONNECTIONS, hold, room_for};

/// Requests of one run at most: each one's latency is kept.
pub const REQUESTS: u64 = 20_000_000;
/// Bytes of a request's head at most.
pub const HEADER_BYTES: usize = 24 << 10;

/// How long answers may take to come after the last request was due.
const GRACE: Duration = Duration::from_secs(5);
/// What marks the timer among the connections.
const TIMER: u64 = u64::MAX;
/// The longest request or answer in one piece.
const BUFFER: usize = 16 << 10;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Requests a second.
    pub rate: u64,
    /// Requests in all.
    pub requests: u64,
    /// Keep-alive connections. A request that finds none idle waits, and its latency counts that.
    pub connections: usize,
    /// Request `k` is for path `/{marker}{k}`, counted from 0.
    pub marker: String,
    /// Bytes of a request's head, at least; it is filled up to so many with fields of no meaning.
    pub header_bytes: usize,
    /// Each connection has an exchange before the run begins, which is not counted.
    pub warm: bool,
    /// How long after the word to go the first request is due.
    pub delay: Duration,
}

/// Connects, calls `ready`, which may wait for the word to go, and runs it. Calls `done` with what came
/// of it while the connections are still open, as a JSON object: `sent`, `answered`, `failed`
/// (connections that broke), `unanswered`, `seconds` from the first request's due time to the last
/// answer, and `latency_ns`.
///
/// # Errors
/// Out of bounds, no connection, or none left; or that of `ready` or `done`.
pub fn run(
    plan: &Plan,
    ready: impl FnOnce() -> Result<()>,
    done: impl FnOnce(&Value) -> Result<()>,
) -> Result<()> {
    if plan.rate == 0 || plan.requests == 0 || plan.requests > REQUESTS {
        bail!("a run has 1 to {REQUESTS} requests, at a rate of at least 1 a second");
    }
    if plan.connections == 0 || plan.connections > CONNECTIONS {
        bail!("a run has 1 to {CONNECTIONS} connections");
    }
    if plan.header_bytes > HEADER_BYTES {
        bail!("a request's head has at most {HEADER_BYTES} bytes");
    }
    room_for(plan.connections)?;
    let mut run = Run::connect(plan)?;
    ready()?;
    done(&run.finish()?)
}

struct Connection {
    stream: TcpStream,
    response: Response,
    /// When the request in flight was due.
    due: Option<Instant>,
}

struct Run<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    timer: OwnedFd,
    /// When the timer goes off.
    armed: Option<Instant>,
    /// `None` is one that broke.
    connections: Vec<Option<Connection>>,
    /// In the order in which they became so: all of them get work.
    idle: VecDeque<usize>,
    start: Instant,
    sent: u64,
    failed: u64,
    latencies: Latencies,
    last_answer: Instant,
    request: Vec<u8>,
    /// What ends every request's head: fields that are all the same, and the empty line.
    fields: Vec<u8>,
    input: Box<[u8; BUFFER]>,
}

impl<'a> Run<'a> {
    fn connect(plan: &'a Plan) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        let mut connections = Vec::with_capacity(plan.connections);
        for (number, token) in (0..plan.connections).zip(0..) {
            let stream = if plan.warm {
                hold::open(plan.address, number)
            } else {
                TcpStream::connect(plan.address).map_err(Into::into)
            };
            let stream =
                stream.with_context(|| format!("connection {number} to {}", plan.address))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
            connections.push(Some(Connection { stream, response: Response::default(), due: None }));
        }
        let start = Instant::now();
        Ok(Self {
            plan,
            epoll,
            timer,
            armed: None,
            idle: (0..connections.len()).collect(),
            connections,
            start,
            sent: 0,
            failed: 0,
            latencies: Latencies::with_capacity(usize::try_from(plan.requests)?),
            last_answer: start,
            request: Vec::with_capacity(plan.header_bytes.max(512)),
            fields: fields(plan),
            input: Box::new([0; BUFFER]),
        })
    }

    fn finish(&mut self) -> Result<Value> {
        self.start = Instant::now() + Duration::from_millis(10) + self.plan.delay;
        self.last_answer = self.start;
        let deadline = self.due(self.plan.requests) + GRACE;
        let mut events = Vec::with_capacity(256);
        loop {
            let now = Instant::now();
            while self.sent < self.plan.requests && self.due(self.sent) <= now {
                let Some(number) = self.idle.pop_front() else { break };
                self.send(number)?;
            }
            let in_flight = self.connections.iter().flatten().count() - self.idle.len();
            if (self.sent == self.plan.requests && in_flight == 0) || now >= deadline {
                break;
            }
            if self.connections.iter().all(Option::is_none) {
                bail!("every connection broke");
            }
            let waits = self.sent == self.plan.requests || self.idle.is_empty();
            self.arm(if waits { deadline } else { self.due(self.sent) })?;
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                match usize::try_from(event.data.u64()) {
                    Ok(number) if event.data.u64() != TIMER => self.receive(number),
                    // One that has gone off stays readable until it is set anew.
                    _ => self.armed = None,
                }
            }
        }
        let answered = u64::try_from(self.latencies.len())?;
        let seconds = self.last_answer.duration_since(self.start).as_secs_f64();
        Ok(json!({
            "sent": self.sent,
            "answered": answered,
            "failed": self.failed,
            "unanswered": self.sent - answered,
            "seconds": seconds,
            "latency_ns": std::mem::take(&mut self.latencies).report(),
        }))
    }

    /// When request `k` is due.
    fn due(&self, k: u64) -> Instant {
        // At most 20,000,000 requests: the product stays below 2^55.
        self.start + Duration::from_nanos(k * 1_000_000_000 / self.plan.rate)
    }

    fn arm(&mut self, at: Instant) -> Result<()> {
        if self.armed == Some(at) {
            return Ok(());
        }
        // Nothing at all would disarm it.
        let left = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let value =
            Timespec { tv_sec: left.as_secs().try_into()?, tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.armed = Some(at);
        Ok(())
    }

    fn send(&mut self, number: usize) -> Result<()> {
        let due = self.due(self.sent);
        self.request.clear();
        write!(self.request, "GET /{}{} HTTP/1.1\r\n", self.plan.marker, self.sent)?;
        self.request.extend_from_slice(&self.fields);
        self.sent += 1;
        let Some(Some(connection)) = self.connections.get_mut(number) else {
            bail!("a broken connection was idle");
        };
        connection.due = Some(due);
        // An idle connection's buffer is empty: it takes a request whole, or it is broken.
        if !matches!(connection.stream.write(&self.request), Ok(n) if n == self.request.len()) {
            self.give_up(number);
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        let bytes = match connection.stream.read(&mut self.input[..]) {
            Ok(n) if n > 0 => self.input.get(..n).unwrap_or(&[]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return;
            }
            _ => return self.give_up(number),
        };
        match (connection.response.feed(bytes), connection.due) {
            (Ok(false), Some(_)) => {}
            (Ok(true), Some(due)) => {
                connection.due = None;
                self.last_answer = Instant::now();
                let nanos = self.last_answer.saturating_duration_since(due).as_nanos();
                self.latencies.push(u64::try_from(nanos).unwrap_or(u64::MAX));
                self.idle.push_back(number);
            }
            _ => self.give_up(number),
        }
    }

    /// Closes a connection that broke; closing takes it out of the epoll set.
    fn give_up(&mut self, number: usize) {
        self.failed += 1;
        self.idle.retain(|idle| *idle != number);
        if let Some(connection) = self.connections.get_mut(number) {
            *connection = None;
        }
    }
}

/// The fields of every request, and the empty line.
fn fields(plan: &Plan) -> Vec<u8> {
    /// Of one field, with its name: servers have a limit on each.
    const FIELD: usize = 1000;
    let mut text = format!(
        "Host: {}\r\nUser-Agent: sensor-load/1.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\n",
        plan.address
    );
    // Markers and their numbers differ in length, and that of the start line need not be exact.
    let start_line = "GET / HTTP/1.1\r\n".len() + plan.marker.len();
    let wanted = plan.header_bytes.saturating_sub(start_line + 2);
    let mut number = 0;
    while text.len() < wanted {
        let length = (wanted - text.len()).min(FIELD);
        let name = format!("X-Filler-{number}: ");
        let filler = length.saturating_sub(name.len() + 2).max(1);
        text.extend([name.as_str(), &"f".repeat(filler), "\r\n"]);
        number += 1;
    }
    text.push_str("\r\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests;
