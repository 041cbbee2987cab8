//! The sensor beside OpenTelemetry's SDKs: services that an SDK traces at both ends, and that call one another. What
//! the SDK says of a request and what the sensor says of it have to be the same trace with the same hops.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::driver::Load;
use super::services::middle;
use super::{PassOn, Pattern, Sent};
use crate::sensor::{Engine, Report, Sensor, python, tool, traces_go_workload};
use crate::workloads::{Server, npm_packages, python_packages, source};

/// How long no span has to come for it to be taken that none does.
const QUIET: Duration = Duration::from_secs(2);
/// As many differences are told in words.
const WORDS: usize = 5;

/// A service that an SDK traces. Sources: `tests/workloads/traces-go/sdk`, `sdk-node` and `sdk-python`.
#[derive(Clone, Copy, Debug)]
pub struct Sdk {
    /// What it is called.
    pub name: &'static str,
    /// None where this machine cannot run it.
    program: fn() -> Option<Command>,
    /// In which its SDK carries the context on.
    patterns: &'static [Pattern],
}

const BLOCKING: &[Pattern] = &[Pattern::One, Pattern::Seq, Pattern::Late];
const CONCURRENT: &[Pattern] = &[Pattern::One, Pattern::Seq, Pattern::Late, Pattern::Par];

/// Every one.
pub const SDKS: [Sdk; 3] = [
    Sdk {
        name: "go",
        program: || Some(Command::new(traces_go_workload("sdk")?)),
        patterns: CONCURRENT,
    },
    Sdk {
        name: "node",
        program: || {
            let mut command = Command::new(tool("node")?);
            command.env("NODE_PATH", npm_packages("sdk-node")?);
            command.arg(source("sdk-node/service.js"));
            Some(command)
        },
        patterns: CONCURRENT,
    },
    Sdk {
        name: "python",
        program: || {
            let mut command = Command::new(python()?);
            command.env("PYTHONPATH", python_packages("sdk-python")?);
            command.arg(source("sdk-python/service.py"));
            Some(command)
        },
        patterns: BLOCKING,
    },
];

/// One of the three spans of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Of the request that the driver sent.
    Server,
    /// Of a call.
    Client,
    /// Of a call, where it is served.
    Leaf,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Server, Self::Client, Self::Leaf];

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Leaf => "called server",
        }
    }

    fn of(client: bool, path: &str) -> Self {
        match client {
            true => Self::Client,
            false if path.starts_with("/work/") => Self::Server,
            false => Self::Leaf,
        }
    }
}

/// A span that both tell: by how much the sensor's differs from the SDK's, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// It starts so much later.
    pub start: i64,
    /// It ends so much later.
    pub end: i64,
    /// So long does the SDK's take.
    pub took: i64,
}

/// The sensor beside one SDK.
#[derive(Debug)]
pub struct Comparison {
    /// Spans of the SDK.
    pub spans: usize,
    /// Those that the sensor tells with the same trace, the same caller and, of calls, the same identifier.
    pub same: usize,
    /// Those that the sensor has no span of; see [`Self::counted`].
    pub lost: usize,
    /// Spans that the sensor says itself that it may lack.
    pub counted: u64,
    /// Of the same ones.
    pub differences: BTreeMap<Role, Vec<Difference>>,
    /// The first that are not the same, in words.
    pub words: Vec<String>,
    /// All that the sensor said.
    pub report: Report,
}

/// By kind (true for a client's) and path.
type Spans = BTreeMap<(bool, String), Told>;

/// As much of a span as is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    trace: String,
    span: String,
    parent: Option<String>,
    start: i64,
    end: i64,
}

/// Sends so many requests to a service of this SDK, with a context each, so many at once; none where this machine
/// cannot run it.
///
/// # Errors
/// The service does not start, does not answer, or the SDK does not tell every span.
///
/// # Panics
/// When the sensor does not run.
pub fn compare(
    sdk: &Sdk,
    engine: Engine,
    at_once: usize,
    requests: u64,
) -> Result<Option<Comparison>> {
    let (Some(called), Some(calling)) = ((sdk.program)(), (sdk.program)()) else { return Ok(None) };
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let leaf = middle(sdk.name, called, nobody)?;
    let server = middle(sdk.name, calling, leaf.address)?;
    let sensor = Sensor::on(engine, &[server.pid(), leaf.pid()]);
    let load = Load {
        address: server.address,
        grpc: false,
        pass_on: PassOn::Fresh,
        at_once,
        requests,
        patterns: sdk.patterns,
        seed: 1,
    };
    let sent = load.run();
    let sent = sent.with_context(|| format!("{} said:\n{}", sdk.name, server.process.log()))?;
    let calls: u64 = sent.iter().map(|sent| sent.cell.pattern.calls()).sum();
    let calls = usize::try_from(calls)?;
    let mut theirs = said(&server, sent.len() + calls)?;
    theirs.append(&mut said(&leaf, calls)?);
    ensure!(theirs.len() == sent.len() + 2 * calls, "{}: a span came twice", sdk.name);
    sensor.wait_while_coming(theirs.len(), QUIET);
    let report = sensor.stop();
    let path = |span: &crate::sensor::SpanJson| Some(span.get("url.path")?.as_str()?.to_owned());
    let ours = report.spans.iter().map(|span| {
        let told = Told {
            trace: span.trace_id().to_owned(),
            span: span.span_id().to_owned(),
            parent: span.parent_span_id().map(str::to_owned),
            start: span.start().cast_signed(),
            end: span.end().cast_signed(),
        };
        ((span.is_client(), path(span).unwrap_or_default()), told)
    });
    let ours: Spans = ours.collect();
    Ok(Some(Comparison::of(&sent, &theirs, &ours, report)))
}

/// The spans in a service's log.
fn said(server: &Server, count: usize) -> Result<Spans> {
    let lines = server.process.lines("log", count);
    ensure!(lines.len() == count, "{} spans of {count}: {:?}", lines.len(), lines.last());
    lines.iter().map(|line| span(line).with_context(|| line.clone())).collect()
}

/// A line of a service.
fn span(line: &str) -> Option<((bool, String), Told)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| Some(line.get(key)?.as_str()?.to_owned());
    let attribute = |key: &str| line.get("attributes")?.get(key)?.as_str();
    let client = text("kind")? == "client";
    let path = match client {
        false => attribute("url.path")?,
        // http://ADDRESS/PATH
        true => {
            let url = attribute("url.full")?.strip_prefix("http://")?;
            url.get(url.find('/')?..)?
        }
    };
    let told = Told {
        trace: text("trace_id")?,
        span: text("span_id")?,
        parent: text("parent_span_id"),
        start: line.get("start")?.as_i64()?,
        end: line.get("end")?.as_i64()?,
    };
    Some(((client, path.to_owned()), told))
}

impl Comparison {
    fn of(sent: &[Sent], theirs: &Spans, ours: &Spans, report: Report) -> Self {
        let mut comparison = Self {
            spans: theirs.len(),
            same: 0,
            lost: 0,
            counted: report.counted(),
            differences: BTreeMap::new(),
            words: Vec::new(),
            report,
        };
        for (end, their) in theirs {
            let Some(our) = ours.get(end) else {
                comparison.lost += 1;
                continue;
            };
            match differs(end, [theirs, ours], [their, our]) {
                Some(what) => comparison.words.push(format!("{what}: {end:?} {their:?} {our:?}")),
                None => {
                    comparison.same += 1;
                    let difference = Difference {
                        start: our.start - their.start,
                        end: our.end - their.end,
                        took: their.end - their.start,
                    };
                    let role = Role::of(end.0, &end.1);
                    comparison.differences.entry(role).or_default().push(difference);
                }
            }
        }
        for end in ours.keys().filter(|end| !theirs.contains_key(end)) {
            comparison.words.push(format!("a span that the SDK does not tell: {end:?}"));
        }
        // What both say has to be what was sent, too.
        for sent in sent {
            let told = theirs.get(&(false, sent.path()));
            let context = sent.context.as_ref();
            if told.is_none_or(|told| Some(&told.trace) != context.map(|it| &it.trace_id)) {
                comparison.words.push(format!("the SDK has another trace: {sent:?} {told:?}"));
            }
        }
        comparison.words.truncate(WORDS);
        comparison
    }
}

/// What the two do not say alike, if anything: theirs, and ours.
fn differs(
    end: &(bool, String),
    all: [&Spans; 2],
    [their, our]: [&Told; 2],
) -> Option<&'static str> {
    if their.trace != our.trace {
        return Some("another trace");
    }
    // The SDK's identifier of a call is on the wire; that of a request is nowhere but in the SDK.
    if end.0 && their.span != our.span {
        return Some("another identifier");
    }
    // So parents are compared by who they are: a span that is told, or one that is not.
    let name = |spans: &Spans, parent: &Option<String>| {
        let parent = parent.clone()?;
        let found = spans.iter().find(|((client, path), told)| {
            // Only those of the same request can be.
            told.span == parent && (*client, path) != (end.0, &end.1)
        });
        Some(found.map_or(Err(parent), |(end, _)| Ok(end.clone())))
    };
    let [theirs, ours] = all;
    let same = name(theirs, &their.parent) == name(ours, &our.parent);
    (!same).then_some("another parent")
}

/// Writes an object for each SDK that this machine can run, as it is done, for `cargo xtask bench`. Times are
/// nanoseconds: 5 %, 50 % and 95 % of the differences, and the median of what the SDK's spans take.
///
/// # Errors
/// Those of [`compare`].
///
/// # Panics
/// As there.
pub fn bench(engine: &str, at_once: usize, requests: u64, mut report: impl Write) -> Result<()> {
    let engine = Engine::named(engine).with_context(|| format!("no engine `{engine}`"))?;
    for sdk in &SDKS {
        let found = compare(sdk, engine, at_once, requests).with_context(|| sdk.name)?;
        let Some(found) = found else { continue };
        let role = |role: Role| {
            let all = found.differences.get(&role).map_or(&[][..], Vec::as_slice);
            let quantiles = |of: fn(&Difference) -> i64| {
                let mut of: Vec<_> = all.iter().map(of).collect();
                [0.05, 0.5, 0.95].map(|share| quantile(&mut of, share))
            };
            json!({
                "role": role.name(),
                "starts_later": quantiles(|it| it.start),
                "ends_later": quantiles(|it| it.end),
                "takes_longer": quantiles(|it| it.end - it.start),
                "sdk_takes": quantiles(|it| it.took)[1],
            })
        };
        let line = json!({
            "sdk": sdk.name,
            "spans": found.spans,
            "same": found.same,
            "lost": found.lost,
            "lost_silently": (found.lost as u64).saturating_sub(found.counted),
            "words": found.words,
            "roles": Role::ALL.map(role),
        });
        writeln!(report, "{line}")?;
        report.flush()?;
    }
    Ok(())
}

/// The value that a share of `values` is not above, by nearest rank; none of none.
#[must_use]
pub fn quantile(values: &mut [i64], share: f64) -> Option<i64> {
    values.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of few"
    )]
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::{Spans, Told, differs, quantile, span};

    fn told(span: &str, parent: Option<&str>) -> Told {
        let (trace, span) = ("t".to_owned(), span.to_owned());
        Told { trace, span, parent: parent.map(str::to_owned), start: 1, end: 2 }
    }

    /// A request and its call, where the request's span is `server`.
    fn spans(server: &str) -> Spans {
        [
            ((false, "/work/one/m".to_owned()), told(server, Some("driver"))),
            ((true, "/leaf/m.1".to_owned()), told("c", Some(server))),
            ((false, "/leaf/m.1".to_owned()), told("l", Some("c"))),
        ]
        .into()
    }

    fn compared(change: impl FnOnce(&mut Spans)) -> Vec<Option<&'static str>> {
        let (theirs, mut ours) = (spans("theirs"), spans("ours"));
        change(&mut ours);
        theirs
            .iter()
            .map(|(end, their)| differs(end, [&theirs, &ours], [their, &ours[end]]))
            .collect()
    }

    #[test]
    fn hops_are_the_same_whatever_the_identifiers_of_requests_are() {
        assert_eq!(compared(|_| {}), [None; 3]);
        let changes: [fn(&mut Told); 3] = [
            |told| told.trace = "other".to_owned(),
            |told| told.span = "other".to_owned(),
            |told| told.parent = None,
        ];
        for change in changes {
            let found = compared(|ours| {
                change(ours.get_mut(&(true, "/leaf/m.1".to_owned())).expect("a call"));
            });
            assert_ne!(found[2], None);
        }
        // The one who called is another one.
        let found = compared(|ours| {
            ours.get_mut(&(false, "/work/one/m".to_owned())).expect("a request").parent =
                Some("c".to_owned());
        });
        assert_eq!(found[1], Some("another parent"));
    }

    #[test]
    fn a_line_is_read_by_the_conventions() {
        let line = r#"{"start":5,"end":9,"trace_id":"t","span_id":"s","kind":"client",
            "attributes":{"url.full":"http://127.0.0.1:80/leaf/m.1"}}"#;
        let (end, told) = span(line).expect("a span");
        assert_eq!(end, (true, "/leaf/m.1".to_owned()));
        assert_eq!((told.start, told.end, told.parent), (5, 9, None));
        assert!(span("{}").is_none());
    }

    #[test]
    fn quantiles_are_values() {
        let mut values = [5, 1, 3, 2, 4];
        let of = |values: &mut [i64], share| quantile(values, share).expect("some");
        assert_eq!([0.0, 0.5, 0.9, 1.0].map(|share| of(&mut values, share)), [1, 3, 5, 5]);
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
