//! Counting messages by their prefixes.
//!
//! ```text
//! Length-Prefixed-Message = Compressed-Flag (1 byte) Message-Length (4 bytes) Message
//! ```
//!
//! A message counts when its last byte went by. Only prefixes are looked at, so messages may be
//! passed over; a prefix that was passed over, or that is none, makes the count unknown.

use super::Framing;
use crate::stream::Piece;
use crate::wire::base64::{Broken, Decoder};

/// Bytes of a prefix.
const PREFIX: usize = 5;

/// Most bytes of a trailers frame that are kept.
const TRAILERS_MAX: usize = 4096;

/// Bits of a prefix's first byte (the second is gRPC-Web's).
const COMPRESSED: u8 = 0x01;
const TRAILERS: u8 = 0x80;

/// The messages of one direction of a call.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    step: Step,
    count: u64,
    compressed: u64,
    base64: Option<Decoder>,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Prefix([u8; PREFIX], usize),
    Message { left: u32, compressed: bool },
    Trailers { left: u32, keep: bool },
    Unknown,
}

impl Default for Step {
    fn default() -> Self {
        Self::Prefix([0; PREFIX], 0)
    }
}

impl Messages {
    /// For a direction with this framing.
    pub fn new(framing: Framing) -> Self {
        let base64 = (framing == Framing::WebText).then(Decoder::default);
        Self { base64, ..Self::default() }
    }

    /// Of a direction whose beginning was not seen.
    pub fn unknown() -> Self {
        Self { step: Step::Unknown, ..Self::default() }
    }

    /// The next piece of the direction's body.
    pub fn feed(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Bytes(bytes) => match self.base64 {
                Some(mut decoder) => {
                    for &character in bytes {
                        match decoder.push(character) {
                            Ok(None) => {}
                            Ok(Some((group, length))) => self.bytes(&group[..length]),
                            Err(Broken) => self.step = Step::Unknown,
                        }
                    }
                    self.base64 = Some(decoder);
                }
                None => self.bytes(bytes),
            },
            Piece::Skip(n) | Piece::Lost(n) => self.missing(n),
        }
    }

    /// Whole messages, and how many of them are compressed; none where that is not known.
    pub fn count(&self) -> Option<(u64, u64)> {
        (!matches!(self.step, Step::Unknown)).then_some((self.count, self.compressed))
    }

    /// The payload of gRPC-Web's trailers frame, if it was there whole.
    pub fn trailers(&self) -> Option<&[u8]> {
        let whole = matches!(self.step, Step::Prefix(_, 0));
        (whole && !self.trailers.is_empty()).then_some(&*self.trailers)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match self.step {
                Step::Unknown => return,
                Step::Prefix(mut prefix, have) => {
                    let n = rest.len().min(PREFIX - have);
                    prefix[have..have + n].copy_from_slice(&rest[..n]);
                    self.step = Step::Prefix(prefix, have + n);
                    if have + n == PREFIX {
                        self.begin(prefix);
                    }
                    n
                }
                Step::Message { .. } => self.pass(rest.len() as u64),
                Step::Trailers { left, keep } => {
                    if keep {
                        let n = rest.len().min(left as usize);
                        self.trailers.extend_from_slice(&rest[..n]);
                    }
                    self.pass(rest.len() as u64)
                }
            };
            rest = &rest[taken..];
        }
    }

    /// `n` bytes did not come.
    fn missing(&mut self, n: u64) {
        // Where a group of base64 ends is not known any more.
        let mut left = if self.base64.is_some() { u64::MAX } else { n };
        while left > 0 {
            match &mut self.step {
                Step::Unknown => return,
                Step::Prefix(..) => self.step = Step::Unknown,
                Step::Message { .. } => left -= self.pass(left) as u64,
                Step::Trailers { keep, .. } => {
                    *keep = false;
                    self.trailers.clear();
                    left -= self.pass(left) as u64;
                }
            }
        }
    }

    fn begin(&mut self, prefix: [u8; PREFIX]) {
        let [flags, length @ ..] = prefix;
        let left = u32::from_be_bytes(length);
        let compressed = flags & COMPRESSED != 0;
        self.step = match flags & !COMPRESSED {
            0 => Step::Message { left, compressed },
            TRAILERS => Step::Trailers { left, keep: !compressed && left as usize <= TRAILERS_MAX },
            _ => Step::Unknown,
        };
        self.pass(0);
    }

    /// Goes on by up to `n` bytes within a message or the trailers; gives by how many.
    fn pass(&mut self, n: u64) -> usize {
        let (Step::Message { left, .. } | Step::Trailers { left, .. }) = &mut self.step else {
            return 0;
        };
        let taken = u32::try_from(n).unwrap_or(u32::MAX).min(*left);
        *left -= taken;
        if *left == 0 {
            if let Step::Message { compressed, .. } = self.step {
                self.count += 1;
                self.compressed += u64::from(compressed);
            }
            self.step = Step::default();
        }
        taken as usize
    }
}
