//! How a process hands its own spans to a backend.

/// A request that hands over spans, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanExport {
    /// Method, path and media type are those of the protocol, and so is what only an exporter
    /// sends: gRPC's method, a binary body, or an exporter's `user-agent`.
    Typical,
    /// Method, path and media type are right, and nothing more: a webhook with that path sends the
    /// same.
    Plain,
}

/// Where a process is configured to export its spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEndpoint {
    /// Name or address, in lower case, without brackets.
    pub host: Box<str>,
    /// Its TCP port.
    pub port: u16,
    /// The path that spans are sent to over HTTP, with a slash in front. Over gRPC the method is
    /// the path.
    pub path: Box<str>,
}
