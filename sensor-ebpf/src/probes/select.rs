//! Which processes and connections are traced.

use aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id;
use sensor_ebpf::{
    abi::{FlowIdent, mode},
    limits::{CGROUPS, PORTS},
};

use super::{
    maps::{OWN_PEERS, VERDICTS, setting},
    state::Ends,
};

/// Whether the current process is traced. The sensor itself never is.
#[inline(always)]
pub(crate) fn process(tgid: u32) -> bool {
    if tgid == setting!(CONFIG.self_tgid) {
        return false;
    }
    let which = setting!(CONFIG.mode);
    if which == mode::ALL {
        return true;
    }
    if let Some(verdict) = VERDICTS.get_ptr(tgid) {
        // SAFETY: a live map value; user space writes it in one byte.
        return unsafe { *verdict } != 0;
    }
    in_cgroups() || which == mode::UNDECIDED
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
