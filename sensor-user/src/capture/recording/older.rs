//! Records of version 3 of the ABI, which had no fields that tell processes with the same id apart:
//! here they are zero, which means unknown.

use std::borrow::Cow;
use std::mem::offset_of;

use sensor_ebpf::abi::{
    EndRecord, GoStreamRecord, LineRecord, ProcessRecord, RecordKind, SegmentRecord,
};

/// The version.
pub(super) const ABI_OLDER: u32 = 3;

/// `record` as today's ABI has it.
pub(super) fn upgraded(record: &[u8]) -> Cow<'_, [u8]> {
    const SEGMENT: u32 = RecordKind::Segment as u32;
    const END: u32 = RecordKind::End as u32;
    const PROCESS: u32 = RecordKind::Process as u32;
    const GO_STREAM: u32 = RecordKind::GoStream as u32;
    const LINE: u32 = RecordKind::Line as u32;

    let kind = record.first_chunk().map_or(0, |word| u32::from_ne_bytes(*word));
    // Where the new fields begin, and where what was there before goes on.
    let (at, end) = match kind {
        SEGMENT => (offset_of!(SegmentRecord, start_ns), offset_of!(SegmentRecord, position)),
        END => (offset_of!(EndRecord, start_ns), offset_of!(EndRecord, position)),
        PROCESS => (offset_of!(ProcessRecord, start_ns), offset_of!(ProcessRecord, cgroup)),
        GO_STREAM => (offset_of!(GoStreamRecord, start_ns), size_of::<GoStreamRecord>()),
        LINE => (offset_of!(LineRecord, start_ns), offset_of!(LineRecord, fd)),
        _ => return Cow::Borrowed(record),
    };
    // One that is too short stays so.
    let Some((before, after)) = record.split_at_checked(at) else {
        return Cow::Borrowed(record);
    };
    Cow::Owned([before, &vec![0; end - at], after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::decode::{Decoded, decode};
    use crate::capture::event::Event;

    /// The sizes of version 3, kind by kind, and what a record of that size becomes.
    #[test]
    fn records_of_version_3_have_their_fields() {
        let sizes = [
            (RecordKind::Segment, 168, size_of::<SegmentRecord>()),
            (RecordKind::End, 152, size_of::<EndRecord>()),
            (RecordKind::UnixPath, 144, 144),
            (RecordKind::Process, 56, size_of::<ProcessRecord>()),
            (RecordKind::GoStream, 48, size_of::<GoStreamRecord>()),
            (RecordKind::Line, 96, size_of::<LineRecord>()),
        ];
        for (kind, old, new) in sizes {
            let record = [&(kind as u32).to_ne_bytes()[..], &vec![0; old - 4]].concat();
            assert_eq!(upgraded(&record).len(), new, "{kind:?}");
            assert_eq!(upgraded(&record[..4]).as_ref(), &record[..4], "{kind:?}");
        }
    }

    /// `kind, stream, time, flow, goroutine, its parent, process, zero`.
    #[test]
    fn what_was_there_is_still_there() {
        let mut record = Vec::new();
        record.extend([5u32, 7].iter().flat_map(|word| word.to_ne_bytes()));
        record.extend([4_000u64, 9, 34, 33].iter().flat_map(|word| word.to_ne_bytes()));
        record.extend([42u32, 0].iter().flat_map(|word| word.to_ne_bytes()));
        let upgraded = upgraded(&record);
        let Ok(Decoded::Event(Event::GoStream(stream))) = decode(&upgraded) else {
            panic!("a stream")
        };
        assert_eq!((stream.stream, stream.time.0, stream.flow.0), (7, 4_000, 9));
        assert_eq!((stream.process.tgid.0, stream.process.start.0), (42, 0));

        // A segment's `position` came straight after the thread's id.
        let mut record = vec![0; 168];
        record[..4].copy_from_slice(&1u32.to_ne_bytes());
        record[16] = 1; // flow
        record[80] = 1; // family
        record[88..92].copy_from_slice(&42u32.to_ne_bytes());
        record[92..96].copy_from_slice(&43u32.to_ne_bytes());
        record[96] = 100; // position
        let upgraded = super::upgraded(&record);
        let Ok(Decoded::Event(Event::Segment(segment))) = decode(&upgraded) else {
            panic!("a segment")
        };
        assert_eq!((segment.process.tgid.0, segment.caller.tid), (42, 43));
        assert_eq!(segment.position, 100);
    }
}
