//! Gathers the facts of a process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::Directory;
use super::{ARGUMENTS_MAX, ENVIRONMENT_MAX, Facts, Host, Identity, ProcessError, Trust, resource};
use crate::capture::decode::ProcessRecordView;
use crate::capture::event::ProcessKey;
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Resource};

/// Longest `/proc/PID/cgroup`, in bytes.
const CGROUP_MAX: u64 = 64 * 1024;

/// Says who processes are, from `/proc` and from exec records.
#[derive(Debug)]
pub struct Identifier {
    proc_root: PathBuf,
    host: Host,
    trust: Trust,
    metrics: Arc<Metrics>,
}

/// The identity of a process by `/proc`.
#[derive(Debug)]
pub struct Identified {
    /// Who it is.
    pub resource: Resource,
    /// False if the process was ending meanwhile: parts may be missing.
    pub complete: bool,
}

impl Identifier {
    /// Reads below `proc_root` (`/proc`), and believes processes so far.
    pub fn new(proc_root: PathBuf, host: Host, trust: Trust, metrics: Arc<Metrics>) -> Self {
        Self { proc_root, host, trust, metrics }
    }

    /// Asks `/proc` who a process is. What may not be read there is unknown.
    ///
    /// # Errors
    /// When there is no such process: it has ended, and its id may be another's.
    pub fn identify(&self, process: ProcessKey) -> Result<Identified, ProcessError> {
        let (directory, comm) = self
            .open(process)
            .and_then(|directory| directory.comm().map(|comm| (directory, comm)))
            .map_err(|source| ProcessError { path: self.path(process), source })?;
        let args = directory.read("cmdline", ARGUMENTS_MAX).unwrap_or_default();
        let env = directory.read("environ", ENVIRONMENT_MAX).unwrap_or_default();
        let exe = directory.exe();
        let cgroup = cgroup(&directory);
        // Last: the process was there until now.
        let stat = directory.stat().ok();
        let resource = self.identity(&Facts {
            pid: process.tgid.0,
            parent: stat.map(|stat| stat.parent),
            comm: &comm,
            exe: exe.as_deref(),
            args: &args.bytes,
            args_cut: args.cut,
            env: &env.bytes,
            env_cut: env.cut,
            cgroup: &cgroup,
        });
        Ok(Identified { resource, complete: stat.is_some_and(|stat| !stat.exiting) })
    }

    /// Says who a process is by the record of its exec, which carries arguments and environment.
    /// The rest is asked of `/proc`, if the process is still there and still runs that program; so
    /// is what the record had no room for.
    pub fn identify_exec(&self, record: &ProcessRecordView<'_>) -> Resource {
        let &ProcessRecordView { process, parent, comm, args, args_cut, env, env_cut, .. } = record;
        let directory = self.open(process).ok();
        let directory = directory.as_ref();
        let read = |file, max| directory.and_then(|it| it.read(file, max).ok());
        let now_args = read("cmdline", ARGUMENTS_MAX).unwrap_or_default();
        let same_program = (!args.is_empty() && now_args.bytes.starts_with(args))
            || directory.and_then(|it| it.comm().ok()).is_some_and(|now| now == comm);
        let now_env = (same_program && env_cut)
            .then(|| read("environ", ENVIRONMENT_MAX))
            .flatten()
            .filter(|now| now.bytes.len() >= env.len());
        let now_args = Some(now_args).filter(|now| args_cut && now.bytes.starts_with(args));
        let exe = directory.filter(|_| same_program).and_then(Directory::exe);

        let (args, args_cut) =
            now_args.as_ref().map_or((args, args_cut), |now| (&now.bytes, now.cut));
        let (env, env_cut) = now_env.as_ref().map_or((env, env_cut), |now| (&now.bytes, now.cut));
        self.identity(&Facts {
            pid: process.tgid.0,
            parent: Some(parent.tgid.0),
            comm,
            exe: exe.as_deref(),
            args,
            args_cut,
            env,
            env_cut,
            // An exec does not move a process to another cgroup.
            cgroup: &directory.map(cgroup).unwrap_or_default(),
        })
    }

    /// Who a process is of which nothing is left: its id and the host, and no name.
    pub fn unknown(&self, process: ProcessKey) -> Resource {
        self.identity(&Facts {
            pid: process.tgid.0,
            parent: None,
            comm: b"",
            exe: None,
            args: b"",
            args_cut: false,
            env: b"",
            env_cut: false,
            cgroup: "",
        })
    }

    fn identity(&self, facts: &Facts<'_>) -> Resource {
        let Identity { resource, malformed, refused } = resource(facts, &self.host, self.trust);
        if malformed {
            self.metrics.inc(Counter::ProcessAttributesMalformed);
            tracing::debug!(
                pid = facts.pid,
                "OTEL_RESOURCE_ATTRIBUTES or OTEL_SERVICE_NAME is malformed, and ignored"
            );
        }
        if !refused.is_empty() {
            self.metrics.inc(Counter::ProcessAttributesRefused);
            tracing::debug!(
                pid = facts.pid,
                attributes = ?refused,
                "declared by the process, and refused: see --trust-resource"
            );
        }
        resource
    }

    fn open(&self, process: ProcessKey) -> io::Result<Directory> {
        Directory::open(&self.proc_root, process)
    }

    fn path(&self, process: ProcessKey) -> PathBuf {
        self.proc_root.join(process.tgid.0.to_string())
    }
}

/// The identity of a process that was forked from `parent` and has run no other program: the
/// parent's `resource` with the ids of the child.
pub fn copied(resource: &Resource, process: ProcessKey, parent: ProcessKey) -> Resource {
    let mut resource = resource.clone();
    let mut has_parent = false;
    for Attribute { key, value } in &mut resource.attributes {
        match key.as_ref() {
            "process.pid" => *value = i64::from(process.tgid.0).into(),
            "process.parent_pid" => {
                *value = i64::from(parent.tgid.0).into();
                has_parent = true;
            }
            _ => {}
        }
    }
    if !has_parent {
        resource.attributes.push(Attribute::new("process.parent_pid", i64::from(parent.tgid.0)));
    }
    resource
}

fn cgroup(directory: &Directory) -> String {
    let text = directory.read("cgroup", CGROUP_MAX).unwrap_or_default();
    String::from_utf8_lossy(&text.bytes).into_owned()
}

#[cfg(test)]
mod tests;
