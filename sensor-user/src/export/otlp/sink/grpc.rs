//! OTLP/gRPC (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>).

use std::error::Error as _;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder,
};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::super::{Compression, Settings, Signal};
use super::accepted;
use super::wire::{ExportResponse, RETRY_INFO, RetryInfo, RpcStatus};
use crate::export::delivery::{Loss, Outcome};
use crate::export::http::{chain, shown, snippet, trusted};
use crate::export::{StartError, USER_AGENT};

/// What to do where a message is refused for its size.
const TOO_LARGE: &str = "the request is too large for the backend, raise its limit";

/// Calls `Export` of the signal's service.
#[derive(Debug)]
pub(super) struct Grpc {
    signal: Signal,
    client: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
}

impl Grpc {
    pub(super) fn new(settings: &Settings, signal: Signal) -> Result<Self, StartError> {
        let failed = |error: &dyn std::error::Error| StartError::Client {
            target: shown(&settings.endpoint),
            reason: chain(error),
        };
        let mut endpoint = Endpoint::from_shared(settings.endpoint.to_string())
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(|error| failed(&error))?
            .connect_timeout(settings.timeout);
        if settings.endpoint.scheme() == "https" {
            let tls = match &settings.certificate {
                Some(path) => {
                    let pem = Certificate::from_pem(trusted(path)?.0);
                    ClientTlsConfig::new().ca_certificate(pem)
                }
                None => ClientTlsConfig::new().with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| failed(&error))?;
        }
        let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
        if settings.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client = client.accept_compressed(CompressionEncoding::Gzip);
        let headers = settings.headers.iter().cloned().collect();
        Ok(Self { signal, client, metadata: MetadataMap::from_headers(headers) })
    }

    pub(super) async fn send(&self, message: Bytes) -> Outcome {
        let mut client = self.client.clone();
        if let Err(error) = client.ready().await {
            return unreachable(&chain(&error));
        }
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        let path = PathAndQuery::from_static(self.signal.grpc_path());
        let answer = client.unary(request, path, ExportCodec).await;
        match answer {
            Ok(response) => accepted(response.into_inner()),
            Err(status) => outcome(&status, self.signal),
        }
    }
}

fn unreachable(text: &str) -> Outcome {
    Outcome::retry(
        format!(
            "cannot connect: is the backend running there, and is the endpoint right? ({text})"
        ),
        None,
    )
}

/// The table of retryable codes: <https://opentelemetry.io/docs/specs/otlp/#failures>.
fn outcome(status: &Status, signal: Signal) -> Outcome {
    // An error of the connection, not an answer: tonic keeps what broke as the source.
    if let Some(source) = status.source() {
        let text = chain(source);
        return if text.contains("connect") {
            unreachable(&text)
        } else {
            Outcome::retry(format!("the connection broke before the answer came ({text})"), None)
        };
    }
    let code = status.code();
    let says = snippet(status.message().as_bytes());
    let after = retry_delay(status.details());
    match code {
        // As servers made with tonic say it, where others say ResourceExhausted.
        Code::OutOfRange if status.message().contains("message length too large") => {
            Outcome::unacceptable(Loss::Failed, format!("{code:?}: {TOO_LARGE} ({says})"))
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => {
            Outcome::retry(format!("{code:?}: the backend asks to try again ({says})"), after)
        }
        // Only a backend that says when it will recover is expected to.
        Code::ResourceExhausted if after.is_some() => {
            Outcome::retry(format!("{code:?}: the backend asks to slow down ({says})"), after)
        }
        // The message is too large, or a quota is used up for good.
        Code::ResourceExhausted => {
            Outcome::unacceptable(Loss::Failed, format!("{code:?}: {TOO_LARGE} ({says})"))
        }
        Code::InvalidArgument => Outcome::unacceptable(
            Loss::Failed,
            format!("{code:?}: the backend does not accept the data ({says})"),
        ),
        Code::Unauthenticated | Code::PermissionDenied => Outcome::lost(
            Loss::Failed,
            format!("{code:?}: check the credentials in the headers ({says})"),
        ),
        Code::Unimplemented => {
            Outcome::lost(Loss::Failed, format!("{code:?}: {} ({says})", signal.not_taken()))
        }
        _ => Outcome::lost(Loss::Failed, format!("{code:?}: see the backend's log ({says})")),
    }
}

/// From `grpc-status-details-bin`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url == RETRY_INFO)?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// Sends a message that is encoded already, so that a retry costs no second encoding and no copy of
/// what is in it is kept.
#[derive(Clone, Copy, Debug)]
struct ExportCodec;

impl Codec for ExportCodec {
    type Encode = Bytes;
    type Decode = ExportResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for ExportCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.len());
        into.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for ExportCodec {
    type Item = ExportResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        ExportResponse::decode(from)
            .map(Some)
            .map_err(|error| Status::internal(format!("the answer is not OTLP's: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
