//! Where a process's environment says that its SDK sends spans
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
//!
//! What an SDK is configured to in code, in a file or by `-D` is not known here.

use crate::model::SpanEndpoint;

/// Longest host or path that is compared.
const LONGEST: usize = 1024;

/// Variables that only an exporter of OTLP reads: with any of them set, its default endpoints count.
const OTLP: [&str; 9] = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_INSECURE",
];

/// The endpoints of a process with these environment variables; none where no exporter is
/// configured.
pub(super) fn endpoints<'a>(variable: impl Fn(&str) -> Option<&'a [u8]>) -> Vec<SpanEndpoint> {
    let text = |name: &str| {
        let text = variable(name).and_then(|value| str::from_utf8(value).ok()).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    let exporters = text("OTEL_TRACES_EXPORTER").unwrap_or_default();
    let names = |exporter: &str| exporters.split(',').any(|name| name.trim() == exporter);
    // Of traces alone: as it is. Of all signals: the path of each comes behind it.
    let otlp =
        text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(|url| endpoint(url, "")).or_else(|| {
            let all = text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(endpoint(all, "/v1/traces"))
        });
    let mut found: Vec<SpanEndpoint> = match otlp {
        Some(endpoint) => endpoint.into_iter().collect(),
        None if names("otlp") || OTLP.iter().any(|name| text(name).is_some()) => {
            [4318, 4317].map(|port| SpanEndpoint::local(port, "/v1/traces")).into()
        }
        None => Vec::new(),
    };
    match text("OTEL_EXPORTER_ZIPKIN_ENDPOINT") {
        Some(url) => found.extend(endpoint(url, "")),
        None if names("zipkin") => found.push(SpanEndpoint::local(9411, "/api/v2/spans")),
        None => {}
    }
    found
}

impl SpanEndpoint {
    fn local(port: u16, path: &str) -> Self {
        Self { host: "localhost".into(), port, path: path.into() }
    }
}

/// `http://collector:4318/prefix`, or without a scheme, as exporters over gRPC take it.
fn endpoint(url: &str, suffix: &str) -> Option<SpanEndpoint> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // `dns:///collector:4317`: the authority there is that of a name server.
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None if scheme.eq_ignore_ascii_case("https") => 443,
        None => 80,
    };
    let path = format!("/{}{suffix}", path.trim_end_matches(|it| it == '/' && !suffix.is_empty()));
    let path = path.replacen("//", "/", 1);
    let fits = !host.is_empty() && host.len() <= LONGEST && path.len() <= LONGEST;
    let host = host.trim_end_matches('.').to_ascii_lowercase().into();
    fits.then(|| SpanEndpoint { host, port, path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &'static str)]) -> Vec<String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
        };
        let told = |it: &SpanEndpoint| format!("{} {} {}", it.host, it.port, it.path);
        endpoints(variable).iter().map(told).collect()
    }

    /// The examples of the specification, and what exporters over gRPC take.
    #[test]
    fn endpoints_are_those_of_the_specification() {
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        for (variable, url, expected) in [
            (ALL, "http://collector:4318", "collector 4318 /v1/traces"),
            (ALL, "http://collector:4318/mycollector/", "collector 4318 /mycollector/v1/traces"),
            (TRACES, "http://collector:4318/v1/traces", "collector 4318 /v1/traces"),
            (TRACES, "http://collector:4318", "collector 4318 /"),
            (TRACES, "http://collector:4318/a/", "collector 4318 /a/"),
            (ALL, "https://My-Api-Endpoint", "my-api-endpoint 443 /v1/traces"),
            (ALL, "collector:4317", "collector 4317 /v1/traces"),
            (ALL, "dns:///collector.:4317", "collector 4317 /v1/traces"),
            (ALL, "http://[::1]:4318?a=b", "::1 4318 /v1/traces"),
            (ALL, "http://user:secret@10.0.0.7:4318", "10.0.0.7 4318 /v1/traces"),
            ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z:9411/api/v2/spans", "z 9411 /api/v2/spans"),
        ] {
            assert_eq!(of(&[(variable, url)]), [expected], "{url}");
        }
        let both = [(ALL, "http://a:1"), (TRACES, "http://b:2/t")];
        assert_eq!(of(&both), ["b 2 /t"], "that of the signal wins");
        for wrong in ["http://", "http://a:port", "http://[::1", "http://:4318"] {
            assert_eq!(of(&[(ALL, wrong)]), [""; 0], "{wrong}");
        }
    }

    #[test]
    fn defaults_count_where_an_exporter_is_configured() {
        let defaults = ["localhost 4318 /v1/traces", "localhost 4317 /v1/traces"];
        for (variable, value) in [
            ("OTEL_TRACES_EXPORTER", "console, otlp"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=key"),
        ] {
            assert_eq!(of(&[(variable, value)]), defaults, "{variable}");
        }
        assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "zipkin")]), ["localhost 9411 /api/v2/spans"]);
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(of(&[("OTEL_SERVICE_NAME", "shop")]), [""; 0]);
        assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "none")]), [""; 0]);
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), [""; 0], "empty is unset");
    }
}
