//! Reading of a file that may be hostile: bounded, in windows, without keeping what was read.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use memchr::memchr_iter;

use super::ElfError;

/// The most that is read of one file, in bytes. The largest program that was looked at (700 MB, half
/// a million functions) takes 130 MB.
pub const BYTES: u64 = 160 << 20;

/// A read counts as at least this many bytes, so that small ones are bounded too.
pub const READ_MIN: u64 = 4096;

/// The most entries of tables (names, functions, symbols) that are looked at in one file.
pub const STEPS: u64 = 4 << 20;

/// The most that is held of a file at a time for each table, in bytes.
pub const WINDOW: usize = 64 << 10;

/// What is read where a table is not read forwards, in bytes. It counts as a whole window.
const LEAP: usize = 4 << 10;

/// A file, or what stands for one.
pub trait Source {
    /// Reads at an offset as pread(2) does: fewer bytes than there is room for, and none at the end.
    ///
    /// # Errors
    /// When the system says so, or the reader has no more time.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, into, offset)
    }
}

impl Source for &[u8] {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// A part of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

impl Range {
    /// The part between two offsets within this one. None where it is not within.
    pub fn part(self, begin: u64, end: u64) -> Option<Self> {
        let len = end.checked_sub(begin).filter(|_| end <= self.len)?;
        Some(Self { offset: self.offset.checked_add(begin)?, len })
    }
}

/// Reads a file until its budget is used up.
pub struct Reader<'a> {
    source: &'a dyn Source,
    bytes: Cell<u64>,
    steps: Cell<u64>,
}

impl<'a> Reader<'a> {
    /// With a whole budget.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, bytes: Cell::new(BYTES), steps: Cell::new(STEPS) }
    }

    /// Takes from the budget for entries of tables.
    ///
    /// # Errors
    /// When it is used up.
    pub fn step(&self, count: u64) -> Result<(), ElfError> {
        let left = self.steps.get().checked_sub(count);
        self.steps.set(left.ok_or(ElfError::Budget("more than 4194304 entries of its tables"))?);
        Ok(())
    }

    fn charge(&self, bytes: u64) -> Result<(), ElfError> {
        let left = self.bytes.get().checked_sub(bytes);
        self.bytes.set(left.ok_or(ElfError::Budget("more than 160 MiB to be read"))?);
        Ok(())
    }

    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// When the file ends before, cannot be read, or costs too much.
    pub fn fill(&self, offset: u64, into: &mut [u8]) -> Result<(), ElfError> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let cost = u64::try_from(rest.len()).unwrap_or(u64::MAX).max(READ_MIN);
            self.charge(cost)?;
            let behind_end = ElfError::Malformed("a part lies behind its end");
            let Some(at) = offset.checked_add(done as u64) else { return Err(behind_end) };
            match self.source.read_at(at, rest) {
                Ok(0) => return Err(behind_end),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A few bytes.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn array<const N: usize>(&self, offset: u64) -> Result<[u8; N], ElfError> {
        let mut bytes = [0; N];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Hands over a part of the file in windows, with the place of each within the part. A window
    /// begins with the last `overlap` bytes of the one before: less than half of [`WINDOW`].
    ///
    /// # Errors
    /// As [`Self::fill`], and those of `take`.
    pub fn scan(
        &self,
        range: Range,
        overlap: usize,
        mut take: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, ElfError>,
    ) -> Result<(), ElfError> {
        let mut window = Vec::new();
        let mut at = 0;
        while at < range.len {
            let kept = window.len().min(overlap);
            let room = WINDOW - kept;
            let new = usize::try_from(range.len - at).map_or(room, |left| left.min(room));
            window.drain(..window.len() - kept);
            window.resize(kept + new, 0);
            let offset = range.offset.checked_add(at);
            let offset = offset.ok_or(ElfError::Malformed("a part lies behind its end"))?;
            self.fill(offset, &mut window[kept..])?;
            if take(at - kept as u64, &window)?.is_break() {
                break;
            }
            at += new as u64;
        }
        Ok(())
    }

    /// Finds strings in a table of them, in one pass: as a whole, each between two zero bytes (so
    /// the first of the table is not looked at). Returns at most `max` places, in their order, with
    /// the index of the string.
    ///
    /// # Errors
    /// As [`Self::fill`], and when there are too many strings.
    pub fn find_strings(
        &self,
        range: Range,
        strings: &[&str],
        max: usize,
    ) -> Result<Vec<(usize, u64)>, ElfError> {
        let longest = strings.iter().map(|string| string.len()).max().unwrap_or(0);
        let mut places = Vec::new();
        self.scan(range, longest + 1, |at, bytes| {
            let mut begin = None;
            let mut count = 0;
            for end in memchr_iter(0, bytes) {
                count += 1;
                if let Some(begin) = begin.replace(end + 1)
                    && end - begin <= longest
                    && let Some(which) =
                        strings.iter().position(|it| it.as_bytes() == &bytes[begin..end])
                {
                    // A short one may be within what two windows have in common.
                    let place = (which, at + begin as u64);
                    if places.len() < max && !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
            self.step(count)?;
            Ok(if places.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(places)
    }
}

/// A table that is read where it is asked for, mostly forwards.
pub struct Window<'a> {
    reader: &'a Reader<'a>,
    range: Range,
    /// Place of `bytes` within the range.
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Reads nothing yet.
    pub fn new(reader: &'a Reader<'a>, range: Range) -> Self {
        Self { reader, range, at: 0, bytes: Vec::new() }
    }

    /// The bytes at a place within the range: `len` of them (at most [`WINDOW`]), or fewer at its
    /// end.
    ///
    /// # Errors
    /// As [`Reader::fill`].
    pub fn up_to(&mut self, at: u64, len: usize) -> Result<&[u8], ElfError> {
        let left = self.range.len.saturating_sub(at);
        let len = usize::try_from(left).map_or(len, |left| left.min(len)).min(WINDOW);
        let within = at.checked_sub(self.at).and_then(|at| usize::try_from(at).ok());
        let held =
            within.filter(|at| at.checked_add(len).is_some_and(|end| end <= self.bytes.len()));
        let begin = if let Some(begin) = held {
            begin
        } else {
            let size = if self.is_forwards(at) { WINDOW } else { LEAP.max(len) };
            self.reader.charge((WINDOW - size) as u64)?;
            let size = usize::try_from(left).map_or(size, |left| left.min(size));
            let offset = self.range.offset.checked_add(at);
            let offset = offset.ok_or(ElfError::Malformed("a part lies behind its end"))?;
            self.bytes.resize(size, 0);
            self.at = at;
            self.reader.fill(offset, &mut self.bytes)?;
            0
        };
        Ok(self.bytes.get(begin..begin + len).unwrap_or_default())
    }

    /// Whether a place is not far behind what is held.
    fn is_forwards(&self, at: u64) -> bool {
        at >= self.at && at - self.at <= (self.bytes.len() + LEAP) as u64
    }

    /// A few bytes at a place; none where they are not within the range.
    ///
    /// # Errors
    /// As [`Reader::fill`].
    pub fn array<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>, ElfError> {
        Ok(self.up_to(at, N)?.first_chunk().copied())
    }
}
