//! The line under a live view: what was seen, and what was not and why, so that an empty screen
//! explains itself.

use super::text::cut;

/// Counters that say why something is not shown, and how to call them.
const REMARKS: &[(&str, &str)] = &[
    ("capture.undecodable", "undecodable events"),
    ("connections.not_http", "not HTTP"),
    ("connections.tls", "TLS"),
    ("connections.upgraded", "upgraded"),
    ("connections.evicted", "connections evicted"),
    ("exchanges.orphan_responses", "orphan responses"),
    ("logs.records", "log records"),
    ("logs.dead_letter", "broken log records"),
    ("spans.not_sampled", "not sampled"),
    ("spans.kept_error", "kept as errors"),
    ("spans.kept_slow", "kept as slow"),
    ("spans.existing", "exported by their processes"),
    ("context.traceparent_malformed", "bad traceparent"),
    ("context.grpc_trace_bin_malformed", "bad grpc-trace-bin"),
    ("context.b3_malformed", "bad b3"),
    ("context.jaeger_malformed", "bad uber-trace-id"),
    ("context.datadog_malformed", "bad x-datadog"),
    ("context.sw8_malformed", "bad sw8"),
    ("context.xray_malformed", "bad x-amzn-trace-id"),
    ("context.conflicting", "contexts disagree"),
];

/// One line from counters by their dotted names. A name with a part `lost` is a loss, called by
/// what follows; its stage stands before it unless that is the exchanges themselves. Only what is
/// not zero is listed, but `lost 0` is always said.
pub fn footer<'a>(
    counters: impl IntoIterator<Item = (&'a str, u64)>,
    width: Option<usize>,
) -> String {
    let (mut requests, mut spans, mut connections, mut lost) = (0, 0, 0, 0u64);
    let mut reasons = Vec::new();
    let mut remarks = Vec::new();
    for (name, count) in counters {
        match name {
            "exchanges.seen" => requests = count,
            "exchanges.spans" => spans = count,
            "connections.seen" => connections = count,
            _ if count == 0 => {}
            _ => {
                if let Some(reason) = loss(name) {
                    lost = lost.saturating_add(count);
                    reasons.push(format!("{reason} {count}"));
                } else if let Some((_, remark)) = REMARKS.iter().find(|(known, _)| *known == name) {
                    remarks.push(format!("{remark} {count}"));
                }
            }
        }
    }
    let mut line =
        format!("connections {connections} · captured {requests} · spans {spans} · lost {lost}");
    if !reasons.is_empty() {
        line += &format!(" ({})", reasons.join(", "));
    }
    for remark in remarks {
        line += " · ";
        line += &remark;
    }
    match width {
        Some(width) => cut(&line, width).into_owned(),
        None => line,
    }
}

/// `exchanges.lost.gap` is `gap`, `otlp.lost.queue_full` is `otlp queue full`, `output.lost` is
/// `output`.
fn loss(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split('.').collect();
    if !parts.contains(&"lost") {
        return None;
    }
    let named = parts.iter().filter(|part| **part != "lost" && **part != "exchanges");
    Some(named.map(|part| part.replace('_', " ")).collect::<Vec<_>>().join(" "))
}
