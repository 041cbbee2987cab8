//! How fast log lines are read. For each order, `MILLISECONDS\tFILE`, the lines of the file are gone over again and
//! again, as one stream and for so long each: by what reads formats alone, and by all that makes records of what the
//! kernel hands over. The answer is a JSON object with lines a second.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use sensor::capture::decode::{Decoded, decode};
use sensor::logs::format::{Format, Formats};
use sensor::logs::{Limits, Lines};
use sensor::metrics::Metrics;
use sensor::model::LogRecord;
use sensor_ebpf::abi::{LineRecord, RecordKind, line_stream};
use serde_json::json;
use zerocopy::{FromZeros as _, IntoBytes as _};

use crate::guards::corpus::{TGID, pipeline};

/// 2026-11-21T13:28:05Z: when the samples were written.
const OBSERVED: u64 = 1_795_267_685_000_000_000;

/// Answers orders until there are no more.
///
/// # Errors
/// An order is none, its file cannot be read, or some of its lines cannot.
pub fn run(orders: impl BufRead, mut report: impl Write) -> Result<()> {
    for order in orders.lines() {
        let order = order?;
        let mut parts = order.split('\t');
        let time = parts.next().and_then(|time| time.parse().ok()).map(Duration::from_millis);
        let (Some(time), Some(file)) = (time, parts.next()) else { bail!("not an order: {order}") };
        let text = fs::read(file).with_context(|| file.to_owned())?;
        let lines = parts_of(&text);
        let answer = json!({
            "format": formats(&lines, time)?,
            "record": records(&lines, time)?,
        });
        writeln!(report, "{answer}").or_else(ended)?;
        report.flush().or_else(ended)?;
    }
    Ok(())
}

/// Nobody listens any more.
fn ended(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn parts_of(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').collect()
}

/// Goes over `lines` for so long; gives lines a second. It is an error if any of them has no format.
fn formats(lines: &[&[u8]], time: Duration) -> Result<f64> {
    let mut formats = Formats::default();
    again(lines, time, |line| {
        let parsed = formats.read(line, OBSERVED);
        let read = parsed.format != Format::Plain && parsed.breach.is_none();
        black_box(&parsed);
        ensure!(read, "no format: {}", line.escape_ascii());
        Ok(())
    })
}

/// The same from the kernel's records, a call for each line, to records that would be sent.
fn records(lines: &[&[u8]], time: Duration) -> Result<f64> {
    let written: Vec<_> = lines.iter().map(|line| written(line)).collect();
    let mut pipeline = pipeline().with_lines();
    let mut stage = Lines::new(Limits::default(), 0, Arc::new(Metrics::default()));
    let mut came = 0_u64;
    let mut sink = |record: LogRecord| {
        came += 1;
        black_box(&record);
    };
    let mut went = 0_u64;
    let speed = again(&written, time, |record| {
        went += 1;
        match decode(record) {
            Ok(Decoded::Event(event)) => {
                stage.before(&event, &mut pipeline, &mut sink);
                pipeline.handle(&event, &mut |_| {});
                stage.handle(&event, &mut pipeline, &mut sink);
                Ok(())
            }
            other => bail!("not an event: {other:?}"),
        }
    })?;
    stage.finish(&mut pipeline, &mut sink);
    ensure!(came == went, "{came} records of {went} lines");
    Ok(speed)
}

/// Does it for all, again and again and for so long; gives how many a second.
fn again<T>(of: &[T], time: Duration, mut each: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < time {
        for one in of {
            each(one)?;
            count += 1.0;
        }
    }
    Ok(count / begin.elapsed().as_secs_f64())
}

/// A call that writes a line, as the kernel's side tells it.
fn written(line: &[u8]) -> Vec<u8> {
    let mut record = LineRecord::new_zeroed();
    record.kind = RecordKind::Line as u32;
    record.time_ns = 1_000;
    record.tgid = TGID;
    record.tid = TGID;
    record.fd = 1;
    record.stream = line_stream::STDOUT;
    record.inode = 2;
    record.device = 1;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the samples' lines are some hundred bytes"
    )]
    let copied = line.len() as u32 + 1;
    record.copied = copied;
    [record.as_bytes(), line, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(1);

    #[test]
    fn lines_are_read_by_both_ways() {
        let lines = parts_of(b"level=info msg=x\n{\"level\":\"info\",\"msg\":\"x\"}\n");
        for speed in [formats(&lines, TIME), records(&lines, TIME)] {
            assert!(speed.expect("a speed") > 1_000.0);
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_fast() {
        assert!(formats(&parts_of(b"level=info msg=x\nplain\n"), TIME).is_err());
        assert!(run(&b"x"[..], Vec::new()).is_err());
    }
}
