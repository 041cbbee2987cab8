//! Records of several lines that have marks of their own, one small state each: stacks of PHP, Ruby
//! and Elixir, what Go's race detector reports, and journald's export format.

use super::super::look;
use super::Shape;
use super::Verdict::{self, Begins, Joins, Perhaps};

/// Where such a record has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Block {
    /// PHP: `Stack trace:` was there, then frames and `  thrown in …`.
    Php,
    /// Ruby: what was raised, and frames.
    Ruby,
    /// Elixir: `** (RuntimeError) …`, frames, and what a process says of its state.
    Elixir,
    /// Go's race detector: a line of `=`.
    RaceMark,
    /// What it reports, up to such a line.
    Race,
    /// journald: fields.
    Journal,
}

/// What begins such a record without a logger.
pub(super) fn begin(line: &[u8]) -> Option<Block> {
    match line {
        [b'=', ..] if look::is_race_mark(line) => Some(Block::RaceMark),
        [b'*', b'*', b' ', b'(', ..] => Some(Block::Elixir),
        [b'_', b'_', ..] if look::is_journal_field(line) => Some(Block::Journal),
        _ if look::is_ruby_frame(line) => Some(Block::Ruby),
        _ => None,
    }
}

/// What goes on with the line of a logger, by its first line.
pub(super) fn after_log(line: &[u8]) -> Option<Block> {
    match line {
        b"Stack trace:" => Some(Block::Php),
        [b'*', b'*', b' ', b'(', ..] => Some(Block::Elixir),
        _ if look::is_ruby_frame(line) => Some(Block::Ruby),
        _ => None,
    }
}

impl Block {
    /// It cannot be all.
    pub(super) fn is_open(self) -> bool {
        self == Self::Race
    }

    pub(super) fn spans_blank(self) -> bool {
        // Ruby shows the source between empty lines, below what was raised.
        matches!(self, Self::Race | Self::Ruby)
    }

    pub(super) fn next(self, blank: bool, line: &[u8]) -> Verdict {
        let fits = match self {
            Self::Php => {
                let frame =
                    line.first() == Some(&b'#') && line.get(1).is_some_and(u8::is_ascii_digit);
                frame || line.starts_with(b"  thrown in ") || line.starts_with(b"Next ")
            }
            Self::Ruby => look::is_indented(line) || !blank && look::is_ruby_frame(line),
            Self::Elixir => {
                look::is_indented(line)
                    || [&b"Last message"[..], b"State: ", b"Function: ", b"Initial Call: "]
                        .iter()
                        .any(|start| line.starts_with(start))
            }
            Self::RaceMark => {
                return match line {
                    b"WARNING: DATA RACE" => Joins(Shape::Block(Self::Race)),
                    _ => Begins,
                };
            }
            Self::Race if look::is_race_mark(line) => return Joins(Shape::Alone),
            Self::Race => {
                look::is_indented(line)
                    || [
                        &b"Read at "[..],
                        b"Write at ",
                        b"Previous ",
                        b"Goroutine ",
                        b"Atomic ",
                        b"[",
                    ]
                    .iter()
                    .any(|start| line.starts_with(start))
            }
            Self::Journal => look::is_journal_field(line),
        };
        match (fits, self) {
            // A message of several lines, before its trace.
            (false, Self::Elixir) if !look::begins_record(line) && !blank => {
                Perhaps(Shape::Block(self))
            }
            (true, _) if self == Self::Ruby || !blank || self == Self::Race => {
                Joins(Shape::Block(self))
            }
            _ => Begins,
        }
    }
}
