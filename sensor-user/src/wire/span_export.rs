//! Requests by which a process hands spans to a backend, by what their heads say: where they go,
//! and what their bodies are.
//!
//! A path alone would not do: `/api/traces` may be anybody's. So the method and the `content-type`
//! that the protocol has must be there too. A method of gRPC has a name that nothing else has, and
//! its `content-type` may have been sent before the sensor saw the connection.

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

/// The request hands over spans. What is unknown of it is absent.
pub fn is_one(method: Option<&[u8]>, path: &[u8], content_type: Option<&[u8]>) -> bool {
    if !matches!(method, None | Some(b"POST" | b"PUT")) {
        return false;
    }
    if is_call(path) {
        return true;
    }
    let (Some(method), Some(content_type)) = (method, content_type) else {
        return false;
    };
    let media = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    HTTP.iter().any(|protocol| {
        path.ends_with(protocol.path)
            && protocol.methods.contains(&method)
            && protocol.content_types.iter().any(|known| known.eq_ignore_ascii_case(media))
    })
}

/// The path is that of a method of gRPC which takes spans.
pub fn is_call(path: &[u8]) -> bool {
    GRPC.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(method: &str, path: &str, content_type: &str) -> bool {
        is_one(Some(method.as_bytes()), path.as_bytes(), Some(content_type.as_bytes()))
    }

    /// As exporters send it: opentelemetry-exporter-otlp-proto-http 1.45 and its Node sibling, the
    /// Zipkin and Jaeger reporters, ddtrace, grpcio.
    #[test]
    fn exports_are_known() {
        for (method, path, content_type) in [
            ("POST", "/v1/traces", "application/x-protobuf"),
            ("POST", "/otlp/v1/traces", "Application/JSON; charset=utf-8"),
            ("POST", "/api/v2/spans", "application/json"),
            ("POST", "/api/traces", "application/x-thrift"),
            ("PUT", "/v0.4/traces", "application/msgpack"),
            ("POST", "/v0.5/traces", "application/msgpack"),
            ("POST", "/v3/segments", "application/json"),
        ] {
            assert!(is(method, path, content_type), "{method} {path} {content_type}");
        }
        let export = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert!(is_one(Some(b"POST"), export, Some(b"application/grpc")));
        assert!(is_one(None, export, None), "all that a connection older than the sensor tells");
    }

    #[test]
    fn others_are_not() {
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
            assert!(!is(method, path, content_type), "{method} {path} {content_type}");
        }
        assert!(!is_one(Some(b"POST"), b"/v1/traces", None));
        assert!(!is_one(None, b"/v1/traces", Some(b"application/json")));
    }
}
