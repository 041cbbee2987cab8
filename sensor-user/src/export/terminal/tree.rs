//! One tree per trace, for people.
//!
//! ```text
//! 14:03:07.215  ⇒ front                   GET     /cart?user=7    200   1.61ms  4bf92f35
//!               └ ⇐ shop                  GET     /cart?user=7    200   1.24ms
//!                 ├ ⇒ shop                GET     /stock/kettle   200    310µs  by goroutine
//!                 │ └ ⇐ inventory         GET     /stock/kettle   200    221µs
//!                 └ ⇒ shop                POST    /audit          202    150µs  by thread
//! ```
//!
//! Spans come when they end, and those of a trace at about the same time, so a trace is written when none of
//! it has come for [`REST`]. One that comes later stands for itself, below no one.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::pretty::{Line, METHOD, Pretty, outcome, target, text, time_of_day, trace};
use super::text::{clean, cut, duration};
use super::{PrettyOptions, SpanWriter, Summary};
use crate::model::{LogRecord, Span, SpanId, SpanKind, TraceId};
use crate::trace::{DOUBT, EVIDENCE};

/// How long a trace waits for more of it.
const REST: Duration = Duration::from_millis(200);

/// Traces and spans that wait at most; the oldest trace makes room.
const TRACES: usize = 512;
const SPANS: usize = 8192;

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
}

#[derive(Debug)]
struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    grown: Instant,
}

impl<W: Write> Tree<W> {
    /// Writes to `out`, one `write` a trace.
    pub fn new(out: W, options: PrettyOptions) -> Self {
        Self { pretty: Pretty::new(out, options), options, waiting: VecDeque::new(), spans: 0 }
    }

    fn write(&mut self, trace: Trace) -> io::Result<()> {
        let Trace { mut spans, .. } = trace;
        self.spans -= spans.len();
        // Cause before effect, also where both have the same time.
        spans.sort_by_key(|span| (span.start_unix_ns, span.kind == SpanKind::Server));
        let mut text = String::new();
        let mut written = vec![false; spans.len()];
        let has_parent = |span: &Span| spans.iter().any(|parent| is_below(span, parent.span_id));
        for (at, span) in spans.iter().enumerate() {
            if !has_parent(span) {
                self.branches(&spans, at, &mut written, &mut text);
            }
        }
        // Of a ring of parents, which only a broken application can make.
        for at in 0..spans.len() {
            self.branches(&spans, at, &mut written, &mut text);
        }
        self.pretty.get_mut().write_all(text.as_bytes())
    }

    /// Writes a span and all below it that is not written yet.
    fn branches(&self, spans: &[Span], root: usize, written: &mut [bool], text: &mut String) {
        // What is still to be written, the next one last, each with what stands to its left.
        let mut rest = vec![(root, String::new(), String::new())];
        while let Some((at, before, below)) = rest.pop() {
            let Some(span) = spans.get(at).filter(|_| !written[at]) else { continue };
            written[at] = true;
            self.line(span, &before, text);
            let children = spans.iter().enumerate().rev();
            let mut last = true;
            for (child, _) in children.filter(|(_, child)| is_below(child, span.span_id)) {
                let (branch, trunk) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
                last = false;
                rest.push((child, format!("{below}{branch}"), format!("{below}{trunk}")));
            }
        }
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
            let (style, id) = trace(span, self.options.full_trace_ids);
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
        let grown = Instant::now();
        let at = self.waiting.iter().position(|trace| trace.id == span.trace_id);
        let mut trace = at.and_then(|at| self.waiting.remove(at)).unwrap_or_else(|| Trace {
            id: span.trace_id,
            spans: Vec::new(),
            grown,
        });
        trace.grown = grown;
        trace.spans.push(span.clone());
        self.waiting.push_back(trace);
        self.spans += 1;
        while (self.waiting.len() > TRACES || self.spans > SPANS)
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.write(oldest)?;
        }
        Ok(())
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        self.pretty.record(record)
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        self.pretty.open(so_far)
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|trace| trace.grown + REST)
    }

    fn rest(&mut self, now: Instant) -> io::Result<()> {
        while let Some(trace) = self.waiting.pop_front_if(|trace| trace.grown + REST <= now) {
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
