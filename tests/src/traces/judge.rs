//! What the spans say of who called whom, held against who did. Pure: spans and truth in, counts out.

use std::collections::BTreeMap;

use super::{Cell, Sent};
use crate::sensor::SpanJson;

/// Attribute: why this parent.
const EVIDENCE: &str = "sensor.parent.evidence";
/// Attribute: why none.
const MISSING: &str = "sensor.parent.missing";
/// As many wrong ones are told in words.
const WORDS: usize = 5;

/// What is said of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The parent is the caller's span, by this evidence, and the call lies within it.
    Right(String),
    /// There is no parent, for this reason; there could be one.
    Missing(String),
    /// There is no parent, and the caller's span was over before the call was.
    Outlived,
    /// Another parent, or another request's trace, or one that was over.
    Wrong(String),
    /// There is no span of the call, or none of its caller.
    Lost,
}

/// The calls of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub calls: u64,
    /// By evidence.
    pub right: BTreeMap<String, u64>,
    /// By reason.
    pub missing: BTreeMap<String, u64>,
    /// See [`Verdict::Outlived`].
    pub outlived: u64,
    /// Those without a parent that have a link to their caller's span.
    pub linked: u64,
    /// Anything that is not so: parents, traces, links, pairs.
    pub wrong: u64,
    /// Without a span.
    pub lost: u64,
    /// Calls whose two ends are child and parent.
    pub paired: u64,
    /// Those whose serving end has no parent, or the one that was on the wire.
    pub unpaired: u64,
    /// Calls whose span has the identifier that the request came with, which is its sender's.
    pub reused: u64,
    /// Requests.
    pub requests: u64,
    /// Those of which all spans are in one trace.
    pub whole: u64,
}

impl Tally {
    /// With the right parent.
    #[must_use]
    pub fn right(&self) -> u64 {
        self.right.values().sum()
    }

    /// Without one that there could be.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing.values().sum()
    }

    /// Right ones, in percent of those that a parent can contain and that have spans; none of none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.right() + self.missing() + self.wrong;
        #[expect(clippy::cast_precision_loss, reason = "requests of one run")]
        let share = 100.0 * self.right() as f64 / all as f64;
        (all > 0).then_some(share)
    }

    /// Adds those of another cell.
    pub fn add(&mut self, other: &Self) {
        let Self {
            calls,
            right,
            missing,
            outlived,
            linked,
            wrong,
            lost,
            paired,
            unpaired,
            reused,
            requests,
            whole,
        } = other;
        for (key, count) in right {
            *self.right.entry(key.clone()).or_default() += count;
        }
        for (key, count) in missing {
            *self.missing.entry(key.clone()).or_default() += count;
        }
        self.calls += calls;
        self.outlived += outlived;
        self.linked += linked;
        self.wrong += wrong;
        self.lost += lost;
        self.paired += paired;
        self.unpaired += unpaired;
        self.reused += reused;
        self.requests += requests;
        self.whole += whole;
    }
}

/// All cells of a run.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// By cell.
    pub cells: BTreeMap<Cell, Tally>,
    /// The first wrong ones, in words.
    pub words: Vec<String>,
    /// Spans that should be there, and are not.
    pub lost_spans: u64,
}

impl Judgement {
    /// All cells that are wanted, as one.
    #[must_use]
    pub fn sum(&self, wanted: impl Fn(&Cell) -> bool) -> Tally {
        let mut sum = Tally::default();
        self.cells.iter().filter(|(cell, _)| wanted(cell)).for_each(|(_, tally)| sum.add(tally));
        sum
    }

    /// Holds `spans` against what was sent.
    #[must_use]
    pub fn of(sent: &[Sent], spans: &[SpanJson]) -> Self {
        let told: Vec<_> = spans.iter().map(Told::of).collect();
        Self::of_told(sent, &told)
    }

    fn of_told(sent: &[Sent], told: &[Told]) -> Self {
        let mut judgement = Self::default();
        let mut ends: BTreeMap<(bool, &str), &Told> = BTreeMap::new();
        for span in told {
            let twice = ends.insert((span.client, &span.path), span);
            if twice.is_some() {
                judgement.words.push(format!("told twice: {span:?}"));
            }
        }
        let twice = judgement.words.len();
        for sent in sent {
            judgement.request(sent, &ends);
        }
        // They are of no cell in particular.
        if let Some(first) = sent.first() {
            let tally = judgement.cells.entry(first.cell).or_default();
            tally.wrong += u64::try_from(twice).unwrap_or(u64::MAX);
        }
        judgement.words.truncate(WORDS);
        judgement
    }

    fn request(&mut self, sent: &Sent, ends: &BTreeMap<(bool, &str), &Told>) {
        let caller = ends.get(&(false, &*sent.path())).copied();
        let mut tally = Tally { requests: 1, ..Tally::default() };
        let mut traces = Vec::new();
        match caller {
            None => self.lost_spans += 1,
            Some(caller) => {
                traces.push(&*caller.trace);
                if let Some(what) = entry(sent, caller) {
                    self.wrong(&mut tally, &format!("{what}: {sent:?} {caller:?}"));
                }
            }
        }
        for call in sent.calls() {
            let path = format!("/leaf/{call}");
            let [client, server] = [true, false].map(|client| ends.get(&(client, &*path)).copied());
            tally.calls += 1;
            match judge(sent, caller, client) {
                Verdict::Right(evidence) => *tally.right.entry(evidence).or_default() += 1,
                Verdict::Missing(reason) => *tally.missing.entry(reason).or_default() += 1,
                Verdict::Outlived => tally.outlived += 1,
                Verdict::Lost => tally.lost += 1,
                Verdict::Wrong(what) => self.wrong(
                    &mut tally,
                    &format!("{what}: {call} {client:?}\n  called by {caller:?}"),
                ),
            }
            if let (Some(context), Some(client)) = (&sent.context, client) {
                tally.reused += u64::from(client.span == context.span_id);
            }
            if let (Some(caller), Some(client)) = (caller, client) {
                let to_caller = client.links.contains(&(caller.trace.clone(), caller.span.clone()));
                tally.linked += u64::from(client.parent.is_none() && to_caller);
            }
            match (client, server) {
                (Some(client), Some(server)) => match pair(sent, client, server) {
                    Ok(true) => tally.paired += 1,
                    Ok(false) => tally.unpaired += 1,
                    Err(what) => {
                        self.wrong(&mut tally, &format!("{what}: {client:?}\n  {server:?}"));
                    }
                },
                (client, server) => {
                    let there = [client, server].into_iter().flatten().count();
                    self.lost_spans += 2 - u64::try_from(there).unwrap_or(0);
                }
            }
            traces.extend([client, server].into_iter().flatten().map(|end| &*end.trace));
        }
        let spans = 1 + 2 * usize::try_from(sent.cell.pattern.calls()).unwrap_or(0);
        let one = traces.iter().all(|trace| Some(trace) == traces.first());
        tally.whole += u64::from(one && traces.len() == spans);
        self.cells.entry(sent.cell).or_default().add(&tally);
    }

    fn wrong(&mut self, tally: &mut Tally, what: &str) {
        tally.wrong += 1;
        if self.words.len() < WORDS {
            self.words.push(what.to_owned());
        }
    }
}

/// As much of a span as is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    client: bool,
    path: String,
    trace: String,
    span: String,
    parent: Option<String>,
    start: u64,
    end: u64,
    evidence: Option<String>,
    missing: Option<String>,
    /// Trace and span.
    links: Vec<(String, String)>,
}

impl Told {
    fn of(span: &SpanJson) -> Self {
        let text = |key| Some(span.get(key)?.as_str()?.to_owned());
        let links = span.json().get("links").and_then(|links| links.as_array());
        let link = |link: &serde_json::Value| {
            let id = |key| Some(link.get(key)?.as_str()?.to_owned());
            Some((id("trace_id")?, id("span_id")?))
        };
        Self {
            client: span.is_client(),
            path: text("url.path").unwrap_or_default(),
            trace: span.trace_id().to_owned(),
            span: span.span_id().to_owned(),
            parent: span.parent_span_id().map(str::to_owned),
            start: span.start(),
            end: span.end(),
            evidence: text(EVIDENCE),
            missing: text(MISSING),
            links: links.into_iter().flatten().filter_map(link).collect(),
        }
    }

    fn within(&self, parent: &Self) -> bool {
        parent.start <= self.start && self.end <= parent.end
    }
}

/// What is wrong with the span of the request itself: it has the context that it came with.
fn entry(sent: &Sent, caller: &Told) -> Option<&'static str> {
    match &sent.context {
        Some(context) if caller.trace != context.trace_id => Some("not the request's trace"),
        Some(context) if caller.parent.as_ref() != Some(&context.span_id) => {
            Some("not the request's parent")
        }
        None if caller.parent.is_some() => Some("a parent of a request that has none"),
        _ => None,
    }
}

fn judge(sent: &Sent, caller: Option<&Told>, client: Option<&Told>) -> Verdict {
    let (Some(caller), Some(client)) = (caller, client) else { return Verdict::Lost };
    let wrong = |what: &str| Verdict::Wrong(what.to_owned());
    let same = client.trace == caller.trace;
    let passed = sent.context.is_some() && sent.told != super::PassOn::None;
    match &client.parent {
        Some(parent) if *parent != caller.span => wrong("another's call"),
        Some(_) if !same => wrong("another trace than its parent"),
        Some(_) if !client.within(caller) => wrong("a parent that does not contain it"),
        Some(_) => Verdict::Right(client.evidence.clone().unwrap_or_default()),
        // The context that it carries says so.
        None if passed && !same => wrong("another trace than its context"),
        None if client.within(caller) => {
            Verdict::Missing(client.missing.clone().unwrap_or_default())
        }
        None => Verdict::Outlived,
    }
}

/// Whether the two ends of a call are child and parent.
///
/// # Errors
/// One has another parent, or they are in different traces.
fn pair(sent: &Sent, client: &Told, server: &Told) -> Result<bool, &'static str> {
    if client.trace != server.trace {
        return Err("two ends in two traces");
    }
    match &server.parent {
        Some(parent) if *parent == client.span => Ok(true),
        None => Ok(false),
        Some(parent) => {
            let on_the_wire = sent.context.as_ref().map(|context| &context.span_id);
            let forwarded = sent.told == super::PassOn::Forwarded;
            if forwarded && on_the_wire == Some(parent) {
                Ok(false)
            } else {
                Err("the serving end of another's call")
            }
        }
    }
}

#[cfg(test)]
mod tests;
