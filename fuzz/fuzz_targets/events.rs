//! Any bytes are a record of the kernel, or an error; copied bytes lie within the record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::capture::decode::{Decoded, decode};
use sensor::capture::event::Event;

fuzz_target!(|record: &[u8]| {
    match decode(record) {
        Ok(Decoded::Event(Event::Segment(segment))) => {
            assert!(segment.bytes.len() < record.len());
            let end = segment.position.checked_add(segment.bytes.len() as u64);
            assert!(end.and_then(|end| end.checked_add(segment.skipped_after)).is_some());
        }
        Ok(Decoded::Process(process)) => {
            assert!(process.args.len() + process.env.len() < record.len());
        }
        Ok(Decoded::Event(_)) | Err(_) => {}
    }
});
