//! Whose lines are taken, and from what: user space decides, and tells the kernel side its verdicts.
//!
//! A line is taken once, at its origin. Who only passes on what others have written is left out: container
//! runtimes and log agents, known by the names of their executables, and whoever has as its standard input
//! a pipe that is the captured output of another process (`tee`, `svlogd`), or that of such a one. The sensor's own
//! output counts as captured: who reads that and writes something for each line would never come to an end.

mod files;

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use rustc_hash::FxHashSet;
use sensor_ebpf::abi::{Config, LineRecord, line_stream, lines};
use sensor_ebpf::limits::PROCESSES;

use super::{OpenError, take_map};
use crate::capture::event::{FileId, ProcessKey};
use crate::metrics::{Counter, Metrics};
use crate::model::Resource;
use crate::table::Table;
use files::{Files, Verdict};

/// What is taken of what processes write to their logs.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Whose.
    pub of: LogsOf,
    /// Not of services with these names (`service.name`).
    pub skip: Vec<String>,
    /// Globs of paths: files that are read beside standard output and error, once they are written to.
    pub files: Vec<String>,
}

/// Of which processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogsOf {
    /// Of none: nothing is loaded or attached for them.
    #[default]
    Nobody,
    /// Of those in which an exchange was seen, from then on.
    Exchanging,
    /// Of all that are traced.
    Traced,
}

/// Executables that pass on what others have written. One that ends in `*` stands for all that begin so.
const COPIERS: &[&str] = &[
    // Container runtimes.
    "containerd",
    "containerd-shim*",
    "dockerd",
    "docker-containerd*",
    "conmon",
    "conmonrs",
    "crio",
    "kubelet",
    // The system's own.
    "systemd-journald",
    "systemd-journal-*",
    "rsyslogd",
    "syslogd",
    "syslog-ng",
    // Agents.
    "fluent-bit",
    "fluentd",
    "td-agent*",
    "vector",
    "promtail",
    "alloy",
    "grafana-agent*",
    "filebeat",
    "elastic-agent*",
    "otelcol*",
    "otel-collector*",
    "logstash",
    "vlagent",
];

/// Whether an executable of this name passes on what others have written.
fn is_copier(executable: &str) -> bool {
    COPIERS.iter().any(|copier| match copier.strip_suffix('*') {
        Some(beginning) => executable.starts_with(beginning),
        None => executable == *copier,
    })
}

/// A pipe or file, as far as it can be told from outside: device, as the kernel has it, and inode.
type Place = (u32, u64);

/// `st_dev` as the kernel has it (`MKDEV`, include/linux/kdev_t.h).
fn device(of: u64) -> u32 {
    libc::major(of) << 20 | libc::minor(of)
}

/// The pipe that is a process's standard input (0), output (1) or error (2), if it is one.
fn pipe(process: ProcessKey, fd: u32) -> Option<Place> {
    let metadata = fs::metadata(format!("/proc/{}/fd/{fd}", process.tgid.0)).ok()?;
    metadata.file_type().is_fifo().then(|| (device(metadata.dev()), metadata.ino()))
}

/// What is known of a process.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// Its lines are taken.
    on: bool,
    /// Nothing speaks against it.
    may: bool,
    input: Option<Place>,
}

/// Whose lines are taken, in step with the kernel side.
pub(super) struct Lines {
    of: LogsOf,
    skip: FxHashSet<String>,
    processes: Table<ProcessKey, Process>,
    /// Captured outputs, and who was the first to write there.
    outputs: Table<Place, ProcessKey>,
    files: Files,
    map: Option<BpfHashMap<MapData, u32, u8>>,
    /// A process has lines on, so that the program is to be attached, unless it is.
    due: bool,
    attached: bool,
    metrics: Arc<Metrics>,
}

/// What becomes of a line's record.
pub(super) enum Wanted {
    /// It is dropped.
    No,
    /// It is passed on.
    Yes,
    /// The same, after the file's name.
    Named(FileId, Arc<str>),
}

impl Lines {
    /// Checks what is asked for, and says it in the kernel side's terms.
    ///
    /// # Errors
    /// For globs that are none.
    pub(super) fn new(
        options: &LogOptions,
        config: &mut Config,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let LogOptions { of, skip, files } = options;
        let files = Files::new("/proc".into(), files)?;
        (config.lines, config.line_files) = match of {
            LogsOf::Nobody => (lines::OFF, 0),
            LogsOf::Exchanging => (lines::CHOSEN, u32::from(files.any())),
            LogsOf::Traced => (lines::TRACED, u32::from(files.any())),
        };
        let mut lines = Self {
            of: *of,
            skip: skip.iter().cloned().collect(),
            processes: Table::new(PROCESSES as usize),
            // As many as processes, and more only where they come and go.
            outputs: Table::new(PROCESSES as usize),
            files,
            map: None,
            due: *of == LogsOf::Traced,
            attached: false,
            metrics: Arc::clone(metrics),
        };
        lines.passed_on(ProcessKey::undated(config.self_tgid));
        Ok(lines)
    }

    /// Will tell the kernel side.
    ///
    /// # Errors
    /// When the object has no such map.
    pub(super) fn connect(&mut self, ebpf: &mut Ebpf) -> Result<(), OpenError> {
        if self.of != LogsOf::Nobody {
            self.map = Some(take_map(ebpf, "LINE_PROCESSES")?);
            self.files.connect(ebpf)?;
        }
        Ok(())
    }

    /// Whether the program is to be attached now; says so once.
    pub(super) fn attachment_due(&mut self) -> bool {
        let due = self.due && !self.attached;
        self.attached |= due;
        due
    }

    /// A process runs this program from now on.
    pub(super) fn introduce(&mut self, process: ProcessKey, resource: &Resource) {
        match self.of {
            LogsOf::Nobody => {}
            LogsOf::Exchanging => self.decide(process, resource, false),
            LogsOf::Traced => self.decide(process, resource, true),
        }
    }

    fn decide(&mut self, process: ProcessKey, resource: &Resource, on: bool) {
        let skipped = resource.service_name().is_some_and(|name| self.skip.contains(name));
        let copier = resource.text("process.executable.name").is_some_and(is_copier);
        let input = pipe(process, 0);
        let reads =
            input.and_then(|input| self.outputs.get_mut(input)).is_some_and(|who| *who != process);
        let may = !skipped && !copier && !reads;
        if on && !may {
            tracing::debug!(pid = process.tgid.0, skipped, copier, reads, "its lines are left out");
        }
        self.processes.insert(process, Process { on: on && may, may, input });
        self.tell(process, on && may);
        if reads {
            self.passed_on(process);
        }
    }

    /// What this process writes to pipes is no origin of lines: who reads those passes it on.
    fn passed_on(&mut self, process: ProcessKey) {
        for place in [1, 2].into_iter().filter_map(|fd| pipe(process, fd)) {
            if self.outputs.get_mut(place).is_none() {
                self.captured(place, process);
            }
        }
    }

    /// An exchange was seen in a process that has been introduced.
    pub(super) fn exchange(&mut self, process: ProcessKey) {
        if self.of != LogsOf::Exchanging {
            return;
        }
        if let Some(state) = self.processes.get_mut(process)
            && state.may
            && !state.on
        {
            state.on = true;
            self.due = true;
            self.tell(process, true);
        }
    }

    /// Decides on a record of a process that has been introduced as `resource`.
    pub(super) fn line(
        &mut self,
        process: ProcessKey,
        record: &LineRecord,
        resource: &Resource,
    ) -> Wanted {
        if self.processes.get_mut(process).is_none() {
            // Forgotten to make room; the kernel side had been told yes.
            self.decide(process, resource, true);
        }
        if !self.processes.get_mut(process).is_some_and(|state| state.on) {
            return Wanted::No;
        }
        let place = (record.device, record.inode);
        if record.stream != line_stream::FILE {
            if self.outputs.get_mut(place).is_none() {
                self.captured(place, process);
            }
            return Wanted::Yes;
        }
        let file =
            FileId { device: record.device, inode: record.inode, generation: record.generation };
        match self.files.decide(process.tgid, record.fd, file) {
            Verdict::Wanted => Wanted::Yes,
            Verdict::WantedAs(path) => Wanted::Named(file, path),
            Verdict::Unwanted => Wanted::No,
            Verdict::Unknown => {
                self.metrics.inc(Counter::LogWritesLostFile);
                Wanted::No
            }
        }
    }

    /// Something is captured that was not before: who reads it passes it on.
    fn captured(&mut self, place: Place, writer: ProcessKey) {
        self.outputs.insert(place, writer);
        let readers: Vec<ProcessKey> = self
            .processes
            .iter()
            .filter(|(process, state)| *process != writer && state.input == Some(place))
            .map(|(process, _)| process)
            .collect();
        for reader in readers {
            if let Some(state) = self.processes.get_mut(reader) {
                (state.on, state.may) = (false, false);
            }
            self.tell(reader, false);
            // What it writes has been taken until now; whoever reads that, too.
            self.passed_on(reader);
        }
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(process);
    }

    fn tell(&mut self, process: ProcessKey, on: bool) {
        let Some(map) = &mut self.map else { return };
        // Where nothing is said, the kernel side does what was asked for of all.
        let told = if on == (self.of == LogsOf::Traced) {
            // It may have been told the contrary. Mostly it has not: then there is nothing to remove.
            let _ = map.remove(&process.tgid.0);
            Ok(())
        } else {
            map.insert(process.tgid.0, u8::from(on), 0)
        };
        if let Err(error) = told {
            let what = if on { "taken" } else { "left out in the kernel; they are dropped here" };
            tracing::warn!("lines of process {} cannot be {what}: {error}", process.tgid.0);
        }
    }
}

#[cfg(test)]
mod tests;
