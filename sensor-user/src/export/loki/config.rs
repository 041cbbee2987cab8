//! Settings of the Loki destination.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::export::Policy;
use crate::export::http::{append_path, parse_endpoint, parse_timeout, shown};

/// As for OTLP; Promtail's default is the same.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const PUSH: &str = "loki/api/v1/push";

/// A validated description of one Loki. `Debug` does not show what of the endpoint may be a key.
#[derive(Clone)]
pub struct Settings {
    /// The full URL that is posted to.
    pub endpoint: Url,
    /// `X-Scope-OrgID`.
    pub tenant: Option<HeaderValue>,
    /// How the sensor proves who it is.
    pub authorization: Option<Authorization>,
    /// For one attempt.
    pub timeout: Duration,
    /// PEM file with the certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// Queue, batches and retries.
    pub policy: Policy,
}

/// Credentials. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// RFC 7617.
    Basic {
        /// Without a colon.
        username: String,
        /// The secret.
        password: String,
    },
    /// RFC 6750.
    Bearer(String),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username:?}, …)"),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, tenant, authorization, timeout, certificate, policy } = self;
        f.debug_struct("Settings")
            .field("endpoint", &shown(endpoint))
            .field("tenant", tenant)
            .field("authorization", authorization)
            .field("timeout", timeout)
            .field("certificate", certificate)
            .field("policy", policy)
            .finish()
    }
}

impl Settings {
    /// What must not be in any text, besides what the endpoint and the headers hold.
    pub(super) fn secret(&self) -> Option<&str> {
        self.authorization.as_ref().map(|authorization| match authorization {
            Authorization::Basic { password, .. } => password.as_str(),
            Authorization::Bearer(token) => token.as_str(),
        })
    }

    /// Settings for an endpoint, everything else at its default. The endpoint is a base URL (for
    /// Loki itself scheme, host and port), or the full one that ends in `/loki/api/v1/push`.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub fn new(endpoint: &str) -> Result<Self, String> {
        let url = parse_endpoint(endpoint)?;
        let full = url.path().trim_end_matches('/').ends_with(&format!("/{PUSH}"));
        Ok(Self {
            endpoint: if full { url } else { append_path(&url, PUSH) },
            tenant: None,
            authorization: None,
            timeout: DEFAULT_TIMEOUT,
            certificate: None,
            policy: Policy::of_records(),
        })
    }

    /// Reads `SENSOR_LOKI_ENDPOINT`, `_TENANT`, `_USERNAME` and `_PASSWORD` or `_BEARER_TOKEN`,
    /// `_TIMEOUT` (milliseconds) and `_CERTIFICATE` (PEM file); flags win over them. None when there
    /// is no endpoint.
    ///
    /// # Errors
    /// Everything that is wrong, one text each, naming the setting, without any secret.
    pub fn from_env_and_flags(
        env: &dyn Fn(&str) -> Option<String>,
        endpoint_flag: Option<&str>,
        tenant_flag: Option<&str>,
    ) -> Result<Option<Self>, Vec<String>> {
        let get = |name: &str| {
            env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let choose = |flag: Option<&str>, flag_name: &str, name: &str| match flag {
            Some(flag) => Some((flag_name.to_owned(), flag.to_owned())),
            None => get(name).map(|text| (name.to_owned(), text)),
        };
        let mut errors = Vec::new();

        let settings = choose(endpoint_flag, "--loki-endpoint", "SENSOR_LOKI_ENDPOINT").and_then(
            |(name, text)| {
                Self::new(&text).map_err(|error| errors.push(format!("{name} {error}"))).ok()
            },
        );
        let tenant =
            choose(tenant_flag, "--loki-tenant", "SENSOR_LOKI_TENANT").and_then(|(name, text)| {
                parse_tenant(&text).map_err(|error| errors.push(format!("{name} {error}"))).ok()
            });
        let timeout = get("SENSOR_LOKI_TIMEOUT").and_then(|text| {
            parse_timeout(&text)
                .map_err(|error| errors.push(format!("SENSOR_LOKI_TIMEOUT {error}")))
                .ok()
        });
        let authorization = parse_authorization(
            get("SENSOR_LOKI_USERNAME"),
            get("SENSOR_LOKI_PASSWORD"),
            get("SENSOR_LOKI_BEARER_TOKEN"),
        )
        .unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let certificate = get("SENSOR_LOKI_CERTIFICATE").map(PathBuf::from);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(settings.map(|settings| Self {
            tenant,
            authorization,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            certificate,
            ..settings
        }))
    }
}

fn parse_tenant(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .ok()
        .filter(|value| value.to_str().is_ok())
        .ok_or_else(|| "has to be printable ASCII, like team-a".to_owned())
}

fn parse_authorization(
    username: Option<String>,
    password: Option<String>,
    token: Option<String>,
) -> Result<Option<Authorization>, String> {
    match (username, password, token) {
        (None, None, None) => Ok(None),
        (None, None, Some(token)) => match HeaderValue::from_str(&token) {
            Ok(_) => Ok(Some(Authorization::Bearer(token))),
            Err(_) => Err("SENSOR_LOKI_BEARER_TOKEN must not have line breaks in it".to_owned()),
        },
        (Some(username), Some(password), None) => {
            if username.contains(':') {
                return Err("SENSOR_LOKI_USERNAME must not have a colon in it".to_owned());
            }
            Ok(Some(Authorization::Basic { username, password }))
        }
        (_, _, Some(_)) => Err("SENSOR_LOKI_BEARER_TOKEN excludes SENSOR_LOKI_USERNAME and \
                                SENSOR_LOKI_PASSWORD: set one kind"
            .to_owned()),
        (Some(_), None, None) => {
            Err("SENSOR_LOKI_USERNAME needs SENSOR_LOKI_PASSWORD beside it".to_owned())
        }
        (None, Some(_), None) => {
            Err("SENSOR_LOKI_PASSWORD needs SENSOR_LOKI_USERNAME beside it".to_owned())
        }
    }
}
