//! The client.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use hyper::http::uri::PathAndQuery;
use serde_json::json;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::{BINARY, Plain, Queue, SERVICE, say};

/// What is asked for.
#[derive(Clone, Default)]
struct Call {
    marker: u64,
    method: &'static str,
    messages: Vec<Bytes>,
    timeout: Option<Duration>,
    cancel: Option<Duration>,
    compressed: bool,
}

impl Call {
    fn new(marker: u64, method: &'static str, messages: Vec<Bytes>) -> Self {
        Self { marker, method, messages, ..Self::default() }
    }

    /// Makes it and says what came of it.
    async fn make(self, channel: Channel) -> Result<()> {
        let (mut sent, mut received) = (0, 0);
        let marker = format!("{:016x}", self.marker);
        let path = format!("/{SERVICE}/{}", self.method);
        let begun = Instant::now();
        // A channel's own deadline is for the head of the response only.
        let deadline = self.timeout.is_some_and(|timeout| Some(timeout) == self.cancel);
        let cancel = self.cancel;
        let asked = self.ask(channel, &path, &marker, &mut sent, &mut received);
        let ended = match cancel {
            None => asked.await,
            Some(after) => match tokio::time::timeout(after, asked).await {
                Ok(ended) => ended,
                Err(_) if deadline => Err(Status::deadline_exceeded("too late")),
                Err(_) => Err(Status::cancelled("given up")),
            },
        };
        let took = u64::try_from(begun.elapsed().as_nanos())?;
        let status = ended.err().unwrap_or_else(|| Status::ok(""));
        let mut report = json!({
            "marker": marker, "method": path, "sent": sent, "received": received,
            "nanoseconds": took, "code": i32::from(status.code()),
        });
        if !status.message().is_empty() {
            report["message"] = json!(status.message());
        }
        say(&report)
    }

    async fn ask(
        self,
        channel: Channel,
        path: &str,
        marker: &str,
        sent: &mut u64,
        received: &mut u64,
    ) -> Result<(), Status> {
        let unusable = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
        let (sender, queue) = tokio::sync::mpsc::channel(self.messages.len().max(1));
        for message in self.messages {
            sender.try_send(message).map_err(|error| unusable(&error))?;
            *sent += 1;
        }
        drop(sender);
        let mut request = Request::new(Queue(queue));
        let trace = format!("00-{:032x}-{marker}-01", 1000 + self.marker);
        let trace = trace.parse().map_err(|error| unusable(&error))?;
        request.metadata_mut().insert("traceparent", trace);
        let binary = MetadataValue::from_bytes(BINARY);
        request.metadata_mut().insert_bin("x-binary-bin", binary);
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        let mut grpc = Grpc::new(channel);
        if self.compressed {
            grpc = grpc.send_compressed(CompressionEncoding::Gzip);
        }
        grpc.ready().await.map_err(|error| unusable(&error))?;
        let path: PathAndQuery = path.parse().map_err(|error| unusable(&error))?;
        let mut answers = grpc.streaming(request, path, Plain).await?.into_inner();
        while answers.message().await?.is_some() {
            *received += 1;
        }
        Ok(())
    }
}

fn zeros(sizes: &[usize]) -> Vec<Bytes> {
    sizes.iter().map(|&size| vec![0; size].into()).collect()
}

fn number(n: u64) -> Vec<Bytes> {
    vec![n.to_string().into()]
}

async fn kinds(channel: &Channel) -> Result<()> {
    let mut calls = vec![
        Call::new(1, "Echo", zeros(&[10])),
        Call::new(2, "Echo", zeros(&[100_000])),
        Call { compressed: true, ..Call::new(3, "Echo", zeros(&[5000])) },
    ];
    calls.extend((1..=16).map(|code| Call::new(9 + code, "Fail", number(code))));
    let slow = |marker, milliseconds| Call::new(marker, "Slow", number(milliseconds));
    let after = |milliseconds| Some(Duration::from_millis(milliseconds));
    calls.extend([
        Call::new(30, "Collect", zeros(&[1, 0, 70_000, 3])),
        Call::new(31, "Count", number(12)),
        Call::new(32, "Chat", zeros(&[1, 0, 40_000, 3])),
        Call::new(33, "Chat", Vec::new()),
        Call { timeout: after(100), cancel: after(100), ..slow(40, 5000) },
        Call { cancel: after(50), ..slow(41, 5000) },
        Call { timeout: after(10_000), cancel: after(50), ..slow(42, 5000) },
        Call { timeout: after(5000), ..slow(43, 1) },
        Call::new(50, "Nothing", zeros(&[1])),
    ]);
    for call in calls {
        call.make(channel.clone()).await?;
    }
    Ok(())
}

/// All kinds of calls, then 1, 2, 8 and 100 at a time, each over a connection.
pub(crate) fn ask(port: u64) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for (streams, each, first) in [(1, 20, 1000), (2, 20, 2000), (8, 10, 3000), (100, 3, 4000)]
        {
            let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
            let channel = endpoint.connect().await?;
            if first == 1000 {
                kinds(&channel).await?;
            }
            let several = |stream: u64, channel: Channel| async move {
                for n in 0..each {
                    let size = usize::try_from(n)?;
                    let call = Call::new(first + stream * each + n, "Echo", zeros(&[size]));
                    call.make(channel.clone()).await?;
                }
                anyhow::Ok(())
            };
            let running: Vec<_> =
                (0..streams).map(|stream| tokio::spawn(several(stream, channel.clone()))).collect();
            for one in running {
                one.await??;
            }
        }
        Ok(())
    })
}
