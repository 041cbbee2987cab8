//! Builds the backends with the Go toolchain.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::Unavailable;

/// Tests run side by side: one builds, the others find it built.
static BUILDING: Mutex<()> = Mutex::new(());

/// Builds `package` of the module in `tests/backends/{module}` and gives the program's path. Go
/// itself finds out whether anything is to be done.
pub(super) fn build(module: &str, package: &str) -> Result<PathBuf, Unavailable> {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let go = go().ok_or_else(|| {
        Unavailable(
            "there is no Go toolchain (PATH, /usr/local/go): install Go 1.26 or newer".to_owned(),
        )
    })?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.parent().unwrap_or(root).join("target/backends").join(module);
    let output = Command::new(go)
        .current_dir(root.join("backends").join(module))
        .args(["build", "-trimpath", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(package)
        .output()
        .map_err(|error| Unavailable(format!("cannot run go: {error}")))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Unavailable(format!("go cannot build tests/backends/{module}: {errors}")));
    }
    Ok(program)
}

fn go() -> Option<&'static str> {
    ["go", "/usr/local/go/bin/go"].into_iter().find(|go| {
        let version = Command::new(go).arg("version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}
