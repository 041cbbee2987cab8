//! What several writers write, with any losses and waits, becomes records in which every byte is accounted for;
//! and what one of them writes becomes the same records however it is cut.
//!
//! The first byte says how the rest is cut, the second what the limits are. Where the rest is cut up, each piece's
//! length tells who writes it, and what befalls it.
#![no_main]

use std::num::NonZeroU64;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sensor::capture::event::{
    Caller, FileId, Goroutine, LogStream, Monotonic, ProcessKey, Written,
};
use sensor::logs::join::{Joined, Joiner, Limits};
use sensor::metrics::{Counter, Metrics};

const MS: u64 = 1_000_000;

/// A joiner, and all that it has handed over.
struct Desk {
    joiner: Joiner<u32>,
    metrics: Arc<Metrics>,
    limits: Limits,
    out: Vec<Joined<u32>>,
    now: u64,
}

impl Desk {
    fn new(limits: Limits) -> Self {
        let metrics = Arc::new(Metrics::default());
        let joiner = Joiner::new(limits, Arc::clone(&metrics));
        Self { joiner, metrics, limits, out: Vec::new(), now: MS }
    }

    fn written<'a>(&self, bytes: &'a [u8]) -> Written<'a> {
        Written {
            time: Monotonic(self.now),
            process: ProcessKey::undated(1),
            caller: Caller { tid: 1, ..Caller::default() },
            file: FileId { device: 1, inode: 2, generation: 3 },
            stream: LogStream::Stdout,
            bytes,
            continues: false,
            lost_after: 0,
            lost_records: 0,
        }
    }

    fn write(&mut self, written: &Written<'_>) {
        self.joiner.write(written, written.caller.tid, true, &mut |it| self.out.push(it));
    }

    fn advance(&mut self, ms: u64) {
        self.now += ms * MS;
        self.joiner.advance(Monotonic(self.now), &mut |it| self.out.push(it));
    }

    /// Ends all of it, and checks the books.
    fn end(mut self) -> Vec<Joined<u32>> {
        self.joiner.finish(&mut |it| self.out.push(it));
        let get = |counter| self.metrics.get(counter);
        assert_eq!(
            get(Counter::LogBytes),
            get(Counter::LogTextBytes) + get(Counter::LogLineEndBytes) + get(Counter::LogCutBytes)
        );
        let text: usize = self.out.iter().map(|it| it.text.len()).sum();
        assert_eq!(get(Counter::LogTextBytes), text as u64);
        let lines: u64 = self.out.iter().map(|it| u64::from(it.lines)).sum();
        assert_eq!(get(Counter::LogLines), lines);
        for it in &self.out {
            assert!(it.text.len() <= self.limits.record_bytes);
            assert!(!it.text.is_empty() || it.cut > 0);
        }
        self.out
    }
}

/// What does not depend on how the bytes were cut.
fn told(out: Vec<Joined<u32>>) -> Vec<(Vec<u8>, u32, u64, bool)> {
    out.into_iter().map(|it| (it.text, it.lines, it.cut, it.incomplete)).collect()
}

fuzz_target!(|input: &[u8]| {
    let [cut, limits, data @ ..] = input else { return };
    let limits = match limits & 3 {
        0 => Limits::default(),
        1 => Limits { record_bytes: 64, record_lines: 5, ..Limits::default() },
        2 => Limits { writers: 2, part_bytes: 16, ..Limits::default() },
        _ => Limits { record_bytes: 100, writers: 3, held_bytes: 300, ..Limits::default() },
    };
    let size = usize::from(*cut).max(1);
    let one_writer = |size: usize, wait: u64| {
        let mut desk = Desk::new(limits);
        for bytes in data.chunks(size) {
            desk.write(&desk.written(bytes));
            desk.advance(wait);
        }
        told(desk.end())
    };
    if limits.held_bytes > 300 {
        let whole = one_writer(data.len().max(1), 0);
        assert_eq!(one_writer(size, 299), whole, "in pieces of {size}");
        assert_eq!(one_writer(1, 1), whole, "byte by byte");
    }

    let mut desk = Desk::new(limits);
    let mut lost_records = 0;
    let mut rest = data;
    while let [fate, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let mut written = desk.written(bytes);
        let tid = u32::from(fate & 3);
        written.caller.tid = tid;
        if tid == 3 {
            let id = NonZeroU64::MIN;
            written.caller.goroutine = Some(Goroutine { id, parent: None });
        }
        written.continues = fate & 4 != 0;
        lost_records += u64::from(fate & 0x38 == 0x38);
        written.lost_records = lost_records;
        written.lost_after = if fate & 0x38 == 8 { 1 << (length % 32) } else { 0 };
        desk.write(&written);
        if fate & 0xc0 == 0xc0 {
            desk.advance(u64::from(*length) * 5);
        }
    }
    desk.end();
});
