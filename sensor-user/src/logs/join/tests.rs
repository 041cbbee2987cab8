//! What the tests share: writers with pens, and what comes of what they write.

mod lines;
mod losses;
mod properties;
mod records;
mod speed;

use std::num::NonZeroU64;

use super::*;
use crate::capture::event::Goroutine;
use crate::metrics::Counter;

pub(super) const MS: u64 = 1_000_000;

/// A joiner, and all that it has handed over.
pub(super) struct Desk {
    pub(super) joiner: Joiner<u32>,
    metrics: Arc<Metrics>,
    pub(super) out: Vec<Joined<u32>>,
    pub(super) now: u64,
    pub(super) lost_records: u64,
    /// Who writes works for a request.
    pub(super) working: bool,
    limits: Limits,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let metrics = Arc::new(Metrics::default());
        let joiner = Joiner::new(limits, Arc::clone(&metrics));
        Self {
            joiner,
            metrics,
            out: Vec::new(),
            now: 1_000 * MS,
            lost_records: 0,
            working: false,
            limits,
        }
    }

    pub(super) fn written<'a>(&self, tid: u32, bytes: &'a [u8]) -> Written<'a> {
        Written {
            time: Monotonic(self.now),
            process: ProcessKey::undated(1),
            caller: Caller { tid, ..Caller::default() },
            file: FileId { device: 1, inode: 2, generation: 3 },
            stream: LogStream::Stderr,
            bytes,
            continues: false,
            lost_after: 0,
            lost_records: self.lost_records,
        }
    }

    pub(super) fn take(&mut self, written: &Written<'_>) {
        self.now = self.now.max(written.time.0) + 1;
        let with = written.caller.tid;
        self.joiner.write(written, with, self.working, &mut |it| self.out.push(it));
    }

    /// A thread makes a call.
    pub(super) fn write(&mut self, tid: u32, bytes: &[u8]) {
        let written = self.written(tid, bytes);
        self.take(&written);
    }

    /// A goroutine makes a call.
    pub(super) fn go(&mut self, goroutine: u64, bytes: &[u8]) {
        let id = NonZeroU64::new(goroutine).unwrap();
        let mut written = self.written(7, bytes);
        written.caller.goroutine = Some(Goroutine { id, parent: None });
        self.take(&written);
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms * MS;
        self.joiner.advance(Monotonic(self.now), &mut |it| self.out.push(it));
    }

    /// Ends the process, checks the books, and gives what came of it, in the order in which it was begun.
    pub(super) fn end(mut self) -> Vec<Joined<u32>> {
        self.joiner.exit(ProcessKey::undated(1), &mut |it| self.out.push(it));
        assert!(self.joiner.streams.is_empty());
        assert_eq!((self.joiner.writers.len(), self.joiner.writers.held()), (0, 0));
        self.check();
        self.out.sort_by_key(|it| it.time);
        self.out
    }

    /// What is counted is what there was.
    pub(super) fn check(&self) {
        let get = |counter| self.metrics.get(counter);
        let waiting = get(Counter::LogBytes)
            - get(Counter::LogTextBytes)
            - get(Counter::LogLineEndBytes)
            - get(Counter::LogCutBytes);
        if self.joiner.writers.len() == 0 {
            assert_eq!(waiting, 0, "bytes in = text + ends + cut");
        }
        let sum = |of: fn(&Joined<u32>) -> u64| self.out.iter().map(of).sum::<u64>();
        assert_eq!(get(Counter::LogTextBytes), sum(|it| it.text.len() as u64));
        assert_eq!(get(Counter::LogLines), sum(|it| it.lines.into()));
        assert_eq!(get(Counter::LogIncomplete), sum(|it| it.incomplete.into()));
        assert_eq!(get(Counter::LogMixed), sum(|it| it.mixed.into()));
        let cut = sum(|it| it.cut);
        assert!(get(Counter::LogCutBytes) <= cut);
        assert!(cut <= get(Counter::LogCutBytes) + get(Counter::LogLostBytes));
        for it in &self.out {
            assert!(it.text.len() <= self.limits.record_bytes);
            assert!(!it.text.is_empty() || it.cut > 0);
            let ends = it.text.iter().filter(|&&byte| byte == b'\n').count();
            assert!(ends < it.lines as usize && ends < self.limits.record_lines as usize);
        }
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.metrics.get(counter)
    }

    /// The texts so far.
    pub(super) fn texts(&self) -> Vec<&str> {
        texts(&self.out)
    }
}

pub(super) fn texts(joined: &[Joined<u32>]) -> Vec<&str> {
    joined.iter().map(|it| std::str::from_utf8(&it.text).unwrap()).collect()
}

/// The texts, with `?` where incomplete and `~` where mixed.
pub(super) fn marked(joined: &[Joined<u32>]) -> Vec<String> {
    let mark = |it: &Joined<u32>| {
        let text = String::from_utf8_lossy(&it.text);
        let incomplete = if it.incomplete { "?" } else { "" };
        let mixed = if it.mixed { "~" } else { "" };
        format!("{text}{incomplete}{mixed}")
    };
    joined.iter().map(mark).collect()
}
