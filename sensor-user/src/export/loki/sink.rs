//! Loki: how requests go out and what its answers mean.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};

use super::answer::outcome;
use super::request::{PushRequest, encode, streams};
use super::{Authorization, Entry, Settings};
use crate::export::StartError;
use crate::export::delivery::{Backend, Grouping, Outcome, Part};
use crate::export::http::{Secrets, client, post, shown};

/// One Loki. Not `Debug`: the endpoint may hold a key.
pub(crate) struct Sink {
    target: String,
    client: Client,
    endpoint: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Secrets,
}

impl Sink {
    pub(crate) fn new(settings: &Settings) -> Result<Self, StartError> {
        let endpoint = settings.endpoint.clone();
        let target = format!("Loki at {}", shown(&endpoint));
        let certificate = settings.certificate.as_deref();
        let client = client(&endpoint, HeaderMap::new(), certificate, settings.timeout)?;
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let mut headers = vec![(CONTENT_TYPE, protobuf)];
        if let Some(tenant) = &settings.tenant {
            headers.push((HeaderName::from_static("x-scope-orgid"), tenant.clone()));
        }
        if let Some(authorization) = &settings.authorization {
            headers.push((AUTHORIZATION, credentials(&client, &endpoint, authorization)?));
        }
        let sent = headers.iter().filter(|(name, _)| name == AUTHORIZATION);
        let sent = sent.filter_map(|(_, value)| value.to_str().ok());
        let secrets = Secrets::new(&endpoint, sent.chain(settings.secret()));
        Ok(Self { target, client, endpoint, headers, secrets })
    }
}

/// The header that the HTTP client itself makes of the credentials.
fn credentials(
    client: &Client,
    endpoint: &Url,
    authorization: &Authorization,
) -> Result<HeaderValue, StartError> {
    let request = client.post(endpoint.clone());
    let request = match authorization {
        Authorization::Basic { username, password } => request.basic_auth(username, Some(password)),
        Authorization::Bearer(token) => request.bearer_auth(token),
    };
    request
        .build()
        .ok()
        .and_then(|request| request.headers().get(AUTHORIZATION).cloned())
        .ok_or_else(|| StartError::Client {
            target: shown(endpoint),
            reason: "the credentials cannot be sent in a header: they must not have line breaks"
                .to_owned(),
        })
}

/// The lines of one stream.
#[derive(Debug)]
pub(crate) struct Push {
    pub(super) body: Bytes,
    /// As Loki repeats them in its answers.
    pub(super) labels: String,
}

impl Backend for Sink {
    type Item = Entry;
    type Request = Push;

    const GROUPING: Grouping = Grouping::Stream;

    fn target(&self) -> &str {
        &self.target
    }

    /// Each stream by itself: an ingester answers for the last of several streams only (`Push` of
    /// `pkg/ingester/instance.go`, 2.9 to 3.7), so that what it refuses of the others would pass for taken.
    fn encode(&self, batch: Vec<Entry>) -> Vec<Part<Push>> {
        let part = |stream| {
            let request = PushRequest { streams: vec![stream] };
            let body = encode(&request).into();
            let mut streams = request.streams.into_iter();
            let (labels, items) = streams
                .next()
                .map(|stream| (stream.labels, stream.entries.len() as u64))
                .unwrap_or_default();
            Part { request: Push { body, labels }, items }
        };
        streams(&batch).into_iter().map(part).collect()
    }

    async fn send(&self, part: &Part<Push>) -> Outcome {
        let body = part.request.body.clone();
        let outcome = match post(&self.client, &self.endpoint, &self.headers, body).await {
            Ok(answer) => outcome(&answer, &part.request.labels, part.items),
            Err(outcome) => outcome,
        };
        self.secrets.out_of(outcome)
    }
}
