//! What the chores need and a fresh machine lacks, got from the usual registries. Each function says
//! in one line what it found or did, and fails with what to do by hand.

mod apt;
mod rust_src;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::run::{Cmd, which};
use crate::{ui, workspace};

pub(crate) use apt::{cannot_install, install};
pub(crate) use rust_src::rust_src;

/// The last bpf-linker that uses rustc's own LLVM 22; later ones need LLVM on the system.
const BPF_LINKER: &str = "0.10.3";
const CARGO_DENY: &str = "0.20.2";

/// A bpf-linker that matches the LLVM of this rustc, unoptimised: LLVM does the work.
pub(crate) fn bpf_linker() -> Result<PathBuf> {
    tool("bpf-linker", BPF_LINKER, &["--locked", "--debug"])
}

/// cargo-deny, unoptimised: it is built in half the time and our tree takes it two seconds.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    tool("cargo-deny", CARGO_DENY, &["--locked", "--no-default-features", "--debug"])
}

/// A Rust tool at exactly `version`: ours, or the one on the PATH, or installed now.
fn tool(name: &str, version: &str, how: &[&str]) -> Result<PathBuf> {
    let ours = workspace::tools().join("bin").join(name);
    for candidate in [Some(ours.clone()), which(name)].into_iter().flatten() {
        if is_version(&candidate, version) {
            ui::line(format_args!("{name} {version}: found {}", candidate.display()));
            return Ok(candidate);
        }
    }
    ui::line(format_args!("{name} {version}: not here, installing it (a minute or two)"));
    Cmd::cargo()
        .args(["install", name, "--version", version])
        .args(how)
        .arg("--root")
        .arg(workspace::tools())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .run()
        .with_context(|| format!("{name} {version} could not be installed from crates.io"))?;
    ui::line(format_args!("{name} {version}: installed as {}", ours.display()));
    Ok(ours)
}

fn is_version(program: &Path, version: &str) -> bool {
    program.is_file()
        && Cmd::new(program)
            .arg("--version")
            .read()
            .is_ok_and(|said| said.split_whitespace().any(|word| word == version))
}

/// Whether we may load BPF programs and install packages.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
