//! Where in spans and records secrets are looked for.

use super::*;
use crate::model::{Class, Correlation, LogSource, SpanId, SpanKind, Status, TraceFlags, TraceId};

fn text(key: &'static str, value: &str) -> Attribute {
    Attribute::new(key, value.to_owned())
}

fn trace() -> (TraceId, SpanId) {
    (TraceId::new([0x42; 16]).unwrap(), SpanId::new([0x42; 8]).unwrap())
}

fn span(attributes: Vec<Attribute>) -> Span {
    let (trace_id, span_id) = trace();
    Span {
        trace_id,
        span_id,
        parent_span_id: None,
        flags: TraceFlags(1),
        remote_sampled: None,
        flag_refused: false,
        minted: false,
        exports_spans: None,
        trace_state: None,
        name: "GET".into(),
        kind: SpanKind::Server,
        start_unix_ns: 0,
        end_unix_ns: 1,
        status: Status::Unset,
        attributes,
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::default(),
    }
}

fn record(message: &str, attributes: Vec<Attribute>) -> LogRecord {
    let (trace_id, span_id) = trace();
    let span_id = Some(span_id);
    let correlation =
        Correlation { trace_id, span_id, evidence: "goroutine", after_response: false };
    LogRecord {
        time_unix_ns: None,
        observed_unix_ns: 4_242_424_242_424_242,
        severity: None,
        severity_text: None,
        message: Text::copy(message),
        caller: Some(Text::from("password=x.go:1")),
        event: None,
        correlation: Some(correlation),
        class: Class::Business,
        source: LogSource::Stdout,
        attributes,
        breach: None,
        resource: Arc::default(),
    }
}

/// What attributes become, in a span and in a record alike.
fn both(rules: &[Rule], attributes: &[Attribute]) -> Vec<Attribute> {
    let mut redactor = redactor(rules.to_vec());
    let (mut span, mut record) = (span(attributes.to_vec()), record("", attributes.to_vec()));
    let changed = redactor.span(&mut span);
    assert_eq!(changed, redactor.record(&mut record));
    assert_eq!(changed, span.attributes != attributes);
    assert_eq!(span.attributes, record.attributes);
    assert!(!redactor.span(&mut span) && !redactor.record(&mut record), "nothing is left to find");
    span.attributes
}

fn one(attribute: Attribute) -> Vec<Attribute> {
    both(&[], &[attribute])
}

#[test]
fn values_by_their_names() {
    for key in [
        "password",
        "user.password",
        "userPassword",
        "http.request.header.authorization",
        "http.request.header.x-api-key",
        "http.response.header.set-cookie",
        "baggage.session",
        "db.pwd",
        "Client-Secret",
        "AWS_SECRET_ACCESS_KEY",
        "ssn",
        "cvv",
        "session.id",
        "enduser.refresh_token",
        "tls.private_key",
        "user[password]",
    ] {
        assert_eq!(one(text(key, "x y")), [text(key, "[redacted]")]);
        assert_eq!(one(text(key, "[redacted]")), [text(key, "[redacted]")]);
        assert_eq!(one(text(key, "null")), [text(key, "null")]);
    }
    for key in [
        "tokens_used",
        "password_reset",
        "http.request.header.x-request-id",
        "request.id",
        "http.request.method",
        "error.type",
        "session_count",
        "secretary",
        "passport",
    ] {
        assert_eq!(one(text(key, "x y")), [text(key, "x y")], "{key}");
    }
    // Not only text.
    let mask = || [Attribute::new("cvv", "[redacted]")];
    assert_eq!(one(Attribute::new("cvv", 123)), mask());
    assert_eq!(one(Attribute::new("cvv", 1.5)), mask());
    assert_eq!(one(Attribute::new("cvv", true)), [Attribute::new("cvv", true)]);
    let list = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        Attribute::new("http.request.header.cookie", values)
    };
    assert_eq!(one(list(&["a=b", "", "c"])), [list(&["[redacted]", "", "[redacted]"])]);
}

#[test]
fn values_by_what_they_say() {
    assert_eq!(
        one(text("exception.message", "login: password=x failed")),
        [text("exception.message", "login: password=[redacted] failed")]
    );
    assert_eq!(
        one(Attribute::new("amount", 4_242_424_242_424_242)),
        [text("amount", "[redacted-4242]")]
    );
    assert_eq!(
        one(Attribute::new("at", 1_700_000_000_000)),
        [Attribute::new("at", 1_700_000_000_000)]
    );
    let list = |value: &str| Attribute::new("args", vec!["a".to_owned(), value.to_owned()]);
    assert_eq!(one(list("token=x")), [list("token=[redacted]")]);
    assert_eq!(one(text("url.query", "a=1&token=x")), [text("url.query", "a=1&token=REDACTED")]);
    assert_eq!(
        one(text("url.full", "http://h/p?token=x")),
        [text("url.full", "http://h/p?token=REDACTED")]
    );
    // Identifiers and what is known to have no secret are not looked at; nor are paths.
    for key in [
        "trace_id",
        "span_id",
        "dd.trace_id",
        "traceparent",
        "user_agent.original",
        "url.path",
        "http.route",
        "client.address",
    ] {
        assert_eq!(one(text(key, "token=4242424242424242")), [text(key, "token=4242424242424242")]);
    }
}

/// Only what the sensor itself made is its own: neither a key that is called so, nor a peer's words under one of
/// the sensor's keys.
#[test]
fn the_sensors_own_are_its_words_and_numbers() {
    let one = |attribute: Attribute| both(&[], &[attribute]).remove(0);
    let own = Attribute::new("sensor.parent.evidence", "token=4242424242424242");
    assert_eq!(one(own.clone()), own);
    let number = Attribute::new("sensor.grpc.timeout_ns", 4_242_424_242_424_242);
    assert_eq!(one(number.clone()), number);
    let message = text("sensor.grpc.message", "token=4242424242424242");
    assert_eq!(one(message), text("sensor.grpc.message", "token=[redacted]"));
    let foreign = |key: &str| Attribute { key: key.to_owned().into(), value: "hunter2".into() };
    for key in ["sensor.password", "sensor.log.api_key"] {
        assert_eq!(one(foreign(key)).value, "[redacted]".into(), "{key}");
    }
}

#[test]
fn own_rules_reach_everywhere_but_the_sensors_own() {
    let rules = [
        named("client.address", Action::Drop),
        named("sensor.*", Action::Drop),
        pattern(r"/users/\d+", Action::Mask),
        pattern("gone", Action::Drop),
    ];
    assert_eq!(
        both(
            &rules,
            &[
                text("client.address", "10.0.0.1"),
                Attribute::new("sensor.link", "inferred"),
                text("url.path", "/users/17/cart"),
                text("url.full", "http://h/users/17?token=x"),
                text("note", "it is gone"),
                text("kept", "it is here"),
            ]
        ),
        [
            Attribute::new("sensor.link", "inferred"),
            text("url.path", "[redacted]/cart"),
            text("url.full", "http://h[redacted]?token=REDACTED"),
            text("kept", "it is here"),
        ]
    );
    let mut record = record("it is gone", Vec::new());
    assert!(redactor(rules.to_vec()).record(&mut record));
    assert_eq!(record.message.as_str(), "it is [redacted]", "a message is not dropped");
}

#[test]
fn all_of_a_span_and_all_of_a_record() {
    let mut redactor = redactor(Vec::new());
    let secret = || vec![text("a", "token=x")];
    let clean = vec![text("a", "token=[redacted]")];
    let (trace_id, span_id) = trace();
    let resource = Arc::new(Resource { attributes: secret(), ..Resource::default() });
    let mut it = Span {
        trace_state: Some("vendor=a,token=x".into()),
        events: vec![SpanEvent { time_unix_ns: 1, name: "e", attributes: secret() }],
        links: vec![Link { trace_id, span_id, attributes: secret() }],
        resource: Arc::clone(&resource),
        ..span(secret())
    };
    assert!(redactor.span(&mut it));
    assert_eq!(it.trace_state.as_deref(), Some("vendor=a,token=[redacted]"));
    let all = [&it.attributes, &it.events[0].attributes, &it.links[0].attributes];
    assert_eq!(all, [&clean; 3]);
    assert_eq!(it.resource.attributes, clean);
    assert_eq!((it.trace_id, it.span_id), (trace_id, span_id));

    let before = LogRecord {
        event: Some(Text::from("password: x")),
        resource: Arc::clone(&resource),
        ..record("Cookie: a=b", secret())
    };
    let mut after = before.clone();
    assert!(redactor.record(&mut after));
    assert!(Arc::ptr_eq(&after.resource, &it.resource), "one process, one resource");
    let expected = LogRecord {
        message: Text::from("Cookie: [redacted]"),
        event: Some(Text::from("password: [redacted]")),
        attributes: clean,
        resource: Arc::clone(&it.resource),
        ..before
    };
    assert_eq!(after, expected);
}

#[test]
fn off_is_off() {
    let settings = Settings { defaults: false, ..Settings::default() };
    let mut off = Redactor::new(&settings, Arc::default());
    let before = record("password=x 4242424242424242", vec![text("token", "x")]);
    let mut after = before.clone();
    assert!(!off.record(&mut after));
    assert_eq!(after, before);
    // One that is asked for is on.
    let rules = vec![known(BuiltIn::Token, Action::Drop)];
    let mut some = Redactor::new(&Settings { rules, ..settings }, Arc::default());
    assert!(some.record(&mut after));
    assert_eq!(after, LogRecord { attributes: Vec::new(), ..before });
}
