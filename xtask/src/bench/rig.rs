//! What the measurements are made with: the sensor, a server, load, and the kernel's figures. Every
//! process started here ends with ours, and is waited for only so long.

pub(super) mod child;
pub(super) mod helper;
pub(super) mod load;
pub(super) mod logger;
pub(super) mod procfs;
pub(super) mod sensor;
pub(super) mod server;
pub(super) mod tracer;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::run::which;
use crate::workspace;

/// Programs, found once.
pub(super) struct Tools {
    pub(super) sensor: PathBuf,
    pub(super) sensor_load: PathBuf,
    pub(super) sensor_bench: PathBuf,
}

impl Tools {
    pub(super) fn find(sensor: PathBuf) -> Result<Self> {
        Ok(Self {
            sensor,
            sensor_load: workspace::release_binary("sensor-load"),
            sensor_bench: workspace::release_binary("sensor-bench"),
        })
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn nginx() -> Result<PathBuf> {
        installed("nginx")
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn go() -> Result<PathBuf> {
        installed("go")
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn nghttpd() -> Result<PathBuf> {
        installed("nghttpd")
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn h2load() -> Result<PathBuf> {
        installed("h2load")
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn wrk() -> Result<PathBuf> {
        installed("wrk")
    }
}

/// Daemons are in /usr/sbin, and Go where its own archive puts it: neither is on everyone's PATH.
fn installed(name: &str) -> Result<PathBuf> {
    let elsewhere = ["/usr/sbin", "/usr/local/go/bin"].map(|dir| Path::new(dir).join(name));
    which(name).or_else(|| elsewhere.into_iter().find(|file| file.is_file())).with_context(|| {
        format!("there is no `{name}`: `cargo xtask test --only provision` installs it on Debian")
    })
}
