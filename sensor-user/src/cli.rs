//! The `sensor` command: one file per subcommand, and what they share. Everything with an effect
//! (files, signals, clocks, the terminal) is here.

mod connect;
mod doctor;
mod footer;
mod log;
mod output;
mod pipeline;
mod quiet;
mod record;
mod replay;
mod run;
mod secrets;
mod session;
mod stop;
mod view;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::flags::{RecordFlags, ReplayFlags, RunFlags};
use crate::config::{self, Problem};
use secrets::Secrets;

const EXIT_CODES: &str = "\
Exit codes:
  0    ended as asked (also when the reader of standard output went away)
  1    failed while running
  2    wrong flags or variables
  3    this machine cannot run it: privileges or kernel (see `sensor doctor`)
  130  interrupted a second time: what was still queued is lost

SENSOR_LOG sets what the sensor says about itself on standard error, for example SENSOR_LOG=info.";

const RUN_EXAMPLES: &str = "\
Examples:
  sudo sensor run                                  every HTTP exchange on this host
  sudo sensor run --comm nginx --port 80           nginx, port 80 only
  sudo sensor run --pid 4711 --for 20s             one process and its children, for 20 s
  sudo sensor run --output json > spans.jsonl      a JSON object per span
  sudo sensor run --otlp-endpoint http://localhost:4318 --output none
  sudo sensor run --sampler parentbased_traceidratio:0.1 --keep-errors --keep-slow 1s

A process is traced when any of --pid, --comm, --exe or --cgroup names it. sudo clears the
environment: give OTEL_* variables after it (sudo OTEL_EXPORTER_OTLP_ENDPOINT=... sensor run).
OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read from each traced process.

Variables that hold secrets (OTEL_EXPORTER_OTLP_HEADERS, _TRACES_HEADERS and _LOGS_HEADERS; the
endpoints; SENSOR_LOKI_PASSWORD, SENSOR_LOKI_BEARER_TOKEN; SENSOR_REDACT_KEY) can be read from
files: NAME_FILE=/path/of/the/file. Arguments show in `ps`: do not put keys there.

traceidratio chooses the traces that the SDKs for Go and Python choose. adaptive keeps all that
enters this node, and inside it a part of the traces, from min to max by the errors of the service.
What sampling leaves out is counted as spans.not_sampled; it counts as traffic all the same, and its
access records still go to Loki. Only callers that are trusted (see --trusted-peer) can have spans
left out, by their sampling decision; errors stay whoever decided so.

Expressions, as in 'service = shop and not (level >= warn or message ~ \"timed? out\")':
  FIELD = VALUE, != (text or numbers); ~, !~ (regular expressions); <, <=, >, >= (numbers, levels);
  has FIELD; and, or, not, parentheses. A value with spaces goes in quotes.
  Fields: service, host, level, message, class, caller, event, source (stdout, stderr, file; exchange
  for spans), file, trace_id, span_id; of spans kind, status, name; and all attributes by their names.
  What is absent is unknown: 'level != debug' does not hold for what has no level.

Secrets are masked as [redacted] before anything is written or sent, in spans and in log records: in
fields with names like password, api_key or access_token (however written, user.password too), in
such pairs within text and queries, credentials of Bearer and Basic, JSON Web Tokens, card numbers
(all but four digits), private keys, AWS key ids and passwords in URLs. Paths are left as they are.
  --redact name:*_pin=drop                  these attributes
  --redact 'pattern:cust-[0-9]+=hash'       equal values stay equal
  --redact session=keep --redact email=mask
Known: authorization, cookie, api_key, password, secret, token, private_key, session, card, ssn,
signature, jwt, aws_key, url_password, email. hash needs SENSOR_REDACT_KEY (32 hexadecimal digits), or
SENSOR_REDACT_KEY_FILE with a file that has them. How often each rule applied is in the summary.";

const RECORD_EXAMPLES: &str = "\
Examples:
  sudo sensor record /tmp/slow.rec --comm nginx --for 20s
  sudo sensor replay /tmp/slow.rec

A recording holds the heads of requests and responses as they were sent, and lines as they were
written, credentials included: nothing is redacted before it is replayed. So only the user that
records may read it. It is created anew, in a directory of that user's or of root's to which nobody
else may write (/tmp is one, as nobody can remove another user's files there).";

const REPLAY_EXAMPLES: &str = "\
Examples:
  sensor replay slow.rec
  sensor replay capture.pcapng --output json
  sensor replay slow.rec --real-time --otlp-endpoint http://localhost:4318

Needs no privileges.";

/// HTTP exchanges of this host, seen from the kernel: spans without touching a service.
#[derive(Debug, Parser)]
#[command(name = "sensor", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more about the sensor itself on standard error, the kernel side included
    #[arg(long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trace what runs on this host (needs root)
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunFlags>),
    /// Write what the kernel side sees to a file, to replay later (needs root)
    #[command(after_help = RECORD_EXAMPLES)]
    Record(RecordFlags),
    /// Make spans of a recording or a packet capture
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayFlags),
    /// Try whether `run` would work here, and say what is missing
    Doctor {
        /// Be the process of another user that `doctor` looks at: wait for the end of standard input
        #[arg(long, hide = true)]
        stand_in: bool,
        /// Look up every kernel field that is relied on in this file, which is like
        /// /sys/kernel/btf/vmlinux, instead
        #[arg(long, value_name = "FILE", hide = true)]
        btf: Option<PathBuf>,
    },
}

/// Why the command failed; decides the exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Settings that cannot be used.
    #[error("{}", lines(.0))]
    Usage(Vec<Problem>),
    /// This machine cannot run it.
    #[error("{0}")]
    Unsupported(String),
    /// It broke off.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Broken(_) => 1,
            Self::Usage(_) => 2,
            Self::Unsupported(_) => 3,
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Usage(problems)
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Runs the command that the arguments ask for, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where even this cannot be printed, the exit code has to do.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => {
            for line in failure.to_string().lines() {
                let _ = writeln!(io::stderr(), "sensor: {line}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let screen = footer::Screen::default();
    let log = config::log(cli.verbose, &environment);
    if let Ok(directives) = &log {
        log::start(directives, screen.clone());
    }
    match cli.command {
        Command::Run(mut flags) => {
            flags.capture.verbose = cli.verbose;
            let config = with_secrets(|env| config::run(&flags, env));
            run::run(both(config, log)?, &screen)
        }
        Command::Record(mut flags) => {
            flags.capture.verbose = cli.verbose;
            record::record(both(config::record(&flags), log)?)
        }
        Command::Replay(flags) => {
            let config = with_secrets(|env| config::replay(&flags, env));
            replay::replay(both(config, log)?, &screen)
        }
        Command::Doctor { stand_in: true, .. } => {
            // Its end is all that can be waited for; an error is one too.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor { stand_in: false, btf } => {
            log?;
            doctor::doctor(btf.as_deref())
        }
    }
}

/// An environment variable.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads a configuration from the environment, where files may have the secrets.
fn with_secrets<T>(
    config: impl FnOnce(config::Env<'_>) -> Result<T, Vec<Problem>>,
) -> Result<T, Vec<Problem>> {
    let secrets = Secrets::read(&environment);
    let config = config(&|name| secrets.get(name).or_else(|| environment(name)));
    for note in &secrets.notes {
        tracing::warn!("{note}");
    }
    match config {
        Ok(config) if secrets.problems.is_empty() => Ok(config),
        config => {
            Err(secrets.problems.into_iter().chain(config.err().into_iter().flatten()).collect())
        }
    }
}

/// The configuration, or the problems of both.
fn both<T>(
    config: Result<T, Vec<Problem>>,
    log: Result<String, Vec<Problem>>,
) -> Result<T, Vec<Problem>> {
    match (config, log) {
        (Ok(config), Ok(_)) => Ok(config),
        (Err(mut problems), log) => {
            problems.extend(log.err().unwrap_or_default());
            Err(problems)
        }
        (Ok(_), Err(problems)) => Err(problems),
    }
}

/// <https://no-color.org>
fn colour_is_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests;
