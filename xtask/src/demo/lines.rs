//! Whether the services' own lines are in the sensor's records as they were written, and below the right spans.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::calls::since_1970;
use super::judge::Logs;

/// What the sensor says of lines, and of the spans that they belong to.
#[derive(Default)]
pub(super) struct Lines {
    records: Vec<Record>,
    /// What was asked of whom, by trace and span.
    spans: BTreeMap<(String, String), Asked>,
    /// Records that the sensor says it has not told of.
    lost: u64,
}

#[derive(Debug)]
struct Record {
    service: String,
    /// What is the same in the line.
    said: String,
    path: Option<String>,
    trace: Option<String>,
    span: Option<String>,
    /// Milliseconds since 1970, of services that write them.
    time: u64,
}

#[derive(Debug)]
struct Asked {
    service: String,
    path: Option<String>,
}

/// How a service writes its lines: what of a record, and what of a line, is what was said. Lines of other shapes
/// (a `None`) are not compared.
struct Format {
    service: &'static str,
    /// Its lines say whose they are. Of others, that is known where nothing else was going on.
    says_trace: bool,
    of_record: fn(&Value) -> Option<String>,
    of_line: fn(&str) -> Option<(String, u64)>,
    /// Of what was said.
    path: fn(&str) -> Option<&str>,
}

/// The services whose lines have times, so that it is known which of them the sensor should have seen.
const FORMATS: [Format; 3] = [
    // {"level":"info","msg":"GET /products/kettle","status":200,"trace_id":"…","ts":1767225600000}
    Format {
        service: "gateway",
        says_trace: true,
        of_record: |record| text(record, "message").map(str::to_owned),
        of_line: |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some((text(&line, "msg")?.to_owned(), line.get("ts")?.as_u64()?))
        },
        path: |said| said.split(' ').nth(1),
    },
    // ts=1767225600000 level=info method=GET path=/orders/ord-7 status=200
    Format {
        service: "orders",
        says_trace: false,
        of_record: |record| {
            let attributes = record.get("attributes")?;
            Some(format!("{} {}", text(attributes, "method")?, text(attributes, "path")?))
        },
        of_line: |line| {
            let field = |name: &str| {
                line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            };
            Some((format!("{} {}", field("method")?, field("path")?), field("ts")?.parse().ok()?))
        },
        path: |said| said.split(' ').nth(1),
    },
    // 2026-01-01T00:00:00.000Z INFO  [tokio-rt-worker] c.shop.Calls - shop.Payments/Charge status=0 trace=-
    Format {
        service: "payments",
        says_trace: true,
        of_record: |record| text(record, "message").map(str::to_owned),
        of_line: |line| {
            let (time, rest) = line.split_once(' ')?;
            let (_, said) = rest.split_once(" - ")?;
            Some((said.to_owned(), since_1970(time)? / 1_000_000))
        },
        path: |_| None,
    },
];

fn text<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    of.get(key)?.as_str()
}

impl Lines {
    /// A span of anything.
    pub(super) fn span(&mut self, record: &Value) {
        let owned = |key| text(record, key).map(str::to_owned);
        let service = record.get("resource").and_then(|resource| text(resource, "service.name"));
        if let (Some(trace), Some(span), Some(service)) =
            (owned("trace_id"), owned("span_id"), service)
        {
            let path = record.get("attributes").and_then(|it| text(it, "url.path"));
            let path = path.map(str::to_owned);
            self.spans.insert((trace, span), Asked { service: service.to_owned(), path });
        }
    }

    /// A record of a log.
    pub(super) fn record(&mut self, record: &Value) {
        let Some(service) = text(record, "service") else { return };
        let Some(format) = FORMATS.iter().find(|format| format.service == service) else { return };
        let Some(said) = (format.of_record)(record) else { return };
        let time = record.get("timestamp_unix_nano").and_then(Value::as_u64);
        self.records.push(Record {
            service: service.to_owned(),
            path: (format.path)(&said).map(str::to_owned),
            said,
            trace: text(record, "trace_id").map(str::to_owned),
            span: text(record, "span_id").map(str::to_owned),
            time: time.unwrap_or_default() / 1_000_000,
        });
    }

    /// The last line.
    pub(super) fn summary(&mut self, record: &Value) {
        let counters = record.get("counters").and_then(Value::as_object);
        let lost =
            |name: &str| matches!(name, "kernel.lines_lost" | "kernel.ring_unread" | "output.lost");
        let counts = counters.into_iter().flatten().filter(|(name, _)| lost(name));
        self.lost = counts.filter_map(|(_, count)| count.as_u64()).sum();
    }

    /// With the services' logs.
    ///
    /// # Errors
    /// A record says what no line says; a line is missing and not counted; a record is below the span of another
    /// request; or there is none where there has to be one.
    pub(super) fn verdict(&self, logs: Logs<'_>) -> Result<()> {
        for format in &FORMATS {
            self.as_written(format, &logs(format.service)?)?;
        }
        for record in &self.records {
            self.is_right(record)?;
        }
        for Format { service, .. } in FORMATS.iter().filter(|format| format.says_trace) {
            let mut told = self.records.iter().filter(|record| record.service == *service);
            ensure!(told.any(|record| record.trace.is_some()), "no line of {service} has a trace");
        }
        Ok(())
    }

    /// Each record is a line, and each line of the time that the records are of is a record.
    fn as_written(&self, format: &Format, log: &str) -> Result<()> {
        let service = format.service;
        let mut lines: Vec<_> = log.lines().filter_map(format.of_line).collect();
        let (mut first, mut last) = (u64::MAX, 0);
        for record in self.records.iter().filter(|record| record.service == service) {
            let is = |(said, time): &(String, u64)| *said == record.said && *time == record.time;
            let at = lines.iter().position(is);
            let at = at.with_context(|| format!("{service} has not written {record:?}"))?;
            lines.swap_remove(at);
            (first, last) = (first.min(record.time), last.max(record.time));
        }
        ensure!(last > 0, "no line of {service} was seen");
        lines.retain(|(_, time)| (first + 1..last).contains(time));
        if u64::try_from(lines.len())? > self.lost {
            bail!("{service} has written {lines:?}, and {} are counted as lost", self.lost);
        }
        Ok(())
    }

    /// The span of a record, if that was seen too, is of the request that it tells of.
    fn is_right(&self, record: &Record) -> Result<()> {
        let (Some(trace), Some(span)) = (&record.trace, &record.span) else { return Ok(()) };
        let Some(asked) = self.spans.get(&(trace.clone(), span.clone())) else { return Ok(()) };
        ensure!(asked.service == record.service, "{record:?} is below {asked:?}");
        if let (Some(told), Some(path)) = (&record.path, &asked.path) {
            ensure!(told == path, "{record:?} is below {asked:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::super::calls::tests::LOG;
    use super::Lines;

    const MS: u64 = 1_000_000;

    /// What the services have written.
    pub(in crate::demo) fn log(service: &str) -> anyhow::Result<String> {
        Ok(match service {
            "gateway" => "{\"level\":\"info\",\"msg\":\"GET /products/kettle\",\"status\":200,\"ts\":50}\n\
                          {\"level\":\"info\",\"msg\":\"GET /orders/ord-7\",\"status\":200,\"ts\":60}\n\
                          {\"level\":\"info\",\"msg\":\"GET /products/kettle\",\"status\":200,\"ts\":70}\n"
                .to_owned(),
            "orders" => "ts=60 level=info method=GET path=/orders/ord-7 status=200\n".to_owned(),
            _ => LOG.to_owned(),
        })
    }

    fn span(service: &str, id: &str, path: &str) -> Value {
        json!({
            "type": "span", "trace_id": "t", "span_id": id,
            "attributes": { "url.path": path }, "resource": { "service.name": service },
        })
    }

    /// What is told of it.
    pub(in crate::demo) fn told() -> Vec<Value> {
        let record = |service: &str, span: &str, time: u64, message: &str, attributes: Value| {
            json!({
                "type": "log", "service": service, "trace_id": "t", "span_id": span,
                "timestamp_unix_nano": time * MS, "message": message, "attributes": attributes,
            })
        };
        let none = || json!({});
        let orders = json!({ "method": "GET", "path": "/orders/ord-7" });
        vec![
            span("gateway", "g1", "/products/kettle"),
            span("gateway", "g2", "/orders/ord-7"),
            span("orders", "o1", "/orders/ord-7"),
            span("payments", "p1", "/shop.v1.Payments/Charge"),
            record("gateway", "g1", 50, "GET /products/kettle", none()),
            record("gateway", "g2", 60, "GET /orders/ord-7", none()),
            record("gateway", "g3", 70, "GET /products/kettle", none()),
            record("orders", "o1", 60, "asked", orders),
            record("payments", "p1", 1_700_000_000_100, "charged 3900", none()),
        ]
    }

    fn judged(told: &[Value], lost: u64) -> Result<(), String> {
        let mut lines = Lines::default();
        for record in told {
            match record["type"].as_str() {
                Some("span") => lines.span(record),
                _ => lines.record(record),
            }
        }
        lines.summary(&json!({ "counters": { "kernel.lines_lost": lost } }));
        lines.verdict(&log).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn records_are_lines_below_their_spans() {
        assert_eq!(judged(&told(), 0), Ok(()));
        for (at, key, value, said) in [
            (4, "/message", json!("GET /products/pot"), "has not written"),
            (4, "/timestamp_unix_nano", json!(51 * MS), "has not written"),
            (7, "/attributes/path", json!("/orders/ord-8"), "has not written"),
            (4, "/span_id", json!("g2"), "is below"),
            (4, "/span_id", json!("o1"), "is below"),
            (8, "/trace_id", Value::Null, "no line of payments has a trace"),
        ] {
            let mut told = told();
            *told[at].pointer_mut(key).expect("there") = value;
            let why = judged(&told, 0).expect_err(key);
            assert!(why.contains(said), "{key} of {at}: {why}");
        }
    }

    #[test]
    fn a_line_that_is_missing_has_to_be_counted() {
        let mut told = told();
        told.remove(5);
        assert!(judged(&told, 0).is_err_and(|why| why.contains("counted as lost")));
        assert_eq!(judged(&told, 1), Ok(()));
    }
}
