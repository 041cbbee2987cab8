use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Judgement, LogJson, Place, Tally, Wrote};
use crate::traces::{Cell, PassOn, Pattern, Sent};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn sent() -> Sent {
    let cell = Cell { pass_on: PassOn::None, at_once: 8, pattern: Pattern::One };
    Sent { marker: "none-8-1".to_owned(), cell, context: None, told: PassOn::None }
}

fn wrote(place: Place) -> Wrote {
    Wrote { marker: "none-8-1".to_owned(), place, number: 1 }
}

/// A right record of a line at that place.
fn record(place: Place) -> Value {
    json!({
        "type": "log", "message": format!("working on none-8-1: {place}.1"),
        "trace_id": TRACE, "span_id": SPAN, "correlation": "thread",
    })
}

fn judged(place: Place, records: &[Value]) -> Judgement {
    let spans = BTreeMap::from([(sent().path(), (TRACE.to_owned(), SPAN.to_owned()))]);
    let records: Vec<_> = records.iter().cloned().map(LogJson::new).collect();
    Judgement::of_told(&[sent()], &[wrote(place)], &spans, &records)
}

fn tally(place: Place, records: &[Value]) -> Tally {
    judged(place, records).sum(|_| true)
}

fn with(mut record: Value, key: &str, value: impl Into<Value>) -> Value {
    record[key] = value.into();
    record
}

fn without(mut record: Value, key: &str) -> Value {
    record.as_object_mut().expect("an object").remove(key);
    record
}

#[test]
fn a_record_with_the_requests_span_is_right() {
    let of = tally(Place::Begin, &[record(Place::Begin)]);
    let right = BTreeMap::from([("thread".to_owned(), 1)]);
    assert_eq!(of, Tally { lines: 1, right, ..Tally::default() });
    assert_eq!(of.share(), Some(100.0));
}

#[test]
fn nothing_said_is_missing_and_no_record_is_lost() {
    let bare = without(without(record(Place::Begin), "trace_id"), "span_id");
    assert_eq!(tally(Place::Begin, &[bare]), Tally { lines: 1, missing: 1, ..Tally::default() });
    assert_eq!(tally(Place::Begin, &[]), Tally { lines: 1, lost: 1, ..Tally::default() });
}

#[test]
fn whatever_else_is_said_is_wrong() {
    let good = || record(Place::Begin);
    let twice = "working on none-8-1: begin.1\nworking on none-8-1: end.2";
    for records in [
        vec![with(good(), "trace_id", "0af7651916cd43dd8448eb211c80319c")],
        vec![with(good(), "span_id", "b7ad6b7169203331")],
        vec![without(good(), "span_id")],
        vec![with(good(), "after_response", true)],
        vec![good(), good()],
        vec![with(good(), "message", twice)],
        vec![good(), with(good(), "message", "working on none-8-1: end.2")],
    ] {
        let judgement = judged(Place::Begin, &records);
        assert!(judgement.sum(|_| true).wrong > 0, "{records:?}");
        assert!(!judgement.words.is_empty());
    }
}

#[test]
fn what_is_written_after_the_answer_should_say_so() {
    let said = with(record(Place::After), "after_response", true);
    let of = tally(Place::After, &[said]);
    assert_eq!((of.right(), of.unsaid), (1, 0));
    let of = tally(Place::After, &[record(Place::After)]);
    assert_eq!((of.right(), of.unsaid), (1, 1));
}

#[test]
fn records_of_nothing_that_was_asked_for_are_counted() {
    let other = json!({ "type": "log", "message": "listening" });
    assert_eq!(judged(Place::Begin, &[record(Place::Begin), other]).strange, 1);
}
