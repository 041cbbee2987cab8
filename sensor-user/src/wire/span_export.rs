//! Requests by which a process hands spans to a backend, by what their heads say: where they go,
//! and what their bodies are.
//!
//! A path alone would not do: `/api/traces` may be anybody's. So the method and the `content-type`
//! that the protocol has must be there too. A method of gRPC has a name that nothing else has, and
//! its `content-type` may have been sent before the sensor saw the connection.
//!
//! JSON is what webhooks send, and a stranger may choose the path of one. So a request with JSON is
//! typical of an exporter only with an exporter's `user-agent`. The exporters of OTLP have one
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/#user-agent>); those of Zipkin and
//! SkyWalking send that of their HTTP client.

use crate::model::SpanExport;

/// A protocol over HTTP.
struct Protocol {
    /// The end of its path: there may be a prefix, as of a gateway.
    path: &'static [u8],
    methods: &'static [&'static [u8]],
    content_types: &'static [&'static [u8]],
}

const POST: &[&[u8]] = &[b"POST"];
const JSON: &[u8] = b"application/json";
const PROTOBUF: &[u8] = b"application/x-protobuf";
const THRIFT: &[u8] = b"application/x-thrift";

/// Those that are known.
const HTTP: &[Protocol] = &[
    // OTLP (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request).
    Protocol { path: b"/v1/traces", methods: POST, content_types: &[PROTOBUF, JSON] },
    // Zipkin (https://zipkin.io/zipkin-api/zipkin2-api.yaml, and zipkin-api.yaml).
    Protocol { path: b"/api/v2/spans", methods: POST, content_types: &[JSON, PROTOBUF] },
    Protocol { path: b"/api/v1/spans", methods: POST, content_types: &[JSON, THRIFT] },
    // Jaeger's collector (https://www.jaegertracing.io/docs/1.76/architecture/apis/).
    Protocol {
        path: b"/api/traces",
        methods: POST,
        content_types: &[THRIFT, b"application/vnd.apache.thrift.binary"],
    },
    // SkyWalking (https://skywalking.apache.org/docs/main/next/en/api/trace-data-protocol-v3/).
    Protocol { path: b"/v3/segment", methods: POST, content_types: &[JSON] },
    Protocol { path: b"/v3/segments", methods: POST, content_types: &[JSON] },
    // Datadog's agent (https://github.com/DataDog/datadog-agent, pkg/trace/api/endpoints.go).
    datadog(b"/v0.3/traces"),
    datadog(b"/v0.4/traces"),
    datadog(b"/v0.5/traces"),
    datadog(b"/v0.7/traces"),
    datadog(b"/v1.0/traces"),
];

const fn datadog(path: &'static [u8]) -> Protocol {
    const METHODS: &[&[u8]] = &[b"PUT", b"POST"];
    Protocol { path, methods: METHODS, content_types: &[b"application/msgpack", JSON] }
}

/// The same over gRPC: OTLP, Jaeger, SkyWalking, Zipkin.
const GRPC: [&[u8]; 4] = [
    b"/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    b"/jaeger.api_v2.CollectorService/PostSpans",
    b"/skywalking.v3.TraceSegmentReportService/collect",
    b"/zipkin.proto3.SpanService/Report",
];

/// Beginnings of the products by which exporters name themselves: by the specification, by the SDKs
/// for Go and PHP, by Elastic's distributions.
const USER_AGENTS: [&[u8]; 3] =
    [b"OTel-OTLP-Exporter-", b"OTel OTLP Exporter ", b"elastic-otlp-http-"];

/// What a request that hands over spans looks like; none for all others. What is unknown of it is
/// absent.
pub fn export(
    method: Option<&[u8]>,
    path: &[u8],
    content_type: Option<&[u8]>,
    user_agent: Option<&[u8]>,
) -> Option<SpanExport> {
    if !matches!(method, None | Some(b"POST" | b"PUT")) {
        return None;
    }
    if is_call(path) {
        return Some(SpanExport::Typical);
    }
    let (method, content_type) = (method?, content_type?);
    let media = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let known = HTTP.iter().any(|protocol| {
        path.ends_with(protocol.path)
            && protocol.methods.contains(&method)
            && protocol.content_types.iter().any(|known| known.eq_ignore_ascii_case(media))
    });
    let typical = !media.eq_ignore_ascii_case(JSON) || user_agent.is_some_and(is_exporter);
    known.then_some(if typical { SpanExport::Typical } else { SpanExport::Plain })
}

/// The `user-agent` is an exporter's. A distribution may have put its own product in front.
fn is_exporter(user_agent: &[u8]) -> bool {
    USER_AGENTS.iter().any(|name| {
        let is_it = |window: &[u8]| window.eq_ignore_ascii_case(name);
        user_agent.windows(name.len()).any(is_it)
    })
}

/// The path is that of a method of gRPC which takes spans.
pub fn is_call(path: &[u8]) -> bool {
    GRPC.contains(&path)
}

#[cfg(test)]
mod tests {
    use SpanExport::{Plain, Typical};

    use super::*;

    fn of(method: &str, path: &str, content_type: &str, agent: &str) -> Option<SpanExport> {
        let [method, path, content_type, agent] =
            [method, path, content_type, agent].map(str::as_bytes);
        export(Some(method), path, Some(content_type), Some(agent).filter(|it| !it.is_empty()))
    }

    /// As exporters send it: opentelemetry-exporter-otlp-proto-http 1.45 and its siblings for Node, Go
    /// and PHP, the Zipkin and Jaeger reporters, ddtrace, grpcio.
    #[test]
    fn exports_are_known() {
        let node = "OTel-OTLP-Exporter-JavaScript/0.208.0";
        for (method, path, content_type, agent) in [
            ("POST", "/v1/traces", "application/x-protobuf", "OTel-OTLP-Exporter-Python/1.45.0"),
            ("POST", "/v1/traces", "application/x-protobuf", "OTel OTLP Exporter Go/1.47.0"),
            ("POST", "/v1/traces", "application/json", node),
            ("POST", "/v1/traces", "application/json", "shop/1 OTel-OTLP-Exporter-JavaScript/0.2"),
            ("POST", "/otlp/v1/traces", "Application/JSON; charset=utf-8", node),
            ("POST", "/v1/traces", "application/json", "OTel OTLP Exporter PHP/1.3.2"),
            ("POST", "/api/traces", "application/x-thrift", "okhttp/4.12.0"),
            ("PUT", "/v0.4/traces", "application/msgpack", ""),
            ("POST", "/v0.5/traces", "application/msgpack", "Go-http-client/1.1"),
        ] {
            let told = of(method, path, content_type, agent);
            assert_eq!(told, Some(Typical), "{method} {path} {content_type} {agent}");
        }
        let call = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert_eq!(export(Some(b"POST"), call, Some(b"application/grpc"), None), Some(Typical));
        // All that a connection older than the sensor tells.
        assert_eq!(export(None, call, None, None), Some(Typical));
    }

    /// What Zipkin's and SkyWalking's reporters send too.
    #[test]
    fn a_webhook_looks_plain() {
        for (path, content_type, agent) in [
            ("/v1/traces", "application/json", ""),
            ("/v1/traces", "application/json", "python-requests/2.32.3"),
            ("/hooks/v1/traces", "application/json", "curl/8.14.1"),
            ("/v1/traces", "application/json", "OTel-OTLP"),
            ("/api/v2/spans", "application/json", "Java/21.0.2"),
            ("/v3/segments", "application/json", ""),
            ("/v0.4/traces", "application/json", ""),
        ] {
            assert_eq!(of("POST", path, content_type, agent), Some(Plain), "{path} {agent}");
        }
    }

    #[test]
    fn others_are_not() {
        let agent = "OTel-OTLP-Exporter-Python/1.45.0";
        for (method, path, content_type) in [
            ("GET", "/v1/traces", "application/x-protobuf"),
            ("PUT", "/v1/traces", "application/x-protobuf"),
            ("POST", "/v1/traces", "text/html"),
            ("POST", "/v1/metrics", "application/x-protobuf"),
            ("POST", "/v1/traces/", "application/json"),
            ("POST", "/api/traces", "application/json"),
            ("POST", "/v0.4/traces", "text/plain"),
            ("POST", "", "application/json"),
            ("GET", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", ""),
            ("POST", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", ""),
        ] {
            assert_eq!(of(method, path, content_type, agent), None, "{method} {path}");
        }
        assert_eq!(export(Some(b"POST"), b"/v1/traces", None, None), None);
        assert_eq!(export(None, b"/v1/traces", Some(b"application/json"), None), None);
    }
}
