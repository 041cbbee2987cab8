//! Which spans are exported: sampling by OpenTelemetry's variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>) or by flags.
//!
//! An SDK has to go on with a sampler that it does not understand. The sensor does not start: it would
//! export everything, or nothing, and nobody would know why.

use super::flags::{GovernFlags, RuleFlags};
use super::rules::{self, Rules};
use super::{Env, Problems, value};
use crate::export;
use crate::govern::{Existing, Ratio, Root, Sampler, Settings, adaptive};

const SAMPLERS: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
                        parentbased_always_off, parentbased_traceidratio or adaptive";

pub(super) fn govern(
    (flags, rule_flags): (&GovernFlags, &RuleFlags),
    export: &export::Settings,
    env: Env<'_>,
    problems: &mut Problems,
) -> Settings {
    let GovernFlags { sampler, keep_errors, keep_slow, existing_spans } = flags;
    let sampler = sampling(sampler.as_deref(), env, problems);
    let keep_slow = keep_slow.as_deref();
    let keep_slow =
        keep_slow.and_then(|text| problems.take("--keep-slow", text, value::duration(text)));
    let existing = existing(existing_spans.as_deref(), export.otlp.is_some(), problems);
    let Rules { drop, records, redact } = rules::rules(rule_flags, env, problems);
    Settings {
        sampler,
        keep_errors: *keep_errors,
        keep_slow,
        existing,
        access_records: export.loki.is_some(),
        drop,
        records,
        redact,
    }
}

/// The flag has name and argument in one; where it is there, neither variable counts.
fn sampling(flag: Option<&str>, env: Env<'_>, problems: &mut Problems) -> Sampler {
    const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
    let read =
        |name: &str| env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(text) = flag {
        let (name, arg) = text.split_once(':').map_or((text, None), |(it, arg)| (it, Some(arg)));
        let takes_none = arg.is_some() && matches!(name_of(name), Some(Named::Fixed(..)));
        let parsed = match takes_none {
            true => Err(format!("{name} alone, which has no argument")),
            false => sampler(name, arg).map_err(|wrong| match wrong {
                Wrong::Name => format!("{SAMPLERS}, some with an argument (traceidratio:0.25)"),
                Wrong::Arg(expected) => format!("{name}:ARG with {expected}"),
            }),
        };
        return problems.take("--sampler", text, parsed).unwrap_or_default();
    }
    // The argument counts only where the sampler is set (the specification).
    let Some(name) = read("OTEL_TRACES_SAMPLER") else {
        return Sampler::default();
    };
    let arg = read(ARG);
    sampler(&name, arg.as_deref()).unwrap_or_else(|wrong| {
        match wrong {
            Wrong::Name => problems.push("OTEL_TRACES_SAMPLER", &name, SAMPLERS),
            Wrong::Arg(expected) => {
                let expected = format!("{expected} (for {name})");
                problems.push(ARG, arg.as_deref().unwrap_or_default(), expected);
            }
        }
        Sampler::default()
    })
}

/// What is wrong with a sampler.
enum Wrong {
    Name,
    /// With what was expected.
    Arg(String),
}

/// A sampler by its name.
enum Named {
    Fixed(Root, bool),
    Ratio(bool),
    Adaptive,
}

fn name_of(name: &str) -> Option<Named> {
    Some(match name {
        "always_on" => Named::Fixed(Root::AlwaysOn, false),
        "always_off" => Named::Fixed(Root::AlwaysOff, false),
        "traceidratio" => Named::Ratio(false),
        "parentbased_always_on" => Named::Fixed(Root::AlwaysOn, true),
        "parentbased_always_off" => Named::Fixed(Root::AlwaysOff, true),
        "parentbased_traceidratio" => Named::Ratio(true),
        "adaptive" => Named::Adaptive,
        _ => return None,
    })
}

fn sampler(name: &str, arg: Option<&str>) -> Result<Sampler, Wrong> {
    Ok(match name_of(name).ok_or(Wrong::Name)? {
        Named::Fixed(root, parent_based) => Sampler::Fixed { root, parent_based },
        Named::Ratio(parent_based) => {
            let ratio = match arg {
                None => Ratio::ONE,
                Some(text) => number(text).and_then(Ratio::new).ok_or_else(|| {
                    Wrong::Arg("a ratio from 0 to 1, for example 0.25".to_owned())
                })?,
            };
            Sampler::Fixed { root: Root::TraceIdRatio(ratio), parent_based }
        }
        Named::Adaptive => Sampler::Adaptive(adaptive(arg.unwrap_or_default())?),
    })
}

/// `min=0.01,max=0.2,errors=0.1,window=60s`, all of them optional.
fn adaptive(text: &str) -> Result<adaptive::Settings, Wrong> {
    let mut settings = adaptive::Settings::default();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let expected = || {
            Wrong::Arg(
                "min=, max= (rates from 0 to 1), errors= (above 0, up to 1) and window= (a duration, \
                 for example 60s), separated by commas"
                    .to_owned(),
            )
        };
        let (key, value) = pair.split_once('=').ok_or_else(expected)?;
        let part = || number(value).filter(|part| (0.0..=1.0).contains(part)).ok_or_else(expected);
        match key.trim() {
            "min" => settings.min = part()?,
            "max" => settings.max = part()?,
            "errors" => {
                settings.errors = Some(part()?).filter(|it| *it > 0.0).ok_or_else(expected)?;
            }
            "window" => settings.window = value::duration(value).map_err(|_| expected())?,
            _ => return Err(expected()),
        }
    }
    if settings.min > settings.max {
        let adaptive::Settings { min, max, .. } = settings;
        return Err(Wrong::Arg(format!("min not above max (now {min} and {max})")));
    }
    Ok(settings)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Told apart by default where both arrive; nothing is left out unless that is asked for. Where spans
/// go to nowhere but standard output or a store of logs, no SDK's do, and nothing is doubled.
/// `to_otlp`: spans go to a backend that SDKs export to as well.
fn existing(flag: Option<&str>, to_otlp: bool, problems: &mut Problems) -> Existing {
    let default = if to_otlp { Existing::Link } else { Existing::Keep };
    let Some(text) = flag else {
        return default;
    };
    let parsed = match text {
        "keep" => Ok(Existing::Keep),
        "skip" => Ok(Existing::Skip),
        "link" => Ok(Existing::Link),
        _ => Err("keep, skip or link".to_owned()),
    };
    problems.take("--existing-spans", text, parsed).unwrap_or(default)
}
