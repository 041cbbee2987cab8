//! Which lines make one record: what may follow a line, by what it looks like.
//!
//! Only what the texts of the languages' own traces prove is put together. A line that a logger began a
//! record with always begins one.

mod blocks;

use super::look::{self, Brackets};
use blocks::Block;

/// What a record looks like so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// It is complete: no line belongs to it any more.
    Alone,
    /// A line, perhaps with lines that are indented.
    Line {
        /// A logger began it: a line that is indented belongs to it.
        log: bool,
    },
    /// Brackets that are open, alone in their first line.
    Json(Brackets),
    /// Of Java, Node or .NET.
    Trace(Trace),
    /// Of Node, for what nobody caught.
    Node(Node),
    /// Of Python.
    Python(Python),
    /// Of Go.
    Go(Go),
    /// Of Rust.
    Rust(Rust),
    /// Of others.
    Block(Block),
}

/// An exception, then `at …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// A frame was there.
    framed: bool,
    /// Node shows the exception's properties, in brackets that are not closed.
    open: bool,
    /// It was not caught: there is more after an empty line.
    uncaught: bool,
}

/// `place:line`, the line, a caret, an empty line; then it is a [`Trace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Place,
    Code,
    Caret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Python {
    /// `Exception in thread …`: the trace is to follow.
    Announced,
    /// Frames, until a line that is not indented: the exception.
    Frames,
    /// That was there.
    Raised,
    /// `During handling of the above exception, …`.
    Chained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Go {
    /// `panic: …`.
    Panic,
    /// Goroutines' frames.
    Frames,
    /// Zap's: the name of a function alone, to be followed by its place.
    Function,
    /// That was there.
    Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rust {
    /// `thread 'main' panicked at …:`: the message is to follow.
    Panicked,
    /// That was there.
    Message,
    /// Its second line, if what is to follow does follow.
    MoreMessage,
    /// `stack backtrace:`.
    Frames,
}

/// What a line is to the record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A part of it, which looks like this then.
    Joins(Shape),
    /// A part of it, if the next line is one of what would look like this then. Otherwise it begins another.
    Perhaps(Shape),
    /// It begins another.
    Begins,
}
use Verdict::{Begins, Joins, Perhaps};

/// What there is of a record before a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before<'a> {
    /// Its text.
    pub(super) text: &'a [u8],
    /// An empty line is between that and the line.
    pub(super) blank: bool,
    /// In this file, no line has stood alone that no logger began.
    pub(super) loggers_only: bool,
}

impl Before<'_> {
    fn first_line(&self) -> &[u8] {
        self.text.split(|&byte| byte == b'\n').next().unwrap_or_default()
    }
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const GROUP: &[u8] = b"  + Exception Group Traceback (most recent call last):";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];
/// Beginnings of what asyncio tells of an exception that nobody took, between its first line and the trace.
const CONTEXT: [&[u8]; 6] =
    [b"future: <", b"task: <", b"handle: <", b"protocol: <", b"transport: <", b"asyncgen: <"];
const CAUSES: [&[u8]; 3] = [b"Caused by: ", b"Suppressed: ", b"Wrapped by: "];
const NESTED: &[u8] = b"nested exception is:";
const PANICS: [&[u8]; 4] =
    [b"panic: ", b"fatal error: ", b"runtime: ", b"unexpected fault address "];

fn starts(line: &[u8], with: &[&[u8]]) -> bool {
    with.iter().any(|start| line.starts_with(start))
}

/// `SIGQUIT: quit`.
fn is_signal(line: &[u8]) -> bool {
    line.strip_prefix(b"SIG").is_some_and(|rest| {
        let name = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        name > 1 && rest[name..].starts_with(b": ")
    })
}

fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b" panicked at ").is_some()
}

impl Shape {
    /// What a record looks like that begins with this line.
    pub(super) fn begin(line: &[u8]) -> Self {
        if look::is_alone(line) {
            return Self::Alone;
        }
        if look::begins_record(line) {
            return Self::Line { log: true };
        }
        if let Some(block) = blocks::begin(line) {
            return Self::Block(block);
        }
        match line.first() {
            Some(b'{' | b'[') if line.trim_ascii_end().len() == 1 => {
                let mut brackets = Brackets::default();
                brackets.pass(line);
                Self::Json(brackets)
            }
            Some(b' ' | b'\t') if look::is_frame(line) => {
                Self::Trace(Trace { framed: true, open: false, uncaught: false })
            }
            Some(b' ') if line.starts_with(b"  File \"") || line == GROUP => {
                Self::Python(Python::Frames)
            }
            Some(b'T') if line == TRACEBACK => Self::Python(Python::Frames),
            Some(b'E') if line.starts_with(b"Exception in thread ") && line.ends_with(b":") => {
                Self::Python(Python::Announced)
            }
            Some(b'E') if line.starts_with(b"Exception ignored in: ") => {
                Self::Python(Python::Announced)
            }
            Some(b'p' | b'f' | b'r' | b'u') if starts(line, &PANICS) => Self::Go(Go::Panic),
            Some(b'S') if is_signal(line) => Self::Go(Go::Panic),
            Some(b'g') if look::is_goroutine(line) => Self::Go(Go::Frames),
            Some(b't') if is_rust_panic(line) => Self::Rust(Rust::Panicked),
            _ if look::is_node_place(line) => Self::Node(Node::Place),
            _ if look::is_exception(line) => {
                Self::Trace(Trace { framed: false, open: false, uncaught: false })
            }
            _ => Self::Line { log: false },
        }
    }

    /// Lines of it belong together, by what they look like.
    pub(super) fn is_trace(self) -> bool {
        !matches!(self, Self::Alone | Self::Line { .. })
    }

    /// It cannot be all: its end is yet to come.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Json(_) | Self::Python(Python::Frames | Python::Chained) => true,
            Self::Trace(trace) => trace.open,
            Self::Block(block) => block.is_open(),
            _ => false,
        }
    }

    /// More of it may come after an empty line.
    pub(super) fn spans_blank(self) -> bool {
        match self {
            Self::Json(_) | Self::Go(Go::Panic | Go::Frames) => true,
            Self::Node(node) => node == Node::Caret,
            Self::Trace(trace) => trace.uncaught,
            Self::Python(python) => matches!(python, Python::Raised | Python::Chained),
            Self::Block(block) => block.spans_blank(),
            Self::Alone | Self::Line { .. } | Self::Go(_) | Self::Rust(_) => false,
        }
    }

    /// What the next line is to it, which is not empty.
    pub(super) fn next(self, before: Before<'_>, line: &[u8]) -> Verdict {
        match self {
            Self::Alone => Begins,
            Self::Line { log } => after_line(log, before, line),
            Self::Json(brackets) => after_json(brackets, line),
            Self::Trace(trace) => after_trace(trace, before, line),
            Self::Node(node) => after_node(node, line),
            Self::Python(python) => after_python(python, before, line),
            Self::Go(go) => after_go(go, before, line),
            Self::Rust(rust) => after_rust(rust, line),
            Self::Block(block) => block.next(before.blank, line),
        }
    }
}

fn after_line(log: bool, before: Before<'_>, line: &[u8]) -> Verdict {
    if look::is_frame(line) {
        return Joins(Shape::Trace(Trace {
            framed: true,
            open: line.ends_with(b"{"),
            uncaught: false,
        }));
    }
    if !log {
        return Begins;
    }
    let jul = look::is_jul_message(line) && !before.text.contains(&b'\n');
    if jul && look::is_jul_head(before.text) {
        return Joins(Shape::Line { log: true });
    }
    if look::begins_record(line) {
        return Begins;
    }
    if line == GROUP {
        return Joins(Shape::Python(Python::Frames));
    }
    if look::is_indented(line) {
        return Joins(Shape::Line { log: true });
    }
    let first = before.first_line();
    if line == TRACEBACK && !look::is_calm(first) {
        return Joins(Shape::Python(Python::Frames));
    }
    if look::is_goroutine(line) && look::announces_stack(first) {
        return Joins(Shape::Go(Go::Frames));
    }
    if let Some(block) = blocks::after_log(line) {
        return Joins(Shape::Block(block));
    }
    if starts(line, &CONTEXT) {
        return Joins(Shape::Line { log: true });
    }
    if look::is_exception(line) {
        return Perhaps(Shape::Trace(Trace { framed: false, open: false, uncaught: false }));
    }
    if look::is_go_function(line) {
        return Perhaps(Shape::Go(Go::Function));
    }
    if look::is_closer(line) && before.text.contains(&b'\n') {
        // What it closes was opened at the end of the first line.
        return match first.last() {
            Some(b'{' | b'[' | b'(') => Joins(Shape::Line { log: true }),
            _ => Begins,
        };
    }
    Begins
}

fn after_json(mut brackets: Brackets, line: &[u8]) -> Verdict {
    if !look::is_indented(line) {
        // Without indentation, where syntax allows it.
        let fits = match line[0] {
            b'}' | b']' => true,
            b'{' | b'[' => brackets.value,
            b'"' | b'-' | b'0'..=b'9' => !look::begins_record(line),
            _ => {
                [&b"true"[..], b"false", b"null"].contains(&line.strip_suffix(b",").unwrap_or(line))
            }
        };
        if !fits {
            return Begins;
        }
    }
    match brackets.pass(line) {
        Some(_) => Joins(Shape::Alone),
        None => Joins(Shape::Json(brackets)),
    }
}

fn after_trace(trace: Trace, before: Before<'_>, line: &[u8]) -> Verdict {
    let Trace { framed, open, uncaught } = trace;
    if before.blank {
        return match line.starts_with(b"Node.js v") {
            true => Joins(Shape::Alone),
            false => Begins,
        };
    }
    if look::is_frame(line) {
        let open = open || line.ends_with(b"{");
        return Joins(Shape::Trace(Trace { framed: true, open, uncaught }));
    }
    // Java's mail: the cause is named by a line of its own, and comes below it.
    if line.trim_ascii_start() == NESTED && look::is_indented(line)
        || before.text.ends_with(NESTED) && look::is_exception(line)
    {
        return Joins(Shape::Trace(trace));
    }
    if look::is_indented(line) && (framed || uncaught) && !look::begins_record(line) {
        return Joins(Shape::Trace(trace));
    }
    if open && look::is_closer(line) {
        return Joins(Shape::Trace(Trace { open: false, ..trace }));
    }
    if starts(line, &CAUSES) && framed {
        return Joins(Shape::Trace(trace));
    }
    if uncaught && line.starts_with(b"(Use `node --trace-uncaught") {
        return Joins(Shape::Trace(trace));
    }
    if !framed && !look::begins_record(line) {
        // The message may have a second line.
        return Perhaps(Shape::Trace(trace));
    }
    Begins
}

fn after_node(node: Node, line: &[u8]) -> Verdict {
    match node {
        Node::Place => Perhaps(Shape::Node(Node::Code)),
        Node::Code if look::is_caret(line) => Joins(Shape::Node(Node::Caret)),
        Node::Caret if !look::begins_record(line) => {
            Joins(Shape::Trace(Trace { framed: false, open: line.ends_with(b"{"), uncaught: true }))
        }
        Node::Code | Node::Caret => Begins,
    }
}

fn after_python(python: Python, before: Before<'_>, line: &[u8]) -> Verdict {
    let traceback = line == TRACEBACK || line == GROUP;
    match python {
        Python::Announced | Python::Chained => match traceback {
            true => Joins(Shape::Python(Python::Frames)),
            false => Begins,
        },
        // What a group of exceptions has is indented to its end.
        Python::Frames if look::is_indented(line) => {
            match line.trim_ascii_start().starts_with(b"+-") {
                true => Joins(Shape::Python(Python::Raised)),
                false => Joins(Shape::Python(Python::Frames)),
            }
        }
        Python::Frames if traceback || look::begins_record(line) => Begins,
        Python::Frames => Joins(Shape::Python(Python::Raised)),
        Python::Raised if before.blank => match CHAINS.contains(&line) {
            true => Joins(Shape::Python(Python::Chained)),
            false => Begins,
        },
        Python::Raised if traceback || look::begins_record(line) => Begins,
        Python::Raised if look::is_indented(line) => Joins(Shape::Python(Python::Raised)),
        // Further lines of its message, and its notes (PEP 678), look like anything. Where all else is
        // begun by a logger, they cannot be anything else.
        Python::Raised if before.loggers_only && look::begins_record(before.text) => {
            Joins(Shape::Python(Python::Raised))
        }
        Python::Raised => Begins,
    }
}

fn after_go(go: Go, before: Before<'_>, line: &[u8]) -> Verdict {
    let frames = Joins(Shape::Go(Go::Frames));
    match go {
        Go::Function => match line.first() {
            Some(b'\t') => Joins(Shape::Go(Go::Place)),
            _ => Begins,
        },
        Go::Place => match look::is_go_function(line) {
            true => Perhaps(Shape::Go(Go::Function)),
            false => Begins,
        },
        _ if look::is_goroutine(line) || line == b"runtime stack:" => frames,
        _ if line.starts_with(b"exit status ") => Joins(Shape::Alone),
        Go::Panic => {
            let more = line.starts_with(b"\t")
                || starts(line, &[b"[signal ", b"fatal error: ", b"runtime: ", b"PC=", b"panic: "]);
            let fits =
                more && !before.blank && (!line.starts_with(b"panic: ") || is_nested(before));
            if fits { Joins(Shape::Go(Go::Panic)) } else { Begins }
        }
        Go::Frames if before.blank => match look::is_register(line) {
            true => frames,
            false => Begins,
        },
        Go::Frames => {
            let fits = line.starts_with(b"\t")
                || look::is_go_call(line)
                || starts(
                    line,
                    &[b"created by ", b"...", b"[originating from ", b"[panic during "],
                )
                || look::is_register(line);
            if fits { frames } else { Begins }
        }
    }
}

/// The panic is within another, of the runtime's.
fn is_nested(before: Before<'_>) -> bool {
    before.text.starts_with(b"runtime: ") || before.text.starts_with(b"unexpected fault")
}

fn after_rust(rust: Rust, line: &[u8]) -> Verdict {
    let end = line == b"stack backtrace:" || line.starts_with(b"note: ");
    match rust {
        _ if end => Joins(Shape::Rust(Rust::Frames)),
        Rust::Panicked if !look::begins_record(line) => Joins(Shape::Rust(Rust::Message)),
        Rust::Message if !look::begins_record(line) => Perhaps(Shape::Rust(Rust::MoreMessage)),
        Rust::Frames if look::is_indented(line) && !look::begins_record(line) => {
            Joins(Shape::Rust(Rust::Frames))
        }
        _ => Begins,
    }
}
