//! What the sensor says about itself, on standard error.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use super::footer::Screen;

/// Starts logging by directives that `config` has checked. A second call changes nothing.
pub(super) fn start(directives: &str, screen: Screen) {
    let terminal = io::stderr().is_terminal();
    let writer = move || Stderr { erase: terminal && screen.footer_is_shown() };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_ansi(terminal)
        .with_writer(writer)
        .try_init();
}

/// Standard error, below which a footer may stand: the message takes its place, and the footer is
/// drawn again with the next refresh.
struct Stderr {
    erase: bool,
}

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.erase) {
            io::stderr().write_all(super::footer::ERASE.as_bytes())?;
        }
        io::stderr().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
