use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;
use sensor_ebpf::abi::{LineRecord, RecordKind, SegmentRecord, UnixPathRecord};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::*;

/// What is in a ring; shared, so that more can come while it is read.
#[derive(Clone, Default)]
struct Fake {
    records: Rc<RefCell<VecDeque<Vec<u8>>>>,
    /// Behind these, one that is being written.
    busy: Rc<Cell<bool>>,
}

impl Records for Fake {
    type Record<'a> = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.records.borrow_mut().pop_front()
    }

    fn is_busy(&self) -> bool {
        self.busy.get()
    }
}

fn segment(time_ns: u64) -> Vec<u8> {
    let mut record = SegmentRecord::new_zeroed();
    (record.kind, record.time_ns) = (RecordKind::Segment as u32, time_ns);
    record.as_bytes().to_vec()
}

fn line(time_ns: u64) -> Vec<u8> {
    let mut record = LineRecord::new_zeroed();
    (record.kind, record.time_ns) = (RecordKind::Line as u32, time_ns);
    record.as_bytes().to_vec()
}

/// `s` or `l` and its time; `path` for a Unix socket's path.
fn name(record: &[u8]) -> String {
    let kind = u32::from_ne_bytes(*record.first_chunk().unwrap());
    match (decode::time(record), kind) {
        (Some(time), kind) if kind == RecordKind::Line as u32 => format!("l{}", time.0),
        (Some(time), _) => format!("s{}", time.0),
        (None, _) => "path".into(),
    }
}

fn drain(merged: &mut Merged<Fake>) -> Vec<String> {
    let mut names = Vec::new();
    while merged.next(&mut |record| names.push(name(record))) {}
    names
}

fn rings() -> (Fake, Fake, Merged<Fake>) {
    let (main, lines) = (Fake::default(), Fake::default());
    let merged = Merged::new(main.clone(), Some(lines.clone()));
    (main, lines, merged)
}

#[test]
fn by_time_and_at_the_same_time_the_main_ring_first() {
    let (main, lines, mut merged) = rings();
    main.records.borrow_mut().extend([segment(1), segment(4), segment(5), segment(9)]);
    lines.records.borrow_mut().extend([line(2), line(3), line(5), line(7), line(10)]);
    let expected = ["s1", "l2", "l3", "s4", "s5", "l5", "l7", "s9", "l10"];
    assert_eq!(drain(&mut merged), expected);
    assert!(!merged.waits());
}

/// The path of a Unix socket has no time, and comes before the segment that it belongs to.
#[test]
fn records_without_a_time_stay_in_front_of_what_follows_them() {
    let (main, lines, mut merged) = rings();
    let mut path = UnixPathRecord::new_zeroed();
    path.kind = RecordKind::UnixPath as u32;
    main.records.borrow_mut().extend([segment(1), path.as_bytes().to_vec(), segment(8)]);
    lines.records.borrow_mut().push_back(line(5));
    assert_eq!(drain(&mut merged), ["s1", "path", "l5", "s8"]);
}

#[test]
fn a_line_waits_for_a_record_that_is_being_written() {
    let (main, lines, mut merged) = rings();
    main.busy.set(true);
    lines.records.borrow_mut().push_back(line(5));
    assert_eq!(drain(&mut merged), [""; 0]);
    assert!(merged.waits());
    main.records.borrow_mut().extend([segment(3), segment(4), segment(6)]);
    assert_eq!(drain(&mut merged), ["s3", "s4", "l5", "s6"]);
    // Nothing waits for lines.
    main.records.borrow_mut().push_back(segment(7));
    assert_eq!(drain(&mut merged), ["s7"]);
}

#[test]
fn what_is_left_is_counted_with_what_waits() {
    let (main, lines, mut merged) = rings();
    main.records.borrow_mut().extend([segment(5), segment(6)]);
    lines.records.borrow_mut().extend([line(1), line(2), line(9)]);
    // The first segment has been taken, and waits.
    assert!(merged.next(&mut |record| assert_eq!(name(record), "l1")));
    assert_eq!(merged.abandon(), (2, 2));
    assert!(!merged.waits() && drain(&mut merged).is_empty());
}

#[test]
fn without_lines_there_is_one_ring() {
    let main = Fake::default();
    main.records.borrow_mut().extend([segment(2), segment(1)]);
    let mut merged = Merged::new(main, None);
    assert_eq!(drain(&mut merged), ["s2", "s1"]);
}

proptest! {
    /// Whenever what comes is looked at, no line comes before a record of the main ring that was earlier and
    /// there; each ring keeps its order; and nothing is left out.
    #[test]
    fn no_line_before_what_was_earlier(
        steps in prop::collection::vec((any::<bool>(), 0..3_u64, 0..3_usize), 0..60),
    ) {
        let (main, lines, mut merged) = rings();
        let (mut now, mut out, mut all) = (0, Vec::new(), Vec::new());
        for (is_line, later, polls) in steps {
            now += later;
            let (ring, record) =
                if is_line { (&lines, line(now)) } else { (&main, segment(now)) };
            all.push(name(&record));
            ring.records.borrow_mut().push_back(record);
            for _ in 0..polls {
                merged.next(&mut |record| out.push(name(record)));
            }
        }
        out.extend(drain(&mut merged));
        let of = |kind: char, names: &[String]| -> Vec<String> {
            names.iter().filter(|name| name.starts_with(kind)).cloned().collect()
        };
        prop_assert_eq!(of('s', &out), of('s', &all));
        prop_assert_eq!(of('l', &out), of('l', &all));
        let time = |name: &String| name[1..].parse::<u64>().unwrap();
        for (at, line) in out.iter().enumerate().filter(|(_, name)| name.starts_with('l')) {
            // All records come at once here, so that what comes out later was there or is later.
            prop_assert!(of('s', &out[at..]).iter().all(|it| time(it) >= time(line)));
        }
    }
}
