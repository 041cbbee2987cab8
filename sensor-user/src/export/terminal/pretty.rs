//! One aligned line per exchange and per record of a log, for people.
//!
//! ```text
//! 14:03:07.214   · shop             info  4bf92f35  added to cart  user=7
//! 14:03:07.215  └⇐ shop             GET     /cart?user=7    200   1.24ms  10.0.0.7:41822  4bf92f35
//! ```
//!
//! `⇐` is a request received, `⇒` one sent, `·` a line that a service wrote; `└` before it means that the trace was seen a moment
//! ago, in a line above. Spans come when they end, so what was called stands above its caller. An
//! exchange that goes on for long has lines with `open` before that, each with its time so far.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};

use super::record;
use super::text::{clean, cut, duration};
use super::{ServiceCount, SpanWriter, Summary, footer};
use crate::model::{LogRecord, Span, SpanKind, Status, TraceId, Value};
use crate::process::utc_offset;
use crate::wire::grpc;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrettyOptions {
    /// With ANSI colours. Whoever calls knows of the terminal and of `NO_COLOR`.
    pub colour: bool,
    /// Columns of the terminal; lines are fitted to it. None: nothing is cut.
    pub width: Option<usize>,
    /// Trace identifiers in full, not their first eight digits.
    pub full_trace_ids: bool,
    /// Which time of day is shown.
    pub clock: Clock,
}

/// The zone that times are shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's (`TZ`, `/etc/localtime`).
    Local,
    /// UTC.
    Utc,
}

/// Traces remembered for the `└`; enough for what fits on a screen.
const RECENT_TRACES: usize = 64;

/// Where what stands below a line begins.
const MARGIN: usize = 17;

const SERVICE: usize = 16;
pub(super) const METHOD: usize = 7;
const PEER: usize = 21;
/// The target keeps this much even on a terminal that is too narrow.
const MIN_TARGET: usize = 12;
/// And is aligned at this much where there is no terminal.
const DEFAULT_TARGET: usize = 40;

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
/// For trace identifiers: the same trace has the same colour.
const TRACE_COLOURS: [&str; 6] = ["34", "35", "36", "94", "95", "96"];

/// Writes lines for people.
#[derive(Debug)]
pub struct Pretty<W: Write> {
    out: W,
    options: PrettyOptions,
    recent: VecDeque<TraceId>,
}

impl<W: Write> Pretty<W> {
    /// Writes to `out`, one `write` a line.
    pub fn new(out: W, options: PrettyOptions) -> Self {
        Self { out, options, recent: VecDeque::with_capacity(RECENT_TRACES) }
    }

    /// For a terminal that changed its size.
    pub fn set_width(&mut self, width: Option<usize>) {
        self.options.width = width;
    }

    /// The writer below, for a footer under the lines.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Whether something of this trace was written lately; it is now.
    pub(super) fn seen(&mut self, trace: TraceId) -> bool {
        let at = self.recent.iter().position(|known| *known == trace);
        if let Some(at) = at {
            self.recent.remove(at);
        } else if self.recent.len() == RECENT_TRACES {
            self.recent.pop_front();
        }
        self.recent.push_back(trace);
        at.is_some()
    }

    fn line(&mut self, span: &Span, open: bool) -> String {
        let colour = self.options.colour;
        let mut head = Line::new(colour);
        head.push(DIM, &time_of_day(span.start_unix_ns, self.options.clock));
        head.push(DIM, if self.seen(span.trace_id) { "  └" } else { "   " });
        head.push(BOLD, if span.kind == SpanKind::Server { "⇐ " } else { "⇒ " });
        head.column("", span.resource.service_name().unwrap_or("-"), SERVICE);
        let method = text(span, "http.request.method_original")
            .or_else(|| text(span, "http.request.method"))
            .unwrap_or("-");
        head.column(BOLD, method, METHOD);

        let mut tail = Line::new(colour);
        let (style, outcome) = match open {
            true => (DIM, Cow::Borrowed("open")),
            false => outcome(span),
        };
        tail.push(style, &clean(&format!("{outcome:>3}")));
        let took = duration(span.end_unix_ns.saturating_sub(span.start_unix_ns));
        tail.push("", &format!(" {took:>8}  "));
        tail.column(DIM, &peer(span), PEER);
        let (style, trace) = trace(span.trace_id, self.options.full_trace_ids);
        tail.push(style, &trace);

        let target = target(span);
        let target = clean(&target);
        match self.options.width {
            Some(width) => {
                let room = width.saturating_sub(head.width + tail.width + 1).max(MIN_TARGET);
                head.push("", &format!("{:room$} ", cut(&target, room)));
            }
            None => head.push("", &format!("{target:DEFAULT_TARGET$} ")),
        }
        head.text.push_str(&tail.text);
        head.text.push('\n');
        head.text
    }

    fn record_line(&mut self, record: &LogRecord) -> String {
        let PrettyOptions { colour, width, full_trace_ids, clock } = self.options;
        let id = record.correlation.map(|it| it.trace_id);
        let mut head = Line::new(colour);
        // The kernel's time: it is the one that is in order with all others.
        head.push(DIM, &time_of_day(record.observed_unix_ns, clock));
        head.push(DIM, if id.is_some_and(|id| self.seen(id)) { "  └" } else { "   " });
        head.push(BOLD, "· ");
        head.column("", record.resource.service_name().unwrap_or("-"), SERVICE);
        let (style, level) = record::level(record);
        head.push(style, &level);
        let columns = if full_trace_ids { 32 } else { 8 };
        match id.map(|id| trace(id, full_trace_ids)) {
            Some((style, id)) => head.push(style, &id),
            None => head.push("", &" ".repeat(columns)),
        }
        head.push("", "  ");
        record::finish(head, record, width, &" ".repeat(MARGIN))
    }
}

impl<W: Write> SpanWriter for Pretty<W> {
    fn span(&mut self, span: &Span) -> io::Result<()> {
        let line = self.line(span, false);
        self.out.write_all(line.as_bytes())
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<()> {
        let line = self.record_line(record);
        self.out.write_all(line.as_bytes())
    }

    fn open(&mut self, so_far: &Span) -> io::Result<()> {
        let line = self.line(so_far, true);
        self.out.write_all(line.as_bytes())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let Summary { elapsed, counters, by_service } = summary;
        let elapsed = duration(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        let mut text = format!("\n{elapsed} of traffic\n\n");
        if !by_service.is_empty() {
            text +=
                &format!("{:24} {:>10} {:>10} {:>10}\n", "service", "received", "sent", "errors");
        }
        for (service, ServiceCount { server, client, errors }) in by_service {
            let service = clean(service);
            text += &format!("{:24} {server:>10} {client:>10} {errors:>10}\n", cut(&service, 24));
        }
        text.push('\n');
        for (name, count) in counters.iter().filter(|(_, count)| *count > 0) {
            text += &format!("{:36} {count:>12}\n", clean(name));
        }
        let counters = counters.iter().map(|(name, count)| (name.as_str(), *count));
        text += &format!("\n{}\n", footer(counters, None));
        self.out.write_all(text.as_bytes())?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The trace's colour and its identifier, in full or not.
pub(super) fn trace(trace: TraceId, full: bool) -> (&'static str, String) {
    let mut id = trace.to_string();
    if !full {
        id.truncate(8);
    }
    let last = usize::from(trace.bytes()[15]);
    (TRACE_COLOURS[last % TRACE_COLOURS.len()], id)
}

/// A line that knows how wide it looks.
pub(super) struct Line {
    text: String,
    width: usize,
    colour: bool,
}

impl Line {
    pub(super) fn new(colour: bool) -> Self {
        Self { text: String::with_capacity(160), width: 0, colour }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Appends text that is clean already.
    pub(super) fn push(&mut self, style: &str, text: &str) {
        self.width += text.chars().count();
        if self.colour && !style.is_empty() {
            self.text += &format!("\x1b[{style}m{text}\x1b[0m");
        } else {
            self.text += text;
        }
    }

    /// Appends a column of text from the wire, and a space.
    pub(super) fn column(&mut self, style: &str, text: &str, width: usize) {
        let text = clean(text);
        self.push(style, &format!("{:width$} ", cut(&text, width)));
    }
}

pub(super) fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match value(span, key)? {
        Value::Str(text) => Some(text),
        Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Strs(_) => None,
    }
}

fn value<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|it| &it.value)
}

pub(super) fn target(span: &Span) -> Cow<'_, str> {
    match (text(span, "url.path"), text(span, "url.query")) {
        (Some(path), Some(query)) => Cow::Owned(format!("{path}?{query}")),
        (Some(path), None) => Cow::Borrowed(path),
        (None, _) => Cow::Borrowed(text(span, "url.full").unwrap_or("-")),
    }
}

/// The status code (a call's by its name), or what went wrong instead, and its colour.
pub(super) fn outcome(span: &Span) -> (&'static str, Cow<'_, str>) {
    if let Some(&Value::Int(code)) = value(span, "rpc.grpc.status_code") {
        let status = u32::try_from(code).ok().map(grpc::Status);
        let name = status.and_then(grpc::Status::name);
        let style = match status {
            Some(grpc::Status(0)) => GREEN,
            Some(status) if !status.is_server_error() => YELLOW,
            _ => RED,
        };
        return (style, name.map_or_else(|| Cow::Owned(code.to_string()), Cow::Borrowed));
    }
    if let Some(Value::Int(code)) = value(span, "http.response.status_code") {
        let style = match code {
            200..300 => GREEN,
            300..400 => CYAN,
            400..500 => YELLOW,
            500.. => RED,
            _ => DIM,
        };
        return (style, Cow::Owned(code.to_string()));
    }
    match text(span, "error.type") {
        Some(error) => (RED, cut(error, 24)),
        None if span.status == Status::Error => (RED, Cow::Borrowed("error")),
        None => (DIM, Cow::Borrowed("-")),
    }
}

/// Who is at the other end.
fn peer(span: &Span) -> String {
    let (address, port) = match span.kind {
        SpanKind::Server => ("client.address", "client.port"),
        SpanKind::Client => ("server.address", "server.port"),
    };
    let (address, port) = match text(span, address) {
        Some(address) => (address, value(span, port)),
        None => match text(span, "network.peer.address") {
            Some(address) => (address, value(span, "network.peer.port")),
            None => return "-".to_owned(),
        },
    };
    match port {
        Some(Value::Int(port)) if address.contains(':') => format!("[{address}]:{port}"),
        Some(Value::Int(port)) => format!("{address}:{port}"),
        _ => address.to_owned(),
    }
}

/// `HH:MM:SS.mmm`.
pub(super) fn time_of_day(unix_ns: u64, clock: Clock) -> String {
    let seconds = unix_ns / 1_000_000_000;
    let milliseconds = unix_ns / 1_000_000 % 1_000;
    let (hours, minutes, seconds) = match clock {
        Clock::Utc => (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60),
        Clock::Local => local(seconds),
    };
    format!("{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}")
}

fn local(unix_seconds: u64) -> (u64, u64, u64) {
    let local = unix_seconds.saturating_add_signed(utc_offset(unix_seconds).into());
    (local / 3600 % 24, local / 60 % 60, local % 60)
}
