//! Settings by the OTLP exporter specification
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::export::Policy;
use crate::export::http::{append_path, parse_endpoint, parse_timeout, shown};

/// The specification's default for every signal.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Records of logs.
    Logs,
}

impl Signal {
    /// As variables are called.
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Logs => "LOGS",
        }
    }

    /// Where it is posted to, below the base URL.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }

    fn policy(self) -> Policy {
        match self {
            Self::Traces => Policy::default(),
            Self::Logs => Policy::of_records(),
        }
    }
}

/// What OTLP is spoken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`, usually on port 4317.
    Grpc,
    /// `http/protobuf`, usually on port 4318; the default.
    HttpProtobuf,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip, which every OTLP server has to understand. The default: the specification leaves
    /// the choice to the implementation, and spans of one node shrink to about a tenth.
    Gzip,
}

/// A validated description of one backend. `Debug` does not show what of the endpoint may be a key.
#[derive(Clone)]
pub struct Settings {
    /// Over HTTP the full URL that is posted to; over gRPC scheme, host and port.
    pub endpoint: Url,
    /// What to speak.
    pub protocol: Protocol,
    /// How requests are compressed.
    pub compression: Compression,
    /// Sent with every request. Values are marked sensitive, so `Debug` does not show them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For one attempt.
    pub timeout: Duration,
    /// PEM file with the certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// Queue, batches and retries.
    pub policy: Policy,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, protocol, compression, headers, timeout, certificate, policy } = self;
        f.debug_struct("Settings")
            .field("endpoint", &shown(endpoint))
            .field("protocol", protocol)
            .field("compression", compression)
            .field("headers", headers)
            .field("timeout", timeout)
            .field("certificate", certificate)
            .field("policy", policy)
            .finish()
    }
}

impl Settings {
    /// What must not be in any text, besides what the endpoint holds.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().filter_map(|(_, value)| value.to_str().ok())
    }

    /// Settings for spans to an endpoint as [`from_env_and_flags`](Self::from_env_and_flags) would read it
    /// from the flag, everything else at its default.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub fn new(endpoint: &str, protocol: Protocol) -> Result<Self, String> {
        Ok(Self {
            endpoint: resolve(endpoint, Scope::Base, protocol, Signal::Traces)?,
            protocol,
            compression: Compression::Gzip,
            headers: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            certificate: None,
            policy: Policy::default(),
        })
    }

    /// The same for records of logs.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub fn logs(endpoint: &str, protocol: Protocol) -> Result<Self, String> {
        Ok(Self {
            endpoint: resolve(endpoint, Scope::Base, protocol, Signal::Logs)?,
            policy: Signal::Logs.policy(),
            ..Self::new(endpoint, protocol)?
        })
    }

    /// Reads the standard `OTEL_*` variables; flags win over them. None when neither a flag nor a
    /// variable asks for OTLP: an endpoint, or `OTEL_TRACES_EXPORTER=otlp`. The endpoint of the flag
    /// is a base URL like `OTEL_EXPORTER_OTLP_ENDPOINT`; one that already ends in `/v1/traces` is
    /// taken as it is.
    ///
    /// # Errors
    /// Everything that is wrong, one text each, naming the setting. Values of headers are secret
    /// and never in them.
    pub fn from_env_and_flags(
        env: &dyn Fn(&str) -> Option<String>,
        endpoint_flag: Option<&str>,
        protocol_flag: Option<&str>,
    ) -> Result<Option<Self>, Vec<String>> {
        let mut reader = Reader { env, signal: Signal::Traces, errors: Vec::new() };
        let exporter = reader.exporter();
        let flag = |flag: &str| Endpoint::new("--otlp-endpoint", flag.to_owned(), Scope::Base);
        let endpoint = match (endpoint_flag.map(flag), exporter) {
            (Some(flag), _) => Some(flag),
            (None, Some(Exporter::None)) => None,
            (None, exporter) => reader
                .endpoint_of_signal()
                .or_else(|| reader.endpoint_of_all())
                .or_else(|| exporter.map(|_| reader.default_endpoint())),
        };
        let protocol = reader.protocol(protocol_flag);
        reader.settings(endpoint, protocol)
    }

    /// The same for records of logs, with the variables for logs. They go to the endpoint for all signals too, if
    /// `by_default` (nothing else takes them), or if `OTEL_LOGS_EXPORTER=otlp` says so. A variable that is for logs
    /// alone wins over a flag, which is for all signals.
    ///
    /// # Errors
    /// As above.
    pub fn logs_from_env_and_flags(
        env: &dyn Fn(&str) -> Option<String>,
        endpoint_flag: Option<&str>,
        protocol_flag: Option<&str>,
        by_default: bool,
    ) -> Result<Option<Self>, Vec<String>> {
        let mut reader = Reader { env, signal: Signal::Logs, errors: Vec::new() };
        let exporter = reader.exporter();
        // One that is for traces alone says nothing of logs.
        let flag = endpoint_flag.filter(|flag| !flag.trim_end().ends_with(Signal::Traces.path()));
        let flag = flag.map(|flag| Endpoint::new("--otlp-endpoint", flag.to_owned(), Scope::Base));
        let endpoint = match exporter {
            Some(Exporter::None) => None,
            Some(Exporter::Otlp) => Some(
                reader
                    .endpoint_of_signal()
                    .or(flag)
                    .or_else(|| reader.endpoint_of_all())
                    .unwrap_or_else(|| reader.default_endpoint()),
            ),
            None => reader
                .endpoint_of_signal()
                .or_else(|| flag.or_else(|| reader.endpoint_of_all()).filter(|_| by_default)),
        };
        let own = reader.get("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL");
        let protocol = match own {
            Some(_) => reader.protocol(None),
            None => reader.protocol(protocol_flag),
        };
        reader.settings(endpoint, protocol)
    }
}

/// Whether an endpoint is for all signals or for one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Base,
    One,
}

/// What `OTEL_{signal}_EXPORTER` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exporter {
    Otlp,
    None,
}

/// An endpoint, and which setting it is from.
#[derive(Debug)]
struct Endpoint {
    setting: String,
    text: String,
    scope: Scope,
}

impl Endpoint {
    fn new(setting: impl Into<String>, text: String, scope: Scope) -> Self {
        Self { setting: setting.into(), text, scope }
    }
}

fn resolve(text: &str, scope: Scope, protocol: Protocol, signal: Signal) -> Result<Url, String> {
    let url = parse_endpoint(text)?;
    match protocol {
        Protocol::HttpProtobuf if scope == Scope::One => Ok(url),
        Protocol::HttpProtobuf if url.path().ends_with(&format!("/{}", signal.path())) => Ok(url),
        Protocol::HttpProtobuf => Ok(append_path(&url, signal.path())),
        Protocol::Grpc if !matches!(url.path(), "" | "/") || url.query().is_some() => Err(
            "must not have a path for gRPC; leave it away, or set the protocol to http/protobuf"
                .into(),
        ),
        Protocol::Grpc => Ok(url),
    }
}

struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    signal: Signal,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn settings(
        mut self,
        endpoint: Option<Endpoint>,
        protocol: Protocol,
    ) -> Result<Option<Settings>, Vec<String>> {
        // Everything is read even when OTLP is not wanted in the end: a mistake is a mistake.
        let settings = Settings {
            endpoint: Url::parse("http://localhost").map_err(|error| vec![error.to_string()])?,
            protocol,
            compression: self.one("COMPRESSION", Compression::Gzip, |text| match text {
                "gzip" => Ok(Compression::Gzip),
                "none" => Ok(Compression::None),
                _ => Err("has to be gzip or none".into()),
            }),
            headers: self.headers(),
            timeout: self.one("TIMEOUT", DEFAULT_TIMEOUT, parse_timeout),
            certificate: self.one("CERTIFICATE", None, |path| Ok(Some(PathBuf::from(path)))),
            policy: self.signal.policy(),
        };
        for suffix in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
            self.one(suffix, (), |_| {
                Err("is not supported: the sensor has no client certificates, use headers".into())
            });
        }
        let endpoint = endpoint.and_then(|Endpoint { setting, text, scope }| {
            resolve(&text, scope, protocol, self.signal)
                .map_err(|error| self.errors.push(format!("{setting} {error}")))
                .ok()
        });
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(endpoint.map(|endpoint| Settings { endpoint, ..settings }))
    }

    /// Anything that is not understood counts as a wish for OTLP, and is an error.
    fn exporter(&mut self) -> Option<Exporter> {
        let name = format!("OTEL_{}_EXPORTER", self.signal.name());
        let text = self.get(&name)?;
        match text.as_str() {
            "otlp" => {}
            "none" => return Some(Exporter::None),
            _ => self.errors.push(format!("{name} has to be otlp or none for the sensor")),
        }
        Some(Exporter::Otlp)
    }

    fn endpoint_of_signal(&self) -> Option<Endpoint> {
        let name = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", self.signal.name());
        self.get(&name).map(|text| Endpoint::new(name, text, Scope::One))
    }

    fn endpoint_of_all(&self) -> Option<Endpoint> {
        let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
        self.get(name).map(|text| Endpoint::new(name, text, Scope::Base))
    }

    fn default_endpoint(&self) -> Endpoint {
        let url = match self.protocol_text() {
            Some((_, text)) if text == "grpc" => "http://localhost:4317",
            _ => "http://localhost:4318",
        };
        Endpoint::new("the default endpoint", url.to_owned(), Scope::Base)
    }

    fn protocol_text(&self) -> Option<(String, String)> {
        self.first("PROTOCOL")
    }

    /// The flag's, else the variables'.
    fn protocol(&mut self, flag: Option<&str>) -> Protocol {
        let setting = match flag {
            Some(flag) => Some(("--otlp-protocol".to_owned(), flag.to_owned())),
            None => self.protocol_text(),
        };
        let Some((name, text)) = setting else {
            return Protocol::HttpProtobuf;
        };
        match text.as_str() {
            "grpc" => return Protocol::Grpc,
            "http/protobuf" => return Protocol::HttpProtobuf,
            "http/json" => self.errors.push(format!(
                "{name}: http/json is not supported; set http/protobuf, which the same backends and \
                 ports take"
            )),
            _ => self.errors.push(format!("{name} has to be grpc or http/protobuf, not {text:?}")),
        }
        Protocol::HttpProtobuf
    }

    /// `key1=value1,key2=value2`, values percent-encoded as in W3C Baggage.
    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((setting, text)) = self.first("HEADERS") else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (i, pair) in text.split(',').enumerate() {
            if pair.trim().is_empty() {
                continue;
            }
            match header(pair) {
                Ok(header) => headers.push(header),
                Err(error) => self.errors.push(format!("{setting}: entry {} {error}", i + 1)),
            }
        }
        headers
    }

    /// A setting with a variant for this signal alone, which wins.
    fn one<T>(
        &mut self,
        suffix: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some((name, text)) = self.first(suffix) else {
            return default;
        };
        parse(&text).unwrap_or_else(|error| {
            self.errors.push(format!("{name} {error}"));
            default
        })
    }

    fn first(&self, suffix: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{suffix}", self.signal.name());
        let all = format!("OTEL_EXPORTER_OTLP_{suffix}");
        [own, all].into_iter().find_map(|name| self.get(&name).map(|text| (name, text)))
    }

    /// Empty counts as not set
    /// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

fn header(pair: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) =
        pair.split_once('=').ok_or("has no \"=\"; write key1=value1,key2=value2")?;
    let name = name.trim();
    let parsed = HeaderName::try_from(name)
        .map_err(|_| format!("has a name that is not allowed in a header: {name:?}"))?;
    if name.ends_with("-bin") {
        return Err(format!("({name}) is binary metadata, which is not supported"));
    }
    let value = percent_decode(value.trim())
        .ok_or_else(|| format!("({name}) has a \"%\" without two hexadecimal digits after it"))?;
    let mut value = HeaderValue::from_bytes(&value)
        .ok()
        .filter(|value| value.to_str().is_ok())
        .ok_or_else(|| format!("({name}) has a value that is not allowed in a header"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |bytes: &mut std::str::Bytes<'_>| {
        bytes
            .next()
            .and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|it| u8::try_from(it).ok())
    };
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(&mut bytes)? << 4 | digit(&mut bytes)?,
            byte => byte,
        });
    }
    Some(decoded)
}
