//! Many exchanges at once: nothing is mixed up, and what is lost is counted.

use std::time::Duration;

use sensor::trace::Limits;
use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::inside::{Bounds, Inside};
use sensor_tests::edges::raw::Running;
use sensor_tests::edges::spans::{assert_exactly, assert_exchange, assert_report, marker};
use sensor_tests::sensor::{Engine, Report, Sensor, Signal, SpanJson};

/// How long the sensor may take for what is on the ring.
const PATIENCE: Duration = Duration::from_secs(60);

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
    sensor.wait_until_quiet(PATIENCE);
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
    let counted = report.counted();
    assert!(missing <= counted, "{missing} missing, {counted} counted: {:#?}", report.counters);
}

/// The sensor stands still for all of a load that is much too large for the ring, and goes on: what was
/// first is there, the rest is counted, and what comes later is all there.
fn a_small_ring(engine: Engine) {
    // Some 200 records fit; of the load there are more than 8,000, of what comes later fewer than 100.
    const RING: &str = "64KiB";
    let mut loaded = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "4", "500"]);
    loaded.wait_at("start");
    let mut later =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["few", "1000001", "10"]);
    later.wait_at("start");
    let pids = format!("{},{}", loaded.pid(), later.pid());
    let sensor = Sensor::start(engine, &["--pid", &pids, "--ring-size", RING]);
    sensor.pause();
    loaded.play();
    sensor.signal(Signal::CONT);
    let _ = sensor.wait_for(1, |_| true, PATIENCE);
    sensor.wait_until_quiet(PATIENCE);
    later.play();
    assert_overrun(&sensor.stop(), &loaded, &later);
}

/// What did not find room on the ring is counted, nothing else is wrong, and `later` is all there.
fn assert_overrun(report: &Report, loaded: &Workload, later: &Workload) {
    assert!(report.counter("kernel.ring_full") > 0, "no loss: {:#?}", report.counters);
    let (after, during): (Vec<_>, Vec<_>) = report
        .spans
        .iter()
        .cloned()
        .partition(|span| marker(span).is_some_and(|marker| marker.0 > 1_000_000));
    let markers = later.markers("exchanged");
    assert_exactly(report, &after, &["client", "server"], &markers);
    assert_bounded(&during, report, loaded.range().len(), 2 * markers.len() as u64);
}

/// The capture goes on; spans that find no room are counted.
fn a_reader_that_does_not_read(engine: Engine) {
    // Twice the spans that the queue to the output holds.
    let mut workload =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "4", "2000"]);
    workload.wait_at("start");
    let pid = workload.pid_text();
    let engine = engine.to_string();
    let sensor = Running::start(&["run", "--output", "json", "--engine", &engine, "--pid", &pid]);
    workload.play();
    // Only now is anything read: by then it has gone through all that there is.
    sensor.wait_until_quiet(PATIENCE);
    let report = sensor.stop().report();
    assert!(report.counter("output.lost") > 0, "{:#?}", report.counters);
    assert_bounded(&report.spans, &report, workload.range().len(), 0);
}

/// The sensor stands still and goes on, again and again, on connections that are under load all the
/// while: the ring runs full each time. Afterwards all is as before.
fn a_reader_that_stalls(engine: Engine) {
    // Some 800 records fit; of a stage there are more than 4,000.
    const RING: &str = "256KiB";
    const STAGES: usize = 10;
    let stages = STAGES.to_string();
    let scene = ["stages", "4", &stages, "300"];
    let mut loaded = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &scene);
    loaded.wait_at("start");
    let mut later =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["few", "1000001", "50"]);
    later.wait_at("start");
    let pids = format!("{},{}", loaded.pid(), later.pid());
    let sensor = Sensor::start(engine, &["--pid", &pids, "--ring-size", RING]);
    for stage in 0..STAGES {
        let still = stage % 2 == 0;
        if still {
            sensor.pause();
        }
        loaded.go();
        loaded.wait_at("stage");
        if still {
            sensor.signal(Signal::CONT);
        }
    }
    loaded.play();
    // What is left in the ring is taken: nothing of the load is in the way of what comes later.
    sensor.wait_until_quiet(PATIENCE);
    later.play();
    assert_overrun(&sensor.stop(), &loaded, &later);
}

/// More connections than flows that the kernel side can follow: one that makes room is begun anew when
/// its next bytes come.
fn a_small_flow_table(engine: Engine) {
    let bounds = Bounds { flows: 8, limits: Limits::default() };
    let report = under_load(engine, bounds, 32);
    assert!(report.counter("kernel.flows") > 64, "none made room: {:#?}", report.counters);
    // What was in flight on those that did is known to be lost.
    assert!(report.counter("connections.evicted") > 0, "{:#?}", report.counters);
}

/// The same in user space.
fn small_tables_of_connections(engine: Engine) {
    let limits = Limits { connections: 8, pipeline: 1, processes: 1, ..Limits::default() };
    let report = under_load(engine, Bounds { flows: 1024, limits }, 32);
    assert!(report.counter("connections.evicted") > 0, "none made room: {:#?}", report.counters);
}

fn under_load(engine: Engine, bounds: Bounds, connections: u32) -> Report {
    let connections = connections.to_string();
    // Twice, so that each connection is needed once more after all the others were.
    let scene = ["stages", connections.as_str(), "2", "25"];
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &scene);
    workload.wait_at("start");
    let inside = Inside::start(engine, &[workload.pid()], bounds);
    for _ in 0..2 {
        workload.go();
        workload.wait_at("stage");
    }
    workload.play();
    let report = inside.stop();
    assert!(!report.spans.is_empty(), "nothing came: {:#?}", report.counters);
    assert_bounded(&report.spans, &report, workload.range().len(), 0);
    report
}
