//! The samplers of OpenTelemetry (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling>), by
//! the caller's decision or the trace's id, and one of ours.

use super::Ratio;
use super::adaptive::{self, Adaptive};
use crate::model::{Span, TraceId};

/// Which traces are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// One of OpenTelemetry's.
    Fixed {
        /// What is decided without a caller's decision.
        root: Root,
        /// The caller's decision is followed, where there is one and the caller is trusted.
        parent_based: bool,
    },
    /// All that enters the node, and of what is inside more where there are errors.
    Adaptive(adaptive::Settings),
}

impl Default for Sampler {
    /// `parentbased_always_on`, as for an SDK.
    fn default() -> Self {
        Self::Fixed { root: Root::AlwaysOn, parent_based: true }
    }
}

/// A decision on a trace alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Every trace.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Some.
    TraceIdRatio(Ratio),
}

impl Root {
    fn samples(self, trace_id: TraceId) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::TraceIdRatio(ratio) => ratio.samples(trace_id),
        }
    }
}

/// A sampler at work.
#[derive(Debug)]
pub(super) enum Sampling {
    Fixed { root: Root, parent_based: bool },
    Adaptive(Box<Adaptive>),
}

/// What a sampler says of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) keep: bool,
    /// It is the caller's.
    pub(super) by_caller: bool,
}

impl Sampling {
    pub(super) fn new(sampler: Sampler) -> Self {
        match sampler {
            Sampler::Fixed { root, parent_based } => Self::Fixed { root, parent_based },
            Sampler::Adaptive(settings) => Self::Adaptive(Box::new(Adaptive::new(settings))),
        }
    }

    /// Takes note of a span, whatever will be decided on it.
    pub(super) fn see(&mut self, span: &Span) {
        if let Self::Adaptive(adaptive) = self {
            adaptive.see(span);
        }
    }

    pub(super) fn decide(&self, span: &Span) -> Decision {
        match (self, span.remote_sampled.filter(|_| !span.flag_refused)) {
            (Self::Fixed { parent_based: true, .. }, Some(keep)) => {
                Decision { keep, by_caller: true }
            }
            // That a caller samples is no reason to keep everything: an SDK's default is to.
            (Self::Adaptive(_), Some(false)) => Decision { keep: false, by_caller: true },
            (Self::Fixed { root, .. }, _) => {
                Decision { keep: root.samples(span.trace_id), by_caller: false }
            }
            (Self::Adaptive(adaptive), _) => {
                Decision { keep: adaptive.samples(span), by_caller: false }
            }
        }
    }
}
