//! From the facts of a process to its resource.

use std::borrow::Cow;

use super::container::{Container, container};
use super::declared::Declared;
use super::exporter;
use super::service::{self, basename};
use super::{Host, TEXT_MAX, Trust};
use crate::model::{Attribute, Resource};

/// What is known of a process, as the kernel tells it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Its id in the host's PID namespace.
    pub pid: u32,
    /// Its parent's; 0 for none.
    pub parent: Option<u32>,
    /// Its name by the kernel, at most 15 bytes.
    pub comm: &'a [u8],
    /// What it runs, as `/proc/PID/exe` has it.
    pub exe: Option<&'a str>,
    /// Its arguments, the first being its own name, each ended by a zero byte.
    pub args: &'a [u8],
    /// There were more arguments than these.
    pub args_cut: bool,
    /// Its environment, each entry ended by a zero byte.
    pub env: &'a [u8],
    /// There was more of it.
    pub env_cut: bool,
    /// `/proc/PID/cgroup`.
    pub cgroup: &'a str,
}

/// What comes of [`Facts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Who the process is.
    pub resource: Resource,
    /// Its `OTEL_RESOURCE_ATTRIBUTES` (or `OTEL_SERVICE_NAME`) could not be used.
    pub malformed: bool,
    /// Keys of attributes that it declares and that are not believed.
    pub refused: Vec<String>,
}

/// Says who a process is.
///
/// `service.name` is the first of these that there is: the process's own `OTEL_SERVICE_NAME`;
/// `service.name` in its `OTEL_RESOURCE_ATTRIBUTES`; for a known interpreter the script, module,
/// archive or class that it runs; the executable's file name; `comm`. The first two are believed by
/// [`Trust`], as is all else that it declares.
pub fn resource(facts: &Facts<'_>, host: &Host, trust: Trust) -> Identity {
    let &Facts { pid, parent, comm, exe, args, args_cut, env, env_cut, cgroup } = facts;
    let declared = Declared::read(env, env_cut);
    let malformed = declared.malformed;

    let exe = exe.map(|exe| exe.strip_suffix(" (deleted)").unwrap_or(exe));
    let exe = exe.filter(|exe| exe.starts_with('/') && exe.len() <= TEXT_MAX);
    let args = words(args, args_cut);
    let args: Vec<&str> = args.iter().map(Cow::as_ref).collect();
    let comm = String::from_utf8_lossy(comm);
    let program = exe.map(basename).filter(|name| !name.is_empty());
    let service_name = program
        .or_else(|| args.first().map(|name| basename(name)))
        .and_then(|program| service::name(program, &args))
        .filter(|name| fits(name))
        .or_else(|| program.map(str::to_owned))
        .or_else(|| untruncated(&comm, &args))
        .or_else(|| (!comm.is_empty()).then(|| comm.clone().into_owned()));

    let Container { id: container_id, pod_uid } = container(cgroup);
    let text = |key: &'static str, value: Option<String>| {
        value.filter(|value| !value.is_empty()).map(|value| Attribute::new(key, value))
    };
    let number = |key, value: Option<u32>| {
        value.filter(|&value| value != 0).map(|value| Attribute::new(key, i64::from(value)))
    };
    let runtime = program.and_then(runtime_name).map(str::to_owned);
    let mut attributes: Vec<Attribute> = [
        text("service.name", service_name),
        number("process.pid", Some(pid)),
        number("process.parent_pid", parent),
        text("process.executable.name", program.map(str::to_owned)),
        text("process.executable.path", exe.map(str::to_owned)),
        text("process.runtime.name", runtime),
        text("container.id", container_id),
        text("k8s.pod.uid", pod_uid),
    ]
    .into_iter()
    .flatten()
    .chain(host.attributes())
    .collect();

    let refused = declared.add_to(&mut attributes, trust);
    let span_endpoints = exporter::endpoints(|name| variable(env, env_cut, name));
    Identity { resource: Resource { attributes, span_endpoints }, malformed, refused }
}

fn fits(text: &str) -> bool {
    text.len() <= TEXT_MAX
}

/// The value of an environment variable, as `getenv(3)` finds it: the first one counts.
pub(super) fn variable<'a>(env: &'a [u8], cut: bool, name: &str) -> Option<&'a [u8]> {
    entries(env, cut).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn words(args: &[u8], cut: bool) -> Vec<Cow<'_, str>> {
    entries(args, cut).map(String::from_utf8_lossy).collect()
}

/// What zero bytes end. The last entry of a text that was cut is not whole, unless it is ended too.
fn entries(text: &[u8], cut: bool) -> impl Iterator<Item = &[u8]> {
    let whole = match text.iter().rposition(|&byte| byte == 0) {
        Some(last) if cut => &text[..last],
        None if cut => &[],
        _ => text.strip_suffix(b"\0").unwrap_or(text),
    };
    let some = (!whole.is_empty()).then_some(whole);
    some.into_iter().flat_map(|whole| whole.split(|&byte| byte == 0))
}

/// The kernel cuts `comm` to 15 bytes; the first argument may have the whole of it.
fn untruncated(comm: &str, args: &[&str]) -> Option<String> {
    const COMM_MAX: usize = 15;
    let name = basename(args.first()?);
    (comm.len() == COMM_MAX && name.starts_with(comm) && fits(name)).then(|| name.to_owned())
}

/// `process.runtime.name` where the executable's name leaves no doubt. A `java` or `python` could
/// be one of several.
fn runtime_name(program: &str) -> Option<&'static str> {
    match program {
        "node" | "nodejs" => Some("nodejs"),
        "deno" => Some("deno"),
        "bun" => Some("bun"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
