//! The command as its users meet it: exit codes and messages.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs::File;
use std::io::ErrorKind;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

fn sensor(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensor"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    sensor(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_and_version_are_no_failure() {
    for args in [&["--help"][..], &["run", "--help"], &["replay", "--help"], &["--version"]] {
        let output = output(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let output = output(&["run", "--prot", "80"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'--port'"), "suggests the nearest: {}", stderr(&output));
}

#[test]
fn every_wrong_setting_is_named_at_once() {
    let output = sensor(&["run", "--port", "0", "--for", "20", "--output", "xml"])
        .env("SENSOR_LOG", "sensor=loud")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = stderr(&output);
    let names = ["--port", "--for", "--output", "SENSOR_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    for name in names {
        assert!(
            stderr.lines().any(|line| line.starts_with(&format!("sensor: {name} "))),
            "{stderr}"
        );
    }
    assert_eq!(stderr.lines().count(), names.len(), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let output = output(&["replay", "/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent/file"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn without_privileges_it_says_so() {
    let mut command = sensor(&["run", "--for", "100ms", "--output", "none"]);
    // Only root can become nobody; everybody else has no privileges as it is.
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            eprintln!("skipped: the build directory is closed to other users");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("sensor: cannot trace: "), "{}", stderr(&output));
}

#[test]
fn help_into_a_closed_pipe_ends_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sensor(&["run", "--help"]).stdout(writer).output().unwrap();
    assert_eq!(stderr(&output), "");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sensor(&["doctor"]).stdout(full).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}", output.status);
}

/// Two exchanges, as tcpdump saw them.
const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/pcap/get.pcap");

/// Nothing listens on port 1, which is reserved (tcpmux).
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn a_backend_that_is_not_there_is_counted_and_no_failure() {
    let output = output(&["replay", CAPTURE, "--output", "json", "--otlp-endpoint", NOBODY]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, spans) = lines.split_last().unwrap();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| span["type"] == "span"));
    assert_eq!(summary["type"], "summary");
    let counters = &summary["counters"];
    assert_eq!(counters["exchanges.spans"], 2);
    assert_eq!(counters["otlp.offered"], 2);
    assert_eq!(counters["otlp.lost.failed"], 2);
    assert_eq!(counters["otlp.sent"], 0);
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    // At its end it tries for five seconds to deliver to nobody.
    let mut child = sensor(&["replay", CAPTURE, "--output", "json", "--otlp-endpoint", NOBODY])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    let interrupt = || {
        let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    };
    interrupt();
    // Two signals at one moment would be one.
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sensor(&["replay", CAPTURE, "--output", "json"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sensor(&["replay", CAPTURE, "--output", "json"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
}
