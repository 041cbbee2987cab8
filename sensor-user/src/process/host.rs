//! The host that the processes run on.

use std::fs;
use std::path::Path;

use crate::model::Attribute;

/// What is known of the host
/// (<https://opentelemetry.io/docs/specs/semconv/resource/host/>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `host.name`: its name in the UTS namespace of the sensor.
    pub name: Option<String>,
    /// `host.id`: `machine-id(5)`.
    pub id: Option<String>,
}

impl Host {
    /// Reads what `root`, the root directory of the host (`/`), says of it.
    pub fn read(root: &Path) -> Self {
        let line = |path: &str| {
            let text = fs::read_to_string(root.join(path)).ok()?;
            let line = text.lines().next()?.trim();
            (!line.is_empty()).then(|| line.to_owned())
        };
        // "uninitialized" is what machine-id(5) holds during the first boot.
        let id = |path| line(path).filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Self {
            name: line("proc/sys/kernel/hostname").filter(|name| name != "(none)"),
            id: id("etc/machine-id").or_else(|| id("var/lib/dbus/machine-id")),
        }
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute> + '_ {
        let Self { name, id } = self;
        // The conventions' names for what Rust calls otherwise.
        let architecture = match std::env::consts::ARCH {
            "x86_64" => Some("amd64"),
            "aarch64" => Some("arm64"),
            "arm" => Some("arm32"),
            "x86" => Some("x86"),
            "s390x" => Some("s390x"),
            "powerpc64" => Some("ppc64"),
            _ => None,
        };
        let name = name.iter().map(|name| Attribute::new("host.name", name.clone()));
        let id = id.iter().map(|id| Attribute::new("host.id", id.clone()));
        let architecture = architecture.map(|arch| Attribute::new("host.arch", arch));
        name.chain(id).chain(architecture).chain([Attribute::new("os.type", "linux")])
    }
}

/// How far the machine's time zone (`TZ`, `/etc/localtime`) is ahead of UTC at that time, in seconds.
pub fn utc_offset(unix_seconds: u64) -> i32 {
    let Ok(time) = libc::time_t::try_from(unix_seconds) else {
        return 0;
    };
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live values of the right types, and `localtime_r` keeps neither.
    // It reads `TZ` from the environment, which this program never changes.
    let filled = unsafe { libc::localtime_r(&raw const time, parts.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: `localtime_r` filled it; and all zeroes is a valid `tm` anyway.
    let parts = unsafe { parts.assume_init() };
    i32::try_from(parts.tm_gmtoff).unwrap_or(0)
}
