//! Runs commands one after the other and reports what they say, each with a time limit.
//!
//! The report is lines of JSON, each behind the nonce of the plan, so that nothing else on the port
//! can be taken for it:
//!
//! - `{"boot": RELEASE, "seconds": UPTIME}` first;
//! - `{"step": NAME}` when one begins, `{"line": TEXT}` for what it says, `{"code": CODE, "seconds":
//!   TIME}` when it ends (a code of null: it was killed), `{"limit": SECONDS}` before that when it
//!   was killed for taking too long; `{"skip": NAME}` alone for one that needs another's success;
//! - `{"end": STEPS}` last. Without it the machine did not come to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};

/// How often it is looked whether a step that says nothing has ended.
const POLL: Duration = Duration::from_millis(50);

/// Lines of a step that are reported; a test that fails may print every span there is.
const LINES_MAX: usize = 20_000;

/// Bytes of a line.
const LINE_MAX: usize = 16 * 1024;

/// Reads the plan and goes through it.
///
/// # Errors
/// The plan cannot be understood, or the port not be written to. A step that fails is no error.
pub fn run() -> Result<()> {
    let plan: Value = serde_json::from_slice(&fs::read(super::PLAN)?).context(super::PLAN)?;
    let nonce = plan["nonce"].as_str().context("a plan without a nonce")?;
    let steps = plan["steps"].as_array().context("a plan without steps")?;
    let mut report = Report::open(nonce)?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    report.say(&json!({ "boot": release.trim_end(), "seconds": uptime()? }))?;
    let mut succeeded = Vec::new();
    for step in steps {
        if !step["needs"].is_null() && !succeeded.contains(&&step["needs"]) {
            report.say(&json!({ "skip": step["name"] }))?;
            continue;
        }
        report.say(&json!({ "step": step["name"] }))?;
        let start = Instant::now();
        let code = run_step(step, &mut report)?;
        if code == Some(0) {
            succeeded.push(&step["name"]);
        }
        report.say(&json!({ "code": code, "seconds": start.elapsed().as_secs_f64() }))?;
    }
    report.say(&json!({ "end": steps.len() }))
}

/// The serial port.
struct Report {
    port: File,
    nonce: String,
}

impl Report {
    fn open(nonce: &str) -> Result<Self> {
        let port = OpenOptions::new().write(true).open(super::REPORT).context(super::REPORT)?;
        let mut raw = tcgetattr(&port)?;
        raw.make_raw();
        tcsetattr(&port, OptionalActions::Now, &raw)?;
        Ok(Self { port, nonce: nonce.to_owned() })
    }

    fn say(&mut self, what: &Value) -> Result<()> {
        // In one write, and no buffer that a crash would take along.
        let line = format!("{} {what}\n", self.nonce);
        self.port.write_all(line.as_bytes()).context(super::REPORT)
    }
}

/// Returns the exit code; none when it was killed.
fn run_step(step: &Value, report: &mut Report) -> Result<Option<i32>> {
    let words = |key: &str| step[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut run = words("run");
    let mut command = Command::new(run.next().context("a step without a command")?);
    command.args(run).env_clear();
    command.envs(words("env").filter_map(|pair| pair.split_once('=')));
    let limit = Duration::from_secs(step["limit"].as_u64().context("a step without a limit")?);
    let spawned = command
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            report.say(&json!({ "line": format!("{command:?}: {error}") }))?;
            return Ok(None);
        }
    };
    let group = Pid::from_child(&child);
    let (sender, lines) = channel();
    if let Some(pipe) = child.stdout.take() {
        listen(pipe, sender.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        listen(pipe, sender);
    }
    let deadline = Instant::now() + limit;
    let mut told = 0;
    let status: ExitStatus = loop {
        pass_on(&lines, POLL, &mut told, report)?;
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            report.say(&json!({ "limit": limit.as_secs() }))?;
            kill_process_group(group, Signal::KILL)?;
            break child.wait()?;
        }
    };
    // What it has started and not ended would write on.
    let _ = kill_process_group(group, Signal::KILL);
    while pass_on(&lines, POLL, &mut told, report)? {}
    Ok(status.code())
}

/// Reports lines until there is none for `patience`; whether there was any.
fn pass_on(
    lines: &Receiver<String>,
    patience: Duration,
    told: &mut usize,
    report: &mut Report,
) -> Result<bool> {
    let before = *told;
    loop {
        match lines.recv_timeout(patience) {
            Ok(line) => {
                *told += 1;
                if *told <= LINES_MAX {
                    report.say(&json!({ "line": line }))?;
                } else if *told == LINES_MAX + 1 {
                    report.say(&json!({ "line": "(and more, which is not reported)" }))?;
                }
            }
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => {
                // Nothing more can come; the caller polls for the end.
                thread::sleep(patience.min(POLL));
                break;
            }
        }
    }
    Ok(*told > before)
}

fn listen(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            line.truncate(LINE_MAX);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if lines.send(text).is_err() {
                break;
            }
        }
    });
}

/// Seconds since the kernel took its first breath.
fn uptime() -> Result<f64> {
    let text = fs::read_to_string("/proc/uptime")?;
    let first = text.split_whitespace().next().context("an empty /proc/uptime")?;
    Ok(first.parse()?)
}
