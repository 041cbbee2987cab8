//! The little of W3C Trace Context that services write by hand.

use hyper::HeaderMap;
use hyper::header::HeaderValue;

use super::random;

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
pub(super) const TRACEPARENT: &str = "traceparent";
/// <https://www.w3.org/TR/trace-context/#tracestate-header>
pub(super) const TRACESTATE: &str = "tracestate";

/// The trace context of a request, if it brought one.
#[derive(Clone)]
pub(super) struct TraceContext {
    trace_id: String,
    flags: String,
    tracestate: Option<HeaderValue>,
    /// As it came, for those who only pass it on.
    verbatim: HeaderValue,
}

impl TraceContext {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let verbatim = headers.get(TRACEPARENT)?.clone();
        let mut fields = verbatim.to_str().ok()?.split('-');
        let (version, trace_id, _, flags) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if version != "00" || trace_id.len() != 32 {
            return None;
        }
        let (trace_id, flags) = (trace_id.to_owned(), flags.to_owned());
        let tracestate = headers.get(TRACESTATE).cloned();
        Some(Self { trace_id, flags, tracestate, verbatim })
    }

    /// A new trace.
    pub(super) fn new() -> Option<Self> {
        let trace_id = format!("{:016x}{:016x}", random::bits(), random::bits());
        let flags = "01".to_owned();
        let verbatim = traceparent(&trace_id, &flags)?;
        Some(Self { trace_id, flags, tracestate: None, verbatim })
    }

    pub(super) fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Passes it on unchanged, as a proxy does.
    pub(super) fn forward(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.verbatim.clone());
        self.insert_state(headers);
    }

    /// Passes it on with an identifier of our own as the parent, as instrumented services do.
    pub(super) fn continue_in(&self, headers: &mut HeaderMap) {
        if let Some(value) = traceparent(&self.trace_id, &self.flags) {
            headers.insert(TRACEPARENT, value);
            self.insert_state(headers);
        }
    }

    fn insert_state(&self, headers: &mut HeaderMap) {
        if let Some(state) = &self.tracestate {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

fn traceparent(trace_id: &str, flags: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("00-{trace_id}-{:016x}-{flags}", random::bits())).ok()
}
