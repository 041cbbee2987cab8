//! Bytes come and go by every system call that moves bytes of a socket, and by calls that fail,
//! move nothing, or move bytes where the sensor cannot see them.

#![expect(clippy::expect_used, clippy::panic, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::edges::Marker;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::spans::{
    assert_exactly, assert_exchange_of_unknown_sizes, assert_no_bait, assert_report, marker,
};
use sensor_tests::sensor::{Engine, Report, Sensor};

both_engines! {
    every_way_in_and_out,
    vectors_that_the_kernel_takes_in_part,
    vectors_that_come_in_pieces,
    bytes_thrown_away_unread,
    bodies_spliced_to_a_pipe,
    calls_that_fail_or_move_nothing,
    io_uring_is_counted_as_not_seen,
    an_answer_unseen_on_an_older_connection,
}

/// Plays a scene to its end under the sensor.
fn play(engine: Engine, scene: &str) -> (Workload, Report) {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &[scene]);
    workload.wait_at("start");
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    (workload, sensor.stop())
}

fn every_way_in_and_out(engine: Engine) {
    let (workload, report) = play(engine, "ways");
    let markers = workload.markers("exchanged");
    assert_eq!(markers.len(), 3 * 15 * 2);
    assert_report(&report, &markers);
}

/// What the kernel leaves of a vector is sent by the next call, from the same memory.
fn vectors_that_the_kernel_takes_in_part(engine: Engine) {
    let (workload, report) = play(engine, "partial");
    let short: Vec<u64> = workload.said("short").iter().flat_map(|n| n.parse()).collect();
    assert!(short.len() == 3 && short.iter().all(|&n| n > 0), "no short calls: {short:?}");
    assert_no_bait(&report.spans);
    let partial = workload.said("partial");
    for kind in ["client", "server"] {
        for said in &partial {
            let (path, size) = said.split_once(' ').expect("a path and a size");
            let found: Vec<_> = report
                .spans
                .iter()
                .filter(|span| span.kind() == kind && span.path() == path)
                .collect();
            let span = match found[..] {
                [span] => span,
                [] if report.runs_missed() > 0 => continue,
                _ => panic!("{kind} {path}: {found:#?}"),
            };
            assert_eq!(span.status_code(), 200);
            assert_eq!(span.body_sizes()[1], size.parse().ok(), "{span:#?}");
        }
    }
    report.assert_delivered(2 * partial.len());
}

fn vectors_that_come_in_pieces(engine: Engine) {
    let (workload, report) = play(engine, "pieces");
    assert_report(&report, &workload.markers("exchanged"));
}

/// `MSG_TRUNC`: what stands in the buffer never was on the connection.
fn bytes_thrown_away_unread(engine: Engine) {
    let (workload, report) = play(engine, "discarded");
    assert_no_bait(&report.spans);
    let both = workload.markers("exchanged");
    let at_client = workload.markers("client");
    let spans = |kind| -> Vec<_> {
        report.spans.iter().filter(|span| span.kind() == kind).cloned().collect()
    };
    assert_exactly(&report, &spans("server"), &["server"], &both);
    assert_exactly(&report, &spans("client"), &["client"], &[both, at_client].concat());
    assert!(report.counter("kernel.bytes_unreadable") > 0, "{:#?}", report.counters);
    report.assert_loss_equation();
}

/// Bytes that go to a pipe pass by the hooks of the engine *socket*; over TCP their number is
/// known all the same.
fn bodies_spliced_to_a_pipe(engine: Engine) {
    let (workload, report) = play(engine, "spliced");
    let unix = workload.markers("unix");
    let (over_unix, over_tcp): (Vec<_>, Vec<_>) = report
        .spans
        .iter()
        .partition(|span| marker(span).is_some_and(|marker| unix.contains(&marker)));
    for span in over_tcp.iter().chain(&over_unix) {
        assert_exchange_of_unknown_sizes(span);
    }
    // The engine *socket* knows that the rest of a response went by, but not when: such an exchange
    // is lost, and counted. Over Unix sockets it cannot even know that.
    let kinds = if engine == Engine::Socket { &["server"][..] } else { &["client", "server"] };
    let mut wanted: Vec<_> = ["tcp4", "tcp6"]
        .into_iter()
        .flat_map(|name| workload.markers(name))
        .flat_map(|marker| kinds.iter().map(move |&kind| (marker, kind)))
        .collect();
    let mut found: Vec<_> =
        over_tcp.iter().filter_map(|span| Some((marker(span)?, span.kind()))).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    found.retain(|one| kinds.contains(&one.1));
    if report.runs_missed() == 0 {
        assert_eq!(found, wanted);
    } else {
        assert!(found.is_sorted_by(|one, next| one < next), "twice: {found:?}");
        assert!(found.iter().all(|one| wanted.contains(one)), "{found:?}");
        assert!((wanted.len() - found.len()) as u64 <= report.counted(), "{:#?}", report.counters);
    }
    assert_no_bait(&report.spans);
    report.assert_loss_equation();
}

fn calls_that_fail_or_move_nothing(engine: Engine) {
    let (workload, report) = play(engine, "failed");
    let complete = workload.markers("exchanged");
    let gone = workload.markers("unanswered");
    let (cut, whole): (Vec<_>, Vec<_>) = report
        .spans
        .iter()
        .cloned()
        .partition(|span| marker(span).is_some_and(|marker| gone.contains(&marker)));
    assert_exactly(&report, &whole, &["client", "server"], &complete);
    // A call that sends to nobody is over only after the reset that it brings about.
    for span in &cut {
        assert!(span.is_client(), "{span:#?}");
        assert_eq!(span.str("error.type"), "connection_reset");
    }
    report.assert_loss_equation();
    assert_eq!(gone.len(), 2, "one for TCP over each of IPv4 and IPv6");
    if report.runs_missed() == 0 {
        let told: BTreeSet<_> = cut.iter().filter_map(marker).collect();
        assert_eq!((cut.len(), told), (gone.len(), gone.into_iter().collect()));
        assert_eq!(report.counter("kernel.bytes_unseen"), 0, "{:#?}", report.counters);
        assert_eq!(report.counter("exchanges.spans"), report.counter("exchanges.seen"));
    }
}

/// A scene that uses io_uring, and what was seen of it; none where the kernel refuses it.
fn with_io_uring(engine: Engine, scene: &str) -> Option<(Workload, Report)> {
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &[scene]);
    if let Some(why) = workload.wait_for("disabled") {
        sensor_tests::skip("io_uring", &format!("io_uring is not to be had: {why}"));
        return None;
    }
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    Some((workload, sensor.stop()))
}

fn io_uring_is_counted_as_not_seen(engine: Engine) {
    let Some((workload, report)) = with_io_uring(engine, "uring") else { return };
    let unseen = ["kernel.calls_io_uring", "kernel.bytes_unseen"];
    assert!(
        unseen.iter().map(|name| report.counter(name)).sum::<u64>() > 0,
        "{:#?}",
        report.counters
    );
    let server: Vec<_> = report.spans.iter().filter(|span| span.is_server()).cloned().collect();
    assert_exactly(&report, &server, &["server"], &workload.markers("server"));
    // The client's own exchange by io_uring is not seen; those by other calls before it are, and
    // after it as soon as the connection's state is certain again.
    let client: Vec<_> = report.spans.iter().filter(|span| span.is_client()).cloned().collect();
    let seen: Vec<_> = client.iter().filter_map(marker).collect();
    assert_exactly(&report, &client, &["client"], &seen);
    assert!(!seen.contains(&Marker(2)), "{client:#?}");
    let there = [1, 5].iter().all(|&marker| seen.contains(&Marker(marker)));
    assert!(there || report.runs_missed() > 0, "{client:#?}");
    report.assert_loss_equation();
    assert!(report.spans.iter().all(|span| span.duration() < Duration::from_secs(30)));
}

/// The next answer that is seen is not taken for it.
fn an_answer_unseen_on_an_older_connection(engine: Engine) {
    let Some((_, report)) = with_io_uring(engine, "unseen") else { return };
    let of = |kind| -> Vec<_> {
        report.spans.iter().filter(|span| span.kind() == kind).cloned().collect()
    };
    assert_exactly(&report, &of("client"), &["client"], &[2, 3, 4, 5, 6].map(Marker));
    let server = of("server");
    let seen: Vec<_> = server.iter().filter_map(marker).collect();
    assert_exactly(&report, &server, &["server"], &seen);
    assert!(!seen.contains(&Marker(2)) && !seen.contains(&Marker(3)), "{server:#?}");
    assert!(seen.contains(&Marker(6)) || report.runs_missed() > 0, "{server:#?}");
    report.assert_loss_equation();
}
