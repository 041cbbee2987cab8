//! What is traced: user space decides on processes, and tells the kernel side its verdicts.

use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use sensor_ebpf::abi::{Config, Verdict, mode};
use sensor_ebpf::limits::{CGROUPS, PORTS};

use super::processes::{Decided, Origin, Processes};
use super::{OpenError, Options, take_map};
use crate::capture::decode::ProcessRecordView;
use crate::capture::event::ProcessKey;
use crate::process::{ProcessFacts, Selection, executable, initial_selection, is_selected};

const PROC: &str = "/proc";

/// A number that nobody else knows: the seed of a hash map of the standard library.
fn key() -> u64 {
    RandomState::new().hash_one(0)
}

/// A [`Verdict`] as the map takes it.
type Value = [u8; size_of::<Verdict>()];

/// What is traced, in step with the kernel side.
pub(super) struct Scope {
    selection: Selection,
    mode: u32,
    map: Option<BpfHashMap<MapData, u32, Value>>,
    /// The warning that the map is full was given.
    warned: bool,
}

impl Scope {
    /// Checks what is asked for, and says it in the kernel side's terms.
    ///
    /// # Errors
    /// For a cgroup that is not there, or more ports or cgroups than fit.
    pub(super) fn new(options: &Options) -> Result<(Self, Config), OpenError> {
        let mut config = Config::ALL;
        config.self_tgid = std::process::id();
        config.causes = options.event_loops.into();
        config.unix_key = key();
        if options.ports.len() > PORTS {
            return Err(OpenError::Scope(format!("--port: at most {PORTS} can be given")));
        }
        for (slot, &port) in config.ports.iter_mut().zip(&options.ports) {
            *slot = port;
            config.port_count += 1;
        }
        if options.cgroups.len() > CGROUPS {
            return Err(OpenError::Scope(format!("--cgroup: at most {CGROUPS} can be given")));
        }
        for (i, path) in options.cgroups.iter().enumerate() {
            (config.cgroups[i], config.cgroup_levels[i]) = cgroup(path)?;
            config.cgroup_count += 1;
        }
        let selection = options.selection.clone();
        config.mode = if selection.by_name() {
            // A program that starts later may match: the kernel side captures it until it is decided.
            mode::UNDECIDED
        } else if selection.is_empty() && options.cgroups.is_empty() {
            mode::ALL
        } else {
            mode::SELECTED
        };
        Ok((Self { selection, mode: config.mode, map: None, warned: false }, config))
    }

    /// Tells the kernel side about the processes that there are. Before anything is attached.
    ///
    /// # Errors
    /// When none of the processes asked for by id exists, or the map is too small.
    pub(super) fn connect(
        &mut self,
        ebpf: &mut Ebpf,
        processes: &mut Processes,
    ) -> Result<(), OpenError> {
        self.map = Some(take_map(ebpf, "VERDICTS")?);
        if self.mode == mode::ALL || self.selection.is_empty() {
            return Ok(());
        }
        let all = self.list()?;
        for pid in self.selection.pids() {
            if !all.iter().any(|(process, _)| process.tgid == pid) {
                return Err(OpenError::Scope(format!(
                    "--pid {}: there is no such process; see `ps -e`",
                    pid.0
                )));
            }
        }
        self.tell_all(all, processes);
        Ok(())
    }

    /// Tells it about the processes that came between [`Self::connect`] and now, when everything is
    /// attached: from here on children inherit in the kernel.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub(super) fn catch_up(&mut self, processes: &mut Processes) -> Result<(), OpenError> {
        if self.mode != mode::ALL && !self.selection.is_empty() {
            let all = self.list()?;
            self.tell_all(all, processes);
        }
        Ok(())
    }

    /// The processes that are traced for certain, of those that run now.
    pub(super) fn running(&self) -> Vec<ProcessKey> {
        let decided = self.mode == mode::ALL || !self.selection.is_empty();
        let all = if decided { self.list().unwrap_or_default() } else { Vec::new() };
        all.into_iter().filter_map(|(process, selected)| selected.then_some(process)).collect()
    }

    fn list(&self) -> Result<Vec<(ProcessKey, bool)>, OpenError> {
        initial_selection(Path::new(PROC), &self.selection)
            .map_err(|error| OpenError::Scope(format!("/proc cannot be listed: {error}")))
    }

    /// Processes that are not selected are decided on at their first record: they may run another
    /// program by then.
    fn tell_all(&mut self, all: Vec<(ProcessKey, bool)>, processes: &mut Processes) {
        for (process, _) in all.into_iter().filter(|&(_, selected)| selected) {
            if self.decides() {
                let verdict = &mut processes.entry(process).verdict;
                verdict.get_or_insert(Decided { traced: true, execs: 0 });
            }
            self.tell(process, 0, true);
        }
    }

    /// Whether user space decides on processes while they run.
    pub(super) fn decides(&self) -> bool {
        self.mode == mode::UNDECIDED
    }

    /// Whether a process is selected by what it runs now; `None` if it has ended.
    pub(super) fn selects(&self, process: ProcessKey) -> Option<bool> {
        is_selected(Path::new(PROC), process, &self.selection)
    }

    /// Decides on a program that has just begun.
    pub(super) fn decide_exec(
        &mut self,
        record: &ProcessRecordView<'_>,
        processes: &mut Processes,
    ) -> bool {
        if !self.decides() {
            return true;
        }
        let &ProcessRecordView { process, parent, execs, comm, .. } = record;
        let origin = processes.get(process).and_then(|there| there.origin);
        let mut is_traced = |process| {
            let verdict = processes.get(process).and_then(|there| there.verdict);
            verdict.is_some_and(|verdict| verdict.traced)
        };
        let inherited = is_traced(process)
            || is_traced(parent)
            || origin.is_some_and(|Origin { parent, execs }| {
                processes.decide(parent, execs, &mut |process| self.selects(process)) == Some(true)
            });
        let traced = inherited || {
            let exe = executable(Path::new(PROC), process);
            self.selection.matches_name(&ProcessFacts {
                tgid: process.tgid,
                comm: &String::from_utf8_lossy(comm),
                exe: exe.as_deref(),
            })
        };
        processes.entry(process).verdict = Some(Decided { traced, execs });
        self.tell(process, execs, traced);
        traced
    }

    /// Removes the verdict on a process that has ended. The kernel side has removed it at the exit,
    /// but it may have been written after that.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        let start_ns = process.start.boottime().to_ne_bytes();
        if self.decides()
            && let Some(map) = &mut self.map
            && let Ok(value) = map.get(&process.tgid.0, 0)
            && value.starts_with(&start_ns)
        {
            // If a new process got the id just now, it becomes undecided, and is decided on.
            let _ = map.remove(&process.tgid.0);
        }
    }

    /// Writes the verdict on a process that runs the program with this exec count.
    pub(super) fn tell(&mut self, process: ProcessKey, execs: u32, traced: bool) {
        let Some(map) = &mut self.map else { return };
        let start_ns = process.start.boottime();
        let (traced, told) = (traced.into(), 1);
        let verdict = Verdict { start_ns, execs, traced, told, reserved: [0; 2] };
        let value: Value = zerocopy::transmute!(verdict);
        if let Err(error) = map.insert(process.tgid.0, value, 0)
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(
                "process {} and perhaps others cannot be {}: {error}",
                process.tgid.0,
                if traced == 1 {
                    "traced"
                } else {
                    "left out in the kernel; their records are dropped here"
                }
            );
        }
    }
}

/// The identifier of a cgroup, and its depth below the root.
fn cgroup(path: &Path) -> Result<(u64, u32), OpenError> {
    let wrong = |what: String| OpenError::Scope(format!("--cgroup {}: {what}", path.display()));
    let path = path.canonicalize().map_err(|error| {
        wrong(format!("{error}; give a directory below the cgroup2 mount (`findmnt -t cgroup2`)"))
    })?;
    let is_cgroup = |path: &Path| path.join("cgroup.procs").exists();
    let metadata = path.metadata().map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_dir() || !is_cgroup(&path) {
        return Err(wrong("it is not a cgroup; give a directory below the cgroup2 mount".into()));
    }
    if !is_version_2(&path) {
        return Err(wrong(
            "it is of cgroup version 1; give its path below the cgroup2 mount".into(),
        ));
    }
    // The directories above that are cgroups on the same mount.
    let device = metadata.dev();
    let level = path
        .ancestors()
        .skip(1)
        .take_while(|above| above.metadata().is_ok_and(|above| above.dev() == device))
        .count();
    Ok((metadata.ino(), u32::try_from(level).unwrap_or(u32::MAX)))
}

/// `CGROUP2_SUPER_MAGIC` (include/uapi/linux/magic.h).
fn is_version_2(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return false;
    };
    // SAFETY: all-zero is a value of this plain structure.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is terminated, and `stat` a valid place for the result.
    let result = unsafe { libc::statfs(path.as_ptr(), &raw mut stat) };
    result == 0 && stat.f_type == libc::CGROUP2_SUPER_MAGIC
}
