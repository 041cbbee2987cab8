//! SkyWalking's `sw8`
//! (<https://skywalking.apache.org/docs/main/next/en/api/x-process-propagation-headers-v3>).
//!
//! Its identifiers are texts. They become bytes as the OpenTelemetry Collector's SkyWalking receiver
//! makes them (`swTraceIDToTraceID` and `segmentIDToSpanID` of its translator), so that spans that came
//! to a backend that way and the sensor's meet; a text that it cannot map names no trace here.

use super::hex::number;
use super::{Decision, Format, Malformed, TraceContext};
use crate::model::{SpanId, TraceId};
use crate::wire::base64;

/// "The length of header value must be less than 2k (default)".
const LENGTH_MAX: usize = 2048;

/// A valid `sw8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sw8 {
    /// The identifiers as the Collector has them, as far as it can map them.
    pub context: TraceContext,
    /// The trace.
    pub trace_id: String,
    /// The sender's part of the trace.
    pub parent_segment_id: String,
    /// The span within that part.
    pub parent_span_id: u32,
}

/// Reads the value of `sw8`.
///
/// ```text
/// 1-TRACEID-SEGMENTID-3-PARENT_SERVICE-PARENT_INSTANCE-PARENT_ENDPOINT-IPPORT
/// sample (0 or 1), and seven more that are all required: texts in Base64, and an integer
/// ```
///
/// # Errors
/// Where it is not exactly that, or a text is empty or not UTF-8.
pub fn sw8(value: &[u8]) -> Result<Sw8, Malformed> {
    if value.len() >= LENGTH_MAX {
        return Err(Malformed);
    }
    let mut parts = value.split(|&byte| byte == b'-');
    let mut part = || parts.next().ok_or(Malformed);
    let decision = match part()? {
        b"0" => Decision::Deny,
        b"1" => Decision::Accept,
        _ => return Err(Malformed),
    };
    let (trace_id, parent_segment_id) = (text(part()?)?, text(part()?)?);
    let parent_span_id = integer(part()?)?;
    for _ in ["service", "instance", "endpoint", "peer"] {
        text(part()?)?;
    }
    if parts.next().is_some() {
        return Err(Malformed);
    }
    let context = TraceContext::new(
        Format::SkyWalking,
        trace(&trace_id),
        span(&parent_segment_id, parent_span_id),
        decision,
    );
    Ok(Sw8 { context, trace_id, parent_segment_id, parent_span_id })
}

fn text(base64: &[u8]) -> Result<String, Malformed> {
    // Not the alphabet for URLs (`-` separates), and padded at its end if at all.
    let digits = base64.strip_suffix(b"==").or(base64.strip_suffix(b"=")).unwrap_or(base64);
    let padded = digits.len() == base64.len() || base64.len().is_multiple_of(4);
    let well = padded && !digits.iter().any(|byte| matches!(byte, b'_' | b'='));
    let bytes = Some(base64).filter(|_| well).and_then(base64::decode);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.is_empty()).ok_or(Malformed)
}

/// "Must be an integer. It begins with 0"; of 32 bits in the protocol.
fn integer(text: &[u8]) -> Result<u32, Malformed> {
    let value = digits(text).and_then(|value| i32::try_from(value).ok());
    value.and_then(|value| u32::try_from(value).ok()).ok_or(Malformed)
}

/// Digits alone, of 63 bits.
fn digits(text: &[u8]) -> Option<u64> {
    let all = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let value: i64 = std::str::from_utf8(text).ok().filter(|_| all)?.parse().ok()?;
    u64::try_from(value).ok()
}

/// A UUID (browsers, Envoy, Python), or `UUID.thread.time` (Java).
fn trace(text: &str) -> Option<TraceId> {
    let bytes = text.as_bytes();
    let id = match bytes.len() {
        // Of the forms of a UUID, those that the Collector takes.
        32 => number(bytes).ok()?,
        36 => uuid(bytes)?,
        _ => mixed(bytes, 0)?,
    };
    TraceId::new(id)
}

/// The two halves of the mixed identifier, mixed with each other.
fn span(segment: &str, span: u32) -> Option<SpanId> {
    let id = u128::from_be_bytes(mixed(segment.as_bytes(), span)?);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let half = (id >> 64) as u64 ^ id as u64;
    SpanId::new(half.to_be_bytes())
}

/// `8-4-4-4-12` digits.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let digits: Vec<u8> = text.iter().copied().filter(|&byte| byte != b'-').collect();
    if digits.len() == 32 { number(&digits).ok() } else { None }
}

/// ```text
/// 56a5e1c519ae4c76a2b8b11d92cead7f[.12.16563474296430001]
/// UUID                             mid  last
///
/// UUID xor (extra: 4 bytes, mid: 4 bytes, last: 8 bytes), each with its lowest byte first
/// ```
fn mixed(text: &[u8], extra: u32) -> Option<[u8; 16]> {
    let (uuid, rest) = text.split_at_checked(32)?;
    let mut id: [u8; 16] = number(uuid).ok()?;
    let mut with = [0; 16];
    with[..4].copy_from_slice(&extra.to_le_bytes());
    if !rest.is_empty() {
        let rest = rest.strip_prefix(b".")?;
        let dot = rest.iter().position(|&byte| byte == b'.')?;
        let (mid, last) = (digits(&rest[..dot])?, digits(&rest[dot + 1..])?);
        with[4..8].copy_from_slice(&mid.to_le_bytes()[..4]);
        with[8..].copy_from_slice(&last.to_le_bytes());
    }
    for (byte, with) in id.iter_mut().zip(with) {
        *byte ^= with;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_numbers() {
        assert_eq!(digits(b"9223372036854775807"), Some(u64::MAX >> 1));
        for bad in [&b""[..], b"-1", b"+1", b"9223372036854775808", b"1.", b" 1"] {
            assert_eq!(digits(bad), None, "{bad:?}");
        }
        assert!(integer(b"2147483647").is_ok() && integer(b"2147483648").is_err());
    }
}
