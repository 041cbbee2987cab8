//! Paths of logs are those of the process that writes; and where looking at them takes long, nobody
//! else waits.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use sensor_tests::both_engines;
use sensor_tests::lines::Recorded;
use sensor_tests::process::{Held, fresh_directory};
use sensor_tests::sensor::{Engine, Sensor, python};
use sensor_tests::workloads::{python_server, source};

both_engines!(
    a_root_of_its_own,
    a_file_system_that_does_not_answer_stalls_nobody_else,
    to_be_called_like_a_copier_hides_nothing,
);

/// Longer than anything takes that does not wait for what never comes, on an emulated processor
/// too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exchanges while a look is stuck: more than it takes to notice that.
const EXCHANGES: usize = 60;

fn a_root_of_its_own(engine: Engine) {
    let globs = ["app.log", "each.log", "outside.log"];
    let globs = globs.map(|name| ["--log-file".to_owned(), format!("{{}}/log/{name}")]).concat();
    let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
    let Some(recorded) = Recorded::run(engine, "root", &globs, |_| ()).unwrap() else { return };
    recorded.assert_whole();
    let directory = recorded.directory.as_ref().unwrap().path().join("log");
    let names: Vec<&str> = recorded.files.iter().map(|(_, path)| path.as_str()).collect();
    if recorded.runs_missed() == 0 {
        let expected = ["app.log", "each.log"].map(|name| directory.join(name));
        assert_eq!(names, expected.each_ref().map(|path| path.to_str().unwrap()));
    }
}

/// Waits until something is so.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Exchanges and lines of others go on while a look is stuck, and so does the end. All is killed
/// when it is dropped, and the file system ends with the process that has it.
fn a_file_system_that_does_not_answer_stalls_nobody_else(engine: Engine) {
    if fs::metadata("/dev/fuse").is_err() {
        sensor_tests::skip("a file system that does not answer", "there is no /dev/fuse");
        return;
    }
    let Some(server) = python_server(false).unwrap() else { return };
    let directory = fresh_directory("paths").unwrap().canonicalize().unwrap();
    for name in ["hang", "fine"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let scenario = |name: &str| {
        let mut command = Command::new(python().unwrap());
        command.arg(source("lines/writers.py")).arg(name).arg(&directory);
        Held::new(&command).unwrap()
    };
    let (mut hanging, mut other) = (scenario("hang"), scenario("meanwhile"));
    let globs = ["hang", "fine"].map(|name| format!("{}/{name}/*.log", directory.display()));
    let more = ["--log-file", &globs[0], "--log-file", &globs[1]];
    let sensor = Sensor::with_logs(engine, &[server.pid(), hanging.pid(), other.pid()], &more);
    hanging.release().unwrap();
    wait_until("it does not hang", || hanging.stdout().contains("hangs"));
    other.release().unwrap();
    let begun = Instant::now();
    // One after the other, for longer than it takes until another thread looks at files.
    for marker in 0..EXCHANGES {
        let request = format!("GET /?m={marker} HTTP/1.0\r\n\r\n");
        assert!(ask(&server.address.to_string(), &request).starts_with("HTTP/1.1 200"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let server_spans = || sensor.spans().iter().filter(|span| span.is_server()).count();
    wait_until("exchanges of others wait", || server_spans() == EXCHANGES);
    let stalled = begun.elapsed();
    let last = sensor.spans().iter().map(|span| span.arrived() - span.end()).max().unwrap();
    assert!(Duration::from_nanos(last) < PATIENCE / 3, "{last} ns late");
    let lines = server.process.log().lines().count();
    assert!(lines >= EXCHANGES);
    // What is found by the thread that took over.
    std::thread::sleep(Duration::from_secs(1));
    let stopped = Instant::now();
    let report = sensor.stop();
    let end = stopped.elapsed();
    fs::write(directory.join("over"), "").unwrap();
    hanging.finish(PATIENCE).unwrap();
    other.finish(PATIENCE).unwrap();

    assert!(end < PATIENCE / 3, "the end took {end:?}");
    assert_eq!(report.counter("logs.looks_stuck"), 1, "after {stalled:?}: {}", report.stderr);
    let having =
        |text: &str| report.logs.iter().filter(|log| log.json().to_string().contains(text)).count();
    assert!(having("fine/each.log") > 0, "{:#?}", report.logs.first());
    let own = having("/?m=");
    assert!(own == EXCHANGES || report.runs_missed() > 0, "{own} lines of {EXCHANGES}");
    assert_eq!(having("which file"), 0);
    fs::remove_dir_all(directory).unwrap();
}

fn ask(address: &str, request: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn to_be_called_like_a_copier_hides_nothing(engine: Engine) {
    let Some(recorded) = Recorded::run(engine, "copiers", &[], |_| ()).unwrap() else { return };
    recorded.assert_whole();
    assert_eq!(recorded.expected.len(), 1);
}
