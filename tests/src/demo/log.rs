//! Log lines, each service in its own format: they are what the sensor will join to the traces.

use std::fmt;
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// One line on standard output, in one write.
pub(super) fn line(text: fmt::Arguments<'_>) {
    let _ = io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// One line of JSON.
pub(super) fn json(level: &str, message: &str, trace_id: Option<&str>, status: u16) {
    let mut record = serde_json::json!({
        "ts": now_ms() as u64, "level": level, "msg": message, "status": status,
    });
    if let (Some(trace_id), Some(record)) = (trace_id, record.as_object_mut()) {
        record.insert("trace_id".to_owned(), trace_id.into());
    }
    line(format_args!("{record}"));
}
