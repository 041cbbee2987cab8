//! Trace-context formats: what the fields of a request say of the trace it belongs to.

pub mod grpc_trace;
pub mod w3c;
