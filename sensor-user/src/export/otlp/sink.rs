//! An OTLP backend: how requests go out and what its answers mean.

mod grpc;
mod http;
pub(super) mod wire;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use rustc_hash::FxHashMap;

use super::request::{export_logs_request, export_request};
use super::{Protocol, Settings, Signal};
use crate::export::StartError;
use crate::export::delivery::{Backend, Grouping, Item, Loss, Outcome, Part, owner};
use crate::export::http::{Secrets, shown};
use crate::model::{LogRecord, Span};
use wire::ExportResponse;

/// Requests that one refused batch may become. Owners beyond are in the last of them together.
const PARTS_MAX: usize = 64;

/// One OTLP backend, for one signal. Not `Debug`: the endpoint may hold a key.
pub(crate) struct Sink<T> {
    target: String,
    transport: Transport,
    secrets: Secrets,
    /// A batch as the message that the signal's service takes.
    encode: fn(&[T]) -> Vec<u8>,
}

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
        let target = format!("{what} {}", shown(&settings.endpoint));
        let secrets = Secrets::new(&settings.endpoint, settings.secrets());
        Ok(Self { target, transport, secrets, encode })
    }
}

/// A batch as it is sent, and as it came: it may have to be divided.
#[derive(Debug)]
pub(crate) struct Message<T> {
    body: Bytes,
    batch: Vec<T>,
}

impl<T: Item> Sink<T> {
    fn part(&self, batch: Vec<T>) -> Part<Message<T>> {
        let message = (self.encode)(&batch);
        let body = match &self.transport {
            Transport::Http(http) => http.encode(message),
            Transport::Grpc(_) => message.into(),
        };
        let items = batch.len() as u64;
        Part { request: Message { body, batch }, items }
    }
}

impl<T: Item> Backend for Sink<T> {
    type Item = T;
    type Request = Message<T>;

    const GROUPING: Grouping = Grouping::Mixed;

    fn target(&self) -> &str {
        &self.target
    }

    fn encode(&self, batch: Vec<T>) -> Vec<Part<Message<T>>> {
        vec![self.part(batch)]
    }

    fn split(&self, request: Message<T>) -> Vec<Part<Message<T>>> {
        let mut parts: Vec<Vec<T>> = Vec::new();
        let mut known: FxHashMap<String, usize> = FxHashMap::default();
        for item in request.batch {
            let owner = owner(item.resource());
            let at = known.get(owner).copied().unwrap_or_else(|| {
                if parts.len() < PARTS_MAX {
                    parts.push(Vec::new());
                }
                known.insert(owner.to_owned(), parts.len() - 1);
                parts.len() - 1
            });
            parts[at].push(item);
        }
        // One owner's alone is not worth a second request.
        if parts.len() > 1 {
            parts.into_iter().map(|it| self.part(it)).collect()
        } else {
            Vec::new()
        }
    }

    async fn send(&self, part: &Part<Message<T>>) -> Outcome {
        let body = part.request.body.clone();
        let outcome = match &self.transport {
            Transport::Http(http) => http.send(body).await,
            Transport::Grpc(grpc) => grpc.send(body).await,
        };
        self.secrets.out_of(outcome)
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
