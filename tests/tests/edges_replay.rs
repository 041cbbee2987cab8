//! A recording says what the live run said; so do the packets.

#![expect(clippy::expect_used, reason = "this is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::both_engines;
use sensor_tests::edges::driver::Workload;
use sensor_tests::edges::raw::{Running, command, run};
use sensor_tests::edges::spans::{assert_exactly, assert_report, marker};
use sensor_tests::process::fresh_directory;
use sensor_tests::sensor::{Engine, Report, Sensor, SpanJson, tool};

both_engines! {
    a_recording_of_the_same_traffic,
    packets_of_the_same_traffic,
}

/// How long the sensor may take for what is on the ring.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two kernel sides stamp the same event one after the other: next to nothing lies between.
const APART: Duration = Duration::from_millis(100);

/// But a virtual machine's processor may be taken away for a while just there.
const APART_ONCE: Duration = Duration::from_secs(5);

/// None of these is far, and most are near.
fn assert_close(mut apart: Vec<u64>) {
    apart.sort_unstable();
    let most = apart.get(apart.len() / 2).copied().map(Duration::from_nanos);
    assert!(most.is_some_and(|most| most < APART), "{apart:?}");
    let farthest = apart.last().copied().map(Duration::from_nanos);
    assert!(farthest.is_some_and(|farthest| farthest < APART_ONCE), "{apart:?}");
}

fn replay(file: &str) -> Report {
    run(&mut command(&["replay", file, "--output", "json"])).report()
}

/// Spans by what they tell of.
fn by_marker(spans: &[SpanJson]) -> BTreeMap<(u64, String), &SpanJson> {
    let key = |span: &SpanJson| Some((marker(span)?.0, span.kind().to_owned()));
    spans.iter().filter_map(|span| Some((key(span)?, span))).collect()
}

/// Half of how long an exchange waits for its other end: beyond it, one run may have found that and the other not.
const SOON: Duration = Duration::from_millis(10);

/// Exchanges of which something was seen late in one of the runs, or at one of the ends.
fn late(runs: [&BTreeMap<(u64, String), &SpanJson>; 2]) -> BTreeSet<u64> {
    let mut times = BTreeMap::<u64, (Vec<u64>, Vec<u64>)>::new();
    for ((marker, _), span) in runs.into_iter().flatten() {
        let (starts, ends) = times.entry(*marker).or_default();
        starts.push(span.start());
        ends.push(span.end());
    }
    let spread = |times: &[u64]| match (times.iter().min(), times.iter().max()) {
        (Some(min), Some(max)) => Duration::from_nanos(max - min),
        _ => Duration::ZERO,
    };
    let is_late =
        |(starts, ends): &(Vec<u64>, Vec<u64>)| spread(starts) > SOON || spread(ends) > SOON;
    times.into_iter().filter(|(_, times)| is_late(times)).map(|(marker, _)| marker).collect()
}

/// A span without its times, and without saying what it belongs to, and how its request and response were found
/// to belong together, if `paired_alike` is not to be asked for.
fn timeless(span: &SpanJson, paired_alike: bool) -> serde_json::Value {
    let mut value = span.json().clone();
    let object = value.as_object_mut().expect("an object");
    if let Some(attributes) = object.get_mut("attributes").and_then(|it| it.as_object_mut())
        && !paired_alike
    {
        attributes.remove("sensor.pairing");
        // The other end, or what caused it, may be among what one of the two missed.
        attributes.retain(|key, _| !key.starts_with("sensor.parent."));
        for key in ["parent_span_id", "trace_id", "links"] {
            object.remove(key);
        }
    }
    object.remove("start_time_unix_nano");
    object.remove("end_time_unix_nano");
    for event in object.get_mut("events").and_then(|it| it.as_array_mut()).into_iter().flatten() {
        event.as_object_mut().expect("an object").remove("time_unix_nano");
    }
    value
}

fn a_recording_of_the_same_traffic(engine: Engine) {
    let mut workload =
        Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["load", "3", "200"]);
    workload.wait_at("start");
    let directory = fresh_directory("replay").expect("a directory");
    let file = directory.join("traffic.rec");
    let file = file.to_str().expect("UTF-8");
    let pid = workload.pid_text();
    let name = engine.to_string();
    let recorder = Running::start(&["record", file, "--engine", &name, "--pid", &pid]);
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    // However slow the machine is, nothing is on the rings any more.
    sensor.wait_until_quiet(PATIENCE);
    recorder.wait_until_quiet(PATIENCE);
    let live = sensor.stop();
    let recorded = recorder.stop();
    let missed = ["nothing lost", "lost: kernel.runs_missed"];
    assert!(
        recorded.status.success() && missed.iter().any(|words| recorded.stderr.contains(words)),
        "{recorded:#?}"
    );

    let markers = workload.range();
    assert_report(&live, &markers);
    let replayed = replay(file);
    assert_report(&replayed, &markers);
    // Runs of the one's programs may be left out where the other's are not.
    let alike = live.runs_missed() == 0 && replayed.runs_missed() == 0;
    let (live, recorded) = (by_marker(&live.spans), by_marker(&replayed.spans));
    let late = late([&live, &recorded]);
    let mut apart = Vec::new();
    for (key, live) in live {
        let Some(recorded) = recorded.get(&key) else { continue };
        let alike = alike && !late.contains(&key.0);
        assert_eq!(timeless(live, alike), timeless(recorded, alike), "{key:?}");
        apart
            .push(live.start().abs_diff(recorded.start()).max(live.end().abs_diff(recorded.end())));
    }
    assert_close(apart);
    // The same again, times and all.
    assert_eq!(
        replay(file).spans.iter().map(SpanJson::json).collect::<Vec<_>>(),
        replayed.spans.iter().map(SpanJson::json).collect::<Vec<_>>()
    );
    std::fs::remove_dir_all(directory).expect("its end");
}

fn packets_of_the_same_traffic(engine: Engine) {
    let Some(tcpdump) = tool("tcpdump") else { return };
    let mut workload = Workload::start(env!("CARGO_BIN_EXE_sensor-workload"), &["ports", "25"]);
    workload.wait_at("start");
    let directory = fresh_directory("packets").expect("a directory");
    let file = directory.join("traffic.pcap");
    let ports: Vec<String> = workload.said("port").iter().map(|port| (*port).to_owned()).collect();
    let mut tcpdump = Command::new(tcpdump)
        .args(["-i", "lo", "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-w"])
        .arg(&file)
        .args(["port", &ports[0], "or", "port", &ports[1]])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump");
    let mut lines = BufReader::new(tcpdump.stderr.take().expect("its words")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("listening on"))));
    let sensor = Sensor::on(engine, &[workload.pid()]);
    workload.play();
    let live = sensor.stop();
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_child(&tcpdump);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    tcpdump.wait().expect("its end");
    let words: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(words.iter().any(|line| line == "0 packets dropped by kernel"), "{words:?}");

    let markers = workload.markers("exchanged");
    assert_report(&live, &markers);
    let packets = replay(file.to_str().expect("UTF-8"));
    assert_eq!(packets.counter("streams.gaps"), 0, "{words:?} {:#?}", packets.counters);
    let server: Vec<_> = packets.spans.iter().filter(|span| span.is_server()).cloned().collect();
    assert_exactly(&packets, &server, &["server"], &markers);
    // What both saw of an exchange is the same.
    let live = by_marker(&live.spans);
    let mut apart = Vec::new();
    for (key, packet) in by_marker(&server) {
        let Some(live) = live.get(&key) else { continue };
        for id in ["trace_id", "parent_span_id"] {
            assert_eq!(packet.json().get(id), live.json().get(id), "{key:?}");
        }
        for attribute in ["client.address", "client.port", "server.address", "url.path"] {
            assert_eq!(packet.get(attribute), live.get(attribute), "{attribute} {key:?}");
        }
        apart.push(live.start().abs_diff(packet.start()));
    }
    assert_close(apart);
    packets.assert_loss_equation();
    std::fs::remove_dir_all(directory).expect("its end");
}
