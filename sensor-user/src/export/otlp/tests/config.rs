use std::collections::HashMap;
use std::time::Duration;

use super::super::{Compression, Protocol, Settings};

fn read(
    env: &[(&str, &str)],
    endpoint: Option<&str>,
    protocol: Option<&str>,
) -> Result<Option<Settings>, Vec<String>> {
    let env: HashMap<_, _> = env.iter().copied().collect();
    let get = |name: &str| env.get(name).map(|value| (*value).to_owned());
    Settings::from_env_and_flags(&get, endpoint, protocol)
}

fn settings(env: &[(&str, &str)]) -> Settings {
    read(env, None, None).unwrap().unwrap()
}

#[test]
fn nothing_asked_for_is_nothing() {
    assert!(read(&[], None, None).unwrap().is_none());
    assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None, None).unwrap().is_none());
    let none = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1")];
    assert!(read(&none, None, None).unwrap().is_none());
}

/// The examples of "Endpoint URLs for OTLP/HTTP" in the exporter specification, and its defaults.
#[test]
fn endpoints_by_the_specification() {
    for (env, protocol, expected) in [
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")][..],
            None,
            "http://collector:4318/v1/traces",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/mycollector/")],
            None,
            "http://collector:4318/mycollector/v1/traces",
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other.example.com/any/path"),
            ],
            None,
            "https://other.example.com/any/path",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318")],
            None,
            "http://collector:4318/",
        ),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], None, "http://localhost:4318/v1/traces"),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], Some("grpc"), "http://localhost:4317/"),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317")],
            Some("grpc"),
            "https://collector:4317/",
        ),
    ] {
        let mut env = env.to_vec();
        env.extend(protocol.map(|protocol| ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)));
        assert_eq!(settings(&env).endpoint.as_str(), expected, "{env:?}");
    }
}

#[test]
fn flags_win_over_the_environment() {
    let env = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let settings = read(&env, Some("http://flag:4317"), Some("grpc")).unwrap().unwrap();
    assert_eq!(
        (settings.endpoint.as_str(), settings.protocol),
        ("http://flag:4317/", Protocol::Grpc)
    );
    for flag in ["http://flag:4318", "http://flag:4318/v1/traces"] {
        let settings = read(&[], Some(flag), None).unwrap().unwrap();
        assert_eq!(settings.endpoint.as_str(), "http://flag:4318/v1/traces");
    }
}

#[test]
fn headers_are_percent_decoded_and_kept_out_of_debug() {
    let headers = "api-key=s%3Dcret%20x, X-Team = blue ,,last=a=b";
    let settings = settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
    ]);
    let got: Vec<_> =
        settings.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    assert_eq!(got, [("api-key", "s=cret x"), ("x-team", "blue"), ("last", "a=b")]);
    assert!(!format!("{settings:?}").contains("cret"), "{settings:?}");
    assert_eq!(settings.timeout, Duration::from_millis(250));
    assert_eq!(settings.compression, Compression::None);
    assert_eq!(settings.certificate.as_deref(), Some("/etc/ca.pem".as_ref()));
}

#[test]
fn traces_variables_win() {
    let settings = settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=general"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=traces"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2"),
    ]);
    assert_eq!(settings.headers[0].1, "traces");
    assert_eq!(settings.timeout, Duration::from_millis(2));
    assert_eq!(settings.compression, Compression::Gzip);
}

/// Every mistake at once, each naming its setting, none with a secret.
#[test]
fn all_mistakes_are_reported_together() {
    let errors = read(
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "good=1,topsecret,bad name=topsecret,k=%zztopsecret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ],
        None,
        None,
    )
    .unwrap_err();
    for part in [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has to begin with http:// or https://",
        "OTEL_EXPORTER_OTLP_PROTOCOL: http/json is not supported; set http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS: entry 2 has no \"=\"",
        "OTEL_EXPORTER_OTLP_HEADERS: entry 3 has a name that is not allowed",
        "OTEL_EXPORTER_OTLP_HEADERS: entry 4 (k) has a \"%\"",
        "OTEL_EXPORTER_OTLP_TIMEOUT has to be a whole number of milliseconds",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION has to be gzip or none",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY is not supported",
    ] {
        assert!(errors.iter().any(|error| error.contains(part)), "{part:?} is not in {errors:#?}");
    }
    assert_eq!(errors.len(), 8, "{errors:#?}");
    assert!(!errors.concat().contains("topsecret"), "{errors:#?}");
}

#[test]
fn unusable_endpoints_are_refused() {
    for (endpoint, protocol, part) in [
        ("", None, "is not a URL"),
        ("http://", None, "is not a URL"),
        ("ftp://host", None, "has to begin with"),
        ("http://user:secret@host", None, "must not carry a password"),
        ("http://host/#x", None, "fragment"),
        ("http://host:4317/v1/traces", Some("grpc"), "must not have a path for gRPC"),
        ("http://host:99999", None, "is not a URL"),
    ] {
        let errors = read(&[], Some(endpoint), protocol).unwrap_err();
        assert!(
            errors[0].starts_with("--otlp-endpoint ") && errors[0].contains(part),
            "{errors:?}"
        );
        assert!(!errors[0].contains("secret"));
    }
}
