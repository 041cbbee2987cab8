//! Lines: their ends, their parts, who goes on with them, and their bounds.

use super::*;

const LOG: &str = "2026-01-02 03:04:05 INFO ";

#[test]
fn a_line_ends_with_its_end() {
    let mut desk = Desk::new();
    desk.write(1, b"one\ntwo\r\n\n\r\n\r\r\nbar \r 50% \r100%\nthree");
    let out = desk.end();
    assert_eq!(marked(&out), ["one", "two", "\r", "bar \r 50% \r100%", "three?"]);
}

#[test]
fn empty_lines_are_counted() {
    let mut desk = Desk::new();
    desk.write(1, b"\n\r\none\n\n");
    assert_eq!(desk.count(Counter::LogLinesEmpty), 3);
    assert_eq!(desk.texts(), ["one"], "an empty line ends a record");
    assert_eq!(desk.count(Counter::LogLineEndBytes), 5);
    desk.end();
}

#[test]
fn parts_are_joined() {
    let mut desk = Desk::new();
    for part in ["o", "n", "e\r", "\ntw", "o", "\n"] {
        desk.write(1, part.as_bytes());
    }
    assert_eq!(marked(&desk.end()), ["one", "two"]);
}

#[test]
fn the_first_byte_says_when_and_whose() {
    let mut desk = Desk::new();
    desk.write(1, b"o");
    desk.now += 5 * MS;
    desk.write(1, b"ne\ntwo\n");
    let out = desk.end();
    let times: Vec<u64> = out.iter().map(|it| it.time.0 / MS).collect();
    assert_eq!((times, out[0].with, out[0].stream), (vec![1000, 1005], 1, LogStream::Stderr));
    assert_eq!((out[0].flushed, out[1].flushed), (false, true));
}

#[test]
fn what_comes_in_one_call_with_others_is_flushed() {
    for (call, flushed) in [
        ("{\"a\":1}\n{\"a\":2}\n", vec![true, true]),
        ("{\"a\":3}\n\n", vec![false]),
        ("four\nfive\n", vec![true, true]),
        ("java.lang.Error: six\n\tat a.b(c)\n", vec![false]),
    ] {
        let mut desk = Desk::new();
        desk.write(1, call.as_bytes());
        assert_eq!(doubts(&desk.end()), flushed, "{call}");
    }
}

#[test]
fn an_unfinished_line_is_handed_over_after_a_second() {
    let mut desk = Desk::new();
    desk.write(1, b"Loading...");
    desk.wait(999);
    assert_eq!(desk.texts(), [""; 0]);
    desk.wait(1);
    assert_eq!(marked(&desk.out), ["Loading...?"]);
    // What it goes on with is not a line of its own, as far as is known.
    desk.write(1, b" done\nnext\n");
    assert_eq!(marked(&desk.end()), ["Loading...?", " done?", "next"]);
}

#[test]
fn two_that_write_in_pieces_are_kept_apart() {
    let mut desk = Desk::new();
    for (tid, part) in [(1, "to"), (2, "be"), (1, "day"), (2, "fore"), (2, "\n"), (1, "\n")] {
        desk.write(tid, part.as_bytes());
    }
    // By what the file has (`tobedayfore`), they might be one.
    assert_eq!(marked(&desk.end()), ["today~", "before~"]);
}

#[test]
fn goroutines_are_their_own_proof() {
    let mut desk = Desk::new();
    for (id, part) in [(1, "to"), (2, "be"), (1, "day"), (2, "fore\n"), (1, "\n")] {
        desk.go(id, part.as_bytes());
    }
    assert_eq!(marked(&desk.end()), ["today", "before"]);
}

#[test]
fn what_begins_like_a_record_is_its_own_proof() {
    let mut desk = Desk::new();
    desk.write(1, b"to");
    desk.write(2, format!("{LOG}b\n").as_bytes());
    desk.write(1, b"day\n");
    assert_eq!(marked(&desk.end()), ["today", &format!("{LOG}b")]);
}

#[test]
fn a_line_of_another_within_a_line() {
    let mut desk = Desk::new();
    desk.write(1, b"to");
    desk.write(2, b"before\n");
    desk.write(1, b"day\n");
    desk.write(2, b"later\n");
    assert_eq!(marked(&desk.end()), ["today~", "before~", "later"]);
}

#[test]
fn a_line_end_alone_ends_the_line_that_the_file_has() {
    // A task that is moved between the threads of a pool.
    let mut desk = Desk::new();
    for (tid, part) in [(1, "one"), (2, "\n"), (1, "two"), (3, "\r\n"), (1, "three"), (1, "\n")] {
        desk.write(tid, part.as_bytes());
    }
    assert_eq!(marked(&desk.end()), ["one~", "two~", "three"]);
}

#[test]
fn a_line_end_alone_is_the_writers_own_where_it_has_a_line() {
    // As `print` does it in Python without a buffer.
    let mut desk = Desk::new();
    for (tid, part) in [(1, "one"), (2, "two"), (1, "\n"), (2, "\n")] {
        desk.write(tid, part.as_bytes());
    }
    assert_eq!(marked(&desk.end()), ["one~", "two~"]);
}

#[test]
fn a_buffer_is_flushed_by_whoever_finds_it_full() {
    let text: String = (0..400).map(|n| format!("{LOG}request {n} is done\n")).collect();
    let mut desk = Desk::new();
    for (n, block) in text.as_bytes().chunks(4096).enumerate() {
        desk.now += 2 * MS;
        desk.write(n as u32 % 3, block);
    }
    let out = desk.end();
    assert_eq!(texts(&out), text.lines().collect::<Vec<_>>());
    assert!(out.iter().all(|it| it.flushed && !it.incomplete && !it.mixed));
}

/// Whether each record may have been made by another than who wrote it.
fn doubts(out: &[Joined<u32>]) -> Vec<bool> {
    out.iter().map(|it| it.flushed).collect()
}

/// What threads write, by so many bytes of text: negative by one that works for no request. Then, whether each record
/// may have been made by another.
fn doubts_of(calls: &[&[i32]]) -> Vec<bool> {
    let mut desk = Desk::new();
    for (call, tid) in calls.iter().zip(1..) {
        let line = |len: &i32| format!("{LOG}{}\n", "x".repeat(len.unsigned_abs() as usize));
        desk.working = call[0] > 0;
        desk.write(tid, call.iter().map(line).collect::<String>().as_bytes());
    }
    doubts(&desk.end())
}

#[test]
fn a_record_alone_in_a_buffer_is_flushed_by_who_has_a_long_one() {
    // The second thread's finds no room beside the line of the first.
    let buffered: [&[i32]; 5] = [&[50], &[9000], &[50, 50], &[50], &[9000]];
    assert_eq!(doubts_of(&buffered), [true; 6]);
    // One that only flushes proves nothing.
    assert_eq!(doubts_of(&[&[50, 50], &[-50], &[50], &[9000]]), [true; 5]);
}

#[test]
fn a_record_with_room_for_the_next_is_who_wrote_its() {
    assert_eq!(doubts_of(&[&[50], &[3900], &[9000], &[50]]), [false; 4]);
    // A message of two lines that no one can tell from two messages.
    let lines: [&[i32]; 6] = [&[50], &[50], &[50, 50], &[50], &[3900], &[3900]];
    assert_eq!(doubts_of(&lines), [false, false, true, true, false, false, false]);
    assert_eq!(doubts_of(&[&[4000], &[4000], &[4000]]), [true; 3]);
    assert_eq!(doubts_of(&[&[5000], &[50], &[50]]), [false; 3]);
}

#[test]
fn who_writes_twice_at_once_is_not_there_to_flush() {
    for (pause_ms, doubtful) in [(0, false), (6, true)] {
        let mut desk = Desk::new();
        desk.write(1, b"one\ntwo\n");
        for line in [b"three\n", b"fours\n"] {
            desk.wait(pause_ms);
            desk.write(2, line);
        }
        desk.wait(6);
        desk.working = true;
        desk.write(3, b"five\n");
        assert_eq!(doubts(&desk.end())[4], doubtful, "{pause_ms}");
    }
}

#[test]
fn the_first_record_waits_for_what_comes_next() {
    let mut desk = Desk::new();
    desk.working = true;
    desk.write(1, b"{\"a\":1}\n");
    assert_eq!(desk.texts(), [""; 0]);
    desk.write(2, b"{\"a\":2}\n");
    assert_eq!(desk.texts(), ["{\"a\":2}"]);
    desk.wait(300);
    assert_eq!(desk.texts().len(), 2);
    assert_eq!(doubts(&desk.end()), [false; 2]);
}

#[test]
fn nothing_comes_next_after_a_loss() {
    let mut desk = Desk::new();
    desk.working = true;
    desk.write(1, b"one\ntwo\n");
    desk.write(1, b"three\n");
    desk.lost_records += 1;
    desk.write(1, b"four\n");
    desk.wait(1000);
    assert_eq!(doubts(&desk.end()), [true; 4]);
}

#[test]
fn a_rest_of_a_buffer_waits_for_longer() {
    let mut desk = Desk::new();
    desk.write(1, b"one\ntw");
    desk.wait(9_000);
    desk.write(2, b"o\nthr");
    desk.wait(10_000);
    assert_eq!(marked(&desk.out), ["one", "two", "thr?"]);
    // What the next one writes is not known to be a line of its own.
    desk.write(3, b"ee\nfour\n");
    assert_eq!(marked(&desk.end()), ["one", "two", "thr?", "ee?", "four"]);
}

#[test]
fn a_line_after_a_prompt() {
    let mut desk = Desk::new();
    desk.write(1, b"Password: ");
    desk.wait(2_000);
    desk.write(2, b"one\ntwo\n");
    assert_eq!(marked(&desk.end()), ["Password: ?", "one~", "two"]);
}

#[test]
fn a_rest_of_a_buffer_is_not_joined_with_a_record() {
    let mut desk = Desk::new();
    desk.write(1, b"one\ntw");
    desk.write(2, format!("{LOG}b\n").as_bytes());
    // It may be the rest of `tw`, or not.
    desk.write(1, b"o\nthree\n");
    assert_eq!(marked(&desk.end()), ["one", "tw?", &format!("{LOG}b"), "o?", "three"]);
}

#[test]
fn a_call_in_several_parts_may_not_be_over() {
    let mut desk = Desk::new();
    let line = [b'a'; 5000];
    let written = desk.written(1, &line[..4096]);
    desk.take(&written);
    desk.write(2, b"bbb\n");
    let rest = desk.written(1, b"\n");
    desk.take(&Written { bytes: &line[4096..], continues: true, ..rest.clone() });
    desk.take(&Written { continues: true, ..rest });
    let out = desk.end();
    let lengths: Vec<usize> = out.iter().map(|it| it.text.len()).collect();
    assert_eq!(lengths, [5000, 3]);
    assert!(out.iter().all(|it| !it.incomplete));
}

#[test]
fn a_line_of_the_limit_is_whole_and_one_beyond_is_cut() {
    let limit = Limits::default().record_bytes;
    for (length, end, cut) in
        [(limit, "\n", 0), (limit, "\r\n", 1), (limit + 1, "\n", 1), (3 * limit, "\n", 2 * limit)]
    {
        let line = "x".repeat(length) + end;
        let mut desk = Desk::new();
        desk.write(1, line.as_bytes());
        desk.write(1, b"next\n");
        let whole = desk.end();
        assert_eq!((whole[0].text.len(), whole[0].cut), (limit, cut as u64));
        assert_eq!(whole[1].text, b"next");
        let mut desk = Desk::new();
        for part in line.as_bytes().chunks(1000) {
            desk.write(1, part);
        }
        assert_eq!(desk.end()[0], Joined { flushed: false, ..whole[0].clone() });
    }
}

#[test]
fn an_endless_line_takes_no_memory() {
    let mut desk = Desk::new();
    for _ in 0..1000 {
        desk.write(1, &[0; 4096]);
        assert!(desk.joiner.writers.held() <= 2 * 65_536);
    }
    let out = desk.end();
    assert_eq!((out.len(), out[0].cut), (1, 4_096_000 - 65_536));
    assert!(out[0].incomplete);
}

#[test]
fn writers_have_a_bound() {
    let mut desk = Desk::with(Limits { writers: 3, ..Limits::default() });
    for tid in 1..=5 {
        desk.now += MS;
        desk.go(tid, format!("line {tid}").as_bytes());
        assert!(desk.joiner.writers.len() <= 3);
    }
    assert_eq!(marked(&desk.out), ["line 1?", "line 2?"]);
    assert_eq!(desk.count(Counter::LogWritersEvicted), 2);
    // Who made room is not known to be within a line, but may be.
    desk.go(1, b" goes on\n");
    let marked = marked(&desk.end());
    assert!(marked.contains(&" goes on?".to_owned()), "{marked:?}");
}

#[test]
fn bytes_that_are_held_have_a_bound() {
    let mut desk = Desk::with(Limits { held_bytes: 100_000, ..Limits::default() });
    for tid in 1..=50 {
        desk.go(tid, &[b'x'; 20_000]);
        assert!(desk.joiner.writers.held() <= 100_000);
    }
    assert!(desk.out.len() >= 45);
    assert_eq!(desk.end().iter().map(|it| it.text.len()).sum::<usize>(), 1_000_000);
}

#[test]
fn files_have_a_bound() {
    let mut desk = Desk::with(Limits { writers: 4, ..Limits::default() });
    for inode in 0..100 {
        let mut written = desk.written(1, b"x\n");
        written.file.inode = inode;
        desk.take(&written);
        assert!(desk.joiner.streams.len() <= 5);
    }
    assert_eq!(desk.end().len(), 100);
}

#[test]
fn processes_and_files_have_lines_of_their_own() {
    let mut desk = Desk::new();
    let base = desk.written(1, b"one ");
    desk.take(&base);
    desk.take(&Written { process: ProcessKey::undated(2), bytes: b"two\n", ..base.clone() });
    let file = FileId { inode: 9, ..base.file };
    desk.take(&Written { file, stream: LogStream::File, bytes: b"three\n", ..base.clone() });
    desk.take(&Written { bytes: b"more\n", ..base });
    desk.joiner.finish(&mut |it| desk.out.push(it));
    desk.check();
    let mut texts = texts(&desk.out);
    texts.sort_unstable();
    assert_eq!(texts, ["one more", "three", "two"]);
}

#[test]
fn the_end_of_a_process_hands_over_its_own_in_order() {
    let mut desk = Desk::new();
    let base = desk.written(1, b"b");
    desk.take(&Written { process: ProcessKey::undated(2), ..base.clone() });
    desk.now += 1;
    desk.write(8, b"first\n");
    desk.now += 1;
    desk.write(4, b"second");
    desk.joiner.exit(ProcessKey::undated(1), &mut |it| desk.out.push(it));
    assert_eq!(marked(&desk.out), ["first", "second?"]);
    desk.joiner.finish(&mut |it| desk.out.push(it));
    assert_eq!(desk.out.len(), 3);
}
