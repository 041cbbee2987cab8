//! Where and when a recording was made.

use std::path::Path;

use sensor_ebpf::abi::ABI_VERSION;

use super::codec::{Malformed, Put as _, Take};
use super::older::ABI_OLDER;

/// Where and when a recording was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`ABI_VERSION`] of the records.
    pub abi_version: u32,
    /// The machine that made them is big-endian.
    pub big_endian: bool,
    /// The machine's architecture, as Rust names it (`x86_64`, `aarch64`).
    pub architecture: String,
    /// The kernel's release (`uname -r`); empty if it could not be read.
    pub kernel_release: String,
    /// The host's name; empty if it could not be read.
    pub host_name: String,
    /// Nanoseconds since the Unix epoch when the recording began.
    pub started_unix_ns: u64,
}

impl Header {
    /// Of a recording that begins now, on this machine.
    pub fn here() -> Self {
        let read = |path| {
            std::fs::read_to_string(Path::new("/proc/sys/kernel").join(path))
                .map(|text| text.trim_end().to_owned())
                .unwrap_or_default()
        };
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            abi_version: ABI_VERSION,
            big_endian: cfg!(target_endian = "big"),
            architecture: std::env::consts::ARCH.to_owned(),
            kernel_release: read("osrelease"),
            host_name: read("hostname"),
            started_unix_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Self {
            abi_version,
            big_endian,
            architecture,
            kernel_release,
            host_name,
            started_unix_ns,
        } = self;
        let mut body = Vec::new();
        body.put_u32(*abi_version);
        body.put_u32(u32::from(*big_endian));
        body.put_u64(*started_unix_ns);
        body.put_text(architecture);
        body.put_text(kernel_release);
        body.put_text(host_name);
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut body = Take(body);
        let header = Self {
            abi_version: body.u32()?,
            big_endian: match body.u32()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed),
            },
            started_unix_ns: body.u64()?,
            architecture: body.text()?.to_owned(),
            kernel_release: body.text()?.to_owned(),
            host_name: body.text()?.to_owned(),
        };
        body.finish()?;
        Ok(header)
    }

    /// What keeps this build from reading the records.
    pub(super) fn unreadable(&self) -> Option<String> {
        if ![ABI_OLDER, ABI_VERSION].contains(&self.abi_version) {
            return Some(format!(
                "its records are of version {}, and this build reads versions {ABI_OLDER} and \
                 {ABI_VERSION}; replay it with the release of sensor that made it",
                self.abi_version
            ));
        }
        if self.big_endian != cfg!(target_endian = "big") {
            let order = if self.big_endian { "big-endian" } else { "little-endian" };
            return Some(format!(
                "it was made on a {order} machine ({}); replay it on one",
                self.architecture
            ));
        }
        None
    }
}
