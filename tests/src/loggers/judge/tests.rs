use serde_json::{Value, json};

use super::{LogJson, Truth, differences};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn said() -> Value {
    json!({
        "before": 1_000_000_000_000_000_000_u64, "after": 1_000_000_000_000_500_000_u64,
        "resolution": 1000, "level": "info", "message": "order placed", "source": "stdout",
        "attributes": { "attempt": 3, "user.name": "Ana", "ratio": 0.25 },
        "file": "main.go", "line": 42, "words": ["card"],
    })
}

fn record() -> Value {
    json!({
        "type": "log", "level": "info", "message": "order placed", "source": "stdout",
        "timestamp_unix_nano": 1_000_000_000_000_100_000_u64,
        "observed_time_unix_nano": 1_000_000_000_000_200_000_u64,
        "caller": "shop/main.go:42",
        "attributes": { "attempt": 3, "user.name": "Ana", "ratio": 0.25, "error": "card\n  declined" },
    })
}

fn differ(said: &Value, records: &[Value]) -> Vec<String> {
    let truth = Truth::of(&said.to_string()).expect("a truth");
    let records: Vec<_> = records.iter().cloned().map(LogJson::new).collect();
    differences(&[truth], &records)
}

fn with(mut value: Value, key: &str, to: impl Into<Value>) -> Value {
    value[key] = to.into();
    value
}

#[test]
fn what_was_logged_does_not_differ() {
    assert_eq!(differ(&said(), &[record()]), Vec::<String>::new());
}

#[test]
fn each_difference_is_told() {
    for (key, value) in [
        ("level", json!("warn")),
        ("level", Value::Null),
        ("message", json!("order placed ")),
        ("source", json!("stderr")),
        ("caller", json!("shop/main.go:41")),
        ("trace_id", json!(TRACE)),
        ("timestamp_unix_nano", json!(1_000_000_000_100_000_000_u64)),
        ("observed_time_unix_nano", json!(1_000_000_003_000_000_000_u64)),
        ("dead_letter", json!("malformed")),
        (
            "attributes",
            json!({ "attempt": "3", "user.name": "Ana", "ratio": 0.25, "error": "card" }),
        ),
        ("attributes", json!({ "attempt": 3, "ratio": 0.25, "error": "card" })),
        ("attributes", json!({ "attempt": 3, "user.name": "Ana", "ratio": 0.25 })),
    ] {
        assert_ne!(
            differ(&said(), &[with(record(), key, value.clone())]).len(),
            0,
            "{key} {value}"
        );
    }
    assert_eq!(differ(&said(), &[]).len(), 1);
    assert_eq!(differ(&said(), &[record(), record()]).len(), 1);
}

#[test]
fn lines_of_a_message_may_be_records_of_their_own() {
    let said = with(with(with(said(), "message", "one\ntwo"), "split", true), "loose", true);
    let first = with(record(), "message", "one");
    let second = json!({ "type": "log", "message": "two" });
    assert_eq!(differ(&said, &[with(record(), "message", "one\n  two")]), Vec::<String>::new());
    assert_eq!(differ(&said, &[first.clone(), second]), Vec::<String>::new());
    assert_eq!(differ(&said, &[first]).len(), 1);
}

#[test]
fn ids_come_from_the_line_itself() {
    let said = with(said(), "trace_id", TRACE);
    let by = |evidence: &str| with(with(record(), "trace_id", TRACE), "correlation", evidence);
    // These programs have no exchanges: nothing confirms what their lines say.
    assert_eq!(differ(&said, &[by("claimed")]), Vec::<String>::new());
    for other in ["line", "thread"] {
        assert_eq!(differ(&said, &[by(other)]).len(), 1, "{other}");
    }
}
