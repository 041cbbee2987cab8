//! Counting messages by their prefixes.
//!
//! ```text
//! Length-Prefixed-Message = Compressed-Flag (1 byte) Message-Length (4 bytes) Message
//! ```
//!
//! A message counts when its last byte went by. Only prefixes are looked at, so messages may be
//! passed over; a prefix that was passed over, or that is none, makes the count unknown.
//!
//! In base64 there may be padding wherever the sender has flushed: three bytes are not always behind four
//! characters that were passed over. Then nothing is counted, and trailers are such only if they end where
//! the body does and are text: taken for trailers at an earlier byte, by the bytes that padding seemed to
//! hold, they would have the zeros of the real ones' length in them.

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
    /// Characters that were passed over of a group of four, the rest of which is to come.
    gap: u64,
    /// Base64 was passed over, which may have held padding.
    unsure: bool,
    trailers: Vec<u8>,
    /// Not all of the trailers are there.
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Prefix([u8; PREFIX], usize),
    Message { left: u32, compressed: bool },
    Trailers { left: u32 },
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
            Piece::Bytes([]) | Piece::Skip(0) | Piece::Lost(0) => {}
            Piece::Bytes(_) if self.gap > 0 => self.step = Step::Unknown,
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
            Piece::Skip(n) | Piece::Lost(n) => match self.base64 {
                Some(decoder) => self.text_missing(n, decoder),
                None => self.missing(n),
            },
        }
    }

    /// Whole messages, and how many of them are compressed; none where that is not known.
    pub fn count(&self) -> Option<(u64, u64)> {
        let known = !matches!(self.step, Step::Unknown) && !self.unsure;
        known.then_some((self.count, self.compressed))
    }

    /// The payload of gRPC-Web's trailers frame, if it went by: the lines of it that are there whole. `ended`
    /// says that the body is complete.
    pub fn trailers(&self, ended: bool) -> Option<&[u8]> {
        let last = matches!(self.step, Step::Prefix(_, 0)) && self.gap == 0;
        let is_text = |&byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e | 0x80..);
        let certain = !self.unsure || (ended && !self.cut && self.trailers.iter().all(is_text));
        if !last || !certain || self.trailers.is_empty() {
            return None;
        }
        let whole = match self.cut {
            true => self.trailers.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1),
            false => self.trailers.len(),
        };
        self.trailers.get(..whole)
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
                Step::Trailers { left } => {
                    let n = rest.len().min(left as usize);
                    let room = TRAILERS_MAX - self.trailers.len().min(TRAILERS_MAX);
                    if !self.cut {
                        self.trailers.extend_from_slice(&rest[..n.min(room)]);
                        self.cut = n > room;
                    }
                    self.pass(rest.len() as u64)
                }
            };
            rest = &rest[taken..];
        }
    }

    /// `n` bytes did not come.
    fn missing(&mut self, n: u64) {
        let mut left = n;
        while left > 0 {
            match &mut self.step {
                Step::Unknown => return,
                Step::Prefix(..) => self.step = Step::Unknown,
                Step::Message { .. } => left -= self.pass(left) as u64,
                Step::Trailers { .. } => {
                    self.cut = true;
                    left -= self.pass(left) as u64;
                }
            }
        }
    }

    /// `n` characters did not come. They may be whole groups within a message; where one of them ends is not
    /// known otherwise.
    fn text_missing(&mut self, n: u64, decoder: Decoder) {
        let characters = self.gap.saturating_add(n);
        self.gap = characters % 4;
        let bytes = characters / 4 * 3;
        match self.step {
            Step::Message { left, .. } | Step::Trailers { left }
                if decoder.is_between()
                    && bytes.saturating_add(self.gap.min(1)) <= u64::from(left) =>
            {
                self.unsure = true;
                self.missing(bytes);
            }
            _ => self.step = Step::Unknown,
        }
    }

    fn begin(&mut self, prefix: [u8; PREFIX]) {
        let [flags, length @ ..] = prefix;
        let left = u32::from_be_bytes(length);
        let compressed = flags & COMPRESSED != 0;
        self.step = match flags & !COMPRESSED {
            // They come last.
            _ if !self.trailers.is_empty() => {
                self.trailers = Vec::new();
                Step::Unknown
            }
            0 => Step::Message { left, compressed },
            // Compressed ones are passed over, as none of them could be read.
            TRAILERS => {
                self.cut = compressed;
                Step::Trailers { left }
            }
            _ => Step::Unknown,
        };
        self.pass(0);
    }

    /// Goes on by up to `n` bytes within a message or the trailers; gives by how many.
    fn pass(&mut self, n: u64) -> usize {
        let (Step::Message { left, .. } | Step::Trailers { left }) = &mut self.step else {
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
