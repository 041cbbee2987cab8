//! The parsers of trace contexts, one at a time: what one accepts, a second, slower reading of the
//! grammar accepts too, with the same identifiers, and the other way round. And all fields of a request
//! at once: whatever they are, what is told is well-formed.
//!
//! The first byte says which.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use sensor::context::{
    self, Decision, Fields, Settings, TraceContext, b3, baggage, datadog, grpc_trace, jaeger,
    skywalking, w3c, xray,
};
use sensor::metrics::Metrics;

/// Trace, parent, and whether it is recorded.
type Ids = (Option<u128>, Option<u64>, Option<bool>);

fn ids(context: &TraceContext) -> Ids {
    let trace = context.trace_id.map(|id| u128::from_be_bytes(id.bytes()));
    let parent = context.parent_id.map(|id| u64::from_be_bytes(id.bytes()));
    assert!(trace != Some(0) && parent != Some(0) && (trace.is_some() || parent.is_none()));
    (trace, parent, context.decision.sampled())
}

fn lower(text: &str, digits: usize) -> Option<u128> {
    let well = text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    (well && text.len() == digits).then(|| u128::from_str_radix(text, 16).expect("digits"))
}

/// Up to that many digits, of either case.
fn any(text: &str, most: usize) -> Option<u128> {
    let well = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (well && (1..=most).contains(&text.len()))
        .then(|| u128::from_str_radix(text, 16).expect("digits"))
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn b3_single(text: &str) -> Option<Ids> {
    let state = |text: &str| match text {
        "1" | "d" => Some(Some(true)),
        "0" => Some(Some(false)),
        _ => None,
    };
    let parts: Vec<&str> = text.split('-').collect();
    let (trace, span, sampled) = match parts[..] {
        [alone] => return Some((None, None, state(alone)?)),
        [trace, span] => (trace, span, None),
        [trace, span, sampled] => (trace, span, state(sampled)?),
        [trace, span, sampled, parent] => {
            lower(parent, 16)?;
            (trace, span, state(sampled)?)
        }
        _ => return None,
    };
    let trace = lower(trace, 16).or_else(|| lower(trace, 32)).filter(|id| *id > 0)?;
    let span = lower(span, 16).filter(|id| *id > 0)?;
    Some((Some(trace), Some(span as u64), sampled))
}

fn uber_trace_id(text: &str) -> Option<Ids> {
    let text = text.replace("%3A", ":").replace("%3a", ":");
    let [trace, span, parent, flags] = text.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    any(parent, 16)?;
    let flags = any(flags, 2)?;
    let (trace, span) = (any(trace, 32)?, any(span, 16)?);
    (trace > 0 && span > 0).then_some((Some(trace), Some(span as u64), Some(flags & 1 == 1)))
}

/// `x-datadog-trace-id`, `-parent-id`, `-sampling-priority` and `-tags`, a line each.
fn datadog_lines(lines: &[Option<&str>; 4]) -> Option<Ids> {
    let [trace, parent, priority, tags] = *lines;
    let low = trace.and_then(decimal).filter(|id| *id > 0)?;
    let parent = parent.map_or(Some(0), decimal)?;
    let sampled = match priority {
        None => None,
        Some(text) => {
            let amount = decimal(text.strip_prefix('-').unwrap_or(text))?;
            i32::try_from(amount).ok()?;
            Some(!text.starts_with('-') && amount > 0)
        }
    };
    let tids: Vec<&str> = tags
        .unwrap_or_default()
        .split(',')
        .filter_map(|tag| {
            tag.trim_matches(|c: char| c.is_ascii_whitespace()).strip_prefix("_dd.p.tid=")
        })
        .collect();
    let high = match tids[..] {
        [] => 0,
        [tid] => lower(tid, 16)?,
        _ => return None,
    };
    if tags.is_some_and(|tags| tags.len() > 512) {
        return None;
    }
    Some((Some(high << 64 | u128::from(low)), Some(parent).filter(|id| *id > 0), sampled))
}

fn one(which: u8, text: &str) {
    let value = text.as_bytes();
    match which {
        0 => assert_eq!(b3::single(value).ok().map(|it| ids(&it)), b3_single(text)),
        1 => assert_eq!(jaeger::uber_trace_id(value).ok().map(|it| ids(&it)), uber_trace_id(text)),
        2 => {
            let mut lines = text.split('\n');
            let lines = [(); 4].map(|()| lines.next());
            let [trace_id, parent_id, sampling_priority, tags] =
                lines.map(|line| line.map(str::as_bytes));
            let fields = datadog::Datadog { trace_id, parent_id, sampling_priority, tags };
            let read = datadog::datadog(&fields).ok().flatten();
            assert_eq!(read.map(|it| ids(&it)), datadog_lines(&lines));
        }
        3 => {
            let Ok(context) = xray::trace_id(value) else { return };
            let (trace, parent, _) = ids(&context);
            // Written again, it is the same.
            let mut again = String::new();
            if let Some(trace) = trace {
                let trace = format!("{trace:032x}");
                again += &format!("Root=1-{}-{};", &trace[..8], &trace[8..]);
            }
            if let Some(parent) = parent {
                again += &format!("Parent={parent:016x};");
            }
            again += match context.decision {
                Decision::Deny => "Sampled=0",
                Decision::Deferred => "Sampled=?",
                Decision::Accept | Decision::Debug => "Sampled=1",
            };
            assert_eq!(xray::trace_id(again.as_bytes()), Ok(context));
            let lower = text.to_ascii_lowercase();
            assert!(trace.is_none_or(|trace| lower.contains(&format!("{trace:032x}")[8..])));
        }
        4 => {
            let Ok(sw8) = skywalking::sw8(value) else { return };
            ids(&sw8.context);
            assert_eq!(text.split('-').count(), 8);
            assert!(!sw8.trace_id.is_empty() && !sw8.parent_segment_id.is_empty());
            let span = text.split('-').nth(3).and_then(decimal);
            assert_eq!(span, Some(u64::from(sw8.parent_span_id)));
        }
        5 => {
            let keys = ["a".to_owned(), "user.id".to_owned()];
            let settings = Settings::new(None, &keys).expect("usable");
            let lines = text.split('\n').map(str::as_bytes);
            let Ok(kept) = baggage::baggage(lines, &settings) else { return };
            assert!(kept.len() <= keys.len());
            for (at, _) in kept {
                assert!(text.contains(&keys[at]));
            }
        }
        6 => {
            if let Ok(read) = w3c::traceparent(value) {
                let again = format!("{}-{}-{}", &text[..2], read.trace_id, read.parent_id);
                assert!(text.starts_with(&again));
            }
            let lines: Vec<_> =
                text.split('\n').map(|line| Cow::Borrowed(line.as_bytes())).collect();
            if let Ok(Some(state)) = w3c::tracestate(&lines) {
                assert!(!state.is_empty() && state.len() <= 512);
            }
        }
        _ => {
            let part = |at| text.split('\n').nth(at).map(str::as_bytes);
            let [trace_id, span_id, parent_span_id, sampled, flags] = [0, 1, 2, 3, 4].map(part);
            let fields = b3::Multiple { trace_id, span_id, parent_span_id, sampled, flags };
            if let Ok(Some(context)) = b3::multiple(&fields) {
                let (trace, span, _) = ids(&context);
                assert_eq!(trace.is_some(), span.is_some());
            }
        }
    }
}

/// Lines of a name and a value.
fn all(hides: bool, data: &[u8]) {
    let settings = Settings::new(None, &["a".to_owned()]).expect("usable");
    let mut fields = Fields::default();
    for line in data.split(|&byte| byte == b'\n') {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if let Some(name) = settings.request(name) {
            fields.push(name, Cow::Borrowed(value.get(1..).unwrap_or_default()));
        }
        assert!(settings.response(name).is_none() || !name.is_empty());
    }
    let read = context::read([None; 2], &fields, hides, &settings, &Metrics::default());
    let _ids = read.context.map(|context| ids(&context));
    for (at, attribute) in read.attributes.iter().enumerate() {
        assert!(read.attributes[..at].iter().all(|before| before.key != attribute.key));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, data)) = input.split_first() else { return };
    let _any = context::may_be(data);
    let _binary = grpc_trace::grpc_trace_bin(data);
    match which & 15 {
        which @ 0..8 => {
            if let Ok(text) = std::str::from_utf8(data) {
                one(which, text);
            }
        }
        which => all(which & 1 == 1, data),
    }
});
