//! Lines as loggers write them, and the records that they are: through the joiner and the formats,
//! as in the pipeline.
//!
//! A case is a line of JSON: `name`; `input`, the writes to one stream in order; `expected`, for
//! each record the keys that matter (`Has:x`: contains x; `<absent>`: there is none; `_raw`:
//! message and fields; `attributes`: some of the fields); `observed`, when it was written, where
//! that is not [`OBSERVED`]; `source`, which says why.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::*;
use crate::logs::format::tests::json;

/// Zone-less times in the cases are about this one: 2026-11-30T15:31:55.5Z.
const OBSERVED: u64 = 1_796_052_715_500_000_000;

/// The records of some writes to one stream.
fn records(input: &[String], observed: u64) -> Vec<LogRecord> {
    let mut logs = Logs::new(Limits::default());
    logs.handle(&Event::Clock(ClockSync { monotonic: Monotonic(SECOND), unix_ns: observed }));
    for (at, write) in (0..).zip(input) {
        logs.handle(&Event::Written(Written {
            time: Monotonic(SECOND + at),
            process: ProcessKey::undated(SERVICE),
            caller: thread(7),
            file: FileId { device: 1, inode: 2, generation: 3 },
            stream: LogStream::Stdout,
            bytes: write.as_bytes(),
            continues: false,
            lost_after: 0,
            lost_records: 0,
        }));
    }
    logs.finish();
    logs.records
}

/// In the words of the cases.
fn described(record: &LogRecord) -> Map<String, Json> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Json>| {
        value.and_then(|value| map.insert(key.to_owned(), value));
    };
    let ids = record.correlation.as_ref();
    put("message", Some(record.message.as_str().into()));
    put("level", record.severity.map(|it| it.name().into()));
    put("level_text", record.severity_text.as_ref().map(|it| it.as_str().into()));
    put("timestamp_unix_nano", record.time_unix_ns.map(Json::from));
    put("trace_id", ids.map(|it| it.trace_id.to_string().into()));
    put("span_id", ids.and_then(|it| it.span_id).map(|it| it.to_string().into()));
    put("caller", record.caller.as_ref().map(|it| it.as_str().into()));
    put("dead_letter", record.breach.map(|it| it.name().into()));
    let attributes = record.attributes.iter().map(|it| (it.key.to_string(), json(&it.value)));
    put("attributes", Some(attributes.collect::<Map<_, _>>().into()));
    map
}

/// Whether a record has the value that is expected under a key.
fn fits(found: &Map<String, Json>, key: &str, expected: &Json) -> bool {
    let value = found.get(key);
    match expected {
        Json::String(text) if text == "<absent>" => value.is_none(),
        Json::String(text) => match text.strip_prefix("Has:") {
            Some(part) if key == "_raw" => {
                found["message"].as_str().is_some_and(|it| it.contains(part))
                    || found["attributes"].as_object().unwrap().iter().any(|(key, value)| {
                        key.contains(part)
                            || value.as_str().is_some_and(|it| it.contains(part))
                            || value.to_string().contains(part)
                    })
            }
            Some(part) => value.and_then(Json::as_str).is_some_and(|it| it.contains(part)),
            None => value.and_then(Json::as_str) == Some(text),
        },
        Json::Object(some) => {
            let inner = value.and_then(Json::as_object).unwrap();
            some.iter().all(|(key, expected)| fits(inner, key, expected))
        }
        other => value == Some(other),
    }
}

#[test]
fn loggers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/logs/tests/data");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let (mut wrong, mut count) = (String::new(), 0);
    for path in files {
        for line in fs::read_to_string(&path).unwrap().lines() {
            let case: Json = serde_json::from_str(line).unwrap_or_else(|it| panic!("{it}: {line}"));
            let input: Vec<String> = serde_json::from_value(case["input"].clone()).unwrap();
            let observed = case.get("observed").map_or(OBSERVED, |it| it.as_u64().unwrap());
            let expected = case["expected"].as_array().unwrap();
            let found = records(&input, observed);
            let found: Vec<_> = found.iter().map(described).collect();
            let same = found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| {
                    let expected = expected.as_object().unwrap();
                    expected.iter().all(|(key, value)| fits(found, key, value))
                });
            count += 1;
            if !same {
                let shown: Vec<_> = found
                    .iter()
                    .map(|it| format!("\n  found    {}", Json::from(it.clone())))
                    .collect();
                wrong += &format!(
                    "{}\n  expected {}{}\n",
                    case["name"],
                    case["expected"],
                    shown.concat()
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 150, "{count}");
}
