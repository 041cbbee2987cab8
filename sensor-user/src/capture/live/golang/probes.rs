//! Probes in programs written in Go: one set for each executable, as long as a process runs it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use aya::Ebpf;
use aya::programs::UProbe;
use sensor_ebpf::abi::GoStreams;

use super::process;
use crate::capture::event::ProcessKey;
use crate::capture::live::executable::{Attached, Executable, FileId};
use crate::capture::live::privileges;
use crate::metrics::{Counter, Metrics};
use crate::process::golang::{Probe, ProbeKind, Program};

/// The programs of the kernel side.
const PROGRAMS: [&str; 5] =
    ["go_round_trip", "go_grpc_client", "go_grpc_server", "go_http_handler", "go_xnet_handler"];

/// Executables that are probed at once. Each holds up to six descriptors.
const EXECUTABLES: usize = 256;

/// Executables of one user that are probed at once.
const EXECUTABLES_A_USER: usize = EXECUTABLES / 2;

/// Executables that wait until they are detached.
const DETACHED: usize = 64;

/// Descriptors that the executables may hold.
const DESCRIPTORS: u64 = 6 * (EXECUTABLES + DETACHED) as u64;

fn name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::RoundTrip => "go_round_trip",
        ProbeKind::Stream(GoStreams::GrpcClient) => "go_grpc_client",
        ProbeKind::Stream(GoStreams::GrpcServer) => "go_grpc_server",
        ProbeKind::Stream(GoStreams::Http) => "go_http_handler",
        ProbeKind::Stream(GoStreams::XNet) => "go_xnet_handler",
    }
}

/// Loads the programs. Where the kernel refuses them, the rest goes on without.
///
/// # Errors
/// The reason, and what is lost.
pub(in super::super) fn load(ebpf: &mut Ebpf) -> Result<(), String> {
    privileges::raise_files(DESCRIPTORS);
    for name in PROGRAMS {
        program(ebpf, name)?.load().map_err(|error| {
            format!(
                "programs written in Go are not probed: the kernel refused {name}: {error}. Requests that \
                 their HTTP and gRPC clients send have no known parent then; --go-probes off does the \
                 same without this message"
            )
        })?;
    }
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, String> {
    let program = ebpf.program_mut(name).ok_or_else(|| format!("there is no program {name}"))?;
    program.try_into().map_err(|error| format!("{name}: {error}"))
}

/// What is attached where.
#[derive(Default)]
pub(super) struct Probes {
    executables: HashMap<FileId, Probed>,
    files: HashMap<ProcessKey, FileId>,
    detacher: Option<Detacher>,
}

/// Detaches in a thread of its own: for each probe the kernel waits until all cores have left what may
/// use it, some ten milliseconds, in which nobody would read the rings.
struct Detacher {
    links: SyncSender<Probed>,
    thread: JoinHandle<()>,
}

impl Detacher {
    fn start() -> Option<Self> {
        let (links, detached) = sync_channel(DETACHED);
        let thread = thread::Builder::new().name("golang-detach".into());
        let thread = thread.spawn(move || detached.into_iter().for_each(drop)).ok()?;
        Some(Self { links, thread })
    }
}

/// An executable that is probed. Its number is no other file's, since it is open.
struct Probed {
    _executable: Arc<Executable>,
    /// Who first ran it.
    user: u32,
    /// The traced processes that run it.
    users: HashSet<ProcessKey>,
    _attached: Vec<Attached>,
}

impl Probes {
    /// Probes a process's program, if it is not yet.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        key: ProcessKey,
        user: u32,
        executable: Executable,
        found: &Program,
        metrics: &Metrics,
    ) {
        let file = executable.id();
        if self.files.get(&key).is_some_and(|&before| before != file) {
            self.gone(key);
        }
        if found.probes.is_empty() {
            return;
        }
        if !self.executables.contains_key(&file) {
            let of_user = self.executables.values().filter(|it| it.user == user).count();
            if self.executables.len() >= EXECUTABLES || of_user >= EXECUTABLES_A_USER {
                metrics.add(Counter::GoProbesFailed, found.probes.len() as u64);
                tracing::debug!(
                    pid = key.tgid.0,
                    user,
                    of_user,
                    "not probed: too many executables are"
                );
                return;
            }
            let probed = probe(ebpf, key, user, Arc::new(executable), found, metrics);
            self.executables.insert(file, probed);
        }
        if let Some(executable) = self.executables.get_mut(&file) {
            executable.users.insert(key);
            self.files.insert(key, file);
        }
    }

    /// Detaches the probes of processes that ended or ran another program without a record of it.
    pub(super) fn tidy(&mut self) {
        let is_gone = |&(&key, &file): &(&ProcessKey, &FileId)| !process::runs(key, file);
        let gone: Vec<_> = self.files.iter().filter(is_gone).map(|(&key, _)| key).collect();
        for key in gone {
            self.gone(key);
        }
    }

    /// A process does not run its program any more. Detaches what no process has.
    pub(super) fn gone(&mut self, key: ProcessKey) {
        let Some(file) = self.files.remove(&key) else { return };
        let Some(executable) = self.executables.get_mut(&file) else { return };
        executable.users.remove(&key);
        if executable.users.is_empty()
            && let Some(probed) = self.executables.remove(&file)
        {
            self.detacher = self.detacher.take().or_else(Detacher::start);
            // Without a thread, or if it has too much to do, it is done here.
            drop(self.detacher.as_ref().map(|detacher| detacher.links.try_send(probed)));
        }
    }
}

impl Drop for Probes {
    /// Waits until everything is detached.
    fn drop(&mut self) {
        self.executables.clear();
        if let Some(Detacher { links, thread }) = self.detacher.take() {
            drop(links);
            let _ = thread.join();
        }
    }
}

fn probe(
    ebpf: &mut Ebpf,
    key: ProcessKey,
    user: u32,
    executable: Arc<Executable>,
    found: &Program,
    metrics: &Metrics,
) -> Probed {
    let mut names = Vec::new();
    let mut attached = Vec::new();
    for Probe { kind, site } in &found.probes {
        let name = name(*kind);
        let link = program(ebpf, name).and_then(|program| {
            executable.attach(program, site).map_err(|error| format!("{name}: {error}"))
        });
        match link {
            Ok(link) => {
                metrics.inc(Counter::GoProbes);
                names.push(name);
                attached.push(link);
            }
            Err(error) => {
                metrics.inc(Counter::GoProbesFailed);
                tracing::debug!(pid = key.tgid.0, error, "not probed");
            }
        }
    }
    tracing::debug!(pid = key.tgid.0, version = found.version, ?names, "probed");
    Probed { _executable: executable, user, users: HashSet::new(), _attached: attached }
}
