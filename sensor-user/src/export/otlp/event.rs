//! A span of the model as a span of OTLP.

use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::span::{
    Event as OtlpEvent, Link as OtlpLink, SpanKind as OtlpKind,
};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as OtlpSpan, SpanFlags, Status as OtlpStatus};

use crate::model::{Attribute, Link, Resource, Span, SpanEvent, SpanKind, Status, Value};

pub(super) fn span(span: &Span) -> OtlpSpan {
    // Taken apart without a rest pattern: a new field of the model has to be carried, or left
    // out on purpose. The resource goes into the envelope.
    let Span {
        trace_id,
        span_id,
        parent_span_id,
        flags,
        trace_state,
        name,
        kind,
        start_unix_ns,
        end_unix_ns,
        status,
        attributes,
        events,
        links,
        // Who decided what is exported is told by the flags.
        remote_sampled: _,
        flag_refused: _,
        minted: _,
        exports_spans: _,
        resource: _,
    } = span;
    // A server span's parent is in the process that sent the request: that the context came from
    // elsewhere is known. Of a client span's parent it is not said.
    let remote = match (kind, parent_span_id) {
        (SpanKind::Server, Some(_)) => {
            SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32
        }
        _ => 0,
    };
    OtlpSpan {
        trace_id: trace_id.bytes().to_vec(),
        span_id: span_id.bytes().to_vec(),
        trace_state: trace_state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent_span_id.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        flags: u32::from(flags.0) | remote,
        name: name.clone().into_owned(),
        kind: match kind {
            SpanKind::Server => OtlpKind::Server,
            SpanKind::Client => OtlpKind::Client,
        }
        .into(),
        start_time_unix_nano: *start_unix_ns,
        end_time_unix_nano: *end_unix_ns,
        attributes: key_values(attributes),
        dropped_attributes_count: 0,
        events: events.iter().map(event).collect(),
        dropped_events_count: 0,
        links: links.iter().map(link).collect(),
        dropped_links_count: 0,
        status: match status {
            Status::Unset => None,
            Status::Error => {
                Some(OtlpStatus { message: String::new(), code: StatusCode::Error.into() })
            }
        },
    }
}

pub(super) fn resource(resource: &Resource) -> OtlpResource {
    let Resource { attributes, span_endpoints: _ } = resource;
    OtlpResource { attributes: key_values(attributes), ..OtlpResource::default() }
}

fn event(event: &SpanEvent) -> OtlpEvent {
    let SpanEvent { time_unix_ns, name, attributes } = event;
    OtlpEvent {
        time_unix_nano: *time_unix_ns,
        name: (*name).to_owned(),
        attributes: key_values(attributes),
        dropped_attributes_count: 0,
    }
}

fn link(link: &Link) -> OtlpLink {
    let Link { trace_id, span_id, attributes } = link;
    OtlpLink {
        trace_id: trace_id.bytes().to_vec(),
        span_id: span_id.bytes().to_vec(),
        attributes: key_values(attributes),
        ..OtlpLink::default()
    }
}

pub(super) fn key_values(attributes: &[Attribute]) -> Vec<KeyValue> {
    let convert = |attribute: &Attribute| KeyValue {
        key: attribute.key.clone().into_owned(),
        value: Some(any_value(&attribute.value)),
        ..KeyValue::default()
    };
    attributes.iter().map(convert).collect()
}

fn any_value(value: &Value) -> AnyValue {
    let text = |text: &str| AnyValueKind::StringValue(text.to_owned());
    let kind = match value {
        Value::Str(it) => text(it),
        Value::Int(it) => AnyValueKind::IntValue(*it),
        Value::Double(it) => AnyValueKind::DoubleValue(*it),
        Value::Bool(it) => AnyValueKind::BoolValue(*it),
        Value::Strs(texts) => AnyValueKind::ArrayValue(ArrayValue {
            values: texts.iter().map(|it| AnyValue { value: Some(text(it)) }).collect(),
        }),
    };
    AnyValue { value: Some(kind) }
}
