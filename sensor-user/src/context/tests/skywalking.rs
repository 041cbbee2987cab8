use super::*;
use crate::context::skywalking::{Sw8, sw8};

/// As apache-skywalking for Python writes it.
const GOLDEN: &str = "1-NTZhNWUxYzUxOWFlNGM3NmEyYjhiMTFkOTJjZWFkN2YuMTIuMTY1NjM0NzQyOTY0MzAwMDE=-\
                      NGYyZjI3NzQ4YjhlNDRlY2FmMThmZTAzNDcxOTRlODYuMzMuMTY1NjA2MDczNjk5NTAwNjY=-123-\
                      c2hvcA==-YUAxOTIuMC4yLjE=-L29yZGVycw==-MTkyLjAuMi4yOjgwODA=";

#[test]
fn what_an_agent_writes() {
    let Sw8 { context, trace_id, parent_segment_id, parent_span_id } =
        sw8(GOLDEN.as_bytes()).unwrap();
    assert_eq!(trace_id, "56a5e1c519ae4c76a2b8b11d92cead7f.12.16563474296430001");
    assert_eq!(parent_segment_id, "4f2f27748b8e44ecaf18fe0347194e86.33.16560607369950066");
    assert_eq!(parent_span_id, 123);
    assert_eq!(context.decision, Decision::Accept);
    // Test_segmentIdToSpanId of the Collector's translator has this segment and span.
    let parent = [233, 196, 85, 168, 37, 66, 48, 106];
    assert_eq!(context.parent_id.unwrap().bytes(), parent);
    let denied = sw8(format!("0{}", &GOLDEN[1..]).as_bytes()).unwrap();
    assert_eq!(denied.context.decision, Decision::Deny);
}

/// Base64 as RFC 4648 section 4 has it.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let place = (bits >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= chunk.len() { char::from(DIGITS[place]) } else { '=' });
        }
    }
    out
}

fn with(trace: &str, segment: &str, span: &str) -> Result<Sw8, Malformed> {
    let rest = ["shop", "a", "/", "b:80"].map(base64).join("-");
    sw8(format!("1-{}-{}-{span}-{rest}", base64(trace), base64(segment)).as_bytes())
}

/// Test_stringToTraceID and Test_segmentIdToSpanId of opentelemetry-collector-contrib,
/// pkg/translator/skywalking/skywalkingproto_to_traces_test.go.
#[test]
fn ids_are_mapped_as_the_collector_does() {
    let uuid = [222, 89, 128, 184, 252, 227, 74, 55, 170, 185, 180, 172, 58, 247, 238, 221];
    let java = [222, 89, 128, 184, 253, 227, 74, 55, 27, 228, 27, 205, 94, 47, 212, 221];
    for (trace, expected) in [
        ("de5980b8-fce3-4a37-aab9-b4ac3af7eedd", Some(uuid)),
        ("de5980b8fce34a37aab9b4ac3af7eedd", Some(uuid)),
        ("de59", None),
        ("de5980b8fce34a37aab9b4ac3af7eedd.1.16563474296430001", Some(java)),
        (".,<>?/-=+MNop", None),
        // Not numbers, too large, too many, of another form, zero.
        ("de5980b8fce34a37aab9b4ac3af7eedd.a.16563474296430001", None),
        ("de5980b8fce34a37aab9b4ac3af7eedd.-1.16563474296430001", None),
        ("de5980b8fce34a37aab9b4ac3af7eedd.1.99999999999999999999", None),
        ("de5980b8fce34a37aab9b4ac3af7eedd.1.2.16563474296430001", None),
        ("de5980b8fce34a37aab9b4ac3af7eedd.16563474296430001", None),
        ("de5980b8_fce3_4a37_aab9_b4ac3af7eedd", None),
        ("de5980b8-fce3-4a37-aab9-b4ac3af7ee-d", None),
        ("00000000000000000000000000000000", None),
    ] {
        let context = with(trace, "4f2f27748b8e44ecaf18fe0347194e86", "1").unwrap().context;
        assert_eq!(context.trace_id.map(|id| id.bytes()), expected, "{trace}");
        // There is no parent without a trace.
        assert_eq!(context.parent_id.is_some(), expected.is_some(), "{trace}");
    }
    for (segment, span, expected) in [
        (
            "4f2f27748b8e44ecaf18fe0347194e86.33.16560607369950066",
            "123",
            Some([233, 196, 85, 168, 37, 66, 48, 106]),
        ),
        ("4f2f27748b8e44ecaf18fe0347194e86", "123", Some([155, 55, 217, 119, 204, 151, 10, 106])),
        ("16560607369950066", "12", None),
        (".,<>?/-=+MNop", "2", None),
    ] {
        let read = with("de5980b8fce34a37aab9b4ac3af7eedd", segment, span).unwrap();
        assert_eq!(read.parent_segment_id, segment);
        assert_eq!(read.context.parent_id.map(|id| id.bytes()), expected, "{segment}");
    }
}

#[test]
fn malformed() {
    let parts: Vec<&str> = GOLDEN.split('-').collect();
    for count in 0..8 {
        assert_eq!(sw8(parts[..count].join("-").as_bytes()), Err(Malformed), "{count} parts");
    }
    assert_eq!(sw8(format!("{GOLDEN}-").as_bytes()), Err(Malformed));
    for at in 0..8 {
        for bad in ["", "-", "_", "2", "=", "/w==", "YQ=", "Y Q="] {
            let mut parts = parts.clone();
            parts[at] = bad;
            // A number is a number.
            if !(at == 3 && bad == "2") {
                assert_eq!(sw8(parts.join("-").as_bytes()), Err(Malformed), "{bad} at {at}");
            }
        }
    }
    for span in ["-1", "+1", "1.0", "0x1", "2147483648", " 1"] {
        let trace = "de5980b8fce34a37aab9b4ac3af7eedd";
        assert_eq!(with(trace, trace, span), Err(Malformed), "{span}");
    }
    let long = with(&"x".repeat(1400), "segment", "0");
    assert!(long.is_ok());
    assert_eq!(with(&"x".repeat(1600), "segment", "0"), Err(Malformed));
}
