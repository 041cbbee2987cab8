//! gRPC by tonic, its client over its own channel and its server over hyper's HTTP/2 or, as gRPC-Web by
//! tonic-web, HTTP/1.1; without generated code: calls of all kinds, of each of which both sides say what came of it, a line of JSON.

mod client;
mod server;

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::{Buf as _, BufMut as _, Bytes};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

pub(crate) use client::ask;
pub(crate) use server::{serve, serve_web};

const SERVICE: &str = "workload.v1.Calls";

/// What every call has in its binary metadata.
const BINARY: &[u8] = b"\x00\xff\x01";

fn say(report: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    Ok(())
}

/// Messages are bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What is received, as a stream.
struct Queue<T>(Receiver<T>);

impl<T> futures_core::Stream for Queue<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}
