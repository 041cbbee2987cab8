//! What workloads need from PyPI, npm and Maven Central: fetched once, below `target/workloads`.

#![expect(clippy::panic, reason = "this is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::source;
use crate::sensor::{python, tool};

/// The directory with what `tests/workloads/{name}/requirements.txt` names, for `PYTHONPATH`; none where there
/// is no Python.
///
/// # Panics
/// When it cannot be had.
#[must_use]
pub fn python_packages(name: &str) -> Option<PathBuf> {
    let mut command = Command::new(python()?);
    Some(packages(name, &["requirements.txt"], |directory| {
        command
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:", "--upgrade", "--target"])
            .arg(directory)
            .args(["-r", "requirements.txt"]);
        command
    }))
}

/// The directory with what `tests/workloads/{name}/package-lock.json` names, for `NODE_PATH`; none where there is
/// no npm.
///
/// # Panics
/// When it cannot be had.
#[must_use]
pub fn npm_packages(name: &str) -> Option<PathBuf> {
    let mut command = Command::new(tool("npm")?);
    let directory = packages(name, &["package.json", "package-lock.json"], |_| {
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        command
    });
    Some(directory.join("node_modules"))
}

/// The class path of `tests/workloads/{name}/{class}.java`, compiled, with the libraries that `pom.xml` there names;
/// none where there is no JDK or no Maven.
///
/// # Panics
/// When it cannot be had.
#[must_use]
pub fn java_classes(name: &str, class: &str) -> Option<String> {
    tool("javac")?;
    let mut command = Command::new(tool("mvn")?);
    let source = format!("{class}.java");
    let directory = packages(name, &["pom.xml", &source], |directory| {
        command
            .args(["--quiet", "--batch-mode", "--strict-checksums"])
            .arg(format!("-Dmaven.repo.local={}", directory.with_file_name("maven").display()))
            .args(["dependency:copy-dependencies", "compiler:compile"]);
        command
    });
    Some(format!("{0}/target/classes:{0}/jars/*", directory.display()))
}

/// The program of the workspace of its own in `tests/workloads/{name}`, built.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn cargo_program(name: &str, program: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.parent().unwrap_or(root).join("target/workloads").join(name);
    let mut command = Command::new(cargo);
    // It is not to be built as what runs this was.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(variable);
    }
    command.args(["build", "--quiet", "--locked", "--manifest-path"]);
    command.arg(source(name).join("Cargo.toml")).arg("--target-dir").arg(&directory);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => directory.join("debug").join(program),
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// The class path of `tests/workloads/{name}/{class}.java`, compiled, which needs nothing but the JDK; none where
/// there is none.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn jdk_classes(name: &str, class: &str) -> Option<PathBuf> {
    let mut command = Command::new(tool("javac")?);
    let source = format!("{class}.java");
    Some(packages(name, &[&source], |_| {
        command.arg(&source);
        command
    }))
}

/// Runs `command` in the directory of these packages, unless that was done with the same `files`.
fn packages(name: &str, files: &[&str], command: impl FnOnce(&Path) -> Command) -> PathBuf {
    /// Tests run side by side: one fetches, the others find it there.
    static FETCHING: Mutex<()> = Mutex::new(());
    let _fetching = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.parent().unwrap_or(root).join("target/workloads").join(name);
    let read = |path: PathBuf| fs::read(path).unwrap_or_default();
    let wanted: Vec<u8> = files.iter().flat_map(|file| read(source(name).join(file))).collect();
    let done = directory.join("done");
    if read(done.clone()) == wanted {
        return directory;
    }
    let copied = fs::create_dir_all(&directory).and_then(|()| {
        files.iter().try_for_each(|file| {
            fs::copy(source(name).join(file), directory.join(file)).map(|_| ())
        })
    });
    if let Err(error) = copied {
        panic!("{}: {error}", directory.display());
    }
    let mut command = command(&directory);
    match command.current_dir(&directory).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            // Maven says what is wrong on its standard output.
            let said = [output.stdout, output.stderr].concat();
            panic!("{command:?}: {}", String::from_utf8_lossy(&said))
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
    if let Err(error) = fs::write(&done, wanted) {
        panic!("{}: {error}", done.display());
    }
    directory
}
