//! The last line of a terminal: what goes on, and why nothing is shown.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::export::terminal;

use super::quiet;
use super::view::{Counters, View};

/// Back to the first column, and erase the line (ECMA-48: CR, EL 2).
pub(super) const ERASE: &str = "\r\x1b[2K";

/// With nothing shown for this long, say why.
const QUIET: Duration = Duration::from_secs(5);

/// Width where the terminal does not tell.
const WIDTH: usize = 80;

/// Whether a footer stands on the terminal now, for others that write to it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen(Arc<AtomicBool>);

impl Screen {
    pub(super) fn footer_is_shown(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, shown: bool) {
        self.0.store(shown, Ordering::Relaxed);
    }
}

/// Knows how long nothing has been shown, and why.
pub(super) struct Watch {
    view: Arc<View>,
    filtered: bool,
    started: Instant,
    /// Something was shown since the last look.
    shown: bool,
    shown_at: Instant,
    /// The counters when something was last shown.
    base: Counters,
    looked_at: Instant,
    now: Counters,
    spans_per_second: u64,
}

impl Watch {
    pub(super) fn new(view: Arc<View>, filtered: bool) -> Self {
        let now = Instant::now();
        Self {
            view,
            filtered,
            started: now,
            shown: false,
            shown_at: now,
            base: Counters::default(),
            looked_at: now,
            now: Counters::default(),
            spans_per_second: 0,
        }
    }

    /// Something was shown.
    pub(super) fn note_shown(&mut self) {
        self.shown = true;
    }

    /// Reads the counters. Worth doing about once a second.
    pub(super) fn look(&mut self) {
        let (now, counters) = (Instant::now(), self.view.counters());
        let spans = counters.since(&self.now).get("exchanges.spans");
        let milliseconds = u64::try_from((now - self.looked_at).as_millis()).unwrap_or(u64::MAX);
        self.spans_per_second = spans * 1000 / milliseconds.max(1);
        (self.now, self.looked_at) = (counters, now);
        if std::mem::take(&mut self.shown) {
            self.shown_at = now;
            self.base = self.now.clone();
        }
    }

    /// Why nothing has been shown for a while.
    pub(super) fn quiet(&self) -> Option<String> {
        let quiet = self.looked_at - self.shown_at;
        (quiet >= QUIET).then(|| {
            let why = quiet::why(&self.now.since(&self.base), &self.now, self.filtered);
            format!("nothing for {} s: {why}", quiet.as_secs())
        })
    }

    fn line(&self) -> String {
        let elapsed = self.looked_at - self.started;
        line(&self.now, self.spans_per_second, elapsed, self.quiet().as_deref())
    }
}

/// `0:35 · 12/s · in flight 3 · connections 42 · … · lost 3 (…)`; with nothing shown, why comes first:
/// the end is what a narrow terminal cuts.
fn line(counters: &Counters, per_second: u64, elapsed: Duration, quiet: Option<&str>) -> String {
    let seconds = elapsed.as_secs();
    let mut parts = vec![format!("{}:{:02}", seconds / 60, seconds % 60)];
    match quiet {
        Some(quiet) => parts.push(quiet.to_owned()),
        None => {
            parts.push(format!("{per_second} spans/s"));
            parts.push(format!("in flight {}", counters.get("exchanges.open")));
        }
    }
    parts.push(terminal::footer(counters.iter(), None));
    // The others are in the footer proper.
    let rest = counters.losses().into_iter().filter(|(name, _)| !name.contains(".lost"));
    parts.extend(rest.map(|(name, value)| format!("{name} {value}")));
    parts.join(" · ")
}

/// At most `width` columns, so that it stays on one line. Each character here takes one.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{kept}...")
}

/// The footer itself. Whoever writes to the terminal erases it first, and draws it after.
pub(super) struct Footer {
    screen: Screen,
}

impl Footer {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen }
    }

    /// # Errors
    /// The terminal's.
    pub(super) fn erase(&self, out: &mut impl Write) -> io::Result<()> {
        if self.screen.footer_is_shown() {
            self.screen.set(false);
            out.write_all(ERASE.as_bytes())?;
        }
        Ok(())
    }

    /// # Errors
    /// The terminal's.
    pub(super) fn draw(&self, watch: &Watch, out: &mut impl Write) -> io::Result<()> {
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0.into());
        // The last column stays free: a terminal may wrap once it is filled.
        let text = fit(&watch.line(), width.saturating_sub(1));
        write!(out, "{ERASE}\x1b[2m{text}\x1b[0m")?;
        self.screen.set(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: &[(&str, u64)]) -> Counters {
        Counters(values.iter().map(|&(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn the_line_tells_what_goes_on() {
        let counters = counters(&[
            ("exchanges.seen", 131),
            ("exchanges.spans", 128),
            ("connections.seen", 42),
            ("exchanges.open", 3),
        ]);
        let line = line(&counters, 12, Duration::from_secs(95), None);
        assert!(line.starts_with("1:35 · 12 spans/s · in flight 3 · "), "{line}");
        for part in ["connections 42", "captured 131", "spans 128", "lost 0"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn losses_are_named_and_the_reason_for_nothing_comes_first() {
        let counters =
            counters(&[("exchanges.lost.gap", 2), ("kernel.ring_full", 7), ("kernel.records", 9)]);
        let line = line(&counters, 0, Duration::ZERO, Some("nothing for 5 s: x"));
        assert!(line.starts_with("0:00 · nothing for 5 s: x · "), "{line}");
        assert!(line.contains("gap 2") && line.ends_with("kernel.ring_full 7"), "{line}");
        assert!(!line.contains("kernel.records"), "{line}");
    }

    #[test]
    fn a_line_never_wraps() {
        assert_eq!(fit("0123456789", 10), "0123456789");
        assert_eq!(fit("0123456789a", 10), "0123456...");
        assert_eq!(fit("0123", 0), "...");
    }

    #[test]
    fn quiet_is_said_after_a_while_and_ends_with_a_span() {
        let metrics = Arc::new(crate::metrics::Metrics::default());
        let mut watch = Watch::new(Arc::new(View::new(metrics)), true);
        watch.look();
        assert_eq!(watch.quiet(), None);
        watch.shown_at -= QUIET;
        let quiet = watch.quiet().expect("five seconds have passed");
        assert!(quiet.starts_with("nothing for 5 s: nothing captured"), "{quiet}");
        watch.note_shown();
        watch.look();
        assert_eq!(watch.quiet(), None);
    }
}
