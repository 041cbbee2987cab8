//! Records of a log, in whatever format, from one stream: each says something, no key twice, no empty value, and no
//! more fields than there may be; and what is told of one that breaks the schema is the line as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::logs::format::{Formats, Limits};
use sensor::model::Value;

/// 2026-11-21T13:28:04Z
const OBSERVED: u64 = 1_795_267_684_000_000_000;

fuzz_target!(|input: &[u8]| {
    let mut formats = Formats::default();
    // A record may have several lines: those are between zeros.
    for text in input.split(|byte| *byte == 0) {
        let parsed = formats.read(text, OBSERVED);
        // With what is counted of what is left out.
        assert!(parsed.attributes.len() <= Limits::default().fields + 2);
        for (at, attribute) in parsed.attributes.iter().enumerate() {
            assert!(parsed.attributes[..at].iter().all(|before| before.key != attribute.key));
            assert!(!attribute.key.is_empty());
            assert!(!matches!(&attribute.value, Value::Str(text) if text.is_empty()));
            assert!(!matches!(&attribute.value, Value::Double(number) if !number.is_finite()));
        }
        if parsed.breach.is_some() {
            let came = String::from_utf8_lossy(text);
            assert!(came.contains(parsed.message.as_str()));
        }
        let _cut = formats.read_cut(text, OBSERVED);
    }
});
