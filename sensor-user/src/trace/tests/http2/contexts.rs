//! Trace contexts other than W3C's, and identifiers, in header blocks: known, and hidden.

use super::super::world::texts;
use super::*;

const S: &str = "00f067aa0ba902b7";

/// GET with more fields.
fn asked<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = GET.to_vec();
    fields.extend(more);
    fields
}

fn parent(span: &Span) -> Option<String> {
    span.parent_span_id.map(|id| id.to_string())
}

#[test]
fn a_context_by_its_name() {
    let (b3, wide) = (format!("{T}-{S}-1"), T.to_owned());
    for (fields, format) in
        [(&[("b3", &*b3)][..], "b3"), (&[("x-b3-traceid", &*wide), ("x-b3-spanid", S)], "b3multi")]
    {
        let mut talk = Talk::new(SERVER);
        for id in [1, 3] {
            talk.request(id, true, &asked(fields));
            talk.response(id, true, &OK);
        }
        for span in &talk.world.spans {
            assert_eq!((span.trace_id.to_string(), parent(span)), (wide.clone(), Some(S.into())));
            assert_eq!(text(span, "sensor.context.format"), Some(format));
            assert_eq!(text(span, "sensor.link"), None);
        }
        assert_eq!(talk.world.spans.len(), 2);
    }
}

#[test]
fn identifiers_of_both_messages() {
    let mut talk = Talk::new(SERVER);
    talk.request(1, true, &asked(&[("x-request-id", "a"), ("x-request-id", "b")]));
    talk.response(1, false, &[(":status", "103"), ("x-request-id", "early")]);
    talk.response(1, false, &[(":status", "200"), ("x-request-id", "c"), ("traceparent", "t")]);
    talk.response(1, true, &[("x-request-id", "trailer")]);
    let span = talk.world.one();
    let list = |texts: &[&str]| Some(texts.iter().map(|&it| it.to_owned()).collect::<Vec<_>>());
    assert_eq!(texts(&span, "http.request.header.x-request-id"), list(&["a", "b"]));
    assert_eq!(texts(&span, "http.response.header.x-request-id"), list(&["c"]));
    assert_eq!(texts(&span, "http.response.header.traceparent"), list(&["t"]));
}

/// A connection on which `before` went by as the request's fields before it was seen.
fn older(before: &[(&str, &str)]) -> Talk {
    let mut world = World::new();
    let mut flow = world.flow(SERVER);
    flow.from_start = false;
    let mut talk = Talk::on(world, flow, SERVER);
    talk.client.block(&asked(before));
    talk
}

#[test]
fn one_that_a_hidden_one_may_outrank_is_inferred() {
    let b3 = format!("{T}-{S}-1");
    let mut talk = older(&[]);
    // The fields of GET are hidden, any of them may be a traceparent.
    talk.request(101, true, &asked(&[("b3", &b3), ("x-new", "1")]));
    talk.response(101, true, &OK);
    let span = talk.world.one();
    assert_eq!((span.trace_id.to_string(), parent(&span)), (T.to_owned(), Some(S.into())));
    assert_eq!(text(&span, "sensor.link"), Some("inferred"));

    // W3C's by its name is outranked by none.
    let w3c = format!("00-{T}-{S}-01");
    let mut talk = older(&[]);
    talk.request(101, true, &asked(&[("b3", "0"), ("traceparent", &w3c)]));
    talk.response(101, true, &OK);
    let span = talk.world.one();
    assert_eq!(text(&span, "sensor.link"), None);
    assert_eq!(texts(&span, "sensor.context.conflict"), Some(vec!["b3".to_owned()]));
}

#[test]
fn parts_that_may_be_hidden_make_it_unknown() {
    for fields in [
        &[("x-b3-spanid", S)][..],
        &[("x-datadog-trace-id", "5"), ("x-datadog-parent-id", "6")],
        // The ids may be in another field.
        &[("b3", "1")],
        // Nothing at all.
        &[("x-other", "?")],
    ] {
        let mut talk = older(&[]);
        talk.request(101, true, &asked(fields));
        talk.response(101, true, &OK);
        let span = talk.world.one();
        assert_eq!(text(&span, "sensor.link"), Some("unknown"), "{fields:?}");
        assert_eq!(text(&span, "sensor.context.format"), None);
        assert_eq!(span.parent_span_id, None);
        assert_eq!(talk.count(Counter::B3Malformed) + talk.count(Counter::DatadogMalformed), 0);
    }
}

/// Nothing but names is hidden.
#[test]
fn a_value_without_its_name_may_be_a_context() {
    let (b3, jaeger) = (format!("{T}-{S}-1"), format!("{T}:{S}:0:1"));
    let root = format!("Root=1-{}-{}", &T[..8], &T[8..]);
    let sw8 = "1-dHJhY2U=-c2VnbWVudA==-3-YQ==-YQ==-YQ==-YQ==";
    for (value, link) in [
        (&*b3, Some("unknown")),
        (&*jaeger, Some("unknown")),
        (&*root, Some("unknown")),
        (sw8, Some("unknown")),
        (T, Some("unknown")),
        ("12379814468735227512", Some("unknown")),
        ("text/plain; x=1", None),
    ] {
        let mut talk = older(&[]);
        // Names by their index in what is not known of the table; all else in the static one.
        let mut block =
            talk.client.block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
        block.extend([0x40 | 62, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
        talk.ask(&frame(1, 5, 101, &block));
        talk.response(101, true, &OK);
        let span = talk.world.one();
        assert_eq!(text(&span, "sensor.link"), link, "{value}");
        assert_eq!(span.parent_span_id, None);
    }
}
