//! What the sensor said: spans, and the summary's counters.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::LogJson;

/// A span as its JSON line has it.
#[derive(Clone, PartialEq)]
pub struct SpanJson {
    value: Value,
    arrived: SystemTime,
}

impl std::fmt::Debug for SpanJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl SpanJson {
    pub(super) fn new(value: Value, arrived: SystemTime) -> Self {
        Self { value, arrived }
    }

    /// The whole line.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.value
    }

    fn text(&self, key: &str) -> &str {
        match self.value.get(key).and_then(Value::as_str) {
            Some(text) => text,
            None => panic!("no {key} in {self:#?}"),
        }
    }

    fn number(&self, key: &str) -> u64 {
        match self.value.get(key).and_then(Value::as_u64) {
            Some(number) => number,
            None => panic!("no {key} in {self:#?}"),
        }
    }

    /// `trace_id`: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.text("trace_id")
    }

    /// `span_id`: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.text("span_id")
    }

    /// `parent_span_id`, if it has one.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<&str> {
        self.value.get("parent_span_id").and_then(Value::as_str)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// `server` or `client`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// Of the serving side.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.kind() == "server"
    }

    /// Of the asking side.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.kind() == "client"
    }

    /// `unset` or `error`.
    #[must_use]
    pub fn status(&self) -> &str {
        self.text("status")
    }

    /// Start, in nanoseconds since 1970.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.number("start_time_unix_nano")
    }

    /// End, in nanoseconds since 1970.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.number("end_time_unix_nano")
    }

    /// How long it took.
    ///
    /// # Panics
    /// When it ended before it began.
    #[must_use]
    pub fn duration(&self) -> Duration {
        assert!(self.start() <= self.end(), "{self:#?}");
        Duration::from_nanos(self.end() - self.start())
    }

    /// When its line was read, in nanoseconds since 1970.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        let since = self.arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// An attribute, if it has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.value["attributes"].get(key)
    }

    /// A text attribute.
    ///
    /// # Panics
    /// When it has none of this name.
    #[must_use]
    pub fn str(&self, key: &str) -> &str {
        match self.get(key).and_then(Value::as_str) {
            Some(text) => text,
            None => panic!("no text attribute {key} in {self:#?}"),
        }
    }

    /// A number attribute.
    ///
    /// # Panics
    /// When it has none of this name.
    #[must_use]
    pub fn int(&self, key: &str) -> i64 {
        match self.get(key).and_then(Value::as_i64) {
            Some(number) => number,
            None => panic!("no number attribute {key} in {self:#?}"),
        }
    }

    /// `http.request.method`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.str("http.request.method")
    }

    /// `url.path`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.str("url.path")
    }

    /// `http.response.status_code`.
    #[must_use]
    pub fn status_code(&self) -> i64 {
        self.int("http.response.status_code")
    }

    /// `http.request.body.size` and `http.response.body.size`, where they are known.
    #[must_use]
    pub fn body_sizes(&self) -> [Option<i64>; 2] {
        ["http.request.body.size", "http.response.body.size"]
            .map(|key| self.get(key).and_then(Value::as_i64))
    }

    /// Something of its resource, if it has it.
    #[must_use]
    pub fn resource(&self, key: &str) -> Option<&Value> {
        self.value["resource"].get(key)
    }

    /// The time of an event, in nanoseconds since 1970, if it has it.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<u64> {
        let events = self.value["events"].as_array()?;
        events.iter().find(|event| event["name"] == name)?["time_unix_nano"].as_u64()
    }
}

/// What the sensor left behind.
#[derive(Debug)]
pub struct Report {
    /// The spans on its standard output, in their order.
    pub spans: Vec<SpanJson>,
    /// The records of logs there, in their order.
    pub logs: Vec<LogJson>,
    /// Every counter of the summary.
    pub counters: BTreeMap<String, u64>,
    /// What it said on standard error.
    pub stderr: String,
}

impl Report {
    pub(super) fn new(
        spans: Vec<SpanJson>,
        logs: Vec<LogJson>,
        summary: &Value,
        stderr: String,
    ) -> Self {
        let none = Map::new();
        let counters = summary["counters"].as_object().unwrap_or(&none);
        let counters = counters
            .iter()
            .map(|(name, value)| match value.as_u64() {
                Some(value) => (name.clone(), value),
                None => panic!("{name} is {value}"),
            })
            .collect();
        Self { spans, logs, counters, stderr }
    }

    /// From all that it has said: JSON lines, the summary last.
    ///
    /// # Panics
    /// When it is anything else.
    #[must_use]
    pub fn of(stdout: &str, stderr: String) -> Self {
        let parse = |line| match serde_json::from_str::<Value>(line) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {line}"),
        };
        let mut lines: Vec<Value> = stdout.lines().map(parse).collect();
        match lines.pop() {
            Some(summary) if summary["type"] == "summary" => {
                let now = SystemTime::now();
                let (logs, spans) =
                    lines.into_iter().partition::<Vec<_>, _>(|line| line["type"] == "log");
                let spans = spans.into_iter().map(|line| SpanJson::new(line, now)).collect();
                let logs = logs.into_iter().map(LogJson::new).collect();
                Self::new(spans, logs, &summary, stderr)
            }
            last => panic!("no summary but {last:?}:\n{stderr}"),
        }
    }

    /// A counter.
    ///
    /// # Panics
    /// When the summary has none of this name.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        match self.counters.get(name) {
            Some(value) => *value,
            None => panic!("no counter {name} in {:#?}", self.counters),
        }
    }
}
