//! `deploy/sensor.service`: what it asks of systemd, done without systemd.

#![expect(clippy::panic, reason = "this is how a test fails")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::sensor::tool;

/// The unit's file.
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/sensor.service");

/// The values of a directive, one for each line that has it.
///
/// # Panics
/// When the unit has none.
#[must_use]
pub fn directive(name: &str) -> Vec<String> {
    let text = match std::fs::read_to_string(Path::new(UNIT)) {
        Ok(text) => text,
        Err(error) => panic!("{UNIT}: {error}"),
    };
    let values: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect();
    assert!(!values.is_empty(), "{UNIT} has no {name}=");
    values
}

/// The capabilities that the unit leaves, as setpriv(1) names them.
#[must_use]
pub fn capabilities() -> Vec<String> {
    let values = directive("CapabilityBoundingSet").join(" ");
    let short = |name: &str| name.strip_prefix("CAP_").unwrap_or(name).to_lowercase();
    values.split_whitespace().map(short).collect()
}

/// `program` as root with no more than these capabilities, as CapabilityBoundingSet= has it. None where there is
/// no setpriv.
#[must_use]
pub fn bounded(capabilities: &[String], program: impl AsRef<OsStr>) -> Option<Command> {
    let mut command = Command::new(tool("setpriv")?);
    let set: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    command.arg(format!("--bounding-set=-all{set}")).arg("--inh-caps=-all").arg(program);
    Some(command)
}

/// The same as another user, who has them as ambient ones: User= and AmbientCapabilities=.
#[must_use]
pub fn ambient(user: u32, capabilities: &[String], program: impl AsRef<OsStr>) -> Option<Command> {
    let mut command = Command::new(tool("setpriv")?);
    let set: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    command
        .args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()])
        .args([format!("--inh-caps=-all{set}"), format!("--ambient-caps=-all{set}")])
        .arg(program);
    Some(command)
}

/// The system calls that the unit allows, with systemd's sets taken apart. None where there is no systemd-analyze.
///
/// # Panics
/// When it does not know one of the sets.
#[must_use]
pub fn system_calls() -> Option<BTreeSet<String>> {
    let analyze = tool("systemd-analyze")?;
    let mut allowed = BTreeSet::new();
    for value in directive("SystemCallFilter") {
        let (removes, names) = match value.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, value.as_str()),
        };
        for call in names.split_whitespace().flat_map(|name| members(&analyze, name)) {
            if removes {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    Some(allowed)
}

/// A call, or those of a set and of the sets in it.
fn members(analyze: &Path, name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let output = match Command::new(analyze).args(["syscall-filter", "--no-pager", name]).output() {
        Ok(output) if output.status.success() => output.stdout,
        other => panic!("systemd-analyze syscall-filter {name}: {other:?}"),
    };
    String::from_utf8_lossy(&output)
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(|line| members(analyze, line))
        .collect()
}
