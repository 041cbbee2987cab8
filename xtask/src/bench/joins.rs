//! Connections that were there before the sensor: a client with a hundred requests at once on one
//! connection of HTTP/2, each with a trace context of its own, and a sensor that starts at a random
//! moment. What the spans say is held against what the client wrote down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::loss::count;
use super::rig::helper::Helper;
use super::rig::load::MARKER;
use super::rig::sensor::{Sensor, Summary};
use super::rig::server::{self, Server};
use super::row::{Row, Target};
use super::{Bench, progress};

/// Requests at once.
const STREAMS: u32 = 100;
/// Times that the sensor starts.
const JOINS: u32 = 50;
/// The longest that the connection is there before.
const BEFORE: u64 = 1_000;
/// How long it is traced.
const TRACED: Duration = Duration::from_millis(400);
/// `:authority` of all requests, which is not where they go.
const AUTHORITY: &str = "joins.example";

/// All moments, or the first of them.
#[derive(Default)]
struct Account {
    /// Ends of requests that began after the sensor was attached, and were over before it ended.
    ends: u64,
    /// Those with the right context.
    right: u64,
    /// Those that say that a context may be hidden.
    hidden: u64,
    /// Those without a span.
    missing: u64,
    /// All spans, also of requests that began before.
    spans: u64,
    /// Header fields that are unknown.
    unknown: u64,
    /// Of each moment, the share of the right ones, in percent.
    shares: Vec<f64>,
    /// Moments after which all was right.
    whole: u32,
    lost: Vec<String>,
}

/// What the client wrote down of a request.
#[derive(Debug, PartialEq, Eq)]
struct Truth {
    begun: u64,
    done: u64,
    trace: String,
    span: String,
    agent: String,
}

/// What a span says of the context.
#[derive(Debug, PartialEq, Eq)]
enum Context {
    Right,
    Hidden,
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let seed = bench.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let joins = bench.pick(JOINS, 5);
    progress(format_args!("--seed {seed}"));
    let server = Server::nghttpd(bench)?;
    let mut account = Account::default();
    for join in 1..=joins {
        let seed = seed.wrapping_add(u64::from(join).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        moment(bench, &server, seed, &mut account).with_context(|| format!("moment {join}"))?;
        if join % 10 == 0 || join == joins {
            let Account { right, ends, hidden, missing, .. } = &account;
            progress(format_args!(
                "{join} of {joins}: {right} of {ends} right, {hidden} hidden, {missing} missing"
            ));
        }
    }
    let Account { ends, right, hidden, missing, spans, unknown, shares, whole, lost } = account;
    if ends == 0 {
        bail!("no request began after the sensor was attached");
    }
    let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join("; ") };
    let note = format!(
        "{right} of {ends} ends of requests, {hidden} of the others hidden and {missing} without a span; all \
         right after {whole} of {joins} moments; counted as lost: {lost}; seed {seed}",
    );
    // A wrong one ends the measurement: see `judge`.
    let wrong = format!("{spans} spans, {unknown} header fields unknown");
    Ok(vec![
        Row::new("joins: right traceparent", "%", 100.0 * count(right) / count(ends))
            .samples(json!(shares))
            .target(Target::ValueAtLeast(100.0))
            .note(note),
        Row::new("joins: wrong headers", "", 0.0).target(Target::ValueAtMost(0.0)).note(wrong),
    ])
}

/// A client, and after a while the sensor.
fn moment(bench: &Bench, server: &Server, seed: u64, account: &mut Account) -> Result<()> {
    let (spans, log) = (bench.file("joins.jsonl"), bench.file("joins.log"));
    let mut client = Helper::streams(bench, server.address(), AUTHORITY, STREAMS, seed, &log)?;
    client.ask("begin")?;
    thread::sleep(Duration::from_millis(seed % BEFORE));
    let sensor = Sensor::trace_json(bench, &[server.pid(), client.pid()], &spans)?;
    let attached = now();
    thread::sleep(TRACED);
    let over = now();
    // What it has not read yet is in the ring: requests that are over are told.
    sensor.stop()?;
    client.ask("end")?;
    let truth = truth(&fs::read_to_string(&log)?)?;
    account.read(&spans, &truth, attached..over)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// By number.
fn truth(log: &str) -> Result<BTreeMap<u64, Truth>> {
    let request = |line: &str| {
        let mut words = line.split(' ');
        let mut word = || words.next().map(str::to_owned);
        let number = word()?.parse().ok()?;
        let (begun, done) = (word()?.parse().ok()?, word()?.parse().ok()?);
        let (trace, span, agent) = (word()?, word()?, word()?);
        Some((number, Truth { begun, done, trace, span, agent }))
    };
    log.lines()
        .map(|line| request(line).with_context(|| format!("the client wrote `{line}`")))
        .collect()
}

impl Account {
    fn read(
        &mut self,
        file: &Path,
        truth: &BTreeMap<u64, Truth>,
        traced: std::ops::Range<u64>,
    ) -> Result<()> {
        let expected: BTreeSet<_> = truth
            .iter()
            .filter(|(_, request)| request.begun >= traced.start && request.done < traced.end)
            .flat_map(|(number, _)| [(*number, true), (*number, false)])
            .collect();
        let mut missing = expected.clone();
        let (mut right, mut hidden) = (0, 0);
        let mut last = Value::Null;
        for line in BufReader::new(File::open(file)?).lines() {
            let line: Value = serde_json::from_str(&line?)?;
            if line.get("type").and_then(Value::as_str) == Some("span") {
                self.spans += 1;
                let (end, context) = judge(&line, truth)?;
                if missing.remove(&end) {
                    match context {
                        Context::Right => right += 1,
                        Context::Hidden => hidden += 1,
                    }
                }
            }
            last = line;
        }
        let summary = Summary::from_json(&last)?;
        self.unknown += summary.get("http2.fields_unknown");
        // What is open at the end began too late to be asked for.
        let lost: Vec<_> = summary.losses().filter(|(name, _)| *name != "exchanges.open").collect();
        self.lost.extend(lost.iter().map(|(name, count)| format!("{name} {count}")));
        let ends = u64::try_from(expected.len())?;
        self.ends += ends;
        self.right += right;
        self.hidden += hidden;
        self.missing += u64::try_from(missing.len())?;
        self.whole += u32::from(right == ends);
        self.shares.push(100.0 * count(right) / count(ends.max(1)));
        Ok(())
    }
}

/// Which end (true for the client's) of which request a span is about, and whether its context is right.
///
/// # Errors
/// It says anything that is not so. What is hidden may be absent.
fn judge(span: &Value, truth: &BTreeMap<u64, Truth>) -> Result<((u64, bool), Context)> {
    let attributes = span.get("attributes").context("no attributes")?;
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let number =
        text(attributes, "url.query").and_then(|query| query.strip_prefix(MARKER)?.parse().ok());
    let found = number.and_then(|number| Some((number, truth.get(&number)?)));
    let (number, request) = found.with_context(|| format!("of no request: {span}"))?;
    let client = text(span, "kind").as_deref() == Some("client");
    for (of, key, is) in [
        (attributes, "http.request.method", "GET".into()),
        (attributes, "url.scheme", "http".into()),
        (attributes, "url.path", server::FILE_PATH.into()),
        (attributes, "server.address", AUTHORITY.into()),
        (attributes, "user_agent.original", (*request.agent).into()),
        (attributes, "http.response.status_code", 200.into()),
        (attributes, "http.response.body.size", server::FILE.into()),
        (attributes, "rpc.system", Value::Null),
        (attributes, "error.type", Value::Null),
        (span, "trace_state", format!("joins={number}").into()),
    ] {
        if of.get(key).is_some_and(|said| *said != is) {
            bail!("{key} of request {number} is {is}, and the span says: {span}");
        }
    }
    let trace = text(span, "trace_id").is_some_and(|trace| trace == request.trace);
    let parent = text(span, if client { "span_id" } else { "parent_span_id" });
    if trace && parent.as_ref() == Some(&request.span) {
        return Ok(((number, client), Context::Right));
    }
    // A context of its own is told, with the word that it may be another.
    let hidden = text(attributes, "sensor.link").as_deref() == Some("unknown");
    if !hidden || trace || span.get("parent_span_id").is_some() {
        bail!("request {number} has {} {}: {span}", request.trace, request.span);
    }
    Ok(((number, client), Context::Hidden))
}

#[cfg(test)]
mod tests {
    use super::{Context, judge, truth};
    use serde_json::{Value, json};

    /// As the client writes it.
    const LOG: &str = "7 100 200 aa a1 client-7/1.0\n8 150 250 bb b1 once/8\n";

    fn span() -> Value {
        json!({
            "kind": "server", "trace_id": "aa", "span_id": "x", "parent_span_id": "a1",
            "trace_state": "joins=7",
            "attributes": {
                "url.path": "/file.html", "url.query": "m-7", "http.request.method": "GET",
                "user_agent.original": "client-7/1.0", "server.address": "joins.example",
                "http.response.status_code": 200,
            },
        })
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Result<((u64, bool), Context), String> {
        let mut span = span();
        change(&mut span);
        judge(&span, &truth(LOG).expect("two")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_client_wrote_is_the_truth() {
        let all = truth(LOG).expect("two");
        assert_eq!((all[&8].begun, all[&8].done, &*all[&8].span), (150, 250, "b1"));
        assert!(truth("7 100\n").is_err());
    }

    #[test]
    fn right_is_the_trace_and_the_span_that_were_sent() {
        assert_eq!(judged(|_| ()), Ok(((7, false), Context::Right)));
        let client = |span: &mut Value| {
            span["kind"] = "client".into();
            span["span_id"] = "a1".into();
        };
        assert_eq!(judged(client), Ok(((7, true), Context::Right)));
        // Less is no error.
        let less = |span: &mut Value| {
            span["attributes"] = json!({ "url.query": "m-7", "sensor.link": "inferred" });
        };
        assert_eq!(judged(less), Ok(((7, false), Context::Right)));
        let hidden = |span: &mut Value| {
            span["attributes"]["sensor.link"] = "unknown".into();
            span["trace_id"] = "derived".into();
            span.as_object_mut().expect("an object").remove("parent_span_id");
        };
        assert_eq!(judged(hidden), Ok(((7, false), Context::Hidden)));
    }

    #[test]
    fn all_else_is_wrong() {
        for (key, wrong) in [
            ("/trace_id", "bb"),
            ("/parent_span_id", "b1"),
            ("/trace_state", "joins=8"),
            ("/attributes/url.query", "m-8"),
            ("/attributes/url.query", "m-9"),
            ("/attributes/url.path", "/"),
            ("/attributes/server.address", "127.0.0.1"),
            ("/attributes/user_agent.original", "once/8"),
        ] {
            let changed = |span: &mut Value| *span.pointer_mut(key).expect("there") = wrong.into();
            assert!(judged(changed).is_err(), "{key}");
        }
        // Not hidden, and not told.
        let none = |span: &mut Value| {
            span["trace_id"] = "derived".into();
            span.as_object_mut().expect("an object").remove("parent_span_id");
        };
        assert!(judged(none).is_err());
    }
}
