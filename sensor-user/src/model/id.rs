//! Identifiers of W3C Trace Context (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use std::fmt;

/// Identifies a trace. Never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// Identifies a span within a trace. Never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// None for the all-zero identifier, which is invalid.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The identifier's bytes, most significant first.
    pub fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// None for the all-zero identifier, which is invalid.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The identifier's bytes, most significant first.
    pub fn bytes(&self) -> [u8; 8] {
        self.0
    }
}

/// `trace-flags` of a traceparent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFlags(pub u8);

impl TraceFlags {
    /// The caller recorded this trace.
    pub fn sampled(self) -> bool {
        self.0 & 1 != 0
    }

    /// The same flags, but for that one.
    #[must_use]
    pub fn with_sampled(self, sampled: bool) -> Self {
        Self(self.0 & !1 | u8::from(sampled))
    }
}

macro_rules! lower_hex {
    ($name:ident, $digits:literal) => {
        /// Lower-case hexadecimal, as in a traceparent.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Several are written with each span: in one piece, not byte by byte.
                let mut digits = [0; $digits];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
                }
                f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

lower_hex!(TraceId, 32);
lower_hex!(SpanId, 16);

/// The lower-case digit for a value below 16.
fn hex_digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}
