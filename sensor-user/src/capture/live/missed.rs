//! Runs of our programs that the kernel left out.
//!
//! The kernel never runs a program on a CPU where the same program is under way already. It leaves
//! that run out and says so nowhere but in the program's `recursion_misses` (Linux 5.12+,
//! `__bpf_trace_run` in kernel/trace/bpf_trace.c): we have missed an event.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use aya::Ebpf;
use aya::maps::{Array, MapData};

use super::clock;
use super::programs::Engine;
use crate::capture::CaptureError;
use crate::capture::event::Monotonic;

/// From this version on tracepoints can be preempted while our programs run (they are under SRCU
/// instead of with preemption disabled), so any task that comes to the same CPU meanwhile is missed.
/// Before, only a softirq can get in between, which neither sends nor receives for a process.
const PREEMPTIBLE: (u32, u32) = (6, 19);

/// Whether that can happen to sends and receives on a kernel of this version; an unknown one is
/// taken for a new one.
pub(super) fn happens_to_calls(version: Option<(u32, u32)>) -> bool {
    version.is_none_or(|version| version >= PREEMPTIBLE)
}

/// Counts them. Goes on to work when the programs have been detached: it keeps them.
pub(super) struct Missed {
    /// Those that see bytes go by.
    calls: Vec<Program>,
    rest: Vec<Program>,
    /// That which takes lines.
    lines: Vec<Program>,
    /// How many there were, when they were last looked at.
    seen: u64,
    /// Where the programs read until when runs were missed.
    until: Array<MapData, u64>,
}

/// What was missed until a certain moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Runs of the programs that see bytes go by.
    pub(super) calls: u64,
    /// Runs of any program but that which takes lines.
    pub(super) all: u64,
    /// All that are counted came before this.
    pub(super) until: Monotonic,
}

struct Program {
    /// `info` tells of this descriptor, as long as it is open.
    _program: OwnedFd,
    info: File,
}

impl Missed {
    /// Of the programs that are loaded.
    ///
    /// # Errors
    /// When there is no descriptor left, or no `/proc`.
    pub(super) fn of(
        ebpf: &Ebpf,
        engine: Engine,
        until: Array<MapData, u64>,
    ) -> std::io::Result<Self> {
        let mut missed =
            Self { calls: Vec::new(), rest: Vec::new(), lines: Vec::new(), seen: 0, until };
        for (name, program) in ebpf.programs() {
            // Those of the other engine are not loaded.
            let Ok(fd) = program.fd() else { continue };
            let program = Program::new(fd.as_fd().try_clone_to_owned()?)?;
            if engine.sees_calls_with(name) {
                missed.calls.push(program);
            } else if Engine::takes_lines_with(name) {
                missed.lines.push(program);
            } else {
                missed.rest.push(program);
            }
        }
        Ok(missed)
    }

    /// Runs missed until now by any program.
    pub(super) fn all(&self) -> u64 {
        sum(&self.calls) + sum(&self.rest) + sum(&self.lines)
    }

    /// What was missed until now. If that is more than before, the programs are told: what a thread had taken
    /// up before now they do not tell of.
    ///
    /// # Errors
    /// When the clock or the map does not work.
    pub(super) fn look(&mut self) -> Result<Look, CaptureError> {
        let calls = sum(&self.calls);
        let all = calls + sum(&self.rest);
        if all == self.seen {
            return Ok(Look { calls, all, until: clock::monotonic()? });
        }
        self.seen = all;
        // First nothing at all is told, so that no record comes between this moment and their knowing of it.
        self.tell(u64::MAX)?;
        let until = clock::monotonic()?;
        self.tell(until.0)?;
        Ok(Look { calls, all, until })
    }

    fn tell(&mut self, until: u64) -> Result<(), CaptureError> {
        self.until.set(0, until, 0).map_err(|error| {
            CaptureError(format!("the programs cannot be told what they missed: {error}"))
        })
    }
}

fn sum(programs: &[Program]) -> u64 {
    programs.iter().map(Program::missed).sum()
}

impl Program {
    fn new(program: OwnedFd) -> std::io::Result<Self> {
        let info = File::open(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
        Ok(Self { _program: program, info })
    }

    /// 0 where the kernel does not tell.
    fn missed(&self) -> u64 {
        // Some two hundred bytes; the file is written anew for whoever reads it from its beginning.
        let mut text = [0; 1024];
        let len = self.info.read_at(&mut text, 0).unwrap_or(0);
        text.get(..len).and_then(parse).unwrap_or(0)
    }
}

/// The field of `/proc/PID/fdinfo/FD` of a program (`bpf_prog_show_fdinfo`, kernel/bpf/syscall.c).
fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_kernels_preempt() {
        assert!(happens_to_calls(None) && happens_to_calls(Some((7, 2))));
        assert!(!happens_to_calls(Some((6, 18))) && !happens_to_calls(Some((5, 10))));
    }

    /// As Linux 6.18 and 5.10 write it.
    #[test]
    fn the_field_is_read_and_may_be_absent() {
        let new = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1058\nprog_type:\t26\nprog_jited:\t1\n\
            prog_tag:\t0123456789abcdef\nmemlock:\t4096\nprog_id:\t42\nrun_time_ns:\t0\nrun_cnt:\t0\n\
            recursion_misses:\t17\nverified_insns:\t96\n";
        assert_eq!(parse(new.as_bytes()), Some(17));
        assert_eq!(parse(b"pos:\t0\nprog_type:\t26\nrun_time_ns:\t0\nrun_cnt:\t0\n"), None);
        assert_eq!(parse(b"recursion_misses:\tmany\n"), None);
    }
}
