//! Whose call is it? Services in every runtime, their own word for it, and the parents that the sensor gives.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::path::Path;

use sensor_tests::both_engines;
use sensor_tests::sensor::Engine;
use sensor_tests::traces::{Cell, PassOn, Pattern, Plan, RUNTIMES, run, table};

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
const WITHOUT_CONTEXT: &[(&str, &[(Pattern, f64)])] = &[];

/// Requests at once, and how many in all for each way of passing a context on.
const LOADS: &[(usize, u64)] = &[(1, 24), (8, 72)];

/// What is not right yet of calls that are made after the answer. Exchanges that are over are not remembered: such a call
/// is given to another request of its trace where that is the only one which is open then; and where it carries the
/// context that came in, it is taken for one that the service made, with an identifier which is its sender's. And one that
/// begins before the answer is out and ends after it keeps its parent, which does not contain it.
fn excused(cell: &Cell) -> bool {
    cell.pass_on != PassOn::None && cell.pattern == Pattern::After
}

fn service(name: &str, engine: Engine) {
    let runtime = RUNTIMES.iter().find(|runtime| runtime.name == name).unwrap();
    let workload = Path::new(env!("CARGO_BIN_EXE_sensor-workload"));
    let plan = Plan { engine, workload, loads: LOADS, seed: 1 };
    let Some(outcome) = run(runtime, &plan).unwrap() else { return };
    let judgement = &outcome.judgement;
    let shown = format!("{}\n{:#?}", table(&[(name, judgement)]), outcome.report.counters);
    let words = judgement.words.join("\n");
    assert_eq!(judgement.sum(|cell| !excused(cell)).wrong, 0, "{words}\n{shown}");
    assert_eq!(outcome.silent(), 0, "lost, and not counted:\n{shown}");
    if outcome.report.runs_missed() == 0 {
        assert_eq!(judgement.lost_spans, 0, "{shown}");
    }
    assert_eq!(judgement.sum(|cell| !excused(cell)).reused, 0, "{shown}");
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
