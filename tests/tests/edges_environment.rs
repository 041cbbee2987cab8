//! Where the sensor cannot do what it is asked for: it says so, and what to do.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::raw::{command, run};
use sensor_tests::sensor::{binary, can_trace};

/// Ends at once, and says what is wrong in one word that people search for.
fn assert_refused(command: &mut Command, code: i32, words: &[&str]) {
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(code), "{command:?}: {ended:#?}");
    assert_eq!(ended.stdout, "", "{command:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:#?}");
    }
    assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
}

#[test]
fn a_file_that_cannot_be_written() {
    if !can_trace("a_file_that_cannot_be_written") {
        return;
    }
    for file in ["/nowhere/at/all.rec", "/proc/version", "/tmp"] {
        let arguments = ["record", file, "--for", "10ms", "--comm", "no-such-command"];
        assert_refused(&mut command(&arguments), 1, &[file]);
    }
}

#[test]
fn a_disk_that_is_full() {
    if !can_trace("a_disk_that_is_full") {
        return;
    }
    let arguments = ["record", "/dev/full", "--for", "10ms", "--comm", "no-such-command"];
    assert_refused(&mut command(&arguments), 1, &["/dev/full", "No space left"]);
}

#[test]
fn a_process_that_is_not_there() {
    // Above the highest number that the kernel gives out (PID_MAX_LIMIT).
    assert_refused(&mut command(&["run", "--pid", "4194305"]), 2, &["--pid", "4194305"]);
}

#[test]
fn a_process_that_has_ended() {
    if !can_trace("a_process_that_has_ended") {
        return;
    }
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["few", "1", "1"]);
    workload.wait_at("start");
    let pid = workload.pid_text();
    drop(workload);
    assert_refused(&mut command(&["run", "--pid", &pid, "--for", "1s"]), 1, &["--pid", &pid]);
}

#[test]
fn a_cgroup_that_is_not_there() {
    if !can_trace("a_cgroup_that_is_not_there") {
        return;
    }
    let arguments = ["run", "--cgroup", "/no/such/cgroup"];
    assert_refused(&mut command(&arguments), 1, &["--cgroup", "/no/such/cgroup", "cgroup2"]);
}

#[test]
fn somebody_who_may_not() {
    if !can_trace("somebody_who_may_not") {
        return;
    }
    // The binary where nobody can read it would be another error.
    let directory = std::env::temp_dir().join(format!("sensor-nobody-{}", std::process::id()));
    let copy = directory.join("sensor");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::copy(binary(), &copy).expect("a copy");
    for arguments in [&["run"][..], &["record", "/tmp/never.rec"]] {
        let mut command = Command::new(&copy);
        command.args(arguments).uid(65_534).gid(65_534);
        assert_refused(&mut command, 3, &["CAP_BPF", "root"]);
    }
    // `doctor` says it on standard output.
    let ended = run(Command::new(&copy).arg("doctor").uid(65_534).gid(65_534));
    assert_eq!(ended.status.code(), Some(3), "{ended:#?}");
    assert!(ended.stdout.contains("CAP_BPF"), "{ended:#?}");
    std::fs::remove_dir_all(&directory).expect("its end");
}

#[test]
fn flags_that_make_no_sense() {
    for arguments in [
        &["run", "--engine", "magic"][..],
        &["run", "--ring-size", "65537"],
        &["run", "--ring-size", "32KiB"],
        &["run", "--port", "0"],
        &["run", "--port", "70000"],
        &["run", "--for", "soon"],
        &["run", "--exe", "[a"],
        &["run", "--otlp-endpoint", "nonsense"],
        &["run", "--nonsense"],
        &["record"],
        &["replay"],
    ] {
        let flag = arguments.get(1).copied().unwrap_or_default();
        assert_refused(&mut command(arguments), 2, &[flag]);
    }
}
