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
}

macro_rules! lower_hex {
    ($name:ident) => {
        /// Lower-case hexadecimal, as in a traceparent.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

lower_hex!(TraceId);
lower_hex!(SpanId);
