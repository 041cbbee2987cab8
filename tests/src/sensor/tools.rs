//! The programs that are traced, where this machine has them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::skip;

/// Whether the sensor can trace here; says `SKIPPED` if not.
#[must_use]
pub fn can_trace(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        skip(test, "tracing needs root: sudo -E env PATH=\"$PATH\" cargo xtask test --only e2e");
        return false;
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        skip(test, "this kernel has no BTF (/sys/kernel/btf/vmlinux)");
        return false;
    }
    true
}

/// The path of a program; says `SKIPPED` and why if it is not installed.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        skip(name, "it is not installed; `cargo xtask test --only provision` does it on Debian");
    }
    found
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not everybody's PATH has what administrators run.
    let places =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/go/bin".into()]);
    places.map(|place| place.join(name)).find(|path| path.is_file())
}

/// The Python interpreter itself: `python3` may be a script of a version manager, which starts many
/// processes before it becomes Python.
#[must_use]
pub fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let mut ask = Command::new(find("python3")?);
        let output = ask.args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| path.trim_end().into())
    });
    if found.is_none() {
        skip(
            "python3",
            "it is not installed; `cargo xtask test --only provision` does it on Debian",
        );
    }
    found.clone()
}

/// Builds a program of the module in `tests/workloads/go`, which needs nothing but Go itself.
#[must_use]
pub fn go_workload(package: &str) -> Option<PathBuf> {
    build_go("go", package, package, &[], |command| command.env("GOTOOLCHAIN", "local"))
}

/// The same under another name, with these flags for `go build`.
#[must_use]
pub fn go_workload_with(package: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
    build_go("go", package, name, flags, |command| command.env("GOTOOLCHAIN", "local"))
}

/// Builds a program of the module in `tests/workloads/grpc-go`, which needs what its `go.sum` names.
#[must_use]
pub fn grpc_go_workload(package: &str) -> Option<PathBuf> {
    build_go("grpc-go", package, package, &[], |command| command)
}

/// The same under another name, with these flags for `go build`.
#[must_use]
pub fn grpc_go_workload_with(package: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
    build_go("grpc-go", package, name, flags, |command| command)
}

/// Builds a program of the module in `tests/workloads/traces-go`, which needs what its `go.sum` names.
#[must_use]
pub fn traces_go_workload(package: &str) -> Option<PathBuf> {
    build_go("traces-go", package, package, &[], |command| command)
}

/// Builds a program of the module in `tests/workloads/loggers-go`, which needs what its `go.sum` names.
#[must_use]
pub fn loggers_go_workload(package: &str) -> Option<PathBuf> {
    build_go("loggers-go", package, package, &[], |command| command)
}

fn build_go(
    module: &str,
    package: &str,
    name: &str,
    flags: &[&str],
    environment: fn(&mut Command) -> &mut Command,
) -> Option<PathBuf> {
    /// Tests run side by side: one builds, the others find it built.
    static BUILDING: Mutex<()> = Mutex::new(());
    let go = tool("go")?;
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.parent().unwrap_or(root).join("target/workloads").join(module).join(name);
    let mut command = Command::new(go);
    command
        .current_dir(root.join("workloads").join(module))
        .env("GOFLAGS", "-mod=readonly")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .args(flags)
        .arg(format!("./{package}"))
        .stdin(Stdio::null());
    match environment(&mut command).output() {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("tests/workloads/{module}/{package}: {said}")
        }
        Err(error) => panic!("go: {error}"),
    }
}
