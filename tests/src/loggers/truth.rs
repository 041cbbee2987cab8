//! What a program says of a record that it logged.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

/// One record.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Before it was handed to the logger, and after: nanoseconds since 1970.
    pub(super) before: u64,
    pub(super) after: u64,
    /// Of the logger's own time, in nanoseconds; none where it writes none.
    pub(super) resolution: Option<u64>,
    pub(super) level: Option<String>,
    pub(super) message: String,
    /// `stdout` or `stderr`.
    pub(super) source: String,
    /// Nested ones with dots; no nulls.
    pub(super) attributes: Map<String, Value>,
    /// Attributes are text in this format, whatever they were.
    pub(super) untyped: bool,
    /// The message has more around it, and attributes may be in its text.
    pub(super) loose: bool,
    /// The message is written as several lines, which may be one record or more.
    pub(super) split: bool,
    /// Whoever wrote it may have written more, before and after.
    pub(super) among: bool,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    /// Where it was logged.
    pub(super) caller: Option<(String, u64)>,
    /// What is to be in the same record.
    pub(super) words: Vec<String>,
}

impl Truth {
    /// From a line of the program's.
    ///
    /// # Errors
    /// It lacks something.
    pub(super) fn of(line: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(line)?;
        let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| said.get(key).and_then(Value::as_u64);
        let flag = |key: &str| said.get(key).and_then(Value::as_bool).unwrap_or(false);
        let words = said.get("words").and_then(Value::as_array);
        let word = |word: &Value| word.as_str().map(str::to_owned);
        Ok(Self {
            before: number("before").context("before")?,
            after: number("after").context("after")?,
            resolution: number("resolution").filter(|resolution| *resolution > 0),
            level: text("level"),
            message: text("message").context("message")?,
            source: text("source").context("source")?,
            attributes: said
                .get("attributes")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            untyped: flag("untyped"),
            loose: flag("loose"),
            split: flag("split"),
            among: flag("among"),
            trace_id: text("trace_id"),
            span_id: text("span_id"),
            caller: text("file").zip(number("line")),
            words: words.into_iter().flatten().filter_map(word).collect(),
        })
    }
}
