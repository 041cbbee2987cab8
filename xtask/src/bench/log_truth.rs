//! Whose line is it: services in every runtime write the marker of their request in each line, and what the sensor says
//! of whose the lines are is held against that. A row for each service; the tables by load and place go to a file.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::loss::count;
use super::rig::helper::Helper;
use super::row::{Row, Target};
use super::traces::{LOADS, PATIENCE, QUICK};
use super::{Bench, progress};
use crate::workspace;

/// As many wrong ones are told in words.
const WORDS: usize = 5;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let seed = bench.seed.unwrap_or(1);
    let mut helper = Helper::lines(bench, bench.pick(LOADS, QUICK), seed)?;
    let mut rows = Vec::new();
    let mut all = Service::default();
    let mut table = None;
    while let Some(line) = helper.next_within(PATIENCE)? {
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let Some(said) = said.get("table").and_then(Value::as_str) {
            table = Some(said.to_owned());
            continue;
        }
        let service = Service::of(&said).with_context(|| line.clone())?;
        progress(service.progress());
        rows.push(service.row());
        all.add(service);
    }
    let table = table.context("sensor-bench did not come to its end")?;
    let file = workspace::target().join("bench/log-truth.md");
    fs::write(&file, &table).with_context(|| file.display().to_string())?;
    progress(format_args!("{table}\n   written to {}", file.display()));
    all.verdict()?;
    rows.push(
        Row::new("log-truth: wrong lines, or silent losses", "", 0.0)
            .target(Target::ValueAtMost(0.0))
            .note(format!("of {} lines; seed {seed}", all.lines)),
    );
    Ok(rows)
}

/// What came of the lines of a service.
#[derive(Default)]
struct Service {
    name: String,
    lines: u64,
    right: u64,
    missing: u64,
    wrong: u64,
    lost: u64,
    silent: u64,
    /// Place and share.
    places: String,
    evidence: String,
    words: Vec<String>,
}

impl Service {
    fn of(said: &Value) -> Result<Self> {
        let get = |key: &str| said.get(key).with_context(|| format!("no {key}"));
        let number = |key: &str| get(key)?.as_u64().with_context(|| key.to_owned());
        let place = |said: &Value| {
            let share = said.get("share")?.as_f64()?;
            Some(format!("{} {share:.1} %", said.get("place")?.as_str()?))
        };
        let places = get("places")?.as_array().context("places")?.iter();
        let evidence = get("evidence")?.as_object().context("evidence")?.iter();
        let words = get("words")?.as_array().context("words")?.iter();
        Ok(Self {
            name: get("service")?.as_str().context("service")?.to_owned(),
            lines: number("lines")?,
            right: number("right")?,
            missing: number("missing")?,
            wrong: number("wrong")?,
            lost: number("lost")?,
            silent: number("lost_silently")?,
            places: places.filter_map(place).collect::<Vec<_>>().join(", "),
            evidence: evidence.map(|(by, of)| format!("{by} {of}")).collect::<Vec<_>>().join(", "),
            words: words.filter_map(|text| Some(text.as_str()?.to_owned())).collect(),
        })
    }

    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.wrong += other.wrong;
        self.silent += other.silent;
        let named = |words: String| format!("{}: {words}", other.name);
        self.words.extend(other.words.into_iter().map(named));
    }

    /// Of those with a record, in percent.
    fn share(&self) -> f64 {
        100.0 * count(self.right) / count((self.right + self.missing + self.wrong).max(1))
    }

    fn progress(&self) -> String {
        let Self { name, lines, wrong, lost, places, .. } = self;
        let share = self.share();
        format!(
            "{name}: of {lines} lines {share:.1} % right ({places}), {wrong} wrong, {lost} lost"
        )
    }

    fn row(&self) -> Row {
        let Self { name, lines, right, missing, lost, places, evidence, .. } = self;
        let note = format!(
            "{lines} lines: {right} right, {missing} missing, {lost} lost; {evidence}; {places}"
        );
        Row::new(format!("log-truth: {name}"), "%", self.share()).note(note)
    }

    /// # Errors
    /// Something is wrong, or lost and not counted.
    fn verdict(&self) -> Result<()> {
        let Self { wrong, silent, words, .. } = self;
        if *wrong > 0 || *silent > 0 {
            let words = words.iter().take(WORDS).map(String::as_str).collect::<Vec<_>>();
            let words = words.join("\n");
            bail!("{wrong} wrong, {silent} lost and not counted; the first:\n{words}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Service;
    use serde_json::{Value, json};

    fn said() -> Value {
        json!({
            "service": "x", "lines": 12, "right": 6, "missing": 4, "wrong": 0, "unjudged": 0, "lost": 2,
            "unsaid": 0, "evidence": { "thread": 6 }, "lost_silently": 0, "words": [],
            "places": [{ "place": "begin", "share": 60.0 }, { "place": "later", "share": null }],
        })
    }

    #[test]
    fn shares_are_of_what_has_a_record() {
        let row = Service::of(&said()).expect("a service").row();
        let [name, value, ..] = row.cells();
        assert_eq!([&*name, &*value], ["log-truth: x", "60 %"]);
        let note = row.note_text().expect("a note");
        assert!(note.ends_with("2 lost; thread 6; begin 60.0 %"), "{note}");
    }

    #[test]
    fn a_wrong_line_or_a_silent_loss_fails() {
        for (key, fails) in [("wrong", true), ("lost_silently", true), ("lost", false)] {
            let mut said = said();
            said[key] = 1.into();
            let mut all = Service::default();
            all.add(Service::of(&said).expect("a service"));
            assert_eq!(all.verdict().is_err(), fails, "{key}");
        }
    }
}
