//! What the kernel says of a process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// CPU time of all its threads until now, in nanoseconds, user and system.
///
/// # Errors
/// It has ended, or the kernel does not count (CONFIG_SCHED_INFO).
pub(in crate::bench) fn cpu_nanos(pid: u32) -> Result<u64> {
    let tasks = format!("/proc/{pid}/task");
    let mut total = 0;
    for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
        let path = task?.path().join("schedstat");
        // A thread that ended since it was listed is no error; the process's end is, next time.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let on_cpu = text.split_whitespace().next().unwrap_or_default();
        total += on_cpu.parse::<u64>().with_context(|| path.display().to_string())?;
    }
    Ok(total)
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Memory {
    /// All of it: with the program's own pages and the ring shared with the kernel.
    pub(in crate::bench) resident: u64,
    /// The most it ever was.
    pub(in crate::bench) peak: u64,
    /// Of it, what belongs to no file and is not shared: heap and stacks.
    pub(in crate::bench) anonymous: u64,
}

impl Memory {
    /// # Errors
    /// The process has ended.
    pub(in crate::bench) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let bytes = |key: &str| kib(&status, key).with_context(|| format!("{path} has no {key}"));
        Ok(Self {
            resident: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
            anonymous: bytes("RssAnon:")?,
        })
    }
}

/// The value of a line `key: N kB`, in bytes.
fn kib(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// How often a BPF program ran, and how long that took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct RunTime {
    pub(in crate::bench) runs: u64,
    pub(in crate::bench) nanos: u64,
}

impl RunTime {
    /// What was added since `earlier`.
    pub(in crate::bench) fn since(self, earlier: Self) -> Self {
        Self {
            runs: self.runs.saturating_sub(earlier.runs),
            nanos: self.nanos.saturating_sub(earlier.nanos),
        }
    }

    /// Nanoseconds of one run; none when it did not run.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 ns are 104 days")]
    pub(in crate::bench) fn mean(self) -> Option<f64> {
        (self.runs > 0).then(|| self.nanos as f64 / self.runs as f64)
    }
}

/// The BPF programs that a process holds, by their number.
///
/// # Errors
/// The process has ended.
pub(in crate::bench) fn programs(pid: u32) -> Result<BTreeMap<u32, RunTime>> {
    let dir = format!("/proc/{pid}/fdinfo");
    let mut programs = BTreeMap::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.clone())? {
        programs.extend(read_program(&entry?.path()));
    }
    Ok(programs)
}

/// A descriptor that was closed since it was listed is nothing, like one that is no program.
fn read_program(path: &Path) -> Option<(u32, RunTime)> {
    program(&fs::read_to_string(path).ok()?)
}

/// `bpf_prog_show_fdinfo` in kernel/bpf/syscall.c. A link has a prog_id too, but no run_cnt.
fn program(fdinfo: &str) -> Option<(u32, RunTime)> {
    let value = |key: &str| {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse::<u64>().ok()
    };
    let id = value("prog_id:")?.try_into().ok()?;
    Some((id, RunTime { runs: value("run_cnt:")?, nanos: value("run_time_ns:")? }))
}

#[cfg(test)]
mod tests {
    use super::{RunTime, kib, program};

    #[test]
    fn programs_are_told_from_links() {
        // As Linux 6.18 prints them.
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1061\nprog_type:\t26\n\
                    prog_jited:\t1\nprog_tag:\t5ce1f6d1bd23d4f6\nmemlock:\t20480\nprog_id:\t311\n\
                    run_time_ns:\t98765\nrun_cnt:\t321\nrecursion_misses:\t0\nverified_insns:\t4711\n";
        let stats = RunTime { runs: 321, nanos: 98765 };
        assert_eq!(program(text), Some((311, stats)));
        let link = "pos:\t0\nflags:\t02000002\nlink_type:\ttracing\nlink_id:\t7\n\
                    prog_tag:\t5ce1f6d1bd23d4f6\nprog_id:\t311\nattach_type:\t23\n";
        assert_eq!(program(link), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "VmHWM:\t   21504 kB\nVmRSS:\t   20480 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(20 << 20));
        assert_eq!(kib(status, "RssAnon:"), Some(1 << 20));
        assert_eq!(kib(status, "VmSwap:"), None);
    }
}
