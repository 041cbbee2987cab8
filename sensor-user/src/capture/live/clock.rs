//! The kernel's clocks.

use std::io;

use crate::capture::CaptureError;
use crate::capture::event::{ClockSync, Monotonic};

/// Readings tried; the one that was least disturbed counts.
const TRIES: u32 = 3;

/// Reads the wall clock between two readings of the monotonic one, and takes their middle.
pub(super) fn now() -> Result<ClockSync, CaptureError> {
    let mut best: Option<(u64, ClockSync)> = None;
    for _ in 0..TRIES {
        let before = read(libc::CLOCK_MONOTONIC)?;
        let unix_ns = read(libc::CLOCK_REALTIME)?;
        let after = read(libc::CLOCK_MONOTONIC)?;
        let width = after.saturating_sub(before);
        if best.is_none_or(|(least, _)| width < least) {
            best = Some((width, ClockSync { monotonic: Monotonic(before + width / 2), unix_ns }));
        }
    }
    best.map(|(_, sync)| sync).ok_or_else(|| CaptureError("no clock could be read".into()))
}

/// The monotonic clock, by which the kernel stamps its records.
pub(super) fn monotonic() -> Result<Monotonic, CaptureError> {
    read(libc::CLOCK_MONOTONIC).map(Monotonic)
}

fn read(clock: libc::clockid_t) -> Result<u64, CaptureError> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        let error = io::Error::last_os_error();
        return Err(CaptureError(format!("clock {clock} cannot be read: {error}")));
    }
    Ok(u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0))
}
