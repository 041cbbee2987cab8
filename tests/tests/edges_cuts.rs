//! Connections that are older than the sensor, and exchanges that do not come to their end.

use sensor_tests::both_engines;
use sensor_tests::edges::Marker;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::spans::{
    assert_exactly, assert_exchange, assert_exchange_of_unknown_sizes, assert_no_bait,
    assert_request, marker,
};
use sensor_tests::sensor::{Engine, Sensor, SpanJson};

both_engines! {
    connections_older_than_the_sensor,
    exchanges_that_are_cut,
    answers_read_after_the_end,
}

fn connections_older_than_the_sensor(engine: Engine) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["older"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();
    assert_no_bait(&report.spans);
    assert_eq!(workload.said("older").len(), 15);
    let mut whole = Vec::new();
    for older in workload.said("older") {
        let words: Vec<&str> = older.split(' ').collect();
        let markers: Vec<_> = words[1..].iter().flat_map(|word| word.parse()).map(Marker).collect();
        // The exchange that was half over: nothing wrong of it, and at most one span of each end.
        let first = Marker(markers[0].0 - 1);
        let half: Vec<_> = report.spans.iter().filter(|span| marker(span) == Some(first)).collect();
        for span in &half {
            assert_exchange_of_unknown_sizes(span);
        }
        assert!(half.len() <= 2, "{older}: {half:#?}");
        if words[0].ends_with("idle") {
            assert_eq!(half.len(), 0, "{older}: it was over before");
        }
        whole.extend(markers);
    }
    let complete: Vec<_> = report
        .spans
        .iter()
        .filter(|span| marker(span).is_some_and(|marker| marker.0 % 10 != 1))
        .cloned()
        .collect();
    for span in &complete {
        assert_exchange(span);
    }
    let missing: Vec<_> = whole
        .iter()
        .flat_map(|&marker| [(marker, "client"), (marker, "server")])
        .filter(|&(wanted, kind)| {
            !complete.iter().any(|span| marker(span) == Some(wanted) && span.kind() == kind)
        })
        .collect();
    // Where the sensor came into the middle of an exchange, it has to see exchanges in strict turn
    // before it says what belongs together; until then they are lost, and counted.
    assert!(missing.len() as u64 <= report.counted(), "{missing:?}, {:#?}", report.counters);
    report.assert_loss_equation();
    if report.runs_missed() > 0 {
        return;
    }
    let lost = |(name, n): (&String, &u64)| name.starts_with("exchanges.lost.").then_some(*n);
    let lost: u64 = report.counters.iter().filter_map(lost).sum();
    assert!(missing.len() as u64 <= lost, "{missing:?}, {:#?}", report.counters);
    for (marker, kind) in missing {
        let state = marker.0 % 50 / 10;
        assert!(state != 0, "{marker:?} {kind}: the connection was idle");
        assert!(marker.0 % 10 < 4, "{marker:?} {kind}: the third exchange afterwards");
    }
}

fn exchanges_that_are_cut(engine: Engine) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["cuts"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();
    assert_no_bait(&report.spans);
    for span in &report.spans {
        assert_request(span);
    }
    let of = |wanted: Marker| -> Vec<&SpanJson> {
        report.spans.iter().filter(|span| marker(span) == Some(wanted)).collect()
    };
    let missed = report.runs_missed() > 0;
    // Each is told once by each end.
    let both = |wanted: Marker| {
        let spans = of(wanted);
        let mut kinds: Vec<_> = spans.iter().map(|span| span.kind()).collect();
        kinds.sort_unstable();
        let fewer = missed && matches!(kinds[..], [] | ["client"] | ["server"]);
        assert!(fewer || kinds == ["client", "server"], "{wanted:?} {spans:#?}");
        spans
    };
    let unanswered = |wanted: Marker, errors: &[&str]| {
        for span in both(wanted) {
            assert!(span.get("http.response.status_code").is_none(), "{span:#?}");
            assert!(errors.contains(&span.str("error.type")), "{errors:?} in {span:#?}");
            assert_eq!(span.status(), "error", "{span:#?}");
        }
    };
    let cut = |wanted: Marker| {
        for span in both(wanted) {
            assert_eq!(span.status_code(), i64::from(wanted.status()), "{span:#?}");
            assert_eq!(span.body_sizes()[1], None, "{span:#?}");
            assert_eq!(span.str("error.type"), "incomplete_response", "{span:#?}");
            assert_eq!(span.status(), "error", "{span:#?}");
        }
    };
    assert_eq!(workload.markers("closed").len(), 5);
    for marker in workload.markers("closed") {
        unanswered(marker, &["connection_closed"]);
    }
    assert_eq!(workload.markers("cut").len(), 3);
    for marker in workload.markers("cut") {
        cut(marker);
    }
    assert_eq!(workload.markers("reset").len(), 4);
    for marker in workload.markers("reset") {
        // Whoever resets has closed; the other one was reset.
        unanswered(marker, &["connection_closed", "connection_reset"]);
        let reset =
            of(marker).iter().filter(|it| it.str("error.type") == "connection_reset").count();
        assert!(reset >= 1 || missed && of(marker).len() < 2, "{:#?}", of(marker));
    }
    assert_eq!(workload.markers("killed").len(), 2);
    for marker in workload.markers("killed") {
        unanswered(marker, &["connection_closed", "connection_reset"]);
    }
    assert_eq!(workload.markers("killed-within").len(), 1);
    for marker in workload.markers("killed-within") {
        cut(marker);
    }
    // What waits at the end is no span, but is counted; and nothing tells of the end of a Unix
    // socket whose peer has gone first.
    let open = [workload.markers("open"), workload.markers("left")].concat();
    assert_eq!(open.len(), 2);
    let told: usize = open.iter().map(|&marker| of(marker).len()).sum();
    let waiting = report.counter("exchanges.open");
    assert!(missed || told as u64 + waiting == 4, "{:#?}", report.counters);
    assert!(of(open[0]).is_empty(), "{:#?}", of(open[0]));
    for span in of(open[1]) {
        assert!(span.get("http.response.status_code").is_none(), "{span:#?}");
    }
    report.assert_loss_equation();
}

/// What has come can be read when the connection is over: after a FIN to one that has sent its own, and
/// after a reset.
fn answers_read_after_the_end(engine: Engine) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["late-readers"]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let report = sensor.stop();
    let [answered, unread, unheard] =
        ["answered", "unread", "unheard"].map(|name| workload.markers(name));
    assert_eq!([answered.len(), unread.len(), unheard.len()], [4, 2, 2]);
    assert_no_bait(&report.spans);
    let is_one = |span: &SpanJson, of: &[Marker]| marker(span).is_some_and(|it| of.contains(&it));
    let (complete, others): (Vec<_>, Vec<_>) =
        report.spans.iter().cloned().partition(|span| is_one(span, &answered));
    let (at_servers, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|span| span.is_server() && is_one(span, &unheard));
    assert_exactly(&report, &complete, &["client", "server"], &answered);
    assert_exactly(&report, &at_servers, &["server"], &unheard);
    for span in &others {
        assert_request(span);
        assert_eq!(span.kind(), "client");
        assert!(span.get("http.response.status_code").is_none(), "{span:#?}");
        let error = match is_one(span, &unread) {
            true => "connection_reset",
            false => "connection_closed",
        };
        assert_eq!(span.str("error.type"), error, "{span:#?}");
    }
    // Who closes with something unread resets, and is told of no error.
    report.assert_delivered(2 * answered.len() + unread.len() + 2 * unheard.len());
}
