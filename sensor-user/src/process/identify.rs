//! Gathers the facts of a process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::{ARGUMENTS_MAX, ENVIRONMENT_MAX, Facts, Host, Identity, ProcessError, resource};
use crate::capture::decode::ProcessRecordView;
use crate::capture::event::Tgid;
use crate::metrics::{Counter, Metrics};
use crate::model::Resource;

/// Longest `/proc/PID/cgroup`, in bytes.
const CGROUP_MAX: u64 = 64 * 1024;

/// Says who processes are, from `/proc` and from exec records.
#[derive(Debug)]
pub struct Identifier {
    proc_root: PathBuf,
    host: Host,
    metrics: Arc<Metrics>,
}

/// Text of `/proc`, and whether there was more of it.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    cut: bool,
}

impl Identifier {
    /// Reads below `proc_root` (`/proc`).
    pub fn new(proc_root: PathBuf, host: Host, metrics: Arc<Metrics>) -> Self {
        Self { proc_root, host, metrics }
    }

    /// Asks `/proc` who a process is. What may not be read there is unknown.
    ///
    /// # Errors
    /// When there is no such process: it has ended.
    pub fn identify(&self, tgid: Tgid) -> Result<Resource, ProcessError> {
        let comm = self
            .read(tgid, "comm", 64)
            .map_err(|source| ProcessError { path: self.path(tgid, "comm"), source })?;
        let args = self.read(tgid, "cmdline", ARGUMENTS_MAX).unwrap_or_default();
        let env = self.read(tgid, "environ", ENVIRONMENT_MAX).unwrap_or_default();
        Ok(self.identity(&Facts {
            pid: tgid.0,
            parent: self.parent(tgid),
            comm: comm.bytes.strip_suffix(b"\n").unwrap_or(&comm.bytes),
            exe: self.exe(tgid).as_deref(),
            args: &args.bytes,
            args_cut: args.cut,
            env: &env.bytes,
            env_cut: env.cut,
            cgroup: &self.cgroup(tgid),
        }))
    }

    /// Says who a process is by the record of its exec, which carries arguments and environment.
    /// The rest is asked of `/proc`, if the process is still there and still runs that program; so
    /// is what the record had no room for.
    pub fn identify_exec(&self, record: &ProcessRecordView<'_>) -> Resource {
        let &ProcessRecordView { tgid, parent, comm, args, args_cut, env, env_cut, .. } = record;
        let now_args = self.read(tgid, "cmdline", ARGUMENTS_MAX).unwrap_or_default();
        let same_program = (!args.is_empty() && now_args.bytes.starts_with(args))
            || self.read(tgid, "comm", 64).is_ok_and(|now| now.bytes.trim_ascii_end() == comm);
        let now_env = (same_program && env_cut)
            .then(|| self.read(tgid, "environ", ENVIRONMENT_MAX).ok())
            .flatten()
            .filter(|now| now.bytes.len() >= env.len());
        let now_args = Some(now_args).filter(|now| args_cut && now.bytes.starts_with(args));
        let exe = same_program.then(|| self.exe(tgid)).flatten();

        let (args, args_cut) =
            now_args.as_ref().map_or((args, args_cut), |now| (&now.bytes, now.cut));
        let (env, env_cut) = now_env.as_ref().map_or((env, env_cut), |now| (&now.bytes, now.cut));
        self.identity(&Facts {
            pid: tgid.0,
            parent: Some(parent.0),
            comm,
            exe: exe.as_deref(),
            args,
            args_cut,
            env,
            env_cut,
            // An exec does not move a process to another cgroup.
            cgroup: &self.cgroup(tgid),
        })
    }

    /// Who a process is of which nothing is left: its id and the host, and no name.
    pub fn unknown(&self, tgid: Tgid) -> Resource {
        self.identity(&Facts {
            pid: tgid.0,
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
        let Identity { resource, malformed } = resource(facts, &self.host);
        if malformed {
            self.metrics.inc(Counter::ProcessAttributesMalformed);
            tracing::debug!(
                pid = facts.pid,
                "OTEL_RESOURCE_ATTRIBUTES or OTEL_SERVICE_NAME is malformed, and ignored"
            );
        }
        resource
    }

    fn path(&self, tgid: Tgid, file: &str) -> PathBuf {
        self.proc_root.join(tgid.0.to_string()).join(file)
    }

    fn read(&self, tgid: Tgid, file: &str, max: u64) -> io::Result<Text> {
        let mut text = Text::default();
        File::open(self.path(tgid, file))?.take(max + 1).read_to_end(&mut text.bytes)?;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        text.cut = text.bytes.len() > max;
        text.bytes.truncate(max);
        Ok(text)
    }

    fn exe(&self, tgid: Tgid) -> Option<String> {
        fs::read_link(self.path(tgid, "exe")).ok()?.into_os_string().into_string().ok()
    }

    fn cgroup(&self, tgid: Tgid) -> String {
        let text = self.read(tgid, "cgroup", CGROUP_MAX).unwrap_or_default();
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    fn parent(&self, tgid: Tgid) -> Option<u32> {
        let stat = self.read(tgid, "stat", 4096).ok()?;
        parent(&stat.bytes)
    }
}

/// The parent in `/proc/PID/stat`: the second field after the name, which may hold anything.
pub fn parent(stat: &[u8]) -> Option<u32> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
