//! An OTLP backend: how requests go out and what its answers mean.

mod grpc;
mod http;
pub(super) mod wire;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::request::{export_logs_request, export_request};
use super::{Protocol, Settings, Signal};
use crate::export::StartError;
use crate::export::delivery::{Backend, Item, Loss, Outcome, Part};
use crate::export::http::shown;
use crate::model::{LogRecord, Span};
use wire::ExportResponse;

/// One OTLP backend, for one signal.
#[derive(Debug)]
pub(crate) struct Sink<T> {
    target: String,
    transport: Transport,
    /// A batch as the message that the signal's service takes.
    encode: fn(&[T]) -> Vec<u8>,
}

#[derive(Debug)]
enum Transport {
    Http(http::Http),
    Grpc(grpc::Grpc),
}

impl Sink<Arc<Span>> {
    /// Connects lazily. Has to be called within a tokio runtime.
    pub(crate) fn traces(settings: &Settings) -> Result<Self, StartError> {
        Self::new(settings, Signal::Traces, |batch| export_request(batch).encode_to_vec())
    }
}

impl Sink<Arc<LogRecord>> {
    /// Connects lazily. Has to be called within a tokio runtime.
    pub(crate) fn logs(settings: &Settings) -> Result<Self, StartError> {
        Self::new(settings, Signal::Logs, |batch| export_logs_request(batch).encode_to_vec())
    }
}

impl<T> Sink<T> {
    fn new(
        settings: &Settings,
        signal: Signal,
        encode: fn(&[T]) -> Vec<u8>,
    ) -> Result<Self, StartError> {
        let transport = match settings.protocol {
            Protocol::HttpProtobuf => Transport::Http(http::Http::new(settings, signal)?),
            Protocol::Grpc => Transport::Grpc(grpc::Grpc::new(settings, signal)?),
        };
        let what = match signal {
            Signal::Traces => "the OTLP backend",
            Signal::Logs => "the OTLP backend for logs",
        };
        Ok(Self { target: format!("{what} {}", shown(&settings.endpoint)), transport, encode })
    }
}

impl<T: Item> Backend for Sink<T> {
    type Item = T;
    type Request = Bytes;

    fn target(&self) -> &str {
        &self.target
    }

    fn encode(&self, batch: Vec<T>) -> Vec<Part<Bytes>> {
        let message = (self.encode)(&batch);
        let request = match &self.transport {
            Transport::Http(http) => http.encode(message),
            Transport::Grpc(_) => message.into(),
        };
        vec![Part { request, items: batch.len() as u64 }]
    }

    async fn send(&self, part: &Part<Bytes>) -> Outcome {
        match &self.transport {
            Transport::Http(http) => http.send(part.request.clone()).await,
            Transport::Grpc(grpc) => grpc.send(part.request.clone()).await,
        }
    }
}

impl Signal {
    /// The call that takes it.
    fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// What a partial success calls the number of those that were rejected, in JSON.
    fn rejected_key(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
        }
    }

    /// What to do where nobody takes it.
    fn not_taken(self) -> &'static str {
        match self {
            Self::Traces => "no OTLP trace receiver there, check endpoint and protocol",
            Self::Logs => {
                "no OTLP log receiver there: set OTEL_LOGS_EXPORTER=none, or \
                 OTEL_EXPORTER_OTLP_LOGS_ENDPOINT to a backend that takes logs"
            }
        }
    }
}

fn accepted(response: ExportResponse) -> Outcome {
    let partial = response.partial_success.unwrap_or_default();
    // Below zero makes no sense and rejects nothing; too many are clamped to the batch later.
    let rejected = u64::try_from(partial.rejected).unwrap_or(0);
    let refused = if rejected > 0 { vec![(Loss::Rejected, rejected)] } else { Vec::new() };
    Outcome::Accepted { refused, message: partial.error_message }
}
