//! Regular expressions that people write into rules.

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may take, in bytes: `\w{1000}` takes more.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression. It matches in time linear in the text, whatever it says.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(SIZE_MAX).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // The last line says what, those before it show where, in several lines.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default().trim();
                last.strip_prefix("error: ").unwrap_or(last).to_owned()
            }
        })
    }

    /// Whether it matches somewhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The first match from `at` on, which may be empty.
    pub(super) fn find_at(&self, text: &str, at: usize) -> Option<(usize, usize)> {
        self.0.find_at(text, at).map(|found| (found.start(), found.end()))
    }
}

/// By what it says.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
