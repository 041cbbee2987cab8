//! The h2 crate's decoder. It has no door of its own, so the blocks go through its frames.

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use anyhow::{Result, bail};
use bytes::Bytes;
use futures_core::Stream as _;
use h2::Codec;
use h2::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Set;

/// The frames of a connection, read as they are wanted.
struct Frames<'a> {
    blocks: std::slice::Iter<'a, Vec<u8>>,
    stream: u32,
    /// The frame that is read, and how far.
    frame: Vec<u8>,
    at: usize,
}

impl Frames<'_> {
    /// Puts the next frame into `frame`, if there is one.
    fn next(&mut self) -> Option<()> {
        let block = self.blocks.next()?;
        let length = u32::try_from(block.len()).ok()?.to_be_bytes();
        self.frame.clear();
        self.at = 0;
        // HEADERS, END_STREAM and END_HEADERS (RFC 9113 section 6.2).
        self.frame.extend_from_slice(&length[1..]);
        self.frame.extend_from_slice(&[1, 0x5]);
        self.frame.extend_from_slice(&self.stream.to_be_bytes());
        self.frame.extend_from_slice(block);
        self.stream += 2;
        Some(())
    }
}

impl AsyncRead for Frames<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.at < self.frame.len() || self.next().is_some() {
            let rest = &self.frame[self.at..];
            let len = rest.len().min(room.remaining());
            room.put_slice(&rest[..len]);
            self.at += len;
            if room.remaining() == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(b.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Decodes all connections of a set. Gives the fields: as many as there are, where it is satisfied
/// with every block, since it does not count them.
pub(super) fn decode(set: &Set) -> Result<usize> {
    let context = &mut Context::from_waker(Waker::noop());
    for connection in &set.connections {
        let blocks = connection.iter();
        let frames = Frames { blocks, stream: 1, frame: Vec::new(), at: 0 };
        let mut codec: Codec<_, Bytes> = Codec::new(frames);
        codec.set_max_recv_header_list_size(1 << 20);
        let mut codec = pin!(codec);
        let mut left = connection.len();
        while let Poll::Ready(Some(frame)) = codec.as_mut().poll_next(context) {
            // Fields that HTTP/2 does not have are an error of the stream: they are decoded first.
            match frame {
                Ok(Frame::Headers(headers)) => drop(black_box(headers)),
                Ok(_) => bail!("h2 sees another frame"),
                Err(error) => drop(black_box(error)),
            }
            left -= 1;
        }
        if left > 0 {
            bail!("h2 leaves {left} of {} blocks", connection.len());
        }
    }
    Ok(set.fields)
}
