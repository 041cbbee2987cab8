//! What a process declares of itself, and what of that is believed.
//!
//! A process chooses its environment, so what it says there is no more than a claim: whoever may run a
//! container could call it another team's pod. Keys are of one of three kinds, by their first word:
//!
//! | key | who says it |
//! |---|---|
//! | `container.*`, `host.*`, `k8s.*`, `os.*`, `process.*` | kernel and node ([`Trust`] says whether a process may add to that) |
//! | `sensor.*`, `telemetry.*` | the sensor; never a process |
//! | all others: `service.*`, `deployment.*` … | the process alone can |

use std::borrow::Cow;

use super::attributes::{self, Malformed};
use super::resource::variable;
use super::{TEXT_MAX, Trust};
use crate::model::{Attribute, Value};

/// Attribute of a resource: [`DECLARED`] where something in it is what the process says of itself
/// (`service.name`, or any other attribute). Absent where kernel and node say all of it, and a
/// `service.name` is that of the program.
pub const IDENTITY: &str = "sensor.identity";

/// Value of [`IDENTITY`].
pub const DECLARED: &str = "declared";

const SERVICE_NAME: &str = "service.name";

/// Who may say what an attribute of a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Observed,
    Sensor,
    Open,
}

impl Family {
    /// By the first word of a key. Case and what separates words do not matter: backends turn
    /// `k8s_namespace.name` into the label of `k8s.namespace.name`.
    fn of(key: &str) -> Self {
        let key = key.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let end = key.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(key.len());
        let word = key.get(..end).unwrap_or(key);
        let is = |words: &[&str]| words.iter().any(|it| word.eq_ignore_ascii_case(it));
        if is(&["container", "host", "k8s", "os", "process"]) {
            Self::Observed
        } else if is(&["sensor", "telemetry"]) {
            Self::Sensor
        } else {
            Self::Open
        }
    }
}

/// What a process says of itself.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Each key once.
    attributes: Vec<(String, String)>,
    /// A variable could not be used.
    pub(super) malformed: bool,
}

impl Declared {
    /// Reads `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; of a name in both, the first counts.
    pub(super) fn read(env: &[u8], cut: bool) -> Self {
        let mut this = Self::default();
        match variable(env, cut, "OTEL_RESOURCE_ATTRIBUTES").map(attributes::parse) {
            Some(Ok(attributes)) => this.attributes = attributes,
            Some(Err(Malformed)) => this.malformed = true,
            None => {}
        }
        match variable(env, cut, "OTEL_SERVICE_NAME").map(str::from_utf8) {
            Some(Ok(name)) if name.len() <= TEXT_MAX => {
                let name = name.trim();
                if !name.is_empty() {
                    this.attributes.retain(|(key, _)| key != SERVICE_NAME);
                    this.attributes.push((SERVICE_NAME.into(), name.into()));
                }
            }
            Some(_) => this.malformed = true,
            None => {}
        }
        this
    }

    /// Adds what is believed to what is `observed`, and says so there. Gives the keys of the rest, but for what
    /// is observed to be just so.
    pub(super) fn add_to(self, observed: &mut Vec<Attribute>, trust: Trust) -> Vec<String> {
        let known = observed.len();
        let (mut refused, mut believed) = (Vec::new(), false);
        for (key, value) in self.attributes {
            let there = observed.iter_mut().take(known).find(|it| is_same(&it.key, &key));
            let believes = match (Family::of(&key), trust) {
                (Family::Sensor, _) | (_, Trust::Off) | (Family::Observed, Trust::Service) => false,
                (Family::Observed, Trust::All) => there.is_none(),
                (Family::Open, Trust::Service | Trust::All) => {
                    key == SERVICE_NAME || there.is_none()
                }
            };
            match there {
                _ if !believes && there.as_ref().is_some_and(|it| says(&it.value, &value)) => {}
                _ if !believes => refused.push(key),
                Some(there) => {
                    there.value = value.into();
                    believed = true;
                }
                None => {
                    observed.push(Attribute { key: Cow::Owned(key), value: value.into() });
                    believed = true;
                }
            }
        }
        if believed {
            observed.push(Attribute::new(IDENTITY, DECLARED));
        }
        refused
    }
}

/// The same but for case and separators.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => byte.to_ascii_lowercase(),
        false => b'_',
    };
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::Str(value) => value.as_str() == text,
        Value::Int(number) => number.to_string() == text,
        Value::Double(_) | Value::Bool(_) | Value::Strs(_) => false,
    }
}

#[cfg(test)]
mod tests;
