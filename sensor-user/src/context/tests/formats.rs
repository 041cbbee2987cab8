use super::*;
use crate::context::b3::Multiple;
use crate::context::datadog::Datadog;

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";

#[test]
fn b3_in_one_field() {
    let read = |value: &str| parsed(b3::single(value.as_bytes()));
    let is = |trace: &str, decision: &str| Some(format!("{trace} {SPAN} {decision}"));
    // The specification's, and those that it describes.
    assert_eq!(read(&format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90")), is(TRACE, "Accept"));
    assert_eq!(read(&format!("{TRACE}-{SPAN}-1")), is(TRACE, "Accept"));
    assert_eq!(read(&format!("{TRACE}-{SPAN}-d")), is(TRACE, "Debug"));
    assert_eq!(read(&format!("{TRACE}-{SPAN}-0")), is(TRACE, "Deny"));
    assert_eq!(read(&format!("{TRACE}-{SPAN}")), is(TRACE, "Deferred"));
    for (state, decision) in [("0", "Deny"), ("1", "Accept"), ("d", "Debug")] {
        assert_eq!(read(state), Some(format!("- - {decision}")));
    }
    // As opentelemetry-python widens it.
    let wide = "000000000000000064fe8b2a57d3eff7";
    assert_eq!(read(&format!("64fe8b2a57d3eff7-{SPAN}-d")), is(wide, "Debug"));

    for bad in [
        "",
        "-",
        "2",
        "D",
        "true",
        "10",
        TRACE,
        &format!("{TRACE}-"),
        &format!("-{SPAN}"),
        &format!("{TRACE}-{SPAN}-"),
        &format!("{TRACE}-{SPAN}-2"),
        &format!("{TRACE}-{SPAN}-true"),
        &format!("{TRACE}-{SPAN}-1-"),
        &format!("{TRACE}-{SPAN}-1-5e3ac9a4f6e3b90"),
        &format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b9g"),
        &format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-"),
        &format!("{TRACE}-{SPAN}-05e3ac9a4f6e3b90"),
        &format!("{}-{SPAN}-1", TRACE.to_uppercase()),
        &format!("{TRACE}-{}-1", SPAN.to_uppercase()),
        &format!("{}-{SPAN}-1", &TRACE[1..]),
        &format!("0{TRACE}-{SPAN}-1"),
        &format!("{}-{SPAN}-1", &TRACE[..15]),
        &format!("{TRACE}-{}-1", &SPAN[1..]),
        &format!("{TRACE}-0{SPAN}-1"),
        &format!("{}-{SPAN}-1", "0".repeat(32)),
        &format!("{}-{SPAN}-1", "0".repeat(16)),
        &format!("{TRACE}-{}-1", "0".repeat(16)),
        &format!(" {TRACE}-{SPAN}-1"),
        &format!("{TRACE}_{SPAN}_1"),
        &format!("{TRACE}-{SPAN}-1,{TRACE}-{SPAN}-1"),
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}

#[test]
fn b3_in_several_fields() {
    let fields = |[trace_id, span_id, parent_span_id, sampled, flags]: [Option<&'static str>;
                      5]| {
        let [trace_id, span_id, parent_span_id, sampled, flags] =
            [trace_id, span_id, parent_span_id, sampled, flags].map(|it| it.map(str::as_bytes));
        Multiple { trace_id, span_id, parent_span_id, sampled, flags }
    };
    let read = |fields: &Multiple<'_>| b3::multiple(fields).map(|it| it.map(|it| told(&it)));
    let (trace, span) = (Some("463ac35c9f6413ad48485a3953bb6124"), Some("a2fb4a1d1a96d312"));
    let is = |decision| {
        Ok(Some(format!("463ac35c9f6413ad48485a3953bb6124 a2fb4a1d1a96d312 {decision}")))
    };
    // The specification's values.
    let parent = Some("0020000000000001");
    for (sampled, flags, decision) in [
        (Some("1"), None, "Accept"),
        (Some("0"), None, "Deny"),
        (Some("true"), None, "Accept"),
        (Some("false"), None, "Deny"),
        (None, None, "Deferred"),
        (None, Some("1"), "Debug"),
        // "Debug implies an accept decision"; "any other value can be ignored".
        (Some("0"), Some("1"), "Debug"),
        (Some("1"), Some("0"), "Accept"),
        (None, Some("x"), "Deferred"),
    ] {
        assert_eq!(read(&fields([trace, span, parent, sampled, flags])), is(decision));
    }
    // opentelemetry-python: 0000000000000000463ac35c9f6413ad.
    let narrow = fields([Some("463ac35c9f6413ad"), span, None, Some("1"), None]);
    let wide = "0000000000000000463ac35c9f6413ad a2fb4a1d1a96d312 Accept".to_owned();
    assert_eq!(read(&narrow), Ok(Some(wide)));
    // "It is also valid to send sampling state independently."
    let alone = fields([None, None, None, Some("0"), None]);
    assert_eq!(read(&alone), Ok(Some("- - Deny".to_owned())));
    assert_eq!(read(&fields([None; 5])), Ok(None));
    assert_eq!(read(&fields([None, None, None, None, Some("0")])), Ok(None));

    // "An empty header or an arbitrary nonsense value are examples of malformed data."
    for bad in [
        [trace, None, None, None, None],
        [None, span, None, None, None],
        [None, None, parent, None, None],
        [None, None, parent, Some("0"), None],
        [trace, span, None, Some(""), None],
        [trace, span, None, Some("d"), None],
        [trace, span, None, Some("2"), None],
        [trace, span, None, Some("True"), None],
        [trace, span, Some("-"), None, None],
        [trace, span, Some(""), None, None],
        [trace, Some("A2FB4A1D1A96D312"), None, None, None],
        [trace, Some("0000000000000000"), None, None, None],
        [trace, Some("a2fb4a1d1a96d3"), None, None, None],
        [Some("00000000000000000000000000000000"), span, None, None, None],
        [Some("463ac35c9f6413ad48485a3953bb61"), span, None, None, None],
        [Some(""), span, None, None, None],
    ] {
        assert_eq!(read(&fields(bad)), Err(Malformed), "{bad:?}");
    }
}

#[test]
fn jaeger_of_any_length() {
    let read = |value: &str| parsed(jaeger::uber_trace_id(value.as_bytes()));
    // As opentelemetry-python reads them; debug comes with sampled.
    for (value, expected) in [
        (
            "000000000000000000000000deadbeef:00000000deadbef0:00000000:01",
            "000000000000000000000000deadbeef 00000000deadbef0 Accept",
        ),
        ("abc:1:0:3", "00000000000000000000000000000abc 0000000000000001 Debug"),
        (
            "463ac35c9f6413ad48485a3953bb6124:a2fb4a1d1a96d312:0:0",
            "463ac35c9f6413ad48485a3953bb6124 a2fb4a1d1a96d312 Deny",
        ),
        // As jaeger-client-node writes them: https://pastebin.com/m8FR5112.
        (
            "51729f13a64c2ef3:258169797d519815:51729f13a64c2ef3:1",
            "000000000000000051729f13a64c2ef3 258169797d519815 Accept",
        ),
        ("ABC%3A1%3a0:1", "00000000000000000000000000000abc 0000000000000001 Accept"),
        // The firehose flag is the backend's.
        ("abc:1:0:9", "00000000000000000000000000000abc 0000000000000001 Accept"),
        ("abc:1:0:2", "00000000000000000000000000000abc 0000000000000001 Deny"),
    ] {
        assert_eq!(read(value).as_deref(), Some(expected), "{value}");
    }
    for bad in [
        "",
        ":::",
        "abc",
        "abc:1:0",
        "abc:1:0:1:",
        "abc:1:0:1:1",
        "0:1:0:1",
        "abc:0:0:1",
        ":1:0:1",
        "abc::0:1",
        "abc:1::1",
        "abc:1:0:",
        "abc:1:0:001",
        "abc:1:0:g",
        "xyz:1:0:1",
        "0463ac35c9f6413ad48485a3953bb6124:1:0:1",
        "abc:0a2fb4a1d1a96d312:0:1",
        "abc:1:0a2fb4a1d1a96d312:1",
        "abc:-1:0:1",
        "0xabc:1:0:1",
        "abc:1:0: 1",
        "abc%3:1:0:1",
        "abc%3B1:0:1",
        "abc 1 0 1",
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}

#[test]
fn datadog_of_64_and_128_bits() {
    type Values = [Option<&'static str>; 4];
    let read = |[trace_id, parent_id, sampling_priority, tags]: Values| {
        let [trace_id, parent_id, sampling_priority, tags] =
            [trace_id, parent_id, sampling_priority, tags].map(|it| it.map(str::as_bytes));
        let fields = Datadog { trace_id, parent_id, sampling_priority, tags };
        datadog::datadog(&fields).map(|it| it.map(|it| told(&it)))
    };
    let (trace, parent) = (Some("12379814468735227512"), Some("6023947403358210776"));
    let tags = Some("_dd.p.dm=-4,_dd.p.tid=640cfd8d00000000");
    let low = "0000000000000000abcdefab12345678";
    for (values, expected) in [
        // As ddtrace writes a context of 640cfd8d00000000abcdefab12345678, 53995c3f42cd8ad8.
        (
            [trace, parent, Some("2"), tags],
            "640cfd8d00000000abcdefab12345678 53995c3f42cd8ad8 Accept".to_owned(),
        ),
        ([trace, parent, Some("1"), None], format!("{low} 53995c3f42cd8ad8 Accept")),
        ([trace, parent, Some("0"), None], format!("{low} 53995c3f42cd8ad8 Deny")),
        ([trace, parent, Some("-1"), Some("")], format!("{low} 53995c3f42cd8ad8 Deny")),
        ([trace, parent, None, Some("_dd.p.dm=-1")], format!("{low} 53995c3f42cd8ad8 Deferred")),
        // As ddtrace reads them.
        ([trace, Some("0"), None, None], format!("{low} - Deferred")),
        ([trace, None, None, None], format!("{low} - Deferred")),
        (
            [Some("12379813738877118345"), Some("1"), Some("-1"), None],
            "0000000000000000abcdef0123456789 0000000000000001 Deny".to_owned(),
        ),
    ] {
        assert_eq!(read(values), Ok(Some(expected)), "{values:?}");
    }
    assert_eq!(read([None; 4]), Ok(None));
    for bad in [
        [Some("0"), parent, None, None],
        [Some(""), parent, None, None],
        [Some("18446744073709551616"), parent, None, None],
        [Some("-5"), parent, None, None],
        [Some("+5"), parent, None, None],
        [Some("5a"), parent, None, None],
        [Some("0x5"), parent, None, None],
        [Some(" 5"), parent, None, None],
        [None, parent, Some("1"), tags],
        [None, None, Some("1"), None],
        [None, None, None, tags],
        [trace, Some(""), None, None],
        [trace, Some("-1"), None, None],
        [trace, Some("x"), None, None],
        [trace, Some("18446744073709551616"), None, None],
        [trace, parent, Some(""), None],
        [trace, parent, Some("-"), None],
        [trace, parent, Some("--1"), None],
        [trace, parent, Some("1.0"), None],
        [trace, parent, Some("99999999999"), None],
        [trace, parent, None, Some("_dd.p.tid=640CFD8D00000000")],
        [trace, parent, None, Some("_dd.p.tid=640cfd8d0000000")],
        [trace, parent, None, Some("_dd.p.tid=640cfd8d000000000")],
        [trace, parent, None, Some("_dd.p.tid=")],
        [trace, parent, None, Some("_dd.p.tid=640cfd8d00000000,_dd.p.tid=640cfd8d00000000")],
    ] {
        assert_eq!(read(bad), Err(Malformed), "{bad:?}");
    }
    let long = format!("_dd.p.x={}", "1".repeat(505)).into_bytes();
    let fields = |tags| Datadog { trace_id: Some(b"5"), tags: Some(tags), ..Datadog::default() };
    assert!(datadog::datadog(&fields(&long[..512])).is_ok());
    assert_eq!(datadog::datadog(&fields(&long)), Err(Malformed));
}

#[test]
fn x_ray_with_and_without_its_parts() {
    let read = |value: &str| parsed(xray::trace_id(value.as_bytes()));
    let root = "5759e988bd862e3fe1be46a994272793";
    for (value, expected) in [
        // The documentation's.
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", format!("{root} - Accept")),
        (
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            format!("{root} 53995c3f42cd8ad8 Accept"),
        ),
        // As opentelemetry-python reads it.
        (
            "Parent=53995c3f42cd8ad8;Sampled=0;Root=1-8a3c60f7-d188f8fa79d48a391a778fa6",
            "8a3c60f7d188f8fa79d48a391a778fa6 53995c3f42cd8ad8 Deny".to_owned(),
        ),
        // What a load balancer adds to, and what comes from Lambda.
        (
            "Self=1-67891234-12456789abcdef012345678;Root=1-5759E988-BD862E3FE1BE46A994272793;app=x",
            format!("{root} - Deferred"),
        ),
        (
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?;\
             Lineage=25:a87bd80c:1;",
            format!("{root} 53995c3f42cd8ad8 Deferred"),
        ),
        ("Root=1-5759e988-bd862e3fe1be46a994272793; Sampled=", format!("{root} - Deferred")),
        ("Sampled=0", "- - Deny".to_owned()),
    ] {
        assert_eq!(read(value), Some(expected), "{value}");
    }
    for bad in [
        "",
        ";",
        "Root",
        "Root=",
        "=1",
        "1-5759e988-bd862e3fe1be46a994272793",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988bd862e3fe1be46a994272793",
        "Root=1-5759e98-bd862e3fe1be46a9942727933",
        "Root=1-5759e988-bd862e3fe1be46a99427279",
        "Root=1-5759e988-bd862e3fe1be46a9942727933",
        "Root=1-5759e988-gd862e3fe1be46a994272793",
        "Root=1-00000000-000000000000000000000000",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=2",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=true",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Sampled=1",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a994272793;x",
        "Parent=53995c3f42cd8ad8;Sampled=1",
        "Self=1-67891234-12456789abcdef012345678",
        "root=1-5759e988-bd862e3fe1be46a994272793",
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}
