//! What is held back until it is certain that no event was missed before it.
//!
//! A missed run ([`super::missed`]) is noticed on TCP by the sequence numbers. A Unix socket has
//! none: the next answer would be taken for the one that was missed. So records of Unix sockets are
//! believed only if the misses, read *after* the records were taken from the ring, have not grown:
//! what was missed later cannot matter to them. If they have grown, everything up to that moment is
//! doubtful: what is held, and what is in the ring still and was made before.
//!
//! The same goes for what a thread had taken up when it sent something, whatever the socket: a wait or a read
//! of its may be what was missed. The record is true then, but its cause is left out. Causes that come
//! later the kernel side leaves out by itself, if they go back to before (`sensor-ebpf/src/probes/turn.rs`).

use std::mem::offset_of;
use std::sync::Arc;

use sensor_ebpf::abi::{
    EndRecord, Family, FlowIdent, LineRecord, ProcessRecord, RecordKind, SegmentRecord,
    process_flag, segment_flag,
};

use super::missed::Look;
use crate::capture::event::{FileId, Monotonic, ProcessKey};
use crate::capture::{Raw, decode};
use crate::model::Resource;

/// One for the whole capture. At most what one poll takes is held.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Events can be missed at all.
    possible: bool,
    /// Misses, when they were last read.
    missed: u64,
    /// Records of Unix sockets up to this time are doubtful.
    until: Monotonic,
    /// Misses of any program, likewise.
    all_missed: u64,
    /// Causes up to this time are doubtful.
    causes_until: Monotonic,
    held: Vec<Held>,
    /// The bytes of the records held, one after the other.
    bytes: Vec<u8>,
    dropped: u64,
}

/// In the order in which it came.
#[derive(Debug)]
enum Held {
    Record { len: usize, unix: bool, caused: bool },
    Process { process: ProcessKey, exec: bool, resource: Arc<Resource> },
    LogFile { file: FileId, path: Arc<str> },
}

/// Why a record matters here.
enum Matter {
    /// It is of a Unix socket.
    Unix(Option<Monotonic>),
    /// A process has ended, and with it its Unix sockets.
    Exit,
    Nothing,
}

impl Doubt {
    /// Where nothing can be missed, nothing is held.
    pub(super) fn new(possible: bool) -> Self {
        Self {
            possible,
            missed: 0,
            until: Monotonic(0),
            all_missed: 0,
            causes_until: Monotonic(0),
            held: Vec::new(),
            bytes: Vec::new(),
            dropped: 0,
        }
    }

    /// Records dropped because they were doubtful.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Passes `raw` on, or holds it: that from the first record on that matters, so that the order
    /// stays.
    pub(super) fn take(&mut self, raw: Raw<'_>, sink: &mut dyn FnMut(Raw<'_>)) {
        match raw {
            Raw::Record(record) if self.possible => {
                let caused = has_cause(record);
                let unix = match Matter::of(record) {
                    Matter::Unix(Some(time)) if time <= self.until => {
                        self.dropped += 1;
                        return;
                    }
                    Matter::Unix(_) => true,
                    Matter::Nothing if self.held.is_empty() && !caused => return sink(raw),
                    Matter::Exit | Matter::Nothing => false,
                };
                let start = self.bytes.len();
                self.bytes.extend_from_slice(record);
                let late = decode::time(record).is_none_or(|time| time > self.causes_until);
                if caused && !late {
                    self.bytes.get_mut(start..).map(leave_out_cause);
                }
                self.held.push(Held::Record { len: record.len(), unix, caused });
            }
            Raw::Process { process, exec, resource } if !self.held.is_empty() => {
                self.held.push(Held::Process { process, exec, resource: Arc::clone(resource) });
            }
            Raw::LogFile { file, path } if !self.held.is_empty() => {
                self.held.push(Held::LogFile { file, path: Arc::clone(path) });
            }
            _ => sink(raw),
        }
    }

    /// Passes on what is held, if it can be believed; else [`Raw::Missed`], and what does not
    /// concern Unix sockets, without causes. `look` reads the misses, and the time after that; it is
    /// called only if something is held.
    ///
    /// # Errors
    /// That of `look`.
    pub(super) fn settle<E>(
        &mut self,
        look: impl FnOnce() -> Result<Look, E>,
        sink: &mut dyn FnMut(Raw<'_>),
    ) -> Result<(), E> {
        if self.held.is_empty() {
            return Ok(());
        }
        let Look { calls, all, until } = look()?;
        let doubtful = calls != self.missed;
        let causes_doubtful = all != self.all_missed;
        if doubtful {
            (self.missed, self.until) = (calls, until);
            sink(Raw::Missed);
        }
        if causes_doubtful {
            (self.all_missed, self.causes_until) = (all, until);
        }
        let mut bytes = self.bytes.as_mut_slice();
        for held in self.held.drain(..) {
            match held {
                Held::Record { len, unix, caused } => {
                    let (record, rest) = bytes.split_at_mut(len);
                    bytes = rest;
                    if caused && causes_doubtful {
                        leave_out_cause(record);
                    }
                    if unix && doubtful {
                        self.dropped += 1;
                    } else {
                        sink(Raw::Record(record));
                    }
                }
                Held::Process { process, exec, resource } => {
                    sink(Raw::Process { process, exec, resource: &resource });
                }
                Held::LogFile { file, path } => sink(Raw::LogFile { file, path: &path }),
            }
        }
        self.bytes.clear();
        Ok(())
    }
}

impl Matter {
    fn of(record: &[u8]) -> Self {
        const SEGMENT: u32 = RecordKind::Segment as u32;
        const END: u32 = RecordKind::End as u32;
        const PROCESS: u32 = RecordKind::Process as u32;
        const IDENT: usize = offset_of!(SegmentRecord, ident);
        const FLAGS: usize = offset_of!(ProcessRecord, flags);
        const _: () = assert!(offset_of!(EndRecord, ident) == IDENT);

        let word = |at: usize| {
            let bytes = record.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |word| u32::from_ne_bytes(*word))
        };
        match word(0) {
            SEGMENT | END => {
                let family = record.get(IDENT + offset_of!(FlowIdent, family));
                match family == Some(&(Family::Unix as u8)) {
                    true => Self::Unix(decode::time(record)),
                    false => Self::Nothing,
                }
            }
            PROCESS if word(FLAGS) & process_flag::EXIT != 0 => Self::Exit,
            // The path of a Unix socket is what it is, whatever was missed.
            _ => Self::Nothing,
        }
    }
}

/// Where a record has its cause: the flow and the position in it. Segments have one, and lines.
fn cause_at(record: &[u8]) -> Option<(usize, usize)> {
    const SEGMENT: u32 = RecordKind::Segment as u32;
    const LINE: u32 = RecordKind::Line as u32;
    match record.first_chunk().map(|word| u32::from_ne_bytes(*word)) {
        Some(SEGMENT) => {
            Some((offset_of!(SegmentRecord, cause_flow), offset_of!(SegmentRecord, cause_position)))
        }
        Some(LINE) => {
            Some((offset_of!(LineRecord, cause_flow), offset_of!(LineRecord, cause_position)))
        }
        _ => None,
    }
}

/// Whether the record tells what its thread acted on.
fn has_cause(record: &[u8]) -> bool {
    cause_at(record)
        .and_then(|(flow, _)| record.get(flow..)?.first_chunk())
        .is_some_and(|flow: &[u8; 8]| *flow != [0; 8])
}

/// Makes a record one without a cause.
fn leave_out_cause(record: &mut [u8]) {
    const FLAGS: usize = offset_of!(SegmentRecord, flags);
    const _: () = assert!(offset_of!(LineRecord, flags) == FLAGS);
    let Some((flow, position)) = cause_at(record) else { return };
    for at in [flow, position] {
        if let Some(to) = record.get_mut(at..at + 8) {
            to.fill(0);
        }
    }
    if let Some(flags) = record.get_mut(FLAGS..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *flags = (u32::from_ne_bytes(*flags) & !segment_flag::CAUSE_ALONE).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests;
