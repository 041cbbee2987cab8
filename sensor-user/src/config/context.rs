//! Which identifiers and which baggage of requests are kept.

use super::flags::ContextFlags;
use super::{Env, Problems};
use crate::context::{Settings, Unusable};

const REQUEST_IDS: [&str; 2] = ["--request-id-header", "SENSOR_REQUEST_ID_HEADERS"];
const BAGGAGE: [&str; 2] = ["--baggage-key", "SENSOR_BAGGAGE_KEYS"];

/// Alone among the headers, it says that there are none.
const NONE: &str = "none";

pub(super) fn context(flags: &ContextFlags, env: Env<'_>, problems: &mut Problems) -> Settings {
    let ContextFlags { request_id_header, baggage_key } = flags;
    let request_ids = listed(REQUEST_IDS, request_id_header, env).map(|(setting, names)| {
        let none = matches!(&names[..], [only] if only == NONE);
        (setting, if none { Vec::new() } else { names })
    });
    let baggage = listed(BAGGAGE, baggage_key, env);
    let names = request_ids.as_ref().map(|(_, names)| &names[..]);
    let keys = baggage.as_ref().map(|(_, keys)| &keys[..]).unwrap_or_default();
    let settings = Settings::new(names, keys).ok();
    if settings.is_none() {
        told(&request_ids, |names| Settings::new(Some(names), &[]), problems);
        told(&baggage, |keys| Settings::new(None, keys), problems);
    }
    settings.unwrap_or_default()
}

/// Notes what is wrong with a list: each that cannot be used, or else how many they are.
fn told(
    list: &Option<(&str, Vec<String>)>,
    check: impl Fn(&[String]) -> Result<Settings, Unusable>,
    problems: &mut Problems,
) {
    let Some((setting, names)) = list else { return };
    let before = problems.0.len();
    for name in names {
        if let Err(Unusable(expected)) = check(std::slice::from_ref(name)) {
            problems.push(setting, name, expected);
        }
    }
    if let (true, Err(Unusable(expected))) = (problems.0.len() == before, check(names)) {
        problems.push(setting, &format!("{} of them", names.len()), expected);
    }
}

/// The flag's values, or the variable's, and which of the two it is.
fn listed<'a>(
    [flag, variable]: [&'a str; 2],
    values: &[String],
    env: Env<'_>,
) -> Option<(&'a str, Vec<String>)> {
    if !values.is_empty() {
        return Some((flag, values.to_vec()));
    }
    let text = env(variable).filter(|text| !text.trim().is_empty())?;
    Some((variable, text.split(',').map(|name| name.trim().to_owned()).collect()))
}
