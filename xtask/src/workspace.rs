//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::Cmd;

/// The root of the workspace. `cargo run` says where this package is *now*; the path it was compiled
/// in serves when the binary is started directly.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map(Path::to_owned).unwrap_or(package)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where the chores install the tools they need, each at a pinned version.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// Builds the binaries of the release profile: the sensor, and what tests, demo and bench run beside it. Always all of
/// them: crates that both need have more features where both are built, so each by itself would be built twice.
pub(crate) fn build() -> Result<()> {
    Cmd::cargo()
        .args(["build", "--locked", "--release", "--bins"])
        .args(["--package", "sensor-user", "--package", "sensor-tests"])
        .run()
}

/// One of them.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}
