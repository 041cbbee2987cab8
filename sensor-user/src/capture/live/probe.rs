//! What this kernel and these privileges allow, for `sensor doctor`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sensor_ebpf::abi::{Config, lines, mode};

use super::privileges;
use super::programs::{self, Engine, Kernel, Sizes};

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h): the inode of the initial PID namespace.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The oldest kernel that the sensor is tested on. What it relies on is older: the ring buffer (5.8),
/// functions that the verifier goes through once (5.6), typed tracepoints (5.5).
const FLOOR: (u32, u32) = (5, 10);

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

/// Runs every check. Loads the programs to see what the verifier says, and attaches none.
pub fn checks() -> Vec<Check> {
    let capabilities = privileges::effective();
    let kernel = Kernel::read();
    let mut all = vec![release(), load_privileges(capabilities), type_information(&kernel)];
    for engine in [Engine::Socket, Engine::Syscall] {
        all.push(engine_check(engine, &kernel));
    }
    all.push(process_privileges(capabilities));
    all.push(pid_namespace());
    all.push(cgroup2());
    if let Ok(kernel) = &kernel {
        let absent: Vec<_> = kernel.absent().collect();
        all.push(Check {
            name: "all kernel fields found",
            answer: if absent.is_empty() { Answer::Yes } else { Answer::No(absent.join(", ")) },
            needed: Needed::Optional,
            remedy: "what depends on the missing fields is reported as unknown".into(),
        });
    }
    all
}

fn release() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let answer = match version(&release) {
        Some(version) if version >= FLOOR => Answer::Yes,
        Some(_) => Answer::No(format!("this is {}", release.trim())),
        None => Answer::Unknown(format!("cannot read a version in {:?}", release.trim())),
    };
    Check {
        name: "Linux 5.10 or newer",
        answer,
        needed: Needed::Required,
        remedy: "run a newer kernel; every distribution's of the last years will do".into(),
    }
}

/// Major and minor version of a kernel release.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.trim().split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn load_privileges(capabilities: Option<u64>) -> Check {
    Check {
        name: "privileges to load BPF programs",
        answer: match capabilities {
            Some(set) if privileges::may_load(set) => Answer::Yes,
            Some(set) => Answer::No(format!("effective capabilities are {set:#x}")),
            None => Answer::Unknown("/proc/self/status cannot be read".into()),
        },
        needed: Needed::Required,
        remedy: "run as root, or with CAP_BPF and CAP_PERFMON (a container: privileged, or these)"
            .into(),
    }
}

fn type_information(kernel: &Result<Kernel, super::OpenError>) -> Check {
    Check {
        name: "kernel type information (BTF)",
        answer: match kernel {
            Ok(_) => Answer::Yes,
            Err(error) => Answer::No(error.to_string()),
        },
        needed: Needed::Required,
        remedy: format!("a kernel with CONFIG_DEBUG_INFO_BTF=y has {}", programs::VMLINUX),
    }
}

fn engine_check(engine: Engine, kernel: &Result<Kernel, super::OpenError>) -> Check {
    let (name, remedy) = match engine {
        Engine::Socket => (
            "engine socket (only socket calls pay)",
            "needs Linux 6.3 or newer; the engine syscall does the same at a cost on every call",
        ),
        Engine::Syscall => {
            ("engine syscall (every system call pays a little)", "needs Linux 5.10 or newer")
        }
    };
    let answer = match kernel {
        Err(_) => Answer::Unknown("without type information".into()),
        Ok(kernel) => match kernel.supports(engine).and_then(|()| trial(kernel, engine)) {
            Ok(()) => Answer::Yes,
            Err(reason) => Answer::No(reason),
        },
    };
    Check { name, answer, needed: Needed::OneOf("engine"), remedy: remedy.into() }
}

/// Loads an engine's programs, and lets them go.
fn trial(kernel: &Kernel, engine: Engine) -> Result<(), String> {
    // Nothing is attached; should anything ever be, it would trace nobody.
    let config = Config {
        mode: mode::SELECTED,
        causes: 1,
        lines: lines::CHOSEN,
        line_files: 1,
        ..Config::ALL
    };
    let sizes = Sizes { ring_bytes: 64 * 1024, flows: 16 };
    programs::load(kernel, engine, &config, &sizes, false)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn process_privileges(capabilities: Option<u64>) -> Check {
    let has =
        |set: u64| set >> privileges::SYS_PTRACE & 1 != 0 || set >> privileges::SYS_ADMIN & 1 != 0;
    Check {
        name: "privileges to read other processes' environment",
        answer: match capabilities {
            Some(set) if has(set) => Answer::Yes,
            Some(_) => Answer::No("CAP_SYS_PTRACE is missing".into()),
            None => Answer::Unknown("/proc/self/status cannot be read".into()),
        },
        needed: Needed::Optional,
        remedy: "without it services are named by their executable, not by OTEL_SERVICE_NAME"
            .into(),
    }
}

fn pid_namespace() -> Check {
    Check {
        name: "the host's PID namespace",
        answer: match fs::metadata("/proc/self/ns/pid") {
            Ok(metadata) if metadata.ino() == INITIAL_PID_NAMESPACE => Answer::Yes,
            Ok(_) => Answer::No("this process is in one of its own".into()),
            Err(error) => Answer::Unknown(error.to_string()),
        },
        needed: Needed::Required,
        remedy: "in Kubernetes set hostPID: true; with a container engine --pid=host".into(),
    }
}

fn cgroup2() -> Check {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup2"));
    Check {
        name: "cgroup2 is mounted",
        answer: if mounted {
            Answer::Yes
        } else {
            Answer::No("no cgroup2 in /proc/self/mounts".into())
        },
        needed: Needed::Optional,
        remedy: "without it --cgroup cannot be used".into(),
    }
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
