//! Bytes that are no HTTP/1, broken, or made to be misread: no span is made of them, each is counted
//! with its reason, and the exchanges between them are told as always.

use std::collections::BTreeMap;

use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::hostile::{Fate, cases};
use sensor_tests::edges::spans::{assert_exactly, assert_no_bait, marker};
use sensor_tests::sensor::{Engine, Sensor};

both_engines! { hostile_bytes }

fn hostile_bytes(engine: Engine) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["hostile"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();

    assert_no_bait(&report.spans);
    let markers = workload.markers("exchanged");
    assert_exactly(&report, &report.spans, &["client", "server"], &markers);
    let invented: Vec<_> = report.spans.iter().filter(|span| marker(span).is_none()).collect();
    assert!(invented.is_empty(), "{invented:#?}");

    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for case in cases() {
        let (Fate::LeftAlone(counter) | Fate::Lost(counter)) = case.fate;
        // Both ends are traced.
        *wanted.entry(counter).or_default() += 2;
    }
    let said: BTreeMap<&str, u64> =
        wanted.keys().map(|counter| (*counter, report.counter(counter))).collect();
    // What was not seen as a whole may be lost for another reason.
    if report.runs_missed() == 0 {
        assert_eq!(said, wanted, "{:#?}", report.counters);
        assert_eq!(report.counter("exchanges.open"), 0);
    }
    assert_eq!(report.counter("kernel.ring_full"), 0);
    report.assert_loss_equation();
}
