//! A part of all traces, by their ids alone.
//!
//! OpenTelemetry's `TraceIdRatioBased` was never specified to the bit
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased>), and SDKs differ. This is
//! the decision of the SDKs for Go and Rust: the upper 63 of the lower 64 bits of the trace id are below
//! the ratio, as a part of 2^63. Those for Python and Ruby compare all 64 bits: the same decision wherever
//! the ratio is a multiple of 2^-63, as every double from 2^-11 on is, and else but for a trace id in 2^63.
//! Java takes the absolute value of the lower half as a signed number, .NET of the upper half, C++ the
//! upper half as it is in memory, and JavaScript XORs four words: these choose other traces, so in their
//! company a ratio belongs behind `parentbased_`.
//!
//! Not to be mixed up with the probability sampling that is to follow (`ot=th:`), which keeps the *upper*
//! end of 56 bits and writes so into `tracestate`.

use crate::model::TraceId;

/// Traces with a number below this, of 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u64);

/// 2^63 as a double: exactly.
const ALL: f64 = 9_223_372_036_854_775_808.0;

impl Ratio {
    /// Every trace.
    pub const ONE: Self = Self(1 << 63);

    /// None for what is not from 0 to 1.
    pub fn new(ratio: f64) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, at most 2^63; rounded down as in Go's SDK"
        )]
        (0.0..=1.0).contains(&ratio).then_some(Self((ratio * ALL) as u64))
    }

    /// Whether the trace is one of these. What a smaller ratio has, a greater one has too.
    pub fn samples(self, trace_id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace_id.bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.0
    }
}

/// Which of a row of things without a trace are part of a ratio: of any number in a row, as many as the ratio says, but for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns(u64);

/// The first one is, at any ratio above zero.
impl Default for Turns {
    fn default() -> Self {
        Self(Ratio::ONE.0 - 1)
    }
}

impl Turns {
    pub(super) fn next(&mut self, ratio: Ratio) -> bool {
        let sum = self.0 + ratio.0;
        let taken = sum >= Ratio::ONE.0;
        self.0 = if taken { sum - Ratio::ONE.0 } else { sum };
        taken
    }
}
