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
use sensor_tests::workloads::grpc::by_marker;
use sensor_tests::workloads::{Loaded, PATIENCE, Server, h2load, nghttpd};
use serde_json::{Value, json};

both_engines!(calls_of_grpc_go, requests_of_go, requests_of_h2load);

/// How long the clients have been at work when the sensor comes.
const EARLIER: Duration = Duration::from_millis(300);

/// After so long, in nanoseconds, a connection has been recognised: when the next call begins with
/// headers.
const RECOGNISED: u64 = 500_000_000;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// A client at work, and then the sensor, until the client has ended; since when the sensor traced; and how
/// many requests began, as `begun` finds in what the client said, when the connection was recognised.
/// Where the machine is so busy that there are hardly any, once more.
fn joined(
    engine: Engine,
    server: &Server,
    client: &Command,
    begun: impl Fn(&Output) -> Vec<u64>,
) -> (Output, Report, u64, usize) {
    for _ in 0..4 {
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
        let late = begun(&output).iter().filter(|&&begun| begun > since + RECOGNISED).count();
        if late > 100 {
            assert_eq!(report.counter("connections.http2_joined"), 2, "both ends");
            return (output, report, since, late);
        }
    }
    panic!("the sensor does not come before the client ends");
}

/// 100 calls at a time, each with its own traceparent.
fn calls_of_grpc_go(engine: Engine) {
    let (Some(program), Some(client)) = (grpc_go_workload("server"), grpc_go_workload("client"))
    else {
        return;
    };
    let server = Server::on_port("grpc-go", Command::new(program)).unwrap();
    let mut client = Command::new(client);
    client.arg(server.address.port().to_string()).args(["100", "50", "1000", "slowly"]);
    let said = |output: &Output| {
        let lines: Result<Vec<Value>, _> =
            output.text().lines().map(serde_json::from_str).collect();
        by_marker(lines.unwrap())
    };
    let all_begun = |output: &Output| said(output).values().map(begun).collect();
    let (output, report, since, _) = joined(engine, &server, &client, all_begun);
    let said = said(&output);
    assert_eq!(said.len(), 5000);
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
    for (marker, said) in &said {
        if begun(said) > since + RECOGNISED {
            assert!(found.iter().all(|found| found.contains(&**marker)), "not found: {said}");
        }
    }
}

fn begun(said: &Value) -> u64 {
    said["begun"].as_u64().unwrap()
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

/// Eight requests at a time of Go's net/http, each with its own path and traceparent. Go sends `:authority`
/// first, soon as an index into the dynamic table, and 207 is in no static one.
fn requests_of_go(engine: Engine) {
    let (Some(program), Some(client)) = (grpc_go_workload("h2c"), grpc_go_workload("crowd")) else {
        return;
    };
    let server = Server::on_port("h2c", Command::new(program)).unwrap();
    let mut client = Command::new(client);
    client.arg(server.address.port().to_string()).arg("4");
    let said = |output: &Output| -> Vec<Value> {
        output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all_begun = |output: &Output| said(output).iter().map(begun).collect();
    let (output, report, since, _) = joined(engine, &server, &client, all_begun);
    // The path and the trace id are made of the same two numbers.
    let trace_id = |said: &Value| {
        let mut words = said["path"].as_str().unwrap().trim_start_matches("/w").split('/');
        let [worker, n] = [(); 2].map(|()| words.next().unwrap().parse::<u64>().unwrap() + 1);
        format!("{worker:016x}{n:016x}")
    };
    let said: BTreeMap<_, _> =
        said(&output).into_iter().map(|said| (trace_id(&said), said)).collect();
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for span in &report.spans {
        // No request is taken for one without a context, and no context is another's.
        let Some(said) = said.get(span.trace_id()) else { panic!("nobody's: {span:#?}") };
        assert!(found[usize::from(span.is_client())].insert(span.trace_id()), "twice: {span:#?}");
        for (key, expected) in [
            ("url.path", &said["path"]),
            ("http.request.method", &json!("GET")),
            ("http.response.status_code", &said["status"]),
            ("http.response.body.size", &said["received"]),
            ("url.scheme", &json!("http")),
            ("error.type", &json!("none")),
        ] {
            assert!(span.get(key).is_none_or(|value| value == expected), "{key} {span:#?}");
        }
        if begun(said) > since + RECOGNISED {
            assert_eq!(span.path(), said["path"]);
        }
        if span.is_client() {
            assert!(span.start() >= begun(said), "{span:#?}");
            let took = u128::from(said["nanoseconds"].as_u64().unwrap());
            assert!(span.duration().as_nanos() <= took, "{took} {span:#?}");
        }
    }
    for (trace_id, said) in &said {
        assert_eq!(said["status"], 207);
        if begun(said) > since + RECOGNISED {
            let ends = found.each_ref().map(|found| found.contains(&**trace_id));
            let after = begun(said) - since;
            assert_eq!(ends, [true; 2], "{said}, {after} ns after: {:#?}", report.counters);
        }
    }
}

/// 100 requests at a time, each with its own path.
fn requests_of_h2load(engine: Engine) {
    const REQUESTS: usize = 8000;
    let (Some(program), Some(server)) = (tool("h2load"), nghttpd(&[]).unwrap()) else { return };
    let directory = fresh_directory("h2load").unwrap();
    let log = directory.join("log");
    let targets: Vec<_> = (0..REQUESTS).map(|n| format!("/hello?m={n}")).collect();
    let mut client = h2load(&program, &server, 100, &targets, &log).unwrap();
    client.arg("--rps=2000");
    let all_begun = |output: &Output| Loaded::read(&log, output).unwrap().begun;
    let (output, report, since, begun) = joined(engine, &server, &client, all_begun);
    let said = Loaded::read(&log, &output).unwrap();
    assert_eq!(said.statuses, vec![200; REQUESTS]);
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
