//! What this kernel and these privileges allow, for `sensor doctor`. What can be tried is tried.

mod kernel;
mod processes;
mod programs;

use super::programs::{Engine, Kernel};
pub use processes::Stranger;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Yes,
    /// It is not, for this reason.
    No(String),
    /// It could not be told, for this reason.
    Unknown(String),
}

/// Who needs what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The sensor cannot run without.
    Required,
    /// One of the checks with the same text has to hold.
    OneOf(&'static str),
    /// Something is missing without it, and the remedy says what.
    Optional,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// What came of it.
    pub answer: Answer,
    /// Who needs it.
    pub needed: Needed,
    /// What to do, or what is lost, when the answer is not yes.
    pub remedy: String,
}

/// Checks what `run` cannot do without. Loads the programs to see what the verifier says, attaches them and
/// detaches them again.
pub fn checks() -> Vec<Check> {
    let kernel = Kernel::read();
    let mut all =
        vec![kernel::release(), programs::load_privileges(), kernel::type_information(&kernel)];
    for engine in [Engine::Socket, Engine::Syscall] {
        all.push(programs::engine(engine, &kernel));
    }
    all.push(kernel::pid_namespace());
    all.push(kernel::cgroup2());
    all.extend(kernel.as_ref().ok().map(kernel::fields));
    all
}

/// Checks what `run` does less well without.
pub fn optional_checks(stranger: &Stranger) -> Vec<Check> {
    processes::checks(stranger).into_iter().chain([programs::uprobes()]).collect()
}

/// Major and minor version of a kernel release.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.trim().split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_of_real_kernels() {
        assert_eq!(version("6.18.44-fc-v445\n"), Some((6, 18)));
        assert_eq!(version("5.10.0-30-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("unknown"), None);
    }
}
