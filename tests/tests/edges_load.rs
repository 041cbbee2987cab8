//! Many exchanges at once: nothing is mixed up, and what is lost is counted.

use std::thread;
use std::time::Duration;

use sensor::trace::Limits;
use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::inside::{Bounds, Inside};
use sensor_tests::edges::raw::Running;
use sensor_tests::edges::spans::{assert_exactly, assert_exchange, assert_report, marker};
use sensor_tests::sensor::{Engine, Report, Sensor, Signal, SpanJson};

both_engines! {
    descriptors_used_again,
    a_small_ring,
    a_reader_that_does_not_read,
    a_reader_that_stalls,
    a_small_flow_table,
    small_tables_of_connections,
}

fn descriptors_used_again(engine: Engine) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["reuse"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();
    let highest = workload.markers("highest");
    assert!(highest[0].0 < 40, "descriptors were not used again: {highest:?}");
    assert_report(&report, &workload.range());
}

/// Each span is right and there once; what is not there is counted: as an exchange where its
/// beginning was seen, as a record else.
///
/// `more` spans are of other exchanges, which were all delivered.
fn assert_bounded(spans: &[SpanJson], report: &Report, sent: usize, more: u64) {
    for span in spans {
        assert_exchange(span);
    }
    for kind in ["client", "server"] {
        let mut found: Vec<_> =
            spans.iter().filter(|span| span.kind() == kind).filter_map(marker).collect();
        let all = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), all, "{kind} spans twice");
        assert!(found.iter().all(|marker| (1..=sent as u64).contains(&marker.0)));
    }
    report.assert_loss_equation();
    let seen = report.counter("exchanges.seen");
    assert!(seen - more <= 2 * sent as u64);
    let missing = 2 * sent as u64 + more - report.counter("exchanges.spans");
    let counted: u64 = report
        .counters
        .iter()
        .filter(|(name, _)| name.starts_with("exchanges.lost."))
        .map(|(_, n)| n)
        .sum::<u64>()
        + report.counter("exchanges.open")
        + report.counter("kernel.ring_full")
        + report.counter("kernel.flow_table_full")
        + report.counter("kernel.runs_missed")
        + report.counter("kernel.records_doubtful");
    assert!(missing <= counted, "{missing} missing, {counted} counted: {:#?}", report.counters);
}

fn a_small_ring(engine: Engine) {
    let mut workload =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "4", "2000"]);
    workload.wait_at("start");
    let pid = workload.pid_text();
    let sensor = Sensor::start(engine, &["--pid", &pid, "--ring-size", "64KiB"]);
    workload.play();
    let report = sensor.stop();
    assert!(report.counter("kernel.ring_full") > 0, "no loss: {:#?}", report.counters);
    // 64 KiB are some 200 records, and the reader rests for milliseconds between its rounds: most is
    // lost. But it goes on.
    assert!(report.spans.len() > 100, "{} spans", report.spans.len());
    assert_bounded(&report.spans, &report, workload.range().len(), 0);
}

/// The capture goes on; spans that find no room are counted.
fn a_reader_that_does_not_read(engine: Engine) {
    let mut workload =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "4", "2000"]);
    workload.wait_at("start");
    let pid = workload.pid_text();
    let engine = engine.to_string();
    let sensor = Running::start(&["run", "--output", "json", "--engine", &engine, "--pid", &pid]);
    workload.play();
    thread::sleep(Duration::from_secs(3));
    let report = sensor.stop().report();
    assert!(report.counter("output.lost") > 0, "{:#?}", report.counters);
    assert_bounded(&report.spans, &report, workload.range().len(), 0);
}

/// The sensor is stopped and goes on, again and again, under load: the ring runs full each time. What
/// did not come is counted, nothing else is wrong, and afterwards all is as before.
fn a_reader_that_stalls(engine: Engine) {
    let mut loaded = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "4", "3000"]);
    loaded.wait_at("start");
    let mut later =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["few", "1000001", "50"]);
    later.wait_at("start");
    let pids = format!("{},{}", loaded.pid(), later.pid());
    let sensor = Sensor::start(engine, &["--pid", &pids, "--ring-size", "256KiB"]);
    loaded.go();
    for _ in 0..5 {
        sensor.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(300));
        sensor.signal(Signal::CONT);
        thread::sleep(Duration::from_millis(100));
    }
    loaded.wait_at("end");
    // What is left in the ring is taken: nothing of the load is in the way of what comes later.
    thread::sleep(Duration::from_millis(500));
    later.play();
    let report = sensor.stop();
    assert!(report.counter("kernel.ring_full") > 0, "no loss: {:#?}", report.counters);
    let (after, during): (Vec<_>, Vec<_>) = report
        .spans
        .iter()
        .cloned()
        .partition(|span| marker(span).is_some_and(|marker| marker.0 > 1_000_000));
    assert_exactly(&after, &["client", "server"], &later.markers("exchanged"));
    assert_bounded(&during, &report, loaded.range().len(), 2 * 50);
}

/// More connections than flows that the kernel side can follow: one that makes room is begun anew when
/// its next bytes come.
fn a_small_flow_table(engine: Engine) {
    let bounds = Bounds { flows: 8, limits: Limits::default() };
    let report = under_load(engine, bounds, 32);
    assert!(report.counter("kernel.flows") > 64, "none made room: {:#?}", report.counters);
}

/// The same in user space.
fn small_tables_of_connections(engine: Engine) {
    let limits = Limits { connections: 8, pipeline: 1, processes: 1, ..Limits::default() };
    let report = under_load(engine, Bounds { flows: 1024, limits }, 32);
    assert!(report.counter("connections.evicted") > 0, "none made room: {:#?}", report.counters);
}

fn under_load(engine: Engine, bounds: Bounds, connections: u32) -> Report {
    let connections = connections.to_string();
    let scene = ["load", connections.as_str(), "50"];
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &scene);
    workload.wait_at("start");
    let inside = Inside::start(engine, &[workload.pid()], bounds);
    workload.play();
    let report = inside.stop();
    assert!(!report.spans.is_empty(), "nothing came: {:#?}", report.counters);
    assert_bounded(&report.spans, &report, workload.range().len(), 0);
    report
}
