//! Where does a frame begin, in a direction that is seen from anywhere? Asked of connections older
//! than the sensor, and after a loss, where the capture source does not say it.
//!
//! The bias: to say nothing. Nothing in HTTP/2 marks a frame's beginning, and payload may hold
//! anything, so only this counts: from the first byte of a segment on (senders write whole frames,
//! so calls and packets most often begin with one), frame follows frame without an exception, each
//! as today's senders write them ([`FrameHeader::is_plain`]), up to a HEADERS frame that is a whole
//! header block, reads as HPACK to its last byte, and begins like a request (two of its
//! pseudo-header fields are known by the static table alone) or like a response (`:status` with its
//! value). Chance does not make that: the header of such a frame alone has some thirty bits
//! that have to be right. What can make it is a payload that itself holds HTTP/2, frame by frame
//! from the beginning of a segment on.
//!
//! A frame's header alone (many readers ask for nine bytes first) decides nothing: the frame goes on
//! in the next segment. The frames before the one that decided are not decoded: of streams that were
//! open then, the beginning is unknown anyway.

use super::frame::{self, FrameHeader, Type};
use super::hpack;
use crate::wire::{At, Kind};

/// Longest HEADERS payload that is kept to be looked at.
const KEPT_MAX: u32 = frame::LENGTH_DEFAULT;

/// A frame's beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What its header block looks like.
    pub(super) kind: Kind,
    /// What came of the frame in earlier pieces.
    pub(super) frame: Vec<u8>,
    /// Its first byte.
    pub(super) first: At,
    /// Where in the current piece to go on.
    pub(super) from: usize,
}

/// Walks what may be frames.
#[derive(Debug, Default)]
pub(super) struct Seeker {
    step: Step,
    /// Bytes of a frame's header, and of the payload where that is looked at.
    kept: Vec<u8>,
    /// Where these began.
    first: At,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// No candidate.
    #[default]
    Nothing,
    /// In a frame's header.
    Header,
    /// In a HEADERS frame that may decide.
    Block(FrameHeader),
    /// In any other; DATA may be passed over by the capture source.
    Pass { left: u32, data: bool },
}

/// The candidate is none.
struct No;

impl Seeker {
    /// Bytes; `begins` says that they are a segment's first.
    pub(super) fn bytes(
        &mut self,
        data: &[u8],
        begins: bool,
        at: At,
        kind: Option<Kind>,
    ) -> Option<Found> {
        if self.step != Step::Nothing {
            match self.walk(data, at, kind) {
                Ok(found) => return found,
                Err(No) => self.forget(),
            }
        }
        if !begins {
            return None;
        }
        self.step = Step::Header;
        self.walk(data, at, kind).unwrap_or_else(|No| {
            self.forget();
            None
        })
    }

    /// `n` bytes did not come.
    pub(super) fn missing(&mut self, n: u64, lost: bool) {
        match &mut self.step {
            Step::Pass { left, data: true } if !lost && n <= u64::from(*left) => {
                #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
                let n = n as u32;
                *left -= n;
                if *left == 0 {
                    self.step = Step::Header;
                }
            }
            _ => self.forget(),
        }
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn walk(&mut self, data: &[u8], at: At, kind: Option<Kind>) -> Result<Option<Found>, No> {
        let before = self.kept.len();
        // Where the frame that is kept begins, if in this piece.
        let mut from = None;
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            match self.step {
                Step::Nothing => return Err(No),
                Step::Pass { left, data } => {
                    let n = rest.len().min(left as usize);
                    #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
                    let left = left - n as u32;
                    used += n;
                    self.step = if left == 0 { Step::Header } else { Step::Pass { left, data } };
                }
                Step::Header => {
                    if self.kept.is_empty() {
                        from = Some(used);
                        self.first = at.advance(used);
                    }
                    let n = rest.len().min(frame::HEADER - self.kept.len());
                    self.kept.extend_from_slice(&rest[..n]);
                    used += n;
                    if let Some(bytes) = self.kept.first_chunk() {
                        let header = FrameHeader::new(bytes);
                        if !header.is_plain() {
                            return Err(No);
                        }
                        self.begin(header);
                    }
                }
                Step::Block(header) => {
                    let whole = frame::HEADER + header.length as usize;
                    let n = rest.len().min(whole - self.kept.len());
                    self.kept.extend_from_slice(&rest[..n]);
                    used += n;
                    if self.kept.len() < whole {
                        continue;
                    }
                    match recognise(&header, &self.kept[frame::HEADER..])? {
                        Some(found) if kind.is_none_or(|kind| kind == found) => {
                            let mut frame = std::mem::take(&mut self.kept);
                            frame.truncate(if from.is_some() { 0 } else { before });
                            let first = self.first;
                            let from = from.unwrap_or(0);
                            return Ok(Some(Found { kind: found, frame, first, from }));
                        }
                        Some(_) => return Err(No),
                        // Trailers.
                        None => {
                            self.kept.clear();
                            self.step = Step::Header;
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// A frame whose header is whole.
    fn begin(&mut self, header: FrameHeader) {
        let decides = header.kind == Type::Headers && header.has(frame::END_HEADERS);
        if decides && header.length <= KEPT_MAX && header.length > 0 {
            self.step = Step::Block(header);
            return;
        }
        self.kept.clear();
        self.step = match header.length {
            0 => Step::Header,
            left => Step::Pass { left, data: header.kind == Type::Data },
        };
    }
}

/// What a HEADERS frame that is a whole block begins; none for trailers.
fn recognise(header: &FrameHeader, payload: &[u8]) -> Result<Option<Kind>, No> {
    let (block, _) = frame::fragment(header, payload).map_err(|_| No)?;
    let mut requests = 0;
    let mut responses = 0;
    let mut regular = false;
    let mut wrong = false;
    let mut seen = 0;
    let read = hpack::Decoder::joining().decode(block, &mut hpack::Scratch::default(), |field| {
        seen += 1;
        let Some(name) = field.name else { return };
        match name {
            // Nothing regular before them (RFC 9113 section 8.3).
            [b':', ..] if regular => wrong = true,
            b":method" | b":scheme" | b":path" | b":authority" | b":protocol" => requests += 1,
            b":status" => {
                let code = field
                    .value
                    .is_some_and(|value| matches!(value, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']));
                wrong |= !code || seen != 1;
                responses += 1;
            }
            [b':', ..] => wrong = true,
            _ => regular = true,
        }
    });
    match (requests, responses) {
        _ if wrong || read.is_err() || seen == 0 => Err(No),
        (2.., 0) => Ok(Some(Kind::Request)),
        (0, 1) => Ok(Some(Kind::Response)),
        (0, 0) if header.has(frame::END_STREAM) => Ok(None),
        _ => Err(No),
    }
}
