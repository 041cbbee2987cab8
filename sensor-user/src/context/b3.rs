//! B3 (<https://github.com/openzipkin/b3-propagation>), in one field or in several.
//!
//! The span that B3 names is the sender's for this request: a server of Zipkin's shares it, any other
//! has it for its parent. What the sender's own parent is does not matter here.

use super::hex::lower;
use super::{Decision, Format, Malformed, TraceContext};
use crate::model::{SpanId, TraceId};

/// Reads the value of `b3` ("Single Header").
///
/// ```text
/// 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90
/// TraceId(32 or 16) - SpanId(16) [- SamplingState [- ParentSpanId(16)]]
/// SamplingState: 1 accept, 0 deny, d debug; it may be alone
/// ```
///
/// # Errors
/// Where it is not exactly that, or has an identifier that is all zero.
pub fn single(value: &[u8]) -> Result<TraceContext, Malformed> {
    let mut parts = value.split(|&byte| byte == b'-');
    let (first, span) = (parts.next().unwrap_or_default(), parts.next());
    let Some(span) = span else {
        return Ok(TraceContext::new(Format::B3, None, None, state(first)?));
    };
    let decision = parts.next().map(state).transpose()?.unwrap_or_default();
    // Only its grammar counts.
    let _parent: Option<[u8; 8]> = parts.next().map(lower).transpose()?;
    if parts.next().is_some() {
        return Err(Malformed);
    }
    Ok(TraceContext::new(Format::B3, Some(trace_id(first)?), Some(span_id(span)?), decision))
}

/// The values of the fields of "Multiple Headers"; of one that came more than once, the first
/// ("the first value wins").
#[derive(Clone, Copy, Debug, Default)]
pub struct Multiple<'a> {
    /// `x-b3-traceid`
    pub trace_id: Option<&'a [u8]>,
    /// `x-b3-spanid`
    pub span_id: Option<&'a [u8]>,
    /// `x-b3-parentspanid`
    pub parent_span_id: Option<&'a [u8]>,
    /// `x-b3-sampled`
    pub sampled: Option<&'a [u8]>,
    /// `x-b3-flags`
    pub flags: Option<&'a [u8]>,
}

/// Reads the fields of "Multiple Headers". None where there are none, or only flags that say nothing.
///
/// # Errors
/// Where one of them breaks the grammar, or there is only one of trace and span.
pub fn multiple(fields: &Multiple<'_>) -> Result<Option<TraceContext>, Malformed> {
    let Multiple { trace_id: trace, span_id: span, parent_span_id, sampled, flags } = *fields;
    let sampled = match sampled {
        None => Decision::Deferred,
        // "A lenient implementation may accept" the words.
        Some(b"1" | b"true") => Decision::Accept,
        Some(b"0" | b"false") => Decision::Deny,
        Some(_) => return Err(Malformed),
    };
    // "Debug implies an accept decision"; "any other value can be ignored".
    let decision = if flags == Some(b"1") { Decision::Debug } else { sampled };
    let _parent: Option<[u8; 8]> = parent_span_id.map(lower).transpose()?;
    match (trace, span) {
        (Some(trace), Some(span)) => {
            let (trace, span) = (trace_id(trace)?, span_id(span)?);
            Ok(Some(TraceContext::new(Format::B3Multi, Some(trace), Some(span), decision)))
        }
        (None, None) if parent_span_id.is_none() => Ok((decision != Decision::Deferred)
            .then(|| TraceContext::new(Format::B3Multi, None, None, decision))),
        _ => Err(Malformed),
    }
}

/// A single character, for all states but Defer.
fn state(text: &[u8]) -> Result<Decision, Malformed> {
    match text {
        b"0" => Ok(Decision::Deny),
        b"1" => Ok(Decision::Accept),
        b"d" => Ok(Decision::Debug),
        _ => Err(Malformed),
    }
}

/// "32 or 16 lower-hex characters".
fn trace_id(text: &[u8]) -> Result<TraceId, Malformed> {
    let bytes = match text.len() {
        16 => u128::from(u64::from_be_bytes(lower(text)?)).to_be_bytes(),
        _ => lower(text)?,
    };
    TraceId::new(bytes).ok_or(Malformed)
}

fn span_id(text: &[u8]) -> Result<SpanId, Malformed> {
    SpanId::new(lower(text)?).ok_or(Malformed)
}

/// Whether it has the form of `x-b3-traceid`.
pub(super) fn is_trace_id(value: &[u8]) -> bool {
    trace_id(value).is_ok()
}
