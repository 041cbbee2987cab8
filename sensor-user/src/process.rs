//! Who a process is: the [`Resource`](crate::model::Resource) that its spans belong to, and whether it is to be traced.
//!
//! [`resource()`] is pure: [`Facts`] in, [`Identity`] out. [`Identifier`] gathers the facts from
//! `/proc`, or from an exec record, so that processes that end within milliseconds are still named.
//!
//! What is told, by OpenTelemetry's semantic conventions (unknown is absent):
//!
//! - `service.name`, see [`resource()`];
//! - `process.pid` and `process.parent_pid` in the *host's* PID namespace, which is where an
//!   operator looks for them; `process.executable.path` as the process's own mount namespace has
//!   it; `process.executable.name`; `process.runtime.name` where the executable leaves no doubt;
//! - `host.name`, `host.id`, `host.arch`, `os.type`;
//! - `container.id` and `k8s.pod.uid` from the cgroup's path;
//! - what the process's own `OTEL_RESOURCE_ATTRIBUTES` add, as far as that is believed ([`Trust`]): it
//!   never replaces what is observed, and the resource says that something in it is declared
//!   ([`IDENTITY`]).
//!
//! Command lines are left out: they may hold secrets.

use std::path::PathBuf;

mod attributes;
mod container;
mod declared;
mod directory;
pub mod elf;
mod exporter;
pub mod golang;
mod host;
mod identify;
mod resource;
pub mod selection;
mod service;

pub use declared::{DECLARED, IDENTITY};
pub(crate) use directory::Directory;
pub use directory::{Stat, stat};
pub use host::{Host, utc_offset};
pub use identify::{Identified, Identifier, copied};
pub use resource::{Facts, Identity, resource};
pub use selection::{
    ProcessFacts, Selection, SelectionError, executable, initial_selection, is_selected,
};

/// How far a process is believed in what it declares of itself (`OTEL_SERVICE_NAME`,
/// `OTEL_RESOURCE_ATTRIBUTES`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Trust {
    /// In nothing: its name is that of its program.
    Off,
    /// In its name, and in all that only it can know; not in where it runs.
    #[default]
    Service,
    /// In that too, where nothing is observed: containers, pods and namespaces become claims.
    All,
}

/// The most that is taken of a process's environment, in bytes.
pub const ENVIRONMENT_MAX: u64 = 1024 * 1024;

/// The most that is taken of a process's arguments, in bytes (Java class paths are long).
pub const ARGUMENTS_MAX: u64 = 256 * 1024;

/// The longest `OTEL_RESOURCE_ATTRIBUTES` that is honoured, in bytes; a longer one is ignored as a
/// malformed one is. Bounds the size of a [`crate::model::Resource`].
pub const ATTRIBUTES_MAX: usize = 16 * 1024;

/// The most attributes that `OTEL_RESOURCE_ATTRIBUTES` may have (OpenTelemetry's own default limit).
pub const ATTRIBUTES_COUNT_MAX: usize = 128;

/// The longest text of an attribute that is derived here, in bytes (`PATH_MAX`).
pub const TEXT_MAX: usize = 4096;

/// Why a process cannot be identified.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ProcessError {
    /// The process's directory in `/proc`.
    pub path: PathBuf,
    /// What the system said; "not found" when the process has ended.
    pub source: std::io::Error,
}
