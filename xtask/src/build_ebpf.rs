//! `build-ebpf`: the BPF object, the same bytes wherever it is built.
//!
//! The object is checked in, so that building the sensor needs neither the BPF linker nor the
//! standard library's source. CI rebuilds it and refuses a difference (`--check`).

mod compare;
mod strip;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::Cmd;
use crate::{provision, ui, workspace};

const TARGET: &str = "bpfel-unknown-none";
const BINARY: &str = "sensor-probes";
/// The checked-in object, from the root of the workspace.
pub(crate) const OBJECT: &str = "sensor-ebpf/prebuilt/sensor-probes.o";

/// Options of `build-ebpf`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rebuild and compare with the checked-in object instead of replacing it
    #[arg(long)]
    check: bool,
}

/// Builds the object, and replaces the checked-in one or compares with it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let rust_src = provision::rust_src()?;
    let linker = provision::bpf_linker()?;
    let linked = compile(&rust_src, &linker)?;
    let built = strip::debug_sections(&linked).context("the linked object cannot be stripped")?;

    let kept = workspace::root().join(OBJECT);
    if args.check {
        let old = fs::read(&kept).with_context(|| {
            format!("cannot read {}: `cargo xtask build-ebpf` makes it", kept.display())
        })?;
        if old == built {
            ui::line(format_args!("{OBJECT}: {} bytes, as rebuilt", old.len()));
            return Ok(());
        }
        let fresh = workspace::target().join("bpf/sensor-probes.o");
        fs::write(&fresh, &built).with_context(|| format!("cannot write {}", fresh.display()))?;
        for difference in compare::objects(&old, &built)? {
            ui::line(format_args!("  {difference}"));
        }
        bail!(
            "{OBJECT} is not what its source builds to, which is {}; to accept that, run \
             `cargo xtask build-ebpf` and commit the object with its source",
            fresh.display()
        );
    }
    if fs::read(&kept).is_ok_and(|old| old == built) {
        ui::line(format_args!("{OBJECT}: {} bytes, unchanged", built.len()));
        return Ok(());
    }
    if let Some(dir) = kept.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    fs::write(&kept, &built).with_context(|| format!("cannot write {}", kept.display()))?;
    ui::line(format_args!("{OBJECT}: written, {} bytes ({} linked)", built.len(), linked.len()));
    Ok(())
}

/// `build-ebpf --check`.
pub(crate) fn check() -> Result<()> {
    run(&Args { check: true })
}

/// Compiles and links the programs; returns the linked object.
fn compile(rust_src: &Path, linker: &Path) -> Result<Vec<u8>> {
    let target_dir = workspace::target().join("bpf");
    // The remapping below lists the registry's directories, so they have to be there.
    Cmd::cargo().args(["fetch", "--locked", "--quiet"]).run()?;
    let mut flags = vec![
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(), // BTF is made from it
        // Else aya-ebpf takes the architecture of the machine that builds.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
    ];
    flags.extend(remapped(rust_src)?);

    let mut cargo = Cmd::cargo();
    // What the caller's environment says about flags must not reach the object.
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        let reaches = ["RUSTFLAGS", "RUSTC", "CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"];
        if reaches.iter().any(|prefix| name.starts_with(prefix)) {
            cargo = cargo.env_remove(&key);
        }
    }
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .rustflags(&flags)
        .args(["build", "--locked", "--release", "--package", "sensor-ebpf", "--bin", BINARY])
        .args(["--features", "bpf", "-Zbuild-std=core", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .run()?;
    let linked = target_dir.join(TARGET).join("release").join(BINARY);
    fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))
}

/// `--remap-path-prefix` for every directory that differs between machines. The new names are of
/// directories that do not exist: LLVM would copy the source lines it finds there into the BTF.
fn remapped(rust_src: &Path) -> Result<Vec<String>> {
    let mut prefixes = vec![(workspace::root(), "/_/sensor")];
    prefixes.push((rust_src.to_owned(), "/_/rust-src"));
    prefixes.push((rust_src.canonicalize()?, "/_/rust-src"));
    let sources = cargo_home()?.join("registry/src");
    // One directory per registry; its name has a hash of where the registry is.
    for entry in fs::read_dir(&sources).with_context(|| format!("no {}", sources.display()))? {
        prefixes.push((entry?.path(), "/_/registry"));
    }
    // rustc takes the last that matches: a directory within another comes later.
    prefixes.sort_by_key(|(from, _)| from.as_os_str().len());
    prefixes.dedup();
    Ok(prefixes
        .into_iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect())
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    let home = env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}
