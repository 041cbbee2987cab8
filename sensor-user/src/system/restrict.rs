//! What the process gives up when it starts, before its first thread. Each step by itself is a defence in depth: one
//! that fails is a warning, and the sensor runs without it.

use std::io;

use rustix::process::{self, DumpableBehavior, Resource, Rlimit};
use rustix::thread;

use super::capabilities::{self, CapabilitySet};
use super::uprobe;

/// Descriptors that may be open: each probed executable has one, and one for each of its probes.
const DESCRIPTORS: u64 = 16 * 1024;

/// Restricts the process to what `run` and `record` need. Returns whether uprobes can be attached afterwards,
/// where `uprobes` asks for them; unless it cannot be found out, which counts as yes.
pub fn for_tracing(uprobes: bool) -> bool {
    // Before Linux 5.11 maps count as locked memory, of which the default limit is 64 KiB. Raising it takes
    // CAP_SYS_RESOURCE, which is given up next. Newer kernels do not care, so a refusal is no warning.
    let infinite = Rlimit { current: None, maximum: None };
    if let Err(error) = process::setrlimit(Resource::Memlock, infinite) {
        tracing::debug!("the limit on locked memory stays: {error}");
    }
    let mut usable = true;
    attempt(
        "give up capabilities",
        capabilities::permitted().and_then(|has| {
            let mut needed = capabilities::needed_for_tracing(has);
            if uprobes {
                capabilities::set_effective(needed)?;
                usable = may_attach();
                if !usable && has.contains(CapabilitySet::SYS_ADMIN) {
                    needed |= CapabilitySet::SYS_ADMIN;
                    capabilities::set_effective(needed)?;
                    usable = may_attach();
                }
            }
            capabilities::keep(needed)
        }),
    );
    common();
    usable
}

/// Restricts the process to reading a file; [`without_capabilities`] follows when it is open.
pub fn for_reading() {
    attempt(
        "give up capabilities",
        capabilities::permitted()
            .and_then(|has| capabilities::keep(capabilities::needed_for_reading(has))),
    );
    common();
}

/// Gives up the capabilities that the calling thread still has. Threads that talk to the network start so.
pub fn without_capabilities() {
    attempt("give up all capabilities", capabilities::keep(CapabilitySet::empty()));
}

fn may_attach() -> bool {
    match uprobe::try_one() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => false,
        Err(error) => {
            tracing::debug!("whether uprobes can be attached is unknown: {error}");
            true
        }
        Ok(()) => true,
    }
}

fn common() {
    // A file that is created without an explicit mode belongs to this user alone.
    process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // A core dump would hold captured requests and tokens. (The limit does not bind a pipe of core_pattern; what follows
    // does.)
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    attempt("switch core dumps off", process::setrlimit(Resource::Core, none));
    // No dump, and no process of the same user may read this one's memory or environment.
    attempt(
        "keep other processes from reading this one's memory",
        process::set_dumpable_behavior(DumpableBehavior::NotDumpable),
    );
    // Nothing that is executed gets privileges back.
    attempt("give up new privileges", thread::set_no_new_privs(true));
    let limit = process::getrlimit(Resource::Nofile);
    let most = limit.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    let limit = Rlimit { current: Some(most), maximum: limit.maximum };
    attempt("set the limit on open files", process::setrlimit(Resource::Nofile, limit));
}

fn attempt<E: std::fmt::Display>(what: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!("cannot {what}: {error}; the sensor goes on without");
    }
}
