//! What to trace, and how.

use std::path::PathBuf;

use sensor_ebpf::limits::{CGROUPS, PORTS};

use super::flags::CaptureFlags;
use super::{Problem, Problems, value};
use crate::capture::live::{LogOptions, LogsOf};
use crate::process::{Selection, Trust};

/// What the ring between kernel and sensor holds unless told otherwise: at 400 bytes an event,
/// 40,000 of them.
const RING_DEFAULT: usize = 16 << 20;
const RING_MIN: usize = 64 << 10;
const RING_MAX: usize = 1 << 30;

/// What to trace, and how. No process named by any of the four means every process.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Processes by id, name or executable, with their children.
    pub selection: Selection,
    /// Directories of cgroups (version 2).
    pub cgroups: Vec<PathBuf>,
    /// Ports that a TCP connection must have at one end; none means any.
    pub ports: Vec<u16>,
    /// Which hooks.
    pub engine: Engine,
    /// What event loops act on is followed.
    pub event_loops: bool,
    /// Size of the ring, in bytes: a power of two.
    pub ring_bytes: usize,
    /// Probes in programs written in Go are wanted.
    pub go_probes: bool,
    /// How far processes are believed in what they declare of themselves.
    pub trust: Trust,
    /// What is taken of what processes write to their logs.
    pub logs: LogOptions,
    /// The kernel side's own messages are wanted.
    pub verbose: bool,
}

/// Which hooks to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The cheapest that this kernel has.
    Auto,
    /// Tracepoints in the socket layer (Linux 6.3).
    Socket,
    /// System call entry and exit.
    Syscall,
}

pub(super) fn capture(flags: &CaptureFlags, problems: &mut Problems) -> Capture {
    let CaptureFlags {
        pid,
        comm,
        exe,
        cgroup,
        port,
        engine,
        event_loops,
        ring_size,
        go_probes,
        trust_resource,
        logs: whose_logs,
        log_skip,
        log_file,
        verbose,
    } = flags;
    let pids = each("--pid", pid, value::pid, problems);
    let comm = each("--comm", comm, value::glob, problems);
    let exe = each("--exe", exe, value::glob, problems);
    let selection = Selection::new(pids, &comm, &exe).unwrap_or_else(|errors| {
        problems.0.extend(errors.iter().map(|error| Problem::Said(error.to_string())));
        Selection::default()
    });
    let mut cgroups = cgroup.clone();
    for path in cgroup.iter().filter(|path| !path.is_absolute()) {
        problems.push(
            "--cgroup",
            &path.to_string_lossy(),
            "the full path of a cgroup directory, for example /sys/fs/cgroup/system.slice",
        );
    }
    distinct(&mut cgroups);
    at_most("--cgroup", cgroups.len(), CGROUPS, problems);
    let ports = each("--port", port, value::port, problems);
    at_most("--port", ports.len(), PORTS, problems);
    let named = !(selection.is_empty() && cgroups.is_empty());
    let logs = LogOptions {
        of: whose_logs
            .as_deref()
            .and_then(|text| problems.take("--logs", text, logs_of(text, named)))
            .unwrap_or_else(|| auto(named)),
        skip: each("--log-skip", log_skip, value::service, problems),
        files: each("--log-file", log_file, value::path_glob, problems),
    };
    if logs.of == LogsOf::Nobody {
        for (setting, values) in [("--log-skip", log_skip), ("--log-file", log_file)] {
            if let Some(value) = values.first() {
                problems.push(setting, value, "no such setting together with --logs off");
            }
        }
    }
    Capture {
        selection,
        cgroups,
        ports,
        engine: engine
            .as_deref()
            .and_then(|text| problems.take("--engine", text, parse_engine(text)))
            .unwrap_or(Engine::Auto),
        event_loops: event_loops
            .as_deref()
            .and_then(|text| problems.take("--event-loops", text, on_or_off(text)))
            .unwrap_or(true),
        ring_bytes: ring_size
            .as_deref()
            .and_then(|text| {
                let parsed = value::power_of_two_size(text, RING_MIN, RING_MAX);
                problems.take("--ring-size", text, parsed)
            })
            .unwrap_or(RING_DEFAULT),
        go_probes: go_probes
            .as_deref()
            .and_then(|text| problems.take("--go-probes", text, parse_switch(text)))
            .unwrap_or(true),
        trust: *trust_resource,
        logs,
        verbose: *verbose,
    }
}

/// Whose logs are taken where that is not said; `named` is whether processes are.
fn auto(named: bool) -> LogsOf {
    if named { LogsOf::Traced } else { LogsOf::Exchanging }
}

fn logs_of(text: &str, named: bool) -> Result<LogsOf, String> {
    match text {
        "auto" => Ok(auto(named)),
        "on" => Ok(LogsOf::Traced),
        "off" => Ok(LogsOf::Nobody),
        _ => Err("auto, on or off".into()),
    }
}

impl Capture {
    /// Only some processes or connections are traced.
    pub fn is_filtered(&self) -> bool {
        let Self {
            selection,
            cgroups,
            ports,
            engine: _,
            event_loops: _,
            ring_bytes: _,
            go_probes: _,
            trust: _,
            logs: _,
            verbose: _,
        } = self;
        !(selection.is_empty() && cgroups.is_empty() && ports.is_empty())
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".into()),
    }
}

fn parse_engine(text: &str) -> Result<Engine, String> {
    match text {
        "auto" => Ok(Engine::Auto),
        "socket" => Ok(Engine::Socket),
        "syscall" => Ok(Engine::Syscall),
        _ => Err("auto, socket or syscall".into()),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".into()),
    }
}

/// All values of a repeatable flag; naming one twice is naming it once.
fn each<T: PartialEq>(
    setting: &str,
    texts: &[String],
    parse: fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Vec<T> {
    let parsed = texts.iter().filter_map(|text| problems.take(setting, text, parse(text)));
    let mut values = parsed.collect();
    distinct(&mut values);
    values
}

fn distinct<T: PartialEq>(values: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(values.len());
    for value in values.drain(..) {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    *values = kept;
}

fn at_most(setting: &str, count: usize, limit: usize, problems: &mut Problems) {
    if count > limit {
        problems.push(setting, &format!("{count} of them"), format!("at most {limit}"));
    }
}
