//! A record of a log as OTLP has it
//! (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>).

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::logs::v1::LogRecord as OtlpRecord;

use super::event::key_values;
use crate::model::{Attribute, Correlation, LogRecord, LogSource, Severity, Text, TraceId, Value};

/// Attribute: what kind of code the record comes from.
const CLASS: &str = "sensor.log.class";
/// Attribute: what says whose it is.
const CORRELATION: &str = "sensor.log.correlation";
/// Attribute: it was written after its request had been answered.
const AFTER_RESPONSE: &str = "sensor.log.after_response";
/// Attribute: why it breaks the schema.
const DEAD_LETTER: &str = "sensor.log.dead_letter";

pub(super) fn record(record: &LogRecord) -> OtlpRecord {
    // As for spans: a new field of the model has to be carried, or left out on purpose.
    let LogRecord {
        time_unix_ns,
        observed_unix_ns,
        severity,
        severity_text,
        message,
        caller,
        event,
        correlation,
        class,
        source,
        attributes,
        breach,
        resource: _,
    } = record;
    let mut all = key_values(attributes);
    // What the record says itself under the same name stands.
    let mut add = |key: &'static str, value: Value| {
        if !attributes.iter().any(|it| it.key == key) {
            all.extend(key_values(&[Attribute { key: Cow::Borrowed(key), value }]));
        }
    };
    match caller.as_ref().map(|caller| place(caller)) {
        Some(Place::Line(file, line)) => {
            add("code.file.path", Text::copy(file).into());
            add("code.line.number", line.into());
        }
        Some(Place::Function(name)) => add("code.function.name", Text::copy(name).into()),
        None => {}
    }
    match source {
        LogSource::Stdout => add("log.iostream", "stdout".into()),
        LogSource::Stderr => add("log.iostream", "stderr".into()),
        LogSource::File(path) if path.is_empty() => {}
        LogSource::File(path) => add("log.file.path", Text::from(path.clone()).into()),
        LogSource::Exchange => {}
    }
    add(CLASS, class.name().into());
    if let Some(breach) = breach {
        add(DEAD_LETTER, breach.name().into());
    }
    let mut ids = (Vec::new(), Vec::new());
    if let Some(Correlation { trace_id, span_id, evidence, after_response }) = correlation {
        ids.0 = TraceId::bytes(trace_id).to_vec();
        ids.1 = span_id.map(|id| id.bytes().to_vec()).unwrap_or_default();
        add(CORRELATION, (*evidence).into());
        if *after_response {
            add(AFTER_RESPONSE, true.into());
        }
    }
    OtlpRecord {
        // Zero is "unknown or missing" there.
        time_unix_nano: time_unix_ns.unwrap_or(0),
        observed_time_unix_nano: *observed_unix_ns,
        severity_number: severity.map_or(0, Severity::number),
        severity_text: severity_text.as_ref().map(ToString::to_string).unwrap_or_default(),
        body: Some(AnyValue { value: Some(AnyValueKind::StringValue(message.to_string())) }),
        attributes: all,
        dropped_attributes_count: 0,
        // The flags of its trace are not known here.
        flags: 0,
        trace_id: ids.0,
        span_id: ids.1,
        event_name: event.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Where in a program something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    Line(&'a str, i64),
    Function(&'a str),
}

/// `file:line`, else a function.
fn place(caller: &str) -> Place<'_> {
    let parts = caller.rsplit_once(':').filter(|(file, _)| !file.is_empty());
    match parts.and_then(|(file, line)| Some((file, line.parse::<u32>().ok()?))) {
        Some((file, line)) => Place::Line(file, line.into()),
        None => Place::Function(caller),
    }
}
