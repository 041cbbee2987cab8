//! What this kernel is, and where the sensor runs on it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::super::OpenError;
use super::super::programs::{self, Kernel};
use super::{Answer, Check, Needed, version};

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h): the inode of the initial PID namespace.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The oldest kernel that the sensor is tested on. What it relies on is older: the ring buffer (5.8),
/// functions that the verifier goes through once (5.6), typed tracepoints (5.5).
const FLOOR: (u32, u32) = (5, 10);

pub(super) fn release() -> Check {
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

pub(super) fn type_information(kernel: &Result<Kernel, OpenError>) -> Check {
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

pub(super) fn fields(kernel: &Kernel) -> Check {
    let absent: Vec<_> = kernel.absent().collect();
    Check {
        name: "all kernel fields found",
        answer: if absent.is_empty() { Answer::Yes } else { Answer::No(absent.join(", ")) },
        needed: Needed::Optional,
        remedy: "what depends on the missing fields is reported as unknown".into(),
    }
}

pub(super) fn pid_namespace() -> Check {
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

pub(super) fn cgroup2() -> Check {
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
