//! Nothing is joined across a loss.

use super::*;

#[test]
fn a_line_before_a_loss_and_the_one_after_are_incomplete() {
    let mut desk = Desk::new();
    desk.write(1, b"one");
    desk.lost_records = 1;
    desk.write(1, b"two\nthree\n");
    assert_eq!(marked(&desk.end()), ["one?", "two?", "three"]);
}

#[test]
fn what_is_lost_of_a_call_is_cut() {
    let mut desk = Desk::new();
    let written = desk.written(1, b"one\ntwo");
    desk.take(&Written { lost_after: 100, ..written });
    desk.write(1, b"three\nfour\n");
    let counted = desk.count(Counter::LogLostBytes);
    let out = desk.end();
    assert_eq!(marked(&out), ["one", "two?", "three?", "four"]);
    let cut: Vec<u64> = out.iter().map(|it| it.cut).collect();
    assert_eq!((cut, counted), (vec![0, 100, 0, 0], 100));
}

#[test]
fn a_part_of_a_call_that_is_lost() {
    let mut desk = Desk::new();
    desk.write(1, b"one\n");
    desk.lost_records = 1;
    let written = desk.written(1, b"of two\nthree\n");
    desk.take(&Written { continues: true, ..written });
    // The first was whole. What the second is the end of is lost.
    assert_eq!(marked(&desk.end()), ["one", "of two?", "three"]);
}

#[test]
fn where_nobody_writes_in_pieces_a_loss_is_of_lines() {
    let mut desk = Desk::new();
    desk.write(1, b"one\n");
    desk.lost_records = 7;
    desk.write(1, b"two\n");
    desk.write(2, b"three\n");
    assert_eq!(marked(&desk.end()), ["one", "two", "three"]);
}

#[test]
fn where_lines_are_written_in_pieces_the_lost_may_have_begun_one() {
    let mut desk = Desk::new();
    desk.write(1, b"one");
    desk.write(1, b"\n");
    desk.lost_records = 1;
    desk.write(2, b"two\n");
    desk.write(3, b"2026-01-02 03:04:05 three\n");
    desk.wait(1000);
    desk.write(4, b"four\n");
    let out = desk.end();
    assert_eq!(marked(&out), ["one", "two?", "2026-01-02 03:04:05 three", "four"]);
}

#[test]
fn a_trace_is_not_gone_on_with_after_a_loss() {
    let mut desk = Desk::new();
    desk.write(1, b"java.lang.Error: one\n");
    desk.write(1, b"\tat a.b(c)\n");
    desk.lost_records = 1;
    desk.write(1, b"\tat d.e(f)\n");
    assert_eq!(marked(&desk.end()), ["java.lang.Error: one\n\tat a.b(c)?", "\tat d.e(f)"]);
}

#[test]
fn a_flushed_buffer_is_not_gone_on_with_after_a_loss() {
    let mut desk = Desk::new();
    desk.write(1, b"one\ntw");
    desk.lost_records = 1;
    desk.write(2, b"ree\nfour\n");
    desk.write(1, b"five\n");
    assert_eq!(marked(&desk.end()), ["one", "tw?", "ree?", "four", "five?"]);
}
