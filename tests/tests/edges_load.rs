//! Many exchanges at once: nothing is mixed up, and what is lost is counted.

use std::thread;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::raw::Running;
use sensor_tests::edges::spans::{assert_exchange, assert_report, marker};
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson};

both_engines! {
    descriptors_used_again,
    a_small_ring,
    a_reader_that_does_not_read,
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
fn assert_bounded(spans: &[SpanJson], report: &Report, sent: usize) {
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
    assert!(seen <= 2 * sent as u64);
    let missing = 2 * sent as u64 - report.counter("exchanges.spans");
    let counted: u64 = report
        .counters
        .iter()
        .filter(|(name, _)| name.starts_with("exchanges.lost."))
        .map(|(_, n)| n)
        .sum::<u64>()
        + report.counter("exchanges.open")
        + report.counter("kernel.ring_full")
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
    assert_bounded(&report.spans, &report, workload.range().len());
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
    assert_bounded(&report.spans, &report, workload.range().len());
}
