//! With how little the sensor does its work, and what it gives up itself.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sensor_tests::both_engines;
use sensor_tests::edges::raw::run;
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{
    Engine, Report, Sensor, Signal, SpanJson, binary, can_trace, go_workload, tool,
};
use sensor_tests::unit::{ambient, bounded, capabilities, system_calls};
use sensor_tests::workloads::Server;

both_engines!(the_units_capabilities_are_enough, another_user_with_the_units_capabilities);

/// `nobody`.
const OTHER: u32 = 65_534;

const PATIENCE: Duration = Duration::from_secs(30);

/// Requests from outside; each has the service ask itself once.
const REQUESTS: usize = 5;

/// A service of another user: its executable and its log file are in a directory that only that user may enter, and
/// its environment is for that user to read.
struct Foreign {
    server: Server,
    private: PathBuf,
}

impl Foreign {
    fn start() -> Option<Self> {
        let program = go_workload("service")?;
        let mut private = PathBuf::new();
        let server = Server::start("foreign", |port, directory| {
            private = directory.join("private");
            let own = private.join("service");
            fs::create_dir(&private)?;
            fs::copy(program, &own)?;
            for path in [&private, &own] {
                fs::set_permissions(path, Permissions::from_mode(0o700))?;
                chown(path, Some(OTHER), Some(OTHER))?;
            }
            let mut command = Command::new(own);
            command.arg(port.to_string()).arg(private.join("app.log")).uid(OTHER).gid(OTHER);
            command.env("OTEL_SERVICE_NAME", "foreign");
            Ok(command)
        });
        let server = server.unwrap();
        Some(Self { server, private })
    }

    /// The arguments to trace it, with its log file.
    fn arguments(&self) -> Vec<String> {
        let glob = format!("{}/*.log", self.private.display());
        let pid = self.server.pid().to_string();
        ["--pid", &pid, "--logs", "on", "--log-file", &glob].map(str::to_owned).to_vec()
    }

    fn ask(&self) {
        for i in 0..REQUESTS {
            let mut connection = TcpStream::connect(self.server.address).unwrap();
            write!(
                connection,
                "GET /on?m={i} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut response = String::new();
            connection.read_to_string(&mut response).unwrap();
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        }
    }
}

fn start(command: Command, engine: Engine, arguments: &[String]) -> Sensor {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Sensor::start_by(command, engine, &arguments)
}

/// Lets it serve, and returns what was seen of it.
fn traced(foreign: &Foreign, command: Command, engine: Engine) -> Report {
    let sensor = start(command, engine, &foreign.arguments());
    foreign.ask();
    let _ = sensor.wait_for(3 * REQUESTS, |_| true, PATIENCE);
    sensor.stop()
}

fn assert_nothing_is_missing(report: &Report) {
    report.assert_delivered(3 * REQUESTS);
    let service = |span: &SpanJson| span.json()["resource"]["service.name"].clone();
    assert!(report.spans.iter().all(|span| service(span) == "foreign"), "{:#?}", report.spans);
    for i in 0..REQUESTS {
        let query = format!("m={i}");
        let of = |kind: &str, path: &str| {
            let mut spans = report.spans.iter().filter(|span| {
                span.kind() == kind && span.str("url.query") == query && {
                    span.get("url.path").is_none_or(|it| it == path)
                }
            });
            spans.next().unwrap_or_else(|| unreachable!("{kind} {path} {query}: {report:#?}"))
        };
        let (entered, asked) = (of("server", "/on"), of("client", "/leaf"));
        assert_eq!(asked.str("sensor.parent.evidence"), "goroutine", "{asked:#?}");
        assert_eq!(asked.parent_span_id(), Some(entered.span_id()));
        for (source, text) in [("stdout", "to standard output"), ("file", "to the file")] {
            let message = format!("{text} {query}");
            let lines: Vec<_> =
                report.logs.iter().filter(|line| line.message() == message).collect();
            assert_eq!(lines.len(), 1, "{message}: {:#?}", report.logs);
            assert_eq!(lines[0].text("source"), Some(source), "{lines:#?}");
            assert_eq!(lines[0].text("trace_id"), Some(entered.trace_id()), "{lines:#?}");
        }
    }
}

fn the_units_capabilities_are_enough(engine: Engine) {
    let Some(foreign) = Foreign::start() else { return };
    let Some(command) = bounded(&capabilities(), binary()) else { return };
    assert_nothing_is_missing(&traced(&foreign, command, engine));
}

/// Its own `/proc` belongs to root then, as for any process that may not be dumped.
fn another_user_with_the_units_capabilities(engine: Engine) {
    let Some(foreign) = Foreign::start() else { return };
    // Where that user comes by it.
    let directory = fresh_directory("ambient").unwrap();
    let copy = directory.join("sensor");
    fs::copy(binary(), &copy).unwrap();
    let Some(command) = ambient(OTHER - 1, &capabilities(), &copy) else { return };
    let sensor = start(command, engine, &foreign.arguments());
    assert_eq!(fs::metadata(format!("/proc/{}/environ", sensor.pid())).unwrap().uid(), 0);
    foreign.ask();
    let _ = sensor.wait_for(3 * REQUESTS, |_| true, PATIENCE);
    assert_nothing_is_missing(&sensor.stop());
    fs::remove_dir_all(directory).unwrap();
}

/// Without any of them something is missing, so none of them is in the unit for nothing.
#[test]
fn each_of_the_units_capabilities_is_needed() {
    if !can_trace("each_of_the_units_capabilities_is_needed") {
        return;
    }
    let Some(foreign) = Foreign::start() else { return };
    for without in capabilities() {
        let mut rest = capabilities();
        rest.retain(|name| *name != without);
        let Some(mut command) = bounded(&rest, binary()) else { return };
        if ["bpf", "perfmon"].contains(&without.as_str()) {
            let ended = run(command.args(["run", "--pid", &foreign.server.pid().to_string()]));
            assert_eq!(ended.status.code(), Some(3), "{without}: {ended:#?}");
            assert!(ended.stderr.contains("CAP_BPF"), "{without}: {ended:#?}");
            continue;
        }
        let report = traced(&foreign, command, Engine::Syscall);
        let service = |span: &SpanJson| span.json()["resource"]["service.name"].clone();
        let named = report.spans.iter().all(|span| service(span) == "foreign");
        let goroutines = report
            .spans
            .iter()
            .any(|span| span.get("sensor.parent.evidence").is_some_and(|it| it == "goroutine"));
        // /proc/PID/environ is for its owner, /proc/PID/exe for who may trace.
        assert_eq!((named, goroutines), (without == "sys_ptrace", false), "{without}");
    }
}

/// `doctor` looks at a process of another user, so it knows what the unit before had not.
#[test]
fn the_doctor_tries() {
    if !can_trace("the_doctor_tries") {
        return;
    }
    let marks = |mut command: Command| {
        let ended = run(command.arg("doctor"));
        assert_eq!(ended.status.code(), Some(0), "{ended:#?}");
        let ours = |line: &&str| line.contains("another user's process");
        let marks: String =
            ended.stdout.lines().filter(ours).filter_map(|line| line.chars().next()).collect();
        assert_eq!(marks.chars().count(), 3, "{ended:#?}");
        marks
    };
    assert_eq!(marks(Command::new(binary())), "✓✓✓");

    let Some(foreign) = Foreign::start() else { return };
    let all = capabilities();
    let Some(command) = bounded(&all, binary()) else { return };
    // It may not start one there, and looks at the first that it finds.
    assert_eq!(marks(command), "✓✓✓");
    let mut without = all;
    without.retain(|name| name != "dac_read_search");
    let Some(command) = bounded(&without, binary()) else { return };
    assert_eq!(marks(command), "✗✓✗");
    drop(foreign);
}

fn status(path: &Path, field: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| unreachable!("no {field} in {text}")).trim().to_owned()
}

/// With the numbers of include/uapi/linux/capability.h.
#[test]
fn a_running_sensor_has_given_up_the_rest() {
    const DAC_READ_SEARCH: u64 = 1 << 2;
    const SYS_PTRACE: u64 = 1 << 19;
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON: u64 = 1 << 38;
    const BPF: u64 = 1 << 39;
    if !can_trace("a_running_sensor_has_given_up_the_rest") {
        return;
    }
    let pid = std::process::id().to_string();
    let four = DAC_READ_SEARCH | SYS_PTRACE | PERFMON | BPF;
    for (probes, least, most) in [("off", four, four), ("on", four, four | SYS_ADMIN)] {
        let arguments =
            ["--pid", &pid, "--go-probes", probes, "--otlp-endpoint", "http://127.0.0.1:9"];
        let sensor = Sensor::start(Engine::Syscall, &arguments);
        let process = PathBuf::from(format!("/proc/{}", sensor.pid()));
        let set = |path: &Path, field| u64::from_str_radix(&status(path, field), 16).unwrap();
        let main = process.join("status");
        for field in ["CapEff", "CapPrm", "CapBnd"] {
            let has = set(&main, field);
            assert!(has & least == least && has & !most == 0, "{field} {has:x}, probes {probes}");
        }
        for field in ["CapInh", "CapAmb"] {
            assert_eq!(set(&main, field), 0, "{field}");
        }
        assert_eq!(status(&main, "NoNewPrivs"), "1");
        assert_eq!(status(&main, "Umask"), "0077");
        let limits = fs::read_to_string(process.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
        // Those that talk to the network have none.
        let threads = fs::read_dir(process.join("task")).unwrap().map(|it| it.unwrap().path());
        let network: Vec<PathBuf> = threads
            .filter(|thread| fs::read_to_string(thread.join("comm")).unwrap().starts_with("export"))
            .collect();
        assert!(!network.is_empty());
        for thread in network {
            assert_eq!(set(&thread.join("status"), "CapPrm"), 0, "{thread:?}");
        }
        let _ = sensor.stop();
    }
}

/// sd_notify(3), with a socket in the place of systemd's.
#[test]
fn the_service_manager_is_notified() {
    if !can_trace("the_service_manager_is_notified") {
        return;
    }
    let directory = fresh_directory("notify").unwrap();
    let path = directory.join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut bytes = [0; 256];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000");
    let sensor = Sensor::start_by(
        command,
        Engine::Syscall,
        &["--pid", &std::process::id().to_string(), "--logs", "off"],
    );
    assert_eq!(receive(), "READY=1");
    let first = Instant::now();
    assert_eq!([(); 3].map(|()| receive()), ["WATCHDOG=1"; 3]);
    // Half of the two seconds apart, which is the loop's own second.
    assert!(first.elapsed() > Duration::from_secs(1), "{:?}", first.elapsed());

    // A loop that does not go round says nothing.
    sensor.signal(Signal::STOP);
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 256]).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    sensor.signal(Signal::CONT);
    let _ = sensor.stop();
    let last = std::iter::repeat_with(receive).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    fs::remove_dir_all(directory).unwrap();
}

/// Every system call of a run is one that the unit allows.
#[test]
fn the_units_system_calls_are_enough() {
    if !can_trace("the_units_system_calls_are_enough") {
        return;
    }
    let (Some(allowed), Some(strace)) = (system_calls(), tool("strace")) else { return };
    for name in ["ptrace", "kill", "process_vm_writev", "mount", "setuid", "init_module"] {
        assert!(!allowed.contains(name), "{name}");
    }
    let Some(foreign) = Foreign::start() else { return };
    let directory = fresh_directory("strace").unwrap();
    let log = directory.join("calls");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).arg(binary());
    let mut arguments = foreign.arguments();
    let more = ["--otlp-endpoint", "http://localhost:9", "--loki-endpoint", "http://localhost:9"];
    arguments.extend(more.map(str::to_owned));
    let sensor = start(command, Engine::Syscall, &arguments);
    foreign.ask();
    let _ = sensor.wait_for(3 * REQUESTS, |_| true, PATIENCE);
    // The sensor is a child of strace, which ends when that has.
    let children = format!("/proc/{0}/task/{0}/children", sensor.pid());
    let child: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, Signal::INT).unwrap();
    let report = sensor.ended();
    assert!(report.spans.len() >= 3 * REQUESTS, "{report:#?}");

    let text = fs::read_to_string(&log).unwrap();
    // `1234  openat(AT_FDCWD, …`, and `1234  <... read resumed>…` for the rest of one.
    let call = |line: &str| {
        let rest = line.split_once(' ')?.1.trim_start();
        let (name, _) = rest.split_once('(')?;
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            .then(|| name.to_owned())
    };
    let called: BTreeSet<String> = text.lines().filter_map(call).collect();
    for name in ["bpf", "capset", "prctl", "sendto", "connect"] {
        assert!(called.contains(name), "{name} is not in {called:?}");
    }
    let refused: Vec<_> = called.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
    fs::remove_dir_all(directory).unwrap();
}
