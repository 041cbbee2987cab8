//! What is counted now against what is kept.

use std::collections::BTreeSet;

use super::file::Figures;

/// What is to be said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within what it may be.
    Held,
    /// More than it may be.
    Grown,
    /// So much less that a growth back would go unnoticed.
    Fallen,
    /// Nothing is kept to hold it to.
    New,
    /// Kept, and not there any more.
    Gone,
    /// Not held to anything here: nothing is kept for this kernel.
    Unknown,
}

impl Verdict {
    /// Whether CI refuses it.
    pub(super) fn is_failure(self) -> bool {
        match self {
            Self::Grown | Self::New | Self::Gone => true,
            Self::Held | Self::Fallen | Self::Unknown => false,
        }
    }
}

/// A figure beside what it is held to.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    name: String,
    kept: Option<f64>,
    now: Option<f64>,
    pub(super) verdict: Verdict,
}

/// Compares a section with what is kept of it; `None` is one that need not be kept.
pub(super) fn section(kept: Option<&Figures>, now: &Figures, may_grow: f64) -> Vec<Line> {
    let none = Figures::new();
    let old = kept.unwrap_or(&none);
    let names: BTreeSet<_> = old.keys().chain(now.keys()).collect();
    let line = |name: &String| {
        let (old, now) = (old.get(name).copied(), now.get(name).copied());
        let verdict = match (old, now) {
            _ if kept.is_none() => Verdict::Unknown,
            (Some(old), Some(now)) => compare(old, now, may_grow),
            (None, _) => Verdict::New,
            (_, None) => Verdict::Gone,
        };
        Line { name: name.clone(), kept: old, now, verdict }
    };
    names.into_iter().map(line).collect()
}

fn compare(kept: f64, now: f64, may_grow: f64) -> Verdict {
    let share = may_grow / 100.0;
    if now > kept * (1.0 + share) {
        Verdict::Grown
    } else if now < kept * (1.0 - share) {
        Verdict::Fallen
    } else {
        Verdict::Held
    }
}

/// The section as lines of text.
pub(super) fn table(section: &str, lines: &[Line], may_grow: f64) -> String {
    let shown =
        |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let mut text = format!("[{section}]  may grow by {may_grow} %");
    for Line { name, kept, now, verdict } in lines {
        let change = match (kept, now) {
            (Some(kept), Some(now)) if *kept > 0.0 && now != kept => {
                format!("{:+.1} %", (now / kept - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        let word = match verdict {
            Verdict::Held => "",
            Verdict::Grown => "GROWN",
            Verdict::Fallen => "fallen: --accept keeps it",
            Verdict::New => "NEW: --accept keeps it",
            Verdict::Gone => "GONE: --accept forgets it",
            Verdict::Unknown => "nothing kept for this kernel: --accept adds it",
        };
        let line =
            format!("  {name:<22} {:>10} {:>10} {change:>9}  {word}", shown(*kept), shown(*now));
        text.push('\n');
        text.push_str(line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Figures, Verdict, section, table};

    fn figures(all: &[(&str, f64)]) -> Figures {
        all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn verdicts(kept: &[(&str, f64)], now: &[(&str, f64)], may_grow: f64) -> Vec<Verdict> {
        let lines = section(Some(&figures(kept)), &figures(now), may_grow);
        lines.into_iter().map(|line| line.verdict).collect()
    }

    #[test]
    fn a_figure_may_grow_by_its_share_and_not_more() {
        for (now, verdict) in [
            (100.0, Verdict::Held),
            (105.0, Verdict::Held),
            (105.1, Verdict::Grown),
            (95.0, Verdict::Held),
            (94.9, Verdict::Fallen),
        ] {
            assert_eq!(verdicts(&[("a", 100.0)], &[("a", now)], 5.0), [verdict], "{now}");
        }
        assert_eq!(verdicts(&[("a", 3.0)], &[("a", 3.01)], 0.0), [Verdict::Grown]);
        assert_eq!(verdicts(&[("a", 3.0)], &[("a", 3.0)], 0.0), [Verdict::Held]);
        assert_eq!(verdicts(&[("a", 0.0)], &[("a", 1.0)], 5.0), [Verdict::Grown]);
    }

    #[test]
    fn figures_that_come_and_go_are_told() {
        let verdicts = verdicts(&[("a", 1.0), ("b", 1.0)], &[("b", 1.0), ("c", 1.0)], 5.0);
        assert_eq!(verdicts, [Verdict::Gone, Verdict::Held, Verdict::New]);
        let failures: Vec<_> = verdicts.into_iter().map(Verdict::is_failure).collect();
        assert_eq!(failures, [true, false, true]);
    }

    #[test]
    fn a_kernel_of_which_nothing_is_kept_fails_nothing() {
        let lines = section(None, &figures(&[("a", 1.0)]), 5.0);
        assert!(lines.iter().all(|line| line.verdict == Verdict::Unknown));
        assert!(table("x", &lines, 5.0).contains("nothing kept for this kernel"));
    }
}
