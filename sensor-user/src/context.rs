//! Trace-context formats: what the fields of a request say of the trace it belongs to.
//!
//! Where a request has several, the first of these that names a trace and a parent counts; else the
//! first that names a trace; else the first that has a sampling decision. One that breaks its grammar
//! is counted, and not there.
//!
//! | | format | fields | trace id | parent | sampling decision |
//! |---|---|---|---|---|---|
//! | 1 | [W3C](w3c) | `traceparent`, `tracestate` | 128 bits | always | always |
//! | 2 | [OpenCensus](grpc_trace) | `grpc-trace-bin` | 128 | always | always |
//! | 3 | [B3, one field](b3) | `b3` | 128 or 64 | with the trace | accept, deny, debug, none; also alone |
//! | 4 | [B3, several](b3) | `x-b3-*` | 128 or 64 | with the trace | the same |
//! | 5 | [Jaeger](jaeger) | `uber-trace-id` | up to 128 | always | accept, deny, debug |
//! | 6 | [Datadog](datadog) | `x-datadog-*` | 64, or 128 by `_dd.p.tid` | or none | keep, reject, none |
//! | 7 | [SkyWalking](skywalking) | `sw8` | made of a text, or none | the same | always |
//! | 8 | [X-Ray](xray) | `x-amzn-trace-id` | 128 | or none | yes, no, `?`, none |
//!
//! W3C comes first because it is what SDKs agree on; then those that one sender writes as a whole;
//! X-Ray last because load balancers add it to requests that have another context. An id of fewer
//! than 128 bits has zeros on its left, as all of these formats have it.
//!
//! Where those that do not count disagree with the one that does (on the trace, on the parent within
//! the trace, or on sampling), the span says so ([`CONFLICT`]) and it is counted. An id of 64 bits
//! agrees with one of 128 bits that ends with it.
//!
//! Identifiers without a span id (`x-request-id` and the like, [`Settings`]) are no context. They are
//! told as attributes, and those of enough entropy ([`is_evidence`]) show that two requests belong together
//! ([`RequestId`]). What a response has
//! (`traceresponse`, ids that the server tells) is told as attributes, and is never a parent.

pub mod b3;
pub mod baggage;
pub mod datadog;
mod fields;
pub mod grpc_trace;
mod hex;
pub mod jaeger;
mod read;
mod request_id;
mod settings;
pub mod skywalking;
#[cfg(test)]
mod tests;
pub mod w3c;
pub mod xray;

pub use fields::{Fields, Name};
pub use read::{Read, answered, read};
pub use request_id::{RequestId, is_evidence};
pub use settings::{Settings, Unusable};

use crate::model::{SpanId, TraceFlags, TraceId};
use w3c::Traceparent;

/// Attribute: the format of the trace context, by its name in `OTEL_PROPAGATORS` where it has one.
/// Absent for W3C's.
pub const FORMAT: &str = "sensor.context.format";
/// Attribute: the formats of other trace contexts in the request, which disagree with the one that
/// counts.
pub const CONFLICT: &str = "sensor.context.conflict";

/// A field that breaks the grammar of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field breaks the grammar of its format")]
pub struct Malformed;

/// A format, in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `traceparent`
    W3c,
    /// `grpc-trace-bin`
    GrpcTraceBin,
    /// `b3`
    B3,
    /// `x-b3-*`
    B3Multi,
    /// `uber-trace-id`
    Jaeger,
    /// `x-datadog-*`
    Datadog,
    /// `sw8`
    SkyWalking,
    /// `x-amzn-trace-id`
    XRay,
}

impl Format {
    /// How many there are.
    const COUNT: usize = 8;

    /// As [`FORMAT`] has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::W3c => "tracecontext",
            Self::GrpcTraceBin => "grpc-trace-bin",
            Self::B3 => "b3",
            Self::B3Multi => "b3multi",
            Self::Jaeger => "jaeger",
            Self::Datadog => "datadog",
            Self::SkyWalking => "sw8",
            Self::XRay => "xray",
        }
    }
}

/// What the sender decided on recording the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: who receives it is to decide.
    #[default]
    Deferred,
    /// It is not recorded.
    Deny,
    /// It is recorded.
    Accept,
    /// It is recorded, whatever else would leave it out.
    Debug,
}

impl Decision {
    /// Whether it is recorded, if that is decided.
    pub fn sampled(self) -> Option<bool> {
        match self {
            Self::Deferred => None,
            Self::Deny => Some(false),
            Self::Accept | Self::Debug => Some(true),
        }
    }
}

/// A trace context in any format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The one it came in.
    pub format: Format,
    /// The trace that the request belongs to.
    pub trace_id: Option<TraceId>,
    /// The span of the sender; never without a trace.
    pub parent_id: Option<SpanId>,
    /// W3C's as they came; of other formats, the decision. Sampled where that is deferred.
    pub flags: TraceFlags,
    /// What the sender decided.
    pub decision: Decision,
}

impl TraceContext {
    fn new(
        format: Format,
        trace_id: Option<TraceId>,
        parent_id: Option<SpanId>,
        decision: Decision,
    ) -> Self {
        let flags = TraceFlags(u8::from(decision.sampled() != Some(false)));
        Self { format, trace_id, parent_id: trace_id.and(parent_id), flags, decision }
    }

    /// One with both identifiers and W3C's flags.
    pub fn of(format: Format, context: Traceparent) -> Self {
        let Traceparent { trace_id, parent_id, flags } = context;
        let decision = if flags.sampled() { Decision::Accept } else { Decision::Deny };
        Self { format, trace_id: Some(trace_id), parent_id: Some(parent_id), flags, decision }
    }

    /// Both identifiers, where it has both.
    pub fn traceparent(&self) -> Option<Traceparent> {
        let (trace_id, parent_id) = self.trace_id.zip(self.parent_id)?;
        Some(Traceparent { trace_id, parent_id, flags: self.flags })
    }

    /// Whether both can be true. What one of them does not say is no disagreement.
    fn agrees(&self, other: &Self) -> bool {
        let both = |a: Option<bool>, b: Option<bool>| a.zip(b).is_none_or(|(a, b)| a == b);
        let ids = match (self.trace_id, other.trace_id) {
            (Some(a), Some(b)) if !same_trace(a, b) => false,
            (Some(_), Some(_)) => self.parent_id.zip(other.parent_id).is_none_or(|(a, b)| a == b),
            _ => true,
        };
        ids && both(self.decision.sampled(), other.decision.sampled())
    }
}

impl From<Traceparent> for TraceContext {
    fn from(context: Traceparent) -> Self {
        Self::of(Format::W3c, context)
    }
}

/// The same id, or one of 64 bits and one that ends with it.
fn same_trace(a: TraceId, b: TraceId) -> bool {
    let (a, b) = (u128::from_be_bytes(a.bytes()), u128::from_be_bytes(b.bytes()));
    let narrow = |id: u128| id >> 64 == 0;
    let low = |id: u128| id & u128::from(u64::MAX);
    a == b || (narrow(a) || narrow(b)) && low(a) == low(b)
}

/// Whether a value under a name that is not known may be (a part of) a context that could be read by
/// itself. Says yes too often rather than too seldom.
pub fn may_be(value: &[u8]) -> bool {
    b3::single(value).is_ok()
        || jaeger::uber_trace_id(value).is_ok()
        || xray::trace_id(value).is_ok()
        || skywalking::sw8(value).is_ok()
        || b3::is_trace_id(value)
        || datadog::is_trace_id(value)
}
