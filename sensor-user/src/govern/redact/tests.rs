mod attributes;

use proptest::prelude::*;

use super::own::MATCHES_MAX;
use super::*;
use crate::govern::pattern::Pattern;

/// The key of SipHash's reference implementation.
const KEY: &str = "000102030405060708090a0b0c0d0e0f";

fn redactor(rules: Vec<Rule>) -> Redactor {
    let settings = Settings { rules, key: Key::parse(KEY), ..Settings::default() };
    let names = Redactor::rule_names(&settings);
    Redactor::new(&settings, Arc::new(RuleCounts::new(names)))
}

fn rule(target: Target, action: Action) -> Rule {
    Rule { target, action }
}

fn known(known: BuiltIn, action: Action) -> Rule {
    rule(Target::BuiltIn(known), action)
}

fn named(glob: &str, action: Action) -> Rule {
    rule(Target::Name(Glob::new(glob).unwrap()), action)
}

fn pattern(text: &str, action: Action) -> Rule {
    rule(Target::Pattern(Pattern::new(text).unwrap()), action)
}

/// A message by those rules, and again: nothing is left to find.
fn by(rules: &Rules, text: &str) -> String {
    let once = rules.text(text).map_or_else(|| text.to_owned(), |clean| clean.text);
    if let Some(again) = rules.text(&once) {
        panic!("{text:?} is {once:?}, and then {:?}", again.text);
    }
    once
}

fn by_default(text: &str) -> String {
    by(&redactor(Vec::new()).rules, text)
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(by_default(text), *expected, "{text}");
    }
}

#[test]
fn names_in_text() {
    check(&[
        ("password=hunter2", "password=[redacted]"),
        ("user=bob password=hunter2 ok=true", "user=bob password=[redacted] ok=true"),
        (r#"level=info password="a \"b\" c" user=x"#, r#"level=info password="[redacted]" user=x"#),
        ("Password: hunter2, user: bob", "Password: [redacted], user: bob"),
        ("DB_PASSWORD = hunter2", "DB_PASSWORD = [redacted]"),
        ("dbPassword:hunter2", "dbPassword:[redacted]"),
        ("User{name=bob, password=hunter2}", "User{name=bob, password=[redacted]}"),
        ("{User:bob Passwd:hunter2}", "{User:bob Passwd:[redacted]}"),
        ("map[token:abc user:bob]", "map[token:[redacted] user:bob]"),
        ("map[user:bob token:abc]", "map[user:bob token:[redacted]]"),
        ("Server=db;Password=a;Database=b", "Server=db;Password=[redacted];Database=b"),
        (
            "POST /login?user=bob&password=a%20b&x=1 HTTP/1.1",
            "POST /login?user=bob&password=[redacted]&x=1 HTTP/1.1",
        ),
        ("GET /cb?token=abc HTTP/1.1", "GET /cb?token=[redacted] HTTP/1.1"),
        ("GET /cb?%74oken=abc HTTP/1.1", "GET /cb?%74oken=[redacted] HTTP/1.1"),
        ("user%5Bpassword%5D=abc&a=1", "user%5Bpassword%5D=[redacted]&a=1"),
        ("user[password]=abc&a=1", "user[password]=[redacted]&a=1"),
        ("secret := \"abc\"", "secret := \"[redacted]\""),
        (":password => 'abc', :a => 1", ":password => '[redacted]', :a => 1"),
        ("client_secret='it is long' x", "client_secret='[redacted]' x"),
        ("(api-key: abc)", "(api-key: [redacted])"),
        ("X-Api-Key:abc", "X-Api-Key:[redacted]"),
        ("run --password hunter2 --verbose", "run --password [redacted] --verbose"),
        ("run --access-token=hunter2", "run --access-token=[redacted]"),
        ("<a><password>x y</password></a>", "<a><password>[redacted]</password></a>"),
        ("<wsse:Password>x</wsse:Password>", "<wsse:Password>[redacted]</wsse:Password>"),
        ("JSESSIONID: 1F3A", "JSESSIONID: [redacted]"),
        ("cvv=123 ssn: 078-05-1120", "cvv=[redacted] ssn: [redacted]"),
        (
            "msg=\"login with password=abc\" user=bob",
            "msg=\"login with password=[redacted]\" user=bob",
        ),
        ("token=a,b,c next", "token=[redacted] next"),
        ("token=a, next", "token=[redacted], next"),
        ("password=\u{e9}\u{4e2d} x", "password=[redacted] x"),
        ("\u{5bc6}password=x", "\u{5bc6}password=[redacted]"),
        // Quotes that close nothing.
        ("password='it's mine' x", "password='[redacted]' x"),
        ("password=\"a\"b\" x", "password=\"[redacted]\" x"),
        // Cut.
        ("password=\"abc", "password=\"[redacted]"),
        ("{\"password\":\"abc", "{\"password\":\"[redacted]"),
    ]);
}

#[test]
fn json_stays_json() {
    let cases = [
        r#"{"user":"bob","password":"hunter2","n":1}"#,
        r#"{"password":12345,"n":[1,2]}"#,
        r#"{"a":{"clientSecret": "it \"is\"", "b":null},"token":true,"c":"d"}"#,
        r#"{"tokens":["a"],"access_token":["x","y]"],"n":1}"#,
        r#"{"token":{"id":"x","v":[1]},"n":"k"}"#,
        r#"{"req":"{\"password\":\"a b\",\"user\":\"bob\"}","n":1}"#,
        r#"{"msg":"x password=abc","n":1}"#,
        r#"{"session_id" : "abc" , "n":1}"#,
    ];
    let expected = [
        r#"{"user":"bob","password":"[redacted]","n":1}"#,
        r#"{"password":"[redacted]","n":[1,2]}"#,
        r#"{"a":{"clientSecret": "[redacted]", "b":null},"token":true,"c":"d"}"#,
        r#"{"tokens":["a"],"access_token":"[redacted]","n":1}"#,
        r#"{"token":"[redacted]","n":"k"}"#,
        r#"{"req":"{\"password\":\"[redacted]\",\"user\":\"bob\"}","n":1}"#,
        r#"{"msg":"x password=[redacted]","n":1}"#,
        r#"{"session_id" : "[redacted]" , "n":1}"#,
    ];
    for (text, expected) in cases.iter().zip(expected) {
        assert_eq!(by_default(text), expected);
        serde_json::from_str::<serde_json::Value>(text).unwrap();
        serde_json::from_str::<serde_json::Value>(expected).unwrap();
    }
}

#[test]
fn header_fields_in_text() {
    check(&[
        ("Authorization: Bearer abc", "Authorization: [redacted]"),
        ("authorization=Basic dTpw, host=x", "authorization=[redacted], host=x"),
        ("> Proxy-Authorization: Negotiate abc==", "> Proxy-Authorization: [redacted]"),
        (
            // RFC 7616 section 3.9.1.
            "Authorization: Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
             uri=\"/dir/index.html\", qop=auth, response=\"753927fa\" end",
            "Authorization: [redacted] end",
        ),
        (
            "Authorization: Digest username=\"x', realm=\"y\"\nnext",
            "Authorization: [redacted]\nnext",
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830, \
             SignedHeaders=host, Signature=5d67",
            "Authorization: [redacted]",
        ),
        ("Authorization: mine rest", "Authorization: [redacted] rest"),
        ("token=Bearer abc user=bob", "token=[redacted] user=bob"),
        ("token=basic user=bob", "token=[redacted] user=bob"),
        ("Cookie: a=b; c=d; e\nHost: x", "Cookie: [redacted]\nHost: x"),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly", "Set-Cookie: [redacted]"),
        ("{\"cookie\":\"a=b; c=d\"}", "{\"cookie\":\"[redacted]\"}"),
        (
            "[Authorization:\"Bearer x y\", Host:\"a\"]",
            "[Authorization:\"[redacted]\", Host:\"a\"]",
        ),
        (
            "{\"Authorization\":[\"Bearer abc\"],\"n\":1}",
            "{\"Authorization\":\"[redacted]\",\"n\":1}",
        ),
    ]);
}

/// RFC 7519 section 3.1, RFC 6750 section 2.1, RFC 7617 section 2, RFC 7468 section 10, and AWS's documentation.
#[test]
fn shapes_in_text() {
    const JWT: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs\
                       DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(by_default(&format!("got {JWT}, fine")), "got [redacted], fine");
    assert_eq!(by_default(&format!("/x/{JWT}/y")), "/x/[redacted]/y");
    let (unsigned, _) = JWT.rsplit_once('.').unwrap();
    assert_eq!(by_default(&format!("{unsigned}.")), "[redacted].");
    check(&[
        ("sent Bearer mF_9.B5f-4.1JqM to x", "sent Bearer [redacted] to x"),
        ("sent basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== to x", "sent basic [redacted] to x"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"),
        ("key ASIAIOSFODNN7EXAMPLE.", "key [redacted]."),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b",
            "a [redacted] b",
        ),
        (
            "a -----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\nb",
            "a [redacted]\\nb",
        ),
        ("a -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAA", "a [redacted]"),
        ("to postgres://app:s3cret@db:5432/x", "to postgres://app:[redacted]@db:5432/x"),
        ("to redis://:p%40ss@h:1", "to redis://:[redacted]@h:1"),
        ("to amqp://u:p@ss@h/v", "to amqp://u:[redacted]@h/v"),
        ("clone https://ghp_abc@github.com/x", "clone https://[redacted]@github.com/x"),
    ]);
}

/// Test numbers of the brands, as Stripe and PayPal publish them.
#[test]
fn numbers_of_cards() {
    for number in [
        "4242424242424242",
        "4000056655665556",
        "5555555555554444",
        "2223003122003222",
        "5105105105105100",
        "378282246310005",
        "371449635398431",
        "6011111111111117",
        "6011000990139424",
        "3056930009020004",
        "36227206271667",
        "3566002020360505",
        "6200000000000005",
        "4222222222222",
        "6304000000000000",
    ] {
        let last = &number[number.len() - 4..];
        for (before, after) in
            [("", ""), ("card ", " ok"), ("n=", ","), ("\"", "\""), ("\u{5361}", ".")]
        {
            let expected = format!("{before}[redacted-{last}]{after}");
            assert_eq!(by_default(&format!("{before}{number}{after}")), expected);
        }
    }
    check(&[
        ("4242 4242 4242 4242 12/27", "[redacted-4242] 12/27"),
        ("4242-4242-4242-4242", "[redacted-4242]"),
        ("3782 822463 10005", "[redacted-0005]"),
        ("1700000000 4242424242424242", "1700000000 [redacted-4242]"),
        ("card-4242424242424242", "card-[redacted-4242]"),
    ]);
}

/// What looks like a secret and is none.
#[test]
fn near_misses() {
    for text in [
        "",
        "=",
        ":",
        "password=",
        "password: ",
        "password:\nnext line",
        "\"password\":\"\"",
        "\"password\":null, \"token\": false",
        "token=nil secret=<nil>",
        "password=****** token=-",
        "tokens_used=17",
        "password_reset=true",
        "passwords: 3",
        "password_hash_rounds=12",
        "max_tokens: 4096",
        "unexpected token: }",
        "std::token::x",
        "a token was refused",
        "the secret garden",
        "cookie_count=3 cookiecutter=x",
        "pass=3 fail=1",
        "sessions=12 passport=x",
        "tokenizer=bpe",
        "author: bob, authority=x",
        "design=7 assigned: 3",
        "signature_algorithm=rs256",
        "discover: x, harddrive=y",
        "keyboard=us key=value",
        "10:30:15.123 12:00",
        "2026-11-21T13:25:03.123456789Z",
        "2026-11-21 13:25:03,123",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
        "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        // Identifiers that pass for numbers of cards.
        "trace_id=4242424242424242 span_id: 4242424242424242",
        "{\"dd.trace_id\":\"4242424242424242\",\"traceId\" : 4242424242424242}",
        "x-request-id: 4242424242424242",
        "0d9a4b3c-4242-4242-4242-424242424242",
        "550e8400-e29b-41d4-a716-446655440000",
        "4242424242424242-4242-4242-4242-424242424242",
        "aaaabbbb-4242-4242-4242-4242",
        // Luhn fails.
        "order 4242424242424241",
        "order 4242 4242 4242 4243",
        // No brand begins so: milli-, micro-, nanoseconds, and what passes Luhn.
        "1700000000000 1700000000000000 1700000000000000000",
        "1763731503007",
        "79927398713",
        "9999999999999995",
        // Longer, or part of something else.
        "42424242424242424242",
        "x4242424242424242",
        "4242424242424242x",
        "_4242424242424242",
        "0.4242424242424242",
        "4242424242424242.5",
        "4242 4242-4242 4242",
        "4242  4242 4242 4242",
        "0x4242424242424242",
        "deadbeef4242424242424242",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "eyJhbGci",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.x",
        "heyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2Ui.x",
        "www.authenticate Bearer realm=\"x\"",
        "invalid bearer token",
        "Bearer authentication required, bearer tokens expired.",
        "Basic authentication failed, basic functionality",
        "AKIA AKIAIOSFODNN7EXAMPL AKIAIOSFODNN7EXAMPLEX akiaiosfodnn7example",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----",
        "---------- --- -- -",
        "http://host:8080/a@b?c=d@e:f",
        "ssh://git@github.com/x",
        "http://[::1]:80/ x@y.z",
        "//token.js // token",
        "mail bob@example.com",
        "a -- token b, --token -x, --token",
        "<token>, <password/>, x > password > y",
        "password > 8 characters",
        "[redacted] [redacted-4242] [hash-000102030405060708090a0b0c0d0e0f] REDACTED",
        "password=[redacted] token=\"[redacted]\" Cookie: [redacted]",
        "password=REDACTED postgres://app:REDACTED@db http://REDACTED:REDACTED@h",
    ] {
        assert_eq!(by_default(text), text);
    }
}

#[test]
fn what_only_begins_with_a_mark_is_a_secret() {
    check(&[
        ("password=[redacted]x", "password=[redacted]"),
        ("password=[redacted-12]", "password=[redacted]"),
        ("password=REDACTEDx", "password=[redacted]"),
        ("password=[hash-00]", "password=[redacted]"),
        ("token=)))))x", "token=[redacted]"),
        ("token={a b}c d", "token=[redacted] d"),
    ]);
}

/// SipHash-2-4-128 of nothing under that key is a3817f04ba25a8e66df67214c7550293 in the reference's vectors
/// (<https://github.com/veorq/SipHash/blob/master/vectors.h>, `vectors_sip128`), the bytes in that order; of one zero byte,
/// da87c1d86b99af44347659119b22fc45.
#[test]
fn hashes_are_of_the_value_and_stay_equal() {
    let key = Key::parse(KEY).unwrap();
    let vectors = ["a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45"];
    let hashed = [mask::hashed(Some(&key), b""), mask::hashed(Some(&key), b"\0")];
    assert_eq!(hashed, vectors.map(|hex| format!("[hash-{hex}]")));

    let rules = [BuiltIn::Password, BuiltIn::Card, BuiltIn::UrlPassword];
    let rules = redactor(rules.map(|rule| known(rule, Action::Hash)).into()).rules;
    let hunter = mask::hashed(Some(&key), b"hunter2");
    for text in ["password=hunter2", "{\"passwd\": \"hunter2\"}", "x://a:hunter2@b"] {
        let text = by(&rules, text);
        assert!(text.contains(&hunter), "{text}");
    }
    let card = mask::hashed(Some(&key), b"4242424242424242");
    for text in ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242"] {
        assert_eq!(by(&rules, text), card);
    }
    assert_eq!(format!("{key:?}"), "Key(..)");
    for wrong in
        ["", "0", "0001", "g00102030405060708090a0b0c0d0e0f", "+00102030405060708090a0b0c0d0e0"]
    {
        assert_eq!(Key::parse(wrong), None);
    }
}

#[test]
fn own_rules_come_first() {
    let rules = redactor(vec![
        named("session_id", Action::Keep),
        named("*_pin", Action::Mask),
        named("user.*", Action::Hash),
        pattern(r"\bcust-\d+\b", Action::Mask),
        pattern("(?i)straße", Action::Mask),
        known(BuiltIn::Email, Action::Mask),
        known(BuiltIn::Card, Action::Keep),
    ])
    .rules;
    for (text, expected) in [
        ("session_id=abc sessionid=abc", "session_id=abc sessionid=abc"),
        ("session=abc", "session=[redacted]"),
        ("card_pin=1234 pin=1 spin=1", "card_pin=[redacted] pin=1 spin=1"),
        ("username=bob", "username=bob"),
        ("of cust-17, xcust-17", "of [redacted], xcust-17"),
        ("STRASSE Straße STRAßE", "STRASSE [redacted] [redacted]"),
        ("by bob.o'x+y@mail.example.com.", "by bob.o'[redacted]."),
        ("a@b @c d@e. f@g.h1 x@1.22", "a@b @c d@e. [redacted] x@1.22"),
        ("4242424242424242 cvv=1", "4242424242424242 cvv=1"),
    ] {
        assert_eq!(by(&rules, text), expected, "{text}");
    }
    assert!(by(&rules, "user.name=bob").starts_with("user.name=[hash-"));
    let counts: Vec<_> = rules.counts.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(
        counts,
        [
            ("redact.rule.session", 1),
            ("redact.rule.email", 2),
            ("redact.rule.2", 1),
            ("redact.rule.3", 1),
            ("redact.rule.4", 1),
            ("redact.rule.5", 2),
        ]
    );
}

/// Whatever matches, what stands for a secret is not matched again.
#[test]
fn patterns_end_and_leave_marks_alone() {
    let all = redactor(vec![pattern("[a-z0-9]+", Action::Hash), pattern("x*", Action::Mask)]).rules;
    let text = by(&all, "abc, password=d");
    assert_eq!(text.matches("[hash-").count(), 3, "{text}");
    assert!(
        !text.contains("abc") && !text.contains('d'.to_string().as_str()) || text.len() > 3 * 39
    );
    // With very many, the rest goes.
    let text = "a ".repeat(MATCHES_MAX + 500) + "end";
    let rules = redactor(vec![pattern("a", Action::Mask)]).rules;
    let cut = rules.text(&text).unwrap().text;
    assert_eq!(cut.matches("[redacted]").count(), MATCHES_MAX + 1);
    assert!(cut.ends_with(" [redacted]"));
}

#[test]
fn queries() {
    let rules = redactor(Vec::new()).rules;
    let query = |text: &str| rules.query(text).map_or_else(|| text.to_owned(), |clean| clean.text);
    for (text, expected) in [
        ("id=7&token=abc&x=1", "id=7&token=REDACTED&x=1"),
        ("%74oken=abc;b=1", "%74oken=REDACTED;b=1"),
        ("Access_Token=abc", "Access_Token=REDACTED"),
        ("user%5Bpassword%5D=a", "user%5Bpassword%5D=REDACTED"),
        ("sig=abc", "sig=REDACTED"),
        ("q=4242%204242+4242%204242", "q=REDACTED"),
        ("next=https%3A%2F%2Fx%2F%3Ftoken%3Dabc", "next=REDACTED"),
        ("f=%7B%22password%22%3A%22x%22%7D&g=1", "f=REDACTED&g=1"),
        ("auth=Bearer%20mF_9.B5f-4.1JqM", "auth=REDACTED"),
        ("token", "token"),
        ("token=&token=REDACTED&=x&a=b=c", "token=&token=REDACTED&=x&a=b=c"),
        (
            "tokens_used=17&trace_id=4242424242424242&ts=1700000000000",
            "tokens_used=17&trace_id=4242424242424242&ts=1700000000000",
        ),
        ("q=%zz%4&x=%ff", "q=%zz%4&x=%ff"),
    ] {
        assert_eq!(query(text), expected);
        assert_eq!(query(expected), expected);
    }
    let url = |text: &str| rules.url(text).map_or_else(|| text.to_owned(), |clean| clean.text);
    for (text, expected) in [
        (
            "http://u:p@h/a?token=x&y=1#access_token=z",
            "http://u:REDACTED@h/a?token=REDACTED&y=1#access_token=REDACTED",
        ),
        ("https://tok@h/", "https://REDACTED@h/"),
        ("http://REDACTED:REDACTED@shop.example/x", "http://REDACTED:REDACTED@shop.example/x"),
        ("http://h/4242424242424242/password=x", "http://h/4242424242424242/password=x"),
        ("http://h/?", "http://h/?"),
    ] {
        assert_eq!(url(text), expected);
        assert_eq!(url(expected), expected);
    }
}

/// Hostile texts of 64 KiB take about as long a byte as short ones.
#[test]
fn time_is_linear() {
    let rules = redactor(vec![known(BuiltIn::Email, Action::Mask)]).rules;
    let pieces = [
        "password=",
        "token:",
        "a:",
        "\"",
        "\\\"password\\\":\\\"",
        "[",
        "password=[",
        "password=[\"",
        "{\"a\":",
        "://",
        "http://a:b",
        "@",
        "a@",
        "a.@b.",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9",
        "bearer ",
        "basic QWxh",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "--token ",
        "<token>",
        "4242 ",
        "4242-",
        "password=,",
        "password=a,b",
        "cookie=;",
        "cookie=a;b",
        "cookie: a; ",
        "authorization: digest a=",
        "authorization: digest a=\"b\",",
        "password='",
        "%74",
        "a.",
        "\\",
        "=>",
        "token=)",
        "token=),",
        "token=&",
        " ",
        "password \t",
        "]:",
    ];
    for piece in pieces {
        let text = piece.repeat((64 << 10) / piece.len());
        let started = std::time::Instant::now();
        by(&rules, &text);
        rules.query(&text);
        rules.url(&text);
        // Unoptimized and beside others; a quadratic one takes minutes.
        assert!(started.elapsed().as_secs() < 4, "{piece:?}: {:?}", started.elapsed());
    }
}

const SECRET: &str = "zqxZ7secretQ9";

/// Texts with a secret in them, in forms that are to be found.
fn with_secret() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "password",
        "DB_PASSWORD",
        "userPassword",
        "api_key",
        "X-Api-Key",
        "access_token",
        "clientSecret",
        "session.id",
        "set-cookie",
        "authorization",
    ]);
    let form = prop::sample::select(vec![
        "{n}={s}",
        "{n}: {s}",
        "\"{n}\":\"{s}\"",
        "{n}=\"{s}\"",
        "{n} = '{s}'",
        "'{n}': '{s}'",
        "\\\"{n}\\\":\\\"{s}\\\"",
        "--{n} {s}",
        "--{n}={s}",
        "<{n}>{s}</{n}>",
        "?{n}={s}&a=b",
        "\"{n}\":[\"{s}\"]",
        "Bearer {s}",
        "x://u:{s}@h/",
        "{n}: Bearer {s}",
        "{n}=a,{s}",
        "{n}={s},{s}",
        "\"{n}\": {\"a\":\"{s}\"}",
    ]);
    (name, form).prop_map(|(name, form)| form.replace("{n}", name).replace("{s}", SECRET))
}

proptest! {
    /// Anything at all: no panic, nothing left to find, and no more than marks is added.
    #[test]
    fn whatever_comes(text in r#"([ -~]|[=:"'\\,;&\[\]{}<>@/ -]|password|token|eyJ|4242|Bearer |\PC){0,60}"#) {
        by_default(&text);
        let rules = redactor(Vec::new()).rules;
        for clean in [rules.query(&text), rules.url(&text)].into_iter().flatten() {
            prop_assert!(clean.text.contains("REDACTED") || clean.text.contains("[redacted"));
        }
    }

    #[test]
    fn no_secret_is_left(
        before in r"([a-z0-9 .]{0,20} )?",
        secrets in prop::collection::vec(with_secret(), 1..4),
        after in r"( [a-z0-9 .]{0,20})?",
        between in prop::sample::select(vec![" ", ", ", "\n", " | "]),
    ) {
        let text = format!("{before}{}{after}", secrets.join(between));
        let clean = by_default(&text);
        prop_assert!(!clean.contains(SECRET), "{text:?} is {clean:?}");
        prop_assert!(clean.starts_with(&before));
    }

    /// What has no name, no shape and no digits is as it was.
    #[test]
    fn prose_is_left_alone(text in r"[a-zA-Z ,.!?()]{0,80}") {
        prop_assume!(!text.to_ascii_lowercase().contains("bearer") && !text.contains("AKIA"));
        prop_assert_eq!(by_default(&text), text);
    }

    #[test]
    fn globs_match_as_regular_expressions_do(glob in "[ab*?]{1,8}", name in "[ab]{0,8}") {
        let pattern = glob.replace('*', ".*").replace('?', ".");
        let expected = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(&name);
        let names = Names::new(
            |_| Action::Keep,
            Glob::new(&glob).map(|glob| (glob, Hit { rule: 0, action: Action::Mask, shape: Shape::Word })),
        );
        let matches = matches!(names.look_up(name.as_bytes()), Verdict::Secret(_));
        prop_assert_eq!(matches, expected && !name.is_empty());
    }
}
