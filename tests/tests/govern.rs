//! What sampling leaves out, and what processes export themselves: against OpenTelemetry's SDK for
//! Python, and with a real Collector at the other end.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sensor_tests::backends::collector::{Collector, Received};
use sensor_tests::backends::or_skip;
use sensor_tests::both_engines;
use sensor_tests::process::Held;
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, python, tool};
use sensor_tests::workloads::{Server, curl_marked, python_packages, python_server, source};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// OTLP over gRPC.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

both_engines!(existing_spans, callers_that_do_not_sample, a_ratio_is_that_of_the_sdk);

fn sensor(engine: Engine, pids: &[u32], args: &[&str]) -> Sensor {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    Sensor::start(engine, &[&["--pid", &pids.join(",")], args].concat())
}

/// The server's answer has come when this returns.
fn ask(server: &Server, target: &str, traceparent: &str) {
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = server.address;
    let head =
        format!("GET {target} HTTP/1.0\r\nHost: {host}\r\ntraceparent: {traceparent}\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

/// Those of one trace that the Collector has, when at least `count` of them are of the SDK.
fn of_trace(collector: &Collector, trace: &str, count: usize) -> (Vec<Received>, Vec<Received>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let spans = collector.spans().unwrap_or_default();
        let (ours, theirs): (Vec<_>, Vec<_>) = spans
            .into_iter()
            .filter(|it| it.span["traceId"] == trace)
            .partition(|it| it.scope["name"] == "sensor");
        if theirs.len() >= count {
            return (ours, theirs);
        }
        assert!(Instant::now() < deadline, "{theirs:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn attribute<'a>(received: &'a Received, key: &str) -> Option<&'a Value> {
    let all = received.span["attributes"].as_array()?;
    all.iter().find(|it| it["key"] == key).map(|it| &it["value"])
}

fn is_of(received: &Received, server: &Server) -> bool {
    let all = received.resource.as_array().unwrap();
    let pid = all.iter().find(|it| it["key"] == "process.pid").unwrap();
    pid["value"]["intValue"].as_str().and_then(|it| it.parse().ok()) == Some(server.pid())
}

fn is(received: &Received, server: &Server, kind: u32, path: &str) -> bool {
    let path_of = |key| attribute(received, key).map(|it| it["stringValue"].as_str().unwrap());
    is_of(received, server) && received.span["kind"] == kind && path_of("url.path") == Some(path)
}

/// One service with the SDK between a client and a server without.
fn existing_spans(engine: Engine) {
    let (Some(python), Some(packages)) = (python(), python_packages("otel")) else { return };
    let Some(collector) = or_skip("existing_spans", Collector::start(false).unwrap()) else {
        return;
    };
    let downstream = python_server(true).unwrap().unwrap();
    for (n, mode) in [None, Some("keep"), Some("skip"), Some("link")].into_iter().enumerate() {
        let (protocol, backend, path, status) = match mode {
            None => ("grpc", collector.grpc, EXPORT, ("rpc.grpc.status_code", 0)),
            Some(_) => {
                let status = ("http.response.status_code", 200);
                ("http/protobuf", collector.http, "/v1/traces", status)
            }
        };
        let mut command = Command::new(&python);
        command
            .arg(source("otel/service.py"))
            .arg(downstream.address.port().to_string())
            .env("PYTHONPATH", &packages)
            .env("OTEL_SERVICE_NAME", "shop")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{backend}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
        let service = Server::on_port("otel", command).unwrap();
        let endpoint = format!("http://{}", collector.http);
        let mut args = vec!["--otlp-endpoint", &endpoint];
        args.extend(mode.iter().flat_map(|mode| ["--existing-spans", *mode]));
        let sensor = sensor(engine, &[service.pid(), downstream.pid()], &args);

        // The first export says that it has spans of its own.
        let caller = "b7ad6b7169203331";
        ask(&service, "/alone", &format!("00-{:032x}-{caller}-01", 0xa0 + n));
        let export = |span: &SpanJson| span.path() == path;
        let exports = sensor.wait_for(1, export, PATIENCE);
        assert!(exports.iter().all(|it| it.is_client() && it.int(status.0) == status.1));

        let trace = format!("{:032x}", 0xb0 + n);
        ask(&service, "/work", &format!("00-{trace}-{caller}-01"));
        let (_, theirs) = of_trace(&collector, &trace, 2);
        let report = sensor.stop();
        report.assert_loss_equation();
        assert_eq!(report.counter("processes.exporting"), 1);
        let (ours, _) = of_trace(&collector, &trace, 2);
        if report.runs_missed() > 0 {
            continue;
        }
        told(mode.unwrap_or("link"), &report, &service, &downstream, &ours, &theirs);
    }
}

/// What is right to have arrived of one request: `theirs` from the SDK, `ours` from the sensor.
fn told(
    mode: &str,
    report: &Report,
    service: &Server,
    downstream: &Server,
    ours: &[Received],
    theirs: &[Received],
) {
    let id = |received: &Received| received.span["spanId"].as_str().unwrap().to_owned();
    let parent = |received: &Received| {
        received.span["parentSpanId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
    };
    let one = |from: &[Received], kind, path: &str, server| -> Received {
        let found: Vec<_> = from.iter().filter(|it| is(it, server, kind, path)).collect();
        assert_eq!(found.len(), 1, "{kind} {path} in {from:#?}");
        found[0].clone()
    };
    const SERVER: u32 = 2;
    const CLIENT: u32 = 3;
    let of_kind = |kind: u32| theirs.iter().find(|it| it.span["kind"] == kind).unwrap();
    let (sdk_server, sdk_client) = (of_kind(SERVER), of_kind(CLIENT));
    assert_eq!(theirs.len(), 2, "{theirs:#?}");
    assert_eq!(parent(sdk_client), Some(id(sdk_server)));

    // The next service's span is under the application's own in any case.
    let next = one(ours, SERVER, "/size/1", downstream);
    assert_eq!(parent(&next), Some(id(sdk_client)));
    let forwarding = one(ours, CLIENT, "/size/3", service);
    let left = |kind, path| ours.iter().any(|it| is(it, service, kind, path));
    let marked = |it: &Received| attribute(it, "sensor.existing").is_some();
    match mode {
        "skip" => {
            assert!(!left(SERVER, "/work") && !left(CLIENT, "/size/1"), "{ours:#?}");
            assert_eq!(report.counter("spans.existing"), 2);
            assert_eq!(parent(&forwarding), None);
            let missing = attribute(&forwarding, "sensor.parent.missing").unwrap();
            assert_eq!(missing["stringValue"], "existing");
        }
        "keep" => {
            let server = one(ours, SERVER, "/work", service);
            assert_eq!(parent(&server), parent(sdk_server));
            assert_eq!(id(&one(ours, CLIENT, "/size/1", service)), id(sdk_client));
            assert_eq!(parent(&forwarding), Some(id(&server)));
            assert!(!ours.iter().any(marked), "{ours:#?}");
        }
        _ => {
            let server = one(ours, SERVER, "/work", service);
            let client = one(ours, CLIENT, "/size/1", service);
            assert!(marked(&server) && marked(&client) && !marked(&forwarding) && !marked(&next));
            assert_ne!(id(&client), id(sdk_client));
            let links = client.span["links"].as_array().unwrap();
            assert_eq!(links.len(), 1);
            assert_eq!(links[0]["spanId"], id(sdk_client));
            assert_eq!(parent(&forwarding), Some(id(&server)));
        }
    }
    if mode != "keep" {
        // Nothing twice, and no parent but those that are there, and the caller, which is not traced.
        assert_eq!(report.counter("spans.existing"), if mode == "skip" { 2 } else { 0 });
        let all = || ours.iter().chain(theirs);
        let ids: BTreeSet<_> = all().map(id).chain(parent(sdk_server)).collect();
        assert_eq!(ids.len(), all().count() + 1, "{ours:#?} {theirs:#?}");
        assert!(all().filter_map(parent).all(|id| ids.contains(&id)), "{ours:#?} {theirs:#?}");
    }
    // What nobody instrumented is there, in a trace of its own.
    let plain = |it: &&SpanJson| it.path() == "/size/2";
    let plain: Vec<_> = report.spans.iter().filter(plain).collect();
    assert_eq!(plain.len(), 2, "{plain:#?}");
    assert_eq!(plain[0].trace_id(), plain[1].trace_id());
}

fn callers_that_do_not_sample(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), python_server(false).unwrap()) else {
        return;
    };
    let test = "callers_that_do_not_sample";
    let Some(collector) = or_skip(test, Collector::start(false).unwrap()) else { return };
    let Some(loki) = python_server(true).unwrap() else { return };
    let endpoint = format!("http://{}", collector.http);
    let loki = format!("http://{}", loki.address);
    let context = |sampled| format!("traceparent: 00-{:032x}-b7ad6b7169203331-{sampled}", 0xc0);
    let (not, sampled) = (context("00"), context("01"));
    let not: [&str; 2] = ["-H", &not];
    let asked: [(&str, &[&str]); 4] = [
        ("/size/1", &not),
        ("/status/500", &not),
        ("/sleep/300", &not),
        ("/size/2", &["-H", &sampled]),
    ];
    for tail in [false, true] {
        let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
        let mut args =
            vec!["--logs", "off", "--otlp-endpoint", &endpoint, "--loki-endpoint", &loki];
        if tail {
            args.extend(["--keep-errors", "--keep-slow", "250ms"]);
        }
        let before = collector.spans().unwrap_or_default().len();
        let sensor = sensor(engine, &[server.pid(), client.pid()], &args);
        client.finish(PATIENCE).unwrap();
        // One after the other, over one connection.
        let last = |it: &SpanJson| it.path() == "/size/2";
        let _ = sensor.wait_for(2, last, PATIENCE);
        let report = sensor.stop();
        report.assert_loss_equation();
        if report.runs_missed() > 0 {
            continue;
        }
        let mut why = BTreeMap::new();
        for received in collector.spans().unwrap().split_off(before) {
            let text = |key| attribute(&received, key).map(|it| it["stringValue"].clone());
            let key = format!("{} {:?}", text("url.path").unwrap(), text("sensor.sampled_by"));
            let flags = received.span["flags"].as_u64().unwrap_or(0) & 1;
            why.entry((key, flags)).and_modify(|n| *n += 1).or_insert(1);
        }
        // What failed is there whoever asks that it not be.
        let mut expected =
            vec![(r#""/size/2" None"#, 1), (r#""/status/500" Some(String("error"))"#, 0)];
        if tail {
            expected.push((r#""/sleep/300" Some(String("slow"))"#, 0));
        }
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(key, flags)| ((key.to_owned(), flags), 2)).collect();
        assert_eq!(why, expected);
        let slow = u64::from(tail) * 2;
        assert_eq!(report.counter("exchanges.spans"), 8, "everything was seen");
        assert_eq!(report.counter("spans.not_sampled"), 4 - slow);
        assert_eq!(report.counter("spans.not_sampled_remote"), 4 - slow);
        assert_eq!(report.counter("spans.flag_refused"), 0, "the caller is seen");
        assert_eq!(report.counter("spans.kept_error"), 2);
        assert_eq!(report.counter("spans.kept_slow"), slow);
        assert_eq!(report.counter("loki.offered"), 4, "access records are logs");
        assert_eq!(report.counter("loki.sent"), 4);
    }
}

fn a_ratio_is_that_of_the_sdk(engine: Engine) {
    const COUNT: usize = 300;
    let (Some(python), Some(packages)) = (python(), python_packages("otel")) else { return };
    let server = python_server(false).unwrap().unwrap();
    let mut command = Command::new(python);
    command
        .arg(source("otel/ask.py"))
        .args(["0.25", &COUNT.to_string(), &server.address.port().to_string()])
        .env("PYTHONPATH", packages);
    let client = Held::new(&command).unwrap();
    let pids = [server.pid(), client.pid()];
    let sensor = sensor(engine, &pids, &["--sampler", "traceidratio:0.25"]);
    let output = client.finish(PATIENCE).unwrap();
    let said: Vec<Value> =
        output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), COUNT, "{}", output.stderr);
    let of = |sampled| said.iter().filter(move |it| it["sampled"] == sampled);
    let sampled: BTreeSet<_> = of(true).map(|it| it["trace_id"].as_str().unwrap()).collect();
    // Some of each: all or none would show nothing.
    assert!(of(true).count() > 20 && of(false).count() > 100);
    let _ = sensor.wait_for(2 * sampled.len(), |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_loss_equation();
    let kept: BTreeSet<_> = report.spans.iter().map(|it| it.trace_id()).collect();
    if report.runs_missed() > 0 {
        assert!(kept.is_subset(&sampled));
        return;
    }
    assert_eq!(kept, sampled);
    assert_eq!(report.spans.len(), 2 * sampled.len(), "both ends of each");
    assert_eq!(report.counter("spans.not_sampled"), 2 * of(false).count() as u64);
}
