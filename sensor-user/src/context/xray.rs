//! AWS X-Ray
//! (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>).

use super::hex::number;
use super::{Decision, Format, Malformed, TraceContext};
use crate::model::{SpanId, TraceId};

/// Reads the value of `x-amzn-trace-id`.
///
/// ```text
/// Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1
/// Root: version 1, the time (8 digits), 24 digits more; Sampled: 1, 0, ? (asked for)
/// ```
///
/// In any order, and with what else services put there (`Self`, `Lineage`, their own). Without a root
/// it names no trace, and without a parent the request belongs to the trace and that is all.
///
/// # Errors
/// Where a part is not `key=value`; where one of the three breaks the grammar, comes twice, or is
/// zero; where there is a parent without a root.
pub fn trace_id(value: &[u8]) -> Result<TraceContext, Malformed> {
    let (mut root, mut parent, mut sampled) = (None, None, None);
    for part in value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
        // A separator at the end is common.
        if part.is_empty() {
            continue;
        }
        let equals = part.iter().position(|&byte| byte == b'=').ok_or(Malformed)?;
        let (key, text) = (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii());
        let twice = match key {
            b"" => true,
            b"Root" => root.replace(self::root(text)?).is_some(),
            b"Parent" => parent.replace(span(text)?).is_some(),
            b"Sampled" => sampled.replace(decision(text)?).is_some(),
            _ => false,
        };
        if twice {
            return Err(Malformed);
        }
    }
    if root.is_none() && (parent.is_some() || sampled.is_none()) {
        return Err(Malformed);
    }
    Ok(TraceContext::new(Format::XRay, root, parent, sampled.unwrap_or_default()))
}

fn root(text: &[u8]) -> Result<TraceId, Malformed> {
    let (time, rest) =
        text.strip_prefix(b"1-").ok_or(Malformed)?.split_at_checked(8).ok_or(Malformed)?;
    let rest = rest.strip_prefix(b"-").filter(|rest| rest.len() == 24).ok_or(Malformed)?;
    let (time, rest): ([u8; 4], [u8; 12]) = (number(time)?, number(rest)?);
    let mut id = [0; 16];
    id[..4].copy_from_slice(&time);
    id[4..].copy_from_slice(&rest);
    TraceId::new(id).ok_or(Malformed)
}

fn span(text: &[u8]) -> Result<SpanId, Malformed> {
    if text.len() != 16 {
        return Err(Malformed);
    }
    SpanId::new(number(text)?).ok_or(Malformed)
}

fn decision(text: &[u8]) -> Result<Decision, Malformed> {
    match text {
        b"1" => Ok(Decision::Accept),
        b"0" => Ok(Decision::Deny),
        b"?" | b"" => Ok(Decision::Deferred),
        _ => Err(Malformed),
    }
}
