//! A batch of spans as one export request.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::event;
use crate::model::{Resource, Span};

/// Groups by resource, by identity and not by content: every span of a process shares one
/// allocation, and a process that became another one has another.
pub(super) fn export_request(batch: &[Arc<Span>]) -> ExportTraceServiceRequest {
    let mut groups: Vec<(&Arc<Resource>, Vec<_>)> = Vec::new();
    for span in batch {
        // Few processes speak within one batch, mostly the one that spoke last.
        let known = groups.iter().rposition(|(resource, _)| Arc::ptr_eq(resource, &span.resource));
        let group = known.unwrap_or_else(|| {
            groups.push((&span.resource, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(event::span(span));
    }
    let resource_spans = groups
        .into_iter()
        .map(|(resource, spans)| ResourceSpans {
            resource: Some(event::resource(resource)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "sensor".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}
