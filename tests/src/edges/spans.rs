//! What spans of exchanges with a marker have to say.

use std::collections::BTreeMap;

use super::Marker;
use crate::sensor::{Report, SpanJson};

/// The marker that a span tells of, if its path is one.
#[must_use]
pub fn marker(span: &SpanJson) -> Option<Marker> {
    Marker::of_path(span.get("url.path")?.as_str()?)
}

/// Everything of the request, as its marker has it.
///
/// # Panics
/// When anything is different.
pub fn assert_request(span: &SpanJson) {
    let Some(marker) = marker(span) else { panic!("no marker: {span:#?}") };
    assert_eq!(span.method(), "POST", "{span:#?}");
    assert_eq!(span.str("user_agent.original"), marker.agent(), "{span:#?}");
    assert_eq!(span.trace_id(), marker.trace_id(), "{span:#?}");
    if span.is_server() {
        assert_eq!(span.parent_span_id(), Some(marker.parent_id().as_str()), "{span:#?}");
    }
}

/// Everything of a complete exchange, as its marker has it.
///
/// # Panics
/// When anything is different.
pub fn assert_exchange(span: &SpanJson) {
    assert_request(span);
    let Some(marker) = marker(span) else { return };
    let sizes = [marker.request_body_size(), marker.response_body_size()];
    assert_eq!(span.body_sizes(), sizes.map(|size| i64::try_from(size).ok()), "{span:#?}");
    assert_answer(span, marker);
}

/// As [`assert_exchange`], where the sizes of bodies may be unknown, but not wrong.
///
/// # Panics
/// When anything is different.
pub fn assert_exchange_of_unknown_sizes(span: &SpanJson) {
    assert_request(span);
    let Some(marker) = marker(span) else { return };
    let sizes = [marker.request_body_size(), marker.response_body_size()];
    for (said, size) in span.body_sizes().into_iter().zip(sizes) {
        assert!(said.is_none() || said == i64::try_from(size).ok(), "{span:#?}");
    }
    assert_answer(span, marker);
}

/// The status, and what follows from it.
fn assert_answer(span: &SpanJson, marker: Marker) {
    assert_eq!(span.status_code(), i64::from(marker.status()), "{span:#?}");
    let lowest = if span.is_server() { 500 } else { 400 };
    let error = (marker.status() >= lowest).then(|| marker.status().to_string());
    let said = span.get("error.type").and_then(|value| value.as_str());
    assert_eq!(said, error.as_deref(), "{span:#?}");
    assert_eq!(span.status(), if error.is_some() { "error" } else { "unset" }, "{span:#?}");
    assert!(span.start() <= span.end(), "{span:#?}");
}

/// There is exactly one span of each of these kinds for each of `markers`, and all is right with
/// each; and there is no other span with a marker. `spans` are those of `report` that matter: where
/// the kernel left out runs, as many may be missing as the report counts.
///
/// # Panics
/// When there is anything else.
pub fn assert_exactly(report: &Report, spans: &[SpanJson], kinds: &[&str], markers: &[Marker]) {
    let missed = report.runs_missed() > 0;
    let mut found: BTreeMap<(Marker, &str), u32> = BTreeMap::new();
    for span in spans {
        let Some(marker) = marker(span) else { continue };
        if missed {
            assert_exchange_of_unknown_sizes(span);
        } else {
            assert_exchange(span);
        }
        *found.entry((marker, span.kind())).or_default() += 1;
    }
    let mut wanted: BTreeMap<(Marker, &str), u32> = BTreeMap::new();
    for &marker in markers {
        for &kind in kinds {
            *wanted.entry((marker, kind)).or_default() += 1;
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|&(key, n)| found.get(key) != Some(n)).collect();
    let more: Vec<_> = found.iter().filter(|&(key, n)| wanted.get(key) != Some(n)).collect();
    let counted = if missed { report.counted() } else { 0 };
    assert!(
        missing.len() as u64 <= counted && more.is_empty(),
        "missing {missing:?}, {counted} counted, more {more:?}: {:#?}",
        report.counters
    );
}

/// The report tells of these exchanges, at both ends, of nothing else, and of no loss but what runs
/// that the kernel left out are the reason of.
///
/// # Panics
/// When it does not.
pub fn assert_report(report: &Report, markers: &[Marker]) {
    assert_exactly(report, &report.spans, &["client", "server"], markers);
    report.assert_delivered(2 * markers.len());
}

/// No span tells of bytes that were bait.
///
/// # Panics
/// When one does.
pub fn assert_no_bait(spans: &[SpanJson]) {
    for span in spans {
        let text = span.json().to_string();
        let status = span.get("http.response.status_code").and_then(|value| value.as_u64());
        assert!(!text.contains("bait") && status != Some(299), "{span:#?}");
    }
}
