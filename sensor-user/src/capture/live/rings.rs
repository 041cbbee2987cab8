//! Two rings as one: what processes write to their logs, among what they do on their connections, by time.
//!
//! Whose a line is depends on what its thread had done before. So before a line of time *t* is handed on, all
//! records of the main ring that were made before *t* are. That holds because of the order in which one looks:
//! the line first, then the main ring, up to the first record of a later time. Whoever wrote the line had put
//! its earlier records there before; and a record that follows one of time *m* in the ring got its place after
//! *m*, so behind the first that is later than *t* there is nothing that came before the line.
//!
//! The kernel hands a ring's records over in the order of their places: while one is still being written (its
//! CPU was interrupted) those behind it cannot be seen. A line waits for that too ([`Records::is_busy`]).

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use aya::maps::ring_buf::RingBufItem;
use aya::maps::{MapData, RingBuf};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

use crate::capture::decode;
use crate::capture::event::Monotonic;

/// A source of records in the order of their places.
pub(super) trait Records {
    /// A record; it is taken when this is dropped.
    type Record<'a>: Deref<Target = [u8]>
    where
        Self: 'a;

    /// Takes the next one.
    fn next(&mut self) -> Option<Self::Record<'_>>;

    /// More is there than [`Self::next`] hands over: its writer is not done with it.
    fn is_busy(&self) -> bool;
}

/// A ring of the kernel side.
pub(super) struct Ring {
    ring: RingBuf<MapData>,
    consumer: Position,
    producer: Position,
}

impl Ring {
    /// # Errors
    /// When its pages cannot be mapped.
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // kernel/bpf/ringbuf.c: the consumer's position is in the first page, the producer's in the second.
        let consumer = Position::map(&ring, 0)?;
        let producer = Position::map(&ring, page_size())?;
        Ok(Self { ring, consumer, producer })
    }
}

impl Records for Ring {
    type Record<'a> = RingBufItem<'a>;

    fn next(&mut self) -> Option<RingBufItem<'_>> {
        self.ring.next()
    }

    fn is_busy(&self) -> bool {
        self.consumer.get() != self.producer.get()
    }
}

/// A word at the beginning of one of a ring's pages, read only.
struct Position(NonNull<AtomicUsize>);

// SAFETY: it is an atomic word in memory that nobody unmaps but its drop.
unsafe impl Send for Position {}

impl Position {
    fn map(ring: &RingBuf<MapData>, offset: usize) -> io::Result<Self> {
        let offset = u64::try_from(offset).unwrap_or(0);
        // SAFETY: a new mapping, which nothing else refers to.
        let page = unsafe {
            mmap(
                std::ptr::null_mut(),
                page_size(),
                ProtFlags::READ,
                MapFlags::SHARED,
                ring.as_fd(),
                offset,
            )
        }?;
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn get(&self) -> usize {
        // SAFETY: mapped until this is dropped, aligned as a page is; the kernel writes it as one word.
        unsafe { self.0.as_ref() }.load(Ordering::Acquire)
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        // SAFETY: as it was mapped, and nothing refers to it any more. What could fail, cannot.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), page_size()) };
    }
}

/// A record that had to be taken and has to wait.
#[derive(Debug, Default)]
struct Head {
    bytes: Vec<u8>,
    time: Option<Monotonic>,
}

impl Head {
    fn set(&mut self, record: &[u8], time: Monotonic) {
        self.bytes.clear();
        self.bytes.extend_from_slice(record);
        self.time = Some(time);
    }
}

/// The main ring, and the lines' where they are wanted.
pub(super) struct Merged<R> {
    main: R,
    lines: Option<R>,
    next_main: Head,
    next_line: Head,
}

/// Records without a time belong to what comes after them: they are as early as can be.
fn time(record: &[u8]) -> Monotonic {
    decode::time(record).unwrap_or_default()
}

impl<R: Records> Merged<R> {
    pub(super) fn new(main: R, lines: Option<R>) -> Self {
        Self { main, lines, next_main: Head::default(), next_line: Head::default() }
    }

    /// Hands on the next record, if there is one that has not to wait.
    pub(super) fn next(&mut self, sink: &mut dyn FnMut(&[u8])) -> bool {
        let Self { main, lines, next_main, next_line } = self;
        let Some(lines) = lines else {
            let record = main.next();
            record.as_deref().inspect(|record| sink(record));
            return record.is_some();
        };
        if next_line.time.is_none()
            && let Some(line) = lines.next()
        {
            next_line.set(&line, time(&line));
        }
        if next_main.time.is_none() {
            if let Some(record) = main.next() {
                let at = time(&record);
                if next_line.time.is_none()
                    && let Some(line) = lines.next()
                {
                    // It came meanwhile, and may have come before.
                    next_line.set(&line, time(&line));
                }
                if next_line.time.is_none_or(|line| at <= line) {
                    sink(&record);
                    return true;
                }
                next_main.set(&record, at);
            } else if next_line.time.is_some() && main.is_busy() {
                return false;
            }
        }
        let first = match (next_main.time, next_line.time) {
            (Some(main), Some(line)) if line < main => next_line,
            (Some(_), _) => next_main,
            (None, Some(_)) => next_line,
            (None, None) => return false,
        };
        first.time = None;
        sink(&first.bytes);
        true
    }

    /// Whether something has been taken that waits.
    pub(super) fn waits(&self) -> bool {
        self.next_main.time.is_some() || self.next_line.time.is_some()
    }

    /// Throws away what is there; how many records of each ring that is.
    pub(super) fn abandon(&mut self) -> (u64, u64) {
        let mut left = (0, 0);
        left.0 += u64::from(self.next_main.time.take().is_some());
        left.1 += u64::from(self.next_line.time.take().is_some());
        while self.main.next().is_some() {
            left.0 += 1;
        }
        while self.lines.as_mut().is_some_and(|lines| lines.next().is_some()) {
            left.1 += 1;
        }
        left
    }
}

#[cfg(test)]
mod tests;
