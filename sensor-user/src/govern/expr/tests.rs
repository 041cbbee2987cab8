use proptest::prelude::*;

use super::*;
use crate::govern::tests::{process, record, server};
use crate::model::{Correlation, LogSource, SpanId, Text, TraceId};

fn parse(text: &str) -> Expr {
    Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn holds(text: &str, record: &LogRecord) -> bool {
    parse(text).holds_for_record(record)
}

/// A record in which every field says something.
fn full() -> LogRecord {
    let resource = Resource {
        attributes: vec![
            Attribute::new("service.name", "shop"),
            Attribute::new("host.name", "node-1"),
            Attribute::new("k8s.namespace.name", "prod"),
        ],
        ..Resource::default()
    };
    LogRecord {
        severity: Some(Severity::Warn),
        message: Text::from("cart is full (17 items)"),
        caller: Some(Text::from("cart.go:17")),
        event: Some(Text::from("cart.full")),
        class: Class::Middleware,
        source: LogSource::File("/var/log/shop.log".into()),
        correlation: Some(Correlation {
            trace_id: TraceId::new([0xab; 16]).unwrap(),
            span_id: SpanId::new([0xcd; 8]),
            evidence: "thread",
            after_response: false,
        }),
        attributes: vec![
            Attribute::new("items", 17),
            Attribute::new("took", 1.5),
            Attribute::new("retried", true),
            Attribute::new("code", "404"),
            Attribute::new("tags", vec!["a".to_owned(), "b c".to_owned()]),
            Attribute::new("odd name", "x"),
        ],
        resource: resource.into(),
        ..record(0)
    }
}

#[test]
fn fields_and_operators() {
    let record = full();
    for yes in [
        "service = shop",
        "host=node-1",
        "level = warn",
        "level = WARN",
        "level >= warn",
        "level<error",
        "level > info",
        "level ~ ^w",
        "message ~ 'full .\\d+ items'",
        "message = \"cart is full (17 items)\"",
        "class = middleware",
        "caller ~ \\.go:",
        "event = cart.full",
        "source = file",
        "file ~ ^/var/log/",
        "trace_id = ABABABABABABABABABABABABABABABAB",
        "span_id = cdcdcdcdcdcdcdcd",
        "items = 17",
        "items = 17.0",
        "items >= 17",
        "items < 17.5",
        "took = 1.5",
        "took > 1",
        "retried = true",
        "retried != false",
        "code = 404",
        "code >= 400",
        "code < 500",
        "tags = a",
        "tags ~ ^b",
        "k8s.namespace.name = prod",
        "\"odd name\" = x",
        "items != 18",
        "message !~ ^x",
        "has items",
        "not has nothing",
        "HAS level And Not has nothing",
        "message ~ (full|empty)",
        "(message ~ (full|empty))",
        "items ~ ^1",
    ] {
        assert!(holds(yes, &record), "{yes}");
        assert!(!holds(&format!("not ({yes})"), &record), "{yes}");
    }
    for no in [
        "service = shops",
        "level = info",
        "level < warn",
        "class = business",
        "source = stdout",
        "items = 18",
        "items > 17",
        "retried = 1",
        "code = 404.0",
        "tags = b",
        "has nothing",
        "message = cart",
    ] {
        assert!(!holds(no, &record), "{no}");
        assert!(holds(&format!("not {no}"), &record), "{no}");
    }
}

/// What is absent, or cannot be compared so, is unknown: neither holds, nor the opposite.
#[test]
fn the_absent_is_unknown() {
    let record = LogRecord { severity: None, correlation: None, ..full() };
    for unknown in [
        "level = debug",
        "level != error",
        "level < fatal",
        "trace_id = 1",
        "nothing = 1",
        "nothing != 1",
        "nothing ~ .",
        "message > 1",
        "retried > 0",
        "tags < 5",
    ] {
        assert!(!holds(unknown, &record), "{unknown}");
        assert!(!holds(&format!("not {unknown}"), &record), "{unknown}");
        // By the tables of Kleene's strong logic.
        assert!(holds(&format!("{unknown} or service = shop"), &record));
        assert!(!holds(&format!("{unknown} and service = shop"), &record));
        assert!(holds(&format!("not ({unknown} and service = cart)"), &record));
        assert!(!holds(&format!("not ({unknown} or service = cart)"), &record));
    }
    assert!(holds("not has level and has message", &record));
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    let record = full();
    let value = |text: &str| if text == "t" { "service = shop" } else { "service = cart" };
    let of = |text: &str| {
        let words = text.split(' ').map(|word| match word {
            "t" | "f" => value(word),
            other => other,
        });
        holds(&words.collect::<Vec<_>>().join(" "), &record)
    };
    for (text, expected) in [
        ("t or f and f", true),
        ("( t or f ) and f", false),
        ("f and f or t", true),
        ("f and ( f or t )", false),
        ("not f and f", false),
        ("not ( f and f )", true),
        ("not f or t", true),
        ("not not t", true),
        ("not t or t", true),
        ("t and t and f or f or t and t", true),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
}

#[test]
fn words_of_the_language_may_be_fields() {
    let mut record = full();
    for key in ["not", "has", "and", "or"] {
        record.attributes.push(Attribute::new(key, "1"));
    }
    for text in [
        "not = 1",
        "has = 1",
        "and = 1 and or = 1",
        "not not = 2",
        "has \"not\"",
        "notes = 1 or not=1",
    ] {
        assert!(holds(text, &record), "{text}");
    }
}

#[test]
fn spans_have_fields_too() {
    let mut span = server(1);
    span.attributes = vec![
        Attribute::new("url.path", "/healthz"),
        Attribute::new("http.response.status_code", 200),
    ];
    for yes in [
        "url.path ~ ^/health and http.response.status_code < 300",
        "kind = server",
        "status = unset",
        "name = GET",
        "service = shop",
        "source = exchange",
        "trace_id = 4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id = 0202020202020202",
        "process.pid = 7",
    ] {
        assert!(parse(yes).holds_for_span(&span), "{yes}");
    }
    // What only lines have says nothing of spans, whichever way it is asked.
    for text in [
        "level < error",
        "level != error",
        "not level >= info",
        "message !~ x",
        "class != business",
        "not caller = x",
    ] {
        assert!(!parse(text).holds_for_span(&span), "{text}");
    }
    assert_eq!(process(7, "shop").service_name(), Some("shop"));
}

#[test]
fn errors_say_where_and_what() {
    let deep = format!("{}a = 1", "(".repeat(65));
    let nots = format!("{}a = 1", "not ".repeat(1000));
    let field = "a field, `not`, `has` or `(` at column ";
    let operator = "=, !=, ~, !~, <, <=, > or >= at column ";
    for (text, expected) in [
        ("", format!("{field}1, where it ends")),
        ("   ", format!("{field}4, where it ends")),
        ("a", format!("{operator}2, where it ends")),
        ("a == 1 x", "`and`, `or` or the end at column 8, not \"x\"".into()),
        (
            "a = ",
            "a value, in quotes if it is empty or has spaces at column 5, where it ends".into(),
        ),
        ("a = )", "a value, in quotes if it is empty or has spaces at column 5, not \")\"".into()),
        ("a = 1 and", format!("{field}10, where it ends")),
        ("a = 1 or or b = 1", format!("{field}10, not \"or\"")),
        ("a = 1 b = 2", "`and`, `or` or the end at column 7, not \"b\"".into()),
        ("(a = 1", "`and`, `or` or `)` at column 7, where it ends".into()),
        ("a = 1)", "`and`, `or` or the end at column 6, not \")\"".into()),
        ("a = 'x", "a closing ' at column 7, where it ends".into()),
        ("\u{e9}\u{e9} ! 1", format!("{operator}4, not \"!\"")),
        ("= 1", format!("{field}1, not \"=\"")),
        ("has", "the name of a field at column 4, where it ends".into()),
        (
            "level >= loud",
            "a level (debug, info, warn, error or fatal) at column 10, not \"loud\"".into(),
        ),
        ("level = 3", "a level (debug, info, warn, error or fatal) at column 9, not \"3\"".into()),
        (
            "class = other",
            "business, middleware or infrastructure at column 9, not \"other\"".into(),
        ),
        ("source = syslog", "stdout, stderr, file or exchange at column 10, not \"syslog\"".into()),
        ("items > many", "a number at column 9, not \"many\"".into()),
        ("items > NaN", "a number at column 9, not \"NaN\"".into()),
        (
            "message ~ 'a[b'",
            "a regular expression (unclosed character class) at column 11, not \"a[b\"".into(),
        ),
        (
            "m ~ \\w{999}{999}",
            "a regular expression (it is too large) at column 5, not \"\\\\w{999}{999}\"".into(),
        ),
        (&deep, "nothing nested deeper than 64 at column 65, not \"(a\"".into()),
        (&nots, "nothing nested deeper than 64 at column 257, not \"not\"".into()),
    ] {
        assert_eq!(Expr::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
    let long = format!("a = {}", "x".repeat(20_000));
    assert_eq!(Expr::parse(&long).unwrap_err().expected, "at most 16384 bytes");
    // Broad ones are no deeper for that.
    assert!(holds(&format!("{}service = shop", "service = cart or ".repeat(500)), &full()));
}

proptest! {
    /// Whatever is written: an expression or an error within the text.
    #[test]
    fn any_text_ends(text in r#"(and|or|not|has|level|service|[()=!~<>"'\\ a1.]|\PC){0,40}"#) {
        match Expr::parse(&text) {
            Ok(expr) => {
                expr.holds_for_record(&full());
                expr.holds_for_span(&server(1));
            }
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
        }
    }

    /// Quoted, any text is a value.
    #[test]
    fn quotes_hold_anything(text in r#"([ -~]|\PC){0,30}"#) {
        let quoted = text.replace('\\', r"\\").replace('"', "\\\"");
        let record = LogRecord { message: Text::from(text.clone()), ..full() };
        let quoted = ["message = \"", &quoted, "\""].concat();
        prop_assert!(holds(&quoted, &record));
    }
}
