//! The main loop: when to poll, when to rest, when to end. What is polled, and what becomes of it,
//! is the [`Work`]'s.

use std::thread;
use std::time::{Duration, Instant};

use crate::capture::live::BATCH;
use crate::capture::{CaptureError, Progress};
use crate::system::notify::ServiceManager;

use super::stop::Stop;

/// Shortest rest when nothing is there.
const REST_MIN: Duration = Duration::from_millis(1);

/// Fewer than this at once, and the loop has caught up.
const FEW: usize = BATCH;

/// Rest when it has caught up with a source that is busy: events come in batches then, and the
/// loop does not take a core from those it watches. At 400,000 events a second this is 1,600
/// events, less than a megabyte of the ring.
const REST_BUSY: Duration = Duration::from_millis(4);

/// Longest rest. Of the 100 ms in which a quiet service's span has to show, this leaves 75 to the
/// kernel's side and the terminal; it costs 40 wake-ups a second.
const REST_MAX: Duration = Duration::from_millis(25);

/// How often [`Work::tick`] is called.
const TICK: Duration = Duration::from_secs(1);

/// What the loop drives.
pub(super) trait Work {
    /// Takes what is there now, and handles it. Does not wait for more.
    ///
    /// # Errors
    /// When it cannot go on.
    fn poll(&mut self) -> Result<Progress, CaptureError>;

    /// The end was asked for: no more is to come than what is there already.
    fn stop(&mut self);

    /// What is still there is left: the time for it is over.
    fn abandon(&mut self) {}

    /// Called about once a second, and once at the end.
    ///
    /// # Errors
    /// When it cannot go on.
    fn tick(&mut self) -> Result<(), CaptureError>;
}

/// When the loop ends by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After this long.
    pub(super) duration: Option<Duration>,
    /// How long, after the end was asked for, what is still there may be taken; zero leaves it.
    pub(super) drain: Duration,
}

/// Runs until there is nothing more to come, the time is up, or `stop` asks for the end; then takes
/// what is still there. The service manager hears from this loop itself, so that its watchdog notices when the
/// loop is stuck.
///
/// # Errors
/// The work's.
pub(super) fn drive(
    work: &mut dyn Work,
    stop: &Stop,
    limits: Limits,
    manager: &mut ServiceManager,
) -> Result<(), CaptureError> {
    manager.ready();
    let polled = poll_until(work, stop, limits.duration, manager);
    manager.stopping();
    let result = match polled {
        Ok(Ended::Early) => {
            work.stop();
            drain(work, limits.drain)
        }
        Ok(Ended::Finished) => Ok(()),
        Err(error) => Err(error),
    };
    // The last tick is due after an error too: what was counted has to be shown.
    let ticked = work.tick();
    result.and(ticked)
}

enum Ended {
    /// There will never be more.
    Finished,
    /// There may be more.
    Early,
}

fn poll_until(
    work: &mut dyn Work,
    stop: &Stop,
    duration: Option<Duration>,
    manager: &mut ServiceManager,
) -> Result<Ended, CaptureError> {
    let started = Instant::now();
    let mut next_tick = started;
    let mut rest = REST_MIN;
    loop {
        let now = Instant::now();
        let left = duration.map(|duration| duration.saturating_sub(now - started));
        if stop.requested() || left == Some(Duration::ZERO) {
            return Ok(Ended::Early);
        }
        if now >= next_tick {
            next_tick = now + TICK;
            work.tick()?;
            manager.alive();
        }
        match work.poll()? {
            Progress::Delivered(n) => {
                rest = REST_MIN;
                if n < FEW {
                    thread::sleep(left.map_or(REST_BUSY, |left| left.min(REST_BUSY)));
                } else {
                    // Those who wait for this core are served between batches.
                    thread::yield_now();
                }
            }
            Progress::Idle => {
                thread::sleep(left.map_or(rest, |left| left.min(rest)));
                rest = (rest * 2).min(REST_MAX);
            }
            Progress::Finished => return Ok(Ended::Finished),
        }
    }
}

/// Takes what is there, for at most `limit`: a ring may hold more than that.
fn drain(work: &mut dyn Work, limit: Duration) -> Result<(), CaptureError> {
    let started = Instant::now();
    while started.elapsed() < limit {
        match work.poll()? {
            Progress::Delivered(_) => {}
            Progress::Idle | Progress::Finished => return Ok(()),
        }
    }
    work.abandon();
    Ok(())
}

#[cfg(test)]
mod tests;
