//! Where spans and records of logs go besides standard output. Each destination reads its own settings; here they are
//! put together with the variables of OpenTelemetry's batch processor, and with what is worth
//! saying about them
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
//!
//! Unlike an SDK, the sensor sends nothing unless a flag or a variable names a destination.
//! `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` belong to the traced processes and are read
//! from theirs.

use super::flags::ExportFlags;
use super::{Env, Problem, Problems, value};
use crate::export::{Policy, Settings, endpoint_holds_key, loki, otlp};

/// Spans or records that may wait, at most. What they take is bounded by bytes besides.
const QUEUE_MAX: usize = 1 << 20;

/// Where else spans and records of logs go.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// The destinations.
    pub settings: Settings,
    /// What is odd and still usable; said once at start.
    pub notes: Vec<String>,
}

pub(super) fn export(flags: &ExportFlags, env: Env<'_>, problems: &mut Problems) -> Export {
    let ExportFlags { otlp_endpoint, otlp_protocol, loki_endpoint, loki_tenant } = flags;
    let mut notes = Vec::new();
    for (flag, endpoint, variable) in [
        ("--otlp-endpoint", otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("--loki-endpoint", loki_endpoint, "SENSOR_LOKI_ENDPOINT"),
    ] {
        if endpoint.as_deref().is_some_and(endpoint_holds_key) {
            notes.push(format!(
                "{flag} seems to hold a key, and every user of this host sees arguments (ps): set \
                 {variable}_FILE to a file with the endpoint, or {variable}, instead"
            ));
        }
    }
    let otlp =
        otlp::Settings::from_env_and_flags(env, otlp_endpoint.as_deref(), otlp_protocol.as_deref());
    let before = problems.0.len();
    let otlp = texts(otlp, problems).map(|mut settings| {
        batches(&mut settings.policy, "OTEL_BSP", env, problems);
        notes.extend(grpc_port(&settings, "TRACES", otlp_protocol.as_deref(), env));
        settings
    });
    if otlp.is_none()
        && problems.0.len() == before
        && let Some(protocol) = otlp_protocol
    {
        problems.push("--otlp-protocol", protocol, "--otlp-endpoint URL beside it");
    }
    let loki =
        loki::Settings::from_env_and_flags(env, loki_endpoint.as_deref(), loki_tenant.as_deref());
    let before = problems.0.len();
    let loki = texts(loki, problems);
    if loki.is_none()
        && problems.0.len() == before
        && let Some(tenant) = loki_tenant
    {
        problems.push("--loki-tenant", tenant, "--loki-endpoint URL beside it");
    }
    // Loki takes them, where there is one, unless logs are asked for over OTLP too.
    let otlp_logs = otlp::Settings::logs_from_env_and_flags(
        env,
        otlp_endpoint.as_deref(),
        otlp_protocol.as_deref(),
        loki.is_none(),
    );
    let otlp_logs = texts(otlp_logs, problems).map(|mut settings| {
        batches(&mut settings.policy, "OTEL_BLRP", env, problems);
        let note = grpc_port(&settings, "LOGS", otlp_protocol.as_deref(), env);
        notes.extend(note.filter(|note| !notes.contains(note)));
        settings
    });
    Export { settings: Settings { otlp, otlp_logs, loki }, notes }
}

fn texts<T>(read: Result<Option<T>, Vec<String>>, problems: &mut Problems) -> Option<T> {
    read.unwrap_or_else(|texts| {
        // What is for all signals is read for each of them, and said once.
        for text in texts {
            let said = |it: &Problem| matches!(it, Problem::Said(said) if *said == text);
            if !problems.0.iter().any(said) {
                problems.0.push(Problem::Said(text));
            }
        }
        None
    })
}

/// The queue and its batches, by `OTEL_BSP_*` for spans and `OTEL_BLRP_*` for records of logs.
fn batches(policy: &mut Policy, prefix: &str, env: Env<'_>, problems: &mut Problems) {
    let read = |setting: &str| {
        let setting = format!("{prefix}_{setting}");
        let text = env(&setting).filter(|text| !text.trim().is_empty())?;
        Some((text, setting))
    };
    if let Some((text, setting)) = read("MAX_QUEUE_SIZE") {
        let parsed = value::count(&text, QUEUE_MAX);
        policy.capacity = problems.take(&setting, &text, parsed).unwrap_or(policy.capacity);
        // A smaller queue takes smaller batches, unless those are set too.
        policy.batch_items = policy.batch_items.min(policy.capacity);
    }
    if let Some((text, setting)) = read("MAX_EXPORT_BATCH_SIZE") {
        let parsed = value::count(&text, policy.capacity)
            .map_err(|expected| format!("{expected} (the queue's size, {prefix}_MAX_QUEUE_SIZE)"));
        policy.batch_items = problems.take(&setting, &text, parsed).unwrap_or(policy.batch_items);
    }
    if let Some((text, setting)) = read("SCHEDULE_DELAY") {
        let parsed = value::milliseconds(&text);
        policy.batch_age = problems.take(&setting, &text, parsed).unwrap_or(policy.batch_age);
    }
}

/// The commonest mix-up: gRPC's port with the protocol left at its default.
fn grpc_port(
    settings: &otlp::Settings,
    signal: &str,
    flag: Option<&str>,
    env: Env<'_>,
) -> Option<String> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL");
    let said = flag.is_some()
        || [own.as_str(), "OTEL_EXPORTER_OTLP_PROTOCOL"]
            .iter()
            .any(|name| env(name).is_some_and(|text| !text.trim().is_empty()));
    (!said && settings.endpoint.port() == Some(4317)).then(|| {
        "port 4317 is usually gRPC's, and http/protobuf will be spoken: if nothing arrives, add \
         --otlp-protocol grpc or use port 4318"
            .to_owned()
    })
}
