//! What people write into rules, and what rules are used on. Any text is an expression, or an error within it. Any
//! message, query, URL and attribute comes out of redaction without what it finds in it, so that nothing is left to
//! find.
//!
//! The first byte says which.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sensor::govern::redact::{Action, BuiltIn, Glob, Key, Rule, Target};
use sensor::govern::{Expr, Governor, Pattern, Settings};
use sensor::model::{
    Attribute, Class, Correlation, LogRecord, LogSource, Resource, Severity, SpanId, Text, TraceId,
};

fn record(text: &str) -> LogRecord {
    let resource = Resource {
        attributes: vec![Attribute::new("service.name", "shop")],
        ..Resource::default()
    };
    let copy = || text.to_owned();
    LogRecord {
        time_unix_ns: None,
        observed_unix_ns: 1,
        severity: Some(Severity::Warn),
        severity_text: None,
        message: Text::copy(text),
        caller: None,
        event: Some(Text::copy(text)),
        correlation: Some(Correlation {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: SpanId::new([1; 8]),
            evidence: "thread",
            after_response: false,
        }),
        class: Class::Business,
        source: LogSource::File("/a".into()),
        attributes: vec![
            Attribute::new("url.query", copy()),
            Attribute::new("url.full", copy()),
            Attribute::new("url.path", copy()),
            Attribute::new("note", copy()),
            Attribute::new("list", vec![copy(), copy()]),
            Attribute::new("password", copy()),
            Attribute::new("n", 17),
        ],
        breach: None,
        resource: Arc::new(resource),
    }
}

fn expression(text: &str) {
    match Expr::parse(text) {
        Ok(expr) => {
            let record = record(text);
            expr.holds_for_record(&record);
            // Again, it is the same; and in parentheses too, unless that is one level too deep.
            assert_eq!(Expr::parse(text).as_ref(), Ok(&expr));
            if let Ok(inner) = Expr::parse(&format!("({text})")) {
                assert_eq!(inner.holds_for_record(&record), expr.holds_for_record(&record));
            }
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// The first line may be somebody's own pattern, the second a glob.
fn redaction(own: bool, text: &str) {
    let mut settings = Settings::default();
    let rule = |target, action| Rule { target, action };
    settings.redact.key = Key::parse("000102030405060708090a0b0c0d0e0f");
    settings.redact.rules = vec![
        rule(Target::BuiltIn(BuiltIn::Email), Action::Mask),
        rule(Target::BuiltIn(BuiltIn::Token), Action::Hash),
    ];
    let mut text = text;
    if own {
        let mut lines = text.splitn(3, '\n');
        let [pattern, glob, rest] = [(); 3].map(|()| lines.next().unwrap_or_default());
        text = rest;
        if let Ok(pattern) = Pattern::new(pattern) {
            settings.redact.rules.push(rule(Target::Pattern(pattern), Action::Hash));
        }
        settings
            .redact
            .rules
            .extend(Glob::new(glob).map(|glob| rule(Target::Name(glob), Action::Drop)));
    }
    let mut governor = Governor::new(settings, Arc::default());
    let before = record(text);
    let once = governor.govern_record(before.clone()).expect("nothing is dropped");
    assert_eq!(once.correlation, before.correlation);
    if own {
        // What a pattern finds may depend on what stood beside it.
        return;
    }
    // Paths are left alone.
    let path =
        |record: &LogRecord| record.attributes.iter().find(|it| it.key == "url.path").cloned();
    assert_eq!(path(&once), path(&before));
    let twice = governor.govern_record(once.clone()).expect("nothing is dropped");
    assert_eq!(once, twice);
}

fuzz_target!(|input: &[u8]| {
    let Some((&which, data)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    match which % 4 {
        0 => expression(text),
        1 => redaction(true, text),
        _ => redaction(false, text),
    }
});
