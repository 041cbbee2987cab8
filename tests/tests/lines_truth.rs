//! Whose line is it? Services in every runtime, the marker of a request in each of its lines, and what the sensor says
//! of whose they are.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;

use sensor_tests::line_truth::{Place, Plan, SERVICES, run, table};
use sensor_tests::sensor::{Engine, can_trace};
use sensor_tests::traces::PassOn;

/// Places of which all lines are told whose they are, by service; elsewhere nothing need be said.
const CERTAIN: &[(&str, &[Place])] = &[
    ("go-http", HANDLER),
    ("go-gin", HANDLER),
    ("go-echo", HANDLER),
    ("go-fiber", STREAM),
    ("go-grpc", STREAM),
    ("python-threads", HANDLER),
    ("java-url", POOL),
    ("java-client", POOL),
];

/// The goroutine, or the thread, that reads the request and answers it.
const HANDLER: &[Place] =
    &[Place::Begin, Place::Called, Place::Slept, Place::Joined, Place::End, Place::After];
/// The same, where the answer goes out when the handler has returned.
const STREAM: &[Place] = &[Place::Begin, Place::Called, Place::Slept, Place::Joined, Place::End];
/// Threads that serve any connection: once one has answered, what it runs may be for others.
const POOL: &[Place] = STREAM;

/// Requests at once, and how many in all. Many first: what is made when it is first used, pools above all, is then made
/// while others are under way.
const LOADS: &[(usize, u64)] = &[(64, 96), (8, 72), (1, 24)];

fn service(name: &str, engine: Engine) {
    if !can_trace(name) {
        return;
    }
    let service = SERVICES.iter().find(|service| service.name == name).unwrap();
    let workload = Path::new(env!("CARGO_BIN_EXE_sensor-workload"));
    let plan = Plan { engine, workload, pass_on: &[PassOn::None], loads: LOADS, seed: 1 };
    let Some(outcome) = run(service, &plan).unwrap() else { return };
    let judgement = &outcome.judgement;
    let shown = format!("{}\n{:#?}", table(&[(name, judgement)]), outcome.report.counters);
    let sum = judgement.sum(|_| true);
    assert_eq!(sum.wrong, 0, "{}\n{shown}", judgement.words.join("\n"));
    assert_eq!(outcome.silent(), 0, "lost, and not counted:\n{shown}");
    assert!(sum.lost < sum.lines, "no record of any line:\n{shown}");
    if outcome.report.runs_missed() > 0 {
        return;
    }
    assert_eq!(sum.unjudged, 0, "{shown}");
    let certain = CERTAIN.iter().filter(|(of, _)| *of == name);
    for place in certain.flat_map(|(_, places)| *places) {
        let tally = judgement.sum(|(_, at)| at == place);
        assert_eq!(tally.missing, 0, "{place}:\n{shown}");
        assert_eq!(tally.unsaid, 0, "{place}:\n{shown}");
    }
}

macro_rules! services {
    ($($test:ident: $name:literal $engine:ident,)*) => {
        $(
            #[test]
            fn $test() {
                service($name, Engine::$engine);
            }
        )*
    };
}

services! {
    go_http: "go-http" Socket,
    go_gin: "go-gin" Socket,
    go_echo: "go-echo" Socket,
    go_fiber: "go-fiber" Socket,
    go_grpc: "go-grpc" Socket,
    python_threads: "python-threads" Socket,
    python_aiohttp: "python-aiohttp" Socket,
    python_httpx: "python-httpx" Socket,
    node_console: "node-console" Socket,
    node_pino: "node-pino" Socket,
    java_url: "java-url" Socket,
    java_client: "java-client" Socket,
    java_buffered: "java-buffered" Socket,
    rust_tokio: "rust-tokio" Socket,
    go_http_by_syscalls: "go-http" Syscall,
    go_grpc_by_syscalls: "go-grpc" Syscall,
    python_threads_by_syscalls: "python-threads" Syscall,
    node_console_by_syscalls: "node-console" Syscall,
    java_url_by_syscalls: "java-url" Syscall,
    rust_tokio_by_syscalls: "rust-tokio" Syscall,
}
