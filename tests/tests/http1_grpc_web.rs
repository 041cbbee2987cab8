//! gRPC-Web over HTTP/1.1 by tonic-web and by improbable-eng's wrapper of grpc-go, with connect-node (binary) and
//! grpc-web (base64) as clients: how each call ended, and how many messages there were, is said in bodies.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, grpc_go_workload, tool};
use sensor_tests::workloads::grpc::Calls;
use sensor_tests::workloads::{Server, npm_packages, source};

both_engines!(tonic_and_connect, tonic_and_text, go_and_connect, go_and_text);

/// Calls of all kinds, and the small ones.
const COUNT: usize = 24 + 50;

fn tonic() -> Option<Server> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sensor-workload"));
    command.arg("tonic-web-server");
    Some(Server::on_port("tonic-web", command).unwrap())
}

fn go() -> Option<Server> {
    let program = grpc_go_workload("server")?;
    let server = Server::start("grpc-go-web", |port, _| {
        let mut command = Command::new(program);
        command.args([&port.to_string(), "0", "web"]);
        Ok(command)
    });
    Some(server.unwrap())
}

fn calls(engine: Engine, server: Option<Server>, client: &str) -> Option<Calls> {
    let (server, node, packages) = (server?, tool("node")?, npm_packages("grpc-web")?);
    let mut command = Command::new(node);
    command.arg(source("grpc-web/calls.js")).args([client, &server.address.port().to_string()]);
    command.env("NODE_PATH", packages);
    let calls = Calls::run(engine, &server, &[command], COUNT, 1);
    assert_eq!(calls.report.counter("connections.http2"), 0);
    for span in &calls.report.spans {
        assert_eq!(span.str("network.protocol.version"), "1.1");
    }
    Some(calls)
}

/// What is so of all of them: status and message are those that both programs say.
fn check(calls: &Calls) {
    for (number, code) in
        [1, 2, 3, 31, 32, 33, 34].map(|number| (number, 0)).into_iter().chain([(50, 12)])
    {
        for span in calls.both(number) {
            assert_eq!(span.int("rpc.grpc.status_code"), code, "{span:#?}");
            assert_eq!(span.get("error.type").is_some(), code != 0, "{span:#?}");
        }
    }
    for code in 1..=16 {
        let [server, client] = calls.both(9 + code);
        for span in [server, client] {
            assert_eq!(span.int("rpc.grpc.status_code"), i64::try_from(code).unwrap());
            assert_eq!(span.str("sensor.grpc.message"), "no such thing: 50% of \u{2603}");
            assert_eq!(span.int("http.response.status_code"), 200);
        }
        assert_eq!(client.status(), "error");
        let error = [2, 4, 12, 13, 14, 15].contains(&code);
        assert_eq!(server.status(), if error { "error" } else { "unset" }, "{server:#?}");
    }
}

/// So many messages, at both ends; [`Calls::run`] has seen that none is counted wrong.
fn count(calls: &Calls, number: u64, [sent, received]: [i64; 2]) {
    for span in calls.both(number) {
        assert_eq!(span.int("sensor.grpc.request.messages"), sent, "{span:#?}");
        assert_eq!(span.int("sensor.grpc.response.messages"), received, "{span:#?}");
    }
}

fn binary(calls: &Calls) {
    check(calls);
    for (number, messages) in [
        (1, [1, 1]),
        (2, [1, 1]),
        (3, [1, 1]),
        (10, [1, 0]),
        (31, [1, 12]),
        (32, [1, 0]),
        (33, [1, 60]),
        (34, [1, 3000]),
    ] {
        count(calls, number, messages);
    }
    calls.assert_well_from(1000);
}

/// Messages of base64 are not counted where some are long: those were passed over.
fn text(calls: &Calls) {
    check(calls);
    for (number, messages) in [(1, [1, 1]), (10, [1, 0]), (32, [1, 0]), (34, [1, 3000])] {
        count(calls, number, messages);
    }
    for number in (1000..1040).chain(1100..1110) {
        for span in calls.both(number) {
            assert_eq!(span.int("rpc.grpc.status_code"), 0, "{span:#?}");
        }
    }
    (1000..1040).for_each(|number| count(calls, number, [1, 1]));
}

fn tonic_and_connect(engine: Engine) {
    if let Some(calls) = calls(engine, tonic(), "connect") {
        binary(&calls);
    }
}

fn tonic_and_text(engine: Engine) {
    if let Some(calls) = calls(engine, tonic(), "text") {
        text(&calls);
    }
}

fn go_and_connect(engine: Engine) {
    if let Some(calls) = calls(engine, go(), "connect") {
        binary(&calls);
    }
}

fn go_and_text(engine: Engine) {
    if let Some(calls) = calls(engine, go(), "text") {
        text(&calls);
    }
}
