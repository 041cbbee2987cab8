//! `grpc-trace-bin`: the trace context of OpenCensus, in its binary encoding
//! (<https://github.com/census-instrumentation/opencensus-specs/blob/master/encodings/BinaryEncoding.md>),
//! which older gRPC libraries send in place of `traceparent`.

use super::Malformed;
use super::w3c::Traceparent;
use crate::model::{SpanId, TraceFlags, TraceId};

/// Reads the value of the field, without the Base64 around it.
///
/// ```text
/// version 0 | 0, trace-id (16) | 1, span-id (8) | 2, trace-options (1)
/// ```
///
/// # Errors
/// Where it is not that, or has an identifier that is all zero.
pub fn grpc_trace_bin(value: &[u8]) -> Result<Traceparent, Malformed> {
    let rest = value.strip_prefix(&[0, 0]).ok_or(Malformed)?;
    let (trace_id, rest) = rest.split_first_chunk().ok_or(Malformed)?;
    let rest = rest.strip_prefix(&[1]).ok_or(Malformed)?;
    let (parent_id, rest) = rest.split_first_chunk().ok_or(Malformed)?;
    let &[2, flags] = rest else { return Err(Malformed) };
    Ok(Traceparent {
        trace_id: TraceId::new(*trace_id).ok_or(Malformed)?,
        parent_id: SpanId::new(*parent_id).ok_or(Malformed)?,
        // Only the lowest bit is defined: sampled.
        flags: TraceFlags(flags & 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_example() {
        let value = [
            0, 0, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 1, 97, 98, 99,
            100, 101, 102, 103, 104, 2, 1,
        ];
        let context = grpc_trace_bin(&value).unwrap();
        assert_eq!(context.trace_id.to_string(), "404142434445464748494a4b4c4d4e4f");
        assert_eq!(context.parent_id.to_string(), "6162636465666768");
        assert_eq!(context.flags.0, 1);
        for length in 0..value.len() {
            assert_eq!(grpc_trace_bin(&value[..length]), Err(Malformed));
        }
        for at in [0, 1, 18, 27] {
            let mut bad = value;
            bad[at] = 9;
            assert_eq!(grpc_trace_bin(&bad), Err(Malformed));
        }
        let mut zero = value;
        zero[2..18].fill(0);
        assert_eq!(grpc_trace_bin(&zero), Err(Malformed));
    }
}
