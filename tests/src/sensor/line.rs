//! A record of a service's log, as the sensor's JSON line has it.

use std::fmt;

use serde_json::Value;

/// One of them.
#[derive(Clone, PartialEq)]
pub struct LogJson(Value);

impl fmt::Debug for LogJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LogJson {
    /// From the line, whatever is in it.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The whole line.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A text of its own (not one of its attributes), if it has it.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    fn time(&self, key: &str) -> u64 {
        match self.0.get(key).and_then(Value::as_u64) {
            Some(time) => time,
            None => panic!("no {key} in {self:#?}"),
        }
    }

    /// Its message.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn message(&self) -> &str {
        match self.text("message") {
            Some(message) => message,
            None => panic!("no message in {self:#?}"),
        }
    }

    /// The line's own time, or else the kernel's, in nanoseconds since 1970.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.time("timestamp_unix_nano")
    }

    /// The kernel's time, in nanoseconds since 1970.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.time("observed_time_unix_nano")
    }

    /// It says that the request had been answered.
    #[must_use]
    pub fn after_response(&self) -> bool {
        self.0.get("after_response") == Some(&Value::Bool(true))
    }

    /// An attribute, if it has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get("attributes")?.get(key)
    }

    /// All that it says, message and attributes, as one text.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.text("message").unwrap_or_default().to_owned();
        let attributes = self.0.get("attributes").and_then(Value::as_object);
        for value in attributes.into_iter().flat_map(|attributes| attributes.values()) {
            words.push('\n');
            match value {
                Value::String(text) => words.push_str(text),
                other => words.push_str(&other.to_string()),
            }
        }
        words
    }
}
