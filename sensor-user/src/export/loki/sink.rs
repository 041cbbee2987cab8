//! Loki: how requests go out and what its answers mean.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};

use super::request::{encode, push_request};
use super::{Authorization, Settings};
use crate::export::StartError;
use crate::export::delivery::{Backend, Loss, Outcome};
use crate::export::http::{Answer, client, post, shown, snippet};
use crate::model::Span;

/// One Loki.
#[derive(Debug)]
pub(crate) struct Sink {
    target: String,
    client: Client,
    endpoint: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
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
        Ok(Self { target, client, endpoint, headers })
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

impl Backend for Sink {
    type Request = Bytes;

    fn target(&self) -> &str {
        &self.target
    }

    fn encode(&self, batch: &[Arc<Span>]) -> Bytes {
        encode(&push_request(batch)).into()
    }

    async fn send(&self, request: &Bytes) -> Outcome {
        match post(&self.client, &self.endpoint, &self.headers, request.clone()).await {
            Ok(answer) => outcome(&answer),
            Err(outcome) => outcome,
        }
    }
}

/// As Promtail has it: 429 and 5xx may work later, the rest will not.
///
/// A 400 may be for some lines of the request only, and its text is not made to be parsed: all of
/// them are counted, so that what is counted as sent was taken.
fn outcome(answer: &Answer) -> Outcome {
    let text = snippet(&answer.body);
    match answer.status.as_u16() {
        200..300 => Outcome::ACCEPTED,
        429 | 500..600 => Outcome::retry(answer.reason(&text), answer.retry_after()),
        400..500 => Outcome::lost(Loss::Rejected, answer.reason(&text)),
        _ => Outcome::lost(Loss::Failed, answer.reason(&text)),
    }
}
