//! Identifiers that a line has, by their shape.

use crate::context::w3c;
use crate::model::{SpanId, TraceId};

/// What a field's value says: a trace, and perhaps a span.
pub(super) type Found = (TraceId, Option<SpanId>);

/// The value of a field whose name is that of a trace id.
///
/// ```text
/// 4bf92f3577b34da6a3ce929d0e0e4736                            128 bits; W3C, B3, Jaeger; perhaps after `0x`
/// a3ce929d0e0e4736                                            64 bits; B3, Jaeger: zeros before them
/// projects/NAME/traces/4bf92f3577b34da6a3ce929d0e0e4736       Google Cloud
/// 1-5759e988-bd862e3fe1be46a994272793                         X-Ray
/// ```
///
/// or a whole [context].
pub(super) fn trace(value: &str) -> Option<Found> {
    let value = without_0x(value);
    if matches!(value.len(), 16 | 32) {
        return Some((hex(value.as_bytes())?, None));
    }
    if let Some(at) = value.rfind("/traces/").filter(|_| value.starts_with("projects/")) {
        let id = value.as_bytes().get(at + 8..).filter(|id| id.len() == 32)?;
        return Some((hex(id)?, None));
    }
    context(value)
}

/// A whole context, as clients send it in one header.
///
/// ```text
/// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01     traceparent (W3C)
/// 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3…   b3 (single header), sentry-trace
/// 4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1       uber-trace-id (Jaeger)
/// Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1           X-Amzn-Trace-Id
/// 1-5759e988-bd862e3fe1be46a994272793@53995c3f42cd8ad8        X-Ray's SDKs, in a log line
/// 4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1      X-Cloud-Trace-Context: the span in decimal
/// ```
pub(super) fn context(value: &str) -> Option<Found> {
    let bytes = value.as_bytes();
    if let Ok(found) = w3c::traceparent(bytes) {
        return Some((found.trace_id, Some(found.parent_id)));
    }
    if value.starts_with("Root=") || value.starts_with("1-") {
        return xray(value);
    }
    let end = bytes.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let id = bytes.get(..end).filter(|id| matches!(id.len(), 16 | 32))?;
    let (rest, mark) = (value.get(end + 1..)?, bytes.get(end)?);
    match mark {
        b'-' => {
            let mut parts = rest.splitn(3, '-');
            let span = span(parts.next()?)?;
            let sampled = parts.next().is_none_or(|it| matches!(it, "0" | "1" | "d"));
            (sampled && parts.next().is_none_or(|it| self::span(it).is_some()))
                .then(|| Some((hex(id)?, Some(span))))?
        }
        b':' => {
            let mut parts = rest.split(':');
            let parent = parts.next()?;
            let four = parts.next().is_some() && parts.next().is_some() && parts.next().is_none();
            four.then(|| Some((hex(id)?, span(parent))))?
        }
        b'/' => {
            let span = rest.split(';').next().and_then(datadog_span);
            (id.len() == 32).then(|| Some((hex(id)?, span)))?
        }
        _ => None,
    }
}

/// X-Ray's, with the segment that is behind it.
fn xray(value: &str) -> Option<Found> {
    let mut parts = value.split([';', '@']);
    let root = parts.next()?;
    let id = root.strip_prefix("Root=").unwrap_or(root).strip_prefix("1-")?;
    let (time, random) =
        id.split_once('-').filter(|(time, random)| time.len() == 8 && random.len() == 24)?;
    let mut digits = [0; 32];
    let (first, second) = digits.split_at_mut(8);
    first.copy_from_slice(time.as_bytes());
    second.copy_from_slice(random.as_bytes());
    let segment = parts.next().and_then(|it| span(it.strip_prefix("Parent=").unwrap_or(it)));
    Some((hex(&digits)?, segment))
}

/// 16 hexadecimal digits, of either case, perhaps after `0x`.
pub(super) fn span(value: &str) -> Option<SpanId> {
    let bytes: &[u8; 16] = without_0x(value).as_bytes().try_into().ok()?;
    let mut id = [0; 8];
    digits(bytes, &mut id)?;
    SpanId::new(id)
}

fn without_0x(value: &str) -> &str {
    value.strip_prefix("0x").unwrap_or(value)
}

/// Datadog's: 64 bits in decimal, or 128 in 32 hexadecimal digits.
pub(super) fn datadog_trace(value: &str) -> Option<TraceId> {
    if value.len() == 32 {
        return hex(value.as_bytes());
    }
    TraceId::new(u128::from(decimal(value)?).to_be_bytes())
}

/// 64 bits in decimal.
pub(super) fn datadog_span(value: &str) -> Option<SpanId> {
    SpanId::new(decimal(value)?.to_be_bytes())
}

fn decimal(value: &str) -> Option<u64> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

/// 16 or 32 digits, with zeros before them.
fn hex(text: &[u8]) -> Option<TraceId> {
    let mut id = [0; 16];
    let at = id.len().checked_sub(text.len() / 2)?;
    digits(text, id.get_mut(at..)?)?;
    TraceId::new(id)
}

fn digits(text: &[u8], to: &mut [u8]) -> Option<()> {
    for (place, pair) in to.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        // Both are below 16.
        *place = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    fn of(id: u128, span: u64) -> Option<Found> {
        Some((TraceId::new(id.to_be_bytes()).unwrap(), SpanId::new(span.to_be_bytes())))
    }

    #[test]
    fn shapes() {
        for (value, found) in [
            ("4bf92f3577b34da6a3ce929d0e0e4736", of(ID, 0)),
            ("4BF92F3577B34DA6A3CE929D0E0E4736", of(ID, 0)),
            ("a3ce929d0e0e4736", of(ID & u128::from(u64::MAX), 0)),
            ("projects/shop/traces/4bf92f3577b34da6a3ce929d0e0e4736", of(ID, 0)),
            ("1-4bf92f35-77b34da6a3ce929d0e0e4736", of(ID, 0)),
            ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1", of(ID, 0)),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                of(ID, 0xf0_67aa_0ba9_02b7),
            ),
            ("4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1", of(ID, 0xf0_67aa_0ba9_02b7)),
            ("0x4bf92f3577b34da6a3ce929d0e0e4736", of(ID, 0)),
            // B3's documentation: one header, with and without its last parts.
            ("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", of(ID, 0xf0_67aa_0ba9_02b7)),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90",
                of(ID, 0xf0_67aa_0ba9_02b7),
            ),
            (
                "a3ce929d0e0e4736-00f067aa0ba902b7-d",
                of(ID & u128::from(u64::MAX), 0xf0_67aa_0ba9_02b7),
            ),
            ("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-x", None),
            (
                "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1",
                of(ID, 0xf0_67aa_0ba9_02b7),
            ),
            ("1-4bf92f35-77b34da6a3ce929d0e0e4736@00f067aa0ba902b7", of(ID, 0xf0_67aa_0ba9_02b7)),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1",
                of(ID, 67_667_974_448_284_343),
            ),
            // Section 3.2.4 of W3C's: a later version may go on.
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-next",
                of(ID, 0xf0_67aa_0ba9_02b7),
            ),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-01", None),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", None),
            ("1-4bf92f3577b34da6a3ce929d0e0e4736", None),
            ("00000000000000000000000000000000", None),
            ("0000000000000000", None),
            ("4bf92f3577b34da6a3ce929d0e0e473", None),
            ("4bf92f3577b34da6a3ce929d0e0e4736a", None),
            ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", None),
            ("4bf92f3577b34da6a3ce929d0e0e473g", None),
            ("", None),
            ("1-é234567-7b34da6a3ce929d0e0e47361", None),
        ] {
            assert_eq!(trace(value), found, "{value}");
        }
        assert_eq!(span("00f067aa0ba902b7"), SpanId::new(0xf0_67aa_0ba9_02b7_u64.to_be_bytes()));
        assert_eq!(span("0000000000000000"), None);
        assert_eq!(span("00f067aa0ba902b"), None);
        // The first example of Datadog's documentation: decimal, of 64 bits.
        let id = TraceId::new(12_379_814_468_735_227_512_u128.to_be_bytes());
        assert_eq!(datadog_trace("12379814468735227512"), id);
        assert_eq!(datadog_trace("99999999999999999999"), None);
        assert_eq!(datadog_trace("0"), None);
        assert_eq!(
            datadog_span("6023947403358210776"),
            SpanId::new(6_023_947_403_358_210_776_u64.to_be_bytes())
        );
    }
}
