//! Which identifiers and which baggage are kept.

use std::borrow::Cow;

use super::baggage;
use super::fields::Name;
use super::jaeger::BAGGAGE_PREFIX;
use crate::wire::names::NameSet;

/// Most names, and most keys.
const NAMES_MAX: usize = 16;

/// Longest name, and longest key.
const NAME_MAX: usize = 64;

/// Fields with the sender's secrets: spans are no place for them.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// The identifiers that are read where nobody says which.
const REQUEST_IDS: [[&str; 3]; 3] = [
    ["x-request-id", "http.request.header.x-request-id", "http.response.header.x-request-id"],
    ["x-trace-id", "http.request.header.x-trace-id", "http.response.header.x-trace-id"],
    [
        "x-correlation-id",
        "http.request.header.x-correlation-id",
        "http.response.header.x-correlation-id",
    ],
];

/// What servers tell of the trace in a response, beside request ids.
const ANSWERS: [[&str; 2]; 7] = [
    ["traceresponse", "http.response.header.traceresponse"],
    ["traceparent", "http.response.header.traceparent"],
    ["x-amzn-trace-id", "http.response.header.x-amzn-trace-id"],
    ["b3", "http.response.header.b3"],
    ["x-b3-traceid", "http.response.header.x-b3-traceid"],
    ["uber-trace-id", "http.response.header.uber-trace-id"],
    ["x-datadog-trace-id", "http.response.header.x-datadog-trace-id"],
];

/// A name or a key that cannot be used, and what could.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Which identifiers and which baggage are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    request_ids: Vec<RequestIdName>,
    baggage: Vec<BaggageKey>,
    /// Of requests, and of responses.
    names: [NameSet; 2],
}

/// A field with an identifier.
#[derive(Clone, Debug)]
struct RequestIdName {
    /// In lower case.
    name: Cow<'static, str>,
    /// Attributes of the request and of the response.
    keys: [Cow<'static, str>; 2],
}

/// A wanted key.
#[derive(Clone, Debug)]
struct BaggageKey {
    key: String,
    attribute: String,
}

impl Default for Settings {
    fn default() -> Self {
        let ids = REQUEST_IDS.map(|[name, request, response]| RequestIdName {
            name: Cow::Borrowed(name),
            keys: [Cow::Borrowed(request), Cow::Borrowed(response)],
        });
        Self::of(ids.into(), Vec::new())
    }
}

impl Settings {
    /// Those names, `None` for the usual ones, and those keys. Case does not matter to the names.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn new(request_ids: Option<&[String]>, baggage: &[String]) -> Result<Self, Unusable> {
        let usual = Self::default().request_ids;
        let request_ids = request_ids.map_or(Ok(usual), |names| {
            at_most(names)?;
            names.iter().map(|name| request_id(name)).collect()
        })?;
        at_most(baggage)?;
        let baggage: Result<Vec<_>, _> = baggage.iter().map(|key| baggage_key(key)).collect();
        Ok(Self::of(request_ids, baggage?))
    }

    fn of(mut request_ids: Vec<RequestIdName>, mut baggage: Vec<BaggageKey>) -> Self {
        // Twice the same would be two attributes with one key.
        let mut seen = Vec::new();
        request_ids.retain(|it| !seen.contains(&it.name) && (seen.push(it.name.clone()), true).1);
        let mut seen = Vec::new();
        baggage.retain(|it| !seen.contains(&it.key) && (seen.push(it.key.clone()), true).1);
        let mut requests = NameSet::of(&Name::KNOWN);
        let mut responses =
            ANSWERS.iter().fold(NameSet::default(), |names, [name, _]| names.with(name.as_bytes()));
        for id in &request_ids {
            requests = requests.with(id.name.as_bytes());
            responses = responses.with(id.name.as_bytes());
        }
        for BaggageKey { key, .. } in &baggage {
            requests = requests.with([BAGGAGE_PREFIX, key].concat().as_bytes());
        }
        Self { request_ids, baggage, names: [requests, responses] }
    }

    /// The names of fields with identifiers, in lower case.
    pub fn request_id_names(&self) -> impl Iterator<Item = &str> {
        self.request_ids.iter().map(|it| it.name.as_ref())
    }

    /// Which one a field of a request is.
    #[inline]
    pub fn request(&self, name: &[u8]) -> Option<Name> {
        if self.names[0].may_have(name) { self.look_up(name) } else { None }
    }

    fn look_up(&self, name: &[u8]) -> Option<Name> {
        match Name::of(name) {
            Some(Name::Baggage) if self.baggage.is_empty() => None,
            Some(known) => Some(known),
            None => self
                .request_id(name)
                .map(Name::RequestId)
                .or_else(|| self.uber_baggage(name).map(Name::UberBaggage)),
        }
    }

    /// The names of the fields of a response that are told.
    #[inline]
    pub fn responses(&self) -> NameSet {
        self.names[1]
    }

    /// Which one a field of a response is: [`Self::response_key`] has its attribute.
    #[inline]
    pub fn response(&self, name: &[u8]) -> Option<u8> {
        if !self.names[1].may_have(name) {
            return None;
        }
        let known =
            ANSWERS.iter().position(|[known, _]| name.eq_ignore_ascii_case(known.as_bytes()));
        let known = known.and_then(|at| u8::try_from(self.request_ids.len() + at).ok());
        self.request_id(name).or(known)
    }

    fn request_id(&self, name: &[u8]) -> Option<u8> {
        let is = |it: &RequestIdName| name.eq_ignore_ascii_case(it.name.as_bytes());
        self.request_ids.iter().position(is).and_then(|at| u8::try_from(at).ok())
    }

    /// Names of fields have no case, so the case of the key does not matter here.
    fn uber_baggage(&self, name: &[u8]) -> Option<u8> {
        let (prefix, key) = name.split_at_checked(BAGGAGE_PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(BAGGAGE_PREFIX.as_bytes()) {
            return None;
        }
        let is = |it: &BaggageKey| key.eq_ignore_ascii_case(it.key.as_bytes());
        self.baggage.iter().position(is).and_then(|at| u8::try_from(at).ok())
    }

    /// A wanted key of `baggage`, where case matters.
    pub(super) fn baggage_key(&self, key: &[u8]) -> Option<usize> {
        self.baggage.iter().position(|it| it.key.as_bytes() == key)
    }

    /// The attribute of a wanted key.
    pub(super) fn baggage_attribute(&self, at: usize) -> Option<Cow<'static, str>> {
        self.baggage.get(at).map(|it| Cow::Owned(it.attribute.clone()))
    }

    /// Name and attribute of an identifier in a request.
    pub(super) fn request_key(&self, at: u8) -> Option<(&str, Cow<'static, str>)> {
        self.request_ids.get(usize::from(at)).map(|it| (&*it.name, it.keys[0].clone()))
    }

    /// The attribute of a field of a response.
    pub(super) fn response_key(&self, at: u8) -> Option<Cow<'static, str>> {
        let at = usize::from(at);
        match self.request_ids.get(at) {
            Some(it) => Some(it.keys[1].clone()),
            None => {
                let [_, key] = ANSWERS.get(at - self.request_ids.len())?;
                Some(Cow::Borrowed(key))
            }
        }
    }
}

fn at_most(names: &[String]) -> Result<(), Unusable> {
    match names.get(NAMES_MAX) {
        Some(_) => Err(Unusable(format!("at most {NAMES_MAX}"))),
        None => Ok(()),
    }
}

/// Names of fields and keys of baggage are tokens.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX && baggage::is_key(text.as_bytes())
}

fn request_id(name: &str) -> Result<RequestIdName, Unusable> {
    let name = name.trim().to_ascii_lowercase();
    let context = Name::KNOWN.iter().chain(&["traceparent", "tracestate"]);
    if !is_name(&name) {
        return Err(Unusable(format!(
            "the name of a header field, at most {NAME_MAX} characters, for example x-request-id"
        )));
    }
    if SECRET.contains(&&*name) {
        return Err(Unusable("a field that holds no credentials".into()));
    }
    if ANSWERS.iter().map(|[known, _]| known).chain(context).any(|known| *known == name) {
        return Err(Unusable("a field that is not read as a trace context anyway".into()));
    }
    let keys = ["request", "response"];
    let keys = keys.map(|side| Cow::Owned(format!("http.{side}.header.{name}")));
    Ok(RequestIdName { name: Cow::Owned(name), keys })
}

fn baggage_key(key: &str) -> Result<BaggageKey, Unusable> {
    let key = key.trim();
    if !is_name(key) {
        return Err(Unusable(format!(
            "a key of W3C Baggage, at most {NAME_MAX} characters, for example user.tier"
        )));
    }
    Ok(BaggageKey { key: key.to_owned(), attribute: format!("baggage.{key}") })
}
