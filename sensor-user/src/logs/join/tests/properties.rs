//! What holds of any bytes, any cuts and any losses.

use proptest::collection::vec;
use proptest::prelude::*;

use super::records::real;
use super::*;

/// Lines of all kinds, so that what they do to each other is tried.
fn any_line() -> impl Strategy<Value = String> {
    let kinds = vec![
        "2026-01-02 03:04:05 ERROR one",
        "2026-01-02 03:04:05 INFO two",
        "plain",
        "",
        " indented",
        "\tat a.b(c)",
        "java.lang.Error: x",
        "Caused by: y",
        "Traceback (most recent call last):",
        "  File \"x\", line 1",
        "KeyError: z",
        "During handling of the above exception, another exception occurred:",
        "panic: p",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/x.go:1 +0x1",
        "main.pay",
        "{",
        "  \"a\": {",
        "  }",
        "}",
        "{\"a\":1}",
        "/srv/x.js:3",
        "   ^",
        "Node.js v20.20.2",
        "thread 'main' panicked at x.rs:1:1:",
        "note: n",
        "\r",
        "x\ry",
        "    at x {",
        "Exception in thread t:",
        "exit status 2",
        "Jan 2, 2026 3:04:05 AM a b",
        "SEVERE: s",
    ];
    let line = prop_oneof![
        8 => proptest::sample::select(kinds).prop_map(str::to_owned),
        1 => "[ -~\t]{0,60}",
        1 => Just("x".repeat(90)),
    ];
    (line, prop_oneof![9 => Just("\n"), 1 => Just("\r\n")]).prop_map(|(line, end)| line + end)
}

fn any_text() -> impl Strategy<Value = String> {
    vec(any_line(), 0..40).prop_map(|lines| lines.concat())
}

/// Where to cut, and how long to wait there, in milliseconds.
fn any_cuts() -> impl Strategy<Value = Vec<(usize, u64)>> {
    vec((1..40_usize, 0..300_u64), 1..60)
}

fn small() -> Limits {
    Limits { record_bytes: 80, record_lines: 6, ..Limits::default() }
}

/// Writes a text cut up, again and again in the same lengths.
fn cut_up(desk: &mut Desk, text: &[u8], cuts: &[(usize, u64)]) {
    let mut rest = text;
    for &(length, wait) in cuts.iter().cycle() {
        if rest.is_empty() {
            return;
        }
        let (bytes, after) = rest.split_at(length.min(rest.len()));
        desk.write(1, bytes);
        rest = after;
        desk.wait(wait);
    }
}

/// What does not depend on the cuts.
fn told(out: Vec<Joined<u32>>) -> Vec<(Vec<u8>, u32, u64, bool)> {
    out.into_iter().map(|it| (it.text, it.lines, it.cut, it.incomplete)).collect()
}

proptest! {
    #[test]
    fn any_cuts_give_the_same_records(text in any_text(), cuts in any_cuts(), small_limits: bool) {
        let limits = if small_limits { small() } else { Limits::default() };
        let mut whole = Desk::with(limits);
        whole.write(1, text.as_bytes());
        let mut cut = Desk::with(limits);
        cut_up(&mut cut, text.as_bytes(), &cuts);
        prop_assert_eq!(told(cut.end()), told(whole.end()));
    }

    /// Each writes its lines in pieces, or some of them in one call.
    #[test]
    fn two_writers_have_their_own_records(
        one in any_text(), two in any_text(), cuts in vec((1..40_usize, any::<bool>(), any::<bool>()), 1..60),
        goroutines: bool,
    ) {
        let alone = |text: &str| {
            let mut desk = Desk::new();
            desk.write(1, text.as_bytes());
            told(desk.end())
        };
        // A line end alone is the file's, if threads write: not in this.
        let clean = |text: &str| {
            let lines = text.lines().filter(|line| !line.is_empty() && *line != "\r");
            // Nor is it that loggers write all of it.
            std::iter::once("plain").chain(lines).map(|line| format!("{line}\n")).collect::<String>()
        };
        let texts = [clean(&one), clean(&two)];
        let mut rest = [texts[0].as_bytes(), texts[1].as_bytes()];
        let mut desk = Desk::new();
        for &(length, second, whole) in cuts.iter().cycle() {
            let by = usize::from(match (rest[0].is_empty(), rest[1].is_empty()) {
                (true, true) => break,
                (false, false) => second,
                (first_is_done, _) => first_is_done,
            });
            let end = rest[by].iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let length = if whole { end } else { length.min(end) };
            let (bytes, after) = rest[by].split_at(length);
            rest[by] = after;
            if goroutines {
                desk.go(by as u64 + 1, bytes);
            } else {
                desk.write(by as u32 + 1, bytes);
            }
        }
        let out = desk.end();
        if goroutines {
            prop_assert!(out.iter().all(|it| !it.mixed));
            let mut all = told(out);
            let mut expected = [alone(&texts[0]), alone(&texts[1])].concat();
            all.sort();
            expected.sort();
            prop_assert_eq!(all, expected);
        } else {
            for by in [1, 2] {
                let own: Vec<_> = out.iter().filter(|it| it.with == by).cloned().collect();
                prop_assert_eq!(told(own), alone(&texts[by as usize - 1]));
            }
        }
    }

    /// A buffer that threads share.
    #[test]
    fn blocks_give_the_lines_of_the_file(lines in vec("[a-z ]{1,60}", 1..200), sizes in vec(64..300_usize, 1..20), by in vec(1..5_u32, 1..20)) {
        let text: String = lines.iter().map(|line| format!("2026-01-02 {line}\n")).collect();
        let mut desk = Desk::new();
        let mut rest = text.as_bytes();
        for (&size, &by) in sizes.iter().cycle().zip(by.iter().cycle()) {
            if rest.is_empty() {
                break;
            }
            // A block has the end of a line.
            let (bytes, after) = rest.split_at(size.max(80).min(rest.len()));
            rest = after;
            desk.write(by, bytes);
        }
        let out = desk.end();
        let mut all = texts(&out);
        let mut expected: Vec<&str> = text.lines().collect();
        all.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn any_bytes_from_anyone(
        writes in vec((vec(prop_oneof![3 => proptest::sample::select(b"\n\r{}\" \tat".to_vec()), 1 => any::<u8>()], 0..60),
            0..4_u32, 0..700_u64, any::<bool>(), prop_oneof![9 => Just(0_u32), 1 => any::<u32>()], any::<bool>()), 0..80),
    ) {
        let limits = Limits { writers: 2, held_bytes: 150, part_bytes: 40, ..small() };
        let mut desk = Desk::with(limits);
        for (bytes, tid, wait, continues, lost_after, lost) in writes {
            desk.lost_records += u64::from(lost && wait > 600);
            let written = desk.written(tid, &bytes);
            desk.take(&Written { continues, lost_after, ..written });
            prop_assert!(desk.joiner.writers.len() <= 2 && desk.joiner.writers.held() <= 150);
            desk.wait(wait);
        }
        desk.end();
    }

    /// Letters that say which line they are of: none of a record are of lines that were not adjacent.
    #[test]
    fn nothing_is_joined_across_a_loss(
        lines in 1..26_u8, cuts in vec((1..30_usize, 0..6_u8, 1..3_usize), 1..60), threads: bool,
    ) {
        // The first has records of five lines, the second of one.
        let line = |who: usize, n: u8| {
            let begin = if who == 0 && !n.is_multiple_of(5) { "\t" } else { "INFO: " };
            format!("{begin}{}\n", char::from(b'a' + n).to_string().repeat(9))
        };
        let text = |who| (0..lines).map(|n| line(who, n)).collect::<String>();
        let texts = [text(0), text(1)];
        let mut rest = [texts[0].as_bytes(), texts[1].as_bytes()];
        let mut desk = Desk::new();
        // So that it is known that lines are written in pieces here.
        desk.write(9, b"{\"A\":");
        desk.write(9, b"1}\n");
        for &(length, fate, by) in &cuts {
            let end = rest[by - 1].iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let (bytes, after) = rest[by - 1].split_at(length.min(end));
            rest[by - 1] = after;
            let (bytes, lost) = match fate {
                0 => {
                    desk.lost_records += 1;
                    continue;
                }
                1 => bytes.split_at(bytes.len() / 2),
                _ => (bytes, &[][..]),
            };
            let mut written = desk.written(by as u32, bytes);
            written.lost_after = lost.len() as u32;
            if !threads {
                let id = NonZeroU64::new(by as u64).unwrap();
                written.caller.goroutine = Some(Goroutine { id, parent: None });
            }
            desk.take(&written);
        }
        for it in desk.end() {
            let text = String::from_utf8(it.text).unwrap();
            // Which lines it has something of, one after the other. A whole line has nine letters of its own.
            let mut of: Vec<u8> = text.bytes().filter(u8::is_ascii_lowercase).collect();
            let count = |letter: u8| of.iter().filter(|&&it| it == letter).count();
            for own in text.lines().map(str::trim) {
                let letter = own.bytes().find(u8::is_ascii_lowercase);
                let known = it.incomplete || threads || letter.is_none_or(|letter| count(letter) == 9);
                prop_assert!(known, "{:?}", text);
            }
            of.dedup();
            if !threads {
                prop_assert!(of.windows(2).all(|two| two[1] == two[0] + 1), "{:?}", text);
            }
        }
    }

    /// The same of a buffer that threads share.
    #[test]
    fn no_blocks_are_joined_across_a_loss(
        lines in 1..26_u8, cuts in vec((20..60_usize, 0..6_u8, 1..4_u32), 1..30),
    ) {
        let line = |n: u8| format!("INFO: {}\n", char::from(b'a' + n).to_string().repeat(9));
        let text: String = (0..lines).map(line).collect();
        let mut rest = text.as_bytes();
        let mut desk = Desk::new();
        desk.write(9, b"{\"A\":");
        desk.write(9, b"1}\n");
        for &(length, fate, by) in &cuts {
            let (bytes, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            let (bytes, lost) = match fate {
                0 => {
                    desk.lost_records += 1;
                    continue;
                }
                1 => bytes.split_at(bytes.len() / 2),
                _ => (bytes, &[][..]),
            };
            let mut written = desk.written(by, bytes);
            written.lost_after = lost.len() as u32;
            desk.take(&written);
        }
        for it in desk.end() {
            let text = String::from_utf8(it.text).unwrap();
            let mut of: Vec<u8> = text.bytes().filter(u8::is_ascii_lowercase).collect();
            let known = it.with == 9 || it.incomplete || it.mixed || of.len() == 9;
            prop_assert!(known, "{:?}", text);
            of.dedup();
            prop_assert!(of.len() <= 1, "{:?}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn real_texts_cut_anywhere(cuts in any_cuts()) {
        for (name, text, expected) in real() {
            let mut desk = Desk::new();
            cut_up(&mut desk, text.as_bytes(), &cuts);
            let out = desk.end();
            prop_assert_eq!(texts(&out), expected, "{}", name);
        }
    }
}
