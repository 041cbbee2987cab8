//! What the real loggers wrote, beside what they were given to log.

mod plain;
mod properties;

use std::path::{Path, PathBuf};
use std::{fs, time};

use serde_json::{Map, Value as Json};

use super::*;
use crate::model::Value;

/// `testdata/NAME.log` with `NAME.json`: what each record of it says. All records go to one reader, in order.
fn samples() -> Vec<(String, PathBuf)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/logs/format/testdata");
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut logs: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    logs.sort();
    logs.into_iter()
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

pub(super) fn unix_ns(text: &str) -> u64 {
    let time = humantime::parse_rfc3339(text).unwrap();
    u64::try_from(time.duration_since(time::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

pub(in crate::logs) fn json(value: &Value) -> Json {
    match value {
        Value::Str(text) => Json::from(text.as_str()),
        Value::Int(number) => Json::from(*number),
        Value::Double(number) => Json::from(*number),
        Value::Bool(value) => Json::from(*value),
        Value::Strs(texts) => Json::from(texts.to_vec()),
    }
}

/// In the words of the samples.
pub(super) fn told(parsed: &Parsed) -> Map<String, Json> {
    let mut told = Map::new();
    let mut tell = |key: &str, value: Option<Json>| {
        value.and_then(|value| told.insert(key.to_owned(), value));
    };
    tell("format", Some(format!("{:?}", parsed.format).into()));
    tell("time", parsed.time_unix_ns.map(Json::from));
    tell("severity", parsed.severity.map(|it| it.name().into()));
    tell("text", parsed.severity_text.as_ref().map(|it| it.as_str().into()));
    tell("message", Some(parsed.message.as_str().into()));
    tell("caller", parsed.caller.as_ref().map(|it| it.as_str().into()));
    tell("event", parsed.event.as_ref().map(|it| it.as_str().into()));
    tell("trace", parsed.ids.trace_id.map(|it| it.to_string().into()));
    tell("span", parsed.ids.span_id.map(|it| it.to_string().into()));
    let requests: Vec<_> = parsed.ids.requests.iter().map(|it| Json::from(it.as_str())).collect();
    tell("requests", (!requests.is_empty()).then(|| requests.into()));
    tell("class", Some(parsed.class.name().into()).filter(|_| parsed.class != Class::Business));
    tell("breach", parsed.breach.map(|it| it.name().into()));
    let attributes = parsed.attributes.iter().map(|it| (it.key.to_string(), json(&it.value)));
    tell("attributes", Some(attributes.collect::<Map<_, _>>().into()));
    told
}

#[test]
fn real_loggers() {
    let mut wrong = String::new();
    let mut records = 0;
    for (name, path) in samples() {
        let log = fs::read(&path).unwrap();
        let truth: Json =
            serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let observed = unix_ns(truth["observed"].as_str().unwrap());
        let mut lines = log.strip_suffix(b"\n").unwrap_or(&log).split(|byte| *byte == b'\n');
        let mut formats = Formats::default();
        for expected in truth["records"].as_array().unwrap() {
            let mut expected = expected.as_object().unwrap().clone();
            let count = expected.remove("lines").unwrap().as_u64().unwrap();
            let text: Vec<_> = lines.by_ref().take(usize::try_from(count).unwrap()).collect();
            let partial = expected.remove("partial").is_some();
            if let Some(time) = expected.get_mut("time") {
                *time = unix_ns(time.as_str().unwrap()).into();
            }
            let mut found = told(&formats.read(&text.join(&b'\n'), observed));
            if partial {
                let stated = expected["attributes"].as_object().unwrap();
                found["attributes"]
                    .as_object_mut()
                    .unwrap()
                    .retain(|key, _| stated.contains_key(key));
            }
            records += 1;
            if found != expected {
                let show = |map: &Map<_, _>| serde_json::to_string(map).unwrap();
                wrong +=
                    &format!("{name}\n  truth {}\n  found {}\n", show(&expected), show(&found));
            }
        }
        assert_eq!(lines.next(), None, "{name}: lines that nothing is said of");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(records > 250, "{records}");
}
