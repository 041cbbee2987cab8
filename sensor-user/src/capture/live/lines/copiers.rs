//! Programs that pass on what others have written: container runtimes, syslog daemons, log agents.
//!
//! What they write is left out, since it was taken where it was written first. To be one of them must not be a way
//! to keep lines from being taken, so the name of an executable is not enough. Its file has to be root's, and
//! nobody else's to write to; and the process has to be where such programs are:
//!
//! - On the node: its root is that of process 1. (Not its mount namespace: systemd gives services their own, with
//!   `PrivateTmp=` for one.) Only root can put an executable of root's there.
//! - In a container, where "root" is whoever built the image: the directory of the node's logs is the one that it
//!   sees too. An agent reads the logs of others there, and only who runs the node can hand that to a container.
//!
//! Files of FUSE are nobody's: whoever mounts it says whose they are.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FsWord, Mode, fstatfs};

use super::root::{self, Root};
use crate::capture::event::Tgid;

/// `FUSE_SUPER_MAGIC` (include/uapi/linux/magic.h).
const FUSE: FsWord = 0x6573_5546;

/// Names of their executables. One that ends in `*` stands for all that begin so.
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
    // The system's own.
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

/// Where a node has the logs of its containers and services, for agents to read. They are mounted into a container
/// at the same places, as the links among them are absolute.
const NODE_LOGS: &[&str] = &[
    "var/log",
    "var/log/pods",
    "var/log/containers",
    "var/log/journal",
    "run/log/journal",
    "var/lib/docker/containers",
];

/// Whether an executable of this name may be one that passes on what others have written.
pub(super) fn is_name(executable: &str) -> bool {
    NAMES.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => executable.starts_with(beginning),
        None => executable == *name,
    })
}

/// The executable of a process, if the process is one of them. May wait for a file system.
///
/// # Errors
/// For a process that is none, the reason.
pub(super) fn check(proc: &Path, tgid: Tgid) -> Result<PathBuf, &'static str> {
    let process = proc.join(tgid.0.to_string());
    // All is asked of this one file, whatever the process runs next.
    let gone = "its executable cannot be looked at";
    let file = root::executable(&process.join("exe")).map_err(|_| gone)?;
    let path = root::path(&file).map_err(|_| gone)?;
    if !path.file_name().and_then(|name| name.to_str()).is_some_and(is_name) {
        return Err("its executable has another name");
    }
    let facts = root::facts(&file).map_err(|_| gone)?;
    let by_others = Mode::WGRP | Mode::WOTH;
    if facts.kind != FileType::RegularFile || facts.owner != 0 || facts.mode.intersects(by_others) {
        return Err("its executable is not root's alone");
    }
    if fstatfs(&file).map_err(|_| gone)?.f_type == FUSE {
        return Err("its executable is a file of FUSE");
    }
    let own = Root::at(&process.join("root")).map_err(|_| "its root cannot be looked at")?;
    // Without the node's process 1 there is only our own view.
    let node = Root::at(&proc.join("1/root")).or_else(|_| Root::at(Path::new("/")));
    let node = node.map_err(|_| "the node's root cannot be looked at")?;
    let place = |root: &Root| root.facts().ok().map(|facts| facts.place);
    let on_node = place(&own).is_some() && place(&own) == place(&node);
    if on_node || sees_the_logs_of(&own, &node) {
        Ok(path)
    } else {
        Err("it is in a container that does not see the node's logs")
    }
}

fn sees_the_logs_of(own: &Root, node: &Root) -> bool {
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
