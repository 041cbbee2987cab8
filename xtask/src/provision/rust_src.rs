//! The source of the standard library, for exactly this rustc: `core` for the BPF target is built
//! from it.
//!
//! It is not listed in a `rust-toolchain.toml`: then every cargo call of everyone would fail where
//! rustup cannot download, though only those who rebuild the BPF object need it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::{Cmd, which};
use crate::{ui, workspace};

/// Where Debian keeps newer Rust.
const SUITE: &str = "trixie-backports";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Sees to it that cargo's build-std finds its source, and returns where that is.
///
/// # Errors
/// Neither rustup nor Debian has it, or the sysroot cannot be written to.
pub(crate) fn rust_src() -> Result<PathBuf> {
    let sysroot = PathBuf::from(Cmd::new("rustc").args(["--print", "sysroot"]).read()?);
    let wanted = sysroot.join("lib/rustlib/src/rust");
    if is_source(&wanted) {
        ui::line(format_args!("rust-src: found {}", wanted.display()));
        return Ok(wanted);
    }
    if which("rustup").is_some() {
        match Cmd::new("rustup").args(["component", "add", "rust-src"]).run() {
            Ok(()) if is_source(&wanted) => {
                ui::line(format_args!("rust-src: added by rustup, {}", wanted.display()));
                return Ok(wanted);
            }
            Ok(()) => ui::line("rust-src: rustup did not put it into this rustc's sysroot"),
            Err(error) => ui::line(format_args!("rust-src: not from rustup: {error:#}")),
        }
    }
    let release = release()?;
    let source = from_debian(&release).with_context(|| {
        format!("no rust-src for rustc {release}: `rustup component add rust-src` is the usual way")
    })?;
    link(&source, &wanted)?;
    if !is_source(&wanted) {
        bail!("{} has no library/core after linking it", wanted.display());
    }
    ui::line(format_args!("rust-src: Debian's, linked as {}", wanted.display()));
    Ok(wanted)
}

fn is_source(dir: &Path) -> bool {
    dir.join("library/core/src/lib.rs").is_file()
}

/// `1.95.0`, from `rustc -vV`.
fn release() -> Result<String> {
    let said = Cmd::new("rustc").arg("-vV").read()?;
    let line = said.lines().find_map(|line| line.strip_prefix("release: "));
    Ok(line.context("`rustc -vV` has no release line")?.to_owned())
}

/// Downloads and unpacks Debian's package, without installing it and without touching the system's
/// package lists: everything is under the target directory.
fn from_debian(release: &str) -> Result<PathBuf> {
    let home = workspace::tools().join(format!("rust-src-{release}"));
    let source = home.join(format!("usr/src/rustc-{release}"));
    if is_source(&source) {
        ui::line(format_args!("rust-src: Debian's package is already at {}", source.display()));
        return Ok(source);
    }
    for program in ["apt-get", "dpkg"] {
        if which(program).is_none() {
            bail!("no {program} here to get Debian's package with");
        }
    }
    if !Path::new(KEYRING).is_file() {
        bail!("no {KEYRING}, which the package's signature is checked with");
    }
    let (lists, cache, debs) = (home.join("lists"), home.join("cache"), home.join("deb"));
    for dir in [lists.join("partial"), cache.join("archives/partial"), debs.clone()] {
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let list = home.join("sources.list");
    let entry = format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {SUITE} main\n");
    fs::write(&list, entry).with_context(|| format!("cannot write {}", list.display()))?;

    let apt = || {
        Cmd::new("apt-get")
            .arg("-q")
            .args(["-o", &format!("Dir::Etc::sourcelist={}", list.display())])
            .args(["-o", "Dir::Etc::sourceparts=-"])
            .args(["-o", &format!("Dir::State::lists={}", lists.display())])
            .args(["-o", &format!("Dir::Cache={}", cache.display())])
            .args(["-o", "APT::Sandbox::User=root"])
            .dir(&debs)
    };
    apt().arg("update").run()?;
    apt().args(["download", &format!("rust-src={release}*")]).run()?;
    let deb = fs::read_dir(&debs)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    Cmd::new("dpkg").arg("-x").arg(&deb).arg(&home).run()?;
    // 45 MB that nothing reads again.
    fs::remove_file(&deb)?;
    if !is_source(&source) {
        bail!("{} has no library/core", source.display());
    }
    Ok(source)
}

/// Puts `source` where cargo looks. Only a link of ours that leads nowhere is replaced.
fn link(source: &Path, wanted: &Path) -> Result<()> {
    if wanted.is_symlink() {
        fs::remove_file(wanted).with_context(|| format!("cannot replace {}", wanted.display()))?;
    }
    if let Some(parent) = wanted.parent() {
        fs::create_dir_all(parent).with_context(|| not_writable(parent))?;
    }
    symlink(source, wanted).with_context(|| not_writable(wanted))
}

fn not_writable(path: &Path) -> String {
    format!(
        "cannot write {}: the sysroot of this rustc is not yours; run the chore once as its owner, \
         or install Rust with rustup",
        path.display()
    )
}
