//! Which names of fields belong to secrets.
//!
//! Case does not matter to them, nor what separates their words: `X-Api-Key`, `api_key`, `apiKey` and `api.key` are
//! one name. A name is looked up whole and, where it is a path, by its last part too (`user.pwd`).

use rustc_hash::FxHashMap;

use super::mask::Action;
use super::rules::BuiltIn;

/// Longest name that is compared; of a longer one, its end.
pub(super) const NAME_MAX: usize = 64;

/// What the value of a field looks like where it stands in text without quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// One word; or a scheme of authentication, and credentials by its grammar (RFC 9110 section 11.4).
    #[default]
    Word,
    /// `a=b; c=d`.
    Cookies,
}

/// A rule that a name falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) rule: usize,
    pub(super) action: Action,
    pub(super) shape: Shape,
}

/// What a name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    /// It identifies a trace, a span or a request: never touched.
    Identifier,
    Secret(Hit),
}

/// Identifiers of traces, spans and requests in all usual spellings.
const IDENTIFIERS: [&str; 16] = [
    "traceid",
    "spanid",
    "parentid",
    "parentspanid",
    "traceparent",
    "requestid",
    "correlationid",
    "xtraceid",
    "xspanid",
    "xrequestid",
    "xcorrelationid",
    "ddtraceid",
    "ddspanid",
    "b3",
    "sw8",
    "ubertraceid",
];

/// Whole names, without what separates words.
const WHOLE: &[(&str, BuiltIn, Shape)] = &[
    ("cookie", BuiltIn::Cookie, Shape::Cookies),
    ("setcookie", BuiltIn::Cookie, Shape::Cookies),
    ("cookies", BuiltIn::Cookie, Shape::Cookies),
    ("pwd", BuiltIn::Password, Shape::Word),
    ("jwt", BuiltIn::Token, Shape::Word),
    ("session", BuiltIn::Session, Shape::Word),
    ("sessid", BuiltIn::Session, Shape::Word),
    ("phpsessid", BuiltIn::Session, Shape::Word),
    ("connectsid", BuiltIn::Session, Shape::Word),
    ("cvv", BuiltIn::Card, Shape::Word),
    ("cvv2", BuiltIn::Card, Shape::Word),
    ("cvc", BuiltIn::Card, Shape::Word),
    ("cvc2", BuiltIn::Card, Shape::Word),
    ("ccnumber", BuiltIn::Card, Shape::Word),
    ("ssn", BuiltIn::Ssn, Shape::Word),
    ("socialsecuritynumber", BuiltIn::Ssn, Shape::Word),
    // Of the semantic conventions for `url.query`.
    ("sig", BuiltIn::Signature, Shape::Word),
    ("signature", BuiltIn::Signature, Shape::Word),
    ("xgoogsignature", BuiltIn::Signature, Shape::Word),
    ("xamzsignature", BuiltIn::Signature, Shape::Word),
    ("awsaccesskeyid", BuiltIn::AwsKey, Shape::Word),
];

/// How names end, without what separates words.
const ENDS: &[(&str, BuiltIn, Shape)] = &[
    ("authorization", BuiltIn::Authorization, Shape::Word),
    ("apikey", BuiltIn::ApiKey, Shape::Word),
    ("password", BuiltIn::Password, Shape::Word),
    ("passwd", BuiltIn::Password, Shape::Word),
    ("passphrase", BuiltIn::Password, Shape::Word),
    ("secret", BuiltIn::Secret, Shape::Word),
    ("secretkey", BuiltIn::Secret, Shape::Word),
    ("secretaccesskey", BuiltIn::Secret, Shape::Word),
    ("token", BuiltIn::Token, Shape::Word),
    ("privatekey", BuiltIn::PrivateKey, Shape::Word),
    ("sessionid", BuiltIn::Session, Shape::Word),
    ("cardnumber", BuiltIn::Card, Shape::Word),
];

/// All names that have a meaning here.
#[derive(Debug)]
pub(super) struct Names {
    whole: FxHashMap<Box<[u8]>, Verdict>,
    ends: Vec<(Box<[u8]>, Hit)>,
    /// In the order of the rules; before all others.
    globs: Vec<(Glob, Hit)>,
    /// How names that have a meaning end: most others are told from them by two letters.
    last: [bool; ENDINGS],
}

/// Pairs of letters, without their case; other characters share their places.
const ENDINGS: usize = 32 * 32;

fn ending(before: u8, last: u8) -> usize {
    usize::from(before & 31) << 5 | usize::from(last & 31)
}

/// What somebody wrote for names: `*` and `?` are wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<[u8]>,
    /// With wildcards it matches names with their separators, all alike: `user.*` is not to match `username`.
    wild: bool,
}

impl Glob {
    /// None where it is nothing but separators, or too long to match a name.
    pub fn new(text: &str) -> Option<Self> {
        let wild = text.contains(['*', '?']);
        let bytes = text.bytes().filter(|byte| wild || !is_separator(*byte));
        let text: Box<[u8]> =
            bytes.map(|it| if is_separator(it) { b'_' } else { it.to_ascii_lowercase() }).collect();
        let says_something = text.iter().any(|byte| *byte != b'_');
        (says_something && text.len() <= NAME_MAX).then_some(Self { text, wild })
    }

    /// Two hands: on a mismatch, the last `*` takes one more.
    fn matches(&self, name: &[u8]) -> bool {
        let (mut at, mut of, mut back) = (0, 0, None);
        while let Some(&byte) = name.get(at) {
            match self.text.get(of) {
                Some(b'*') => {
                    back = Some((of, at));
                    of += 1;
                }
                Some(&wanted) if wanted == b'?' || wanted == byte => {
                    at += 1;
                    of += 1;
                }
                _ => {
                    let Some((star, from)) = back else { return false };
                    back = Some((star, from + 1));
                    (at, of) = (from + 1, star + 1);
                }
            }
        }
        self.text.get(of..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
    }
}

/// `user[password]`, as forms have it, is `user.password`.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.' | b'[' | b']')
}

/// A name as it is compared.
struct Normal {
    bytes: [u8; NAME_MAX],
    len: usize,
    /// Where its last part begins.
    part: usize,
}

impl Normal {
    /// Without separators, or with each of them an underscore; percent-encoding undone.
    fn of(name: &[u8], separated: bool) -> Self {
        let mut normal = Self { bytes: [0; NAME_MAX], len: 0, part: 0 };
        let mut rest = &name[name.len().saturating_sub(NAME_MAX)..];
        while let [first, tail @ ..] = rest {
            rest = tail;
            let mut byte = *first;
            if let (b'%', Some((decoded, after))) = (byte, hex(tail)) {
                byte = decoded;
                rest = after;
            }
            let is_dot = matches!(byte, b'.' | b'[');
            let kept = if !is_separator(byte) {
                Some(byte.to_ascii_lowercase())
            } else {
                separated.then_some(b'_')
            };
            if let (Some(byte), Some(slot)) = (kept, normal.bytes.get_mut(normal.len)) {
                *slot = byte;
                normal.len += 1;
            }
            if is_dot {
                normal.part = normal.len;
            }
        }
        normal
    }

    fn whole(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn last_part(&self) -> &[u8] {
        self.bytes.get(self.part..self.len).unwrap_or_default()
    }
}

/// Two hexadecimal digits, and what follows.
pub(super) fn hex(text: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = text.split_at_checked(2)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    Some((digit(pair[0])? << 4 | digit(pair[1])?, rest))
}

impl Names {
    /// `action` says what is done by a built-in rule; what it keeps is not looked for.
    pub(super) fn new(
        action: impl Fn(BuiltIn) -> Action,
        globs: impl IntoIterator<Item = (Glob, Hit)>,
    ) -> Self {
        let hit = |(name, rule, shape): &(&str, BuiltIn, Shape)| {
            let action = action(*rule);
            let hit = Hit { rule: *rule as usize, action, shape: *shape };
            (action != Action::Keep).then(|| (Box::<[u8]>::from(name.as_bytes()), hit))
        };
        let mut whole: FxHashMap<Box<[u8]>, _> = IDENTIFIERS
            .iter()
            .map(|name| (Box::from(name.as_bytes()), Verdict::Identifier))
            .collect();
        whole.extend(WHOLE.iter().filter_map(hit).map(|(name, hit)| (name, Verdict::Secret(hit))));
        let ends: Vec<_> = ENDS.iter().filter_map(hit).collect();
        let globs: Vec<_> = globs.into_iter().collect();
        // Somebody's own may end in any way.
        let mut last = [!globs.is_empty(); ENDINGS];
        for name in whole.keys().chain(ends.iter().map(|(name, _)| name)) {
            if let [.., before, byte] = **name {
                last[ending(before, byte)] = true;
            }
        }
        Self { whole, ends, globs, last }
    }

    /// What a name means.
    pub(super) fn look_up(&self, name: &[u8]) -> Verdict {
        if name.is_empty() {
            return Verdict::Nothing;
        }
        if let [.., before, last] = *name
            && !self.last[ending(before, last)]
            && !is_separator(before)
            && !is_separator(last)
            && !name.contains(&b'%')
        {
            return Verdict::Nothing;
        }
        if let Some(hit) = self.by_glob(name) {
            return if hit.action == Action::Keep {
                Verdict::Nothing
            } else {
                Verdict::Secret(hit)
            };
        }
        let normal = Normal::of(name, false);
        let found = self.whole.get(normal.whole()).or_else(|| self.whole.get(normal.last_part()));
        if let Some(&verdict) = found {
            return verdict;
        }
        let by_end = self.ends.iter().find(|(end, _)| normal.whole().ends_with(end));
        by_end.map_or(Verdict::Nothing, |&(_, hit)| Verdict::Secret(hit))
    }

    fn by_glob(&self, name: &[u8]) -> Option<Hit> {
        if self.globs.is_empty() {
            return None;
        }
        let normals = [Normal::of(name, false), Normal::of(name, true)];
        let matches = |glob: &Glob| {
            let [tight, separated] = &normals;
            let normal = if glob.wild { separated } else { tight };
            glob.matches(normal.whole()) || glob.matches(normal.last_part())
        };
        self.globs.iter().find(|(glob, _)| matches(glob)).map(|&(_, hit)| hit)
    }
}
