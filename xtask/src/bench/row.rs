//! A row of the table.

use serde_json::{Value, json};

use super::stats::{median, spread};

/// One figure, beside what it is compared with.
#[derive(Debug)]
pub(super) struct Row {
    /// `measurement: figure`.
    name: String,
    unit: &'static str,
    /// With the sensor.
    value: f64,
    /// What it is compared with; see `beside`.
    baseline: Option<f64>,
    beside: Beside,
    /// The median of the pairs' ratios, which is not the ratio of the medians.
    ratio: Option<Ratio>,
    target: Option<Target>,
    note: Option<String>,
    /// What the figures were made from.
    samples: Value,
}

/// A median, and how far the pairs are from it.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    median: f64,
    spread: f64,
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The value itself, at most.
    ValueAtMost(f64),
    /// The value itself, at least.
    ValueAtLeast(f64),
    /// The value minus the baseline, at most.
    BeyondAtMost(f64),
    /// The ratio, at most.
    RatioAtMost(f64),
    /// The ratio, at least.
    RatioAtLeast(f64),
}

/// What a baseline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// The same without the sensor, or with an empty one.
    Without,
    /// The same of something smaller.
    Smallest,
    /// The same by another program.
    Another,
}

/// A row as the picture has it.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) side: Side,
    /// On the scale of its side.
    pub(super) value: f64,
    pub(super) spread: f64,
    pub(super) target: Option<f64>,
    pub(super) met: Option<bool>,
    /// The figures themselves.
    pub(super) words: String,
}

/// What a bar is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The ratio of with to without.
    Ratio,
    /// The ratio of larger to smallest.
    Growth,
    /// The ratio of ours to another program's.
    Another,
    /// The value, as a share of its target.
    Target,
}

impl Row {
    /// A figure that stands alone.
    pub(super) fn new(name: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            value,
            baseline: None,
            beside: Beside::Without,
            ratio: None,
            target: None,
            note: None,
            samples: Value::Null,
        }
    }

    /// The median of several, which are kept. None of nothing.
    pub(super) fn of_samples(
        name: impl Into<String>,
        unit: &'static str,
        samples: &[f64],
    ) -> Option<Self> {
        let mut row = Self::new(name, unit, median(samples)?);
        row.samples = json!(samples);
        Some(row)
    }

    /// Medians of the pairs (baseline, value), and of their ratios. None of nothing.
    pub(super) fn of_pairs(
        name: impl Into<String>,
        unit: &'static str,
        pairs: &[(f64, f64)],
    ) -> Option<Self> {
        let (without, with): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let ratios: Vec<_> = pairs.iter().map(|(without, with)| with / without).collect();
        let mut row = Self::new(name, unit, median(&with)?).baseline(median(&without)?);
        row.ratio = Some(Ratio { median: median(&ratios)?, spread: spread(&ratios)? });
        row.samples = json!({ "without": without, "with": with });
        Some(row)
    }

    pub(super) fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// The baseline is the same figure of something smaller, and not of a run without the sensor.
    pub(super) fn grows(mut self) -> Self {
        self.beside = Beside::Smallest;
        self
    }

    /// The baseline is another program that does the same.
    pub(super) fn beside_another(mut self) -> Self {
        self.beside = Beside::Another;
        self
    }

    pub(super) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// What the figure was made from.
    pub(super) fn samples(mut self, samples: Value) -> Self {
        self.samples = samples;
        self
    }

    /// What has to be known to read the figure. An empty one is none.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into()).filter(|note| !note.is_empty());
        self
    }

    /// Whether the target is met; none without one, or when the figure it is about is missing.
    fn met(&self) -> Option<bool> {
        let ratio = self.ratio.map(|ratio| ratio.median);
        match self.target? {
            Target::ValueAtMost(bound) => Some(self.value <= bound),
            Target::ValueAtLeast(bound) => Some(self.value >= bound),
            Target::BeyondAtMost(bound) => Some(self.value - self.baseline? <= bound),
            Target::RatioAtMost(bound) => Some(ratio? <= bound),
            Target::RatioAtLeast(bound) => Some(ratio? >= bound),
        }
    }

    fn with_unit(&self, value: f64) -> String {
        format!("{} {}", number(value), self.unit).trim().to_owned()
    }

    /// The cells of the table: name, value, baseline, ratio, target, met.
    pub(super) fn cells(&self) -> [String; 6] {
        let with_unit = |value| self.with_unit(value);
        let ratio = self.ratio.map(|Ratio { median, spread }| format!("{median:.3} ±{spread:.3}"));
        let target = self.target.map(|target| match target {
            Target::ValueAtMost(bound) => format!("<= {}", with_unit(bound)),
            Target::ValueAtLeast(bound) => format!(">= {}", with_unit(bound)),
            Target::BeyondAtMost(bound) => format!("<= {} beyond", with_unit(bound)),
            Target::RatioAtMost(bound) => format!("ratio <= {bound}"),
            Target::RatioAtLeast(bound) => format!("ratio >= {bound}"),
        });
        let met = match (self.target, self.met()) {
            (None, _) => "",
            (Some(_), Some(true)) => "yes",
            (Some(_), Some(false)) => "MISSED",
            (Some(_), None) => "unknown",
        };
        [
            self.name.clone(),
            with_unit(self.value),
            self.baseline.map(with_unit).unwrap_or_default(),
            ratio.unwrap_or_default(),
            target.unwrap_or_default(),
            met.to_owned(),
        ]
    }

    /// The row as a bar: of its ratio, unless the target is about the value. None of a figure that has
    /// nothing to be compared with.
    pub(super) fn bar(&self) -> Option<Bar> {
        let bar = |side, value, spread, target, words| Bar {
            name: self.name.clone(),
            side,
            value,
            spread,
            target,
            met: self.met(),
            words,
        };
        let [_, shown, _, ratio, _, _] = self.cells();
        let of_target = |value: f64, sign: &str, bound: f64, beyond: &str| {
            // Of a target of nothing, anything is too much.
            let share = if bound > 0.0 { value / bound } else { f64::from(value > 0.0) * 2.0 };
            let [value, bound] = [value, bound].map(|value| self.with_unit(value));
            let words = format!("{value}{beyond}, wanted {sign} {bound}");
            Some(bar(Side::Target, share, 0.0, Some(1.0), words))
        };
        let of_ratio = |target: Option<f64>| {
            let Ratio { median, spread } = self.ratio?;
            let side = match self.beside {
                Beside::Without => Side::Ratio,
                Beside::Smallest => Side::Growth,
                Beside::Another => Side::Another,
            };
            Some(bar(side, median, spread, target, format!("{ratio}  ({shown})")))
        };
        match self.target {
            None => of_ratio(None),
            Some(Target::RatioAtMost(bound) | Target::RatioAtLeast(bound)) => of_ratio(Some(bound)),
            Some(Target::ValueAtMost(bound)) => of_target(self.value, "<=", bound, ""),
            Some(Target::ValueAtLeast(bound)) => of_target(self.value, ">=", bound, ""),
            Some(Target::BeyondAtMost(bound)) => {
                of_target(self.value - self.baseline?, "<=", bound, " beyond")
            }
        }
    }

    pub(super) fn note_text(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The same, for programs.
    pub(super) fn json(&self) -> Value {
        let Self { name, unit, value, baseline, beside: _, ratio, target, note, samples } = self;
        let target = target.map(|target| match target {
            Target::ValueAtMost(bound) => json!({ "of": "value", "at_most": bound }),
            Target::ValueAtLeast(bound) => json!({ "of": "value", "at_least": bound }),
            Target::BeyondAtMost(bound) => json!({ "of": "value - baseline", "at_most": bound }),
            Target::RatioAtMost(bound) => json!({ "of": "ratio", "at_most": bound }),
            Target::RatioAtLeast(bound) => json!({ "of": "ratio", "at_least": bound }),
        });
        json!({
            "name": name,
            "unit": unit,
            "value": value,
            "baseline": baseline,
            "ratio": ratio.map(|ratio| ratio.median),
            "ratio_spread": ratio.map(|ratio| ratio.spread),
            "target": target,
            "met": self.met(),
            "note": note,
            "samples": samples,
        })
    }
}

/// A number with three digits that say something, or all of a whole number's, in groups.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 || value == value.trunc() {
        grouped(value)
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Row, Target, number};

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.0, "0"),
            (0.01234, "0.012"),
            (1.234, "1.23"),
            (64.0, "64"),
            (56.78, "56.8"),
            (123.4, "123"),
            (1_234.5, "1,234"),
            (400_000.0, "400,000"),
            (-1_234_567.0, "-1,234,567"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn ratios_are_of_pairs() {
        // A machine that became twice as fast between the pairs.
        let row = Row::of_pairs("x", "/s", &[(100.0, 90.0), (200.0, 180.0), (210.0, 191.1)]);
        let row = row.expect("three pairs").target(Target::RatioAtLeast(0.9));
        assert_eq!(row.ratio.map(|ratio| ratio.median), Some(0.9));
        assert_eq!(row.met(), Some(true));
        assert_eq!(row.target(Target::RatioAtLeast(0.91)).met(), Some(false));
        assert!(Row::of_pairs("x", "", &[]).is_none());
    }

    #[test]
    fn a_target_without_its_figure_is_not_met() {
        let row = || Row::new("x", "ns", 600.0).target(Target::BeyondAtMost(588.0));
        assert_eq!(row().met(), None);
        assert_eq!(row().cells()[5], "unknown");
        assert_eq!(row().baseline(20.0).met(), Some(true));
        assert_eq!(row().baseline(10.0).cells()[5], "MISSED");
    }
}
