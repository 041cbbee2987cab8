//! Whether the calls of gRPC are in the spans as payments, which answered them, logged them.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How far a span's times may be from the log's: another clock read, and milliseconds.
const SLACK_NS: u64 = 50_000_000;

/// What the spans say of the calls.
#[derive(Default)]
pub(super) struct Calls {
    /// By payments.
    served: Vec<Call>,
    /// By orders.
    made: Vec<Call>,
    /// Spans of what orders served, with their traces.
    causes: BTreeSet<(String, String)>,
    /// Exchanges that the sensor says it has not told of.
    lost: u64,
}

/// One end of a call. What is absent in the span is absent here.
#[derive(Debug)]
struct Call {
    trace: String,
    span: String,
    parent: Option<String>,
    path: Option<String>,
    service: Option<String>,
    method: Option<String>,
    status: Option<u64>,
    /// `sensor.link`: there when the connection is older than the sensor.
    link: Option<String>,
    start: u64,
    end: u64,
}

impl Call {
    fn of(record: &Value, attributes: &Value) -> Option<Self> {
        let text = |of: &Value, key: &str| of.get(key)?.as_str().map(str::to_owned);
        let number = |of: &Value, key: &str| of.get(key)?.as_u64();
        Some(Self {
            trace: text(record, "trace_id")?,
            span: text(record, "span_id")?,
            parent: text(record, "parent_span_id"),
            path: text(attributes, "url.path"),
            service: text(attributes, "rpc.service"),
            method: text(attributes, "rpc.method"),
            status: number(attributes, "rpc.grpc.status_code"),
            link: text(attributes, "sensor.link"),
            start: number(record, "start_time_unix_nano")?,
            end: number(record, "end_time_unix_nano")?,
        })
    }

    /// Whether it says what the log says, or nothing; and nothing only on a connection of which the
    /// beginning was not seen.
    fn agrees(&self, logged: &Logged<'_>) -> bool {
        let Self { service, method, status, link, path, .. } = self;
        let same = |said: &Option<String>, is: &str| said.as_deref().is_none_or(|said| said == is);
        let whole = link.is_some() || (service.is_some() && method.is_some() && status.is_some());
        let is_path = format!("/{}/{}", logged.service, logged.method);
        whole
            && same(path, &is_path)
            && same(service, logged.service)
            && same(method, logged.method)
            && status.is_none_or(|status| status == logged.status)
    }
}

/// A line of payments' log on a call.
#[derive(Clone, Copy, Debug)]
struct Logged<'a> {
    /// Nanoseconds since 1970, of a whole millisecond.
    time: u64,
    service: &'a str,
    method: &'a str,
    status: u64,
    trace: Option<&'a str>,
}

impl<'a> Logged<'a> {
    /// None of a line on anything else.
    fn parse(line: &'a str) -> Option<Self> {
        let time = since_1970(line.split(' ').next()?)?;
        let (_, said) = line.split_once("] c.shop.Calls - ")?;
        let mut words = said.split(' ');
        let (service, method) = words.next()?.rsplit_once('/')?;
        let status = words.next()?.strip_prefix("status=")?.parse().ok()?;
        let trace = Some(words.next()?.strip_prefix("trace=")?).filter(|trace| *trace != "-");
        Some(Self { time, service, method, status, trace })
    }
}

/// Nanoseconds, of a time as payments writes it.
pub(super) fn since_1970(time: &str) -> Option<u64> {
    let since = humantime::parse_rfc3339(time).ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

impl Calls {
    /// A span of anything.
    pub(super) fn span(&mut self, record: &Value) {
        let nothing = Value::Null;
        let attributes = record.get("attributes").unwrap_or(&nothing);
        let service = record.get("resource").and_then(|resource| resource.get("service.name"));
        let kind = record.get("kind");
        let is_call = attributes.get("network.protocol.version") == Some(&Value::from("2"));
        match (service.and_then(Value::as_str), kind.and_then(Value::as_str)) {
            (Some("payments"), Some("server")) => self.served.extend(Call::of(record, attributes)),
            (Some("orders"), Some("client")) if is_call => {
                self.made.extend(Call::of(record, attributes));
            }
            (Some("orders"), Some("server")) => {
                let cause = Call::of(record, attributes).map(|call| (call.trace, call.span));
                self.causes.extend(cause);
            }
            _ => {}
        }
    }

    /// The last line.
    pub(super) fn summary(&mut self, record: &Value) {
        let counters = record.get("counters").and_then(Value::as_object);
        let lost = |name: &str| name.starts_with("exchanges.lost.") || name == "output.lost";
        let counts = counters.into_iter().flatten().filter(|(name, _)| lost(name));
        self.lost = counts.filter_map(|(_, count)| count.as_u64()).sum();
    }

    /// # Errors
    /// A span says another thing than the log; its other end or its cause is not what it should be; a
    /// call is missing and not counted; or there is no call of some kind.
    pub(super) fn verdict(&self, log: &str) -> Result<()> {
        let mut logged: Vec<_> = log.lines().filter_map(Logged::parse).collect();
        let traces: BTreeSet<_> = logged.iter().filter_map(|logged| logged.trace).collect();
        // Whether the caller passed a context on, and whether the call failed.
        let mut kinds = BTreeSet::new();
        let mut last = 0;
        let mut first = u64::MAX;
        for call in &self.served {
            let is = |logged: &Logged<'_>| self.is(call, logged, &traces);
            let at = logged.iter().position(is);
            let logged = at.map(|at| logged.swap_remove(at));
            let logged = logged.with_context(|| format!("payments has not logged {call:?}"))?;
            self.joined(call, &logged)?;
            if call.link.is_none() {
                kinds.insert((logged.trace.is_some(), logged.status != 0));
            }
            (first, last) = (first.min(logged.time), last.max(logged.time));
        }
        let missing = logged.iter().filter(|logged| (first..last).contains(&logged.time));
        let missing: Vec<_> = missing.collect();
        if u64::try_from(missing.len())? > self.lost {
            bail!("no span of {missing:?}, and {} are counted as lost", self.lost);
        }
        ensure!(
            kinds.len() == 4,
            "calls with a trace context and without, some of which fail: only {kinds:?} was seen"
        );
        Ok(())
    }

    /// Whether a span of payments is the call of this line.
    fn is(&self, call: &Call, logged: &Logged<'_>, traces: &BTreeSet<&str>) -> bool {
        let trace = match logged.trace {
            Some(trace) if call.link.as_deref() != Some("unknown") => trace == call.trace,
            // A derived one, or that of its cause: the context was not there, or could not be read.
            _ => !traces.contains(call.trace.as_str()),
        };
        let time = call.start.saturating_sub(SLACK_NS)..=call.end.saturating_add(SLACK_NS);
        trace && time.contains(&logged.time) && call.agrees(logged)
    }

    /// Whether its other end, and what made orders call, are what they should be.
    fn joined(&self, call: &Call, logged: &Logged<'_>) -> Result<()> {
        let is_other_end = |made: &&Call| match &call.parent {
            Some(parent) => made.span == *parent && made.trace == call.trace,
            None => made.trace == call.trace && made.parent.is_none(),
        };
        let mut ends = self.made.iter().filter(is_other_end);
        let (Some(made), None) = (ends.next(), ends.next()) else {
            // One that was lost is counted.
            ensure!(self.lost > 0, "no span of orders is the other end of {call:?}");
            return Ok(());
        };
        ensure!(made.agrees(logged), "{made:?} is not what payments logged: {logged:?}");
        let mut causes = self.causes.iter().filter(|(trace, _)| *trace == call.trace);
        if let Some((_, cause)) = causes.next() {
            ensure!(made.parent.as_ref() == Some(cause), "{cause} is not the parent of {made:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::{Calls, Logged};

    /// As the service writes it.
    pub(in crate::demo) const LOG: &str = "\
2023-11-14T22:13:20.100Z INFO  [worker] c.shop.Cards - charged 3900
2023-11-14T22:13:20.100Z INFO  [worker] c.shop.Calls - shop.v1.Payments/Charge status=0 trace=a
2023-11-14T22:13:20.200Z INFO  [worker] c.shop.Calls - shop.v1.Payments/Charge status=13 trace=b
2023-11-14T22:13:20.300Z INFO  [worker] c.shop.Calls - shop.v1.Payments/Charge status=0 trace=-
2023-11-14T22:13:20.400Z INFO  [worker] c.shop.Calls - shop.v1.Payments/GetReceipt status=5 trace=-
2023-11-14T22:13:29.000Z INFO  [worker] c.shop.Calls - shop.v1.Payments/GetReceipt status=5 trace=-
";

    fn span(service: &str, kind: &str, ids: [&str; 3], millis: u64, rpc: (&str, u64)) -> Value {
        let [trace, span, parent] = ids;
        let mut record = json!({
            "type": "span",
            "trace_id": trace,
            "span_id": span,
            "kind": kind,
            "start_time_unix_nano": (1_700_000_000_000 + millis - 10) * 1_000_000,
            "end_time_unix_nano": (1_700_000_000_000 + millis + 1) * 1_000_000,
            "attributes": {
                "network.protocol.version": "2",
                "url.path": format!("/shop.v1.Payments/{}", rpc.0),
                "rpc.service": "shop.v1.Payments",
                "rpc.method": rpc.0,
                "rpc.grpc.status_code": rpc.1,
            },
            "resource": { "service.name": service },
        });
        if !parent.is_empty() {
            record["parent_span_id"] = parent.into();
        }
        record
    }

    /// Both ends of the first four calls, and what caused the first.
    pub(in crate::demo) fn spans() -> Vec<Value> {
        let mut spans = vec![span("orders", "server", ["a", "a0", "f0"], 100, ("", 0))];
        for (trace, made, caused, millis, rpc) in [
            ("a", "a1", "a0", 100, ("Charge", 0)),
            ("b", "b1", "b0", 200, ("Charge", 13)),
            ("x", "x1", "", 300, ("Charge", 0)),
            ("y", "y1", "", 400, ("GetReceipt", 5)),
        ] {
            let parent = if caused.is_empty() { "" } else { made };
            spans.push(span("orders", "client", [trace, made, caused], millis, rpc));
            spans.push(span("payments", "server", [trace, "s", parent], millis, rpc));
        }
        spans
    }

    fn judged(spans: &[Value], lost: u64) -> Result<(), String> {
        let mut calls = Calls::default();
        for span in spans {
            calls.span(span);
        }
        calls.summary(&json!({ "counters": { "exchanges.lost.gap": lost } }));
        calls.verdict(LOG).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn calls_are_those_of_the_log() {
        let right = spans();
        assert_eq!(judged(&right, 0), Ok(()));
        // (span, key, wrong value, what is said)
        let changed = |at: usize, key: &str, value: Value| {
            let mut spans = spans();
            let place = spans[at].pointer_mut(key).expect("there");
            *place = value;
            judged(&spans, 0).expect_err(key)
        };
        let status = "/attributes/rpc.grpc.status_code";
        for (at, key, value, said) in [
            (2, status, json!(13), "has not logged"),
            (2, status, Value::Null, "has not logged"),
            (2, "/attributes/rpc.method", json!("Pay"), "has not logged"),
            (2, "/trace_id", json!("c"), "has not logged"),
            (6, "/trace_id", json!("a"), "has not logged"),
            (2, "/start_time_unix_nano", json!(1_700_000_000_200_u64 * 1_000_000), "not logged"),
            (1, status, json!(1), "is not what payments logged"),
            (1, "/span_id", json!("other"), "the other end"),
            (1, "/parent_span_id", json!("other"), "is not the parent"),
        ] {
            let why = changed(at, key, value);
            assert!(why.contains(said), "{key} of {at}: {why}");
        }
    }

    #[test]
    fn what_is_missing_has_to_be_counted() {
        let mut spans = spans();
        spans.remove(4);
        assert!(judged(&spans, 0).is_err_and(|why| why.contains("no span of")));
        // And of each kind there has to be one.
        assert!(judged(&spans, 1).is_err_and(|why| why.contains("was seen")));
    }

    #[test]
    fn a_connection_older_than_the_sensor_may_say_less_and_nothing_else() {
        let mut spans = spans();
        spans[2]["attributes"] = json!({ "sensor.link": "inferred" });
        let why = judged(&spans, 0).expect_err("no other of its kind");
        assert!(why.contains("was seen"), "{why}");
        spans[2]["attributes"]["rpc.method"] = "Pay".into();
        assert!(judged(&spans, 0).is_err_and(|why| why.contains("has not logged")));
    }

    #[test]
    fn other_lines_are_not_calls() {
        assert_eq!(LOG.lines().filter_map(Logged::parse).count(), 5);
    }
}
