//! Secrets do not leave the process. The last stage before the exporters, for spans and for records of logs alike.
//!
//! Where they are looked for:
//!
//! - the value of an attribute, by the attribute's name;
//! - any other text of an attribute, a message, an event, the `tracestate`: by names within the text, and by what a
//!   secret looks like ([`scan`]);
//! - `url.query` and `url.full` parameter by parameter, decoded ([`url`]). In paths only people's own patterns count.
//!
//! Not touched are identifiers of traces, spans and requests, `user_agent.original`, addresses, what the sensor says
//! itself ([`Attribute::is_own`]: a name that begins as its own do is not enough), and where in a program a line was
//! written.
//!
//! It is a net with holes: a password in the middle of a sentence looks like any other word. Whatever a service writes
//! that way needs a rule of its own.

mod card;
mod mask;
mod names;
mod own;
mod rules;
mod scan;
mod shapes;
#[cfg(test)]
mod tests;
mod url;
mod value;

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::counts::RuleCounts;
use super::pattern::Pattern;
use crate::model::{Attribute, Link, LogRecord, Resource, Span, SpanEvent, Text, Value};
pub use mask::{Action, Key};
pub use names::Glob;
use names::{Hit, Names, Shape, Verdict};
pub use rules::{BuiltIn, Rule, Settings, Target};
use scan::{Clean, says_nothing};

/// Processes whose attributes are remembered. When there are more, all are forgotten.
const RESOURCES_MAX: usize = 1024;

/// Takes secrets out.
#[derive(Debug)]
pub struct Redactor {
    rules: Rules,
    /// By address, which stays what it is while it is held here; and what it became, if that is another.
    resources: FxHashMap<usize, (Arc<Resource>, Option<Arc<Resource>>)>,
}

/// What is looked for.
#[derive(Debug)]
struct Rules {
    /// Of the built-in rules.
    actions: Vec<Action>,
    names: Names,
    /// Some of them are somebody's own: names that are known not to be secrets may be among those.
    own_names: bool,
    patterns: Vec<(Pattern, usize, Action)>,
    key: Option<Key>,
    counts: Arc<RuleCounts>,
    /// There is nothing to look for.
    off: bool,
}

/// Where in a span or record a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The sensor's own words and numbers.
    Own,
    /// No secret is there by itself.
    Known,
    Query,
    Url,
    Text,
}

impl Place {
    fn of(key: &str) -> Self {
        match key {
            "url.query" => Self::Query,
            "url.full" => Self::Url,
            "url.path"
            | "url.scheme"
            | "http.route"
            | "http.request.method"
            | "http.request.method_original"
            | "http.response.status_code"
            | "http.request.body.size"
            | "http.response.body.size"
            | "user_agent.original"
            | "network.transport"
            | "network.type"
            | "network.protocol.name"
            | "network.protocol.version"
            | "network.peer.address"
            | "network.peer.port"
            | "network.local.address"
            | "network.local.port"
            | "server.address"
            | "server.port"
            | "client.address"
            | "client.port"
            | "rpc.system"
            | "rpc.service"
            | "rpc.method"
            | "service.name"
            | "process.pid"
            | "process.executable.path"
            | "process.executable.name"
            | "container.id"
            | "k8s.pod.uid" => Self::Known,
            _ => Self::Text,
        }
    }

    fn of_attribute(attribute: &Attribute) -> Self {
        match &attribute.value {
            // A peer's words under the sensor's name (`sensor.grpc.message`) are the peer's.
            Value::Str(text) if !text.is_static() => Self::of(&attribute.key),
            _ if attribute.is_own() => Self::Own,
            _ => Self::of(&attribute.key),
        }
    }
}

impl Redactor {
    /// How the rules are called, in the order in which they are counted: those that are built in, then people's own.
    pub(super) fn rule_names(settings: &Settings) -> impl Iterator<Item = String> {
        let known = BuiltIn::ALL.iter().map(|rule| format!("redact.rule.{}", rule.name()));
        known.chain((1..=own(settings).count()).map(|n| format!("redact.rule.{n}")))
    }

    /// One by these rules, which it counts from the first of `counts` on.
    pub(super) fn new(settings: &Settings, counts: Arc<RuleCounts>) -> Self {
        let (mut globs, mut patterns) = (Vec::new(), Vec::new());
        for (n, Rule { target, action }) in own(settings).enumerate() {
            let (rule, action) = (BuiltIn::ALL.len() + n, *action);
            match target {
                Target::BuiltIn(_) => {}
                Target::Name(glob) => {
                    globs.push((glob.clone(), Hit { rule, action, shape: Shape::Word }));
                }
                Target::Pattern(pattern) => patterns.push((pattern.clone(), rule, action)),
            }
        }
        let actions: Vec<_> = BuiltIn::ALL.iter().map(|rule| settings.action(*rule)).collect();
        let rules = Rules {
            off: globs.is_empty()
                && patterns.is_empty()
                && actions.iter().all(|action| *action == Action::Keep),
            actions,
            own_names: !globs.is_empty(),
            names: Names::new(|rule| settings.action(rule), globs),
            patterns,
            key: settings.key,
            counts,
        };
        Self { rules, resources: FxHashMap::default() }
    }

    /// A span without its secrets. True if it had some.
    pub(super) fn span(&mut self, span: &mut Span) -> bool {
        if self.rules.off {
            return false;
        }
        // What is not named here is a number, an identifier, or a word of the sensor's.
        let Span { trace_state, name, attributes, events, links, resource, .. } = span;
        let rules = &self.rules;
        let mut changed = rules.attributes(attributes);
        for SpanEvent { attributes, .. } in events {
            changed |= rules.attributes(attributes);
        }
        for Link { attributes, .. } in links {
            changed |= rules.attributes(attributes);
        }
        if let Some(clean) = trace_state.as_deref().and_then(|state| rules.text(state)) {
            *trace_state = (!clean.drop).then(|| clean.text.into());
            changed = true;
        }
        if let Some(clean) = rules.matched(name) {
            *name = Cow::Owned(clean.text);
            changed = true;
        }
        self.resource(resource) | changed
    }

    /// The same for the record of a log.
    pub(super) fn record(&mut self, record: &mut LogRecord) -> bool {
        if self.rules.off {
            return false;
        }
        let LogRecord {
            time_unix_ns: _,
            observed_unix_ns: _,
            severity: _,
            severity_text: _,
            message,
            caller: _,
            event,
            correlation: _,
            class: _,
            source: _,
            attributes,
            breach: _,
            resource,
        } = record;
        let rules = &self.rules;
        let mut changed = rules.attributes(attributes);
        for text in [Some(message), event.as_mut()].into_iter().flatten() {
            if let Some(clean) = rules.text(text) {
                *text = Text::from(clean.text);
                changed = true;
            }
        }
        self.resource(resource) | changed
    }

    /// A process may have been given secrets as attributes.
    fn resource(&mut self, resource: &mut Arc<Resource>) -> bool {
        let address = Arc::as_ptr(resource).addr();
        if self.resources.len() >= RESOURCES_MAX && !self.resources.contains_key(&address) {
            self.resources.clear();
        }
        let (_, clean) = self.resources.entry(address).or_insert_with(|| {
            let mut clean = Resource::clone(resource);
            let changed = self.rules.attributes(&mut clean.attributes);
            (Arc::clone(resource), changed.then(|| Arc::new(clean)))
        });
        if let Some(clean) = clean {
            *resource = Arc::clone(clean);
        }
        clean.is_some()
    }
}

/// The rules that are not built in.
fn own(settings: &Settings) -> impl Iterator<Item = &Rule> {
    settings.rules.iter().filter(|rule| !matches!(rule.target, Target::BuiltIn(_)))
}

impl Rules {
    fn action(&self, rule: BuiltIn) -> Action {
        self.actions.get(rule as usize).copied().unwrap_or(Action::Keep)
    }

    /// What takes a secret's place in a text.
    fn stand_in(&self, action: Action, secret: &[u8]) -> Cow<'static, str> {
        match action {
            Action::Hash => Cow::Owned(mask::hashed(self.key.as_ref(), secret)),
            Action::Keep | Action::Mask | Action::Drop => Cow::Borrowed(mask::MASK),
        }
    }

    fn attributes(&self, attributes: &mut Vec<Attribute>) -> bool {
        let mut changed = false;
        attributes.retain_mut(|attribute| match self.attribute(attribute) {
            Outcome::Same => true,
            Outcome::Changed => {
                changed = true;
                true
            }
            Outcome::Dropped => {
                changed = true;
                false
            }
        });
        changed
    }

    fn attribute(&self, attribute: &mut Attribute) -> Outcome {
        let place = Place::of_attribute(attribute);
        let Attribute { key, value } = attribute;
        if place == Place::Own {
            return Outcome::Same;
        }
        if place == Place::Text || self.own_names {
            match self.names.look_up(key.as_bytes()) {
                Verdict::Nothing => {}
                Verdict::Identifier => return Outcome::Same,
                Verdict::Secret(hit) => return self.secret(hit, value),
            }
        }
        if place == Place::Known && self.patterns.is_empty() {
            return Outcome::Same;
        }
        self.value(place, value)
    }

    /// The value of an attribute with a secret name.
    fn secret(&self, hit: Hit, value: &mut Value) -> Outcome {
        let hidden = |text: &str| match says_nothing(text) {
            true => None,
            false => Some(self.stand_in(hit.action, text.as_bytes())),
        };
        let whole = |hidden| Value::Str(Text::from(hidden));
        let hidden = match value {
            Value::Str(text) => hidden(text).map(whole),
            Value::Int(number) => hidden(&number.to_string()).map(whole),
            Value::Double(number) => hidden(&number.to_string()).map(whole),
            // One of two values is no secret that could be kept.
            Value::Bool(_) => None,
            Value::Strs(texts) => {
                let each = texts.iter().map(|text| match hidden(text) {
                    Some(hidden) => hidden.into_owned(),
                    None => text.clone(),
                });
                let each: Box<[String]> = each.collect();
                (each != *texts).then_some(Value::Strs(each))
            }
        };
        let Some(hidden) = hidden else { return Outcome::Same };
        self.counts.inc(hit.rule);
        if hit.action == Action::Drop {
            return Outcome::Dropped;
        }
        *value = hidden;
        Outcome::Changed
    }

    fn value(&self, place: Place, value: &mut Value) -> Outcome {
        match value {
            Value::Str(text) => {
                let Some(clean) = self.placed(place, text) else { return Outcome::Same };
                if clean.drop {
                    return Outcome::Dropped;
                }
                *text = Text::from(clean.text);
                Outcome::Changed
            }
            Value::Strs(texts) => {
                let mut outcome = Outcome::Same;
                for text in texts.iter_mut() {
                    let Some(clean) = self.placed(place, text) else { continue };
                    if clean.drop {
                        return Outcome::Dropped;
                    }
                    *text = clean.text;
                    outcome = Outcome::Changed;
                }
                outcome
            }
            // The shortest number of a card has 13 digits.
            Value::Int(number @ 1_000_000_000_000..) if place == Place::Text => {
                let Some(clean) = self.placed(place, &number.to_string()) else {
                    return Outcome::Same;
                };
                if clean.drop {
                    return Outcome::Dropped;
                }
                *value = Value::from(clean.text);
                Outcome::Changed
            }
            Value::Int(_) | Value::Double(_) | Value::Bool(_) => Outcome::Same,
        }
    }

    fn placed(&self, place: Place, text: &str) -> Option<Clean> {
        match place {
            Place::Own => None,
            Place::Known => self.matched(text),
            Place::Text => self.text(text),
            Place::Query => self.both(text, Self::query),
            Place::Url => self.both(text, Self::url),
        }
    }

    /// A text of any kind without its secrets; none if it stays as it is.
    fn text(&self, text: &str) -> Option<Clean> {
        self.both(text, Self::scanned)
    }

    /// First people's own patterns, then what is known.
    fn both(&self, text: &str, known: impl Fn(&Self, &str) -> Option<Clean>) -> Option<Clean> {
        match self.matched(text) {
            None => known(self, text),
            Some(first) => Some(match known(self, &first.text) {
                None => first,
                Some(Clean { text, drop }) => Clean { text, drop: drop || first.drop },
            }),
        }
    }
}

/// What became of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Same,
    Changed,
    Dropped,
}
