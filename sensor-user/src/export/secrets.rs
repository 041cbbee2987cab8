//! What may be shown of an endpoint, and what must not leave in any text.
//!
//! Some backends take their key in the URL, as a parameter of the query or a segment of the path.
//! Then it is in the errors of the HTTP client, in what a proxy says of a request that it does not
//! know, and where a redirect leads.

use reqwest::Url;

use super::delivery::Outcome;

/// The ends of paths that are the same everywhere.
const API: [&str; 3] = ["/v1/traces", "/v1/logs", "/loki/api/v1/push"];

/// What may be before them: VictoriaLogs, Grafana's backends.
const PREFIXES: [&str; 3] = ["", "/insert", "/otlp"];

/// What stands for text that is left out.
const CUT: &str = "…";

/// Below this, a text is no secret, and taking it out of others would shred them.
const SECRET_MIN: usize = 6;

/// From this length on, a text with digits and letters passes for a key.
const TOKEN_MIN: usize = 16;

/// Parts of the names of parameters that hold keys.
const KEY_NAMES: [&str; 7] = ["key", "token", "secret", "auth", "pass", "sig", "cred"];

/// A URL as it may stand in a log: scheme, host, port, and of the path what is known to be the
/// API's.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path();
    let api = API.iter().find(|api| path.trim_end_matches('/').ends_with(*api));
    let path = match api {
        _ if path == "/" || path.is_empty() => "/".to_owned(),
        Some(api) => {
            let prefix = path.trim_end_matches('/').trim_end_matches(api);
            let prefix = if PREFIXES.contains(&prefix) { prefix } else { "/…" };
            format!("{prefix}{api}")
        }
        None => "/…".to_owned(),
    };
    format!("{}://{host}{port}{path}", url.scheme())
}

/// Whether an endpoint, as it is written in a setting, seems to hold a key.
pub(crate) fn endpoint_holds_key(endpoint: &str) -> bool {
    Url::parse(endpoint.trim()).is_ok_and(|url| keys(&url).next().is_some())
}

/// The keys in an endpoint, as they are written there and as they are meant.
fn keys(url: &Url) -> impl Iterator<Item = String> + '_ {
    let pairs = url.query_pairs().zip(url.query().unwrap_or_default().split('&'));
    let of_query = pairs.filter(|((name, value), _)| {
        let name = name.to_ascii_lowercase();
        is_token(value) || !value.is_empty() && KEY_NAMES.iter().any(|part| name.contains(part))
    });
    let of_query = of_query.flat_map(|((_, value), raw)| {
        let raw = raw.split_once('=').map_or(raw, |(_, raw)| raw);
        [value.into_owned(), raw.to_owned()]
    });
    let of_path = url.path_segments().into_iter().flatten().filter(|it| is_token(it));
    of_query.chain(of_path.map(str::to_owned))
}

fn is_token(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    text.len() >= TOKEN_MIN && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// The secrets of one destination.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those in the endpoint, and `others`.
    pub(super) fn new<'a>(endpoint: &Url, others: impl Iterator<Item = &'a str>) -> Self {
        // Of "Bearer KEY", the key by itself too.
        let others = others.flat_map(|it| [Some(it), it.split_once(' ').map(|(_, key)| key)]);
        let others = others.flatten().map(str::to_owned);
        let query = endpoint.query().map(str::to_owned);
        let mut all: Vec<_> = keys(endpoint).chain(query).chain(others).collect();
        all.retain(|secret| secret.len() >= SECRET_MIN);
        // The longest first: one may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all)
    }

    /// What came of a request, without secrets in its texts.
    pub(super) fn out_of(&self, mut outcome: Outcome) -> Outcome {
        let (Outcome::Accepted { message: text, .. }
        | Outcome::Retry { reason: text, .. }
        | Outcome::Lost { reason: text, .. }) = &mut outcome;
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), CUT);
            }
            *text = without_beginning(text, secret);
        }
        outcome
    }
}

/// A text that was cut may end within a secret.
fn without_beginning(text: &str, secret: &str) -> String {
    let mut parts = text.split(CUT).peekable();
    let mut clean = String::with_capacity(text.len());
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            clean.push_str(part);
            break;
        }
        let beginnings = secret.char_indices().map(|(end, _)| &secret[..end]);
        let beginnings = beginnings.filter(|it| it.len() >= SECRET_MIN);
        let cut = beginnings.rev().find_map(|beginning| part.strip_suffix(beginning));
        clean.push_str(cut.unwrap_or(part));
        clean.push_str(CUT);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn only_what_is_known_is_shown_of_an_endpoint() {
        for (endpoint, expected) in [
            ("http://c:4318", "http://c:4318/"),
            ("https://c/v1/traces?apikey=SECRETKEY", "https://c/v1/traces"),
            ("http://c:1/otlp/v1/logs", "http://c:1/otlp/v1/logs"),
            (
                "http://vl:9428/insert/loki/api/v1/push?x=y",
                "http://vl:9428/insert/loki/api/v1/push",
            ),
            ("http://c/T0SECRET/v1/traces/", "http://c/…/v1/traces"),
            ("http://c/services/T0SECRET", "http://c/…"),
            ("http://user:SECRET@c/v1/logs", "http://c/v1/logs"),
            ("http://[::1]:4318/v1/logs", "http://[::1]:4318/v1/logs"),
        ] {
            assert_eq!(shown(&url(endpoint)), expected);
        }
    }

    #[test]
    fn keys_are_told_from_other_parameters() {
        for endpoint in [
            "http://c/?apikey=x",
            "http://c/?X-Auth=x",
            "http://c/?a=0123456789abcdef",
            "http://c/v1/input/0f9c2a77d1b84c6e/v1/traces",
        ] {
            assert!(endpoint_holds_key(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://c:4318",
            "http://vl/insert/loki/api/v1/push?_msg_field=message",
            "http://c/?apikey=",
            "http://c/opentelemetry-collector/v1/traces",
        ] {
            assert!(!endpoint_holds_key(endpoint), "{endpoint}");
        }
    }

    #[test]
    fn no_secret_is_left_in_what_is_said() {
        let endpoint = url("http://c/0f9c2a77d1b84c6e/v1/traces?apikey=s%3Dcret-key&x=harmless");
        let secrets = Secrets::new(&endpoint, ["Bearer mF_9.B5f", "blue"].into_iter());
        let texts = "no 0f9c2a77d1b84c6e, s=cret-key, s%3Dcret-key, mF_9.B5f; blue, x=harmless";
        let expected = "no …, …, …, …; blue, x=harmless";
        let same = |text: &str| match secrets.out_of(Outcome::retry(text, None)) {
            Outcome::Retry { reason, .. } => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(same(texts), expected);
        assert_eq!(same("GET /?apikey=s%3Dcret-key&x=harmless"), "GET /?…");
        // Where a text was cut, with what comes after it.
        assert_eq!(same("no 0f9c2a77d1b84… (429)"), "no … (429)");
        assert_eq!(same("no 0f9c2a77d1b84"), "no 0f9c2a77d1b84");
        assert_eq!(same("one… two…"), "one… two…");
    }
}
