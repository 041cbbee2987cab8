//! What a line says, by the format that it has.

use crate::model::{Attribute, Breach, Class, LogIds, Severity, Text};

/// What lines of a stream look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// None that is known.
    #[default]
    Plain,
}

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// Its format.
    pub format: Format,
    /// Its time, in nanoseconds since the Unix epoch.
    pub time_unix_ns: Option<u64>,
    /// How severe it is.
    pub severity: Option<Severity>,
    /// Its own word for that.
    pub severity_text: Option<Text>,
    /// The message.
    pub message: Text,
    /// Where in the program.
    pub caller: Option<Text>,
    /// The event's name.
    pub event: Option<Text>,
    /// Whose it is.
    pub ids: LogIds,
    /// By rule.
    pub class: Class,
    /// All other fields, each key once.
    pub attributes: Vec<Attribute>,
    /// Why it does not fit.
    pub breach: Option<Breach>,
}

/// Reads the records of one stream: knows the format of what came before.
#[derive(Debug, Default)]
pub struct Formats {
    _last: Format,
}

impl Formats {
    /// Reads a record. Total: whatever does not fit a format is plain text, or a breach. `observed_unix_ns` says
    /// of which year and day a time is that has none.
    pub fn read(&mut self, text: &[u8], _observed_unix_ns: u64) -> Parsed {
        let message = Text::copy(&String::from_utf8_lossy(text));
        Parsed { message, ..Parsed::default() }
    }
}
