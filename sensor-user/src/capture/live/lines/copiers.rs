//! Copiers: programs that copy lines of other processes (container runtimes, syslog daemons, log
//! agents).
//!
//! Their lines are left out, as the original was captured. A process must not be able to hide its
//! lines by the name of its executable. So a copier also needs an executable that is owned by root
//! and that neither group nor others can write, and the right place:
//!
//! - On the node: its root directory is that of process 1. Only root can install an executable of
//!   root there. (The mount namespace would be the wrong test: systemd gives services their own,
//!   for `PrivateTmp=` and others.)
//! - In a container, where the author of the image is root: the container sees the node's log
//!   directory, at the same path. A log agent needs that mount, and only an administrator of the
//!   node can grant it.
//!
//! An executable on FUSE never counts: a FUSE server chooses the owner that is shown.
//!
//! A process can still hide its lines on purpose (io_uring, `LD_PRELOAD` into a copier's
//! executable); a copied or renamed executable is not enough.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FsWord, Mode, fstatfs};

use super::root::{self, Root};
use crate::capture::event::ProcessKey;

/// `FUSE_SUPER_MAGIC` (include/uapi/linux/magic.h).
const FUSE: FsWord = 0x6573_5546;

/// File names of executables; a final `*` matches any rest.
const NAMES: &[&str] = &[
    // Container runtimes.
    "containerd",
    "containerd-shim*",
    "dockerd",
    "docker-containerd*",
    "conmon",
    "conmonrs",
    "crio",
    "kubelet",
    // System loggers.
    "systemd-journald",
    "systemd-journal-*",
    "rsyslogd",
    "syslogd",
    "syslog-ng",
    // Agents.
    "fluent-bit",
    "fluentd",
    "td-agent*",
    "vector",
    "promtail",
    "alloy",
    "grafana-agent*",
    "filebeat",
    "elastic-agent*",
    "otelcol*",
    "otel-collector*",
    "logstash",
    "vlagent",
];

/// Log directories of a node that agents read. Deployments mount them at the same path, since the
/// links between them are absolute.
const NODE_LOGS: &[&str] = &[
    "var/log",
    "var/log/pods",
    "var/log/containers",
    "var/log/journal",
    "run/log/journal",
    "var/lib/docker/containers",
];

/// Whether the executable of a copier can have this name.
pub(super) fn is_name(executable: &str) -> bool {
    NAMES.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => executable.starts_with(beginning),
        None => executable == *name,
    })
}

/// Returns the executable of a process that is a copier. Can block on a file system.
///
/// # Errors
/// The reason why the process is no copier.
pub(super) fn check(proc: &Path, key: ProcessKey) -> Result<PathBuf, &'static str> {
    let process = proc.join(key.tgid.0.to_string());
    // One descriptor: name and owner are those of the same file, also if the process runs another
    // one meanwhile.
    let gone = "its executable is not accessible";
    let file = root::executable(&process.join("exe")).map_err(|_| gone)?;
    let path = root::path(&file).map_err(|_| gone)?;
    if !path.file_name().and_then(|name| name.to_str()).is_some_and(is_name) {
        return Err("its executable has another name");
    }
    let facts = root::facts(&file).map_err(|_| gone)?;
    let by_others = Mode::WGRP | Mode::WOTH;
    if facts.kind != FileType::RegularFile || facts.owner != 0 || facts.mode.intersects(by_others) {
        return Err("its executable is not owned by root, or others can write it");
    }
    if fstatfs(&file).map_err(|_| gone)?.f_type == FUSE {
        return Err("its executable is on a FUSE file system");
    }
    let own =
        Root::at(&process.join("root")).map_err(|_| "its root directory is not accessible")?;
    // Without access to process 1, the sensor's root stands for the node's.
    let node = Root::at(&proc.join("1/root")).or_else(|_| Root::at(Path::new("/")));
    let node = node.map_err(|_| "the node's root directory is not accessible")?;
    let place = |root: &Root| root.facts().ok().map(|facts| facts.place);
    let on_node = place(&own).is_some() && place(&own) == place(&node);
    if on_node || sees_logs_of(&own, &node) {
        Ok(path)
    } else {
        Err("its container does not see the node's log directory")
    }
}

fn sees_logs_of(own: &Root, node: &Root) -> bool {
    NODE_LOGS.iter().map(Path::new).any(|path| {
        let directory = |root: &Root| {
            let facts = root.look(path).ok().filter(|facts| facts.kind == FileType::Directory);
            facts.map(|facts| facts.place)
        };
        directory(node).is_some_and(|there| directory(own) == Some(there))
    })
}

#[cfg(test)]
mod tests;
