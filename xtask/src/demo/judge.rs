//! Whether the sensor saw the shop.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::calls::Calls;
use super::lines::Lines;
use super::shop::SERVICES;

/// What a service has written to its log.
pub(super) type Logs<'a> = &'a dyn Fn(&str) -> Result<String>;

/// Reads what the sensor prints.
pub(super) trait Judge {
    /// A line of its output; says whether people want to read it.
    fn line(&mut self, line: &str) -> bool;

    /// With what the services logged.
    ///
    /// # Errors
    /// It did not see what it should have.
    fn verdict(&self, logs: Logs<'_>) -> Result<()>;
}

/// For people: each service's name shows up somewhere, as it does in the summary of spans by service.
#[derive(Default)]
pub(super) struct Names(BTreeSet<&'static str>);

impl Judge for Names {
    fn line(&mut self, line: &str) -> bool {
        let named = SERVICES.iter().filter(|service| line.contains(**service));
        self.0.extend(named);
        true
    }

    fn verdict(&self, _: Logs<'_>) -> Result<()> {
        if self.0.is_empty() {
            bail!("the sensor saw no exchange at all");
        }
        Ok(())
    }
}

/// For CI: each service has spans, one trace joins the services that pass the context on, the calls of gRPC are
/// those that payments logged, and the services' lines are below the spans of their requests.
#[derive(Default)]
pub(super) struct Json {
    services: BTreeMap<String, u64>,
    traces: BTreeMap<String, BTreeSet<String>>,
    calls: Calls,
    lines: Lines,
    summary: bool,
    strange: Option<String>,
}

/// The services that one `traceparent` goes through.
const JOINED: [&str; 5] = SERVICES;

impl Judge for Json {
    fn line(&mut self, line: &str) -> bool {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            self.strange.get_or_insert_with(|| line.to_owned());
            return true;
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        match record.get("type").and_then(Value::as_str) {
            Some("span") => {
                self.calls.span(&record);
                self.lines.span(&record);
                let service = text(record.get("resource").and_then(|r| r.get("service.name")));
                let trace = text(record.get("trace_id"));
                if let (Some(service), Some(trace)) = (service, trace) {
                    *self.services.entry(service.clone()).or_default() += 1;
                    self.traces.entry(trace).or_default().insert(service);
                }
                false
            }
            Some("log") => {
                self.lines.record(&record);
                false
            }
            Some("summary") => {
                self.summary = true;
                self.calls.summary(&record);
                self.lines.summary(&record);
                true
            }
            _ => false,
        }
    }

    fn verdict(&self, logs: Logs<'_>) -> Result<()> {
        if let Some(line) = &self.strange {
            bail!("not a line of JSON: {line}");
        }
        if !self.summary {
            bail!("the last line is missing: no summary");
        }
        let unseen: Vec<_> =
            SERVICES.iter().filter(|name| !self.services.contains_key(**name)).collect();
        if !unseen.is_empty() {
            bail!("no span from {unseen:?}; spans by service: {:?}", self.services);
        }
        let joined =
            |services: &BTreeSet<String>| JOINED.iter().all(|name| services.contains(*name));
        if !self.traces.values().any(joined) {
            bail!("no trace joins {JOINED:?}");
        }
        self.calls.verdict(&logs("payments")?)?;
        self.lines.verdict(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::spans;
    use super::super::lines::tests::{log, told};
    use super::{JOINED, Json, Judge as _};

    fn span(service: &str, trace: &str) -> String {
        format!(
            r#"{{"type":"span","trace_id":"{trace}","resource":{{"service.name":"{service}"}}}}"#
        )
    }

    fn judged(lines: &[String]) -> Result<(), String> {
        let mut judge = Json::default();
        for line in lines {
            judge.line(line);
        }
        judge.verdict(&log).map_err(|error| error.to_string())
    }

    #[test]
    fn a_demo_passes_with_every_service_and_a_joined_trace() {
        let mut lines: Vec<_> = JOINED.iter().map(|service| span(service, "a")).collect();
        lines.extend(spans().iter().chain(&told()).map(|record| record.to_string()));
        assert!(judged(&lines).is_err_and(|why| why.contains("summary")));
        lines.push(r#"{"type":"summary"}"#.to_owned());
        assert_eq!(judged(&lines), Ok(()));

        let without = &lines[1..];
        assert!(judged(without).is_err_and(|why| why.contains("gateway")));
        lines[0] = span("gateway", "c");
        assert!(judged(&lines).is_err_and(|why| why.contains("joins")));
        lines.push("panicked at".to_owned());
        assert!(judged(&lines).is_err_and(|why| why.contains("not a line of JSON")));
    }
}
