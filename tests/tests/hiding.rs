//! What somebody on the network can do to hide requests: ask that they not be recorded, and have a
//! service send what looks like spans of its own.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, python};
use sensor_tests::workloads::{Server, python_packages, python_server, source};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

both_engines!(
    a_stranger_hides_no_requests,
    a_trusted_caller_hides_no_errors_and_no_access_records,
    a_foreign_trace_begins_anew,
    webhooks_hide_nothing,
    exports_in_a_rhythm_are_noticed,
);

/// A service that calls the other server, which is Loki too.
struct World {
    service: Server,
    other: Server,
}

impl World {
    fn start() -> Option<Self> {
        let other = python_server(true).unwrap()?;
        let mut command = Command::new(python()?);
        command.arg(source("python/webhook.py")).arg(other.address.port().to_string());
        let service = Server::on_port("webhook", command).unwrap();
        Some(Self { service, other })
    }

    /// Traces the service, and the other server too if that is `whole`. Who asks is not traced.
    fn sensor(&self, engine: Engine, whole: bool, args: &[&str]) -> Sensor {
        let mut pids = vec![self.service.pid().to_string()];
        pids.extend(whole.then(|| self.other.pid().to_string()));
        Sensor::start(engine, &[&["--logs", "off", "--pid", &pids.join(",")], args].concat())
    }
}

/// The server's answer has come when this returns.
fn ask(server: &Server, target: &str, flags: &str) {
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET {target} HTTP/1.0\r\nHost: {}\r\ntraceparent: 00-{TRACE}-{CALLER}-{flags}\r\n\r\n",
        server.address
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1."), "{answer}");
}

/// Where it goes and what it is, in order.
fn told(report: &Report) -> Vec<(&str, &str)> {
    let mut told: Vec<_> = report.spans.iter().map(|span| (span.path(), span.kind())).collect();
    told.sort_unstable();
    told
}

/// Marked with the sampled flag, so that a backend keeps it.
fn is_sampled(span: &SpanJson) -> bool {
    span.json()["trace_flags"].as_u64().unwrap() & 1 == 1
}

fn a_stranger_hides_no_requests(engine: Engine) {
    let Some(world) = World::start() else { return };
    let loki = format!("http://{}", world.other.address);
    let sensor = world.sensor(engine, true, &["--loki-endpoint", &loki]);
    ask(&world.service, "/forward?/size/1", "00");
    ask(&world.service, "/plain", "00");
    let _ = sensor.wait_for(4, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_loss_equation();
    if report.runs_missed() > 0 {
        return;
    }
    // The service passes the decision on: to hide one is to hide what is called too.
    let expected = [
        ("/forward", "server"),
        ("/plain", "server"),
        ("/size/1", "client"),
        ("/size/1", "server"),
    ];
    assert_eq!(told(&report), expected);
    assert!(report.spans.iter().all(|span| is_sampled(span) && span.trace_id() == TRACE));
    assert_eq!(report.counter("spans.not_sampled"), 0);
    assert_eq!(report.counter("spans.flag_refused"), 4);
    assert_eq!(report.counter("loki.offered"), 3, "of each server exchange");
    assert_eq!(report.counter("loki.sent"), 3);
}

fn a_trusted_caller_hides_no_errors_and_no_access_records(engine: Engine) {
    let Some(world) = World::start() else { return };
    let loki = format!("http://{}", world.other.address);
    let args = ["--loki-endpoint", &loki, "--trusted-peer", "10.0.0.0/8,127.0.0.0/8"];
    let sensor = world.sensor(engine, true, &args);
    ask(&world.service, "/forward?/size/1", "00");
    ask(&world.service, "/forward?/status/503", "00");
    ask(&world.service, "/plain", "01");
    let _ = sensor.wait_for(1, |it| it.path() == "/plain", PATIENCE);
    let _ = sensor.wait_for(3, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_loss_equation();
    if report.runs_missed() > 0 {
        return;
    }
    let expected = [("/plain", "server"), ("/status/503", "client"), ("/status/503", "server")];
    assert_eq!(told(&report), expected);
    for span in &report.spans {
        let by = (span.path() != "/plain").then(|| json!("error"));
        assert_eq!(span.get("sensor.sampled_by"), by.as_ref());
        assert_eq!(is_sampled(span), by.is_none());
    }
    let counted = ["spans.not_sampled", "spans.not_sampled_remote", "spans.kept_error"];
    assert_eq!(counted.map(|name| report.counter(name)), [4, 4, 2]);
    assert_eq!(report.counter("spans.flag_refused"), 0);
    assert_eq!(report.counter("loki.offered"), 5, "of each server exchange");
    assert_eq!(report.counter("loki.sent"), 5);
}

fn a_foreign_trace_begins_anew(engine: Engine) {
    let Some(world) = World::start() else { return };
    // With a network named, this host is foreign, but for what is traced.
    let args = ["--trusted-peer", "192.0.2.0/24", "--foreign-trace", "restart"];
    let sensor = world.sensor(engine, true, &args);
    ask(&world.service, "/forward?/size/1", "01");
    let _ = sensor.wait_for(3, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_loss_equation();
    if report.runs_missed() > 0 {
        return;
    }
    let one = |path, kind| {
        let mut found = report.spans.iter().filter(|it| (it.path(), it.kind()) == (path, kind));
        found.next().unwrap()
    };
    let server = one("/forward", "server");
    let (client, called) = (one("/size/1", "client"), one("/size/1", "server"));
    assert_ne!(server.trace_id(), TRACE);
    assert_eq!(server.parent_span_id(), None);
    let link = json!({
        "trace_id": TRACE,
        "span_id": CALLER,
        "attributes": { "sensor.foreign_trace": true },
    });
    assert_eq!(server.json()["links"], json!([link]));
    assert_eq!([client.trace_id(), called.trace_id()], [server.trace_id(); 2]);
    assert_eq!(client.parent_span_id(), Some(server.span_id()));
    assert_eq!(called.parent_span_id(), Some(client.span_id()));
}

fn webhooks_hide_nothing(engine: Engine) {
    const SHOTS: usize = 10;
    let Some(world) = World::start() else { return };
    // Where those that are believed would be left out.
    let sensor = world.sensor(engine, false, &["--existing-spans", "skip"]);
    for _ in 0..SHOTS {
        ask(&world.service, "/hook", "01");
    }
    // The last of them has been handled when this has come.
    ask(&world.service, "/plain", "01");
    let _ = sensor.wait_for(2 * SHOTS + 1, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_loss_equation();
    if report.runs_missed() > 0 {
        return;
    }
    let of = |path| report.spans.iter().filter(|span| span.path() == path).count();
    assert_eq!([of("/hook"), of("/v1/traces"), of("/plain")], [SHOTS, SHOTS, 1]);
    assert_eq!(report.counter("spans.existing"), 0);
    assert_eq!(report.counter("processes.exporting"), 0);
}

/// An SDK that is configured in code: nothing in the environment says where it exports to.
fn exports_in_a_rhythm_are_noticed(engine: Engine) {
    const CONFIGURE: &str = "\
import os, runpy, sys
script, endpoint = sys.argv[1:3]
sys.argv[1:3] = []
os.environ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] = endpoint
os.environ['OTEL_EXPORTER_OTLP_PROTOCOL'] = 'http/protobuf'
os.environ['OTEL_BSP_SCHEDULE_DELAY'] = '600'
runpy.run_path(script, run_name='__main__')
";
    let (Some(python), Some(packages)) = (python(), python_packages("otel")) else { return };
    let backend = python_server(true).unwrap().unwrap();
    let mut command = Command::new(&python);
    command.args(["-c", CONFIGURE]).arg(source("otel/service.py")).arg(backend.url("/v1/traces"));
    command.arg("1").env("PYTHONPATH", &packages).env("OTEL_SERVICE_NAME", "shop");
    let service = Server::on_port("otel", command).unwrap();
    let pid = service.pid().to_string();
    let sensor =
        Sensor::start(engine, &["--logs", "off", "--pid", &pid, "--existing-spans", "link"]);

    let is_export = |span: &SpanJson| span.path() == "/v1/traces";
    let marked = |span: &SpanJson| span.get("sensor.existing") == Some(&json!(true));
    let deadline = Instant::now() + PATIENCE;
    while !sensor.spans().iter().any(marked) {
        assert!(Instant::now() < deadline, "{}", sensor.stderr());
        ask(&service, "/alone", "01");
        std::thread::sleep(Duration::from_millis(50));
    }
    let report = sensor.stop();
    report.assert_loss_equation();
    assert_eq!(report.counter("processes.exporting"), 1);
    assert_eq!(report.counter("spans.existing"), 0, "all of them are there");
    // Not before the third export.
    let mut exports: Vec<_> = report.spans.iter().filter(|it| is_export(it)).collect();
    exports.sort_by_key(|span| span.end());
    assert!(exports.len() >= 3, "{exports:#?}");
    let proof = exports[2].end();
    assert!(report.spans.iter().filter(|it| marked(it)).all(|span| span.start() >= proof));
    let said = report.stderr.lines().find(|line| line.contains("exports its own spans")).unwrap();
    let to = format!("{} {} /v1/traces", backend.address.ip(), backend.address.port());
    assert!(said.contains(&format!("pid={pid}")) && said.contains("shop"), "{said}");
    assert!(said.contains(&to), "{said}");
}
