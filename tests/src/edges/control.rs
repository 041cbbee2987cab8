//! The workload's side of the talk with its test: it says where it is on standard output, a line
//! each, and waits at each `at` for a line on standard input.

use std::io::{self, BufRead as _, Write as _};

use anyhow::{Result, ensure};

/// Says something: `name rest`.
///
/// # Errors
/// When the test is gone.
pub fn say(name: &str, rest: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let space = if rest.is_empty() { "" } else { " " };
    writeln!(out, "{name}{space}{rest}")?;
    out.flush()?;
    Ok(())
}

/// Says `at name`, and waits for the test to go on.
///
/// # Errors
/// When the test is gone.
pub fn at(name: &str) -> Result<()> {
    say("at", name)?;
    let mut line = String::new();
    ensure!(io::stdin().lock().read_line(&mut line)? > 0, "the test is gone");
    Ok(())
}
