//! Golden headers come from the formats' specifications, from the Collector's own tests, or were
//! written or read by the libraries that are named (opentelemetry-python 1.45 with its B3, Jaeger and
//! X-Ray propagators, ddtrace 4.16, apache-skywalking 1.3).

mod baggage;
mod formats;
mod precedence;
mod properties;
mod skywalking;

use super::*;

/// Trace id (or -), parent (or -) and decision, as text.
fn told(context: &TraceContext) -> String {
    let id = |id: Option<String>| id.unwrap_or_else(|| "-".to_owned());
    let trace = id(context.trace_id.map(|id| id.to_string()));
    let parent = id(context.parent_id.map(|id| id.to_string()));
    format!("{trace} {parent} {:?}", context.decision)
}

/// The same of what a parser says; none where it is malformed.
fn parsed(context: Result<TraceContext, Malformed>) -> Option<String> {
    context.ok().map(|context| told(&context))
}
