//! What came of a machine's steps: whether it is what was to be, and the tables.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::boot::{Boot, Done, End};
use super::kernels::{ENGINES, Kernel};
use super::plan::Kind;
use crate::ui;

/// Lines of a failed step that are shown; all of them are in its log.
const SHOWN: usize = 40;

/// A kernel's results.
pub(super) struct Outcome {
    pub(super) kernel: &'static Kernel,
    pub(super) boot: Boot,
    pub(super) retries: u32,
    /// Where its logs are.
    pub(super) dir: PathBuf,
}

/// A program as its kernel has it.
struct Program {
    name: String,
    insns: Option<u64>,
    xlated: Option<u64>,
    jited: Option<u64>,
    load_ms: Option<f64>,
}

/// Tests of an engine.
#[derive(Default)]
struct Tests {
    passed: usize,
    failed: usize,
}

impl Outcome {
    /// What is not as it should be; nothing, if all is well.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.boot.broken.iter().cloned().collect();
        let mut never = Vec::new();
        for done in &self.boot.steps {
            let name = &done.step.name;
            match done.end {
                End::Ended { code } if code != Some(done.step.code) => {
                    let code = code.map_or("killed".into(), |code| format!("exit code {code}"));
                    all.push(format!("{name}: {code}, not {}", done.step.code));
                }
                End::Ended { .. } => all.extend(self.content(done)),
                // That which it needs has its own complaint.
                End::Skipped => {}
                End::Never => never.push(name.as_str()),
            }
        }
        if let [first, rest @ ..] = never.as_slice() {
            all.push(match rest.len() {
                0 => format!("{first} did not come to its end"),
                more => format!("{first} did not come to its end, nor did the {more} after it"),
            });
        }
        all
    }

    /// What is wrong with what a step said, though its exit code is right.
    fn content(&self, done: &Done) -> Vec<String> {
        let says = |text: &str| done.lines.iter().any(|line| line.contains(text));
        match done.step.kind {
            Kind::Doctor => ENGINES
                .iter()
                .filter(|engine| {
                    let mark = if self.kernel.has(engine) { '✓' } else { '✗' };
                    let begin = format!("{mark} engine {engine} ");
                    !done.lines.iter().any(|line| line.starts_with(&begin))
                })
                .map(|engine| {
                    let has = if self.kernel.has(engine) { "has" } else { "has not" };
                    format!("doctor does not say that this kernel {has} the engine {engine}")
                })
                .collect(),
            Kind::Refused(_) if !says("`sensor doctor`") => {
                vec![format!("{}: it does not say what to do", done.step.name)]
            }
            Kind::Auto => {
                let best = self.kernel.engines.first().copied().unwrap_or_default();
                let wanted = format!("engine={best}");
                let says = done.lines.iter().any(|line| line.to_lowercase().contains(&wanted));
                (!says)
                    .then(|| format!("auto: it does not take the engine {best}"))
                    .into_iter()
                    .collect()
            }
            Kind::Tests { at_least, .. } => {
                let ran = tests(done).passed;
                (ran < at_least)
                    .then(|| format!("{}: only {ran} of {at_least} tests ran", done.step.name))
                    .into_iter()
                    .collect()
            }
            Kind::Fields | Kind::Refused(_) | Kind::Programs(_) => vec![],
        }
    }

    /// Shows what is wrong, and the last words of the steps concerned.
    pub(super) fn explain(&self) {
        let complaints = self.complaints();
        if complaints.is_empty() {
            return;
        }
        ui::heading(format_args!("{}: logs in {}", self.kernel.name, self.dir.display()));
        for complaint in complaints {
            ui::line(complaint);
        }
        for done in &self.boot.steps {
            let End::Ended { code } = done.end else { continue };
            if code != Some(done.step.code) {
                ui::line(format_args!("-- {}: its last words", done.step.name));
                let from = done.lines.len().saturating_sub(SHOWN);
                done.lines[from..].iter().for_each(ui::line);
            }
        }
        if self.boot.broken.is_some() {
            ui::line("-- the console's last words");
            let console = console(&self.dir);
            let lines: Vec<_> = console.lines().collect();
            let from = lines.len().saturating_sub(SHOWN);
            lines[from..].iter().for_each(ui::line);
        }
    }

    fn programs(&self, engine: &str) -> Vec<Program> {
        self.of(|kind| kind == Kind::Programs(as_known(engine)))
            .flat_map(|done| &done.lines)
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| {
                Some(Program {
                    name: line["name"].as_str()?.to_owned(),
                    insns: line["insns"].as_u64(),
                    xlated: line["xlated"].as_u64(),
                    jited: line["jited"].as_u64(),
                    load_ms: line["load_ms"].as_f64(),
                })
            })
            .collect()
    }

    fn tests(&self, engine: &str) -> Tests {
        let is_it = |kind| matches!(kind, Kind::Tests { engine: of, .. } if of == engine);
        let mut all = Tests::default();
        for done in self.of(is_it) {
            let these = tests(done);
            all.passed += these.passed;
            all.failed += these.failed;
        }
        all
    }

    /// What `doctor --btf` said last: how many fields there are.
    fn fields(&self) -> &str {
        self.of(|kind| kind == Kind::Fields)
            .find_map(|done| Some(done.lines.last()?.as_str()))
            .unwrap_or("-")
    }

    fn of(&self, is_it: impl Fn(Kind) -> bool) -> impl Iterator<Item = &Done> {
        self.boot.steps.iter().filter(move |done| is_it(done.step.kind))
    }

    fn to_json(&self) -> Value {
        let engine = |&engine: &&str| {
            let programs: Vec<_> = self
                .programs(engine)
                .iter()
                .map(|program| {
                    json!({
                        "name": program.name,
                        "insns": program.insns,
                        "xlated": program.xlated,
                        "jited": program.jited,
                        "load_ms": program.load_ms,
                    })
                })
                .collect();
            let Tests { passed, failed } = self.tests(engine);
            json!({ "engine": engine, "programs": programs, "passed": passed, "failed": failed })
        };
        let up = self.boot.up.as_ref();
        json!({
            "kernel": self.kernel.name,
            "release": up.map(|(release, _)| release),
            "boot_s": up.map(|(_, seconds)| seconds),
            "engines": self.kernel.engines.iter().map(engine).collect::<Vec<_>>(),
            "retries": self.retries,
            "complaints": self.complaints(),
        })
    }
}

/// The same name with the life of the program.
fn as_known(engine: &str) -> &'static str {
    ENGINES.into_iter().find(|&known| known == engine).unwrap_or_default()
}

/// `test socket::uploads ... ok`
fn tests(done: &Done) -> Tests {
    let mut tests = Tests::default();
    for line in done.lines.iter().filter(|line| line.starts_with("test ")) {
        if line.ends_with(" ... ok") {
            tests.passed += 1;
        } else if !line.starts_with("test result:") {
            // Failed, ignored, or never over.
            tests.failed += 1;
        }
    }
    tests
}

/// What a machine's kernel said.
pub(super) fn console(dir: &Path) -> String {
    fs::read(dir.join("console.log"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Every program of every kernel, and then a row for each engine of each kernel.
pub(super) fn tables(outcomes: &[Outcome]) {
    ui::heading("programs");
    ui::line(format_args!(
        "{:<6} {:<8} {:<16} {:>9} {:>8} {:>8} {:>9}",
        "kernel", "engine", "program", "insns", "xlated", "jited", "load ms"
    ));
    for outcome in outcomes {
        for engine in outcome.kernel.engines {
            for program in outcome.programs(engine) {
                ui::line(format_args!(
                    "{:<6} {:<8} {:<16} {:>9} {:>8} {:>8} {:>9}",
                    outcome.kernel.name,
                    engine,
                    program.name,
                    number(program.insns),
                    number(program.xlated),
                    number(program.jited),
                    program.load_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}")),
                ));
            }
        }
    }
    ui::line("insns: gone through by the verifier (not told before Linux 5.16); load: emulated");
    ui::heading("kernels");
    ui::line(format_args!(
        "{:<6} {:<26} {:>6} {:<8} {:>8} {:>9} {:>8} {:>7} {:>7} {:>7}  fields",
        "kernel",
        "release",
        "boot s",
        "engine",
        "programs",
        "insns",
        "load ms",
        "passed",
        "failed",
        "retries"
    ));
    for outcome in outcomes {
        let (release, seconds) = match &outcome.boot.up {
            Some((release, seconds)) => (release.as_str(), format!("{seconds:.1}")),
            None => ("did not boot", "-".to_owned()),
        };
        for engine in outcome.kernel.engines {
            let programs = outcome.programs(engine);
            let insns: Option<u64> = programs.iter().map(|program| program.insns).sum();
            let load: Option<f64> = programs.iter().map(|program| program.load_ms).sum();
            let Tests { passed, failed } = outcome.tests(engine);
            ui::line(format_args!(
                "{:<6} {release:<26} {seconds:>6} {engine:<8} {:>8} {:>9} {:>8} {passed:>7} \
                 {failed:>7} {:>7}  {}",
                outcome.kernel.name,
                programs.len(),
                number(insns.filter(|_| !programs.is_empty())),
                load.filter(|_| !programs.is_empty())
                    .map_or("-".to_owned(), |ms| format!("{ms:.0}")),
                outcome.retries,
                outcome.fields(),
            ));
        }
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// Writes it all for programs to read.
pub(super) fn write_json(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let all: Vec<_> = outcomes.iter().map(Outcome::to_json).collect();
    let text = serde_json::to_string_pretty(&all)?;
    fs::write(path, text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests;
