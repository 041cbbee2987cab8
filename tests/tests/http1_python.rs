//! Python's http.server, single-threaded and threaded, asked by curl; each side's own account of
//! the exchanges is what the spans have to say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::process::Held;
use sensor_tests::sensor::{Engine, Sensor, assert_mirrored, assert_status, tool};
use sensor_tests::workloads::{curl_marked, python_server, transfers};

const PATIENCE: Duration = Duration::from_secs(60);

both_engines!(single_threaded, threaded, at_the_same_time);

fn single_threaded(engine: Engine) {
    every_kind_of_exchange(engine, false);
}

fn threaded(engine: Engine) {
    every_kind_of_exchange(engine, true);
}

fn every_kind_of_exchange(engine: Engine, threads: bool) {
    let (Some(program), Some(server)) = (tool("curl"), python_server(threads).unwrap()) else {
        return;
    };
    let body = "b".repeat(1000);
    let context = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    // What is asked for, by what its marker is.
    let asked: [(&str, &[&str]); 11] = [
        ("/size/5000", &[]),
        ("/echo", &["--data-binary", &body]),
        ("/size/77", &["-I"]),
        ("/status/204", &[]),
        ("/status/304", &[]),
        ("/status/404", &[]),
        ("/status/500", &[]),
        ("/chunked/30", &[]),
        ("/size/1", &["-X", "PURGE"]),
        ("/size/2", &["-H", context]),
        ("/size/0", &["-X", "DELETE", "-A", ""]),
    ];
    let client = Held::new(&curl_marked(&program, &server, &asked)).unwrap();
    let client_pid = client.pid();
    let sensor = Sensor::on(engine, &[server.pid(), client_pid]);
    let output = client.finish(PATIENCE).unwrap();
    let transfers = transfers(&output).unwrap();
    let said = server.said(asked.len());
    let spans = sensor.wait_for(2 * asked.len(), |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(2 * asked.len());
    if report.runs_missed() == 0 {
        assert_eq!(report.spans, spans);
    }

    for (i, (path, _)) in asked.iter().enumerate() {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        let (said, transfer) = (&said[i], &transfers[i]);
        assert_mirrored(at_server, at_client);
        assert_eq!(said["target"], format!("{path}?m={i}"));
        assert_eq!(at_server.path(), *path);
        assert_eq!(at_client.str("url.full"), server.url(&format!("{path}?m={i}")));
        let code = said["status"].as_i64().unwrap();
        assert_eq!(transfer.int("http_code"), code);
        assert_status(at_server, code);
        assert_status(at_client, code);

        let method = said["method"].as_str().unwrap();
        if method == "PURGE" {
            // Not a method that the semantic conventions know.
            assert_eq!(at_server.method(), "_OTHER");
            assert_eq!(at_server.str("http.request.method_original"), "PURGE");
            assert_eq!(at_server.name(), "HTTP");
        } else {
            assert_eq!(at_server.method(), method);
            assert_eq!(at_server.get("http.request.method_original"), None);
            assert_eq!(at_server.name(), method);
        }
        let [received, sent] = at_server.body_sizes().map(Option::unwrap_or_default);
        assert_eq!(received, said["received"].as_i64().unwrap());
        assert_eq!(sent, said["sent"].as_i64().unwrap(), "{at_server:#?}");
        assert_eq!(received, transfer.int("size_upload"));
        assert_eq!(sent, transfer.int("size_download"));

        assert_eq!(at_server.int("client.port"), said["client"].as_i64().unwrap());
        assert_eq!(at_client.int("network.local.port"), transfer.int("local_port"));
        assert_eq!(at_client.int("network.peer.port"), i64::from(server.address.port()));
        assert_eq!(at_server.str("network.protocol.version"), "1.1");
        let agent = at_server.get("user_agent.original").map(|it| it.as_str().unwrap());
        match i {
            10 => assert_eq!(agent, None),
            _ => assert!(agent.unwrap().starts_with("curl/"), "{agent:?}"),
        }
        // curl's own time has in it what the exchange took.
        assert!(at_client.duration().as_nanos() <= transfer.nanoseconds(), "{at_client:#?}");

        assert_eq!(at_client.resource("process.pid").unwrap(), client_pid);
        assert_eq!(at_server.resource("process.pid").unwrap(), server.pid());
        assert_eq!(at_client.resource("service.name").unwrap(), "curl");
        // The script's name: it says more than the interpreter's.
        assert_eq!(at_server.resource("service.name").unwrap(), "server");
    }

    // The context that curl sent is the one of both; its parent is curl's own.
    if let Some((at_server, at_client)) = report.both_ends("m=9") {
        assert_eq!(at_server.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(at_server.parent_span_id(), Some("b7ad6b7169203331"));
        assert_eq!(at_client.span_id(), "b7ad6b7169203331");
        assert_eq!(at_client.parent_span_id(), None);
    }
    // All others are in traces of their own, and all have ids of their own.
    let traces: BTreeSet<_> = spans.iter().map(|span| span.trace_id()).collect();
    let exchanges: BTreeSet<_> = spans.iter().map(|span| span.str("url.query")).collect();
    assert_eq!(traces.len(), exchanges.len());
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id()).collect();
    assert_eq!(ids.len(), spans.len());
}

/// Ten connections with an exchange each, all in flight together.
fn at_the_same_time(engine: Engine) {
    let (Some(program), Some(server)) = (tool("curl"), python_server(true).unwrap()) else {
        return;
    };
    let mut command = std::process::Command::new(program);
    command.args(["-sS", "-m", "20", "--no-progress-meter", "--parallel", "--parallel-immediate"]);
    command.args(["--parallel-max", "10", "-w", "%{json}\n"]);
    for i in 0..10 {
        command.args(["-o", "/dev/null", &server.url(&format!("/sleep/{}?m={i}", 400 + 10 * i))]);
    }
    let client = Held::new(&command).unwrap();
    let sensor = Sensor::on(engine, &[server.pid(), client.pid()]);
    let transfers = transfers(&client.finish(PATIENCE).unwrap()).unwrap();
    let _ = sensor.wait_for(20, |_| true, PATIENCE);
    let report = sensor.stop();
    report.assert_delivered(20);
    let mut latest_start = 0;
    let mut earliest_end = u64::MAX;
    for i in 0..10u16 {
        let Some((at_server, at_client)) = report.both_ends(&format!("m={i}")) else { continue };
        assert_mirrored(at_server, at_client);
        let slept = Duration::from_millis(400 + 10 * u64::from(i));
        assert!(at_server.duration() >= slept, "{at_server:#?}");
        assert!(at_client.duration() >= slept, "{at_client:#?}");
        let port = at_client.int("network.local.port");
        let transfer = transfers.iter().find(|it| it.int("local_port") == port).unwrap();
        assert!(at_client.duration().as_nanos() <= transfer.nanoseconds(), "{at_client:#?}");
        latest_start = latest_start.max(at_client.start());
        earliest_end = earliest_end.min(at_client.end());
    }
    assert!(latest_start < earliest_end, "they were to be in flight together");
}
