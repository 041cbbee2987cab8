mod config;
mod grpc;
mod http;
mod logs;

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use prost::Message as _;

use super::event;
use super::request::export_request;
use crate::export::testing::{resource, span_of};
use crate::model::{
    Attribute, Link, Span, SpanEvent, SpanId, SpanKind, Status, TraceFlags, TraceId,
};

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.into())) }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

/// A span with everything that a span can have.
pub(super) fn full() -> Span {
    Span {
        parent_span_id: SpanId::new([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]),
        trace_state: Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".into()),
        name: "GET /cart".into(),
        status: Status::Error,
        attributes: vec![
            Attribute::new("url.path", "/cart"),
            Attribute::new("http.response.status_code", 503),
            Attribute::new("sensor.inferred", true),
            Attribute::new("http.request.header.x", vec!["a".to_owned(), "b".to_owned()]),
        ],
        events: vec![SpanEvent {
            time_unix_ns: 1_700_000_000_124_000_000,
            name: "http.response.first_byte",
            attributes: vec![Attribute::new("n", -1)],
        }],
        links: vec![Link {
            trace_id: TraceId::new([7; 16]).unwrap(),
            span_id: SpanId::new([8; 8]).unwrap(),
            attributes: vec![Attribute::new("why", "pipelined")],
        }],
        ..span_of(&resource("shop"), 0xb7)
    }
}

/// Field by field as `opentelemetry/proto/trace/v1/trace.proto` has them.
#[test]
fn a_span_carries_everything() {
    let OtlpSpan {
        trace_id,
        span_id,
        trace_state,
        parent_span_id,
        flags,
        name,
        kind,
        start_time_unix_nano,
        end_time_unix_nano,
        attributes,
        events,
        links,
        status,
        ..
    } = event::span(&full());
    assert_eq!(trace_id, 0x4bf92f3577b34da6a3ce929d0e0e4736_u128.to_be_bytes());
    assert_eq!(span_id, 0x00f067aa0ba902b7_u64.to_be_bytes());
    assert_eq!(parent_span_id, 0xb7ad6b7169203331_u64.to_be_bytes());
    assert_eq!(trace_state, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    // Sampled (bit 0), and the parent is known (bit 8) to be remote (bit 9).
    assert_eq!(flags, 0x301);
    assert_eq!(name, "GET /cart");
    assert_eq!(kind, 2, "SPAN_KIND_SERVER");
    assert_eq!(start_time_unix_nano, 1_700_000_000_123_456_789);
    assert_eq!(end_time_unix_nano, 1_700_000_000_125_000_000);
    let array = AnyValue {
        value: Some(Any::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
            values: vec![text("a"), text("b")],
        })),
    };
    assert_eq!(
        attributes,
        [
            pair("url.path", text("/cart")),
            pair("http.response.status_code", AnyValue { value: Some(Any::IntValue(503)) }),
            pair("sensor.inferred", AnyValue { value: Some(Any::BoolValue(true)) }),
            pair("http.request.header.x", array),
        ]
    );
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].time_unix_nano, 1_700_000_000_124_000_000);
    assert_eq!(events[0].name, "http.response.first_byte");
    let minus_one = AnyValue { value: Some(Any::IntValue(-1)) };
    assert_eq!(events[0].attributes, [pair("n", minus_one)]);
    assert_eq!(links.len(), 1);
    assert_eq!(
        (links[0].trace_id.as_slice(), links[0].span_id.as_slice()),
        (&[7; 16][..], &[8; 8][..])
    );
    assert_eq!(links[0].attributes, [pair("why", text("pipelined"))]);
    assert_eq!(status.unwrap().code, 2, "STATUS_CODE_ERROR");
}

#[test]
fn what_is_not_known_is_not_set() {
    let span = Span { kind: SpanKind::Client, flags: TraceFlags(0), ..span_of(&resource("s"), 1) };
    let span = event::span(&span);
    assert_eq!(span.kind, 3, "SPAN_KIND_CLIENT");
    assert_eq!(span.flags, 0);
    assert!(span.parent_span_id.is_empty());
    assert!(span.trace_state.is_empty());
    assert_eq!(span.status, None);
}

/// Every span under its own process, whatever the order in which they come.
#[test]
fn spans_are_grouped_by_resource() {
    let (shop, cart, twin) = (resource("shop"), resource("cart"), resource("shop"));
    let batch: Vec<_> = [(&shop, 1), (&cart, 2), (&shop, 3), (&twin, 4), (&cart, 5)]
        .into_iter()
        .map(|(resource, n)| Arc::new(span_of(resource, n)))
        .collect();
    let bytes = export_request(&batch).encode_to_vec();
    let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    let groups: Vec<_> = request
        .resource_spans
        .iter()
        .map(|group| {
            let [scope_spans] = group.scope_spans.as_slice() else { panic!("one scope") };
            let scope = scope_spans.scope.as_ref().unwrap();
            assert_eq!((scope.name.as_str(), scope.version.as_str()), ("sensor", "0.1.0"));
            let ids: Vec<_> = scope_spans.spans.iter().map(|span| span.span_id[7]).collect();
            (group.resource.as_ref().unwrap().attributes.clone(), ids)
        })
        .collect();
    let service = |name| vec![pair("service.name", text(name))];
    assert_eq!(
        groups,
        [(service("shop"), vec![1, 3]), (service("cart"), vec![2, 5]), (service("shop"), vec![4])]
    );
}
