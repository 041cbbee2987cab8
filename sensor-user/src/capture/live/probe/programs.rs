//! Whether the kernel takes the programs: each engine's are loaded and attached, and a uprobe is attached.

use std::io::ErrorKind;

use sensor_ebpf::abi::{Config, lines, mode};

use super::super::programs::{self, Engine, Kernel, Sizes};
use super::super::{OpenError, privileges};
use super::{Answer, Check, Needed};
use crate::system::uprobe;

pub(super) fn load_privileges() -> Check {
    Check {
        name: "privileges to load BPF programs",
        answer: match privileges::effective() {
            Some(set) if privileges::may_load(set) => Answer::Yes,
            Some(set) => Answer::No(format!("effective capabilities are {set:#x}")),
            None => Answer::Unknown("/proc/self/status cannot be read".into()),
        },
        needed: Needed::Required,
        remedy: "run as root, or with CAP_BPF and CAP_PERFMON (a container: privileged, or these)"
            .into(),
    }
}

pub(super) fn engine(engine: Engine, kernel: &Result<Kernel, OpenError>) -> Check {
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

/// Loads and attaches an engine's programs, and detaches them. They are set to trace only processes that are
/// selected, and none is.
fn trial(kernel: &Kernel, engine: Engine) -> Result<(), String> {
    let config = Config {
        mode: mode::SELECTED,
        causes: 1,
        lines: lines::CHOSEN,
        line_files: 1,
        ..Config::ALL
    };
    let sizes = Sizes { ring_bytes: 64 * 1024, flows: 16 };
    programs::load(kernel, engine, &config, &sizes, false)
        .and_then(|mut ebpf| programs::attach(&mut ebpf, engine, &config))
        .map_err(|error| error.to_string())
}

pub(super) fn uprobes() -> Check {
    Check {
        name: "probes in programs written in Go",
        answer: match uprobe::try_one() {
            Ok(()) => Answer::Yes,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Answer::No(format!("a uprobe cannot be attached: {error}"))
            }
            Err(error) => Answer::Unknown(format!("a uprobe could not be tried: {error}")),
        },
        needed: Needed::Optional,
        remedy: "takes CAP_SYS_ADMIN (CAP_PERFMON before Linux 6.16); without it, requests of Go's HTTP and \
                 gRPC clients have no known parent"
            .into(),
    }
}
