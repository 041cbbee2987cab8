use std::convert::Infallible;

use zerocopy::{FromBytes as _, FromZeros, IntoBytes};

use super::*;

const UNIX: u8 = Family::Unix as u8;
const INET: u8 = Family::Inet as u8;

/// A record that is told from others by its time.
fn segment(family: u8, time_ns: u64) -> Vec<u8> {
    let mut record = SegmentRecord::new_zeroed();
    record.kind = RecordKind::Segment as u32;
    (record.ident.family, record.time_ns) = (family, time_ns);
    record.as_bytes().to_vec()
}

fn end(family: u8, time_ns: u64) -> Vec<u8> {
    let mut record = EndRecord::new_zeroed();
    record.kind = RecordKind::End as u32;
    (record.ident.family, record.time_ns) = (family, time_ns);
    record.as_bytes().to_vec()
}

fn process(flags: u32, time_ns: u64) -> Vec<u8> {
    let mut record = ProcessRecord::new_zeroed();
    record.kind = RecordKind::Process as u32;
    (record.flags, record.time_ns) = (flags, time_ns);
    record.as_bytes().to_vec()
}

/// Names what comes out: records by their time.
fn name(raw: Raw<'_>) -> String {
    match raw {
        Raw::Record(record) => decode::time(record).unwrap().0.to_string(),
        Raw::Process { process, .. } => format!("process {}", process.tgid.0),
        Raw::Missed => "missed".into(),
        Raw::LogFile { path, .. } => path.to_string(),
        other => panic!("{other:?}"),
    }
}

/// What comes out of one poll: at once, and after the look, which finds so many misses at a time.
/// Whether there was a look is the third.
fn poll(
    doubt: &mut Doubt,
    batch: &[Vec<u8>],
    (calls, until): (u64, u64),
) -> (Vec<String>, Vec<String>, bool) {
    let (mut at_once, mut after, mut looked) = (Vec::new(), Vec::new(), false);
    for record in batch {
        doubt.take(Raw::Record(record), &mut |raw| at_once.push(name(raw)));
    }
    let look = || {
        looked = true;
        Ok::<_, Infallible>(Look { calls, all: calls, until: Monotonic(until) })
    };
    doubt.settle(look, &mut |raw| after.push(name(raw))).unwrap();
    assert!(doubt.held.is_empty() && doubt.bytes.is_empty());
    (at_once, after, looked)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn other_sockets_wait_for_nothing() {
    let mut doubt = Doubt::new(true);
    let exec = process(process_flag::EXEC, 3);
    let out = poll(&mut doubt, &[segment(INET, 1), end(INET, 2), exec], (7, 10));
    assert_eq!(out, (names(&["1", "2", "3"]), vec![], false));
}

#[test]
fn unix_sockets_wait_for_a_look_and_all_keep_their_order() {
    let mut doubt = Doubt::new(true);
    let batch = [segment(INET, 1), segment(UNIX, 2), segment(INET, 3), end(UNIX, 4)];
    let out = poll(&mut doubt, &batch, (0, 10));
    assert_eq!(out, (names(&["1"]), names(&["2", "3", "4"]), true));
    assert_eq!(doubt.dropped(), 0);
}

#[test]
fn after_a_miss_only_unix_sockets_are_dropped() {
    let mut doubt = Doubt::new(true);
    let exit = process(process_flag::EXIT, 4);
    let batch = [segment(UNIX, 1), segment(INET, 2), end(UNIX, 3), exit];
    let out = poll(&mut doubt, &batch, (1, 10));
    assert_eq!(out, (vec![], names(&["missed", "2", "4"]), true));
    assert_eq!(doubt.dropped(), 2);
}

/// The miss may be anywhere in what was in the ring at the look, of which a batch is a part.
#[test]
fn what_is_in_the_ring_still_is_doubtful_too() {
    let mut doubt = Doubt::new(true);
    poll(&mut doubt, &[segment(UNIX, 1)], (1, 10));
    let batch = [segment(UNIX, 9), segment(UNIX, 10), segment(INET, 9)];
    assert_eq!(poll(&mut doubt, &batch, (1, 20)), (names(&["9"]), vec![], false));
    assert_eq!(doubt.dropped(), 3);
    // Made after the look, and no miss since.
    let out = poll(&mut doubt, &[segment(UNIX, 11), segment(UNIX, 8)], (1, 30));
    assert_eq!(out, (vec![], names(&["11"]), true));
    assert_eq!(poll(&mut doubt, &[segment(UNIX, 12)], (2, 40)).1, names(&["missed"]));
    assert_eq!(doubt.dropped(), 5);
}

/// A process that ends answers no more; but its last answer may have been missed.
#[test]
fn the_end_of_a_process_waits_as_well() {
    let mut doubt = Doubt::new(true);
    let exit = process(process_flag::EXIT, 1);
    assert_eq!(poll(&mut doubt, &[exit], (1, 10)), (vec![], names(&["missed", "1"]), true));
}

#[test]
fn who_a_process_is_keeps_its_place() {
    let mut doubt = Doubt::new(true);
    let resource = Arc::new(Resource::default());
    let announce =
        |pid| Raw::Process { process: ProcessKey::undated(pid), exec: false, resource: &resource };
    let mut out = Vec::new();
    doubt.take(announce(1), &mut |raw| out.push(name(raw)));
    assert_eq!(out, names(&["process 1"]));
    doubt.take(Raw::Record(&segment(UNIX, 5)), &mut |_| panic!("held"));
    doubt.take(announce(2), &mut |_| panic!("held"));
    let file = FileId { device: 1, inode: 2, generation: 3 };
    doubt.take(Raw::LogFile { file, path: &"/a.log".into() }, &mut |_| panic!("held"));
    let look = || Ok::<_, Infallible>(Look { calls: 0, all: 0, until: Monotonic(9) });
    doubt.settle(look, &mut |raw| out.push(name(raw))).unwrap();
    assert_eq!(out, names(&["process 1", "5", "process 2", "/a.log"]));
}

fn line(time_ns: u64, cause_flow: u64) -> Vec<u8> {
    let mut record = LineRecord::new_zeroed();
    record.kind = RecordKind::Line as u32;
    (record.time_ns, record.cause_flow, record.cause_position) = (time_ns, cause_flow, 99);
    record.flags = segment_flag::MULTIPLEXES | segment_flag::CAUSE_ALONE;
    record.as_bytes().to_vec()
}

/// Lines are true whatever was missed; what they were written upon may not be.
#[test]
fn lines_keep_their_order_and_lose_doubtful_causes() {
    let mut doubt = Doubt::new(true);
    let out = poll(&mut doubt, &[line(1, 0), segment(UNIX, 2), line(3, 0)], (0, 10));
    assert_eq!(out, (names(&["1"]), names(&["2", "3"]), true));
    let out = poll(&mut doubt, &[segment(UNIX, 4), line(5, 0)], (1, 10));
    assert_eq!(out.1, names(&["missed", "5"]));
    let (mut doubt, mut whole) = (Doubt::new(true), Vec::new());
    for (record, all) in [(line(6, 8), 0), (line(7, 8), 1), (line(11, 8), 1)] {
        let mut note = |raw: Raw<'_>| {
            let Raw::Record(record) = raw else { panic!("{raw:?}") };
            let (record, _) = LineRecord::read_from_prefix(record).unwrap();
            whole.push((record.time_ns, record.cause_flow, record.cause_position, record.flags));
        };
        doubt.take(Raw::Record(&record), &mut note);
        let look = || Ok::<_, Infallible>(Look { calls: 0, all, until: Monotonic(10) });
        doubt.settle(look, &mut note).unwrap();
    }
    const BARE: u32 = segment_flag::MULTIPLEXES;
    const ALONE: u32 = BARE | segment_flag::CAUSE_ALONE;
    assert_eq!(whole, [(6, 8, 99, ALONE), (7, 0, 0, BARE), (11, 8, 99, ALONE)]);
}

#[test]
fn where_nothing_can_be_missed_nothing_waits() {
    let mut doubt = Doubt::new(false);
    let out = poll(&mut doubt, &[segment(UNIX, 1), segment(INET, 2)], (5, 10));
    assert_eq!(out, (names(&["1", "2"]), vec![], false));
}

/// Too short to be a record: that is told further down.
#[test]
fn what_is_no_record_is_passed_on() {
    let mut doubt = Doubt::new(true);
    let mut out = 0;
    for cut in 0..segment(UNIX, 1).len() {
        let record = &segment(UNIX, 1)[..cut.min(80)];
        doubt.take(Raw::Record(record), &mut |_| out += 1);
    }
    assert_eq!(out, size_of::<SegmentRecord>());
}

fn caused(time_ns: u64) -> Vec<u8> {
    let mut record = SegmentRecord::new_zeroed();
    record.kind = RecordKind::Segment as u32;
    record.flags = segment_flag::HAS_SEQ | segment_flag::CAUSE_ALONE;
    (record.ident.family, record.time_ns) = (INET, time_ns);
    (record.cause_flow, record.cause_position) = (77, 99);
    record.as_bytes().to_vec()
}

/// The causes that come out of a poll, by the time of their records; the flags are those of a record.
fn causes(doubt: &mut Doubt, batch: &[Vec<u8>], look: Look) -> Vec<(u64, u64, u64, u32)> {
    let mut out = Vec::new();
    let mut note = |raw: Raw<'_>| {
        if let Raw::Record(record) = raw {
            let (record, _) = SegmentRecord::read_from_prefix(record).unwrap();
            out.push((record.time_ns, record.cause_flow, record.cause_position, record.flags));
        }
    };
    for record in batch {
        doubt.take(Raw::Record(record), &mut note);
    }
    doubt.settle(|| Ok::<_, Infallible>(look), &mut note).unwrap();
    out
}

#[test]
fn causes_are_left_out_where_any_run_was_missed() {
    const BARE: u32 = segment_flag::HAS_SEQ;
    const ALONE: u32 = BARE | segment_flag::CAUSE_ALONE;
    let mut doubt = Doubt::new(true);
    let look = |all, until| Look { calls: 0, all, until: Monotonic(until) };
    let batch = [caused(1), segment(INET, 2), caused(3)];
    let whole = causes(&mut doubt, &batch, look(0, 5));
    assert_eq!(whole, [(1, 77, 99, ALONE), (2, 0, 0, 0), (3, 77, 99, ALONE)]);
    // A wait may have been missed; no record is, whatever its socket.
    let batch = [caused(6), segment(UNIX, 7)];
    assert_eq!(causes(&mut doubt, &batch, look(1, 10)), [(6, 0, 0, BARE), (7, 0, 0, 0)]);
    // What was in the ring then, and what came later.
    let batch = [caused(10), caused(11)];
    let whole = causes(&mut doubt, &batch, look(1, 20));
    assert_eq!(whole, [(10, 0, 0, BARE), (11, 77, 99, ALONE)]);
    assert_eq!(doubt.dropped(), 0);
}
