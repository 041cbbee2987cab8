//! When to end: a signal, or something within that cannot go on.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a second interrupt: 128 + SIGINT, as shells have it.
const INTERRUPTED_TWICE: i32 = 130;

/// A request to end in good order. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub(super) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The end was asked for.
    pub(super) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// SIGINT and SIGTERM ask for the end from now on; a SIGINT after that ends the process at
    /// once, whatever it is doing.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(super) fn on_signals(&self, runtime: &Handle) -> io::Result<()> {
        let _context = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = self.clone();
        runtime.spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.request();
            interrupt.recv().await;
            process::exit(INTERRUPTED_TWICE);
        });
        Ok(())
    }
}
