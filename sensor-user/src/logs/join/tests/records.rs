//! Lines that make one record, as real programs write them: their sources and what they wrote are in `testdata`.

use super::*;

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../testdata/", $name, ".txt"))
    };
}

/// Each text with the numbers of the lines (from 1) that records begin with.
///
/// - `go_*`: Go 1.26, `go_*.go`, with `GOTRACEBACK=all`: a panic in a panic, a deadlock, a panic in a handler
///   and `debug.PrintStack`, an overflow of the stack, `SIGQUIT`; Zap's development logger with stacks
/// - `java`: Java 17, `Shop.java`: `java.util.logging` and uncaught exceptions, causes and suppressed ones
/// - `python`, `python_syntax`: Python 3.11, `shop.py`: `logging.exception`, chains, notes, a thread's exception,
///   a group; and a file that does not compile
/// - `node*`: Node 20, `shop.js`: causes with properties, objects, an uncaught error, a rejected promise, a string
///   that is thrown
/// - `rust`: Rust 1.9x, `shop.rs`, with `RUST_BACKTRACE=1`
/// - `json`: Python's `json.dumps`, `order.py`: indented by two, not at all, and by nothing
const REAL: &[(&str, &str, &[usize])] = &[
    ("go_panic", data!("go_panic"), &[1]),
    ("go_deadlock", data!("go_deadlock"), &[1]),
    ("go_serve", data!("go_serve"), &[1, 2, 18, 19, 26]),
    ("go_overflow", data!("go_overflow"), &[1]),
    ("go_quit", data!("go_quit"), &[1]),
    ("go_zap", data!("go_zap"), &[1, 2, 11, 16]),
    ("java", data!("java"), &[1, 3, 15, 17, 23]),
    ("python", data!("python"), &[1, 2, 21, 34, 35, 55, 65, 73]),
    ("python_syntax", data!("python_syntax"), &[1]),
    ("node", data!("node"), &[1, 2, 21, 26, 37, 38]),
    ("node_reject", data!("node_reject"), &[1]),
    ("node_type", data!("node_type"), &[1, 2]),
    ("node_throw", data!("node_throw"), &[2]),
    ("rust", data!("rust"), &[1, 3, 14, 16]),
    ("json", data!("json"), &[1, 2, 19, 20, 39]),
];

/// The records that a text has.
fn expected(text: &str, begin: &[usize]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let ends = begin[1..].iter().map(|next| next - 1).chain([lines.len()]);
    begin
        .iter()
        .zip(ends)
        .map(|(first, end)| lines[first - 1..end].join("\n").trim_end_matches('\n').to_owned())
        .collect()
}

/// The texts and their records, for properties.
pub(super) fn real() -> impl Iterator<Item = (&'static str, &'static str, Vec<String>)> {
    REAL.iter().map(|&(name, text, begin)| (name, text, expected(text, begin)))
}

#[test]
fn real_programs_traces_are_one_record_each() {
    for (name, text, expected) in real() {
        let mut desk = Desk::new();
        desk.write(1, text.as_bytes());
        let out = desk.end();
        assert_eq!(texts(&out), expected, "{name}");
        assert!(out.iter().all(|it| !it.incomplete && !it.mixed && it.cut == 0), "{name}");
    }
}

#[test]
fn two_at_once_are_kept_apart() {
    for (name, text, expected) in real() {
        let mut desk = Desk::new();
        // The other is the same backwards: no record of it is more than a line, or it begins alike.
        for line in text.split_inclusive('\n') {
            desk.go(1, line.as_bytes());
            desk.go(2, format!("INFO: {line}").as_bytes());
        }
        let out = desk.end();
        let (own, other): (Vec<_>, Vec<_>) =
            out.into_iter().partition(|it| !it.text.starts_with(b"INFO: "));
        assert_eq!(texts(&own).len(), expected.len(), "{name}");
        assert!(expected.iter().all(|one| texts(&own).contains(&one.as_str())), "{name}");
        assert_eq!(other.len(), text.lines().count(), "{name}");
    }
}

/// The records of these lines.
fn records(text: &str) -> Vec<String> {
    let mut desk = Desk::new();
    desk.write(1, text.as_bytes());
    marked(&desk.end())
}

#[test]
fn what_begins_like_a_record_always_begins_one() {
    let lines = [
        "2026-01-02T03:04:05.678Z INFO one",
        "2026/01/02 03:04:05 two",
        "03:04:05.678 [main] INFO three",
        "[2026-01-02 03:04:05 +0000] [7] [INFO] four",
        "I0102 03:04:05.678901       7 main.go:7] five",
        "Jan  2 03:04:05 host app[7]: six",
        "<30>Jan  2 03:04:05 app: seven",
        "127.0.0.1 - - [02/Jan/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 2",
        "::1 - frank [02/Jan/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 2",
        "[Fri Jan 02 03:04:05.678901 2026] [core:notice] [pid 7] eight",
        "time=2026-01-02T03:04:05Z level=info msg=nine",
        "{\"level\":\"info\",\"msg\":\"ten\"}",
        "ERROR:root:eleven",
        "INFO[0000] twelve",
        "\u{1b}[36mINFO\u{1b}[0m[0000] thirteen",
        "\u{1b}[32m INFO\u{1b}[0m fourteen",
        " INFO fifteen",
        "    WARN sixteen",
        "[error] seventeen",
        "info: Microsoft.Hosting.Lifetime[14]",
        "1767323045.678 eighteen",
        "1.767323045678e+09\tinfo\tnineteen",
        "02/Jan/2026 03:04:05 twenty",
        "20260102 03:04:05 twenty-one",
        "Fri, 02 Jan 2026 03:04:05 GMT twenty-two",
        "2026-01-02 03:04:05 twenty-three",
    ];
    assert_eq!(records(&(lines.join("\n") + "\n")), lines);
    // Each of them ends each kind of record.
    for (_, text, expected) in real() {
        for line in lines {
            let all = records(&format!("{text}{line}\n"));
            assert_eq!(all.last().map(String::as_str), Some(line));
            assert_eq!(all.len(), expected.len() + 1);
        }
    }
}

#[test]
fn indented_lines_belong_to_a_loggers_line() {
    let text = "2026-01-02 INFO one\n  two\n\tthree\nfour\n  five\n";
    assert_eq!(records(text), ["2026-01-02 INFO one\n  two\n\tthree", "four", "  five"]);
    let text = "2026-01-02 INFO body: {\n  \"a\": 1\n}\n2026-01-02 INFO two\n  x\n}\n";
    assert_eq!(
        records(text),
        ["2026-01-02 INFO body: {\n  \"a\": 1\n}", "2026-01-02 INFO two\n  x", "}"]
    );
}

#[test]
fn lines_that_no_logger_began_stand_alone() {
    let text = "one\ntwo\nthree\n/srv/shop:80\nfour\nexample.com\nmain.main\n";
    assert_eq!(records(text).len(), 7);
    // What would only be part of a trace if it were gone on with.
    let text = "2026-01-02 ERROR one\nmain.pay\n2026-01-02 ERROR two\njava.lang.Error: x\nmore\n";
    assert_eq!(
        records(text),
        ["2026-01-02 ERROR one", "main.pay", "2026-01-02 ERROR two", "java.lang.Error: x", "more"]
    );
}

#[test]
fn an_exception_after_a_loggers_line() {
    let trace = "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:7)\nCaused by: d.E: f\n\t... 3 more";
    for line in ["2026-01-02 03:04:05 ERROR one", "03:04:05.678 [main] INFO a.B -- one"] {
        let all = records(&format!("{line}\n{trace}\n{line}\n"));
        assert_eq!(all, [format!("{line}\n{trace}"), line.to_owned()]);
    }
    // A line that no logger began is not about it.
    assert_eq!(records(&format!("one\n{trace}\n")), ["one", trace]);
}

#[test]
fn a_crash_is_no_part_of_the_line_before() {
    let trace =
        "Traceback (most recent call last):\n  File \"x\", line 1, in <module>\nKeyError: 1";
    assert_eq!(records(&format!("INFO:root:one\n{trace}\n")), ["INFO:root:one", trace]);
    let logged = format!("ERROR:root:one\n{trace}");
    assert_eq!(records(&format!("{logged}\n")), [logged]);
    assert_eq!(records("one\npanic: no\n\ngoroutine 1 [running]:\n").len(), 2);
    let panic = "2026/01/02 03:04:05 one\npanic: no\n";
    assert_eq!(records(panic), ["2026/01/02 03:04:05 one", "panic: no"]);
}

#[test]
fn notes_of_an_exception_only_among_loggers_lines() {
    let trace = "ERROR:root:one\nTraceback (most recent call last):\n  File \"x\", line 1\nKeyError: 1\nnote";
    assert_eq!(records(&format!("{trace}\n")), [trace]);
    let all = records(&format!("plain\n{trace}\n"));
    assert_eq!(all.last().map(String::as_str), Some("note"));
}

#[test]
fn json_that_is_not_closed() {
    let all = records("{\n  \"a\": \"}\",\n{\"b\":2}\n{\n  \"c\": [\n");
    // A value may follow a comma, but not another value.
    assert_eq!(all, ["{\n  \"a\": \"}\",\n{\"b\":2}?", "{\n  \"c\": [?"]);
    let all = records("{\n  \"a\": 1\n{\"b\":2}\n{\n2026-01-02 one\n{\nplain\n");
    assert_eq!(all, ["{\n  \"a\": 1?", "{\"b\":2}", "{?", "2026-01-02 one", "{?", "plain"]);
}

#[test]
fn what_waits_and_what_does_not() {
    let mut desk = Desk::new();
    for line in
        ["{\"a\": 1}\n", "level=info msg=x\n", "::1 - - [x] y\n", "{\n", " \"a\": 1\n", "}\n"]
    {
        desk.write(1, line.as_bytes());
    }
    assert_eq!(desk.out.len(), 4, "these go at once");
    desk.write(1, b"2026-01-02 one\n");
    desk.write(2, b"two\n");
    assert_eq!(desk.out.len(), 4);
    desk.wait(299);
    assert_eq!(desk.out.len(), 4);
    desk.write(2, b"three\n");
    assert_eq!(desk.texts()[4..], ["two"], "another begins");
    desk.wait(1);
    assert_eq!(desk.texts()[5..], ["2026-01-02 one"]);
    // Too late.
    desk.wait(299);
    desk.write(2, b"\tat a.b(c)\n");
    assert_eq!(desk.texts()[6..], ["three"]);
    assert_eq!(marked(&desk.end())[7..], ["\tat a.b(c)"]);
}

#[test]
fn a_line_that_is_held_is_a_record_if_nothing_comes() {
    let mut desk = Desk::new();
    desk.write(1, b"2026-01-02 one\njava.lang.Error: x\n");
    desk.wait(300);
    assert_eq!(desk.texts(), ["2026-01-02 one", "java.lang.Error: x"]);
    desk.write(1, b"2026-01-02 one\njava.lang.Error: x");
    assert_eq!(marked(&desk.end())[2..], ["2026-01-02 one", "java.lang.Error: x?"]);
}

#[test]
fn a_record_has_a_bound() {
    let limits = Limits { record_lines: 4, record_bytes: 40, ..Limits::default() };
    let mut desk = Desk::with(limits);
    desk.write(1, b"INFO: one\n 1\n 2\n 3\n 4\n 5\nINFO: two\n");
    let long = format!("INFO: {}\n 1\nINFO: three\n", "x".repeat(30));
    desk.write(1, long.as_bytes());
    let long = format!("INFO: {}\n 1\n", "x".repeat(50));
    desk.write(1, long.as_bytes());
    let out = desk.end();
    let told: Vec<_> = out.iter().map(|it| (it.lines, it.text.len(), it.cut)).collect();
    assert_eq!(told, [(6, 18, 6), (1, 9, 0), (2, 39, 0), (1, 11, 0), (2, 40, 19)]);
}
