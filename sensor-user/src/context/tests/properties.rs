use proptest::prelude::*;

use super::*;
use crate::metrics::Metrics;

/// Bytes that are near to what the formats have.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[0-9a-f]{1,33}",
        "[0-9]{1,21}",
        "[0-9A-F]{16}",
        "[-:;=,%. _]{1,3}",
        "[A-Za-z0-9+/]{4,60}={0,2}",
        Just("Root=1-".to_owned()),
        Just("Parent=".to_owned()),
        Just("_dd.p.tid=".to_owned()),
        "[01d]",
        "\\PC{0,5}",
    ];
    prop_oneof![
        proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..80),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    let settings = Settings::new(None, &["a".to_owned()]).unwrap();
    let names = Name::KNOWN.iter().chain(&["x-request-id", "uberctx-a"]);
    let names: Vec<_> = names.map(|name| settings.request(name.as_bytes()).unwrap()).collect();
    proptest::sample::select(names)
}

proptest! {
    #[test]
    fn whatever_comes_is_read_and_nothing_is_zero(
        fields in proptest::collection::vec((name(), near()), 0..8),
        hides: bool,
    ) {
        let settings = Settings::new(None, &["a".to_owned()]).unwrap();
        let fields: Fields<'_> =
            fields.iter().map(|(name, value)| (*name, (&value[..]).into())).collect();
        let read = read([None; 2], &fields, hides, &settings, &Metrics::default());
        if let Some(context) = read.context {
            prop_assert!(context.trace_id.is_some() || context.parent_id.is_none());
            prop_assert!(context.trace_id.is_none_or(|id| id.bytes() != [0; 16]));
            prop_assert!(context.parent_id.is_none_or(|id| id.bytes() != [0; 8]));
            prop_assert_eq!(context.decision.sampled().unwrap_or(true), context.flags.sampled());
        }
        let mut keys: Vec<_> = read.attributes.iter().map(|attribute| &attribute.key).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), read.attributes.len());
    }

    /// What is read of a context that is written by the book is what was written.
    #[test]
    fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., sampled: bool) {
        let flag = u8::from(sampled);
        let (high, low) = ((trace >> 64) as u64, trace as u64);
        let b3 = b3::single(format!("{trace:032x}-{span:016x}-{flag}").as_bytes());
        let jaeger = jaeger::uber_trace_id(format!("{trace:x}:{span:x}:0:{flag}").as_bytes());
        let hex = format!("{trace:032x}");
        let xray = format!("Root=1-{}-{};Parent={span:016x};Sampled={flag}", &hex[..8], &hex[8..]);
        let xray = xray::trace_id(xray.as_bytes());
        let datadog = datadog::datadog(&datadog::Datadog {
            trace_id: Some(low.to_string().as_bytes()),
            parent_id: Some(span.to_string().as_bytes()),
            sampling_priority: Some(flag.to_string().as_bytes()),
            tags: Some(format!("_dd.p.tid={high:016x}").as_bytes()),
        });
        let datadog = if low == 0 { b3 } else { datadog.map(Option::unwrap) };
        let is = format!("{trace:032x} {span:016x} {}", if sampled { "Accept" } else { "Deny" });
        for context in [b3, jaeger, xray, datadog] {
            prop_assert_eq!(parsed(context), Some(is.clone()));
        }
    }

    /// What is left of a field says no other than the whole did.
    #[test]
    fn a_field_that_was_cut_is_not_taken_for_another(cut in 1_usize..100) {
        let trace = "80f198ee56343ba864fe8b2a57d3eff7";
        let whole = format!("Root=1-{}-{};Parent=e457b5a2e4d86bd1;Sampled=1", &trace[..8], &trace[8..]);
        let cut = cut.min(whole.len() - 1);
        if let Ok(context) = xray::trace_id(&whole.as_bytes()[..cut]) {
            prop_assert_eq!(context.trace_id.map(|id| id.to_string()), Some(trace.to_owned()));
            let parent = context.parent_id.map(|id| id.to_string());
            prop_assert!(parent.is_none_or(|parent| parent == "e457b5a2e4d86bd1"));
        }
    }
}
