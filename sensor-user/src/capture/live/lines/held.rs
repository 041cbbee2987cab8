//! Records of files without a verdict.
//!
//! Records wait here while a file is being looked up, in the order of their writes. Other records
//! do not wait, so by the time of the verdict their threads can handle other requests. Correlation
//! needs the state at the time of the write: records that waited are passed on without the fields
//! that correlate them.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use sensor_ebpf::abi::{LineRecord, segment_flag};

use crate::capture::event::{FileId, ProcessKey};

/// The longest time that a record waits.
const WAIT: Duration = Duration::from_millis(500);

/// Most records that wait, and most bytes of these.
const RECORDS: usize = 2048;
const BYTES: usize = 4 << 20;

/// One process can have a quarter of both.
const SHARE: usize = 4;

/// The queue of records.
#[derive(Default)]
pub(super) struct Held {
    /// The files, in the order of their first records.
    files: VecDeque<File>,
    /// Records and bytes of each process.
    of: FxHashMap<ProcessKey, (usize, usize)>,
    records: usize,
    bytes: usize,
}

/// A record, and its writer.
pub(super) type Waiting = (ProcessKey, Vec<u8>);

/// A file that is being looked up.
struct File {
    id: FileId,
    since: Instant,
    records: Vec<Waiting>,
}

impl Held {
    /// Whether no record waits.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether records of this file wait.
    pub(super) fn has(&self, file: FileId) -> bool {
        self.files.iter().any(|it| it.id == file)
    }

    /// Whether records of this process wait.
    pub(super) fn has_of(&self, key: ProcessKey) -> bool {
        self.of.contains_key(&key)
    }

    /// Adds a record; returns false if the queue, or the share of this process, is full.
    pub(super) fn take(
        &mut self,
        key: ProcessKey,
        id: FileId,
        record: Vec<u8>,
        now: Instant,
    ) -> bool {
        let (records, bytes) = self.of.get(&key).copied().unwrap_or_default();
        let len = record.len();
        if self.records >= RECORDS
            || self.bytes + len > BYTES
            || records >= RECORDS / SHARE
            || bytes + len > BYTES / SHARE
        {
            return false;
        }
        self.of.insert(key, (records + 1, bytes + len));
        self.records += 1;
        self.bytes += len;
        match self.files.iter_mut().find(|file| file.id == id) {
            Some(file) => file.records.push((key, record)),
            None => {
                self.files.push_back(File { id, since: now, records: vec![(key, record)] });
            }
        }
        true
    }

    /// Removes and returns the records of a file.
    pub(super) fn release(&mut self, id: FileId) -> Vec<Waiting> {
        let at = self.files.iter().position(|file| file.id == id);
        let records = at.and_then(|at| self.files.remove(at)).map_or(Vec::new(), |it| it.records);
        self.gone(&records);
        records
    }

    /// Drops the records that have waited for too long by `now`; returns their number.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while let Some(file) = self.files.pop_front_if(|it| now - it.since >= WAIT) {
            self.gone(&file.records);
            dropped += file.records.len() as u64;
        }
        dropped
    }

    /// Drops the records of a process; returns their number.
    pub(super) fn forget(&mut self, key: ProcessKey) -> u64 {
        let mut gone = Vec::new();
        for file in &mut self.files {
            gone.extend(file.records.extract_if(.., |(of, _)| *of == key));
        }
        self.files.retain(|file| !file.records.is_empty());
        self.gone(&gone);
        gone.len() as u64
    }

    /// Drops all records; returns their number.
    pub(super) fn clear(&mut self) -> u64 {
        let records = self.records as u64;
        *self = Self::default();
        records
    }

    fn gone(&mut self, records: &[Waiting]) {
        for (key, record) in records {
            self.records -= 1;
            self.bytes -= record.len();
            if let Some((records, bytes)) = self.of.get_mut(key) {
                *records -= 1;
                *bytes -= record.len();
                if *records == 0 {
                    self.of.remove(key);
                }
            }
        }
    }
}

/// Adds to the count of records that were lost before this one.
pub(super) fn add_lost(record: &mut [u8], lost: u64) {
    let at = offset_of!(LineRecord, lost_records);
    if let Some(bytes) = record.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = u64::from_ne_bytes(*bytes).wrapping_add(lost).to_ne_bytes();
    }
}

/// Removes the fields that correlate a record with an exchange: no goroutine, and a thread that
/// serves several connections, without a cause.
pub(super) fn leave_out_evidence(record: &mut [u8]) {
    for at in [
        offset_of!(LineRecord, goroutine),
        offset_of!(LineRecord, goroutine_parent),
        offset_of!(LineRecord, cause_flow),
        offset_of!(LineRecord, cause_position),
    ] {
        if let Some(field) = record.get_mut(at..at + size_of::<u64>()) {
            field.fill(0);
        }
    }
    let at = offset_of!(LineRecord, flags);
    if let Some(bytes) = record.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        let flags = u32::from_ne_bytes(*bytes);
        let without = flags & !segment_flag::CAUSE_ALONE;
        *bytes = (without | segment_flag::MULTIPLEXES).to_ne_bytes();
    }
}

#[cfg(test)]
mod tests;
