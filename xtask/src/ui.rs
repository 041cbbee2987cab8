//! What the chores say. It goes to stderr, so that the output of the programs they run stays alone
//! on stdout; a closed stderr is no reason to stop.

use std::fmt;
use std::io::{self, Write as _};

/// Prints one line.
pub(crate) fn line(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints the heading of a step.
pub(crate) fn heading(text: impl fmt::Display) {
    line(format_args!("\n== {text}"));
}
