//! Where the sensor cannot do what it is asked for: it says so, and what to do.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::raw::{command, run};
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{binary, can_trace, tool};

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
    let Some(unshare) = tool("unshare") else { return };
    let directory = fresh_directory("full").expect("a directory");
    // One page, and another file has it; of no other process's file systems.
    let script = r#"mount -t tmpfs -o size=4k,mode=700 none "$1" && head -c 4096 /dev/zero > "$1/other" &&
        "$0" record "$1/full.rec" --for 10ms --comm no-such-command; status=$?; ls "$1"; exit $status"#;
    let mut full = Command::new(unshare);
    full.args(["--mount", "sh", "-c", script]).arg(binary()).arg(&directory);
    let ended = run(&mut full);
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("full.rec"), "{ended:#?}");
    assert!(ended.stderr.contains("No space left"), "{ended:#?}");
    assert_eq!(ended.stdout, "other\n", "a recording without a header is not left behind");
    std::fs::remove_dir_all(directory).expect("its end");
}

/// Captured data holds credentials: whoever records may read it, and nobody else.
#[test]
fn a_recording_is_private_and_replaces_nothing_by_itself() {
    if !can_trace("a_recording_is_private_and_replaces_nothing_by_itself") {
        return;
    }
    let directory = fresh_directory("private").expect("a directory");
    let file = directory.join("x.rec");
    let path = file.to_str().expect("UTF-8");
    let record = ["record", path, "--for", "10ms", "--comm", "no-such-command"];
    let again = [&record[..], &["--force"]].concat();
    let mode = || std::fs::metadata(&file).expect("it").permissions().mode() & 0o7777;
    let ended = run(&mut command(&record));
    assert!(ended.status.success(), "{ended:#?}");
    assert_eq!(mode(), 0o600);
    let first = std::fs::read(&file).expect("a recording");
    assert!(first.starts_with(b"\x8aSNSREC\n"));

    assert_refused(&mut command(&record), 1, &[path, "--force"]);
    assert_eq!(std::fs::read(&file).expect("the same"), first);

    std::fs::write(&file, "something else").expect("a file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("its mode");
    let ended = run(&mut command(&again));
    assert!(ended.status.success(), "{ended:#?}");
    assert_eq!(mode(), 0o600);
    assert!(run(&mut command(&["replay", path, "--output", "none"])).status.success());

    // Where a link leads, nothing is touched.
    let target = directory.join("target");
    std::fs::rename(&file, &target).expect("a new name");
    std::fs::write(&target, "precious").expect("a file");
    std::os::unix::fs::symlink(&target, &file).expect("a link");
    for arguments in [&record[..], &again] {
        assert_refused(&mut command(arguments), 1, &[path, "symbolic link"]);
    }
    assert_eq!(std::fs::read(&target).expect("the target"), b"precious");
    std::fs::remove_file(&file).expect("the link");
    std::fs::set_permissions(&directory, Permissions::from_mode(0o777)).expect("its mode");
    assert_refused(&mut command(&record), 1, &[path, "others may write", "0777"]);
    std::fs::remove_dir_all(directory).expect("its end");
}

#[test]
fn standard_output_that_others_may_read() {
    let directory = fresh_directory("stdout").expect("a directory");
    let nothing = directory.join("nothing.pcap");
    // pcap's header, of version 2.4, snaplen 65535, Ethernet.
    let header = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0";
    std::fs::write(&nothing, header).expect("a capture");
    for (mode, output, warned) in [
        (0o644, "json", true),
        (0o640, "tree", true),
        (0o600, "json", false),
        (0o644, "none", false),
    ] {
        let file = std::fs::File::create(directory.join("out")).expect("a file");
        file.set_permissions(Permissions::from_mode(mode)).expect("its mode");
        let mut replay = command(&["replay", nothing.to_str().expect("UTF-8"), "--output", output]);
        let ended = replay.stdout(file).stderr(Stdio::piped()).spawn().expect("the sensor");
        let ended = ended.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        assert_eq!(
            said.matches("others may read").count(),
            usize::from(warned),
            "{mode:o}: {said}"
        );
    }
    std::fs::remove_dir_all(directory).expect("its end");
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
