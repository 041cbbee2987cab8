//! Loading and attaching the BPF programs.

use std::fs;

use aya::{Btf as AyaBtf, Ebpf, EbpfLoader, VerifierLogLevel, programs::BtfTracePoint};
use rustix::param::page_size;
use sensor_ebpf::abi::{Config, Offsets, lines};
use sensor_ebpf::limits::{LINE_FILES, PROCESSES, THREADS};
use zerocopy::IntoBytes;

use super::{
    OpenError,
    btf::Btf,
    offsets::{self, Need},
};

/// The BPF object, built from `sensor-ebpf` by `cargo xtask build-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../sensor-ebpf/prebuilt/sensor-probes.o"
));

/// Where the kernel describes its types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// How system calls on sockets are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// At the end of every socket send and receive. Linux 6.3 and newer; no other call pays.
    Socket,
    /// At the end of every system call. Older kernels.
    Syscall,
}

impl Engine {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Syscall => "syscall",
        }
    }

    /// Whether a program of this name takes lines. What it misses says nothing of what threads act on.
    pub(super) fn takes_lines_with(program: &str) -> bool {
        program == LINES.0
    }

    /// Whether its program of this name is one that sees bytes go by.
    pub(super) fn sees_calls_with(self, program: &str) -> bool {
        self.programs().iter().any(|&(name, _)| name == program)
    }

    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Socket => &[
                ("sock_send_length", "sock_send_length"),
                ("sock_recv_length", "sock_recv_length"),
            ],
            Self::Syscall => &[("sys_exit", "sys_exit")],
        }
    }
}

/// Attached with either engine: the end of connections, and the life of processes.
const COMMON: &[(&str, &str)] = &[
    ("inet_sock_set_state", "inet_sock_set_state"),
    ("tcp_destroy_sock", "tcp_destroy_sock"),
    ("sched_process_fork", "sched_process_fork"),
    ("sched_process_exec", "sched_process_exec"),
    ("sched_process_exit", "sched_process_exit"),
];

/// What event loops act on, with either engine. Attached behind the engine's own program at the same
/// place, which says what was read: the kernel calls them in the order in which they were attached.
const EVENT_LOOPS: &[(&str, &str)] = &[("turns", "sys_exit")];

/// What processes write to their logs. Attached behind both: only then is it known what was read.
const LINES: (&str, &str) = ("lines", "sys_exit");

/// What the ring of lines holds, in bytes: at 100,000 lines of 100 bytes a second some 400 milliseconds, a hundred
/// of the reader's rests. Its own, and no part of `--ring-size`: a flood of lines takes no room from exchanges.
const LINES_RING: u32 = 8 << 20;

/// The programs that are wanted, in the order in which they are attached: the end of connections first, since
/// no flow may be tracked whose end cannot be seen.
fn wanted(engine: Engine, config: &Config) -> impl Iterator<Item = (&'static str, &'static str)> {
    let event_loops = if config.causes == 0 { &[] } else { EVENT_LOOPS };
    COMMON.iter().chain(engine.programs()).chain(event_loops).copied()
}

/// Bounds that user space chooses.
pub struct Sizes {
    /// Of the ring, in bytes: a power of two, and a multiple of the page size.
    pub ring_bytes: u32,
    /// Flows tracked at once.
    pub flows: u32,
}

/// The kernel's types, and where the fields are.
pub struct Kernel {
    offsets: Offsets,
    missing: Vec<(Need, &'static str)>,
    has_socket_tracepoints: bool,
}

impl Kernel {
    /// Reads the running kernel's type information.
    ///
    /// # Errors
    /// When there is none, or it cannot be understood.
    pub fn read() -> Result<Self, OpenError> {
        let data = fs::read(VMLINUX).map_err(|error| OpenError::NoBtf(error.to_string()))?;
        let btf = Btf::parse(&data).map_err(|error| OpenError::NoBtf(error.to_string()))?;
        let (mut offsets, missing) = offsets::resolve(&btf);
        offsets::adjust_for_architecture(&mut offsets);
        Ok(Self {
            offsets,
            missing,
            has_socket_tracepoints: btf.has_typedef("btf_trace_sock_send_length"),
        })
    }

    /// Whether the engine can run here, or the reason why not.
    ///
    /// # Errors
    /// The reason.
    pub fn supports(&self, engine: Engine) -> Result<(), String> {
        if engine == Engine::Socket && !self.has_socket_tracepoints {
            return Err(
                "the tracepoints sock_send_length and sock_recv_length came with Linux 6.3".into(),
            );
        }
        let lacking: Vec<_> = self
            .missing
            .iter()
            .filter(|(need, _)| match need {
                Need::Both => true,
                Need::Socket => engine == Engine::Socket,
                Need::Syscall => engine == Engine::Syscall,
                Need::Neither => false,
            })
            .map(|&(_, name)| name)
            .collect();
        if lacking.is_empty() {
            Ok(())
        } else {
            Err(format!("this kernel's structures lack {}", lacking.join(", ")))
        }
    }

    /// Fields that are not there, and that nothing depends on.
    pub fn absent(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.missing.iter().filter(|(need, _)| *need == Need::Neither).map(|&(_, name)| name)
    }
}

/// Loads the programs of `engine`, and those for lines where they are wanted, and attaches nothing yet.
///
/// # Errors
/// With the verifier's words, when the kernel refuses one.
pub fn load(
    kernel: &Kernel,
    engine: Engine,
    config: &Config,
    sizes: &Sizes,
    verbose: bool,
) -> Result<Ebpf, OpenError> {
    let btf = AyaBtf::from_sys_fs().map_err(|error| OpenError::NoBtf(error.to_string()))?;
    let syscalls = offsets::syscalls();
    let turn_calls = offsets::turn_calls();
    let log_level: u8 = if verbose { 4 } else { 0 };
    let with_lines = config.lines != lines::OFF;
    // As little as the kernel gives where they are not wanted.
    let page = u32::try_from(page_size()).unwrap_or(LINES_RING);
    let lines_ring = if with_lines { LINES_RING } else { page };
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("OFFSETS", kernel.offsets.as_bytes(), true)
        .override_global("SYSCALLS", syscalls.as_bytes(), true)
        .override_global("TURN_CALLS", &turn_calls[..], true)
        .override_global("CONFIG", config.as_bytes(), true)
        .override_global("AYA_LOG_LEVEL", &log_level, false)
        .map_max_entries("RING", sizes.ring_bytes)
        .map_max_entries("FLOWS_BY_SOCK", sizes.flows)
        .map_max_entries("TURNS", if config.causes == 0 { 1 } else { THREADS })
        .map_max_entries("LINES_RING", lines_ring)
        .map_max_entries("LINE_PROCESSES", if with_lines { PROCESSES } else { 1 })
        .map_max_entries("LINE_FILES_WANTED", if config.line_files == 0 { 1 } else { LINE_FILES })
        .load(OBJECT)
        .map_err(|error| refused("the BPF maps", &error))?;
    for (name, tracepoint) in wanted(engine, config).chain(with_lines.then_some(LINES)) {
        let program = program(&mut ebpf, name)?;
        program
            .load(tracepoint, &btf)
            .map_err(|error| refused(&format!("program {name}"), &error))?;
    }
    Ok(ebpf)
}

/// Attaches the loaded programs, but that for lines. From here on events come.
///
/// # Errors
/// When the kernel refuses.
pub fn attach(ebpf: &mut Ebpf, engine: Engine, config: &Config) -> Result<(), OpenError> {
    for (name, _) in wanted(engine, config) {
        let program = program(ebpf, name)?;
        program.attach().map_err(|error| refused(&format!("program {name}"), &error))?;
    }
    Ok(())
}

/// Attaches the program that takes lines, behind the others.
///
/// # Errors
/// When the kernel refuses.
pub fn attach_lines(ebpf: &mut Ebpf) -> Result<(), OpenError> {
    let (name, _) = LINES;
    program(ebpf, name)?
        .attach()
        .map(drop)
        .map_err(|error| refused(&format!("program {name}"), &error))
}

/// Loads and attaches programs that do nothing, at the places of the engine *socket*: the floor that
/// its cost is measured from. They are detached when the result is dropped.
///
/// # Errors
/// As [`load`] and [`attach`].
pub fn baseline() -> Result<Ebpf, OpenError> {
    let btf = AyaBtf::from_sys_fs().map_err(|error| OpenError::NoBtf(error.to_string()))?;
    let mut ebpf = EbpfLoader::new()
        .btf(Some(&btf))
        .map_max_entries("RING", 64 * 1024)
        .map_max_entries("FLOWS_BY_SOCK", 16)
        .map_max_entries("TURNS", 1)
        .map_max_entries("LINES_RING", u32::try_from(page_size()).unwrap_or(LINES_RING))
        .map_max_entries("LINE_PROCESSES", 1)
        .map_max_entries("LINE_FILES_WANTED", 1)
        .load(OBJECT)
        .map_err(|error| refused("the BPF maps", &error))?;
    for (name, tracepoint) in
        [("baseline_send", "sock_send_length"), ("baseline_recv", "sock_recv_length")]
    {
        let program = program(&mut ebpf, name)?;
        program.load(tracepoint, &btf).map_err(|error| refused(name, &error))?;
        program.attach().map_err(|error| refused(name, &error))?;
    }
    Ok(ebpf)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, OpenError> {
    ebpf.program_mut(name)
        .ok_or_else(|| OpenError::Object(format!("it has no program {name}")))?
        .try_into()
        .map_err(|error| OpenError::Object(format!("{name}: {error}")))
}

/// The error with all its causes; a verifier's log speaks for itself at the end.
fn refused(what: &str, error: &dyn std::error::Error) -> OpenError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    // Only what `--cgroup` takes calls it; without, the verifier never sees it.
    if reason.contains("unknown func bpf_get_current_ancestor_cgroup_id") {
        return OpenError::Scope(
            "--cgroup: this kernel does not tell tracing programs the cgroup of a process (5.10 is \
             too old); choose by --pid, --comm, --exe or --port"
                .into(),
        );
    }
    OpenError::Refused { what: what.to_owned(), reason }
}
