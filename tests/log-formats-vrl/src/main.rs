//! Reads log lines with Vector's own functions (VRL), beside which `cargo xtask bench --only log-formats` measures the
//! sensor's. For each order on standard input, `MILLISECONDS\tFILE\tPROGRAM`, the program goes over the file's lines
//! for so long; the answer is a JSON object with lines a second. A line at which it fails ends this.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::time::{Duration, Instant};
use std::{fs, hint};

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;
use vrl::compiler::runtime::Runtime;
use vrl::compiler::{Program, TargetValue, TimeZone};
use vrl::value::{KeyString, Secrets, Value};

fn main() -> Result<()> {
    let mut report = io::stdout().lock();
    for order in io::stdin().lock().lines() {
        let order = order?;
        let mut parts = order.splitn(3, '\t');
        let time = parts.next().and_then(|time| time.parse().ok()).map(Duration::from_millis);
        let (Some(time), Some(file), Some(source)) = (time, parts.next(), parts.next()) else {
            anyhow::bail!("not an order: {order}");
        };
        let compiled = vrl::compiler::compile(source, &vrl::stdlib::all())
            .map_err(|errors| anyhow!("{source}: {errors:?}"))?;
        let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
        let lines: Vec<&str> = text.lines().collect();
        let speed = measure(&lines, &compiled.program, time)?;
        writeln!(report, "{}", json!({ "format": speed }))?;
        report.flush()?;
    }
    Ok(())
}

/// Lines a second.
fn measure(lines: &[&str], program: &Program, time: Duration) -> Result<f64> {
    let mut runtime = Runtime::default();
    let zone = TimeZone::default();
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < time {
        for line in lines {
            // An event as Vector's sources make it: the line, and nothing else.
            let event = BTreeMap::from([(KeyString::from("message"), Value::from(*line))]);
            let mut target = TargetValue {
                value: Value::Object(event),
                metadata: Value::Object(BTreeMap::new()),
                secrets: Secrets::default(),
            };
            let result = runtime.resolve(&mut target, program, &zone);
            result.map_err(|error| anyhow!("{line}: {error}"))?;
            hint::black_box(&target);
            runtime.clear();
            count += 1.0;
        }
    }
    Ok(count / begin.elapsed().as_secs_f64())
}
