//! What shows that a process exports spans of its own.

use std::net::IpAddr;

use super::{int, text};
use crate::model::{Span, SpanEndpoint, SpanExport, SpanKind};
use crate::wire::span_export;

/// How far one export is from the next at least, in nanoseconds, to count: exporters collect for a second
/// and longer, what is set off by requests comes when it likes.
const APART: u64 = 500_000_000;

/// How long exports may take to prove a process, in nanoseconds.
const WITHIN: u64 = 10 * 60 * 1_000_000_000;

/// Bytes of an address or a path that are kept.
const PART_MAX: usize = 256;

/// Destinations of one process whose exports are counted separately.
const DESTINATIONS: usize = 4;

/// What speaks for an export being the process's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It goes to where the process is configured to export.
    Configured,
    /// It looks like an exporter's. One such request may be anything.
    Typical,
}

impl Proof {
    /// Of a request that hands over spans; none where it may be a webhook's.
    pub(super) fn of(span: &Span) -> Option<Self> {
        if span.kind != SpanKind::Client {
            return None;
        }
        let typical = span.exports_spans == Some(SpanExport::Typical);
        // SDKs export in the background; a request that is made on behalf of another is a service's.
        let typical = typical && span.parent_span_id.is_none();
        if is_configured(span) { Some(Self::Configured) } else { typical.then_some(Self::Typical) }
    }
}

/// Typical exports of one process, by destination.
#[derive(Debug, Default)]
pub(super) struct Rhythms(Vec<Rhythm>);

/// When exports went to one destination: the last but one, and the last.
#[derive(Debug)]
struct Rhythm {
    to: String,
    times: [Option<u64>; 2],
}

impl Rhythms {
    /// Takes note of an export that ended at `now`. True with the third to one destination that is
    /// [`APART`] from the one before, if they came [`WITHIN`] a while.
    pub(super) fn repeats(&mut self, to: &str, now: u64) -> bool {
        let Self(all) = self;
        let Some(at) = all.iter().position(|rhythm| rhythm.to == to) else {
            if all.len() >= DESTINATIONS {
                all.remove(0);
            }
            all.push(Rhythm { to: to.to_owned(), times: [None, Some(now)] });
            return false;
        };
        // The one that was used last is the last to go.
        let mut rhythm = all.remove(at);
        let [before, last] = rhythm.times;
        let apart = last.is_none_or(|last| now.saturating_sub(last) >= APART);
        let proven = apart && before.is_some_and(|before| now.saturating_sub(before) <= WITHIN);
        if apart {
            rhythm.times = [last, Some(now)];
        }
        all.push(rhythm);
        proven
    }
}

/// The request goes to where the environment of its process says that spans go.
fn is_configured(span: &Span) -> bool {
    let path = text(span, "url.path");
    let is_call = path.is_some_and(|path| span_export::is_call(path.as_bytes()));
    let peer: Option<IpAddr> = text(span, "network.peer.address").and_then(|it| it.parse().ok());
    let port = int(&span.attributes, "network.peer.port");
    let goes_to = |host: &str| match host.parse::<IpAddr>() {
        Ok(address) => peer == Some(address.to_canonical()),
        Err(_) if host == "localhost" => peer.is_some_and(|peer| peer.is_loopback()),
        Err(_) => text(span, "server.address")
            .is_some_and(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host)),
    };
    span.resource.span_endpoints.iter().any(|endpoint| {
        let SpanEndpoint { host, port: configured, path: of_http } = endpoint;
        port == Some(i64::from(*configured)) && (is_call || path == Some(of_http)) && goes_to(host)
    })
}

/// Address, port and path, each cut to [`PART_MAX`]: what identifies a destination.
pub(super) fn destination(span: &Span) -> String {
    let part = |key| {
        let text = text(span, key).unwrap_or_default();
        &text[..text.floor_char_boundary(PART_MAX)]
    };
    let [address, path] = ["network.peer.address", "url.path"].map(part);
    match int(&span.attributes, "network.peer.port") {
        Some(port) => format!("{address} {port} {path}"),
        None => format!("{address} {path}"),
    }
}

/// The backend said that it has the spans.
pub(super) fn was_taken(span: &Span) -> bool {
    let path = text(span, "url.path");
    if path.is_some_and(|path| span_export::is_call(path.as_bytes())) {
        return int(&span.attributes, "rpc.grpc.status_code") == Some(0);
    }
    int(&span.attributes, "http.response.status_code").is_some_and(|it| (200..300).contains(&it))
}
