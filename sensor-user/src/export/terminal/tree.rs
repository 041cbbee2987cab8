//! One tree per trace, for people.
//!
//! ```text
//! 14:03:07.215  ⇒ front                   GET     /cart?user=7    200   1.61ms  4bf92f35
//!               └ ⇐ shop                  GET     /cart?user=7    200   1.24ms
//! 14:03:07.215    ├ · info  looking for the kettle  user=7
//!                 ├ ⇒ shop                GET     /stock/kettle   200    310µs  by goroutine
//!                 │ └ ⇐ inventory         GET     /stock/kettle   200    221µs
//!                 └ ⇒ shop                POST    /audit          202    150µs  by thread
//! ```
//!
//! Spans come when they end, and those of a trace at about the same time, so a trace is written when none of
//! it has come for [`REST`]. One that comes later stands for itself, below no one.
//!
//! Lines stand below the span that they belong to, or below the first root where only their trace is known. They may
//! come before their span, so they wait for [`LINGER`] for the first of a trace. After that, and
//! where no trace is known, they stand for themselves.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::pretty::{Line, METHOD, Pretty, outcome, target, text, time_of_day, trace};
use super::text::{clean, cut, duration};
use super::{PrettyOptions, SpanWriter, Summary, record};
use crate::export::weight_of_record;
use crate::model::{LogRecord, Span, SpanId, SpanKind, TraceId};
use crate::trace::{DOUBT, EVIDENCE};

/// How long a trace waits for more of it.
const REST: Duration = Duration::from_millis(600);

/// How long lines wait for the first span of their trace.
const LINGER: Duration = Duration::from_secs(2);

/// Traces, spans and records that wait at most, and bytes of these; the oldest trace makes room.
const TRACES: usize = 512;
const SPANS: usize = 8192;
const RECORDS: usize = 8192;
const RECORD_BYTES: usize = 16 << 20;

/// Columns of branches, arrow and service.
const NAMES: usize = 34;

/// Columns of the target where there is no terminal.
const TARGET: usize = 36;

/// Where branches begin.
const MARGIN: usize = 14;

/// Writes trees.
#[derive(Debug)]
pub struct Tree<W: Write> {
    pretty: Pretty<W>,
    options: PrettyOptions,
    /// In the order in which they last grew.
    waiting: VecDeque<Trace>,
    spans: usize,
    records: usize,
    record_bytes: usize,
}

#[derive(Debug)]
struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    records: Vec<LogRecord>,
    began: Instant,
    grown: Instant,
}

impl Trace {
    fn due(&self) -> Instant {
        if self.spans.is_empty() { self.began + LINGER } else { self.grown + REST }
    }
}

/// What stands in a tree, by its place among the trace's spans or records.
#[derive(Clone, Copy, Debug)]
enum Node {
    Span(usize),
    Record(usize),
}

impl<W: Write> Tree<W> {
    /// Writes to `out`, one `write` a trace.
    pub fn new(out: W, options: PrettyOptions) -> Self {
        let pretty = Pretty::new(out, options);
        let waiting = VecDeque::new();
        Self { pretty, options, waiting, spans: 0, records: 0, record_bytes: 0 }
    }

    /// The trace, to which something is added now.
    fn grow(&mut self, id: TraceId) -> &mut Trace {
        let now = Instant::now();
        let at = self.waiting.iter().position(|trace| trace.id == id);
        let known = at.and_then(|at| self.waiting.remove(at));
        let new = || Trace { id, spans: Vec::new(), records: Vec::new(), began: now, grown: now };
        let trace = Trace { grown: now, ..known.unwrap_or_else(new) };
        self.waiting.push_back_mut(trace)
    }

    /// Writes the oldest traces until the bounds are kept.
    fn make_room(&mut self) -> io::Result<()> {
        while (self.waiting.len() > TRACES
            || self.spans > SPANS
            || self.records > RECORDS
            || self.record_bytes > RECORD_BYTES)
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.write(oldest)?;
        }
        Ok(())
    }

    fn write(&mut self, mut trace: Trace) -> io::Result<()> {
        self.spans -= trace.spans.len();
        self.records -= trace.records.len();
        self.record_bytes -= trace.records.iter().map(weight_of_record).sum::<usize>();
        trace.records.sort_by_key(|record| record.observed_unix_ns);
        if trace.spans.is_empty() {
            return trace.records.iter().try_for_each(|record| self.pretty.record(record));
        }
        // Lines of this trace that come later say that it was here.
        self.pretty.seen(trace.id);
        // Cause before effect, also where both have the same time.
        trace.spans.sort_by_key(|span| (span.start_unix_ns, span.kind == SpanKind::Server));
        let spans = &trace.spans;
        let has_parent = |span: &Span| spans.iter().any(|parent| is_below(span, parent.span_id));
        let roots: Vec<_> = (0..spans.len()).filter(|&at| !has_parent(&spans[at])).collect();
        let root = roots.first().copied().unwrap_or(0);
        let home = |record: &LogRecord| {
            let of = record.correlation.and_then(|it| it.span_id);
            of.and_then(|id| spans.iter().position(|span| span.span_id == id)).unwrap_or(root)
        };
        let homes: Vec<_> = trace.records.iter().map(home).collect();
        let mut text = String::new();
        let mut written = vec![false; spans.len()];
        // The rest is a ring of parents, which only a broken application can make.
        for at in roots.into_iter().chain(0..spans.len()) {
            self.branches(&trace, &homes, at, &mut written, &mut text);
        }
        self.pretty.get_mut().write_all(text.as_bytes())
    }

    /// Writes a span and all below it that is not written yet.
    fn branches(
        &self,
        trace: &Trace,
        homes: &[usize],
        root: usize,
        written: &mut [bool],
        text: &mut String,
    ) {
        let Trace { spans, records, .. } = trace;
        // What is still to be written, the next one last, each with what stands to its left.
        let mut rest = vec![(Node::Span(root), root, String::new(), String::new())];
        while let Some((node, parent, before, below)) = rest.pop() {
            let at = match node {
                Node::Span(at) if !written[at] => at,
                Node::Span(_) => continue,
                Node::Record(at) => {
                    *text += &self.record_line(&records[at], &spans[parent], &before, &below);
                    continue;
                }
            };
            let span = &spans[at];
            written[at] = true;
            self.line(span, &before, text);
            let children = spans.iter().enumerate();
            let children = children.filter(|(_, child)| is_below(child, span.span_id));
            let children = children.map(|(child, it)| (it.start_unix_ns, Node::Span(child)));
            let lines = records.iter().enumerate().filter(|(line, _)| homes[*line] == at);
            let lines = lines.map(|(line, it)| (it.observed_unix_ns, Node::Record(line)));
            let mut all: Vec<_> = children.chain(lines).collect();
            all.sort_by_key(|(time, _)| *time);
            let mut last = true;
            for (_, child) in all.into_iter().rev() {
                let (branch, trunk) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
                last = false;
                rest.push((child, at, format!("{below}{branch}"), format!("{below}{trunk}")));
            }
        }
    }

    /// A line that a service wrote, below `span`.
    fn record_line(&self, record: &LogRecord, span: &Span, before: &str, below: &str) -> String {
        let PrettyOptions { colour, width, full_trace_ids: _, clock } = self.options;
        let mut head = Line::new(colour);
        head.push("2", &time_of_day(record.observed_unix_ns, clock));
        head.push("2", &format!("  {before}"));
        head.push("1", "· ");
        let (style, level) = record::level(record);
        head.push(style, &level);
        let service = record.resource.service_name();
        if service != span.resource.service_name() {
            head.push("2", &format!("{}: ", clean(service.unwrap_or("-"))));
        }
        if record.correlation.is_some_and(|it| it.after_response) {
            head.push("2", "(after the response) ");
        }
        record::finish(head, record, width, &format!("{:MARGIN$}{below}", ""))
    }

    /// A line, with the branches that lead to it.
    fn line(&self, span: &Span, before: &str, out: &mut String) {
        let root = before.is_empty();
        let colour = self.options.colour;
        let mut head = Line::new(colour);
        match root {
            true => head.push("2", &time_of_day(span.start_unix_ns, self.options.clock)),
            false => head.push("", &" ".repeat(MARGIN - 2)),
        }
        head.push("2", &format!("  {before}"));
        head.push("1", if span.kind == SpanKind::Server { "⇐ " } else { "⇒ " });
        let used = before.chars().count() + 2;
        let service = span.resource.service_name().unwrap_or("-");
        head.column("", service, NAMES.saturating_sub(used).max(8));
        let method = text(span, "http.request.method_original")
            .or_else(|| text(span, "http.request.method"))
            .unwrap_or("-");
        head.column("1", method, METHOD);

        let mut tail = Line::new(colour);
        let (style, outcome) = outcome(span);
        tail.push(style, &clean(&format!("{outcome:>3}")));
        let took = duration(span.end_unix_ns.saturating_sub(span.start_unix_ns));
        tail.push("", &format!(" {took:>8}"));
        if root {
            let (style, id) = trace(span.trace_id, self.options.full_trace_ids);
            tail.push("", "  ");
            tail.push(style, &id);
        }
        if let Some(doubt) = text(span, DOUBT) {
            tail.push("33", &format!("  {doubt}"));
        } else if let Some(evidence) = text(span, EVIDENCE)
            && span.kind == SpanKind::Client
            && evidence != "context"
        {
            tail.push("2", &format!("  by {}", evidence.replace('_', " ")));
        }

        let target = target(span);
        let target = clean(&target);
        match self.options.width {
            Some(width) => {
                let room = width.saturating_sub(head.width() + 40).max(12);
                head.push("", &format!("{:room$} ", cut(&target, room)));
            }
            None => head.push("", &format!("{target:TARGET$} ")),
        }
        *out += head.text();
        *out += tail.text();
        *out += "\n";
    }
}

fn is_below(span: &Span, parent: SpanId) -> bool {
    span.parent_span_id == Some(parent) && span.span_id != parent
}

impl<W: Write> SpanWriter for Tree<W> {
    fn span(&mut self, span: &Span) -> io::Result<()> {
        self.grow(span.trace_id).spans.push(span.clone());
        self.spans += 1;
        self.make_room()
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        let Some(correlation) = record.correlation else { return self.pretty.record(record) };
        self.grow(correlation.trace_id).records.push(record.clone());
        self.records += 1;
        self.record_bytes += weight_of_record(record);
        self.make_room()
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        self.pretty.open(so_far)
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(Trace::due).min()
    }

    fn rest(&mut self, now: Instant) -> io::Result<()> {
        while let Some(at) = self.waiting.iter().position(|trace| trace.due() <= now)
            && let Some(trace) = self.waiting.remove(at)
        {
            self.write(trace)?;
        }
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        while let Some(trace) = self.waiting.pop_front() {
            self.write(trace)?;
        }
        self.pretty.summary(summary)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pretty.flush()
    }
}
