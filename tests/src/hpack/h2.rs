//! The h2 crate's decoder. It has no door of its own for header blocks, so they come in their frames.

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

/// The bytes of a connection, read as they are wanted.
struct Frames<'a>(&'a [u8]);

impl AsyncRead for Frames<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(room.remaining()));
        room.put_slice(now);
        self.0 = later;
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

/// Decodes the frames of all connections of a set. Gives the fields: as many as there are, where it
/// is satisfied with every frame, since it does not count them.
pub(super) fn decode(set: &Set) -> Result<usize> {
    let context = &mut Context::from_waker(Waker::noop());
    for wire in &set.wires {
        let mut codec: Codec<_, Bytes> = Codec::new(Frames(&wire.bytes));
        codec.set_max_recv_header_list_size(1 << 20);
        let mut codec = pin!(codec);
        let mut left = wire.frames;
        while let Poll::Ready(Some(frame)) = codec.as_mut().poll_next(context) {
            // Fields that HTTP/2 does not have are an error of the stream: they are decoded first.
            match frame {
                Ok(Frame::Headers(headers)) => drop(black_box(headers)),
                Ok(Frame::Data(data)) => drop(black_box(data)),
                Ok(_) => bail!("h2 sees another frame"),
                Err(error) => drop(black_box(error)),
            }
            left -= 1;
        }
        if left > 0 {
            bail!("h2 leaves {left} of {} frames", wire.frames);
        }
    }
    Ok(set.fields)
}
