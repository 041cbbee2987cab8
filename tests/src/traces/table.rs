//! The table, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Judgement, PassOn, Pattern, Tally};

/// What came of some services, by their names: a line for each way of passing contexts on and each number of
/// requests at once, and then the shares of the right ones by pattern.
#[must_use]
pub fn table(all: &[(&str, &Judgement)]) -> String {
    let mut text = String::from(
        "| service | context | at once | calls | right | missing | outlived | wrong | reused | lost | paired | whole | by |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for (name, judgement) in all {
        let mut lines = BTreeMap::<_, Tally>::new();
        for (cell, tally) in &judgement.cells {
            lines.entry((cell.pass_on, cell.at_once)).or_default().add(tally);
        }
        for ((pass_on, at_once), tally) in lines {
            let Tally { calls, outlived, wrong, reused, lost, paired, requests, whole, .. } = tally;
            let (right, missing, by) = (tally.right(), tally.missing(), by(&tally));
            let _ = writeln!(
                text,
                "| {name} | {pass_on} | {at_once} | {calls} | {right} | {missing} | {outlived} | {wrong} | {reused} | {lost} | \
                 {paired} | {whole} of {requests} | {by} |"
            );
        }
    }
    text.push_str("\nRight, in percent of the calls that their caller's span contains:\n\n");
    text.push_str("| service | context |");
    for pattern in Pattern::ALL {
        let _ = write!(text, " {pattern} |");
    }
    text.push_str("\n|---|---|---:|---:|---:|---:|---:|---:|\n");
    for (name, judgement) in all {
        for pass_on in PassOn::ALL {
            let _ = write!(text, "| {name} | {pass_on} |");
            for pattern in Pattern::ALL {
                let tally =
                    judgement.sum(|cell| cell.pass_on == pass_on && cell.pattern == pattern);
                let share = tally.share().map(|share| format!("{share:.1}")).unwrap_or_default();
                let wrong = match tally.wrong {
                    0 => String::new(),
                    wrong => format!(" ({wrong} wrong)"),
                };
                let _ = write!(text, " {share}{wrong} |");
            }
            text.push('\n');
        }
    }
    text
}

/// Why parents, and why none.
fn by(tally: &Tally) -> String {
    let named = |name: &str| if name.is_empty() { "not told" } else { name }.to_owned();
    let right = tally.right.iter().map(|(evidence, count)| format!("{} {count}", named(evidence)));
    let missing = tally.missing.iter().filter(|(reason, _)| !reason.is_empty());
    let missing = missing.map(|(reason, count)| format!("none: {reason} {count}"));
    let linked = (tally.linked > 0).then(|| format!("linked {}", tally.linked));
    right.chain(missing).chain(linked).collect::<Vec<_>>().join(", ")
}
