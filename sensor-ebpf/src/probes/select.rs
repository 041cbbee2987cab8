//! Which processes and connections are traced.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use sensor_ebpf::{
    abi::{FlowIdent, Verdict, mode},
    limits::{CGROUPS, PORTS, START_TICK_NS},
};

use super::{
    kernel::Process,
    maps::{OWN_PEERS, VERDICTS, setting},
    state::Ends,
};

/// Whether a process (normally the current one) is traced. The sensor itself never is. `which`
/// reads the process's start time and exec count; it is called only if there is a verdict for the
/// id.
#[inline(always)]
pub(crate) fn process(tgid: u32, which: impl FnOnce() -> Process) -> bool {
    if tgid == setting!(CONFIG.self_tgid) {
        return false;
    }
    let mode = setting!(CONFIG.mode);
    if mode == mode::ALL {
        return true;
    }
    if let Some(verdict) = verdict(tgid, which) {
        return verdict.traced != 0;
    }
    in_cgroups() || mode == mode::UNDECIDED
}

/// The same of the current process, for programs that have no types. Its verdict is looked up in a
/// function with a stack of its own: in a deep chain of functions, old kernels have no room for
/// more.
#[inline(always)]
pub(crate) fn current(tgid: u32) -> bool {
    if tgid == setting!(CONFIG.self_tgid) {
        return false;
    }
    let mode = setting!(CONFIG.mode);
    if mode == mode::ALL {
        return true;
    }
    let verdict = current_verdict(u64::from(tgid));
    if verdict != UNDECIDED {
        return verdict == TRACED;
    }
    in_cgroups() || mode == mode::UNDECIDED
}

/// What [`current_verdict`] returns.
const UNDECIDED: u64 = 0;
const TRACED: u64 = 1;
const UNTRACED: u64 = 2;

/// The verdict on the current process. Global: see [`super::walk`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn current_verdict(tgid: u64) -> u64 {
    match verdict(tgid as u32, Process::current) {
        Some(verdict) if verdict.traced != 0 => TRACED,
        Some(_) => UNTRACED,
        None => UNDECIDED,
    }
}

/// The verdict on a process. A verdict on an earlier process with this id does not count.
#[inline(always)]
pub(crate) fn verdict(tgid: u32, which: impl FnOnce() -> Process) -> Option<Verdict> {
    // SAFETY: a live map value, which is replaced as a whole.
    let verdict = unsafe { *VERDICTS.get_ptr(tgid)? };
    let process = which();
    let counts = process.start_ns.wrapping_sub(verdict.start_ns) < START_TICK_NS
        && (verdict.traced != 0 || verdict.execs == process.execs);
    if counts { Some(verdict) } else { None }
}

#[inline(always)]
fn in_cgroups() -> bool {
    let count = setting!(CONFIG.cgroup_count);
    let mut i = 0;
    while i < CGROUPS {
        if i as u32 >= count {
            return false;
        }
        let level = setting!(CONFIG.cgroup_levels[i]);
        // SAFETY: no memory is passed.
        if unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) }
            == setting!(CONFIG.cgroups[i])
        {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether a TCP connection is traced: by its ports, and unless the sensor is at its other end. `ends`
/// is room for them, off the stack.
#[inline(always)]
pub(crate) fn connection(ident: &FlowIdent, ends: &mut Ends) -> bool {
    ends.fill(ident);
    if OWN_PEERS.get_ptr(&*ends).is_some() {
        return false;
    }
    let count = setting!(CONFIG.port_count);
    if count == 0 {
        return true;
    }
    let mut i = 0;
    while i < PORTS {
        if i as u32 >= count {
            return false;
        }
        let port = setting!(CONFIG.ports[i]);
        if port == ident.local_port || port == ident.remote_port {
            return true;
        }
        i += 1;
    }
    false
}
