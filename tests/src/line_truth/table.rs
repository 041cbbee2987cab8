//! The tables, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Judgement, Place, Tally};

/// What came of some services, by their names: a line for each number of requests at once, and then the shares of the
/// right ones by place.
#[must_use]
pub fn table(all: &[(&str, &Judgement)]) -> String {
    let mut text = String::from(
        "| service | context | at once | lines | right | missing | wrong | lost | unjudged | by |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for (name, judgement) in all {
        let mut rows = BTreeMap::<_, Tally>::new();
        for ((cell, _), tally) in &judgement.cells {
            rows.entry((cell.pass_on, cell.at_once)).or_default().add(tally);
        }
        for ((pass_on, at_once), tally) in rows {
            let Tally { lines, missing, wrong, lost, unjudged, .. } = tally;
            let (right, by) = (tally.right(), by(&tally));
            let _ = writeln!(
                text,
                "| {name} | {pass_on} | {at_once} | {lines} | {right} | {missing} | {wrong} | {lost} | {unjudged} | \
                 {by} |"
            );
        }
    }
    text.push_str("\nRight, in percent of the lines that have a record:\n\n| service |");
    for place in Place::ALL {
        let _ = write!(text, " {place} |");
    }
    text.push_str(" all | wrong | lost |\n|---|");
    text.push_str(&"---:|".repeat(Place::ALL.len() + 3));
    text.push('\n');
    for (name, judgement) in all {
        let _ = write!(text, "| {name} |");
        for place in Place::ALL {
            let tally = judgement.sum(|(_, at)| *at == place);
            let _ = write!(text, " {} |", share(&tally));
        }
        let sum = judgement.sum(|_| true);
        let _ = writeln!(text, " {} | {} | {} |", share(&sum), sum.wrong, sum.lost);
    }
    text
}

fn share(tally: &Tally) -> String {
    let share = tally.share().map(|share| format!("{share:.1}")).unwrap_or_default();
    match tally.wrong {
        0 => share,
        wrong => format!("{share} ({wrong} wrong)"),
    }
}

/// Why they are known, and what they do not say.
fn by(tally: &Tally) -> String {
    let named = |name: &str| if name.is_empty() { "not told" } else { name }.to_owned();
    let right = tally.right.iter().map(|(evidence, count)| format!("{} {count}", named(evidence)));
    let unsaid =
        (tally.unsaid > 0).then(|| format!("after the answer, and not said: {}", tally.unsaid));
    right.chain(unsaid).collect::<Vec<_>>().join(", ")
}
