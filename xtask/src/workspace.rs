//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

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

/// A binary of the release profile.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}
