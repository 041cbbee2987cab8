//! Real loggers: programs that write the same records with the loggers of their language, say themselves what those
//! were, and what the sensor made of them.

mod judge;
pub mod nginx;
mod truth;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

pub use judge::differences;
pub use truth::Truth;

use crate::process::{Held, fresh_directory};
use crate::sensor::{Engine, LogJson, Report, Sensor, loggers_go_workload, python, tool};
use crate::workloads::{cargo_program, java_classes, npm_packages, python_packages, source};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long no record has to come for it to be taken that none does.
const QUIET: Duration = Duration::from_secs(2);

/// The loggers of a language.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// Which.
    pub name: &'static str,
    /// As the program knows them; those with a `!` in front end it with an error, which is theirs to write.
    loggers: &'static [&'static str],
    /// None where this machine cannot run it.
    program: fn(&str) -> Option<Command>,
}

/// Every one. Sources: `tests/workloads/loggers-*`.
pub const LANGUAGES: [Language; 5] = [
    Language {
        name: "go",
        loggers: &[
            "zap-json",
            "zap-console",
            "slog-json",
            "slog-text",
            "logrus-json",
            "logrus-text",
            "zerolog",
            "klog",
            "log",
            "!panic",
        ],
        program: |logger| {
            let mut command = Command::new(loggers_go_workload("loggers")?);
            command.arg(logger).env("GOTRACEBACK", "all");
            Some(command)
        },
    },
    Language {
        name: "java",
        loggers: &["logback-pattern", "logback-json", "log4j2-pattern", "log4j2-json", "!uncaught"],
        program: |logger| {
            let mut command = Command::new(tool("java")?);
            let configuration = source("loggers-java").join(format!("{logger}.xml"));
            for library in ["logback", "log4j2"] {
                command.arg(format!("-D{library}.configurationFile={}", configuration.display()));
            }
            // Otherwise it is the locale's.
            command.args(["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]);
            command.arg("-cp").arg(java_classes("loggers-java", "Loggers")?);
            command.args(["Loggers", logger]);
            Some(command)
        },
    },
    Language {
        name: "node",
        loggers: &["pino", "bunyan", "winston-json", "winston-simple", "console", "!uncaught"],
        program: |logger| {
            let mut command = Command::new(tool("node")?);
            command.env("NODE_PATH", npm_packages("loggers-node")?);
            command.arg(source("loggers-node/loggers.js")).arg(logger);
            Some(command)
        },
    },
    Language {
        name: "python",
        loggers: &["logging", "logging-basic", "json", "structlog", "!uncaught"],
        program: |logger| {
            let mut command = Command::new(python()?);
            command.env("PYTHONPATH", python_packages("loggers-python")?);
            command.env("PYTHONIOENCODING", "utf-8");
            command.arg(source("loggers-python/loggers.py")).arg(logger);
            Some(command)
        },
    },
    Language {
        name: "rust",
        loggers: &["tracing", "tracing-compact", "tracing-json", "env_logger", "!panic"],
        program: |logger| {
            let mut command = Command::new(cargo_program("loggers-rust", "workloads-loggers-rust"));
            command.arg(logger).env("RUST_BACKTRACE", "1");
            Some(command)
        },
    },
];

/// What came of a logger.
#[derive(Debug)]
pub struct Logged {
    /// Which.
    pub name: &'static str,
    /// What it logged.
    pub truth: Vec<Truth>,
    /// What the sensor made of it.
    pub records: Vec<LogJson>,
}

/// Has every logger of a language write its records, each in a process of its own, all traced by one sensor; none
/// where this machine cannot run it.
///
/// # Errors
/// A program fails, or does not say what it logged.
///
/// # Panics
/// When the sensor does not run.
pub fn run(language: &Language, engine: Engine) -> Result<Option<(Vec<Logged>, Report)>> {
    let directory = Directory(fresh_directory("loggers")?);
    let mut programs = Vec::new();
    for logger in language.loggers {
        let name = logger.trim_start_matches('!');
        let Some(mut command) = (language.program)(name) else { return Ok(None) };
        let truth = directory.0.join(name);
        // Colours and widths are the terminal's, which is none.
        command.env("TRUTH", &truth).env_remove("RUST_LOG").env_remove("FORCE_COLOR");
        programs.push((*logger, truth, Held::new(&command)?));
    }
    let pids: Vec<u32> = programs.iter().map(|(_, _, held)| held.pid()).collect();
    let sensor = Sensor::with_logs(engine, &pids, &[]);
    let mut all = Vec::new();
    let mut count = 0;
    for ((logger, file, held), pid) in programs.into_iter().zip(&pids) {
        let output = held.finish(PATIENCE).context(logger)?;
        ensure!(
            output.status.success() != logger.starts_with('!'),
            "{logger} ended with {}:\n{}\n{}",
            output.status,
            output.text(),
            output.stderr
        );
        let truth = truths(&file).context(logger)?;
        count += truth.len();
        all.push((
            *pid,
            Logged { name: logger.trim_start_matches('!'), truth, records: Vec::new() },
        ));
    }
    sensor.wait_while_logging(0, count, QUIET);
    let report = sensor.stop();
    for record in &report.logs {
        let pid = record.json().pointer("/resource/process.pid").and_then(Value::as_u64);
        let of = all.iter_mut().find(|(of, _)| Some(u64::from(*of)) == pid);
        let (_, logged) = of.with_context(|| format!("nobody's: {record:?}"))?;
        logged.records.push(record.clone());
    }
    all.iter_mut().for_each(|(_, logged)| in_order(&mut logged.records));
    Ok(Some((all.into_iter().map(|(_, logged)| logged).collect(), report)))
}

/// Those of one stream are in order, whatever became of the clocks meanwhile; the last of one may come after the first of
/// another.
fn in_order(records: &mut [LogJson]) {
    let mut last = BTreeMap::<String, u64>::new();
    records.sort_by_cached_key(|record| {
        let time = last.entry(record.text("source").unwrap_or_default().to_owned()).or_default();
        *time = record.observed().max(*time);
        *time
    });
}

fn truths(file: &Path) -> Result<Vec<Truth>> {
    let text = std::fs::read_to_string(file)?;
    text.lines().map(|line| Truth::of(line).with_context(|| line.to_owned())).collect()
}

/// Removed when it is dropped.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
