//! Whose call is it? Services in every runtime, their own word for it, and the parents that the sensor gives.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;

use sensor_tests::both_engines;
use sensor_tests::sensor::Engine;
use sensor_tests::traces::{PassOn, Pattern, Plan, RUNTIMES, run, table};

both_engines!(
    go_http,
    go_gin,
    go_grpc,
    python_threads,
    python_aiohttp,
    python_httpx,
    node_http,
    node_fetch,
    java_url,
    java_client,
    rust_tokio,
);

/// What is found at least where the services pass no context on, in percent of the calls that their caller's span
/// contains; where nothing is said, nothing need be.
const WITHOUT_CONTEXT: &[(&str, &[(Pattern, f64)])] = &[
    ("go-http", GOROUTINE),
    ("go-gin", GOROUTINE),
    ("go-grpc", GOROUTINE),
    ("python-threads", THREAD),
    ("java-url", THREAD),
];

/// The goroutine that handles a request makes its calls. (Goroutines that it starts make them too; they are certain only
/// while no other request is open.) Some requests may come before it is known how to read the number.
const GOROUTINE: &[(Pattern, f64)] =
    &[(Pattern::One, 95.0), (Pattern::Seq, 95.0), (Pattern::Late, 95.0)];
/// One of two calls at once is another thread's.
const THREAD: &[(Pattern, f64)] =
    &[(Pattern::One, 95.0), (Pattern::Seq, 95.0), (Pattern::Par, 45.0), (Pattern::Late, 95.0)];

/// Requests at once, and how many in all for each way of passing a context on. Many at once come first: what is made
/// when it is first used, pools above all, is then made while others are under way.
const LOADS: &[(usize, u64)] = &[(64, 96), (8, 72), (1, 24)];

fn service(name: &str, engine: Engine) {
    let runtime = RUNTIMES.iter().find(|runtime| runtime.name == name).unwrap();
    let workload = Path::new(env!("CARGO_BIN_EXE_sensor-workload"));
    let plan = Plan { engine, workload, loads: LOADS, seed: 1 };
    let Some(outcome) = run(runtime, &plan).unwrap() else { return };
    let judgement = &outcome.judgement;
    let shown = format!("{}\n{:#?}", table(&[(name, judgement)]), outcome.report.counters);
    let words = judgement.words.join("\n");
    assert_eq!(judgement.sum(|_| true).wrong, 0, "{words}\n{shown}");
    assert_eq!(outcome.silent(), 0, "lost, and not counted:\n{shown}");
    if outcome.report.runs_missed() == 0 {
        assert_eq!(judgement.lost_spans, 0, "{shown}");
    }
    assert_eq!(judgement.sum(|_| true).reused, 0, "{shown}");
    let alone = [PassOn::Forwarded, PassOn::Fresh];
    let passed = judgement.sum(|cell| alone.contains(&cell.pass_on));
    assert_eq!(passed.missing(), 0, "a context was passed on:\n{shown}");
    assert!(passed.right() > 0, "{shown}");
    let without = WITHOUT_CONTEXT.iter().filter(|(of, _)| *of == name);
    for (pattern, least) in without.flat_map(|(_, shares)| *shares) {
        let tally = judgement.sum(|cell| cell.pass_on == PassOn::None && cell.pattern == *pattern);
        let share = tally.share().unwrap_or(100.0);
        assert!(share >= *least, "{pattern}: {share} % and not {least} %:\n{shown}");
    }
}

fn go_http(engine: Engine) {
    service("go-http", engine);
}

fn go_gin(engine: Engine) {
    service("go-gin", engine);
}

fn go_grpc(engine: Engine) {
    service("go-grpc", engine);
}

fn python_threads(engine: Engine) {
    service("python-threads", engine);
}

fn python_aiohttp(engine: Engine) {
    service("python-aiohttp", engine);
}

fn python_httpx(engine: Engine) {
    service("python-httpx", engine);
}

fn node_http(engine: Engine) {
    service("node-http", engine);
}

fn node_fetch(engine: Engine) {
    service("node-fetch", engine);
}

fn java_url(engine: Engine) {
    service("java-url", engine);
}

fn java_client(engine: Engine) {
    service("java-client", engine);
}

fn rust_tokio(engine: Engine) {
    service("rust-tokio", engine);
}
