//! How fast log lines are read: for each order, `MILLISECONDS\tFILE`, the lines of the file, again and again for so
//! long, as one stream; the answer is a JSON object with how many lines were read in how many seconds, and how many
//! of them had no format.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use sensor::logs::format::{Format, Formats};
use serde_json::{Value, json};

/// 2026-11-21T13:28:05Z: when the samples were written.
const OBSERVED: u64 = 1_795_267_685_000_000_000;

/// Answers orders until there are no more.
///
/// # Errors
/// An order is none, or its file cannot be read.
pub fn run(orders: impl BufRead, mut report: impl Write) -> Result<()> {
    for order in orders.lines() {
        let order = order?;
        let mut parts = order.split('\t');
        let time = parts.next().and_then(|time| time.parse().ok()).map(Duration::from_millis);
        let (Some(time), Some(file)) = (time, parts.next()) else { bail!("not an order: {order}") };
        let text = fs::read(file).with_context(|| file.to_owned())?;
        writeln!(report, "{}", measure(&text, time)).or_else(ended)?;
        report.flush().or_else(ended)?;
    }
    Ok(())
}

/// Nobody listens any more.
fn ended(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn measure(text: &[u8], time: Duration) -> Value {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let mut formats = Formats::default();
    let (mut read, mut failed) = (0_u64, 0_u64);
    let begin = Instant::now();
    while begin.elapsed() < time {
        for line in &lines {
            let parsed = formats.read(line, OBSERVED);
            failed += u64::from(parsed.format == Format::Plain || parsed.breach.is_some());
            black_box(&parsed);
            read += 1;
        }
    }
    json!({ "lines": read, "failed": failed, "seconds": begin.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_format_are_counted() {
        let text = b"level=info msg=x\nplain\n{\"level\":\"info\",\"msg\":\"x\"}\n";
        let said = measure(text, Duration::from_millis(1));
        let lines = said["lines"].as_u64().expect("lines");
        assert_eq!(said["failed"], lines / 3);
        assert!(run(&b"x"[..], Vec::new()).is_err());
    }
}
