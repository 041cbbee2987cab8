//! Whose call is it: services in every runtime say themselves on whose behalf they call, and the sensor's parents are
//! held against that. A row for each service where it passes a trace context on, and where it does not; the tables
//! by load and pattern go to a file.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::loss::count;
use super::rig::helper::Helper;
use super::row::{Row, Target};
use super::{Bench, progress};
use crate::workspace;

/// How long a service may take, what it needs from the registries included.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// As many wrong ones are told in words.
const WORDS: usize = 5;
/// Requests at once, and how many in all with each way of passing contexts on. Many first: what is made when it is
/// first used, pools above all, is then made while others are under way.
pub(super) const LOADS: &str = "64:960,8:480,1:240";
pub(super) const QUICK: &str = "64:192,8:72,1:36";

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let seed = bench.seed.unwrap_or(1);
    let mut helper = Helper::traces(bench, bench.pick(LOADS, QUICK), seed)?;
    let mut rows = Vec::new();
    let (mut wrong, mut calls) = (Wrong::default(), 0);
    let mut table = None;
    while let Some(line) = helper.next_within(PATIENCE)? {
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let Some(said) = said.get("table").and_then(Value::as_str) {
            table = Some(said.to_owned());
            continue;
        }
        let service = Service::of(&said).with_context(|| line.clone())?;
        progress(service.words());
        calls += service.calls();
        wrong.add(&service);
        rows.extend(service.rows());
    }
    let table = table.context("sensor-bench did not come to its end")?;
    let file = workspace::target().join("bench/traces.md");
    fs::write(&file, &table).with_context(|| file.display().to_string())?;
    progress(format_args!("{table}\n   written to {}", file.display()));
    wrong.verdict()?;
    rows.push(
        Row::new("traces: wrong parents, or silent losses", "", 0.0)
            .target(Target::ValueAtMost(0.0))
            .note(format!("of {calls} calls; seed {seed}")),
    );
    Ok(rows)
}

/// Calls with or without a context.
struct Calls {
    calls: u64,
    right: u64,
    missing: u64,
    outlived: u64,
    wrong: u64,
    lost: u64,
    evidence: String,
}

impl Calls {
    fn of(said: &Value) -> Result<Self> {
        let number =
            |key: &str| said.get(key).and_then(Value::as_u64).with_context(|| format!("no {key}"));
        let evidence = said.get("evidence").and_then(Value::as_object).context("no evidence")?;
        let evidence: Vec<_> = evidence
            .iter()
            .map(|(name, count)| {
                format!("{} {count}", if name.is_empty() { "not told" } else { name })
            })
            .collect();
        Ok(Self {
            calls: number("calls")?,
            right: number("right")?,
            missing: number("missing")?,
            outlived: number("outlived")?,
            wrong: number("wrong")?,
            lost: number("lost")?,
            evidence: evidence.join(", "),
        })
    }

    /// Of those that a parent can contain, in percent.
    fn share(&self) -> f64 {
        100.0 * count(self.right) / count((self.right + self.missing + self.wrong).max(1))
    }
}

/// A service.
struct Service {
    name: String,
    with: Calls,
    without: Calls,
    /// With, in a trace of several requests at once.
    shared: Calls,
    /// Pattern and share.
    patterns: String,
    silent: u64,
    words: Vec<String>,
}

impl Service {
    fn of(said: &Value) -> Result<Self> {
        let get = |key: &str| said.get(key).with_context(|| format!("no {key}"));
        let pattern = |said: &Value| {
            let share = said.get("share")?.as_f64()?;
            Some(format!("{} {share:.1} %", said.get("pattern")?.as_str()?))
        };
        let patterns = get("patterns")?.as_array().context("patterns")?;
        let words = get("words")?.as_array().context("words")?;
        Ok(Self {
            name: get("service")?.as_str().context("service")?.to_owned(),
            with: Calls::of(get("with")?)?,
            without: Calls::of(get("without")?)?,
            shared: Calls::of(get("shared")?)?,
            patterns: patterns.iter().filter_map(pattern).collect::<Vec<_>>().join(", "),
            silent: get("lost_silently")?.as_u64().context("lost_silently")?,
            words: words.iter().filter_map(|text| Some(text.as_str()?.to_owned())).collect(),
        })
    }

    fn calls(&self) -> u64 {
        self.with.calls + self.without.calls + self.shared.calls
    }

    fn wrong(&self) -> u64 {
        self.with.wrong + self.without.wrong + self.shared.wrong
    }

    fn words(&self) -> String {
        let Self { name, with, without, shared, .. } = self;
        format!(
            "{name}: {:.1} % right with a context, {:.1} % in traces of several requests, {:.1} % without; {} wrong, \
             {} lost",
            with.share(),
            shared.share(),
            without.share(),
            self.wrong(),
            with.lost + without.lost + shared.lost,
        )
    }

    fn rows(&self) -> [Row; 3] {
        let row = |what: &str, calls: &Calls, more: &str| {
            let Calls { calls: all, right, missing, outlived, lost, evidence, .. } = calls;
            let mut note = format!(
                "{all} calls: {right} right, {missing} missing, {outlived} after their caller was over, {lost} lost"
            );
            for more in [evidence.as_str(), more].into_iter().filter(|more| !more.is_empty()) {
                note.push_str("; ");
                note.push_str(more);
            }
            Row::new(format!("traces: {}, {what}", self.name), "%", calls.share()).note(note)
        };
        [
            row("context passed on", &self.with, "").target(Target::ValueAtLeast(100.0)),
            row("in traces of several requests", &self.shared, ""),
            row("none passed on", &self.without, &self.patterns),
        ]
    }
}

/// What no run may have.
#[derive(Default)]
struct Wrong {
    parents: u64,
    silent: u64,
    words: Vec<String>,
}

impl Wrong {
    fn add(&mut self, service: &Service) {
        self.parents += service.wrong();
        self.silent += service.silent;
        let words = service.words.iter().map(|words| format!("{}: {words}", service.name));
        self.words.extend(words);
    }

    /// # Errors
    /// There is any.
    fn verdict(&self) -> Result<()> {
        let Self { parents, silent, words } = self;
        if *parents > 0 || *silent > 0 {
            let words = words.iter().take(WORDS).map(String::as_str).collect::<Vec<_>>();
            let words = words.join("\n");
            bail!("{parents} wrong, {silent} lost and not counted; the first:\n{words}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Service, Wrong};
    use serde_json::{Value, json};

    fn said() -> Value {
        let calls = |right: u64, missing: u64| {
            json!({
                "calls": 12, "right": right, "missing": missing, "outlived": 2, "wrong": 0, "lost": 0,
                "evidence": { "thread": right },
            })
        };
        json!({
            "service": "x", "with": calls(10, 0), "without": calls(4, 6), "shared": calls(9, 1),
            "patterns": [{ "pattern": "one", "share": 50.0 }, { "pattern": "after", "share": null }],
            "lost_silently": 0, "words": [],
        })
    }

    #[test]
    fn shares_are_of_what_a_parent_can_contain() {
        let service = Service::of(&said()).expect("a service");
        let [with, shared, without] = service.rows();
        let [name, value, _, _, _, met] = with.cells();
        assert_eq!([&*name, &*value, &*met], ["traces: x, context passed on", "100 %", "yes"]);
        assert_eq!([&*shared.cells()[1], &*without.cells()[1]], ["90 %", "40 %"]);
        let note = without.note_text().expect("a note");
        assert!(note.ends_with("thread 4; one 50.0 %"), "{note}");
    }

    #[test]
    fn a_wrong_parent_or_a_silent_loss_fails() {
        for (key, fails) in [("/with/wrong", true), ("/lost_silently", true), ("/with/lost", false)]
        {
            let mut said = said();
            *said.pointer_mut(key).expect("there") = 1.into();
            let mut wrong = Wrong::default();
            wrong.add(&Service::of(&said).expect("a service"));
            assert_eq!(wrong.verdict().is_err(), fails, "{key}");
        }
    }
}
