//! Lines of no logger, of several, and such as are broken.

use super::*;

const OBSERVED: &str = "2026-11-21T13:28:05Z";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn read(text: impl AsRef<[u8]>) -> Parsed {
    Formats::default().read(text.as_ref(), unix_ns(OBSERVED))
}

fn trace(parsed: &Parsed) -> Option<String> {
    parsed.ids.trace_id.map(|id| id.to_string())
}

#[test]
fn prose_stays_prose() {
    for line in [
        "",
        "Listening on port 8080",
        "a=b",
        "PATH=/usr/bin:/bin",
        "x = y",
        "note: this is not a level",
        "config: loaded",
        "Error handling is hard",
        "info about levels",
        "[main] something",
        "[x] [y] z",
        "{'a': 1}",
        "{}x",
        "{ not json }",
        "12 monkeys",
        "10.0.0.1 is up",
        "I1x not klog",
        "INFO[notatime] x",
        "2026 was a good year",
        "12:34 is no time of a line",
        "May the force be with you",
        "Sat on a chair",
        "panicked",
        "  at least it is indented",
        "<html><body>",
        "=====",
        "a:b:c",
        "€ 12",
        "fail: 2 of 7 tests",
        "dbug: no category",
        "<p>text</p>",
        "<12 items",
        "<999>x",
        "ERROR handling matters",
        "467 [main] lines were read",
        "[main] ERROR handling",
        "[ERROR]x",
        "[fine] print",
        "E, F and G are notes",
        "PHP is a language:  yes",
        "12:34:5 is no time",
        "30.11 was a Monday",
        "1:1 talks",
        "7:M of Redis",
        "@cee: soon",
        "__init__ is a method",
        "WARNING about - nothing",
        "11-30 of the month",
        "** (see below)",
    ] {
        let parsed = read(line);
        assert_eq!((parsed.message.as_str(), parsed.format), (line, Format::Plain), "{line}");
        assert_eq!(
            (parsed.severity, parsed.time_unix_ns, parsed.breach),
            (None, None, None),
            "{line}"
        );
        assert!(parsed.attributes.is_empty(), "{parsed:?}");
    }
}

/// What begins a line with a time is taken off it, and nothing that may be the message.
#[test]
fn messages_are_whole() {
    for (line, message, logger) in [
        ("2026-11-21 13:28:04,187 INFO Server: started - ok", "Server: started - ok", None),
        ("2026-11-21 13:28:04,187 INFO [x y] z", "[x y] z", None),
        ("2026-11-21 13:28:04,187 INFO shop.orders: placed: 1", "placed: 1", Some("shop.orders")),
        ("2026-11-21 13:28:04 payment - retry - now", "payment - retry - now", None),
        ("2026-11-21 13:28:04 | INFO | app.core | ready", "ready", Some("app.core")),
        ("2026-11-21T13:28:04.187123Z  INFO listening on 1", "listening on 1", None),
        ("2026-11-21T13:28:04.187123Z  INFO a: b: c", "a: b: c", None),
        ("2026-11-21T13:28:04.187123Z  INFO a::b: c: d x=\"y\" z", "c: d x=\"y\" z", Some("a::b")),
        ("2026-11-21T13:28:04.187Z [info] a=b", "", None),
        ("13:28:04.187 [main] INFO  a.B - x - y", "x - y", Some("a.B")),
        ("[2026-11-21 13:28:04,187: INFO/MainProcess] ready", "ready", None),
        // Not Celery's.
        ("[2026-11-21 13:28:04,187: ready] x", "[2026-11-21 13:28:04,187: ready] x", None),
    ] {
        let parsed = read(line);
        let found =
            parsed.attributes.iter().find(|it| it.key == "logger").map(|it| json(&it.value));
        assert_eq!((parsed.message.as_str(), found), (message, logger.map(Json::from)), "{line}");
    }
}

#[test]
fn identifiers() {
    for (line, id) in [
        (format!("paid trace_id={TRACE} ok"), true),
        (format!("paid traceId: {TRACE}, ok"), true),
        (format!("paid trace={TRACE}."), true),
        (format!("paid (X-Trace-ID={TRACE})"), true),
        (format!("got {{\"trace_id\":\"{TRACE}\"}}"), true),
        (format!("INFO:shop:paid traceID={TRACE}"), true),
        (format!("2026-11-21 13:28:04 INFO [trace_id={TRACE}] paid"), true),
        (format!("{{\"msg\":\"paid\",\"traceId\":\"{TRACE}\"}}"), true),
        (format!("{{\"msg\":\"paid\",\"mdc\":{{\"traceId\":\"{TRACE}\"}}}}"), true),
        (format!("{{\"msg\":\"paid\",\"trace\":{{\"id\":\"{TRACE}\"}}}}"), true),
        (format!("{{\"msg\":\"paid\",\"X-Trace-ID\":\"{TRACE}\"}}"), true),
        (format!("{{\"msg\":\"paid\",\"traceparent\":\"00-{TRACE}-00f067aa0ba902b7-01\"}}"), true),
        (
            format!(
                "{{\"msg\":\"paid\",\"logging.googleapis.com/trace\":\"projects/x/traces/{TRACE}\"}}"
            ),
            true,
        ),
        (format!("level=info msg=paid trace_id={TRACE}"), true),
        (format!("paid mytrace_id={TRACE}"), false),
        (format!("paid trace_id={TRACE}0"), false),
        (format!("paid trace_id = {TRACE}"), false),
        (format!("paid order={TRACE}"), false),
        (format!("{{\"msg\":\"trace_id={TRACE}\"}}"), false),
        (
            format!("{{\"msg\":\"paid\",\"body\":{{\"request\":{{\"trace_id\":\"{TRACE}\"}}}}}}"),
            false,
        ),
        ("{\"msg\":\"paid\",\"trace_id\":\"00000000000000000000000000000000\"}".to_owned(), false),
    ] {
        assert_eq!(trace(&read(&line)), id.then(|| TRACE.to_owned()), "{line}");
    }
    let datadog =
        r#"{"msg":"x","dd.trace_id":"12379814468735227512","dd.span_id":"6023947403358210776"}"#;
    let parsed = read(datadog);
    assert_eq!(trace(&parsed).unwrap(), format!("{:032x}", 12_379_814_468_735_227_512_u64));
    assert_eq!(
        parsed.ids.span_id.unwrap().to_string(),
        format!("{:016x}", 6_023_947_403_358_210_776_u64)
    );
    assert_eq!(parsed.attributes.len(), 2);
    let both = format!(
        r#"{{"dd":{{"trace_id":"7","span_id":"8"}},"trace_id":"{TRACE}","span_id":"00f067aa0ba902b7"}}"#
    );
    let parsed = read(both);
    assert_eq!(trace(&parsed).unwrap(), TRACE);
    assert_eq!(parsed.ids.span_id.unwrap().to_string(), "00f067aa0ba902b7");
    // B3's shorter ones, with zeros before them.
    let parsed =
        read(r#"{"msg":"x","X-B3-TraceId":"a3ce929d0e0e4736","X-B3-SpanId":"00f067aa0ba902b7"}"#);
    assert_eq!(trace(&parsed).unwrap(), "0000000000000000a3ce929d0e0e4736");
    // Another trace than the record's stays a field, and so does what is none.
    let two = format!(r#"{{"trace_id":"{TRACE}","trace":"a3ce929d0e0e4736","span_id":"x"}}"#);
    let keys: Vec<_> = read(two).attributes.iter().map(|it| it.key.to_string()).collect();
    assert_eq!(keys, ["trace", "span_id"]);
}

#[test]
fn requests() {
    const ID: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    const OTHER: &str = "444535f9378a3dfa1b8604bc9e05a303";
    for (line, ids) in [
        (
            format!(r#"{{"msg":"x","request_id":"{ID}","reqId":"{ID}","x-request-id":"{OTHER}"}}"#),
            &[ID, OTHER][..],
        ),
        (r#"{"msg":"x","requestId":"","correlation_id":"00000000-0000"}"#.to_owned(), &[]),
        (format!("paid request_id={OTHER} ok"), &[OTHER]),
        (format!("paid X-Correlation-ID: {ID} ok"), &[ID]),
        // Two strangers may have these.
        ("no request_id=missing here".to_owned(), &[]),
        ("no request_id=None here".to_owned(), &[]),
        (r#"{"msg":"x","request_id":"r-1234"}"#.to_owned(), &[]),
        // Another system's trace: the request may have come with it.
        (
            r#"{"msg":"x","trace_id":"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}"#.to_owned(),
            &["4bf92f35-77b3-4da6-a3ce-929d0e0e4736"],
        ),
    ] {
        let found = read(&line).ids.requests;
        assert_eq!(found.iter().map(Text::as_str).collect::<Vec<_>>(), ids, "{line}");
    }
}

/// What a line says of itself does not pass for what the sensor says of it.
#[test]
fn fields_that_are_called_as_the_sensors_own() {
    let line =
        r#"{"msg":"x","sensor.log.mixed":true,"sensor":{"link":"a"},"sensor_id":7,"Sensor.x":1}"#;
    let found = read(line).attributes;
    let keys: Vec<_> = found.iter().map(|it| &*it.key).collect();
    assert_eq!(keys, ["field_sensor.log.mixed", "field_sensor.link", "sensor_id", "Sensor.x"]);
    assert!(!found.iter().any(Attribute::is_own));
    // Both stay.
    let line = r#"{"msg":"x","sensor.x":"a","field_sensor.x":"b"}"#;
    let both = Value::from(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(read(line).attributes[0].value, both);
}

#[test]
fn breaches() {
    let json = br#"{"level":"info","msg":"x","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;
    for (text, breach) in [
        (&b"\x00\x01"[..], Some(Breach::Binary)),
        (b"text with \x08 in it", Some(Breach::Binary)),
        (b"half an \x1b[3", Some(Breach::Binary)),
        (b"caf\xe9", Some(Breach::InvalidUtf8)),
        (b"{\"level\":\"info\",\"msg\":\"caf\xe9\"}", Some(Breach::InvalidUtf8)),
        (b"{\"level\":\"info\",\"msg\":", Some(Breach::Malformed)),
        (b"{\"level\":\"info\"} {\"level\":\"info\"}", Some(Breach::Malformed)),
        (b"{\"level\":\"info\",}", Some(Breach::Malformed)),
        // A field that does not read is a field: the record counts.
        (b"{\"timestamp\":\"noon\",\"msg\":\"x\"}", None),
        (b"{\"@timestamp\":12,\"msg\":\"x\"}", None),
        (b"{\"timestamp\":{\"a\":1},\"msg\":\"x\"}", None),
        (b"{\"time\":\"noon\",\"msg\":\"x\"}", None),
        (b"{\"time\":0.023,\"msg\":\"x\"}", None),
        // Not known which moment it is, but a time.
        (b"{\"timestamp\":\"2020-01-01 00:00:00\",\"msg\":\"x\"}", None),
        (b"{\"traceparent\":\"00-4bf9-01\",\"msg\":\"x\"}", None),
        (b"{\"level\":\"loud\",\"msg\":\"x\"}", None),
        (b"{\"trace_id\":\"mine\",\"msg\":\"x\"}", None),
        (b"tab\tand colour \x1b[31mred\x1b[0m", None),
        (json, None),
    ] {
        let parsed = read(text);
        let came = String::from_utf8_lossy(text);
        assert_eq!(parsed.breach, breach, "{came}");
        if breach.is_some() {
            assert_eq!(parsed.message.as_str(), came, "{came}");
        }
    }
    // In a stream of JSON, what begins like it is meant to be; other lines are not.
    let mut stream = Formats::default();
    let mut read = |text: &[u8]| stream.read(text, 0).breach;
    assert_eq!(read(b"{ not json }"), None);
    assert_eq!(read(json), None);
    assert_eq!(read(b"{ not json }"), Some(Breach::Malformed));
    assert_eq!(read(b"plain"), None);
}

/// A stream has a logger, prints, and a panic.
#[test]
fn streams_are_mixed() {
    let mut stream = Formats::default();
    let observed = unix_ns(OBSERVED);
    let mut read = |text: &str| stream.read(text.as_bytes(), observed).format;
    for _ in 0..2 {
        assert_eq!(read(r#"{"level":"info","msg":"x"}"#), Format::Json);
        assert_eq!(read("plain"), Format::Plain);
        assert_eq!(read("level=info msg=x"), Format::Logfmt);
        assert_eq!(read("a=1 b=2"), Format::Logfmt);
        assert_eq!(read("x"), Format::Plain);
        assert_eq!(read("panic: no"), Format::Trace);
        assert_eq!(read("I1121 13:28:04.563535   21948 main.go:123] x"), Format::Klog);
        assert_eq!(read("2026/11/21 13:28:04 x"), Format::GoLog);
    }
}

#[test]
fn json_in_all_shapes() {
    let parsed = read(
        "{\n  \"level\": \"warn\",\n  \"msg\": \"a\\nb \\u00e9 \\ud83d\\ude00\",\n  \"n\": null, \"e\": \"\",\n  \"a\": {\"b\": {\"c\": [\"x\"]}, \"d\": [1, \"y\"]},\n  \"big\": 18446744073709551616, \"neg\": -3, \"f\": 1e3, \"z\": []\n}\n",
    );
    assert_eq!(parsed.message.as_str(), "a\nb é 😀");
    let attributes: Vec<_> =
        parsed.attributes.iter().map(|it| (&*it.key, json(&it.value))).collect();
    assert_eq!(
        attributes,
        [
            ("a.b.c", serde_json::json!(["x"])),
            ("a.d", "[1, \"y\"]".into()),
            ("big", "18446744073709551616".into()),
            ("neg", (-3).into()),
            ("f", 1000.0.into()),
        ]
    );
    // The same name twice: what is different is kept beside it.
    let twice: Vec<_> = read(r#"{"msg":"x","a":1,"a":1,"b":1,"b":"two"}"#).attributes;
    assert_eq!(twice.len(), 2);
    assert_eq!(json(&twice[1].value), serde_json::json!(["1", "two"]));
    // Half a pair stays what is written.
    assert_eq!(read(r#"{"msg":"\ud83d"}"#).message.as_str(), r"\ud83d");
    // Lines behind it.
    let parsed = read("{\"level\":\"error\",\"msg\":\"x\"}\njava.lang.E: y\n\tat a.B.c(B.java:1)");
    assert_eq!((parsed.format, parsed.breach), (Format::Json, None));
    assert_eq!(parsed.attributes[0].key, "exception.type");
}

#[test]
fn several_lines() {
    for (text, message, kind) in [
        ("INFO:a:query\n  SELECT 1\n  FROM t", "query\n  SELECT 1\n  FROM t", None),
        ("INFO:a:x\njava.io.IOException\n\tat a.B.c(B.java:1)", "x", Some("java.io.IOException")),
        (
            "Exception in thread \"main\" java.io.IOException: no\n\tat a.B.c(B.java:1)",
            "Exception in thread \"main\" java.io.IOException: no",
            Some("java.io.IOException"),
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'x'",
            "KeyError: 'x'",
            Some("KeyError"),
        ),
        (
            "x\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\nA: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in g\nmod.B: 2",
            "x",
            Some("mod.B"),
        ),
        ("Error: no\n    at f (/a.js:1:2)", "Error: no", Some("Error")),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()",
            "fatal error: all goroutines are asleep - deadlock!",
            Some("fatal"),
        ),
    ] {
        let parsed = read(text);
        let found = parsed
            .attributes
            .iter()
            .find(|it| it.key == "exception.type")
            .map(|it| json(&it.value));
        assert_eq!((parsed.message.as_str(), found), (message, kind.map(Json::from)), "{text}");
        let trace = parsed.attributes.iter().any(|it| it.key == "exception.stacktrace");
        assert_eq!(trace, kind.is_some(), "{text}");
    }
}

/// The documentations' own examples: Envoy's ("Access logging"), HAProxy's (section 8.2.3), and the JSON that is
/// theirs.
#[test]
fn proxies() {
    let parsed = read(
        r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80""#,
    );
    assert_eq!((parsed.format, parsed.class), (Format::Envoy, Class::Infrastructure));
    assert_eq!(parsed.time_unix_ns, Some(unix_ns("2016-04-15T20:17:00.310Z")));
    assert_eq!(parsed.ids.requests[0].as_str(), "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2");
    assert_eq!(parsed.attributes.len(), 13);
    let parsed = read(
        r#"haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1""#,
    );
    assert_eq!(
        (parsed.format, parsed.message.as_str()),
        (Format::Haproxy, "GET /index.html HTTP/1.1")
    );
    assert_eq!(json(&parsed.attributes[1].value), "10.0.1.2:33317");
}

#[test]
fn what_is_cut_is_counted() {
    let limits =
        Limits { fields: 2, depth: 2, key_bytes: 4, value_bytes: 5, items: 2, requests: 1 };
    let mut formats = Formats::new(limits, 0);
    let parsed = formats.read(
        r#"{"msg":"a long message","é12345":"éééé","deep":{"a":{"b":1}},"more":1,"most":2}"#
            .as_bytes(),
        0,
    );
    let attributes: Vec<_> =
        parsed.attributes.iter().map(|it| (&*it.key, json(&it.value))).collect();
    assert_eq!(
        attributes,
        [
            ("é12", "éé".into()),
            ("deep", "{\"b\":".into()),
            (CUT_FIELDS, 2.into()),
            (CUT_VALUES, 4.into())
        ]
    );
    assert_eq!(parsed.message.as_str(), "a long message");
}

/// winston's printf with a stack behind the message.
#[test]
fn a_header_before_a_stack_of_node() {
    let text = "2026-11-21T15:05:14.911Z error: payment failed\nError: no payment\n    at failure \
                (/app/loggers.js:27:12)\n    at Object.<anonymous> (/app/loggers.js:38:55)";
    let parsed = Formats::default().read(text.as_bytes(), 1_795_273_514_912_000_000);
    assert_eq!(parsed.severity, Some(Severity::Error));
    assert_eq!(parsed.message.as_str(), "payment failed");
    assert_eq!(parsed.time_unix_ns, Some(1_795_273_514_911_000_000));
}
