//! Whose lines are taken, and from what: user space decides, and tells the kernel side its
//! verdicts.
//!
//! A line is taken once, at its origin. Who only passes on what others have written is left out:
//! container runtimes and log agents ([`copiers`]), and whoever has as its standard input a pipe
//! that is the captured output of another process (`tee`, `svlogd`), or that of such a one. The
//! sensor's own output counts as captured: who reads that and writes something for each line would
//! never come to an end.
//!
//! File systems of a process can block, and a hostile process can make them. So the thread that
//! reads the rings only reads links and text of `/proc` that the kernel formats from memory
//! ([`descriptor`]). Another thread does the rest ([`looks`]); records of a file wait for its
//! verdict ([`held`]).

mod answers;
mod copiers;
mod descriptor;
mod files;
mod held;
mod looks;
mod root;
mod search;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use rustc_hash::FxHashSet;
use sensor_ebpf::abi::{Config, LineRecord, line_stream, lines};
use sensor_ebpf::limits::PROCESSES;

use super::{OpenError, take_map};
use crate::capture::Raw;
use crate::capture::event::{FileId, ProcessKey};
use crate::metrics::{Counter, Metrics};
use crate::model::Resource;
use crate::table::Table;
use files::{Files, Verdict};
use held::Held;
use looks::{Looks, Question};
use search::Wanted;

/// What is taken of what processes write to their logs.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Whose.
    pub of: LogsOf,
    /// Not of services with these names (`service.name`).
    pub skip: Vec<String>,
    /// Globs of paths: files that are read beside standard output and error, once they are written
    /// to.
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

/// How long records of files wait for the verdict whether their process is a copier.
const CHECK: Duration = Duration::from_millis(500);

/// A pipe or file: device, as the kernel has it, and inode.
type Place = (u32, u64);

/// Bits of a minor number in the kernel's `dev_t` (`MKDEV`, include/linux/kdev_t.h).
const MINOR_BITS: u32 = 20;

/// Identifies a program that a process runs, so that answers about its predecessor are discarded.
type Life = u64;

/// The files that a process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Those of the sensor.
    Own,
    /// Others: the process has another mount namespace or root directory.
    Other,
    /// The process ended before its namespace was read.
    Unknown,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug)]
struct Process {
    life: Life,
    /// Its lines are taken.
    on: bool,
    /// Nothing speaks against it.
    may: bool,
    input: Option<Place>,
    view: View,
    /// Until then, records of files wait for the verdict whether the process is a copier.
    checked: Option<Instant>,
}

/// Whose lines are taken, in step with the kernel side.
pub(super) struct Lines {
    of: LogsOf,
    skip: FxHashSet<String>,
    /// `/proc`.
    proc: PathBuf,
    /// The device of all anonymous pipes.
    pipes: Option<u32>,
    /// The sensor's mount namespace.
    namespace: Option<PathBuf>,
    processes: Table<ProcessKey, Process>,
    lives: Life,
    /// Captured outputs, and who was the first to write there.
    outputs: Table<Place, ProcessKey>,
    wanted: Arc<Wanted>,
    files: Files,
    held: Held,
    looks: Looks,
    /// Records of files that were dropped without a verdict.
    dropped: u64,
    /// Start of the current second, and the time in it that ends of processes have waited for
    /// look-ups.
    waited: (Option<Instant>, Duration),
    map: Option<BpfHashMap<MapData, u32, u8>>,
    /// A process has lines on, so that the program is to be attached, unless it is.
    due: bool,
    attached: bool,
    metrics: Arc<Metrics>,
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
        Self::below("/proc".into(), options, config, metrics)
    }

    /// The same, of processes below `proc`.
    fn below(
        proc: PathBuf,
        options: &LogOptions,
        config: &mut Config,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let LogOptions { of, skip, files } = options;
        let refused = |error| OpenError::Scope(format!("--log-file: {error}"));
        let wanted = Arc::new(Wanted::new(files).map_err(refused)?);
        let any = u32::from(wanted.any());
        (config.lines, config.line_files) = match of {
            LogsOf::Nobody => (lines::OFF, 0),
            LogsOf::Exchanging => (lines::CHOSEN, any),
            LogsOf::Traced => (lines::TRACED, any),
        };
        let mut lines = Self {
            of: *of,
            skip: skip.iter().cloned().collect(),
            pipes: device_of_pipes(),
            namespace: fs::read_link("/proc/self/ns/mnt").ok(),
            processes: Table::new(PROCESSES as usize),
            lives: 0,
            // As many as processes, and more only where they come and go.
            outputs: Table::new(PROCESSES as usize),
            files: Files::new(proc.clone(), Arc::clone(&wanted)),
            held: Held::default(),
            looks: looks::looks(proc.clone(), Arc::clone(&wanted)),
            dropped: 0,
            waited: (None, Duration::ZERO),
            proc,
            wanted,
            map: None,
            due: *of == LogsOf::Traced,
            attached: false,
            metrics: Arc::clone(metrics),
        };
        if *of != LogsOf::Nobody {
            lines.passed_on(ProcessKey::undated(config.self_tgid));
        }
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

    fn decide(&mut self, key: ProcessKey, resource: &Resource, on: bool) {
        let skipped = resource.service_name().is_some_and(|name| self.skip.contains(name));
        let named = resource.text("process.executable.name").is_some_and(copiers::is_name);
        self.lives += 1;
        let life = self.lives;
        // A name is no proof: lines are taken until the verdict.
        let asked = named && !skipped && self.ask(key, Question::Copier(life));
        let checked = asked.then(|| Instant::now() + CHECK);
        let input = self.pipe(key, 0, life);
        let reads = input.and_then(|input| self.outputs.get(input)).is_some_and(|&who| who != key);
        let may = !skipped && !reads;
        if on && !may {
            tracing::debug!(pid = key.tgid.0, skipped, reads, "its lines are left out");
        }
        let view = if self.wanted.any() { self.view(key) } else { View::Unknown };
        self.processes.insert(key, Process { life, on: on && may, may, input, view, checked });
        self.tell(key, on && may);
        if reads {
            self.passed_on(key);
        }
    }

    /// The files that a process sees. Links of `/proc` are read, not followed, so this does not
    /// block.
    fn view(&self, key: ProcessKey) -> View {
        let process = self.proc.join(key.tgid.0.to_string());
        let link = |name| fs::read_link(process.join(name)).ok();
        match (link("ns/mnt"), link("root")) {
            (namespace @ Some(_), Some(root)) => {
                let own = namespace == self.namespace && root == Path::new("/");
                if own { View::Own } else { View::Other }
            }
            _ => View::Unknown,
        }
    }

    /// The anonymous pipe at a process's standard input (0), output (1) or error (2). A file there
    /// can be a named pipe, and is looked up.
    fn pipe(&self, key: ProcessKey, fd: u32, life: Life) -> Option<Place> {
        let target = descriptor::target(&self.proc.join(key.tgid.0.to_string()), fd)?;
        if let Some(inode) = descriptor::pipe_inode(&target) {
            return Some((self.pipes?, inode));
        }
        let is_device = target == "/dev/null" || target.starts_with("/dev/pts/");
        if target.starts_with('/') && !is_device {
            self.ask(key, Question::Pipe(life, fd));
        }
        None
    }

    /// Asks the looker; returns false if the question is refused.
    fn ask(&self, key: ProcessKey, question: Question) -> bool {
        let asked = self.looks.ask(key, question).is_ok();
        if !asked {
            self.metrics.inc(Counter::LogLooksRefused);
        }
        asked
    }

    /// What this process writes to pipes is no origin of lines: who reads those passes it on.
    fn passed_on(&mut self, key: ProcessKey) {
        let life = self.life(key);
        for fd in [1, 2] {
            if let Some(place) = self.pipe(key, fd, life) {
                self.captured(place, key);
            }
        }
    }

    /// The program that the process runs; 0 before its introduction.
    fn life(&self, key: ProcessKey) -> Life {
        self.processes.get(key).map_or(0, |process| process.life)
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

    /// Decides on a record of a process that has been introduced as `resource`: returns whether it
    /// is to be passed on as it is. What has to come before it, or instead of it, goes to `sink`.
    pub(super) fn line(
        &mut self,
        key: ProcessKey,
        record: &LineRecord,
        bytes: &[u8],
        resource: &Resource,
        sink: &mut dyn FnMut(Raw<'_>),
    ) -> bool {
        if self.processes.get_mut(key).is_none() {
            // Forgotten to make room; the kernel side had been told yes.
            self.decide(key, resource, true);
        }
        let Some(&process) = self.processes.get(key).filter(|process| process.on) else {
            return false;
        };
        if record.stream != line_stream::FILE {
            self.captured((record.device, record.inode), key);
            return true;
        }
        let file =
            FileId { device: record.device, inode: record.inode, generation: record.generation };
        // A copier can copy to files that match.
        let unchecked = process.checked.is_some_and(|until| Instant::now() < until);
        let verdict = match unchecked || self.held.has(file) {
            true => Verdict::Unknown,
            false => self.files.decide(key, record.fd, file),
        };
        match verdict {
            Verdict::Wanted => {}
            Verdict::WantedAs(path) => sink(Raw::LogFile { file, path: &path }),
            Verdict::Unwanted => return false,
            Verdict::Unknown => {
                let question = search::Question { fd: record.fd, file, view: process.view };
                self.hold(key, question, bytes);
                return false;
            }
        }
        if self.dropped == 0 {
            return true;
        }
        let mut record = bytes.to_vec();
        held::add_lost(&mut record, self.dropped);
        sink(Raw::Record(&record));
        false
    }

    /// An output is captured, perhaps for the first time: its readers pass it on.
    fn captured(&mut self, place: Place, writer: ProcessKey) {
        if self.outputs.get_mut(place).is_some() {
            return;
        }
        self.outputs.insert(place, writer);
        let readers: Vec<ProcessKey> = self
            .processes
            .iter()
            .filter(|(process, state)| *process != writer && state.input == Some(place))
            .map(|(process, _)| process)
            .collect();
        for reader in readers {
            self.passes_on(reader);
        }
    }

    /// A process reads a captured output.
    fn passes_on(&mut self, reader: ProcessKey) {
        self.leave_out(reader);
        // What it writes has been taken until now; whoever reads that, too.
        self.passed_on(reader);
    }

    /// Stops taking the lines of a process.
    fn leave_out(&mut self, key: ProcessKey) {
        if let Some(process) = self.processes.get_mut(key) {
            (process.on, process.may) = (false, false);
        }
        self.tell(key, false);
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(process);
    }

    fn tell(&mut self, key: ProcessKey, on: bool) {
        let Some(map) = &mut self.map else { return };
        // Where nothing is said, the kernel side does what was asked for of all.
        let told = if on == (self.of == LogsOf::Traced) {
            // It may have been told the contrary. Mostly it has not: then there is nothing to
            // remove.
            let _ = map.remove(&key.tgid.0);
            Ok(())
        } else {
            map.insert(key.tgid.0, u8::from(on), 0)
        };
        if let Err(error) = told {
            let what = if on { "taken" } else { "left out in the kernel; they are dropped here" };
            tracing::warn!("lines of process {} cannot be {what}: {error}", key.tgid.0);
        }
    }
}

/// The device of all anonymous pipes.
fn device_of_pipes() -> Option<u32> {
    let (reading, _writing) = std::io::pipe().ok()?;
    root::facts(&reading.into()).ok().map(|facts| facts.place.0)
}

#[cfg(test)]
mod directory;
#[cfg(test)]
mod tests;
