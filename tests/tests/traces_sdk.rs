//! The sensor beside OpenTelemetry's SDKs: the same traces, the same hops, and about the same times.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use sensor_tests::both_engines;
use sensor_tests::sensor::Engine;
use sensor_tests::traces::sdk::{Role, SDKS, compare, quantile};

both_engines!(go, node, python);

/// The two look at different moments: the sensor when a system call is over, the SDK when its code runs, which is
/// later at a request and earlier at an answer, and the other way round for a call. Between them lie the runtime's
/// parser, its scheduler and whatever else wants the processor: half of a millisecond in the median where nothing else
/// does (`cargo xtask bench --only sdk` tells the quantiles), some where other tests do, and with Python's one lock eight
/// requests wait for each other. A time that is wrong (another exchange's, a queue's) is off by the leaf's milliseconds
/// times eight and more.
const TOLERANCE_NS: u64 = 20_000_000;

fn beside(name: &str, engine: Engine) {
    let sdk = SDKS.iter().find(|sdk| sdk.name == name).unwrap();
    let Some(found) = compare(sdk, engine, 8, 96).unwrap() else { return };
    assert!(found.words.is_empty(), "{:#?}\n{:#?}", found.words, found.report.counters);
    assert!(found.lost as u64 <= found.counted, "{} lost, {} counted", found.lost, found.counted);
    if found.report.runs_missed() == 0 {
        assert_eq!((found.same, found.lost), (found.spans, 0));
    }
    for role in Role::ALL {
        let all = &found.differences[&role];
        let mut longer: Vec<_> = all.iter().map(|it| it.end - it.start).collect();
        let median = quantile(&mut longer, 0.5).unwrap();
        assert!(median.unsigned_abs() <= TOLERANCE_NS, "{}: {median} ns: {longer:?}", role.name());
    }
}

fn go(engine: Engine) {
    beside("go", engine);
}

fn node(engine: Engine) {
    beside("node", engine);
}

fn python(engine: Engine) {
    beside("python", engine);
}
