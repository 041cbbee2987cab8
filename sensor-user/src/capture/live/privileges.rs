//! What this process may do, and what it need not keep.

use std::fs;

use super::OpenError;

/// Capabilities that matter, with their numbers (include/uapi/linux/capability.h).
pub(super) const SYS_ADMIN: u32 = 21;
pub(super) const PERFMON: u32 = 38;
pub(super) const BPF: u32 = 39;

/// The effective capabilities, as a bit set.
pub(super) fn effective() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether programs may be loaded and kernel memory read.
pub(super) fn may_load(capabilities: u64) -> bool {
    let has = |capability: u32| capabilities >> capability & 1 != 0;
    has(SYS_ADMIN) || (has(BPF) && has(PERFMON))
}

/// # Errors
/// When the kernel would refuse the programs for want of privileges.
pub(super) fn check() -> Result<(), OpenError> {
    match effective() {
        Some(capabilities) if !may_load(capabilities) => Err(OpenError::Privileges(
            "this process may not load BPF programs: run it as root (`sudo sensor …`), or give it \
             CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
                .into(),
        )),
        // Where it cannot be told, the kernel will.
        _ => Ok(()),
    }
}

/// Before Linux 5.11 maps count as locked memory, of which the default limit is 64 KiB. A refusal
/// is not an error: newer kernels do not care.
pub(super) fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid structure.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } != 0 {
        tracing::debug!("the limit on locked memory stays: {}", std::io::Error::last_os_error());
    }
}

/// Makes room for so many more descriptors, as far as this process may: the default limit of 1,024 is for
/// programs that use select(2).
pub(super) fn raise_files(more: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_cur.saturating_add(more).min(limit.rlim_max);
        // SAFETY: as above. The soft limit may be raised up to the hard one.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// The kernel's type information took some ten megabytes to read. The allocator would keep them.
pub(super) fn give_back_memory() {
    // SAFETY: only pages that are free go back.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
