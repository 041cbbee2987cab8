//! A batch as one export request.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::{event, record};
use crate::model::{LogRecord, Resource, Span};

pub(super) fn export_request(batch: &[Arc<Span>]) -> ExportTraceServiceRequest {
    let groups = by_resource(batch, |span| &span.resource, event::span);
    let resource_spans = groups
        .into_iter()
        .map(|(resource, spans)| ResourceSpans {
            resource: Some(event::resource(resource)),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

pub(super) fn export_logs_request(batch: &[Arc<LogRecord>]) -> ExportLogsServiceRequest {
    let groups = by_resource(batch, |record| &record.resource, record::record);
    let resource_logs = groups
        .into_iter()
        .map(|(resource, log_records)| ResourceLogs {
            resource: Some(event::resource(resource)),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

/// Groups by resource, by identity and not by content: everything of a process shares one
/// allocation, and a process that became another one has another.
fn by_resource<'a, T, U>(
    batch: &'a [Arc<T>],
    resource_of: impl Fn(&'a T) -> &'a Arc<Resource>,
    convert: impl Fn(&T) -> U,
) -> Vec<(&'a Arc<Resource>, Vec<U>)> {
    let mut groups: Vec<(&Arc<Resource>, Vec<U>)> = Vec::new();
    for item in batch {
        let of = resource_of(item);
        // Few processes speak within one batch, mostly the one that spoke last.
        let known = groups.iter().rposition(|(resource, _)| Arc::ptr_eq(resource, of));
        let group = known.unwrap_or_else(|| {
            groups.push((of, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(convert(item));
    }
    groups
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "sensor".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
