//! `fuzz`: libFuzzer on the stable toolchain.
//!
//! cargo-fuzz wants nightly for AddressSanitizer, which finds little in safe Rust; the coverage that
//! guides the fuzzer is an LLVM pass that stable rustc can be told to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::run::Cmd;
use crate::{time, ui, workspace};

/// The instrumentation cargo-fuzz uses, without the sanitizers.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "--cfg=fuzzing",
];

/// Options of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target, a file in fuzz/fuzz_targets; without it, all of them in turn
    name: Option<String>,
    /// How long each target runs
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = time::parse)]
    duration: Duration,
    /// List the targets
    #[arg(long)]
    list: bool,
}

/// Runs one target, or all.
pub(crate) fn run(args: &Args) -> Result<()> {
    let known = targets()?;
    if args.list {
        for name in known {
            ui::line(name);
        }
        return Ok(());
    }
    match &args.name {
        Some(name) if !known.contains(name) => {
            bail!("no fuzz target `{name}`: there are {}", known.join(", "))
        }
        Some(name) => each(std::slice::from_ref(name), args.duration),
        None => each(&known, args.duration),
    }
}

/// Runs every target for `duration`.
pub(crate) fn all(duration: Duration) -> Result<()> {
    each(&targets()?, duration)
}

/// The names of the targets, sorted.
fn targets() -> Result<Vec<String>> {
    let dir = home().join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("no {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        bail!("no targets in {}", dir.display());
    }
    names.sort();
    Ok(names)
}

fn each(names: &[String], duration: Duration) -> Result<()> {
    let host = host()?;
    let target_dir = workspace::target().join("fuzz");
    let mut build = Cmd::cargo()
        .rustflags(&FLAGS)
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(home().join("Cargo.toml"))
        // A target makes cargo keep the flags from build scripts and procedural macros.
        .args(["--target", &host, "--target-dir"])
        .arg(&target_dir);
    for name in names {
        build = build.args(["--bin", name]);
    }
    build.run()?;
    for name in names {
        let binary = target_dir.join(&host).join("release").join(name);
        one(name, &binary, duration)?;
    }
    Ok(())
}

/// Runs the fuzzer: what it learns goes to the target directory, what is checked in is only read.
fn one(name: &str, binary: &Path, duration: Duration) -> Result<()> {
    let corpus = workspace::target().join("fuzz/corpus").join(name);
    let crashes = workspace::target().join("fuzz/crashes").join(name);
    for dir in [&corpus, &crashes] {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let mut fuzzer = Cmd::new(binary)
        .arg(format!("-max_total_time={}", duration.as_secs().max(1)))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"])
        .args(["-print_final_stats=1"])
        .arg(&corpus);
    let seeds = home().join("seeds").join(name);
    if seeds.is_dir() {
        fuzzer = fuzzer.arg(seeds);
    }
    fuzzer
        .run()
        .with_context(|| format!("{name} found something: {} has the input", crashes.display()))
}

fn home() -> PathBuf {
    workspace::root().join("fuzz")
}

fn host() -> Result<String> {
    let said = Cmd::new("rustc").arg("-vV").read()?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` has no host line")?.to_owned())
}
