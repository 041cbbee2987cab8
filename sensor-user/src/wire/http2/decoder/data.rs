//! DATA (RFC 9113 section 6.1): payload, and padding that is none.

use super::{Decoder, Sink, State};
use crate::capture::event::Monotonic;
use crate::stream::Piece;
use crate::wire::At;
use crate::wire::http2::frame::Malformed;

/// A DATA frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    /// Bytes of payload to come, padding among them.
    pub(super) left: u32,
    pub(super) padding: Padding,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Padding {
    /// The next byte says how much.
    Unread,
    Known(u32),
    Unknown,
}

impl Decoder {
    /// Payload of DATA, there or not. Gives how much of it was used.
    pub(super) fn data(
        &mut self,
        piece: Piece<'_>,
        at: At,
        sink: &mut impl Sink,
    ) -> Result<u64, Malformed> {
        let State::Data(mut data) = self.state else {
            return Ok(0);
        };
        let taken = piece.length().min(u64::from(data.left));
        let mut from = 0;
        if let Padding::Unread = data.padding {
            match piece {
                Piece::Bytes([length, ..]) => {
                    // As long as the payload or longer: section 6.1.
                    data.left = data.left.checked_sub(1).ok_or(Malformed)?;
                    from = 1;
                    let padding = u32::from(*length);
                    if padding > data.left {
                        return Err(Malformed);
                    }
                    data.padding = Padding::Known(padding);
                }
                _ if piece.length() > 0 => {
                    data.padding = Padding::Unknown;
                    sink.data_unsized(data.stream);
                }
                _ => return Ok(0),
            }
        }
        if let Padding::Known(padding) = data.padding {
            let body = (taken - from).min(u64::from(data.left.saturating_sub(padding)));
            if body > 0 {
                sink.data(data.stream, part(piece, from, body));
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most `left`")]
        let consumed = (taken - from) as u32;
        data.left -= consumed;
        self.state = State::Data(data);
        if data.left == 0 {
            let time = (!matches!(piece, Piece::Lost(_))).then_some(at.time);
            self.data_ended(data, time, sink)?;
        }
        Ok(taken)
    }

    pub(super) fn data_ended(
        &mut self,
        data: Data,
        time: Option<Monotonic>,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        if let Padding::Unread = data.padding {
            return Err(Malformed);
        }
        self.state = State::Header;
        if data.end_stream {
            sink.end_stream(data.stream, time);
        }
        Ok(())
    }
}

/// `length` bytes of a piece, from `from` on.
fn part(piece: Piece<'_>, from: u64, length: u64) -> Piece<'_> {
    match piece {
        Piece::Bytes(bytes) => {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            Piece::Bytes(rest.get(..length).unwrap_or(rest))
        }
        Piece::Skip(_) => Piece::Skip(length),
        Piece::Lost(_) => Piece::Lost(length),
    }
}
