//! Jaeger (<https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format>).

use std::borrow::Cow;

use super::hex::number;
use super::{Decision, Format, Malformed, TraceContext};
use crate::model::{SpanId, TraceId};

/// `sampled` of the flags.
const SAMPLED: u8 = 0x01;

/// `debug` of the flags; only with `sampled`.
const DEBUG: u8 = 0x02;

/// Names of baggage fields begin with it.
pub const BAGGAGE_PREFIX: &str = "uberctx-";

/// Reads the value of `uber-trace-id`.
///
/// ```text
/// 463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:1
/// trace-id(1 to 32) : span-id(1 to 16) : parent-span-id(1 to 16) : flags(1 or 2)
/// ```
///
/// All are hexadecimal, those that are shorter have zeros on their left. Some clients write the
/// colons as `%3A`.
///
/// # Errors
/// Where it is not exactly that, or the trace or the span is zero.
pub fn uber_trace_id(value: &[u8]) -> Result<TraceContext, Malformed> {
    let value = colons(value);
    let mut parts = value.split(|&byte| byte == b':');
    let mut part = || parts.next().ok_or(Malformed);
    let (trace, span) = (number(part()?)?, number(part()?)?);
    // "Deprecated"; zero is valid.
    let _parent: [u8; 8] = number(part()?)?;
    let [flags] = number(part()?)?;
    if parts.next().is_some() {
        return Err(Malformed);
    }
    let decision = match flags {
        _ if flags & SAMPLED == 0 => Decision::Deny,
        _ if flags & DEBUG == 0 => Decision::Accept,
        _ => Decision::Debug,
    };
    let trace = TraceId::new(trace).ok_or(Malformed)?;
    let span = SpanId::new(span).ok_or(Malformed)?;
    Ok(TraceContext::new(Format::Jaeger, Some(trace), Some(span), decision))
}

fn colons(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'%') {
        return Cow::Borrowed(value);
    }
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match rest {
            [b'%', b'3', b'A' | b'a', after @ ..] => {
                text.push(b':');
                after
            }
            _ => {
                text.push(byte);
                after
            }
        };
    }
    Cow::Owned(text)
}
