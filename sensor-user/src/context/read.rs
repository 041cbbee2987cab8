//! All that the fields of one request say of its trace, by the precedence of the formats.

use std::borrow::Cow;

use super::fields::{Fields, Name, Times};
use super::grpc_trace::grpc_trace_bin;
use super::{
    CONFLICT, FORMAT, Format, Malformed, RequestId, Settings, TraceContext, b3, baggage, datadog,
    is_evidence, jaeger, skywalking, xray,
};
use crate::metrics::{Counter, Metrics};
use crate::model::{Attribute, Text, Value};
use crate::wire::base64;

/// Longest identifier that is told: those that are in use have some 40 characters.
const ID_MAX: usize = 256;

/// What the fields of a request say.
#[derive(Debug, Default)]
pub struct Read {
    /// The context that counts.
    pub context: Option<TraceContext>,
    /// A context may be incomplete: what is missing of it may be hidden.
    pub incomplete: bool,
    /// The format, formats that disagree, identifiers and baggage.
    pub attributes: Vec<Attribute>,
    /// Identifiers without a span id that came once and are evidence: in the order of the settings.
    pub request_ids: Vec<RequestId>,
}

/// Reads `fields`; `known` are contexts that were read before: W3C's, and one that its shape gave
/// away. `hides` says that there may be fields which are not known.
#[inline]
pub fn read(
    known: [Option<TraceContext>; 2],
    fields: &Fields<'_>,
    hides: bool,
    settings: &Settings,
    metrics: &Metrics,
) -> Read {
    match known {
        // What most requests are.
        [context, None] if fields.is_empty() => Read { context, ..Read::default() },
        _ => read_all(known, fields, hides, settings, metrics),
    }
}

#[inline(never)]
fn read_all(
    known: [Option<TraceContext>; 2],
    fields: &Fields<'_>,
    hides: bool,
    settings: &Settings,
    metrics: &Metrics,
) -> Read {
    let mut read = Read::default();
    let mut reader = Reader { found: [None; Format::COUNT], metrics };
    for context in known.into_iter().flatten() {
        reader.found[context.format as usize] = Some(context);
    }
    reader.one(fields, Name::GrpcTraceBin, Counter::GrpcTraceBinMalformed, |value| {
        let bytes = base64::decode(value).ok_or(Malformed)?;
        grpc_trace_bin(&bytes).map(|context| TraceContext::of(Format::GrpcTraceBin, context))
    });
    reader.one(fields, Name::B3, Counter::B3Malformed, b3::single);
    read.incomplete |= reader.b3_multiple(fields, hides);
    reader.one(fields, Name::UberTraceId, Counter::JaegerMalformed, jaeger::uber_trace_id);
    read.incomplete |= reader.datadog(fields, hides);
    reader.one(fields, Name::Sw8, Counter::Sw8Malformed, |value| {
        let sw8 = skywalking::sw8(value)?;
        let context = sw8.context;
        tell_sw8(sw8, &mut read.attributes);
        Ok(context)
    });
    reader.one(fields, Name::AmznTraceId, Counter::XRayMalformed, xray::trace_id);
    read.context = reader.choose(&mut read.attributes);
    request_ids(fields, settings, metrics, &mut read);
    kept_baggage(fields, settings, metrics, &mut read.attributes);
    read
}

struct Reader<'m> {
    /// In the order of precedence.
    found: [Option<TraceContext>; Format::COUNT],
    metrics: &'m Metrics,
}

impl Reader<'_> {
    fn add(&mut self, counter: Counter, context: Result<Option<TraceContext>, Malformed>) {
        match context {
            Ok(Some(context)) => self.found[context.format as usize] = Some(context),
            Ok(None) => {}
            Err(Malformed) => self.metrics.inc(counter),
        }
    }

    /// A format of one field, which may come once.
    fn one(
        &mut self,
        fields: &Fields<'_>,
        name: Name,
        counter: Counter,
        parse: impl FnOnce(&[u8]) -> Result<TraceContext, Malformed>,
    ) {
        match fields.once(name) {
            Times::Never => {}
            Times::Once(value) => self.add(counter, parse(value).map(Some)),
            Times::More => self.metrics.inc(counter),
        }
    }

    /// True where a part of it is missing and may be hidden.
    fn b3_multiple(&mut self, fields: &Fields<'_>, hides: bool) -> bool {
        let multiple = b3::Multiple {
            trace_id: fields.first(Name::B3TraceId),
            span_id: fields.first(Name::B3SpanId),
            parent_span_id: fields.first(Name::B3ParentSpanId),
            sampled: fields.first(Name::B3Sampled),
            flags: fields.first(Name::B3Flags),
        };
        let b3::Multiple { trace_id, span_id, parent_span_id, sampled, flags } = multiple;
        let any = trace_id.or(span_id).or(parent_span_id).or(sampled).or(flags).is_some();
        if any && hides && (trace_id.is_none() || span_id.is_none()) {
            return true;
        }
        self.add(Counter::B3Malformed, b3::multiple(&multiple));
        false
    }

    /// The same: the upper half of the trace id is in a field of its own.
    fn datadog(&mut self, fields: &Fields<'_>, hides: bool) -> bool {
        let mut twice = false;
        let mut once = |name| match fields.once(name) {
            Times::Never => None,
            Times::Once(value) => Some(value),
            Times::More => {
                twice = true;
                None
            }
        };
        let fields = datadog::Datadog {
            trace_id: once(Name::DatadogTraceId),
            parent_id: once(Name::DatadogParentId),
            sampling_priority: once(Name::DatadogSamplingPriority),
            tags: once(Name::DatadogTags),
        };
        if twice {
            self.metrics.inc(Counter::DatadogMalformed);
            return false;
        }
        let datadog::Datadog { trace_id, parent_id, sampling_priority, tags } = fields;
        let any = trace_id.or(parent_id).or(sampling_priority).or(tags).is_some();
        if any && hides && (trace_id.is_none() || parent_id.is_none() || tags.is_none()) {
            return true;
        }
        self.add(Counter::DatadogMalformed, datadog::datadog(&fields));
        false
    }

    /// The one that counts, by the module's comment. Tells its format, and those that disagree.
    fn choose(&self, attributes: &mut Vec<Attribute>) -> Option<TraceContext> {
        let found = || self.found.iter().flatten();
        let whole = found().find(|context| context.parent_id.is_some());
        let named = || found().find(|context| context.trace_id.is_some());
        let chosen = *whole.or_else(named).or_else(|| found().next())?;
        if chosen.format != Format::W3c {
            attributes.push(Attribute::new(FORMAT, chosen.format.name()));
        }
        let others = found().filter(|context| !context.agrees(&chosen));
        let others: Vec<String> = others.map(|context| context.format.name().to_owned()).collect();
        if !others.is_empty() {
            self.metrics.inc(Counter::ContextsConflicting);
            attributes.push(Attribute::new(CONFLICT, others));
        }
        Some(chosen)
    }
}

/// By the names that the Collector has for them.
fn tell_sw8(sw8: skywalking::Sw8, attributes: &mut Vec<Attribute>) {
    let skywalking::Sw8 { context: _, trace_id, parent_segment_id, parent_span_id } = sw8;
    attributes.extend([
        Attribute::new("sw8.trace_id", trace_id),
        Attribute::new("sw8.parent_segment_id", parent_segment_id),
        Attribute::new("sw8.parent_span_id", i64::from(parent_span_id)),
    ]);
}

fn request_ids(fields: &Fields<'_>, settings: &Settings, metrics: &Metrics, read: &mut Read) {
    let ids = fields.iter().filter_map(|(name, value)| match name {
        Name::RequestId(at) => Some((at, value)),
        _ => None,
    });
    for (at, values) in grouped(ids, metrics) {
        let Some((name, key)) = settings.request_key(at) else { continue };
        let once = fields.all(Name::RequestId(at)).count() == 1;
        if let [value] = &values[..]
            && once
            && is_evidence(value.as_bytes())
        {
            read.request_ids.push(RequestId::new(name, value.as_bytes()));
        }
        read.attributes.push(Attribute { key, value: Value::from(values) });
    }
}

/// What a response tells, as attributes: fields by [`Settings::response`], with their values.
pub fn answered<'a>(
    fields: impl Iterator<Item = (u8, &'a [u8])>,
    settings: &Settings,
    metrics: &Metrics,
) -> Vec<Attribute> {
    let attribute = |(at, values)| {
        Some(Attribute { key: settings.response_key(at)?, value: Value::from(values) })
    };
    grouped(fields, metrics).into_iter().filter_map(attribute).collect()
}

/// The values of each field, in the order of the settings.
fn grouped<'a>(
    fields: impl Iterator<Item = (u8, &'a [u8])>,
    metrics: &Metrics,
) -> Vec<(u8, Vec<String>)> {
    let mut groups: Vec<(u8, Vec<String>)> = Vec::new();
    for (at, value) in fields {
        let text =
            std::str::from_utf8(value).ok().filter(|text| (1..=ID_MAX).contains(&text.len()));
        let Some(text) = text else {
            metrics.inc(Counter::IdentifiersUnusable);
            continue;
        };
        match groups.iter_mut().find(|(group, _)| *group == at) {
            Some((_, values)) => values.push(text.to_owned()),
            None => groups.push((at, vec![text.to_owned()])),
        }
    }
    groups.sort_by_key(|(at, _)| *at);
    groups
}

fn kept_baggage(
    fields: &Fields<'_>,
    settings: &Settings,
    metrics: &Metrics,
    attributes: &mut Vec<Attribute>,
) {
    let uber = fields.iter().filter_map(|(name, value)| match name {
        Name::UberBaggage(at) => Some((usize::from(at), value)),
        _ => None,
    });
    let both = [baggage::baggage(fields.all(Name::Baggage), settings), baggage::uber(uber)];
    let [w3c, uber] = both.map(|kept| {
        kept.unwrap_or_else(|Malformed| {
            metrics.inc(Counter::BaggageMalformed);
            Vec::new()
        })
    });
    // W3C's comes first here, too.
    let uber = uber.into_iter().filter(|(at, _)| !w3c.iter().any(|(before, _)| before == at));
    let uber: Vec<_> = uber.collect();
    for (at, value) in w3c.into_iter().chain(uber) {
        if let Some(key) = settings.baggage_attribute(at).filter(|_| !value.is_empty()) {
            attributes.push(Attribute { key, value: Value::from(Text::from(Cow::from(value))) });
        }
    }
}
