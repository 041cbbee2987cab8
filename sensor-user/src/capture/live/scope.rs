//! What is traced: user space decides on processes, and tells the kernel side its verdicts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData};
use sensor_ebpf::abi::{Config, mode};
use sensor_ebpf::limits::{CGROUPS, PORTS};

use super::{OpenError, Options, take_map};
use crate::capture::decode::ProcessRecordView;
use crate::capture::event::Tgid;
use crate::process::{ProcessFacts, Selection, facts, initial_selection};

/// A number that nobody else knows: the seed of a hash map of the standard library.
fn key() -> u64 {
    RandomState::new().hash_one(0)
}

/// The processes that are traced, in step with the kernel side.
pub(super) struct Scope {
    selection: Selection,
    mode: u32,
    /// Verdicts, as the kernel side has them. Only kept while it is asked to wait for them.
    verdicts: HashMap<Tgid, bool>,
    map: Option<BpfHashMap<MapData, u32, u8>>,
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
        Ok((Self { selection, mode: config.mode, verdicts: HashMap::new(), map: None }, config))
    }

    /// Tells the kernel side about the processes that there are. Before anything is attached.
    ///
    /// # Errors
    /// When none of the processes asked for by id exists, or the map is too small.
    pub(super) fn connect(&mut self, ebpf: &mut Ebpf) -> Result<(), OpenError> {
        self.map = Some(take_map(ebpf, "VERDICTS")?);
        if self.mode == mode::ALL || self.selection.is_empty() {
            return Ok(());
        }
        let all = self.list()?;
        for pid in self.selection.pids() {
            if !all.iter().any(|&(tgid, _)| tgid == pid) {
                return Err(OpenError::Scope(format!(
                    "--pid {}: there is no such process; see `ps -e`",
                    pid.0
                )));
            }
        }
        self.tell_all(all);
        Ok(())
    }

    /// Tells it about the processes that came between [`Self::connect`] and now, when everything is
    /// attached: from here on children inherit in the kernel.
    ///
    /// # Errors
    /// When `/proc` cannot be listed.
    pub(super) fn catch_up(&mut self) -> Result<(), OpenError> {
        if self.mode != mode::ALL && !self.selection.is_empty() {
            let all = self.list()?;
            self.tell_all(all);
        }
        Ok(())
    }

    /// The processes that are traced for certain, of those that run now.
    pub(super) fn running(&self) -> Vec<Tgid> {
        let decided = self.mode == mode::ALL || !self.selection.is_empty();
        let all = if decided { self.list().unwrap_or_default() } else { Vec::new() };
        all.into_iter().filter_map(|(tgid, selected)| selected.then_some(tgid)).collect()
    }

    fn list(&self) -> Result<Vec<(Tgid, bool)>, OpenError> {
        initial_selection(Path::new("/proc"), &self.selection)
            .map_err(|error| OpenError::Scope(format!("/proc cannot be listed: {error}")))
    }

    fn tell_all(&mut self, all: Vec<(Tgid, bool)>) {
        for (tgid, selected) in all {
            // Who is not selected needs no verdict, unless the kernel side would wait for one.
            if selected || self.mode == mode::UNDECIDED {
                self.tell(tgid, selected);
            }
        }
    }

    /// Whether records of a process that has not introduced itself are wanted.
    pub(super) fn wants(&mut self, tgid: Tgid) -> bool {
        if self.mode != mode::UNDECIDED {
            return true;
        }
        if let Some(&verdict) = self.verdicts.get(&tgid) {
            return verdict;
        }
        let verdict = facts(Path::new("/proc"), tgid, |facts| self.selection.matches(facts));
        let verdict = verdict.unwrap_or(false);
        self.tell(tgid, verdict);
        verdict
    }

    /// Decides on a program that has just begun.
    pub(super) fn decide(&mut self, process: &ProcessRecordView<'_>) -> bool {
        if self.mode != mode::UNDECIDED {
            return true;
        }
        let inherited = [process.process.tgid, process.parent.tgid]
            .iter()
            .any(|tgid| self.verdicts.get(tgid) == Some(&true));
        let comm = String::from_utf8_lossy(process.comm);
        let exe = std::fs::read_link(format!("/proc/{}/exe", process.process.tgid.0)).ok();
        let verdict = inherited
            || self.selection.matches(&ProcessFacts {
                tgid: process.process.tgid,
                comm: &comm,
                exe: exe.as_deref().and_then(Path::to_str),
            });
        self.tell(process.process.tgid, verdict);
        verdict
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, tgid: Tgid) {
        self.verdicts.remove(&tgid);
    }

    fn tell(&mut self, tgid: Tgid, verdict: bool) {
        if self.mode == mode::UNDECIDED {
            self.verdicts.insert(tgid, verdict);
        }
        if let Some(map) = &mut self.map
            && let Err(error) = map.insert(tgid.0, u8::from(verdict), 0)
        {
            tracing::warn!(
                "process {} cannot be {}: {error}",
                tgid.0,
                if verdict {
                    "traced"
                } else {
                    "left out in the kernel; its records are dropped here"
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
