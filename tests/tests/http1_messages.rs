//! Messages of every size and form, between curl and Python: what each side says of them is what
//! the spans have to say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::fs;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::process::Held;
use sensor_tests::sensor::{Engine, Sensor, assert_mirrored, assert_status, tool};
use sensor_tests::workloads::{curl_marked, nginx, python_server, transfers};

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

both_engines!(a_mebibyte_each_way, long_heads, times);

/// With Content-Length and with chunks, with and without waiting for `100 Continue`.
fn a_mebibyte_each_way(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), python_server(false).unwrap()) else {
        return;
    };
    let file = server.process.directory().join("upload");
    fs::write(&file, vec![b'u'; MIB]).unwrap();
    let data = format!("@{}", file.display());
    let asked: [(&str, &[&str]); 4] = [
        ("/echo", &["--data-binary", &data, "-H", "Expect:"]),
        ("/echo", &["--data-binary", &data, "-H", "Expect: 100-continue"]),
        ("/chunked/1024", &[]),
        ("/size/1048576", &["-X", "PUT", "-d", "x"]),
    ];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let said = server.said(asked.len());
    let _ = sensor.wait_for(2 * asked.len(), |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(2 * asked.len());
    for (i, (said, transfer)) in said.iter().zip(&transfers).enumerate() {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        assert_mirrored(at_server, at_client);
        assert_eq!(at_server.method(), said["method"]);
        assert_eq!(transfer.int("http_code"), 200);
        // The 100 is on the way there, not the answer.
        assert_status(at_server, 200);
        assert_status(at_client, 200);
        let [received, sent] = at_server.body_sizes().map(Option::unwrap_or_default);
        assert_eq!(received, said["received"].as_i64().unwrap());
        assert_eq!(sent, said["sent"].as_i64().unwrap());
        assert_eq!(received, transfer.int("size_upload"));
        assert_eq!(sent, transfer.int("size_download"));
        for span in [at_server, at_client] {
            assert_eq!(span.event("http.request.body.end").is_some(), received > 0, "{span:#?}");
            let first = span.event("http.response.first_byte").unwrap();
            assert!(span.start() <= first && first <= span.end(), "{span:#?}");
        }
        assert!(at_client.duration().as_nanos() <= transfer.nanoseconds());
    }
}

/// 15 KiB of other fields before `traceparent`, sent in as many pieces as curl and the kernel like.
fn long_heads(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), nginx("").unwrap()) else {
        return;
    };
    let file = server.process.directory().join("headers");
    let mut headers = String::new();
    for i in 0..15 {
        headers.push_str(&format!("x-filler-{i:02}: {}\n", "f".repeat(1010)));
    }
    assert!(headers.len() >= 15 << 10);
    headers.push_str("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n");
    headers.push_str("tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\n");
    headers.push_str("x-marker: behind it all\n");
    fs::write(&file, headers).unwrap();
    let headers = format!("@{}", file.display());
    let asked: [(&str, &[&str]); 2] = [("/ok", &["-H", &headers]), ("/ok", &[])];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let said = server.accesses(2);
    let _ = sensor.wait_for(4, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(4);
    assert!(transfers[0].int("size_request") > 15 << 10);
    assert_eq!(said[0]["marker"], "behind it all", "nginx saw all of it");
    if let Some((at_server, at_client)) = report.both_ends("m=0") {
        assert_mirrored(at_server, at_client);
        assert_status(at_server, 200);
        assert_eq!(at_server.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(at_server.parent_span_id(), Some("00f067aa0ba902b7"));
        assert_eq!(at_client.span_id(), "00f067aa0ba902b7");
        assert_eq!(at_server.json()["trace_state"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    }
    if let Some((at_server, at_client)) = report.both_ends("m=1") {
        assert_mirrored(at_server, at_client);
        assert_eq!(at_server.parent_span_id(), Some(at_client.span_id()));
        assert_eq!(at_client.parent_span_id(), None);
    }
}

/// A span takes as long as the server says that it slept, and no longer than curl says that it
/// waited; and it is on standard output within 100 ms of its end, though nothing else goes on.
fn times(engine: Engine) {
    const SHOWN: u64 = 100_000_000;
    let (Some(program), Some(server)) = (tool("curl"), python_server(false).unwrap()) else {
        return;
    };
    let clients: Vec<_> = (0..4)
        .map(|_| Held::new(&curl_marked(&program, &server, &[("/sleep/50", &[])])).unwrap())
        .collect();
    let mut pids = vec![server.pid()];
    pids.extend(clients.iter().map(Held::pid));
    let sensor = Sensor::on(engine, &pids);
    let mut delays = Vec::new();
    let mut before = 0;
    for client in clients {
        let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
        let spans = sensor.wait_for(before + 2, |_| true, PATIENCE).split_off(before);
        for span in &spans {
            assert!(span.duration() >= Duration::from_millis(50), "{span:#?}");
            assert!(span.duration().as_nanos() <= transfers[0].nanoseconds(), "{span:#?}");
        }
        delays.push(spans.iter().map(|span| span.arrived().saturating_sub(span.end())).max());
        before += spans.len();
        // Quiet, so that the sensor is at its longest rest.
        std::thread::sleep(Duration::from_millis(200));
    }
    let report = sensor.stop();
    report.assert_delivered(8);
    assert_eq!(report.spans.len(), before);
    // Other tests run beside this one: the best of four is the sensor's own.
    let best = delays.iter().flatten().min().unwrap();
    assert!(*best <= SHOWN, "{delays:?} ns from the end to standard output");
}
