//! Frames whose payload is read whole: header blocks, and what is said of streams and the connection.

use super::{Begun, Block, Decoder, Failure, Sink, State};
use crate::wire::At;
use crate::wire::http2::frame::{self, ErrorCode, FrameHeader, Malformed, Settings, Type};
use crate::wire::http2::hpack;

/// Most bytes of SETTINGS that are read: the last of them count, but nobody sends so many.
const SETTINGS_MAX: u32 = frame::LENGTH_DEFAULT;

/// A header block between frames.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) begun: Begun,
    pub(super) promised: Option<u32>,
    pub(super) bytes: Vec<u8>,
    /// It was told as lost.
    pub(super) lost: bool,
}

impl Decoder {
    /// Bytes of the payload of a frame that is read whole. Gives how many were used.
    pub(super) fn payload(
        &mut self,
        header: FrameHeader,
        data: &[u8],
        at: At,
        sink: &mut impl Sink,
    ) -> Result<usize, Malformed> {
        let wanted = match header.kind {
            Type::Goaway => 8,
            Type::Settings => header.length.min(SETTINGS_MAX),
            _ => header.length,
        };
        let n = (wanted as usize - self.kept.len()).min(data.len());
        let last = at.advance(n.saturating_sub(1));
        if self.kept.is_empty() && n == wanted as usize {
            self.after(header, wanted);
            self.frame(header, &data[..n], last, sink)?;
            return Ok(n);
        }
        self.kept.extend_from_slice(&data[..n]);
        if self.kept.len() == wanted as usize {
            self.after(header, wanted);
            let payload = std::mem::take(&mut self.kept);
            self.frame(header, &payload, last, sink)?;
        }
        Ok(n)
    }

    /// What follows once `wanted` bytes of a payload were read.
    fn after(&mut self, header: FrameHeader, wanted: u32) {
        self.state = State::Pass(header.length - wanted);
        self.pass_nothing();
    }

    /// A frame whose payload is there, as far as it is wanted; its last byte is `last`.
    pub(super) fn frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        last: At,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        match header.kind {
            Type::Headers | Type::PushPromise | Type::Continuation => {
                return self.fragment(header, payload, last, sink);
            }
            Type::RstStream => {
                let code = payload.first_chunk().map(|code| ErrorCode(u32::from_be_bytes(*code)));
                sink.reset(header.stream, code, last.time);
            }
            Type::Settings if header.has(frame::ACK) => sink.settings_acked(),
            Type::Settings => sink.settings(Some(Settings::new(payload))),
            Type::Goaway => {
                let word = |at: usize| {
                    let bytes = payload.get(at..)?.first_chunk()?;
                    Some(u32::from_be_bytes(*bytes))
                };
                let stated = word(0).zip(word(4));
                let stated = stated.map(|(id, code)| (id & 0x7fff_ffff, ErrorCode(code)));
                sink.goaway(stated, last.time);
            }
            Type::Data | Type::Priority | Type::Ping | Type::WindowUpdate | Type::Other(_) => {}
        }
        Ok(())
    }

    /// A fragment of a header block.
    fn fragment(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        last: At,
        sink: &mut impl Sink,
    ) -> Result<(), Malformed> {
        let (fragment, promised) = frame::fragment(&header, payload)?;
        let ends = header.has(frame::END_HEADERS);
        match self.block.take() {
            None if ends => {
                let begun = self.begun(header);
                sink.block(&Block { begun, promised, bytes: fragment, last: last.time });
            }
            None => {
                let (begun, bytes) = (self.begun(header), fragment.to_vec());
                self.block = Some(Open { begun, promised, bytes, lost: false });
            }
            Some(mut open) => {
                if open.bytes.len() + fragment.len() > hpack::MAX_BLOCK {
                    open.lost = true;
                    open.bytes = Vec::new();
                    sink.block_lost(Some(open.begun), Failure::TooLarge);
                } else {
                    open.bytes.extend_from_slice(fragment);
                    if ends {
                        let Open { begun, promised, bytes, lost: _ } = &open;
                        let (begun, promised) = (*begun, *promised);
                        sink.block(&Block { begun, promised, bytes, last: last.time });
                    }
                }
                self.block = (!ends).then_some(open);
            }
        }
        Ok(())
    }

    /// The header block that the current frame begins.
    fn begun(&self, header: FrameHeader) -> Begun {
        Begun {
            stream: header.stream,
            promise: header.kind == Type::PushPromise,
            end_stream: header.kind == Type::Headers && header.has(frame::END_STREAM),
            first: self.first,
        }
    }

    /// A frame of which payload is missing that was needed; its header is known.
    pub(super) fn lose_frame(
        &mut self,
        header: FrameHeader,
        why: Failure,
        at: At,
        sink: &mut impl Sink,
    ) {
        self.kept = Vec::new();
        match header.kind {
            Type::Headers | Type::PushPromise | Type::Continuation => {
                let begun = match self.block.take() {
                    Some(open) => open.begun,
                    None => self.begun(header),
                };
                sink.block_lost(Some(begun), why);
                if !header.has(frame::END_HEADERS) {
                    let (promised, bytes) = (None, Vec::new());
                    self.block = Some(Open { begun, promised, bytes, lost: true });
                }
            }
            Type::RstStream => sink.reset(header.stream, None, at.time),
            Type::Settings => sink.settings(None),
            Type::Goaway => sink.goaway(None, at.time),
            Type::Data | Type::Priority | Type::Ping | Type::WindowUpdate | Type::Other(_) => {}
        }
    }
}
