//! What the sensor produces: spans and the resources they belong to. Ours, never a wire structure;
//! each exporter converts at its own boundary.

mod exporter;
mod id;
mod log;
mod span;
mod text;

pub use exporter::{SpanEndpoint, SpanExport};
pub use id::{SpanId, TraceFlags, TraceId};
pub use log::{Breach, Class, Correlation, LogIds, LogRecord, LogSource, Severity};
pub use span::{Attribute, FOREIGN, Link, OWN, Resource, Span, SpanEvent, SpanKind, Status, Value};
pub use text::Text;
