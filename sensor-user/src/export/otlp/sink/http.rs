//! OTLP/HTTP with protobuf (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::GzEncoder;
use prost::Message as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};

use super::super::{Compression, Settings, Signal};
use super::accepted;
use super::wire::{ExportResponse, PartialSuccess, RpcStatus};
use crate::export::StartError;
use crate::export::delivery::{Loss, Outcome};
use crate::export::http::{Answer, client, post, snippet};

const PROTOBUF: &str = "application/x-protobuf";

/// Posts to `/v1/traces` or `/v1/logs`.
pub(super) struct Http {
    signal: Signal,
    client: Client,
    endpoint: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    compression: Compression,
}

impl Http {
    pub(super) fn new(settings: &Settings, signal: Signal) -> Result<Self, StartError> {
        let custom: HeaderMap = settings.headers.iter().cloned().collect();
        let certificate = settings.certificate.as_deref();
        let client = client(&settings.endpoint, custom, certificate, settings.timeout)?;
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))];
        if settings.compression == Compression::Gzip {
            headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        }
        let endpoint = settings.endpoint.clone();
        Ok(Self { signal, client, endpoint, headers, compression: settings.compression })
    }

    /// Compresses once, however often it is sent.
    pub(super) fn encode(&self, message: Vec<u8>) -> Bytes {
        match self.compression {
            Compression::None => message.into(),
            Compression::Gzip => gzip(&message).into(),
        }
    }

    pub(super) async fn send(&self, body: Bytes) -> Outcome {
        match post(&self.client, &self.endpoint, &self.headers, body).await {
            Ok(answer) => outcome(&answer, self.signal, self.endpoint.port()),
            Err(outcome) => outcome,
        }
    }
}

fn gzip(message: &[u8]) -> Vec<u8> {
    // The fastest level: repeated attribute names are most of what there is to gain.
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(message).and_then(|()| encoder.finish());
    #[expect(clippy::expect_used, reason = "writing to a Vec does not fail")]
    written.expect("a Vec takes everything")
}

/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>
fn outcome(answer: &Answer, signal: Signal, port: Option<u16>) -> Outcome {
    match answer.status.as_u16() {
        200..300 => success(answer, signal, port),
        429 | 502 | 503 | 504 => Outcome::retry(answer.reason(&text(answer)), answer.retry_after()),
        404 | 405 if signal == Signal::Logs => {
            let reason = format!("{}: {} ({})", answer.status, signal.not_taken(), text(answer));
            Outcome::lost(Loss::Failed, reason)
        }
        400 | 413 | 422 => Outcome::unacceptable(Loss::Failed, answer.reason(&text(answer))),
        _ => Outcome::lost(Loss::Failed, answer.reason(&text(answer))),
    }
}

/// An answer that is not OTLP's means that whatever is there is no OTLP backend, or that it speaks
/// of rejected items in a way not understood: they are not known to be delivered.
fn success(answer: &Answer, signal: Signal, port: Option<u16>) -> Outcome {
    let response = match answer.content_type() {
        _ if answer.cut => None,
        // Against the specification, but some backends answer protobuf with JSON.
        Some("application/json") => from_json(&answer.body, signal),
        Some(PROTOBUF | "application/protobuf") | None => {
            ExportResponse::decode(answer.body.as_slice()).ok()
        }
        // No body says "nothing to complain of", whatever type it is of.
        Some(_) if answer.body.is_empty() => Some(ExportResponse::default()),
        Some(_) => None,
    };
    match response {
        Some(response) => accepted(response),
        None => {
            let hint = match port {
                Some(4317) => ": port 4317 is usually gRPC's, set the protocol to grpc",
                _ => ": is the endpoint really an OTLP backend?",
            };
            let status = answer.status;
            Outcome::lost(Loss::Failed, format!("{status}, but the answer is not OTLP's{hint}"))
        }
    }
}

/// Proto3 JSON: 64-bit numbers are strings, but numbers have to be understood too.
fn from_json(body: &[u8], signal: Signal) -> Option<ExportResponse> {
    if body.is_empty() {
        return Some(ExportResponse::default());
    }
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = match value.as_object()?.get("partialSuccess") {
        None | Some(serde_json::Value::Null) => return Some(ExportResponse::default()),
        Some(partial) => partial.as_object()?,
    };
    let rejected = match partial.get(signal.rejected_key()) {
        None | Some(serde_json::Value::Null) => 0,
        Some(serde_json::Value::String(text)) => text.parse().ok()?,
        Some(number) => number.as_i64()?,
    };
    let error_message = partial.get("errorMessage").and_then(serde_json::Value::as_str);
    Some(ExportResponse {
        partial_success: Some(PartialSuccess {
            rejected,
            error_message: error_message.unwrap_or_default().to_owned(),
        }),
    })
}

/// The body of a failure is a `google.rpc.Status`, or whatever a proxy writes.
fn text(answer: &Answer) -> String {
    let status = match answer.content_type() {
        Some(PROTOBUF) => RpcStatus::decode(answer.body.as_slice()).ok(),
        _ => None,
    };
    match status {
        Some(status) => snippet(status.message.as_bytes()),
        None => snippet(&answer.body),
    }
}
