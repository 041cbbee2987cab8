//! What is known of a process is that process's: not its id's, and not lost with its end.

#![expect(clippy::expect_used, reason = "this is how a test fails")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, python};
use sensor_tests::skip;
use sensor_tests::workloads::source;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sensor-workload");

/// Workers that are gone long before the sensor comes by to read what they did.
const WORKERS: usize = 40;

const PATIENCE: Duration = Duration::from_secs(60);

both_engines! {
    workers_of_a_program_chosen_by_name,
    workers_of_a_process,
    an_id_that_is_used_again,
}

/// Python under other names, and the server that its programs ask.
struct Forks {
    directory: PathBuf,
    python: PathBuf,
    server: Workload,
}

impl Forks {
    fn new() -> Option<Self> {
        let python = python()?;
        let mut server = Workload::start(PROGRAM, &["sink"]);
        server.wait_at("start");
        Some(Self { directory: fresh_directory("forks").expect("a directory"), python, server })
    }

    /// A program of that name, which no other test has: the kernel keeps 15 bytes of it.
    fn start(&self, name: &str, scene: &[&str]) -> Workload {
        let program = self.directory.join(name);
        if !program.exists() {
            symlink(&self.python, &program).expect("a link");
        }
        let script = source("python/forks.py");
        let port = self.server.said("port")[0].to_owned();
        let mut workload = Workload::spawn(
            Command::new(program)
                .arg(script)
                .arg(port)
                .args(scene)
                .env("OTEL_SERVICE_NAME", "forks")
                .env_remove("OTEL_RESOURCE_ATTRIBUTES"),
        );
        workload.wait_at("start");
        workload
    }
}

impl Drop for Forks {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn unique(engine: Engine) -> String {
    format!("{}{}", &engine.to_string()[..2], std::process::id())
}

/// Each worker's exchange is there, as the parent's service and the worker's own process, or, where
/// the kernel left out runs, counted.
fn assert_workers(report: &Report, parent: u32) {
    let text =
        |span: &SpanJson, key| span.resource(key).and_then(|it| it.as_str().map(str::to_owned));
    let number = |span: &SpanJson, key| span.resource(key).and_then(serde_json::Value::as_u64);
    let mut pids = std::collections::BTreeSet::new();
    let mut paths = std::collections::BTreeSet::new();
    for span in &report.spans {
        assert!(span.is_client(), "{span:#?}");
        assert_eq!(text(span, "service.name").as_deref(), Some("forks"), "{span:#?}");
        assert!(text(span, "process.executable.path").is_some(), "{span:#?}");
        assert_eq!(number(span, "process.parent_pid"), Some(parent.into()), "{span:#?}");
        pids.extend(number(span, "process.pid"));
        paths.insert(span.path().to_owned());
    }
    assert!(!pids.contains(&parent.into()));
    let missing = WORKERS - paths.len();
    assert_eq!((report.spans.len(), pids.len()), (paths.len(), paths.len()));
    if report.runs_missed() == 0 {
        assert_eq!(missing, 0, "{:#?}", report.counters);
    } else {
        let counted = report.counted() + report.counter("capture.processes_undecided");
        assert!(missing as u64 <= counted, "{missing} of {counted}: {:#?}", report.counters);
    }
}

fn workers_of_a_program_chosen_by_name(engine: Engine) {
    let Some(forks) = Forks::new() else { return };
    let name = format!("{}-f", unique(engine));
    let sensor = Sensor::start(engine, &["--comm", &name]);
    let mut parent = forks.start(&name, &["workers", &WORKERS.to_string()]);
    parent.play();
    assert_workers(&sensor.stop(), parent.pid());
}

fn workers_of_a_process(engine: Engine) {
    let Some(forks) = Forks::new() else { return };
    let mut parent =
        forks.start(&format!("{}-p", unique(engine)), &["workers", &WORKERS.to_string()]);
    let sensor = Sensor::on(engine, &[parent.pid()]);
    parent.play();
    assert_workers(&sensor.stop(), parent.pid());
}

/// A worker of a chosen process gets the id of a process that was not chosen.
fn an_id_that_is_used_again(engine: Engine) {
    let Some(forks) = Forks::new() else { return };
    let name = |suffix| format!("{}{suffix}", unique(engine));
    let sensor = Sensor::start(engine, &["--comm", &name("-s")]);
    let mut other = forks.start(&name("-o"), &["one", "/other"]);
    let mut chosen = forks.start(&name("-s"), &["reuse", &other.pid_text()]);
    other.play();
    let reused = other.pid();
    let mut goes_on = |path: &str, place: &str| {
        chosen.go();
        chosen.wait_at(place);
        let _ = sensor.wait_for(1, |span| span.path() == path, PATIENCE);
    };
    // What was seen of the other one before was handled by then, and so was its end.
    goes_on("/first", "first");
    drop(other);
    goes_on("/second", "second");
    chosen.go();
    chosen.wait_at("end");
    let said = chosen.said("forked")[0].to_owned();
    if said.starts_with("-1 ") {
        return skip("an_id_that_is_used_again", &format!("clone3 with a given id: {said}"));
    }
    let report = sensor.stop();
    let seen: Vec<_> = report
        .spans
        .iter()
        .map(|span| (span.path(), span.resource("process.pid").and_then(|pid| pid.as_u64())))
        .collect();
    let first = Some(u64::from(chosen.pid()));
    let expected = [("/first", first), ("/second", first), ("/reused", Some(u64::from(reused)))];
    assert!(seen == expected || report.runs_missed() > 0, "{seen:?}: {:#?}", report.counters);
    assert!(seen.iter().all(|it| expected.contains(it)), "{seen:?}");
}
