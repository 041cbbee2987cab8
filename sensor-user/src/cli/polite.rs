//! The sensor comes after those it watches.

/// Where both want the same core, a traced process at the usual niceness of 0 gets about nine tenths
/// of it. The sensor then falls behind, and counts what it loses; idle cores are its own as ever.
const NICENESS: libc::c_int = 10;

/// Steps back behind the services on this machine: this thread, and those it will start. A niceness
/// that was chosen (`nice -n 1 sensor run`) is kept.
pub(super) fn step_back() {
    // SAFETY: no memory is passed. A result of -1 can be a niceness as well; then one was chosen.
    unsafe {
        if libc::getpriority(libc::PRIO_PROCESS, 0) == 0
            && libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) != 0
        {
            tracing::debug!("niceness stays: {}", std::io::Error::last_os_error());
        }
    }
}
