//! Any file is a packet capture, or an error that says what is wrong with it; each direction's
//! positions only go forward, and no bytes come twice.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sensor::capture::event::Event;
use sensor::capture::pcap::Pcap;
use sensor::capture::{Progress, Source};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut source) = Pcap::new("fuzz".into(), bytes, Arc::default()) else {
        return;
    };
    let mut ends = HashMap::new();
    while let Ok(Progress::Delivered(_) | Progress::Idle) = source.poll(&mut |event| {
        if let Event::Segment(segment) = event {
            let end = ends.entry((segment.flow.id, segment.direction)).or_insert(0);
            assert!(segment.position >= *end);
            *end = segment.position + segment.bytes.len() as u64 + segment.skipped_after;
        }
    }) {}
});
