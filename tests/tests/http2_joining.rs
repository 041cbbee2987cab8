//! The sensor comes while clients with many streams are at work: of what begins from then on, all is told,
//! and nothing that is told is wrong.

#![expect(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use sensor_tests::both_engines;
use sensor_tests::process::{Held, Output, fresh_directory};
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, grpc_go_workload, tool};
use sensor_tests::workloads::{Loaded, PATIENCE, Server, h2load, nghttpd};
use serde_json::Value;

both_engines!(calls_of_grpc_go, requests_of_h2load);

/// How long the clients have been at work when the sensor comes.
const EARLIER: Duration = Duration::from_millis(400);

/// After so long, in nanoseconds, a connection has been recognised: when the next call begins with
/// headers.
const RECOGNISED: u64 = 500_000_000;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// A client at work, and then the sensor, until the client has ended: since when the sensor traced.
fn joined(engine: Engine, server: &Server, client: &Command) -> (Output, Report, u64) {
    let mut client = Held::new(client).unwrap();
    client.release().unwrap();
    sleep(EARLIER);
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let since = now();
    let output = client.finish(PATIENCE).unwrap();
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    sleep(Duration::from_millis(300));
    let report = sensor.stop();
    report.assert_loss_equation();
    assert_eq!(report.counter("kernel.ring_full"), 0);
    (output, report, since)
}

/// 100 calls at a time, each with its own traceparent.
fn calls_of_grpc_go(engine: Engine) {
    let (Some(program), Some(client)) = (grpc_go_workload("server"), grpc_go_workload("client"))
    else {
        return;
    };
    let server = Server::start("grpc-go", |port, _| {
        let mut command = Command::new(program);
        command.arg(port.to_string());
        Ok(command)
    })
    .unwrap();
    let mut client = Command::new(client);
    client.arg(server.address.port().to_string()).args(["100", "25", "1000", "slowly"]);
    let (output, report, since) = joined(engine, &server, &client);
    assert_eq!(report.counter("connections.http2_joined"), 2, "both ends");
    let said: BTreeMap<String, Value> = output
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|said| (said["marker"].as_str().unwrap().to_owned(), said))
        .collect();
    assert_eq!(said.len(), 2500);
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for span in &report.spans {
        let marker = if span.is_client() { Some(span.span_id()) } else { span.parent_span_id() };
        // No call is taken for one without a context, and no context is another's.
        let said = marker.and_then(|marker| said.get(marker));
        let Some(said) = said else { panic!("nobody's: {span:#?}") };
        let marker = said["marker"].as_str().unwrap();
        assert!(found[usize::from(span.is_client())].insert(marker), "twice: {span:#?}");
        right(span, marker, said);
    }
    let begun = said.values().filter(|said| begun(said) > since + RECOGNISED).count();
    assert!(begun > 500, "{begun} calls began after the sensor had come");
    for (marker, said) in &said {
        if begun_after(said, since) {
            assert!(found.iter().all(|found| found.contains(&**marker)), "not found: {said}");
        }
    }
}

fn begun(said: &Value) -> u64 {
    said["begun"].as_u64().unwrap()
}

fn begun_after(said: &Value, since: u64) -> bool {
    begun(said) > since + RECOGNISED
}

/// All that a span says of a call is so. What the two had indexed before, as they do with the path of
/// each call and the status of each answer, is not known.
fn right(span: &SpanJson, marker: &str, said: &Value) {
    let number = u64::from_str_radix(marker, 16).unwrap();
    assert_eq!(span.trace_id(), format!("{:032x}", 1000 + number));
    assert!(span.get("url.path").is_none_or(|path| path == &said["method"]), "{span:#?}");
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("rpc.method", "Slow"),
        ("rpc.grpc.status_code", "0"),
        ("sensor.grpc.request.messages", "1"),
        ("sensor.grpc.response.messages", "1"),
        ("error.type", "none"),
        ("sensor.grpc.timeout_ns", "none"),
    ] {
        let value =
            span.get(key).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        assert!(value.is_none_or(|value| value == expected), "{key} {span:#?}");
    }
    if span.is_client() {
        assert!(span.start() >= begun(said), "{span:#?}");
        assert!(span.duration().as_nanos() <= u128::from(said["nanoseconds"].as_u64().unwrap()));
    }
}

/// 100 requests at a time, each with its own path.
fn requests_of_h2load(engine: Engine) {
    const REQUESTS: usize = 6000;
    let (Some(program), Some(server)) = (tool("h2load"), nghttpd(&[]).unwrap()) else { return };
    let directory = fresh_directory("h2load").unwrap();
    let log = directory.join("log");
    let targets: Vec<_> = (0..REQUESTS).map(|n| format!("/hello?m={n}")).collect();
    let mut client = h2load(&program, &server, 100, &targets, &log).unwrap();
    client.arg("--rps=3000");
    let (output, report, since) = joined(engine, &server, &client);
    assert_eq!(report.counter("connections.http2_joined"), 2, "both ends");
    let said = Loaded::read(&log, &output).unwrap();
    assert_eq!(said.statuses, vec![200; REQUESTS]);
    let begun = said.begun.iter().filter(|&&begun| begun > since + RECOGNISED).count();
    assert!(begun > 500, "{begun} requests began after the sensor had come");
    for is_client in [true, false] {
        let spans: Vec<_> =
            report.spans.iter().filter(|span| span.is_client() == is_client).collect();
        let mut found = BTreeSet::new();
        for span in &spans {
            let target = format!("{}?{}", span.path(), span.str("url.query"));
            let marker =
                target.strip_prefix("/hello?m=").map(|marker| marker.parse::<usize>().unwrap());
            assert!(
                marker.is_some_and(|marker| marker < REQUESTS && found.insert(marker)),
                "{span:#?}"
            );
            assert!(span.get("http.response.status_code").is_none_or(|status| status == 200));
            assert!(span.get("http.response.body.size").is_none_or(|size| size == 5));
            assert_eq!(span.get("error.type"), None, "{span:#?}");
        }
        let late = spans.iter().filter(|span| span.start() > since + RECOGNISED).count();
        assert!(late >= begun, "{late} of {begun} are found");
    }
    std::fs::remove_dir_all(directory).unwrap();
}
