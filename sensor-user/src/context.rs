//! Trace-context formats: what the fields of a request say of the trace it belongs to.

pub mod w3c;
