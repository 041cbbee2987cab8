//! Finds the empty line that ends a header or trailer section.

use memchr::memchr;

/// What the line being read holds so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// One CR.
    Cr,
    /// Something else.
    Text,
}

impl Line {
    /// Goes on through `data`; where the section's empty line ends in it, the offset just after.
    /// A bare LF ends a line too (RFC 9112 section 2.2).
    pub(super) fn scan(&mut self, data: &[u8]) -> Option<usize> {
        let mut rest = data;
        while let Some(lf) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(lf);
            let empty = matches!((*self, line), (Self::Empty, [] | [b'\r']) | (Self::Cr, []));
            *self = Self::Empty;
            rest = &after[1..];
            if empty {
                return Some(data.len() - rest.len());
            }
        }
        *self = match (*self, rest) {
            (before, []) => before,
            (Self::Empty, [b'\r']) => Self::Cr,
            _ => Self::Text,
        };
        None
    }
}
