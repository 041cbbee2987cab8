//! Real loggers of five languages and nginx: what the sensor makes of what they write is what was logged.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use sensor_tests::loggers::{self, LANGUAGES, differences, run};
use sensor_tests::sensor::{Engine, can_trace};

fn language(name: &str) {
    if !can_trace(name) {
        return;
    }
    let language = LANGUAGES.iter().find(|language| language.name == name).unwrap();
    let Some((all, report)) = run(language, Engine::Socket).unwrap() else { return };
    assert_eq!(report.lines_counted(), 0, "{:#?}", report.counters);
    let mut differ = Vec::new();
    for logged in &all {
        assert!(!logged.truth.is_empty(), "{} logged nothing", logged.name);
        let of = differences(&logged.truth, &logged.records);
        differ.extend(of.into_iter().map(|what| format!("{}: {what}", logged.name)));
    }
    assert!(differ.is_empty(), "{} differences:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn go() {
    language("go");
}

#[test]
fn java() {
    language("java");
}

#[test]
fn node() {
    language("node");
}

#[test]
fn python() {
    language("python");
}

#[test]
fn rust() {
    language("rust");
}

#[test]
fn nginx() {
    if !can_trace("nginx") {
        return;
    }
    let Some((truth, records)) = loggers::nginx::run(Engine::Socket).unwrap() else { return };
    let differ = loggers::nginx::differences(&truth, &records);
    assert!(differ.is_empty(), "{} differences:\n{}", differ.len(), differ.join("\n"));
}
