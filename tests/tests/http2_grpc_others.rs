//! gRPC by grpcio (its own HTTP/2), @grpc/grpc-js (Node's), grpc-java (Netty's), tonic and hyper (of the crate h2), as it goes by:
//! all kinds of calls, then 1, 2, 8 and 100 at a time, each over a connection.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::process::Command;

use sensor_tests::both_engines;
use sensor_tests::sensor::{Engine, python, tool};
use sensor_tests::workloads::grpc::Calls;
use sensor_tests::workloads::{Server, java_classes, npm_packages, python_packages, source};

both_engines!(grpcio, grpc_js, grpc_java, tonic);

/// Calls of all kinds, and of the others.
const COUNT: usize = 28 + 20 + 40 + 80 + 300;

/// `program` gives one for that side, which takes a port.
fn calls(engine: Engine, program: impl Fn(&str) -> Command) {
    let server = Server::on_port("grpc", program("server")).unwrap();
    let mut client = program("client");
    client.arg(server.address.port().to_string());
    let calls = Calls::run(engine, &server, &[client], COUNT, 1);
    calls.assert_all_kinds();
    calls.assert_well_from(1000);
}

fn grpcio(engine: Engine) {
    let (Some(python), Some(packages)) = (python(), python_packages("grpcio")) else { return };
    calls(engine, |side| {
        let mut command = Command::new(&python);
        command.arg(source("grpcio/calls.py")).arg(side).env("PYTHONPATH", &packages);
        command
    });
}

fn grpc_js(engine: Engine) {
    let (Some(node), Some(packages)) = (tool("node"), npm_packages("grpc-js")) else { return };
    calls(engine, |side| {
        let mut command = Command::new(&node);
        command.arg(source("grpc-js/calls.js")).arg(side).env("NODE_PATH", &packages);
        command
    });
}

fn grpc_java(engine: Engine) {
    let (Some(java), Some(classes)) = (tool("java"), java_classes("grpc-java", "Calls")) else {
        return;
    };
    calls(engine, |side| {
        let mut command = Command::new(&java);
        command.args(["-classpath", &classes, "Calls", side]);
        command
    });
}

fn tonic(engine: Engine) {
    calls(engine, |side| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sensor-workload"));
        command.arg(format!("tonic-{side}"));
        command
    });
}
