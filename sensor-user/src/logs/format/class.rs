//! What kind of code a record comes from, by rules that hold without configuration.

use crate::model::Class;

/// A logger's name, or the beginning of it.
struct Rule {
    /// Up to and with a separator, it is the beginning; without one, the whole name, or a parent of it.
    logger: &'static str,
    class: Class,
}

const fn middleware(logger: &'static str) -> Rule {
    Rule { logger, class: Class::Middleware }
}

const fn infrastructure(logger: &'static str) -> Rule {
    Rule { logger, class: Class::Infrastructure }
}

/// By the name of the logger: these are libraries' own names. What is not here is the service's.
const LOGGERS: &[Rule] = &[
    // Java: frameworks, servers that are libraries, drivers, pools and clients.
    middleware("org.springframework"),
    middleware("org.apache"),
    middleware("org.hibernate"),
    middleware("org.eclipse.jetty"),
    middleware("org.jboss"),
    middleware("org.quartz"),
    middleware("org.mongodb"),
    middleware("org.postgresql"),
    middleware("org.redisson"),
    middleware("org.flywaydb"),
    middleware("io.netty"),
    middleware("io.grpc"),
    middleware("io.lettuce"),
    middleware("io.undertow"),
    middleware("io.micrometer"),
    middleware("io.quarkus"),
    middleware("io.vertx"),
    middleware("io.opentelemetry"),
    middleware("reactor"),
    middleware("liquibase"),
    middleware("com.zaxxer.hikari"),
    middleware("com.mysql"),
    middleware("com.netflix"),
    middleware("com.datastax"),
    middleware("okhttp3"),
    // Spring Boot writes the last 40 characters of names whose packages are already one letter each.
    middleware("w.s.c.ServletWebServerApplicationContext"),
    // The Java runtime.
    infrastructure("java"),
    infrastructure("javax"),
    infrastructure("jdk"),
    infrastructure("sun"),
    infrastructure("com.sun"),
    // Python: web servers and frameworks, clients, drivers, queues.
    middleware("werkzeug"),
    middleware("uvicorn"),
    middleware("gunicorn"),
    middleware("hypercorn"),
    middleware("django"),
    middleware("flask"),
    middleware("fastapi"),
    middleware("starlette"),
    middleware("tornado"),
    middleware("aiohttp"),
    middleware("httpx"),
    middleware("httpcore"),
    middleware("urllib3"),
    middleware("requests"),
    middleware("asyncio"),
    middleware("concurrent.futures"),
    middleware("sqlalchemy"),
    middleware("alembic"),
    middleware("celery"),
    middleware("kombu"),
    middleware("amqp"),
    middleware("kafka"),
    middleware("redis"),
    middleware("pymongo"),
    middleware("botocore"),
    middleware("boto3"),
    middleware("grpc"),
    middleware("opentelemetry"),
    // Rust.
    middleware("hyper"),
    middleware("hyper_util"),
    middleware("h2"),
    middleware("h3"),
    middleware("tower"),
    middleware("tower_http"),
    middleware("tokio"),
    middleware("tokio_util"),
    middleware("mio"),
    middleware("axum"),
    middleware("actix_web"),
    middleware("actix_http"),
    middleware("actix_server"),
    middleware("tonic"),
    middleware("reqwest"),
    middleware("rustls"),
    middleware("sqlx"),
    middleware("diesel"),
    middleware("rdkafka"),
    middleware("opentelemetry_sdk"),
    middleware("opentelemetry_otlp"),
    // Go: libraries that name their loggers.
    middleware("gorm"),
    middleware("sarama"),
    // The platform's own.
    infrastructure("systemd"),
    infrastructure("kubelet"),
    infrastructure("kube-proxy"),
    infrastructure("containerd"),
    infrastructure("controller-runtime"),
    infrastructure("envoy"),
];

/// What packages become in patterns like `%logger{36}`: one letter each, but for the last.
const SHORTENED: &[Rule] = &[
    middleware("o.s."),
    middleware("o.a."),
    middleware("o.h."),
    middleware("o.e.j."),
    middleware("i.n."),
    middleware("i.g."),
    middleware("c.z.h."),
];

/// By the beginning of the message, where a library has no logger but a mark of its own.
const MARKS: &[(&str, Class)] = &[
    ("[GIN] ", Class::Middleware),
    ("[GIN-debug] ", Class::Middleware),
    // grpc-go's component loggers.
    ("[core] ", Class::Middleware),
    ("[transport] ", Class::Middleware),
    // net/http's server.
    ("http: panic serving ", Class::Middleware),
    ("http: TLS handshake error ", Class::Middleware),
    ("http: superfluous response.WriteHeader ", Class::Middleware),
    ("systemd[", Class::Infrastructure),
];

/// Of a logger's name; none where no rule is about it.
pub(super) fn logger(name: &str) -> Option<Class> {
    let name = name.trim();
    let rule = LOGGERS
        .iter()
        .find(|rule| {
            name.strip_prefix(rule.logger)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':', '/', '$']))
        })
        .or_else(|| SHORTENED.iter().find(|rule| name.starts_with(rule.logger)))?;
    Some(rule.class)
}

/// Of a message that begins with a mark.
pub(super) fn message(message: &str) -> Option<Class> {
    if is_jvm(message) {
        return Some(Class::Infrastructure);
    }
    MARKS.iter().find(|(mark, _)| message.starts_with(mark)).map(|(_, class)| *class)
}

/// The JVM's unified logging (JEP 158): `[0.004s][info][gc] Using G1`.
fn is_jvm(message: &str) -> bool {
    let uptime = message.strip_prefix('[').and_then(|rest| rest.split_once("s]["));
    uptime.is_some_and(|(uptime, rest)| {
        uptime.len() <= 16
            && uptime.contains('.')
            && uptime.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && rest.contains("][")
    })
}

/// Of an object that has no message and no level, but what access logs have: `has` says whether there is one of
/// these fields. nginx's variables and Envoy's words are servers'; others are a framework's.
pub(super) fn access(has: impl Fn(&[&str]) -> bool) -> Option<Class> {
    const STATUS: &[&str] =
        &["status", "status_code", "response_code", "http.response.status_code"];
    const REQUEST: &[&str] =
        &["request", "method", "request_method", "uri", "path", "http.request.method"];
    const SERVERS: &[&str] = &[
        "body_bytes_sent",
        "request_time",
        "upstream_addr",
        "upstream_response_time",
        "upstream_host",
        "upstream_cluster",
        "response_flags",
    ];
    let server = || if has(SERVERS) { Class::Infrastructure } else { Class::Middleware };
    (has(STATUS) && has(REQUEST)).then(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_message() {
        for (text, class) in [
            ("[0.004s][info][gc] Using G1", Some(Class::Infrastructure)),
            ("systemd[1]: Started x", Some(Class::Infrastructure)),
            ("[GIN-debug] Listening", Some(Class::Middleware)),
            ("[4s] elapsed", None),
            ("paid", None),
        ] {
            assert_eq!(message(text), class, "{text}");
        }
    }

    #[test]
    fn by_logger() {
        for (name, class) in [
            ("org.springframework.web.servlet.DispatcherServlet", Some(Class::Middleware)),
            ("o.s.b.w.embedded.tomcat.TomcatWebServer", Some(Class::Middleware)),
            ("com.zaxxer.hikari.pool.HikariPool", Some(Class::Middleware)),
            ("uvicorn.access", Some(Class::Middleware)),
            ("h2::client", Some(Class::Middleware)),
            ("werkzeug", Some(Class::Middleware)),
            ("jdk.event.security", Some(Class::Infrastructure)),
            ("h2o", None),
            ("requests_audit", None),
            ("shop.orders.OrderService", None),
            ("redisearch", None),
            ("", None),
        ] {
            assert_eq!(logger(name), class, "{name}");
        }
    }
}
