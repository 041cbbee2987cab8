//! What is traced and what is not, and under which name.

#![expect(clippy::expect_used, reason = "this is how a test fails")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::edges::Marker;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::spans::{assert_exactly, assert_report};
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Engine, Sensor, binary, tool};
use sensor_tests::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sensor-workload");

both_engines! {
    children_of_a_process,
    commands_by_name,
    executables_by_path,
    a_cgroup,
    a_port,
    never_its_own_exports,
    names_of_processes,
}

fn children_of_a_process(engine: Engine) {
    let mut workload = Workload::start(PROGRAM, &["child", "1"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();
    let markers = workload.markers("exchanged");
    assert_eq!(markers.len(), 6);
    assert_exactly(&report, &report.spans, &["client", "server"], &markers);
    // The child is another program before anybody can look at what the fork was.
    report.assert_delivered_but(12, &["capture.processes_unknown"]);
}

/// The workload under other names, in a directory of its own that goes away.
struct Copies(PathBuf);

impl Copies {
    fn new() -> Self {
        Self(fresh_directory("copies").expect("a directory"))
    }

    fn make(&self, name: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("below it")).expect("a directory");
        std::fs::copy(PROGRAM, &path).expect("a copy");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Of three processes, one that is chosen and there before the sensor, one that is chosen and
/// starts after it, and one that is not chosen, the first two are traced.
fn assert_chosen(engine: Engine, flags: &[&str], chosen: &str, other: &str) {
    let mut before = Workload::start(chosen, &["few", "1", "3"]);
    let mut not = Workload::start(other, &["few", "11", "3"]);
    before.wait_at("start");
    not.wait_at("start");
    let sensor = Sensor::start(engine, flags);
    let mut after = Workload::start(chosen, &["few", "21", "3"]);
    after.wait_at("start");
    let mut not_after = Workload::start(other, &["few", "31", "3"]);
    not_after.wait_at("start");
    for workload in [&mut before, &mut not, &mut after, &mut not_after] {
        workload.play();
    }
    let report = sensor.stop();
    assert_report(&report, &[before.markers("exchanged"), after.markers("exchanged")].concat());
}

fn commands_by_name(engine: Engine) {
    let copies = Copies::new();
    // Names that no other test has; the kernel keeps 15 bytes of them.
    let unique = format!("{}{}", &engine.to_string()[..2], std::process::id());
    let chosen = copies.make(&format!("{unique}-a-with-a-long-name"));
    let other = copies.make(&format!("{unique}-b"));
    assert_chosen(engine, &["--comm", &format!("{unique}-a*")], &chosen, &other);
}

fn executables_by_path(engine: Engine) {
    let copies = Copies::new();
    let chosen = copies.make("one/below/chosen");
    let other = copies.make("two/below/chosen");
    let glob = format!("{}/one/**/cho*", copies.0.display());
    assert_chosen(engine, &["--exe", &glob], &chosen, &other);
}

/// A cgroup of its own, removed at the end.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> std::io::Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let root = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|words| words.get(2) == Some(&"cgroup2"))
            .map(|words| PathBuf::from(words[1]))
            .ok_or_else(|| std::io::Error::other("cgroup2 is not mounted"))?;
        let path = root.join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn take(&self, workload: &Workload) {
        std::fs::write(self.0.join("cgroup.procs"), workload.pid_text()).expect("a move");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Those that are still within, and the root's: it cannot be removed before they are out.
        let procs = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let root = self.0.parent().unwrap_or(Path::new("/"));
        for pid in procs.lines() {
            let _ = std::fs::write(root.join("cgroup.procs"), pid);
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn a_cgroup(engine: Engine) {
    let name = format!("sensor-edges-{}-{engine}", std::process::id());
    let cgroup = match Cgroup::new(&name) {
        Ok(cgroup) => cgroup,
        Err(error) => return skip("a_cgroup", &error.to_string()),
    };
    let start = |first: &str| {
        let mut workload = Workload::start(PROGRAM, &["few", first, "3"]);
        workload.wait_at("start");
        workload
    };
    let (mut before, mut outside) = (start("1"), start("11"));
    cgroup.take(&before);
    let path = cgroup.0.to_str().expect("UTF-8");
    if std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .expect("a release")
        .starts_with("5.10.")
    {
        // The helper is not for tracing programs there; the sensor has to say so, and what to do.
        let engine = engine.to_string();
        let run = ["run", "--engine", &engine, "--cgroup", path, "--for", "1s"];
        let output = Command::new(binary()).args(run).output().expect("a run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("choose by --pid"), "{said}");
        return;
    }
    let sensor = Sensor::start(engine, &["--cgroup", path]);
    let mut after = start("21");
    cgroup.take(&after);
    let below = Cgroup(cgroup.0.join("below"));
    std::fs::create_dir(&below.0).expect("a cgroup below");
    let mut deeper = start("31");
    below.take(&deeper);
    for workload in [&mut before, &mut outside, &mut after, &mut deeper] {
        workload.play();
    }
    let report = sensor.stop();
    let within = [&before, &after, &deeper].map(|workload| workload.markers("exchanged"));
    assert_report(&report, &within.concat());
}

fn a_port(engine: Engine) {
    let mut workload = Workload::start(PROGRAM, &["ports", "3"]);
    workload.wait_at("start");
    let pid = workload.pid_text();
    let port = workload.said("port")[1].to_owned();
    let sensor = Sensor::start(engine, &["--pid", &pid, "--port", &port]);
    workload.play();
    let report = sensor.stop();
    assert_report(&report, &[4, 5, 6].map(Marker));
}

/// The receiver of the sensor's own exports is traced, but not what the sensor sends to it.
fn never_its_own_exports(engine: Engine) {
    let mut sink = Workload::start(PROGRAM, &["sink"]);
    sink.wait_at("start");
    let mut workload = Workload::start(PROGRAM, &["few", "1", "5"]);
    workload.wait_at("start");
    let port = sink.said("port")[0].to_owned();
    let pids = format!("{},{}", sink.pid(), workload.pid());
    let endpoint = format!("http://127.0.0.1:{port}");
    let flags = ["--pid", &pids, "--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf"];
    let sensor = Sensor::start(engine, &flags);
    workload.play();
    // Somebody else's request to the same server is told.
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).expect("it");
    let request = b"GET /somebody-else HTTP/1.1\r\nHost: sink\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("a request");
    // All of it: with something unread this end would reset the connection, perhaps before the call
    // that sent it is over.
    let expected = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut answer = [0; 38];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, expected);
    drop(stream);
    let other = |span: &sensor_tests::sensor::SpanJson| span.path() == "/somebody-else";
    let others = sensor.wait_for(1, other, Duration::from_secs(60)).len();
    let report = sensor.stop();
    assert!(others == 1 || report.runs_missed() > 0, "{:#?}", report.spans);
    sink.play();
    let asked = sink.said("asked");
    assert!(asked.iter().any(|first| first.starts_with("POST /v1/traces ")), "{asked:?}");
    assert_eq!(report.counter("otlp.sent"), report.spans.len() as u64);
    let exports = report.spans.iter().filter(|span| span.path().starts_with("/v1/")).count();
    assert_eq!(exports, 0, "{:#?}", report.spans);
    let markers = workload.markers("exchanged");
    assert_exactly(&report, &report.spans, &["client", "server"], &markers);
    report.assert_delivered(11);
}

fn names_of_processes(engine: Engine) {
    let Some(curl) = tool("curl") else { return };
    let mut sink = Workload::spawn(
        Command::new(PROGRAM).arg("sink").env("OTEL_SERVICE_NAME", "the-sink").env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=not-this,deployment.environment.name=t%20e",
        ),
    );
    sink.wait_at("start");
    let url = format!("http://127.0.0.1:{}", sink.said("port")[0]);
    // Each curl lives for a few milliseconds.
    let script = "read go; for i in 1 2 3 4 5; do \"$0\" -s \"$1/plain/$i\"; \
                  OTEL_SERVICE_NAME=short-$i \"$0\" -s \"$1/named/$i\"; done";
    let mut shell = Command::new("/bin/sh")
        .args(["-c", script])
        .arg(&curl)
        .arg(&url)
        .env_remove("OTEL_SERVICE_NAME")
        .env_remove("OTEL_RESOURCE_ATTRIBUTES")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let sensor = Sensor::on(engine, &[sink.pid(), shell.id()]);
    shell.stdin.take().expect("its input").write_all(b"go\n").expect("it");
    assert!(shell.wait().expect("its end").success());
    let report = sensor.stop();
    report.assert_delivered(20);
    for span in &report.spans {
        let resource = |key| span.resource(key).and_then(|value| value.as_str());
        assert_eq!(resource("container.id"), None, "{span:#?}");
        assert!(span.resource("process.pid").is_some(), "{span:#?}");
        assert!(resource("host.name").is_some(), "{span:#?}");
        if span.is_server() {
            assert_eq!(resource("service.name"), Some("the-sink"), "{span:#?}");
            assert_eq!(resource("deployment.environment.name"), Some("t e"), "{span:#?}");
        } else {
            let name = match span.path().strip_prefix("/named/") {
                Some(i) => format!("short-{i}"),
                None => "curl".to_owned(),
            };
            assert_eq!(resource("service.name"), Some(name.as_str()), "{span:#?}");
            // It may be gone before anybody can look at its executable.
            let executable = resource("process.executable.name");
            assert!(executable.is_none_or(|name| name == "curl"), "{span:#?}");
        }
    }
}
