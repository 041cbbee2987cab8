//! The OTLP backend: how requests go out and what its answers mean.

mod grpc;
mod http;
pub(super) mod wire;

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::request::export_request;
use super::{Protocol, Settings};
use crate::export::StartError;
use crate::export::delivery::{Backend, Outcome};
use crate::export::http::shown;
use crate::model::Span;

/// One OTLP backend.
#[derive(Debug)]
pub(crate) struct Sink {
    target: String,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Http(http::Http),
    Grpc(grpc::Grpc),
}

impl Sink {
    /// Connects lazily. Has to be called within a tokio runtime.
    pub(crate) fn new(settings: &Settings) -> Result<Self, StartError> {
        let transport = match settings.protocol {
            Protocol::HttpProtobuf => Transport::Http(http::Http::new(settings)?),
            Protocol::Grpc => Transport::Grpc(grpc::Grpc::new(settings)?),
        };
        Ok(Self { target: format!("the OTLP backend {}", shown(&settings.endpoint)), transport })
    }
}

impl Backend for Sink {
    type Request = Bytes;

    fn target(&self) -> &str {
        &self.target
    }

    fn encode(&self, batch: &[Arc<Span>]) -> Bytes {
        let message = export_request(batch).encode_to_vec();
        match &self.transport {
            Transport::Http(http) => http.encode(message),
            Transport::Grpc(_) => message.into(),
        }
    }

    async fn send(&self, request: &Bytes) -> Outcome {
        match &self.transport {
            Transport::Http(http) => http.send(request.clone()).await,
            Transport::Grpc(grpc) => grpc.send(request.clone()).await,
        }
    }
}

fn accepted(response: ExportTraceServiceResponse) -> Outcome {
    let partial = response.partial_success.unwrap_or_default();
    Outcome::Accepted {
        // Below zero makes no sense and rejects nothing; too many are clamped to the batch later.
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    }
}
