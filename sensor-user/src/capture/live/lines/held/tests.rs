use zerocopy::{FromBytes as _, FromZeros as _, IntoBytes as _};

use super::*;

const ONE: ProcessKey = ProcessKey::undated(1);
const OTHER: ProcessKey = ProcessKey::undated(2);

fn file(inode: u64) -> FileId {
    FileId { device: 1, inode, generation: 0 }
}

fn take(held: &mut Held, key: ProcessKey, inode: u64, record: &[u8]) -> bool {
    held.take(key, file(inode), record.to_vec(), Instant::now())
}

fn released(held: &mut Held, inode: u64) -> Vec<Vec<u8>> {
    held.release(file(inode)).into_iter().map(|(_, record)| record).collect()
}

#[test]
fn records_of_a_file_keep_their_order() {
    let mut held = Held::default();
    for (key, inode, record) in [(ONE, 7, b"a"), (ONE, 8, b"b"), (OTHER, 7, b"c"), (ONE, 7, b"d")] {
        assert!(take(&mut held, key, inode, record));
    }
    assert!(held.has(file(7)) && held.has_of(OTHER));
    assert_eq!(released(&mut held, 7), [b"a", b"c", b"d"]);
    assert!(!held.has(file(7)) && !held.has_of(OTHER) && held.has_of(ONE));
    assert_eq!(released(&mut held, 7), Vec::<Vec<u8>>::new());
    assert_eq!(released(&mut held, 8), [b"b"]);
    assert!(held.is_empty() && (held.records, held.bytes) == (0, 0));
}

#[test]
fn one_process_has_its_share() {
    let mut held = Held::default();
    let taken = |held: &mut Held, key, len| {
        let record = vec![0; len];
        (0..2 * RECORDS as u64).filter(|&inode| take(held, key, inode, &record)).count()
    };
    assert_eq!(taken(&mut held, ONE, 10), RECORDS / SHARE);
    assert_eq!(taken(&mut held, OTHER, 8192), BYTES / SHARE / 8192);
    let mut others =
        (3..20).map(|key| taken(&mut held, ProcessKey::undated(key), 10)).sum::<usize>();
    others += RECORDS / SHARE + BYTES / SHARE / 8192;
    assert_eq!(others, RECORDS);
    assert_eq!(held.forget(ONE), (RECORDS / SHARE) as u64);
    assert!(take(&mut held, ONE, 1, b"again"));
    assert_eq!(held.clear(), (RECORDS - RECORDS / SHARE + 1) as u64);
    assert!(held.is_empty() && held.of.is_empty());
}

#[test]
fn records_expire() {
    let mut held = Held::default();
    let begun = Instant::now();
    held.take(ONE, file(1), vec![1], begun);
    held.take(ONE, file(2), vec![2], begun + WAIT / 2);
    held.take(ONE, file(1), vec![3], begun + WAIT / 2);
    assert_eq!(held.expire(begun + WAIT / 2), 0);
    assert_eq!(held.expire(begun + WAIT), 2);
    assert_eq!(released(&mut held, 2), [[2]]);
}

#[test]
fn records_of_a_process_are_dropped_with_it() {
    let mut held = Held::default();
    for (key, inode) in [(ONE, 7), (OTHER, 7), (ONE, 8)] {
        take(&mut held, key, inode, &[1]);
    }
    assert_eq!(held.forget(ONE), 2);
    assert!(!held.has(file(8)));
    assert_eq!(held.release(file(7)), [(OTHER, vec![1])]);
}

#[test]
fn a_record_without_evidence() {
    let mut record = LineRecord::new_zeroed();
    record.flags = segment_flag::CAUSE_ALONE | 1;
    (record.goroutine, record.goroutine_parent) = (5, 6);
    (record.cause_flow, record.cause_position) = (7, 8);
    (record.tid, record.lost_records, record.inode) = (9, 10, 11);
    let mut bytes = record.as_bytes().to_vec();
    bytes.extend_from_slice(b"text");
    leave_out_evidence(&mut bytes);
    add_lost(&mut bytes, 32);
    let (after, text) = LineRecord::read_from_prefix(&bytes).unwrap();
    assert_eq!(after.flags, segment_flag::MULTIPLEXES | 1);
    assert_eq!((after.goroutine, after.goroutine_parent), (0, 0));
    assert_eq!((after.cause_flow, after.cause_position), (0, 0));
    assert_eq!((after.tid, after.lost_records, after.inode, text), (9, 42, 11, &b"text"[..]));
    // Too short for a record.
    leave_out_evidence(&mut [0; 3]);
    add_lost(&mut [0; 3], 1);
}
