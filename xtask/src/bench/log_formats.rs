//! How fast log lines are read, beside Vector's own functions (VRL) on the same lines: what the real loggers of the
//! tests wrote, again and again, one core each, in turn.
//!
//! VRL is told the format of the lines, and gives their fields; the sensor finds the format out, and gives a record:
//! time, severity, identifiers and class besides. Where Vector has no function for a format there is the regular
//! expression that its users write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::rig::helper::Helper;
use super::row::{Row, Target};
use super::stats::median;
use super::{Bench, progress};
use crate::run::Cmd;
use crate::workspace;

/// Of the lines a second.
const RATIO: f64 = 1.0;

/// Lines of the same format.
struct Set {
    name: &'static str,
    /// In the tests' data.
    samples: &'static [&'static str],
    /// What Vector reads them with.
    vrl: &'static str,
}

const SETS: &[Set] = &[
    Set {
        name: "JSON of Zap, slog and zerolog",
        samples: &["zap-production", "slog-json", "zerolog-json"],
        vrl: ". = parse_json!(.message)",
    },
    Set {
        name: "JSON of pino, winston and bunyan",
        samples: &["pino", "winston-json", "bunyan"],
        vrl: ". = parse_json!(.message)",
    },
    Set {
        name: "JSON of Logback and Log4j",
        samples: &["logstash-encoder", "log4j2-ecs", "log4j2-logstash"],
        vrl: ". = parse_json!(.message)",
    },
    Set {
        name: "logfmt of slog, logrus and go-kit",
        samples: &["slog-text", "logrus-text", "go-kit"],
        vrl: ". = parse_logfmt!(.message)",
    },
    Set { name: "klog", samples: &["klog"], vrl: ". = parse_klog!(.message)" },
    Set {
        name: "nginx access",
        samples: &["nginx-combined"],
        vrl: r#". = parse_nginx_log!(.message, format: "combined")"#,
    },
    Set {
        name: "nginx error",
        samples: &["nginx-error"],
        vrl: r#". = parse_nginx_log!(.message, format: "error")"#,
    },
    Set {
        name: "Apache access",
        samples: &["apache-combined"],
        vrl: r#". = parse_apache_log!(.message, format: "combined")"#,
    },
    Set {
        name: "Logback",
        samples: &["logback-date"],
        vrl: r". = parse_regex!(.message, r'^(?P<time>\S+ \S+) \[(?P<thread>[^\]]*)\] (?P<level>\w+) +(?P<logger>\S+) - (?P<message>.*)$')",
    },
    Set {
        name: "Python",
        samples: &["py-asctime"],
        vrl: r". = parse_regex!(.message, r'^(?P<time>\S+ \S+) - (?P<logger>\S+) - (?P<level>\w+) - (?P<message>.*)$')",
    },
];

/// Rounds of each.
const ROUNDS: u32 = 9;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let vector = build()?;
    let mut sensor = Helper::formats(&workspace::release_binary("sensor-lines"))?;
    let mut vector = Helper::formats(&vector)?;
    let round = bench.pick(300, 50);
    let mut rows = Vec::new();
    for set in SETS {
        let file = bench.file("lines");
        let count = write(set, &file)?;
        let order = format!("{round}\t{}", file.display());
        let (mut pairs, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let theirs = vector.ask(&format!("{order}\t{}", set.vrl))?;
            let ours = sensor.ask(&order)?;
            pairs.push((speed(&theirs, "format")?, speed(&ours, "format")?));
            whole.push(speed(&ours, "record")? / 1e3);
        }
        let name = format!("log formats: {}, beside Vector's VRL", set.name);
        let row = Row::of_pairs(name, "lines/s", &pairs).context("no round")?;
        let whole = median(&whole).context("no round")?;
        let note = format!(
            "{count} lines, again and again; from the kernel's records to those to be sent, with all that is \
             between: {whole:.0} thousand a second"
        );
        rows.push(row.beside_another().target(Target::RatioAtLeast(RATIO)).note(note));
        progress(format_args!("{}: done", set.name));
    }
    Ok(rows)
}

/// Vector's functions, as a program: two hundred crates, some minutes the first time.
fn build() -> Result<PathBuf> {
    let target = workspace::target().join("log-formats-vrl");
    Cmd::cargo()
        .args(["build", "--locked", "--release", "--quiet", "--manifest-path"])
        .arg(workspace::root().join("tests/log-formats-vrl/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .run()?;
    Ok(target.join("release/log-formats-vrl"))
}

/// The records of a set that are one line. Gives how many.
fn write(set: &Set, file: &Path) -> Result<usize> {
    let data = workspace::root().join("sensor-user/src/logs/format/testdata");
    let mut all = Vec::new();
    for sample in set.samples {
        let log = data.join(sample).with_extension("log");
        let log = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let truth = data.join(sample).with_extension("json");
        let truth: Value = serde_json::from_slice(&fs::read(&truth)?)?;
        let records = truth.get("records").and_then(Value::as_array).context("no records")?;
        let mut lines = log.lines();
        for record in records {
            let count = record.get("lines").and_then(Value::as_u64).context("no lines")?;
            let first = lines.next().with_context(|| format!("{sample}: too few lines"))?;
            if count == 1 {
                all.push(first.to_owned());
            }
            for _ in 1..count {
                lines.next();
            }
        }
    }
    // Enough that the clock is not what is measured.
    let lines = all.len();
    let text = (all.join("\n") + "\n").repeat(200_usize.div_ceil(lines.max(1)));
    fs::write(file, text)?;
    Ok(lines)
}

/// Lines a second, of an answer.
fn speed(answer: &str, of: &str) -> Result<f64> {
    let said: Value = serde_json::from_str(answer).with_context(|| answer.to_owned())?;
    said.get(of).and_then(Value::as_f64).with_context(|| format!("no {of}: {answer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_lines() {
        let file = std::env::temp_dir().join(format!("sensor-lines-{}", std::process::id()));
        for set in SETS {
            assert!(write(set, &file).expect("samples") > 0, "{}", set.name);
        }
        fs::remove_file(file).expect("it is there");
    }
}
