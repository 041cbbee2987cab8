//! Services that log a lot, with the sensor and without it: what taking their lines costs them, and whether every line
//! is there or counted. Lines have their numbers in them.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::loss::count;
use super::rig::load::Wrk;
use super::rig::logger::{self, Lines, Logged, Logger};
use super::rig::sensor::{Sensor, Summary};
use super::rig::server::Server;
use super::row::{Row, Target};
use super::{Bench, progress};

const THROUGHPUT: f64 = 0.95;
/// Of a busy service.
const BUSY: u32 = 20_000;
/// Of one that has gone wrong.
const FLOOD: u32 = 100_000;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let program = logger::build()?;
    let mut rows = vec![busy(bench, &program)?];
    rows.extend(requests(bench)?);
    for rate in [BUSY, FLOOD] {
        rows.extend(numbered(bench, &program, rate)?);
    }
    Ok(rows)
}

/// As much work with each line as makes it [`BUSY`] lines a second on this machine: then all that a line costs more
/// shows in how many there are.
fn busy(bench: &Bench, program: &Path) -> Result<Row> {
    let spin = spin(bench, program)?;
    let lines = Lines { count: BUSY * bench.pick(3, 1), rate: 0, spin };
    let rounds = bench.pick(9, 3);
    let mut pairs = Vec::new();
    let (mut taken, mut lost) = (0, 0);
    for round in 1..=rounds {
        let without = Logger::new(bench, program, lines)?.run()?.rate;
        let logger = Logger::new(bench, program, lines)?;
        let sensor = Sensor::take_logs(bench, &[logger.pid()])?;
        let with = logger.run()?.rate;
        let summary = sensor.stop()?;
        taken += summary.some("logs.lines")?;
        lost += summary.get("kernel.lines_lost");
        progress(format_args!(
            "round {round} of {rounds}: {with:.0} lines/s, {without:.0} lines/s without"
        ));
        pairs.push((without, with));
    }
    let row = Row::of_pairs("log-load: a service that works, and logs", "lines/s", &pairs);
    let note = format!(
        "{taken} lines taken in {rounds} runs, {lost} counted as lost; {spin} turns of work a line"
    );
    Ok(row.context("no round")?.target(Target::RatioAtLeast(THROUGHPUT)).note(note))
}

/// How much work makes a line take as long as it may.
fn spin(bench: &Bench, program: &Path) -> Result<u32> {
    const TURNS: u32 = 20_000;
    let nanos = |spin, count| -> Result<f64> {
        let lines = Lines { count, rate: 0, spin };
        Ok(1e9 / Logger::new(bench, program, lines)?.run()?.rate)
    };
    nanos(0, BUSY)?; // caches warm up
    let line = nanos(0, BUSY)?;
    let turn = (nanos(TURNS, BUSY)? - line) / f64::from(TURNS);
    let left = 1e9 / f64::from(BUSY) - line;
    if turn <= 0.0 || left <= 0.0 {
        bail!("a line takes {line:.0} ns, a turn of work {turn:.3} ns: not {BUSY} lines a second");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and some ten thousand"
    )]
    Ok((left / turn) as u32)
}

/// A line for each request of an HTTP service that does nothing else, as fast as it can: beside the sensor that takes
/// no lines, and beside none.
fn requests(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::go_logging(bench)?;
    let time = Duration::from_secs(bench.pick(3, 1));
    let rounds = bench.pick(5, 2);
    let load = || Wrk::new(server.address(), time);
    load()?.run()?; // caches and connections warm up
    let (mut beside, mut none) = (Vec::new(), Vec::new());
    let (mut taken, mut lost) = (0, Vec::new());
    for round in 1..=rounds {
        let without = load()?.run()?;
        let wrk = load()?;
        let sensor = Sensor::trace(bench, &[server.pid(), wrk.pid()])?;
        let no_lines = wrk.run()?;
        sensor.stop()?;
        let wrk = load()?;
        let sensor = Sensor::take_logs(bench, &[server.pid(), wrk.pid()])?;
        let with = wrk.run()?;
        let summary = sensor.stop()?;
        taken += summary.some("logs.lines")?;
        lost.extend(Some(summary.lost_text()).filter(|lost| !lost.is_empty()));
        progress(format_args!(
            "round {round} of {rounds}: {with:.0}/s, {no_lines:.0}/s without lines, {without:.0}/s without"
        ));
        beside.push((no_lines, with));
        none.push((without, with));
    }
    let lost = if lost.is_empty() { "nothing lost".to_owned() } else { lost.join("; ") };
    let note = format!("{taken} lines taken; {lost}");
    let rows = [
        Row::of_pairs("log-load: requests, lines taken or not", "/s", &beside)
            .map(|row| row.target(Target::RatioAtLeast(THROUGHPUT)).note(note)),
        Row::of_pairs("log-load: requests with a line each", "/s", &none),
    ];
    rows.into_iter().collect::<Option<_>>().context("no round")
}

/// Whether every line is there or counted, at a rate, and whether the service keeps that.
fn numbered(bench: &Bench, program: &Path, rate: u32) -> Result<Vec<Row>> {
    let lines = Lines { count: rate * bench.pick(5, 1), rate, spin: 0 };
    let without = Logger::new(bench, program, lines)?.run()?;
    let logger = Logger::new(bench, program, lines)?;
    // Not a pipe: whoever reads it would compete for the same cores.
    let file = bench.file("records.jsonl");
    let sensor = Sensor::logs_json(bench, &[logger.pid()], &file)?;
    let with = logger.run()?;
    sensor.stop()?;
    let account = Account::of(BufReader::new(File::open(&file)?), lines.count)?;
    fs::remove_file(&file)?;
    let Account { found, strange, summary } = &account;
    let lost = match summary.lost_text().as_str() {
        "" => "nothing".to_owned(),
        lost => lost.to_owned(),
    };
    let millis = |logged: &Logged| logged.longest / 1e6;
    let (longest, longest_without) = (millis(&with), millis(&without));
    let note = format!(
        "{} lines, {found} records; counted as lost: {lost}; twice or never written: {strange}; the longest that one took: \
         {longest:.2} ms, {longest_without:.2} ms without",
        lines.count
    );
    progress(format_args!("at {rate}/s: {:.0}/s kept, {note}", with.rate));
    let kept = Row::of_pairs(
        format!("log-load: rate kept at {rate} lines/s"),
        "lines/s",
        &[(without.rate, with.rate)],
    );
    let (missing, unexplained) = account.balance(lines.count);
    Ok(vec![
        kept.context("no round")?.target(Target::RatioAtLeast(THROUGHPUT)),
        Row::new(format!("log-load: lines missing at {rate}/s"), "", count(missing)).note(note),
        Row::new(format!("log-load: unaccounted for at {rate}/s"), "", count(unexplained))
            .target(Target::ValueAtMost(0.0)),
    ])
}

/// What came out.
struct Account {
    /// Lines with a record, the first for each.
    found: u64,
    /// Records with a number that is no line's, or that has one already.
    strange: u64,
    summary: Summary,
}

impl Account {
    /// From the sensor's lines of JSON.
    fn of(lines: impl std::io::BufRead, count: u32) -> Result<Self> {
        let mut seen = vec![false; usize::try_from(count)?];
        let (mut found, mut strange) = (0, 0);
        let mut last = String::new();
        for line in lines.lines() {
            let line = line?;
            let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
            if said.get("type").and_then(Value::as_str) == Some("log") {
                let number = said.pointer("/attributes/n").and_then(Value::as_u64);
                let number = number.and_then(|number| usize::try_from(number).ok());
                match number.and_then(|number| seen.get_mut(number)) {
                    Some(seen) if !*seen => {
                        *seen = true;
                        found += 1;
                    }
                    _ => strange += 1,
                }
            }
            last = line;
        }
        let summary = serde_json::from_str(&last).context("the last line is not the summary")?;
        let summary = Summary::from_json(&summary)?;
        if found == 0 {
            bail!("the sensor took none of the lines");
        }
        Ok(Self { found, strange, summary })
    }

    /// Lines without a record, and those of them that no counter speaks of, with records that should not be. The
    /// counters may say more than is missing, and never less.
    fn balance(&self, count: u32) -> (u64, u64) {
        let missing = u64::from(count).saturating_sub(self.found);
        let counted: u64 = self.summary.losses().map(|(_, count)| count).sum();
        (missing, missing.saturating_sub(counted) + self.strange)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    fn account(numbers: &[u32], lost: u64) -> Account {
        let records = numbers.iter().map(|n| {
            format!(
                "{{\"type\":\"log\",\"message\":\"order placed\",\"attributes\":{{\"n\":{n}}}}}\n"
            )
        });
        let summary =
            format!("{{\"type\":\"summary\",\"counters\":{{\"kernel.lines_lost\":{lost}}}}}\n");
        let text: String = records.chain([summary]).collect();
        Account::of(text.as_bytes(), 4).expect("an account")
    }

    #[test]
    fn what_is_missing_has_to_be_counted() {
        for (numbers, lost, balance) in [
            (&[0, 1, 2, 3][..], 0, (0, 0)),
            (&[3, 0, 1], 1, (1, 0)),
            (&[3, 0], 1, (2, 1)),
            (&[0, 1, 2, 3, 3], 0, (0, 1)),
            (&[0, 1, 2, 4], 1, (1, 1)),
        ] {
            assert_eq!(account(numbers, lost).balance(4), balance, "{numbers:?} {lost}");
        }
    }
}
