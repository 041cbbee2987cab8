//! Text that is safe and short enough for a terminal.

pub(super) use crate::export::text::{clean, cut};

/// Three digits, or all of them above a second: `812ns`, `4.20µs`, `31.5ms`, `117ms`, `1.25s`,
/// `2m03s`. Cut, not rounded, so that it never claims more than there was.
pub(super) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => three(ns, 1_000, "µs"),
        1_000_000..1_000_000_000 => three(ns, 1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => three(ns, 1_000_000_000, "s"),
        _ => {
            let seconds = ns / 1_000_000_000;
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

fn three(ns: u64, divisor: u64, unit: &str) -> String {
    let whole = ns / divisor;
    let rest = ns % divisor;
    match whole {
        0..10 => format!("{whole}.{:02}{unit}", rest * 100 / divisor),
        10..100 => format!("{whole}.{}{unit}", rest * 10 / divisor),
        _ => format!("{whole}{unit}"),
    }
}
