//! What the destinations over HTTP share: the client, one bounded request, and how endpoints and
//! header values are read from settings.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};

use super::delivery::Outcome;
pub(super) use super::secrets::{Secrets, shown};
use super::text::bounded;
use super::{StartError, USER_AGENT};

/// Of an answer's body, no more is read: a partial success or an error text is far shorter.
const MAX_ANSWER: usize = 64 << 10;

/// Of a backend's text, no more goes into the log.
const MAX_SNIPPET: usize = 300;

/// A client that speaks to one backend and does what its settings say, nothing more: no proxy from
/// the environment, no redirect (a POST would become a GET).
pub(super) fn client(
    endpoint: &Url,
    headers: HeaderMap,
    certificate: Option<&Path>,
    connect_timeout: Duration,
) -> Result<Client, StartError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect_timeout);
    if let Some(path) = certificate {
        builder = builder.tls_certs_only(trusted(path)?.1);
    } else if endpoint.scheme() == "http" {
        // Without this, the system's trust store is read for nothing, or missed in a bare container.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .map_err(|error| StartError::Client { target: shown(endpoint), reason: chain(&error) })
}

/// The certificates in a PEM file, as text and parsed.
pub(super) fn trusted(path: &Path) -> Result<(Vec<u8>, Vec<Certificate>), StartError> {
    let pem = std::fs::read(path).map_err(|error| certificate_error(path, &error))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| certificate_error(path, &error))?;
    if certificates.is_empty() {
        return Err(certificate_error(path, &"there is no certificate in it"));
    }
    Ok((pem, certificates))
}

fn certificate_error(path: &Path, reason: &dyn ToString) -> StartError {
    StartError::Certificate { path: path.display().to_string(), reason: reason.to_string() }
}

/// An answer, its body cut at [`MAX_ANSWER`].
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The body went on beyond what was read.
    pub(super) cut: bool,
}

/// Posts a body. The error is for what may work later: no connection, no whole answer.
pub(super) async fn post(
    client: &Client,
    endpoint: &Url,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Answer, Outcome> {
    let mut request = client.post(endpoint.clone()).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut answer = Answer { status, headers, body: Vec::new(), cut: false };
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        let room = MAX_ANSWER - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            answer.cut = true;
            break;
        }
    }
    Ok(answer)
}

/// The URL of the request is in the error's own text, and would bring a key into the log.
fn failed(error: reqwest::Error) -> Outcome {
    let error = error.without_url();
    let advice = if error.is_connect() {
        "cannot connect: is the backend running there, and is the endpoint right?"
    } else {
        "the connection broke before the answer was complete"
    };
    Outcome::retry(format!("{advice} ({})", chain(&error)), None)
}

impl Answer {
    /// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        // A date that has passed allows it now.
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
    }

    /// Status, advice and the backend's own words, for the log.
    pub(super) fn reason(&self, text: &str) -> String {
        let advice = match self.status.as_u16() {
            300..400 => match self.headers.get(LOCATION) {
                Some(location) => {
                    let url = location.to_str().ok().and_then(|text| Url::parse(text).ok());
                    let place = url.map_or_else(|| "another path".to_owned(), |url| shown(&url));
                    let place = bounded(&place, MAX_SNIPPET);
                    return format!("{}: set the endpoint to {place}", self.status);
                }
                None => "redirects are not followed, correct the endpoint",
            },
            400 => "the backend does not accept the data",
            401 | 403 => "check the credentials and the tenant in the headers",
            404 | 405 => "there is no such API at that path, check the endpoint",
            413 => "the request is too large for the backend, raise its limit",
            415 => "the backend does not speak this protocol, check the endpoint",
            429 => "the backend asks to slow down, raise its limits",
            502..=504 => "the backend, or a proxy before it, is not available",
            _ => "see the backend's log",
        };
        if text.is_empty() {
            format!("{}: {advice}", self.status)
        } else {
            format!("{}: {advice} (it says: {text})", self.status)
        }
    }
}

/// A backend's text made fit for the log.
pub(super) fn snippet(text: &[u8]) -> String {
    // A character has four bytes at most.
    let text = &text[..text.len().min(4 * (MAX_SNIPPET + 2))];
    bounded(&String::from_utf8_lossy(text), MAX_SNIPPET)
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    snippet(text.as_bytes())
}

/// Reads the URL of a backend.
///
/// # Errors
/// What is wrong with it and what it should look like, without the name of the setting.
pub(super) fn parse_endpoint(text: &str) -> Result<Url, String> {
    let example = "write it like http://localhost:4318";
    let url =
        Url::parse(text.trim()).map_err(|error| format!("is not a URL ({error}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("has to begin with http:// or https://; {example}"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("names no host; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a password, which would show in logs; use the headers".into());
    }
    if url.fragment().is_some() {
        return Err("must not have a #fragment".into());
    }
    Ok(url)
}

/// Appends to the path of a base URL, without doubling slashes.
pub(super) fn append_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// Reads a timeout in milliseconds.
///
/// # Errors
/// What is wrong with it, without the name of the setting.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u64>() {
        Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err("has to be a whole number of milliseconds above zero, like 10000".into()),
    }
}
