//! Whether this process may attach uprobes.
//!
//! Linux 5.8 and later ask for `CAP_PERFMON`; those since the middle of 2025 for `CAP_SYS_ADMIN` again (`perf_uprobe_event_init`,
//! kernel/events/core.c), also in stable releases. No version number tells which, so one is attached on trial.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::fs::MemfdFlags;

/// Where the kernel says by which number uprobes are known.
const TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";

/// include/uapi/linux/perf_event.h
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// `struct perf_event_attr` as far as its second version has it (`PERF_ATTR_SIZE_VER1`,
/// include/uapi/linux/perf_event.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    /// Of a uprobe: the address of its file's path.
    path: u64,
    /// Of a uprobe: the offset in its file.
    offset: u64,
}

/// Attaches a uprobe to a file in memory that nothing runs, and detaches it.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] when this process may not; anything else when it could not be tried.
pub fn try_one() -> io::Result<()> {
    let kind = fs::read_to_string(TYPE)?.trim().parse().map_err(io::Error::other)?;
    let file = File::from(rustix::fs::memfd_create("uprobe", MemfdFlags::CLOEXEC)?);
    file.set_len(4096)?;
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let size = size_of::<Attributes>();
    let attributes = Attributes {
        kind,
        size: u32::try_from(size).map_err(io::Error::other)?,
        path: path.as_ptr().expose_provenance() as u64,
        ..Attributes::default()
    };
    let (any_process, first_cpu, no_group) = (-1, 0, -1);
    // SAFETY: the structure is as long as it says, and the path that it names is terminated and outlives the call.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            any_process,
            first_cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    let event = i32::try_from(event).map_err(io::Error::other)?;
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nothing else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(event) });
    Ok(())
}
