//! The fields of a request that a context or an identifier is in.

use std::borrow::Cow;

/// Which field it is. `traceparent` and `tracestate` are not among them: whoever reads a request looks
/// for those first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the fields, see `Name::of`")]
pub enum Name {
    GrpcTraceBin,
    B3,
    B3TraceId,
    B3SpanId,
    B3ParentSpanId,
    B3Sampled,
    B3Flags,
    UberTraceId,
    DatadogTraceId,
    DatadogParentId,
    DatadogSamplingPriority,
    DatadogTags,
    Sw8,
    AmznTraceId,
    Baggage,
    /// `uberctx-*`, by the index of the wanted key.
    UberBaggage(u8),
    /// By the index of the wanted name.
    RequestId(u8),
}

impl Name {
    /// The names that are the same whatever the settings are.
    pub(super) const KNOWN: [&str; 15] = [
        "grpc-trace-bin",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
        "uber-trace-id",
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-tags",
        "sw8",
        "x-amzn-trace-id",
        "baggage",
    ];

    /// One of [`Self::KNOWN`], in any case.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        Some(match name.len() {
            2 if is("b3") => Self::B3,
            3 if is("sw8") => Self::Sw8,
            7 if is("baggage") => Self::Baggage,
            10 if is("x-b3-flags") => Self::B3Flags,
            11 if is("x-b3-spanid") => Self::B3SpanId,
            12 if is("x-b3-traceid") => Self::B3TraceId,
            12 if is("x-b3-sampled") => Self::B3Sampled,
            13 if is("uber-trace-id") => Self::UberTraceId,
            14 if is("grpc-trace-bin") => Self::GrpcTraceBin,
            14 if is("x-datadog-tags") => Self::DatadogTags,
            15 if is("x-amzn-trace-id") => Self::AmznTraceId,
            17 if is("x-b3-parentspanid") => Self::B3ParentSpanId,
            18 if is("x-datadog-trace-id") => Self::DatadogTraceId,
            19 if is("x-datadog-parent-id") => Self::DatadogParentId,
            27 if is("x-datadog-sampling-priority") => Self::DatadogSamplingPriority,
            _ => return None,
        })
    }
}

/// The fields that were found, in their order. No memory for none.
#[derive(Debug, Default)]
pub struct Fields<'a>(Vec<(Name, Cow<'a, [u8]>)>);

/// How often a field came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times<'a> {
    Never,
    Once(&'a [u8]),
    More,
}

impl<'a> Fields<'a> {
    /// Adds the next one.
    pub fn push(&mut self, name: Name, value: Cow<'a, [u8]>) {
        self.0.push((name, value));
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Name, &[u8])> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }

    /// The values of one.
    pub(super) fn all(&self, wanted: Name) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
    }

    /// The first value of one.
    pub(super) fn first(&self, wanted: Name) -> Option<&[u8]> {
        self.all(wanted).next()
    }

    /// The value of one that must not come twice.
    pub(super) fn once(&self, wanted: Name) -> Times<'_> {
        let mut all = self.all(wanted);
        match (all.next(), all.next()) {
            (None, _) => Times::Never,
            (Some(value), None) => Times::Once(value),
            (Some(_), Some(_)) => Times::More,
        }
    }
}

impl<'a> FromIterator<(Name, Cow<'a, [u8]>)> for Fields<'a> {
    fn from_iter<T: IntoIterator<Item = (Name, Cow<'a, [u8]>)>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}
