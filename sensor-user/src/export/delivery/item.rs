//! What is delivered, and how much of it there is.

use std::sync::Arc;

use crate::model::{Attribute, LogRecord, LogSource, Resource, Span, Text, Value};

/// Something on its way to a backend.
pub(in crate::export) trait Item: Send + Sync + 'static {
    /// About how many bytes it holds, and adds to a request.
    fn weight(&self) -> usize;

    /// The process that it is from.
    fn resource(&self) -> &Arc<Resource>;

    /// A number that distinguishes its stream among those of one service and owner. By default
    /// they have one together.
    fn stream(&self) -> Option<u8> {
        None
    }
}

/// The key of a share: the container, or the service where there is no container. A process can
/// choose the name of its service, but not its container.
pub(in crate::export) fn owner(resource: &Resource) -> &str {
    resource.text("container.id").or_else(|| resource.service_name()).unwrap_or_default()
}

/// A flat charge for what a field has beside its texts.
const FIELD: usize = 16;

impl Item for Arc<Span> {
    fn weight(&self) -> usize {
        128 + self.name.len()
            + self.trace_state.as_ref().map_or(0, |state| state.len())
            + weight_of(&self.attributes)
            + 64 * (self.events.len() + self.links.len())
    }

    fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }
}

impl Item for Arc<LogRecord> {
    fn weight(&self) -> usize {
        weight_of_record(self)
    }

    fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }
}

/// The same for whoever holds records elsewhere.
pub(crate) fn weight_of_record(record: &LogRecord) -> usize {
    let text = |text: &Option<Text>| text.as_ref().map_or(0, |text| text.len());
    let path = match &record.source {
        LogSource::File(path) => path.len(),
        LogSource::Stdout | LogSource::Stderr | LogSource::Exchange => 0,
    };
    192 + record.message.len()
        + text(&record.severity_text)
        + text(&record.caller)
        + text(&record.event)
        + path
        + weight_of(&record.attributes)
}

fn weight_of(attributes: &[Attribute]) -> usize {
    let value = |value: &Value| match value {
        Value::Str(text) => text.len(),
        Value::Strs(texts) => texts.iter().map(|text| text.len() + FIELD).sum(),
        Value::Int(_) | Value::Double(_) | Value::Bool(_) => 8,
    };
    attributes.iter().map(|it| it.key.len() + value(&it.value) + FIELD).sum()
}
