use super::*;

/// What an extent gives on a stream that has come to `at`.
fn lay<'a>(at: u64, extent: Extent<'a>) -> (Vec<(u64, Piece<'a>)>, Missing, u64) {
    let mut track = Track { expected: at };
    let mut pieces = Vec::new();
    let missing = track.advance(&extent, |position, piece| pieces.push((position, piece)));
    (pieces, missing, track.expected)
}

#[test]
fn contiguous_bytes_then_body() {
    let extent = Extent { position: 10, bytes: b"abc", skipped_after: 7, ..Extent::default() };
    let (pieces, missing, end) = lay(10, extent);
    assert_eq!(pieces, [(10, Piece::Bytes(b"abc")), (13, Piece::Skip(7))]);
    assert_eq!((missing, end), (Missing::default(), 20));
}

#[test]
fn body_passed_over_before_is_not_a_gap() {
    let extent = Extent { position: 15, skipped_before: 5, bytes: b"x", ..Extent::default() };
    let (pieces, missing, _) = lay(10, extent);
    assert_eq!(pieces, [(10, Piece::Skip(5)), (15, Piece::Bytes(b"x"))]);
    assert_eq!(missing, Missing::default());
}

#[test]
fn anything_beyond_that_is_a_gap_and_body_in_it_cannot_be_placed() {
    let extent = Extent { position: 18, skipped_before: 5, bytes: b"x", ..Extent::default() };
    let (pieces, missing, _) = lay(10, extent);
    assert_eq!(pieces, [(10, Piece::Lost(8)), (18, Piece::Bytes(b"x"))]);
    assert_eq!(missing, Missing { gaps: 1, bytes: 3 });
}

#[test]
fn body_whose_records_were_lost_is_of_unknown_time() {
    let extent = Extent { position: 15, skipped_before: 5, lost_records: 1, ..Extent::default() };
    let (pieces, missing, _) = lay(10, extent);
    assert_eq!(pieces, [(10, Piece::Lost(5))]);
    assert_eq!(missing, Missing::default());
}

#[test]
fn unreadable_bytes_are_a_gap() {
    let extent = Extent {
        position: 0,
        bytes: b"GE",
        skipped_after: 4,
        unreadable_after: true,
        ..Extent::default()
    };
    let (pieces, missing, end) = lay(0, extent);
    assert_eq!(pieces, [(0, Piece::Bytes(b"GE")), (2, Piece::Lost(4))]);
    assert_eq!((missing, end), (Missing { gaps: 1, bytes: 4 }, 6));
}

#[test]
fn what_was_seen_is_left_out() {
    let extent = Extent { position: 8, bytes: b"abcd", skipped_after: 2, ..Extent::default() };
    let (pieces, ..) = lay(10, extent);
    assert_eq!(pieces, [(10, Piece::Bytes(b"cd")), (12, Piece::Skip(2))]);
    // The bytes, and a part of what follows them, were seen.
    let (pieces, _, end) = lay(13, extent);
    assert_eq!((pieces, end), (vec![(13, Piece::Skip(1))], 14));
    let (pieces, missing, end) = lay(100, extent);
    assert_eq!((pieces, missing, end), (vec![], Missing::default(), 100));
}

#[test]
fn positions_at_the_end_of_the_range() {
    let extent = Extent {
        position: u64::MAX,
        bytes: b"ab",
        skipped_after: u64::MAX,
        skipped_before: u64::MAX,
        ..Extent::default()
    };
    let (_, _, end) = lay(3, extent);
    assert_eq!(end, u64::MAX);
}
