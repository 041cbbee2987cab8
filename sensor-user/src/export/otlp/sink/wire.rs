//! The messages in which success and failure are told.

/// `ExportTraceServiceResponse` and `ExportLogsServiceResponse`, which are the same on the wire
/// (`opentelemetry/proto/collector/{trace,logs}/v1/*_service.proto`).
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::export::otlp) partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess` and `ExportLogsPartialSuccess`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct PartialSuccess {
    /// `rejected_spans` or `rejected_log_records`.
    #[prost(int64, tag = "1")]
    pub(in crate::export::otlp) rejected: i64,
    #[prost(string, tag = "2")]
    pub(in crate::export::otlp) error_message: String,
}

/// `google.rpc.Status`
/// (<https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>).
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(in crate::export::otlp) code: i32,
    #[prost(string, tag = "2")]
    pub(in crate::export::otlp) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(in crate::export::otlp) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct Any {
    #[prost(string, tag = "1")]
    pub(in crate::export::otlp) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::export::otlp) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(in crate::export::otlp) retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::export::otlp) struct Delay {
    #[prost(int64, tag = "1")]
    pub(in crate::export::otlp) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(in crate::export::otlp) nanos: i32,
}

pub(in crate::export::otlp) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
