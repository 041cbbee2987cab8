//! Whether everything is delivered or counted: each request has a marker of its own in its path, both
//! ends are traced, and the markers in the sensor's JSON lines are ticked off. For each end of each
//! request: captured + counted as lost = sent.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::rig::load::{MARKER, Plan, Rate, Wrk};
use super::rig::sensor::{Sensor, Summary};
use super::rig::server::Server;
use super::row::{Row, Target};
use super::stats::median;
use super::{Bench, progress};

/// A rate that is never reached: every request goes as soon as a connection is free.
const ALL_AT_ONCE: u64 = 1_000_000_000;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let server = Server::nginx(bench)?;
    let mut saturation = Vec::new();
    for _ in 0..bench.pick(3, 1) {
        saturation.push(Wrk::new(server.address(), Duration::from_secs(1))?.run()?);
    }
    let half = median(&saturation).context("no round")? / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "requests a second: positive, and far below 2^53"
    )]
    let rate = (half as u64).max(1);
    let fixed = Plan::new(rate, Duration::from_secs(bench.pick(5, 1)));
    let all = Plan { rate: ALL_AT_ONCE, requests: bench.pick(300_000, 50_000) };

    let mut rows = Vec::new();
    for (name, plan) in [(format!("at {rate}/s"), fixed), ("at saturation".to_owned(), all)] {
        let Account { sent, captured, strange, summary } = measure(bench, &server, plan)?;
        let balance = Balance::new(sent, captured, strange, &summary);
        let note = format!(
            "{sent} requests at both ends: {captured} spans of {}; counted as lost: {}; \
             twice or never sent: {strange}",
            2 * sent,
            match summary.lost_text().as_str() {
                "" => "nothing",
                lost => lost,
            }
        );
        progress(format_args!("{name}: {note}"));
        let mut lost =
            Row::new(format!("loss: spans missing {name}"), "", count(balance.missing)).note(note);
        if plan.rate == rate {
            lost = lost.target(Target::ValueAtMost(0.0));
        }
        rows.push(lost);
        rows.push(
            Row::new(format!("loss: unaccounted for {name}"), "", count(balance.unexplained))
                .target(Target::ValueAtMost(0.0)),
        );
    }
    Ok(rows)
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
pub(super) fn count(n: u64) -> f64 {
    n as f64
}

/// What was sent, and what came out.
struct Account {
    /// Requests.
    sent: u64,
    /// Spans with a marker that was sent, the first for each end.
    captured: u64,
    /// Spans with a marker that was never sent, or that end had already.
    strange: u64,
    summary: Summary,
}

fn measure(bench: &Bench, server: &Server, plan: Plan) -> Result<Account> {
    // Not a pipe: whoever reads it would compete for the same cores.
    let file = bench.file("loss.jsonl");
    let load = Rate::new(bench, server.address(), plan)?;
    let sensor = Sensor::trace_json(bench, &[server.pid(), load.pid()], &file)?;
    let sent = load.run()?.sent;
    sensor.stop()?;
    tick_off(&file, sent)
}

fn tick_off(file: &Path, sent: u64) -> Result<Account> {
    let requests = usize::try_from(sent)?;
    let mut ends = [vec![false; requests], vec![false; requests]];
    let (mut captured, mut strange) = (0, 0);
    let mut last = String::new();
    for line in BufReader::new(File::open(file)?).lines() {
        let line = line?;
        if let Some((end, number)) = marker(&line) {
            match ends.get_mut(end).and_then(|seen| seen.get_mut(number)) {
                Some(seen) if !*seen => {
                    *seen = true;
                    captured += 1;
                }
                _ => strange += 1,
            }
        }
        last = line;
    }
    let summary = serde_json::from_str(&last).context("the last line is not the summary")?;
    let summary = Summary::from_json(&summary)?;
    if summary.get("capture.events") == 0 {
        bail!("the sensor saw nothing of the load");
    }
    Ok(Account { sent, captured, strange, summary })
}

/// Which end (0 for the server's) of which request a line is about. The two keys are looked for as
/// they are written: within a string of JSON a quotation mark has a backslash before it, so no value
/// can look like this.
fn marker(line: &str) -> Option<(usize, usize)> {
    let after = |key: &str| line.find(key).and_then(|at| line.get(at + key.len()..));
    let path = after(r#""url.path":"/"#)?.strip_prefix(MARKER)?;
    let (number, _) = path.split_once('"')?;
    let end = match after(r#""kind":""#)?.split_once('"')?.0 {
        "server" => 0,
        "client" => 1,
        _ => return None,
    };
    Some((end, number.parse().ok()?))
}

/// The equation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Balance {
    /// Spans that did not come.
    pub(super) missing: u64,
    /// Those of them that no counter speaks of, and spans that should not be.
    pub(super) unexplained: u64,
}

impl Balance {
    /// A loss may be counted more than once on its way (a record that the ring had no room for is
    /// later a gap in an exchange): the counters may say more than is missing, and never less.
    pub(super) fn new(sent: u64, captured: u64, strange: u64, summary: &Summary) -> Self {
        let missing = (2 * sent).saturating_sub(captured);
        let counted: u64 = summary.losses().map(|(_, count)| count).sum();
        Self { missing, unexplained: missing.saturating_sub(counted) + strange }
    }
}

#[cfg(test)]
mod tests {
    use super::{Balance, Summary, marker};

    #[test]
    fn markers_are_those_of_spans_with_our_path() {
        let span = |kind: &str, path: &str| {
            format!(
                r#"{{"type":"span","kind":"{kind}","attributes":{{"url.path":"{path}","x":1}}}}"#
            )
        };
        assert_eq!(marker(&span("server", "/m-0")), Some((0, 0)));
        assert_eq!(marker(&span("client", "/m-4711")), Some((1, 4711)));
        for other in ["/m-", "/m-1x", "/x", r#"/\"url.path\":\"/m-1"#] {
            assert_eq!(marker(&span("server", other)), None, "{other}");
        }
        assert_eq!(marker(r#"{"type":"summary"}"#), None);
    }

    #[test]
    fn what_is_missing_has_to_be_counted() {
        let summary = Summary::parse("exchanges.lost.gap 3\nkernel.ring_full 2\nkernel.flows 9\n");
        let of = |captured, strange| Balance::new(100, captured, strange, &summary);
        assert_eq!(of(200, 0), Balance { missing: 0, unexplained: 0 });
        assert_eq!(of(195, 0), Balance { missing: 5, unexplained: 0 });
        assert_eq!(of(193, 0), Balance { missing: 7, unexplained: 2 });
        assert_eq!(of(200, 1), Balance { missing: 0, unexplained: 1 });
    }
}
