//! Records of logs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::PLAIN;
use crate::export::terminal::{JsonLines, Pretty, PrettyOptions, SpanWriter, Summary, Tree};
use crate::export::testing::{record_of, resource, span_of};
use crate::model::{
    Attribute, Breach, Class, LogRecord, LogSource, Resource, Severity, Span, SpanKind,
};

fn line(service: &'static str, n: u8, after_start: u64, level: Option<Severity>) -> LogRecord {
    let record = record_of(&resource(service), n);
    let observed_unix_ns = span_of(&resource(service), n).start_unix_ns + after_start;
    LogRecord { observed_unix_ns, severity: level, ..record }
}

fn pretty_records(options: PrettyOptions, records: &[LogRecord]) -> String {
    let mut out = Vec::new();
    let mut pretty = Pretty::new(&mut out, options);
    records.iter().for_each(|record| pretty.record(record).unwrap());
    String::from_utf8(out).unwrap()
}

#[test]
fn records_are_aligned_lines_with_traces_below() {
    let mut plain = line("shop", 1, 0, Some(Severity::Info));
    plain.attributes = vec![Attribute::new("user", 7), Attribute::new("what", "a \"b\"")];
    plain.caller = Some("cart.go:42".into());
    let mut panic = line("checkout", 1, 1_000_000, Some(Severity::Fatal));
    panic.message = "panic: no tea\n\ngoroutine 1 [running]:\n\tmain.go:7\u{1b}[2J".into();
    let mut stray = line("cron", 1, 2_000_000, None);
    stray.correlation = None;
    stray.breach = Some(Breach::InvalidUtf8);
    let mut java = line("jvm", 1, 3_000_000, Some(Severity::Error));
    java.attributes =
        vec![Attribute::new("exception.stacktrace", "IOException\n\tat A.b(A.java:1)")];
    assert_eq!(
        pretty_records(PrettyOptions { width: None, ..PLAIN }, &[plain, panic, stray, java]),
        "\
22:13:20.123   · shop             info  4bf92f35  added to cart  caller=cart.go:42 user=7 what=\"a \\\"b\\\"\"
22:13:20.124  └· checkout         fatal 4bf92f35  panic: no tea

                     goroutine 1 [running]:
                         main.go:7\\u{1b}[2J
22:13:20.125   · cron             -               added to cart  (invalid utf8)
22:13:20.126  └· jvm              error 4bf92f35  added to cart
                     IOException
                         at A.b(A.java:1)
"
    );
}

#[test]
fn lines_fit_the_width_and_traces_end() {
    let mut long = line("shop", 1, 0, Some(Severity::Warn));
    long.message = "m".repeat(300).into();
    long.attributes = vec![Attribute::new("k", "v")];
    let text = pretty_records(PLAIN, std::slice::from_ref(&long));
    assert_eq!(text.trim_end_matches('\n').chars().count(), 110, "{text}");
    long.message = "short".into();
    long.attributes = vec![Attribute::new("k", "v".repeat(300))];
    let text = pretty_records(PLAIN, std::slice::from_ref(&long));
    assert_eq!(text.trim_end_matches('\n').chars().count(), 110, "{text}");
    long.message = "frame\n".repeat(1000).into();
    let text = pretty_records(PLAIN, std::slice::from_ref(&long));
    assert_eq!(text.lines().count(), 42, "{text}");
    assert!(text.ends_with(" … 959 more lines\n"), "{text}");
    let coloured = PrettyOptions { colour: true, ..PLAIN };
    let text = pretty_records(coloured, &[line("shop", 1, 0, Some(Severity::Error))]);
    assert!(text.contains("\u{1b}[31merror \u{1b}[0m"), "{text:?}");
}

/// Lines under the spans that they belong to, in order of time, whatever the order in which they come.
#[test]
fn a_tree_has_its_lines() {
    let span = |service, kind, id, parent: u8, start| {
        let mut span = Span { kind, ..span_of(&resource(service), id) };
        span.parent_span_id = (parent > 0).then(|| span_of(&resource(service), parent).span_id);
        span.start_unix_ns += start;
        span.end_unix_ns += start;
        span
    };
    let front = span("front", SpanKind::Client, 1, 0, 0);
    let shop = span("shop", SpanKind::Server, 2, 1, 0);
    let stock = span("shop", SpanKind::Client, 3, 2, 3_000_000);
    let mut before = line("shop", 2, 1_000_000, Some(Severity::Info));
    before.attributes = vec![Attribute::new("user", 7)];
    let mut after = line("shop", 2, 9_000_000, Some(Severity::Warn));
    after.message = "slow\nvery".into();
    after.correlation.as_mut().unwrap().after_response = true;
    // Of a span that is not there, from another service: below the root.
    let mut elsewhere = line("proxy", 77, 2_000_000, None);
    elsewhere.message = "saw it".into();
    // In no trace: at once, and by itself.
    let mut stray = line("cron", 1, 0, Some(Severity::Debug));
    stray.correlation = None;
    let tree_of = "\
22:13:20.123   · cron             debug           added to cart
22:13:20.123  ⇒ front                            GET     /cart                                200   1.54ms  4bf92f35
              ├ ⇐ shop                           GET     /cart                                200   1.54ms
22:13:20.124  │ ├ · info  added to cart  user=7
              │ ├ ⇒ shop                         GET     /cart                                200   1.54ms
22:13:20.132  │ └ · warn  (after the response) slow
              │       very
22:13:20.125  └ · -     proxy: saw it
";
    let options = PrettyOptions { width: None, ..PLAIN };
    let records = [&after, &elsewhere, &before];
    for spans_first in [false, true] {
        let mut out = Vec::new();
        let mut tree = Tree::new(&mut out, options);
        let tell = |tree: &mut Tree<&mut Vec<u8>>| {
            for record in records {
                tree.record(record).unwrap();
            }
        };
        if !spans_first {
            tell(&mut tree);
        }
        for span in [&stock, &front, &shop] {
            tree.span(span).unwrap();
        }
        if spans_first {
            tell(&mut tree);
        }
        tree.record(&stray).unwrap();
        let due = tree.due().expect("a trace waits");
        tree.rest(due).unwrap();
        assert_eq!(tree.due(), None);
        assert_eq!(String::from_utf8(out).unwrap(), tree_of);
    }
}

/// Lines do not wait for ever for their span, and those that come too late say whose they are.
#[test]
fn lines_without_a_span_stand_for_themselves() {
    let mut out = Vec::new();
    let mut tree = Tree::new(&mut out, PrettyOptions { width: None, ..PLAIN });
    let began = Instant::now();
    let info = Some(Severity::Info);
    tree.record(&line("shop", 1, 0, info)).unwrap();
    tree.record(&line("shop", 1, 1_000_000, info)).unwrap();
    let due = tree.due().expect("they wait");
    assert!(due >= began + Duration::from_secs(2), "for a span that takes its time");
    tree.rest(due).unwrap();
    tree.span(&span_of(&resource("shop"), 1)).unwrap();
    tree.rest(tree.due().expect("the span waits for others")).unwrap();
    tree.record(&line("shop", 1, 2_000_000, info)).unwrap();
    tree.summary(&Summary::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    let expected = "\
22:13:20.123   · shop             info  4bf92f35  added to cart
22:13:20.124  └· shop             info  4bf92f35  added to cart
22:13:20.123  ⇐ shop                             GET     /cart                                200   1.54ms  4bf92f35
22:13:20.125  └· shop             info  4bf92f35  added to cart
";
    assert!(text.starts_with(expected), "{text}");
}

/// Key by key as the module documents them, by hand.
#[test]
fn a_record_is_a_line_of_json() {
    let resource = Arc::new(Resource {
        attributes: vec![
            Attribute::new("service.name", "shop"),
            Attribute::new("host.name", "node-1"),
        ],
        ..Resource::default()
    });
    let full = LogRecord {
        time_unix_ns: Some(1_700_000_000_000_000_001),
        severity: Some(Severity::Error),
        severity_text: Some("E".into()),
        message: "no \"tea\"\n".into(),
        caller: Some("cart.go:42".into()),
        event: Some("cart.add".into()),
        class: Class::Infrastructure,
        source: LogSource::File("/var/log/shop.log".into()),
        attributes: vec![Attribute::new("level", 30), Attribute::new("ratio", 0.25)],
        breach: Some(Breach::Malformed),
        ..record_of(&resource, 0xb7)
    };
    let json = |record: &LogRecord| {
        let mut out = Vec::new();
        JsonLines::new(&mut out).record(record).unwrap();
        String::from_utf8(out).unwrap()
    };
    let line = json(&full);
    assert_eq!(line.matches('\n').count(), 1);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&line).unwrap(),
        serde_json::json!({
            "type": "log",
            "timestamp_unix_nano": 1_700_000_000_000_000_001_u64,
            "observed_time_unix_nano": 1_700_000_000_124_456_789_u64,
            "level": "error",
            "level_text": "E",
            "service": "shop",
            "host": "node-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "correlation": "goroutine",
            "message": "no \"tea\"\n",
            "caller": "cart.go:42",
            "event": "cart.add",
            "class": "infrastructure",
            "source": "file",
            "file": "/var/log/shop.log",
            "dead_letter": "malformed",
            "attributes": {"level": 30, "ratio": 0.25},
            "resource": {"service.name": "shop", "host.name": "node-1"},
        })
    );
    let bare = LogRecord {
        severity: None,
        correlation: None,
        source: LogSource::File("".into()),
        ..record_of(&Arc::default(), 1)
    };
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json(&bare)).unwrap(),
        serde_json::json!({
            "type": "log",
            "timestamp_unix_nano": 1_700_000_000_124_456_789_u64,
            "observed_time_unix_nano": 1_700_000_000_124_456_789_u64,
            "message": "added to cart",
            "class": "business",
            "source": "file",
        })
    );
}

proptest! {
    /// Whatever a service wrote moves no cursor.
    #[test]
    fn nothing_from_a_log_acts_on_the_terminal(
        texts in proptest::collection::vec("(.|\\PC|\n|\t|\u{1b}){0,40}", 6),
        width in proptest::option::of(0usize..200),
    ) {
        let [message, service, caller, event, key, value] = texts.try_into().unwrap();
        let attributes = vec![Attribute::new("service.name", service)];
        let record = LogRecord {
            message: message.into(),
            caller: Some(caller.into()),
            event: Some(event.into()),
            attributes: vec![Attribute { key: key.into(), value: value.into() }],
            ..record_of(&Arc::new(Resource { attributes, ..Resource::default() }), 1)
        };
        let acts = |c: char| {
            c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)
        };
        let options = PrettyOptions { width, ..PLAIN };
        let mut out = Vec::new();
        let mut tree = Tree::new(&mut out, options);
        tree.span(&span_of(&resource("shop"), 1)).unwrap();
        tree.record(&record).unwrap();
        tree.summary(&Summary::default()).unwrap();
        for text in [pretty_records(options, &[record]), String::from_utf8(out).unwrap()] {
            prop_assert_eq!(text.find(acts), None);
        }
    }
}
