//! The chunked transfer coding (RFC 9112 section 7.1).
//!
//! ```text
//! chunked-body = *chunk last-chunk trailer-section CRLF
//! chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! last-chunk   = 1*("0") [ chunk-ext ] CRLF
//!
//!        +--------------------------------------------+
//!        v                                            |
//! --> Size --> Extension --> SizeLf --> Data --> DataCr --> DataLf
//!        |                      ^ |
//!        +----------------------+ +--> Trailer --> done        (size 0)
//! ```
//!
//! Lines end in CRLF here: section 2.2 lets a bare LF end only the start line and fields, so it
//! does end a trailer line, but not a chunk line.

use super::line::Line;

/// Where in a chunked body the decoder is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    phase: Phase,
    /// In `Size`, the size read so far; in `Data`, what is left of the chunk.
    remaining: u64,
    /// Bytes of this chunk line, or of the trailer section, for their bound.
    line: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// In the size; whether a digit was seen.
    Size(bool),
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer(Line),
}

/// The body breaks the grammar, or a line of it goes beyond the bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Chunked {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Size(false), remaining: 0, line: 0 }
    }

    /// Takes bytes from `data`, adding those of chunk data to `size` and telling `body` of them.
    /// Gives how many were taken and whether the body ended there.
    pub(super) fn bytes(
        &mut self,
        data: &[u8],
        size: &mut u64,
        line_max: u32,
        mut body: impl FnMut(&[u8]),
    ) -> Result<(usize, bool), Broken> {
        let mut used = 0;
        while let Some(&byte) = data.get(used) {
            match &mut self.phase {
                Phase::Data => {
                    let there = (data.len() - used) as u64;
                    let taken = there.min(self.remaining);
                    self.consume(taken, size);
                    let from = used;
                    used += usize::try_from(taken).unwrap_or(there as usize);
                    body(&data[from..used]);
                    continue;
                }
                Phase::Trailer(line) => {
                    let rest = &data[used..];
                    let end = line.scan(rest);
                    let taken = end.unwrap_or(rest.len());
                    self.count(taken, line_max)?;
                    return Ok((used + taken, end.is_some()));
                }
                Phase::Size(any) => match byte {
                    b'\r' if *any => self.phase = Phase::SizeLf,
                    b';' | b' ' | b'\t' if *any => self.phase = Phase::Extension,
                    _ => {
                        let digit = (byte as char).to_digit(16).ok_or(Broken)?;
                        *any = true;
                        self.remaining = self
                            .remaining
                            .checked_mul(16)
                            .and_then(|value| value.checked_add(u64::from(digit)))
                            .ok_or(Broken)?;
                    }
                },
                Phase::Extension => match byte {
                    b'\r' => self.phase = Phase::SizeLf,
                    b'\n' => return Err(Broken),
                    _ => {}
                },
                Phase::SizeLf => {
                    if byte != b'\n' {
                        return Err(Broken);
                    }
                    self.line = 0;
                    self.phase = match self.remaining {
                        0 => Phase::Trailer(Line::Empty),
                        _ => Phase::Data,
                    };
                    used += 1;
                    continue;
                }
                Phase::DataCr | Phase::DataLf => {
                    let cr = matches!(self.phase, Phase::DataCr);
                    if byte != if cr { b'\r' } else { b'\n' } {
                        return Err(Broken);
                    }
                    self.pass(1);
                    used += 1;
                    continue;
                }
            }
            used += 1;
            self.count(1, line_max)?;
        }
        Ok((used, false))
    }

    /// Passes over `n` bytes that did not come. Only chunk data and the CRLF after it can be
    /// missing without losing the place. Gives how many of them are data.
    pub(super) fn missing(&mut self, n: u64, size: &mut u64) -> Result<u64, Broken> {
        let mut data = 0;
        if matches!(self.phase, Phase::Data) {
            data = n.min(self.remaining);
            self.consume(data, size);
        }
        self.pass(n - data).then_some(data).ok_or(Broken)
    }

    fn consume(&mut self, n: u64, size: &mut u64) {
        self.remaining -= n;
        *size = size.saturating_add(n);
        if self.remaining == 0 {
            self.phase = Phase::DataCr;
        }
    }

    /// Passes over `n` bytes of the CRLF after the data; false where that is more than is left.
    fn pass(&mut self, n: u64) -> bool {
        self.phase = match (self.phase, n) {
            (same, 0) => same,
            (Phase::DataCr, 1) => Phase::DataLf,
            (Phase::DataCr, 2) | (Phase::DataLf, 1) => Phase::Size(false),
            _ => return false,
        };
        true
    }

    fn count(&mut self, n: usize, max: u32) -> Result<(), Broken> {
        self.line = self.line.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        if self.line > max { Err(Broken) } else { Ok(()) }
    }
}
