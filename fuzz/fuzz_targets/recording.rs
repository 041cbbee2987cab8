//! Any file is a recording, or an error that says what is wrong with it; and what can be read can be
//! written again and read back the same.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sensor::capture::recording::{Reader, Writer};
use sensor::capture::{Decoding, Progress, RawSource, Source};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new("fuzz".into(), bytes) else {
        return;
    };
    let mut writer = Writer::new("copy".into(), Vec::new(), reader.header()).expect("memory");
    let mut items = Vec::new();
    // A recording of nothing but empty blocks is idle at each; each takes bytes of the file.
    while let Ok(Progress::Delivered(_) | Progress::Idle) = reader.poll_raw(&mut |raw| {
        items.push(format!("{raw:?}"));
        writer.append(raw).expect("what was read is not too long");
    }) {}

    let (copy, _) = writer.finish().expect("memory");
    let mut again = Vec::new();
    let mut reader = Reader::new("copy".into(), copy.as_slice()).expect("our own header");
    while reader.poll_raw(&mut |raw| again.push(format!("{raw:?}"))).expect("our own blocks")
        != Progress::Finished
    {}
    assert_eq!(items, again);

    let reader = Reader::new("fuzz".into(), bytes).expect("as before");
    let mut events = Decoding::new(reader, Arc::default());
    while let Ok(Progress::Delivered(_) | Progress::Idle) = events.poll(&mut |_| ()) {}
});
