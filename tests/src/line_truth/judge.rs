//! What the records say of whose lines are, held against whose they are. Pure: spans, records and truth in, counts
//! out.

use std::collections::BTreeMap;

use super::Place;
use super::wrote::{Wrote, lines_in};
use crate::sensor::{LogJson, SpanJson};
use crate::traces::{Cell, Sent};

/// As many wrong ones are told in words.
const WORDS: usize = 5;

/// What is said of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// The trace and the span of its request, by this evidence.
    Right(String),
    /// The record says nothing of whose it is.
    Missing,
    /// Anything else that it says.
    Wrong(&'static str),
    /// The record says something, and there is no span of the request to hold it against.
    Unjudged,
    /// There is no record.
    Lost,
}

/// The lines of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub lines: u64,
    /// By evidence.
    pub right: BTreeMap<String, u64>,
    /// Of which the record does not say whose they are.
    pub missing: u64,
    /// Of which it says what is not so.
    pub wrong: u64,
    /// Of which it says something, and the request has no span.
    pub unjudged: u64,
    /// Without a record.
    pub lost: u64,
    /// Right ones that were written when the answer was out, and do not say so.
    pub unsaid: u64,
}

impl Tally {
    /// Those with the right span.
    #[must_use]
    pub fn right(&self) -> u64 {
        self.right.values().sum()
    }

    /// Right ones, in percent of those that have a record and a span; none of none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.right() + self.missing + self.wrong;
        #[expect(clippy::cast_precision_loss, reason = "lines of one run")]
        let share = 100.0 * self.right() as f64 / all as f64;
        (all > 0).then_some(share)
    }

    /// Adds those of another cell.
    pub fn add(&mut self, other: &Self) {
        let Self { lines, right, missing, wrong, unjudged, lost, unsaid } = other;
        for (key, count) in right {
            *self.right.entry(key.clone()).or_default() += count;
        }
        self.lines += lines;
        self.missing += missing;
        self.wrong += wrong;
        self.unjudged += unjudged;
        self.lost += lost;
        self.unsaid += unsaid;
    }
}

/// All cells of a run.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// By what was asked for, and where the line was written.
    pub cells: BTreeMap<(Cell, Place), Tally>,
    /// The first wrong ones, in words.
    pub words: Vec<String>,
    /// Records that are no line of a request.
    pub strange: u64,
}

impl Judgement {
    /// All cells that are wanted, as one.
    #[must_use]
    pub fn sum(&self, wanted: impl Fn(&(Cell, Place)) -> bool) -> Tally {
        let mut sum = Tally::default();
        self.cells.iter().filter(|(cell, _)| wanted(cell)).for_each(|(_, tally)| sum.add(tally));
        sum
    }

    /// Holds `records` and `spans` against what was sent and written.
    #[must_use]
    pub(super) fn of(
        sent: &[Sent],
        wrote: &[Wrote],
        spans: &[SpanJson],
        records: &[LogJson],
    ) -> Self {
        let spans = spans.iter().filter(|span| span.is_server());
        let span = |span: &SpanJson| {
            let path = span.get("url.path")?.as_str()?.to_owned();
            Some((path, (span.trace_id().to_owned(), span.span_id().to_owned())))
        };
        Self::of_told(sent, wrote, &spans.filter_map(span).collect(), records)
    }

    /// `spans` are trace and span of requests by their paths.
    fn of_told(
        sent: &[Sent],
        wrote: &[Wrote],
        spans: &BTreeMap<String, (String, String)>,
        records: &[LogJson],
    ) -> Self {
        let mut judgement = Self::default();
        let mut told: BTreeMap<Wrote, (&LogJson, Option<&'static str>)> = BTreeMap::new();
        for record in records {
            let lines: Vec<_> = lines_in(record.message()).collect();
            judgement.strange += u64::from(lines.is_empty());
            let mixed = (lines.len() > 1).then_some("several lines in one record");
            for line in lines {
                let before = told.remove(&line);
                let twice = before.map(|_| "told twice");
                told.insert(line, (record, twice.or(mixed)));
            }
        }
        let sent: BTreeMap<&str, &Sent> = sent.iter().map(|sent| (&*sent.marker, sent)).collect();
        for line in wrote {
            let Some(sent) = sent.get(&*line.marker) else { continue };
            let (record, what) = told.remove(line).unzip();
            let what = what.flatten();
            let span = spans.get(&sent.path());
            let verdict = match what {
                Some(what) => Verdict::Wrong(what),
                None => judge(line.place, record, span),
            };
            let tally = judgement.cells.entry((sent.cell, line.place)).or_default();
            tally.lines += 1;
            match verdict {
                Verdict::Right(evidence) => *tally.right.entry(evidence).or_default() += 1,
                Verdict::Missing => tally.missing += 1,
                Verdict::Unjudged => tally.unjudged += 1,
                Verdict::Lost => tally.lost += 1,
                Verdict::Wrong(what) => {
                    tally.wrong += 1;
                    judgement.words.push(format!("{what}: {line:?} {span:?}\n  {record:?}"));
                    continue;
                }
            }
            let after = record.is_some_and(LogJson::after_response);
            let known = record.is_some_and(|record| record.text("trace_id").is_some());
            tally.unsaid += u64::from(line.place == Place::After && known && !after);
        }
        // Of no request in particular.
        if let (Some(cell), false) = (judgement.cells.values_mut().next(), told.is_empty()) {
            cell.wrong += u64::try_from(told.len()).unwrap_or(u64::MAX);
            judgement.words.push(format!("never written: {:?}", told.keys().next()));
        }
        judgement.words.truncate(WORDS);
        judgement
    }
}

fn judge(place: Place, record: Option<&LogJson>, span: Option<&(String, String)>) -> Verdict {
    let Some(record) = record else { return Verdict::Lost };
    let Some(trace) = record.text("trace_id") else { return Verdict::Missing };
    let Some((trace_id, span_id)) = span else { return Verdict::Unjudged };
    if trace != trace_id {
        return Verdict::Wrong("another trace");
    }
    if record.text("span_id") != Some(span_id) {
        return Verdict::Wrong("another span, or none");
    }
    // The services write all other lines before they answer.
    if record.after_response() && !matches!(place, Place::After | Place::Later) {
        return Verdict::Wrong("said to be after the answer");
    }
    Verdict::Right(record.text("correlation").unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
