//! Which capabilities the sensor keeps.
//!
//! Capabilities belong to threads: [`keep`] has to run before the first thread is started, which then inherits
//! what is left.

use std::io;

use rustix::io::Errno;
pub use rustix::thread::CapabilitySet;
use rustix::thread::{self, CapabilitySets};

/// Load programs and create maps (`BPF`); read kernel memory in them (`PERFMON`); follow the links of
/// `/proc/PID/fd`, `/proc/PID/exe` and `/proc/PID/root` of processes of any user (`SYS_PTRACE`); open
/// `/proc/PID/environ` and `/proc/PID/fd`, which only their owner may read, and executables and directories that
/// only their owner may enter (`DAC_READ_SEARCH`).
pub const TRACING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// Those of [`TRACING`] that this process has, and where one is missing, the wider one that stands in for it:
/// container engines give `DAC_OVERRIDE` but not `DAC_READ_SEARCH`, and older set-ups only `SYS_ADMIN`.
#[must_use]
pub fn needed_for_tracing(has: CapabilitySet) -> CapabilitySet {
    let mut needed = TRACING;
    if !has.contains(CapabilitySet::DAC_READ_SEARCH) {
        needed |= CapabilitySet::DAC_OVERRIDE;
    }
    if !has.contains(CapabilitySet::BPF | CapabilitySet::PERFMON) {
        needed |= CapabilitySet::SYS_ADMIN;
    }
    needed & has
}

/// What it takes to read a file that belongs to another user.
#[must_use]
pub fn needed_for_reading(has: CapabilitySet) -> CapabilitySet {
    needed_for_tracing(has) & (CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE)
}

/// The permitted capabilities of the calling thread.
///
/// # Errors
/// When the kernel refuses to say.
pub fn permitted() -> io::Result<CapabilitySet> {
    Ok(thread::capabilities(None)?.permitted)
}

/// Makes those of the permitted capabilities effective that are in `set`; the others can be made effective again.
///
/// # Errors
/// When the kernel refuses.
pub fn set_effective(set: CapabilitySet) -> io::Result<()> {
    let now = thread::capabilities(None)?;
    let sets = CapabilitySets { effective: set & now.permitted, ..now };
    Ok(thread::set_capabilities(None, sets)?)
}

/// Gives up every capability outside `set`, in all sets of the calling thread and for good.
///
/// # Errors
/// When the kernel refuses. What could be given up before that is gone.
pub fn keep(set: CapabilitySet) -> io::Result<()> {
    let now = thread::capabilities(None)?;
    // Taking one from the bounding set takes SETPCAP, so that is the first step. Without it, a process that gets no
    // new privileges from executables has no use for the bounding set anyway.
    let bounded = if now.permitted.contains(CapabilitySet::SETPCAP) {
        set_effective(CapabilitySet::SETPCAP).and_then(|()| bound(set))
    } else {
        Ok(())
    };
    let cleared = match thread::clear_ambient_capability_set() {
        // Linux before 4.3 has no such set.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    };
    // Whatever came of those, what is kept has to be effective again.
    let sets = CapabilitySets {
        effective: now.permitted & set,
        permitted: now.permitted & set,
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, sets)?;
    bounded.and(cleared)
}

fn bound(set: CapabilitySet) -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match thread::capability_is_in_bounding_set(capability) {
            Ok(true) if !set.contains(capability) => {
                thread::remove_capability_from_bounding_set(capability)?;
            }
            Ok(_) => {}
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_what_tracing_takes() {
        assert_eq!(needed_for_tracing(CapabilitySet::all()), TRACING);
        assert_eq!(needed_for_reading(CapabilitySet::all()), CapabilitySet::DAC_READ_SEARCH);
    }

    #[test]
    fn wider_capabilities_stand_in_for_missing_ones() {
        // What Docker gives by default, with those that the documentation names.
        let docker = CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::CHOWN
            | CapabilitySet::NET_RAW
            | CapabilitySet::BPF
            | CapabilitySet::PERFMON
            | CapabilitySet::SYS_PTRACE;
        let kept = CapabilitySet::BPF
            | CapabilitySet::PERFMON
            | CapabilitySet::SYS_PTRACE
            | CapabilitySet::DAC_OVERRIDE;
        assert_eq!(needed_for_tracing(docker), kept);
        let old = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE | CapabilitySet::CHOWN;
        assert_eq!(needed_for_tracing(old), CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE);
        assert_eq!(needed_for_tracing(CapabilitySet::empty()), CapabilitySet::empty());
        assert_eq!(needed_for_reading(docker), CapabilitySet::DAC_OVERRIDE);
    }

    #[test]
    fn a_thread_gives_up_its_capabilities_for_good() {
        // In a thread of its own: capabilities belong to threads.
        let after = std::thread::spawn(|| {
            keep(CapabilitySet::empty()).unwrap();
            let _ = set_effective(CapabilitySet::all());
            thread::capabilities(None).unwrap()
        });
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        assert_eq!(after.join().unwrap(), sets);
    }
}
