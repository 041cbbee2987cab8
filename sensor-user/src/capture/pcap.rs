//! Packet captures: pcap and pcapng.
//!
//! A packet capture sees both ends of a connection from the middle, and tells nothing of processes.
//! Each TCP connection becomes *one* flow, seen from the server (whoever received the SYN;
//! `pcap/flow.rs` says who it is without one), so that requests are received and responses are
//! sent. There are no [`Event::Process`] events, and [`super::event::Segment::process`] is
//! `ProcessKey::UNKNOWN`, which is no process: unknown.
//!
//! Packets carry wall-clock times, so the one [`Event::Clock`], which comes first, says that the
//! monotonic clock *is* nanoseconds since the Unix epoch.
//!
//! All bytes are delivered; nothing is skipped. What the capture does not have is a gap: bytes cut
//! by the snapshot length follow their segment as unreadable, and a hole that the peer has
//! acknowledged, or that is not filled within bounds, shows in the next position.

use std::io::Read;
use std::sync::Arc;

use super::event::{ClockSync, Event, Monotonic};
use super::{CaptureError, Progress, Source};
use crate::metrics::{Counter, Metrics};

mod assembly;
mod file;
mod flow;
mod packet;

pub(super) use file::is_capture;

use file::{Block, File};
use flow::Flows;
use packet::Undelivered;

/// Packets read in one poll.
const PACKETS_PER_POLL: usize = 256;

/// Why a packet capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the packet capture {name} {at}: {reason}")]
pub struct PcapError {
    /// The file.
    pub name: String,
    /// How far it was read.
    pub at: String,
    /// What is wrong.
    pub reason: String,
}

impl From<PcapError> for CaptureError {
    fn from(error: PcapError) -> Self {
        Self(error.to_string())
    }
}

/// Reads a packet capture, pcap or pcapng.
pub struct Pcap<R> {
    name: String,
    file: File<R>,
    flows: Flows,
    metrics: Arc<Metrics>,
    packets: u64,
    clock_told: bool,
    finished: bool,
}

impl<R: Read> Pcap<R> {
    /// Reads the head of `input`, which errors call `name`.
    ///
    /// # Errors
    /// When it is neither pcap nor pcapng.
    pub fn new(name: String, input: R, metrics: Arc<Metrics>) -> Result<Self, PcapError> {
        match File::open(input) {
            Ok(file) => Ok(Self {
                name,
                file,
                flows: Flows::new(Arc::clone(&metrics)),
                metrics,
                packets: 0,
                clock_told: false,
                finished: false,
            }),
            Err(reason) => Err(PcapError { name, at: "at its beginning".into(), reason }),
        }
    }

    /// Takes one block of the file; `None` at its end.
    fn step(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Option<()>, String> {
        let block = match self.file.next()? {
            Block::Packet(block) => block,
            Block::Undecodable => {
                self.metrics.inc(Counter::Packets);
                self.metrics.inc(Counter::PacketsUndecodable);
                return Ok(Some(()));
            }
            Block::Other => return Ok(Some(())),
            Block::End => return Ok(None),
        };
        self.packets += 1;
        self.metrics.inc(Counter::Packets);
        if !self.clock_told {
            self.clock_told = true;
            let monotonic = Monotonic(block.unix_ns);
            sink(Event::Clock(ClockSync { monotonic, unix_ns: block.unix_ns }));
        }
        match packet::tcp(block.link, block.data, block.original_len) {
            Ok(packet) => {
                self.flows.packet(Monotonic(block.unix_ns), &packet, &mut |event| {
                    self.metrics.inc(Counter::Events);
                    sink(event);
                });
            }
            Err(why) => self.metrics.inc(match why {
                Undelivered::NotTcp => Counter::PacketsNotTcp,
                Undelivered::Fragment => Counter::PacketsFragmented,
                Undelivered::Undecodable => Counter::PacketsUndecodable,
            }),
        }
        Ok(Some(()))
    }
}

impl<R: Read> Source for Pcap<R> {
    fn poll(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Progress, CaptureError> {
        if self.finished {
            return Ok(Progress::Finished);
        }
        let mut delivered = 0;
        let mut sink = |event: Event<'_>| {
            delivered += 1;
            sink(event);
        };
        for _ in 0..PACKETS_PER_POLL {
            let step = self.step(&mut sink);
            if let Ok(Some(())) = step {
                continue;
            }
            // What waits for a hole to be filled is delivered with the hole.
            self.finished = true;
            self.flows.flush(&mut |event| {
                self.metrics.inc(Counter::Events);
                sink(event);
            });
            if let Err(reason) = step {
                let at = format!("after {} packets, which were delivered", self.packets);
                return Err(PcapError { name: self.name.clone(), at, reason }.into());
            }
            break;
        }
        Ok(if self.finished && delivered == 0 {
            Progress::Finished
        } else {
            // The file may hold packets of which no event comes.
            Progress::Delivered(delivered)
        })
    }
}

#[cfg(test)]
mod tests;
