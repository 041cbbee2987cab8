//! gRPC by grpc-go, as it goes by: what its client and its server say of each call is what the spans
//! of the two ends say.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, grpc_go_workload};
use sensor_tests::workloads::Server;
use sensor_tests::workloads::grpc::Calls;

both_engines!(all_kinds_of_calls, many_at_once, connections_that_the_server_ends);

/// Clients make calls, each as its arguments say; the server ends each connection after `age`
/// milliseconds.
fn calls(
    engine: Engine,
    age: u32,
    clients: &[&str],
    count: usize,
    unheard: usize,
) -> Option<Calls> {
    let (program, client) = (grpc_go_workload("server")?, grpc_go_workload("client")?);
    let server = Server::start("grpc-go", |port, _| {
        let mut command = Command::new(program);
        command.args([port.to_string(), age.to_string()]);
        Ok(command)
    });
    let server = server.unwrap();
    let client = |arguments: &&str| {
        let mut command = Command::new(&client);
        command.arg(server.address.port().to_string()).args(arguments.split(' '));
        command
    };
    let clients: Vec<_> = clients.iter().map(client).collect();
    Some(Calls::run(engine, &server, &clients, count, unheard))
}

fn all_kinds_of_calls(engine: Engine) {
    let Some(calls) = calls(engine, 0, &["1 1 1000 kinds"], 30, 1) else { return };
    calls.assert_all_kinds();
    calls.assert_well_from(1000);
    for span in calls.ended(3) {
        assert_eq!(span.int("sensor.grpc.response.compressed_messages"), 1);
    }
    for span in calls.ended(51) {
        assert_eq!(span.str("sensor.grpc.class"), "health_check");
        assert_eq!(span.name(), "grpc.health.v1.Health/Check");
    }
}

/// 1, 2, 8 and 100 at a time, each over a connection.
fn many_at_once(engine: Engine) {
    let clients = ["1 50 1000", "2 50 2000", "8 25 3000", "100 5 4000"];
    let Some(calls) = calls(engine, 0, &clients, 50 + 100 + 200 + 500, 0) else { return };
    assert_eq!(calls.report.counter("connections.http2"), 2 * 4, "each at both ends");
    calls.assert_well_from(1000);
}

/// The server ends each connection after 100 ms, by GOAWAY: what was begun goes on, and the client
/// asks on another.
fn connections_that_the_server_ends(engine: Engine) {
    let Some(calls) = calls(engine, 100, &["20 10 1000 slowly"], 200, 0) else { return };
    assert!(calls.report.counter("connections.http2") >= 2 * 2, "more than one connection");
    calls.assert_well_from(1000);
}
