//! The table as a picture, in SVG: a bar for each figure, and a line where it should end.

use std::fmt::Write as _;

use super::row::{Bar, Row, Side};

/// Pixels.
const WIDTH: f64 = 1040.0;
const ROW: f64 = 22.0;
const LABELS: f64 = 440.0;
const VALUES: f64 = 230.0;
const BARS: f64 = WIDTH - LABELS - VALUES;
const MET: &str = "#2b7a5d";
const MISSED: &str = "#c2402f";
const PLAIN: &str = "#7d8a99";
const LINE: &str = "#1d232b";
const FAINT: &str = "#d5dae0";

/// What a bar is measured in; each has a panel of its own.
struct Panel {
    side: Side,
    title: &'static str,
    how: &'static str,
    /// How much of its scale it shows: what is beyond is cut, and its number says how far it is.
    shown: f64,
    /// Between the lines of its scale.
    step: f64,
}

const PANELS: [Panel; 4] = [
    Panel {
        side: Side::Ratio,
        title: "Beside the same without it",
        how: "1.0 is the same as without; the dark line is the target",
        shown: 1.5,
        step: 0.25,
    },
    Panel {
        side: Side::Target,
        title: "Against the target",
        how: "1.0, the dark line, is the target: at most (<=) or at least (>=) so much",
        shown: 1.5,
        step: 0.25,
    },
    Panel {
        side: Side::Growth,
        title: "Beside the smallest",
        how: "1.0 is the same as with one, or with the shortest",
        shown: 6.0,
        step: 1.0,
    },
    Panel {
        side: Side::Another,
        title: "Beside another program",
        how: "1.0 is the same as the other; the dark line is the target",
        shown: 6.0,
        step: 1.0,
    },
];

/// The rows that have a ratio or a target. `head` and `foot` are lines of text.
pub(super) fn draw(rows: &[Row], head: &str, foot: &[String]) -> String {
    let bars: Vec<_> = rows.iter().filter_map(Row::bar).collect();
    let mut body = String::new();
    let mut y = 30.0;
    text(&mut body, 16.0, y, "font-weight='600' font-size='15'", head);
    for panel in &PANELS {
        let bars: Vec<_> = bars.iter().filter(|bar| bar.side == panel.side).collect();
        if bars.is_empty() {
            continue;
        }
        y += 34.0;
        text(&mut body, 16.0, y, "font-weight='600'", panel.title);
        text(&mut body, LABELS, y, "fill='#59636f'", panel.how);
        y += 12.0;
        let bottom = y + ROW * rows_of(bars.len());
        let mut tick = 0.0;
        while tick < panel.shown {
            let x = panel.at(tick);
            line(&mut body, (x, y), (x, bottom), FAINT, 1.0);
            let words = format!("{tick:.2}");
            text(&mut body, x - 9.0, bottom + 14.0, "fill='#59636f' font-size='11'", &words);
            tick += panel.step;
        }
        for bar in bars {
            panel.draw(&mut body, y, bar);
            y += ROW;
        }
        y += 14.0;
    }
    for line in foot {
        y += 20.0;
        text(&mut body, 16.0, y, "fill='#59636f' font-size='11'", line);
    }
    let height = y + 20.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' \
         height='{height}' font-family='system-ui, sans-serif' font-size='13' fill='{LINE}'>\n\
         <rect width='100%' height='100%' fill='#ffffff'/>\n{body}</svg>\n"
    )
}

impl Panel {
    /// Where a value is on its scale, from left to right.
    fn at(&self, value: f64) -> f64 {
        LABELS + value.clamp(0.0, self.shown) / self.shown * BARS
    }

    fn draw(&self, body: &mut String, y: f64, bar: &Bar) {
        let colour = match bar.met {
            Some(true) => MET,
            Some(false) => MISSED,
            None => PLAIN,
        };
        let middle = y + ROW / 2.0;
        text(body, 16.0, middle + 4.5, "", &bar.name);
        let width = (self.at(bar.value) - LABELS).max(1.0);
        let _ = writeln!(
            body,
            "<rect x='{LABELS}' y='{:.1}' width='{width:.1}' height='{:.1}' fill='{colour}'/>",
            y + 4.0,
            ROW - 8.0,
        );
        if bar.spread > 0.0 {
            let ends = [bar.value - bar.spread, bar.value + bar.spread].map(|value| self.at(value));
            line(body, (ends[0], middle), (ends[1], middle), LINE, 1.0);
        }
        if let Some(target) = bar.target {
            line(body, (self.at(target), y + 1.0), (self.at(target), y + ROW - 1.0), LINE, 2.5);
        }
        text(body, LABELS + BARS + 12.0, middle + 4.5, "", &bar.words);
    }
}

#[expect(clippy::cast_precision_loss, reason = "some dozens")]
fn rows_of(count: usize) -> f64 {
    count as f64
}

fn line(body: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<line x1='{:.1}' y1='{:.1}' x2='{:.1}' y2='{:.1}' stroke='{colour}' stroke-width='{width}'/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(body: &mut String, x: f64, y: f64, style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(body, "<text x='{x:.1}' y='{y:.1}' {style}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::{BARS, MET, MISSED, PANELS, PLAIN, Row, draw};
    use crate::bench::row::Target;

    fn pairs(name: &str, ratio: f64) -> Row {
        Row::of_pairs(name, "/s", &[(100.0, 100.0 * ratio)]).expect("a pair")
    }

    #[test]
    fn each_figure_has_a_bar_and_its_target_a_line() {
        let rows = [
            pairs("met", 0.95).target(Target::RatioAtLeast(0.9)),
            pairs("missed", 0.8).target(Target::RatioAtLeast(0.9)),
            pairs("no target", 1.0),
            Row::new("a value <x>", "ns", 300.0).target(Target::ValueAtMost(600.0)),
            Row::new("nothing to compare with", "ns", 1.0),
            pairs("another", 2.0).beside_another().target(Target::RatioAtLeast(1.0)),
        ];
        let svg = draw(&rows, "a & b", &["a caveat".to_owned()]);
        let count = |what: &str| svg.matches(what).count();
        assert_eq!(count("stroke-width='2.5'"), 4, "{svg}");
        assert_eq!((count(MET), count(MISSED), count(PLAIN)), (3, 1, 1), "{svg}");
        assert_eq!(count("Beside another program"), 1, "{svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("a value &lt;x&gt;"));
        assert!(!svg.contains("nothing to compare with"));
        // A value of half of its target ends in the middle of the way to it.
        let width = format!("width='{:.1}'", 0.5 / PANELS[1].shown * BARS);
        assert!(svg.contains(&width), "{width} in {svg}");
    }
}
