//! What is held back until it is certain that no event was missed before it.
//!
//! A missed run ([`super::missed`]) is noticed on TCP by the sequence numbers. A Unix socket has
//! none: the next answer would be taken for the one that was missed. So records of Unix sockets are
//! believed only if the misses, read *after* the records were taken from the ring, have not grown:
//! what was missed later cannot matter to them. If they have grown, everything up to that moment is
//! doubtful: what is held, and what is in the ring still and was made before.

use std::mem::offset_of;
use std::sync::Arc;

use sensor_ebpf::abi::{
    EndRecord, Family, FlowIdent, ProcessRecord, RecordKind, SegmentRecord, process_flag,
};

use crate::capture::event::{Monotonic, Tgid};
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
    held: Vec<Held>,
    /// The bytes of the records held, one after the other.
    bytes: Vec<u8>,
    dropped: u64,
}

/// In the order in which it came.
#[derive(Debug)]
enum Held {
    Record { len: usize, unix: bool },
    Process { tgid: Tgid, resource: Arc<Resource> },
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
                let unix = match Matter::of(record) {
                    Matter::Unix(Some(time)) if time <= self.until => {
                        self.dropped += 1;
                        return;
                    }
                    Matter::Unix(_) => true,
                    Matter::Nothing if self.held.is_empty() => return sink(raw),
                    Matter::Exit | Matter::Nothing => false,
                };
                self.bytes.extend_from_slice(record);
                self.held.push(Held::Record { len: record.len(), unix });
            }
            Raw::Process { tgid, resource } if !self.held.is_empty() => {
                self.held.push(Held::Process { tgid, resource: Arc::clone(resource) });
            }
            _ => sink(raw),
        }
    }

    /// Passes on what is held, if it can be believed; else [`Raw::Missed`], and what does not
    /// concern Unix sockets. `look` reads the misses, and the time after that; it is called only
    /// if something is held.
    ///
    /// # Errors
    /// That of `look`.
    pub(super) fn settle<E>(
        &mut self,
        look: impl FnOnce() -> Result<(u64, Monotonic), E>,
        sink: &mut dyn FnMut(Raw<'_>),
    ) -> Result<(), E> {
        if self.held.is_empty() {
            return Ok(());
        }
        let (missed, now) = look()?;
        let doubtful = missed != self.missed;
        if doubtful {
            (self.missed, self.until) = (missed, now);
            sink(Raw::Missed);
        }
        let mut bytes = self.bytes.as_slice();
        for held in self.held.drain(..) {
            match held {
                Held::Record { len, unix } => {
                    let (record, rest) = bytes.split_at(len);
                    bytes = rest;
                    if unix && doubtful {
                        self.dropped += 1;
                    } else {
                        sink(Raw::Record(record));
                    }
                }
                Held::Process { tgid, resource } => {
                    sink(Raw::Process { tgid, resource: &resource });
                }
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

#[cfg(test)]
mod tests;
