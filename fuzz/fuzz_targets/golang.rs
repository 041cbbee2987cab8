//! Any executable: the facts of a program in Go, or an error; within the budget, and probes only in code.
//! Half of the inputs are followed by a terabyte of zeros, as in a sparse file.

#![no_main]

use std::cell::Cell;
use std::io;

use libfuzzer_sys::fuzz_target;
use sensor::process::elf::{BYTES, Elf, READ_MIN, Source, WINDOW};
use sensor::process::golang::program;

/// What `.go.buildinfo` may have: the longest read.
const READ_MAX: usize = 1 << 20;

struct File<'a> {
    bytes: &'a [u8],
    len: u64,
    reads: Cell<u64>,
    read: Cell<u64>,
}

impl Source for File<'_> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        assert!(into.len() <= READ_MAX.max(WINDOW));
        let left = self.len.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..len];
        into.fill(0);
        self.bytes.read_at(offset, into)?;
        self.reads.set(self.reads.get() + 1);
        self.read.set(self.read.get() + len as u64);
        Ok(len)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&sparse, bytes)) = data.split_last() else { return };
    let len = if sparse & 1 == 0 { bytes.len() as u64 } else { 1 << 40 };
    let (reads, read) = Default::default();
    let file = File { bytes, len, reads, read };
    if let Ok(elf) = Elf::parse(&file)
        && let Ok(Some(program)) = program(&elf, true)
    {
        for probe in &program.probes {
            let begin = probe.site.file_offset;
            let end = begin + probe.site.bytes.len() as u64;
            let is_in = |begin: u64, end: u64| {
                elf.code().iter().any(|segment| {
                    let range = segment.range;
                    begin >= range.offset && end - range.offset <= range.len
                })
            };
            assert!(end > begin && is_in(begin, end), "{probe:?}");
            let mut now = vec![0; probe.site.bytes.len()];
            assert_eq!(file.read_at(begin, &mut now).unwrap(), now.len());
            assert_eq!(now, probe.site.bytes);
        }
    }
    assert!(file.read.get() <= BYTES + (64 << 10) && file.reads.get() <= BYTES / READ_MIN + 64);
});
