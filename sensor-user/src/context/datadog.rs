//! Datadog (<https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>, and as
//! its libraries have it).

use super::hex::lower;
use super::{Decision, Format, Malformed, TraceContext};
use crate::model::{SpanId, TraceId};

/// The tag with the upper half of a trace id of 128 bits.
const TID: &[u8] = b"_dd.p.tid=";

/// Longest `x-datadog-tags` (`DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH`).
const TAGS_MAX: usize = 512;

/// The values of the fields, each of which may come once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datadog<'a> {
    /// `x-datadog-trace-id`
    pub trace_id: Option<&'a [u8]>,
    /// `x-datadog-parent-id`
    pub parent_id: Option<&'a [u8]>,
    /// `x-datadog-sampling-priority`
    pub sampling_priority: Option<&'a [u8]>,
    /// `x-datadog-tags`
    pub tags: Option<&'a [u8]>,
}

/// Reads the fields. None where there are none.
///
/// ```text
/// x-datadog-trace-id: 12379814468735227512     decimal, the lower 64 bits
/// x-datadog-parent-id: 6023947403358210776     decimal; 0 is none
/// x-datadog-sampling-priority: 2               above 0 is kept
/// x-datadog-tags: _dd.p.dm=-4,_dd.p.tid=640cfd8d00000000   the upper 64 bits, lower-case hex
/// ```
///
/// # Errors
/// Where one of them breaks the grammar, or there is no trace id that is not zero. Datadog's libraries
/// leave out a `_dd.p.tid` that they cannot read; then two ends may have two ids, so here it all is.
pub fn datadog(fields: &Datadog<'_>) -> Result<Option<TraceContext>, Malformed> {
    let Datadog { trace_id, parent_id, sampling_priority, tags } = *fields;
    let Some(trace_id) = trace_id else {
        let alone = parent_id.or(sampling_priority).or(tags).is_some();
        return if alone { Err(Malformed) } else { Ok(None) };
    };
    let low = decimal(trace_id).filter(|&id| id > 0).ok_or(Malformed)?;
    let high = tags.map_or(Ok(0), upper)?;
    let trace = TraceId::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
    let parent = parent_id.map_or(Ok(0), |text| decimal(text).ok_or(Malformed))?;
    let decision = sampling_priority.map_or(Ok(Decision::Deferred), priority)?;
    Ok(Some(TraceContext::new(Format::Datadog, trace, SpanId::new(parent.to_be_bytes()), decision)))
}

/// -1 (rejected by the user), 0 (rejected), 1 (kept), 2 (kept by the user), and whatever else may
/// come: what is above zero is kept.
fn priority(text: &[u8]) -> Result<Decision, Malformed> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        _ => (1, text),
    };
    let amount = decimal(digits).and_then(|amount| i32::try_from(amount).ok()).ok_or(Malformed)?;
    Ok(if sign * amount > 0 { Decision::Accept } else { Decision::Deny })
}

/// The upper half of the trace id; zero where the tags do not have it.
fn upper(tags: &[u8]) -> Result<u64, Malformed> {
    if tags.len() > TAGS_MAX {
        return Err(Malformed);
    }
    let mut tids =
        tags.split(|&byte| byte == b',').filter_map(|tag| tag.trim_ascii().strip_prefix(TID));
    match (tids.next(), tids.next()) {
        (None, _) => Ok(0),
        (Some(tid), None) => lower(tid).map(u64::from_be_bytes),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

/// Digits alone, of 64 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Whether it has the form of `x-datadog-trace-id`.
pub(super) fn is_trace_id(value: &[u8]) -> bool {
    decimal(value).is_some_and(|id| id > 0)
}
