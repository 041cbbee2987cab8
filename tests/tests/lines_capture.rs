//! What processes write to their logs is what the sensor takes down: all of it, once, and nothing else.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aya::programs::loaded_programs;
use sensor_tests::both_engines;
use sensor_tests::edges::raw::Running;
use sensor_tests::lines::{Recorded, Write};
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Engine, Signal};
use sensor_tests::workloads::{Server, python_server};

both_engines!(
    every_call,
    what_is_a_log_and_what_is_none,
    partial_writes,
    long_writes,
    many_threads,
    fork_and_exec,
    files_by_glob,
    tee_is_no_second_source,
    switched_off,
    a_service_is_skipped,
    more_than_there_is_room_for,
    a_hundred_thousand_lines_a_second,
    nothing_is_attached_before_there_is_somebody,
);

const PATIENCE: Duration = Duration::from_secs(60);

fn recorded(engine: Engine, scenario: &str, more: &[&str]) -> Option<Recorded> {
    Recorded::run(engine, scenario, more, |_| ()).unwrap()
}

fn every_call(engine: Engine) {
    let Some(recorded) = recorded(engine, "calls", &[]) else { return };
    recorded.assert_whole();
    // The parts of a vector are one record, where it has room for them.
    assert!(recorded.writes.iter().any(|write| write.bytes.starts_with(b"by writev\nxxx")));
    let bytes: usize = recorded.writes.iter().map(|write| write.bytes.len()).sum();
    assert_eq!(recorded.counter("kernel.lines_bytes"), u64::try_from(bytes).unwrap());
    assert_eq!(recorded.counter("kernel.lines_bytes_lost"), 0);
}

fn what_is_a_log_and_what_is_none(engine: Engine) {
    let Some(recorded) = recorded(engine, "places", &[]) else { return };
    assert!(recorded.expected.len() >= 6, "{:?}", recorded.expected.keys());
    recorded.assert_whole();
}

fn partial_writes(engine: Engine) {
    let Some(recorded) = recorded(engine, "partial", &[]) else { return };
    recorded.assert_whole();
    assert!(recorded.expected.values().all(|bytes| bytes.len() > 1 << 16));
}

fn long_writes(engine: Engine) {
    let Some(recorded) = recorded(engine, "sizes", &[]) else { return };
    recorded.assert_whole();
    let losses: Vec<&Write> =
        recorded.writes.iter().filter(|write| write.lost_after != 0).collect();
    // Of three MiB.
    assert_eq!(losses.iter().map(|write| write.lost_after).collect::<Vec<_>>(), [2 << 20]);
    assert_eq!(recorded.counter("kernel.lines_bytes_lost"), 2 << 20);
    // Parts of one call say that they belong together; a call by itself does not.
    let mut longest = 0;
    let mut len = 0;
    for write in &recorded.writes {
        len = if write.continues { len + write.bytes.len() } else { write.bytes.len() };
        longest = longest.max(len);
    }
    assert_eq!(longest, 1 << 20);
    let last = recorded.writes.last().unwrap();
    assert_eq!((last.bytes.as_slice(), last.continues), (&b"the last one\n"[..], false));
}

fn many_threads(engine: Engine) {
    let Some(recorded) = recorded(engine, "threads", &[]) else { return };
    let mut lines = BTreeMap::<(u32, String), Vec<usize>>::new();
    for write in &recorded.writes {
        let text = std::str::from_utf8(&write.bytes).unwrap();
        let words: Vec<&str> = text.trim_end_matches('\n').split(' ').collect();
        let ["thread", thread, "line", line, filler] = words.as_slice() else {
            unreachable!("{text}")
        };
        let line: usize = line.parse().unwrap();
        assert_eq!(*filler, "y".repeat(line % 90));
        lines.entry((write.tid, (*thread).to_owned())).or_default().push(line);
    }
    // Each of 16 threads, by its own id, in its order.
    assert_eq!(lines.len(), 16);
    assert!(lines.values().all(|of_one| of_one.iter().copied().eq(0..1000)));
    assert_eq!(recorded.counter("kernel.lines_lost"), 0);
}

fn fork_and_exec(engine: Engine) {
    let Some(recorded) = recorded(engine, "programs", &[]) else { return };
    let seen = recorded.seen();
    let texts: BTreeSet<_> = seen.values().map(|it| String::from_utf8_lossy(it)).collect();
    let expected = [
        "before exec\nfrom the shell\nfrom echo\n",
        "the child\n",
        "the parent\nthe parent again\n",
    ];
    assert!(texts.iter().eq(expected), "{texts:?}");
    let (&(pid, _), _) = seen.iter().find(|(_, text)| text.ends_with(b"from echo\n")).unwrap();
    // It is gone before anybody can look at it: this is from the record of its exec.
    assert_eq!(recorded.processes[&pid].service_name(), Some("writers"));
}

fn files_by_glob(engine: Engine) {
    let globs = ["--log-file", "{}/app.log", "--log-file", "{}/e*.log"];
    let Some(recorded) = recorded(engine, "files", &globs) else { return };
    recorded.assert_whole();
    if recorded.runs_missed() > 0 {
        return;
    }
    let names: Vec<_> = recorded
        .files
        .iter()
        .map(|(_, path)| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    // The second of that name is another file.
    assert_eq!(names, ["app.log", "app.log", "each.log"]);
    let named: BTreeSet<_> =
        recorded.files.iter().map(|(file, _)| (file.inode, file.generation)).collect();
    assert_eq!(named.len(), 3);
}

fn tee_is_no_second_source(engine: Engine) {
    let Some(recorded) = recorded(engine, "tee", &[]) else { return };
    recorded.assert_whole();
    let copy = recorded.file("copy");
    assert_eq!(recorded.expected.values().collect::<Vec<_>>(), [&copy]);
}

/// Names of the programs that a process holds.
fn programs_of(pid: u32) -> Vec<String> {
    let ids: BTreeSet<u32> = std::fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| {
            let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"))?;
            id.trim().parse().ok()
        })
        .collect();
    loaded_programs()
        .filter_map(Result::ok)
        .filter(|info| ids.contains(&info.id()))
        .filter_map(|info| info.name_as_str().map(str::to_owned))
        .collect()
}

fn switched_off(engine: Engine) {
    let mut programs = Vec::new();
    for logs in ["off", "on"] {
        let look = |recorder: &Running| programs.push(programs_of(recorder.pid()));
        let Some(recorded) = Recorded::run(engine, "calls", &["--logs", logs], look).unwrap()
        else {
            return;
        };
        assert_eq!(recorded.writes.is_empty(), logs == "off");
    }
    let [off, on] = programs.as_slice() else { unreachable!("two runs") };
    let lines = |of: &[String]| of.iter().any(|name| name == "lines");
    assert!(!lines(off) && lines(on), "{off:?}, {on:?}");
    // Everything else is as it was.
    assert_eq!(off.len() + 1, on.len());
}

fn a_service_is_skipped(engine: Engine) {
    let skip = ["--log-skip", "others,writers"];
    let Some(recorded) = recorded(engine, "threads", &skip) else { return };
    assert_eq!(recorded.writes, []);
    let Some(recorded) = self::recorded(engine, "threads", &["--log-skip", "others"]) else {
        return;
    };
    assert_eq!(recorded.writes.len(), 16_000);
}

/// Bytes that the scenario `flood` has written, and how long its slowest hundred lines took.
fn flooded(recorded: &Recorded) -> (u64, Duration) {
    let said = String::from_utf8(recorded.file("flood")).unwrap();
    let words: Vec<f64> = said.split(' ').map(|word| word.parse().unwrap()).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    (words[0] as u64, Duration::from_secs_f64(words[2] / 1e3))
}

/// What was written is what was seen and what is counted as lost.
fn assert_accounted(recorded: &Recorded, written: u64) {
    let seen: usize = recorded.writes.iter().map(|write| write.bytes.len()).sum();
    assert_eq!(recorded.counter("kernel.lines_bytes"), u64::try_from(seen).unwrap());
    assert_eq!(
        written,
        recorded.counter("kernel.lines_bytes") + recorded.counter("kernel.lines_bytes_lost")
    );
    let records = u64::try_from(recorded.writes.len()).unwrap();
    assert_eq!(recorded.counter("kernel.lines_records"), records);
    assert_eq!(records + recorded.counter("kernel.lines_lost"), 200_000);
    // What is missing shows in the records themselves, too.
    let mut last = 0;
    let mut number = 0;
    for write in &recorded.writes {
        let text = std::str::from_utf8(&write.bytes).unwrap();
        let at: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(at - number, write.lost_records - last, "{text}");
        (number, last) = (at + 1, write.lost_records);
    }
}

/// The reader stands still meanwhile.
fn more_than_there_is_room_for(engine: Engine) {
    let stop = |recorder: &Running| {
        std::thread::sleep(Duration::from_millis(500));
        recorder.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(1200));
        recorder.signal(Signal::CONT);
    };
    let Some(recorded) = Recorded::run(engine, "flood", &[], stop).unwrap() else { return };
    let (written, slowest) = flooded(&recorded);
    assert_accounted(&recorded, written);
    assert!(recorded.counter("kernel.lines_lost") > 0);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

fn a_hundred_thousand_lines_a_second(engine: Engine) {
    let Some(recorded) = recorded(engine, "flood", &[]) else { return };
    let (written, slowest) = flooded(&recorded);
    assert_accounted(&recorded, written);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Whether a process has attached the program that takes lines.
fn is_attached(pid: u32) -> bool {
    let ids: BTreeSet<u32> = loaded_programs()
        .filter_map(Result::ok)
        .filter(|info| info.name_as_str() == Some("lines"))
        .map(|info| info.id())
        .collect();
    let infos = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    infos.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok()).any(|text| {
        let program = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
        text.contains("link_type:")
            && program.is_some_and(|id| id.trim().parse().is_ok_and(|id| ids.contains(&id)))
    })
}

/// One request, on a connection of its own.
fn ask(server: &Server, marker: u32) {
    let mut connection = TcpStream::connect(server.address).unwrap();
    let request = format!("GET / HTTP/1.0\r\nx-marker: {marker}\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Where no process is named, lines are taken of those that are seen to exchange something, from then on. (No
/// other process exchanges anything on this port.)
fn nothing_is_attached_before_there_is_somebody(engine: Engine) {
    let Some(server) = python_server(false).unwrap() else { return };
    let directory = fresh_directory("lines-lazy").unwrap();
    let file = directory.join("recording");
    let (port, engine) = (server.address.port().to_string(), engine.to_string());
    let recorder =
        Running::start(&["record", file.to_str().unwrap(), "--engine", &engine, "--port", &port]);
    assert!(!is_attached(recorder.pid()));
    ask(&server, 1);
    let deadline = Instant::now() + PATIENCE;
    while !is_attached(recorder.pid()) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    // The client may have been seen first: both exchange something, and are told of one after the other.
    std::thread::sleep(Duration::from_millis(500));
    ask(&server, 2);
    ask(&server, 3);
    assert_eq!(server.said(3).len(), 3);
    recorder.wait_until_quiet(PATIENCE);
    assert!(recorder.stop().status.success());
    let recorded = Recorded::read(&file).unwrap();
    let lines: Vec<String> = recorded
        .writes
        .iter()
        .filter(|write| write.pid == server.pid() && write.stream == "stdout")
        .map(|write| String::from_utf8_lossy(&write.bytes).into_owned())
        .collect();
    let log = server.process.log();
    // The first line may have come after its exchange was seen, or before.
    let (first, others) = log.split_once('\n').unwrap();
    let taken = lines.concat();
    assert!(taken.strip_prefix(&format!("{first}\n")).unwrap_or(&taken) == others, "{taken}");
    std::fs::remove_dir_all(directory).unwrap();
}
