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
//! - what the process's own `OTEL_RESOURCE_ATTRIBUTES` add. They win over what is derived here,
//!   except for `process.*` and `host.*`, which are observed.
//!
//! Command lines are left out: they may hold secrets.

use std::path::PathBuf;

mod attributes;
mod container;
mod directory;
pub mod golang;
mod host;
mod identify;
mod resource;
pub mod selection;
mod service;

pub use host::{Host, utc_offset};
pub use identify::{Identified, Identifier, copied};
pub use resource::{Facts, Identity, resource};
pub use selection::{
    ProcessFacts, Selection, SelectionError, executable, initial_selection, is_selected,
};

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
