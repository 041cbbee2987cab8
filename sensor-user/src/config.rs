//! Every setting: flags and environment in, one validated configuration per subcommand out.
//!
//! Two kinds of types: what was written ([`flags`], text only) and what it means ([`Run`],
//! [`Record`], [`Replay`]). The way between them is pure, and reports everything that is wrong at
//! once, so that nobody has to fix a command line one error at a time. Where a flag and a variable
//! say the same thing, the flag wins; an empty variable counts as unset, as OpenTelemetry has it.
//!
//! What only the machine can say (does the process exist, can the file be written) is not checked
//! here.

mod callers;
mod context;
mod export;
pub mod flags;
mod govern;
mod rules;
mod select;
#[cfg(test)]
mod tests;
mod value;

use std::path::PathBuf;
use std::time::Duration;

pub use export::Export;
pub use select::{Capture, Engine};

use crate::context::Settings;
use crate::govern::Settings as Govern;
use crate::trace::Callers;
use flags::{OutputFlags, RecordFlags, ReplayFlags, RunFlags};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Which one, what it says, and what it may say.
    #[error("{setting} {value:?}: expected {expected}")]
    Value {
        /// The flag (`--port`) or variable (`OTEL_BSP_SCHEDULE_DELAY`) as the user writes it.
        setting: String,
        /// What it was set to.
        value: String,
        /// What is accepted, as the end of a sentence.
        expected: String,
    },
    /// In the words of the destination that the setting is for.
    #[error("{0}")]
    Said(String),
}

/// Settings of `sensor run`.
#[derive(Clone, Debug)]
pub struct Run {
    /// What to trace, and how.
    pub capture: Capture,
    /// What is kept of requests.
    pub context: Settings,
    /// Whose trace contexts count.
    pub callers: Callers,
    /// What goes to standard output.
    pub output: Output,
    /// Where else spans go.
    pub export: Export,
    /// Which of them, and what of them.
    pub govern: Govern,
    /// Stop after this long; `None` runs until a signal.
    pub duration: Option<Duration>,
}

/// Settings of `sensor record`.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where the recording goes.
    pub file: PathBuf,
    /// A recording that is there is replaced.
    pub force: bool,
    /// What to record, and how.
    pub capture: Capture,
    /// Stop after this long; `None` runs until a signal.
    pub duration: Option<Duration>,
}

/// Settings of `sensor replay`.
#[derive(Clone, Debug)]
pub struct Replay {
    /// A recording, a pcap or a pcapng.
    pub file: PathBuf,
    /// Keep the recording's own pace.
    pub real_time: bool,
    /// What is kept of requests.
    pub context: Settings,
    /// Whose trace contexts count.
    pub callers: Callers,
    /// What goes to standard output.
    pub output: Output,
    /// Where else spans go.
    pub export: Export,
    /// Which of them, and what of them.
    pub govern: Govern,
}

/// What goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// [`Output::Pretty`] where standard output is a terminal, else [`Output::Json`].
    Auto,
    /// A line per span for people, and a live footer on a terminal.
    Pretty,
    /// A tree per trace for people, and a live footer on a terminal.
    Tree,
    /// A JSON object per line.
    Json,
    /// Nothing; the summary goes to standard error.
    None,
}

/// Collects problems while values are read.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, setting: &str, value: &str, expected: impl Into<String>) {
        self.0.push(Problem::Value {
            setting: setting.into(),
            value: value.into(),
            expected: expected.into(),
        });
    }

    /// The value, or `None` and a problem noted.
    fn take<T>(&mut self, setting: &str, value: &str, parsed: Result<T, String>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(expected) => {
                self.push(setting, value, expected);
                None
            }
        }
    }

    fn into_result<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// Reads the settings of `sensor run`.
///
/// # Errors
/// Everything that is wrong with them, in the order of the help text.
pub fn run(flags: &RunFlags, env: Env<'_>) -> Result<Run, Vec<Problem>> {
    let mut problems = Problems::default();
    let capture = select::capture(&flags.capture, &mut problems);
    let context = context::context(&flags.context, env, &mut problems);
    let output = output(&flags.output, &mut problems);
    let export = export::export(&flags.export, env, &mut problems);
    let config = Run {
        capture,
        output,
        context,
        callers: callers::callers(&flags.callers, &mut problems),
        govern: govern::govern((&flags.govern, &flags.rules), &export.settings, env, &mut problems),
        export,
        duration: duration(flags.duration.as_deref(), &mut problems),
    };
    problems.into_result(config)
}

/// Reads the settings of `sensor record`.
///
/// # Errors
/// Everything that is wrong with them, in the order of the help text.
pub fn record(flags: &RecordFlags) -> Result<Record, Vec<Problem>> {
    let mut problems = Problems::default();
    let config = Record {
        file: flags.file.clone(),
        force: flags.force,
        capture: select::capture(&flags.capture, &mut problems),
        duration: duration(flags.duration.as_deref(), &mut problems),
    };
    problems.into_result(config)
}

/// Reads the settings of `sensor replay`.
///
/// # Errors
/// Everything that is wrong with them, in the order of the help text.
pub fn replay(flags: &ReplayFlags, env: Env<'_>) -> Result<Replay, Vec<Problem>> {
    let mut problems = Problems::default();
    let context = context::context(&flags.context, env, &mut problems);
    let output = output(&flags.output, &mut problems);
    let export = export::export(&flags.export, env, &mut problems);
    let config = Replay {
        file: flags.file.clone(),
        real_time: flags.real_time,
        output,
        context,
        callers: callers::callers(&flags.callers, &mut problems),
        govern: govern::govern((&flags.govern, &flags.rules), &export.settings, env, &mut problems),
        export,
    };
    problems.into_result(config)
}

/// What the sensor says about itself: the directives of `SENSOR_LOG`, unless `--verbose` asks for
/// everything.
///
/// # Errors
/// When `SENSOR_LOG` is not a list of directives.
pub fn log(verbose: bool, env: Env<'_>) -> Result<String, Vec<Problem>> {
    const NAME: &str = "SENSOR_LOG";
    if verbose {
        return Ok("warn,sensor=debug".into());
    }
    let Some(directives) = env(NAME).filter(|text| !text.is_empty()) else {
        return Ok("warn".into());
    };
    let parsed = tracing_subscriber::EnvFilter::builder().parse(&directives).map(drop);
    let mut problems = Problems::default();
    problems.take(
        NAME,
        &directives,
        parsed.map_err(|_| {
            "a level (error, warn, info, debug, trace) or a list like sensor=debug,aya=info".into()
        }),
    );
    problems.into_result(directives)
}

fn duration(flag: Option<&str>, problems: &mut Problems) -> Option<Duration> {
    flag.and_then(|text| problems.take("--for", text, value::duration(text)))
}

fn output(flags: &OutputFlags, problems: &mut Problems) -> Output {
    let Some(text) = flags.output.as_deref() else {
        return Output::Auto;
    };
    let parsed = match text {
        "pretty" => Ok(Output::Pretty),
        "tree" => Ok(Output::Tree),
        "json" => Ok(Output::Json),
        "none" => Ok(Output::None),
        _ => Err("pretty, tree, json or none".to_owned()),
    };
    problems.take("--output", text, parsed).unwrap_or(Output::Auto)
}
