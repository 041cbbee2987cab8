//! Probes in programs written in Go: one set for each executable, as long as a process runs it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeLinkId, UProbeScope};
use sensor_ebpf::abi::GoStreams;

use super::FileId;
use crate::capture::event::ProcessKey;
use crate::metrics::{Counter, Metrics};
use crate::process::golang::{Probe, ProbeKind, Program};

/// The programs of the kernel side.
const PROGRAMS: [&str; 5] =
    ["go_round_trip", "go_grpc_client", "go_grpc_server", "go_http_handler", "go_xnet_handler"];

/// Executables that are probed at once.
const EXECUTABLES: usize = 256;

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
    executables: HashMap<FileId, Executable>,
    files: HashMap<ProcessKey, FileId>,
    /// Processes that have ended.
    pub(super) gone: Vec<ProcessKey>,
}

/// An executable that is probed.
#[derive(Default)]
struct Executable {
    users: HashSet<ProcessKey>,
    links: Vec<(&'static str, UProbeLinkId)>,
}

impl Probes {
    /// Probes a process's program, if it is not yet. `path` leads to its executable.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        process: ProcessKey,
        file: FileId,
        path: &Path,
        found: &Program,
        metrics: &Metrics,
    ) {
        if found.probes.is_empty() {
            return;
        }
        if self.files.get(&process).is_some_and(|&before| before != file) {
            self.leave(ebpf, process);
        }
        if !self.executables.contains_key(&file) {
            if self.executables.len() >= EXECUTABLES {
                metrics.inc(Counter::GoProbesFailed);
                tracing::debug!(
                    pid = process.tgid.0,
                    "not probed: {EXECUTABLES} executables are already"
                );
                return;
            }
            let mut executable = Executable::default();
            for &Probe { kind, file_offset } in &found.probes {
                let name = name(kind);
                let link = program(ebpf, name).and_then(|program| {
                    program
                        .attach(file_offset, path, UProbeScope::AllProcesses)
                        .map_err(|error| format!("{name}: {error}"))
                });
                match link {
                    Ok(link) => {
                        metrics.inc(Counter::GoProbes);
                        executable.links.push((name, link));
                    }
                    Err(error) => {
                        metrics.inc(Counter::GoProbesFailed);
                        tracing::debug!(pid = process.tgid.0, error, "not probed");
                    }
                }
            }
            let names: Vec<_> = executable.links.iter().map(|(name, _)| name).collect();
            tracing::debug!(pid = process.tgid.0, version = found.version, ?names, "probed");
            self.executables.insert(file, executable);
        }
        if let Some(executable) = self.executables.get_mut(&file) {
            executable.users.insert(process);
            self.files.insert(process, file);
        }
    }

    /// Takes leave of the processes that have ended.
    pub(super) fn settle(&mut self, ebpf: &mut Ebpf) {
        while let Some(process) = self.gone.pop() {
            self.leave(ebpf, process);
        }
    }

    /// Finds processes whose end went by unseen.
    pub(super) fn tidy(&mut self) {
        let is_gone = |process: &&ProcessKey| {
            fs::symlink_metadata(format!("/proc/{}", process.tgid.0)).is_err()
        };
        self.gone.extend(self.files.keys().filter(is_gone));
    }

    /// Detaches what no process has any more.
    fn leave(&mut self, ebpf: &mut Ebpf, process: ProcessKey) {
        let Some(file) = self.files.remove(&process) else { return };
        let Some(executable) = self.executables.get_mut(&file) else { return };
        executable.users.remove(&process);
        if !executable.users.is_empty() {
            return;
        }
        for (name, link) in self.executables.remove(&file).unwrap_or_default().links {
            let detached = program(ebpf, name)
                .and_then(|program| program.detach(link).map_err(|error| error.to_string()));
            if let Err(error) = detached {
                tracing::debug!(error, name, "not detached");
            }
        }
    }
}
