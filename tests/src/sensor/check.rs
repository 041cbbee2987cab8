//! What has to be true of spans and reports whatever the programs are.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Report, SpanJson};

/// A call is stamped when it is over, and that of a process which does not get a processor (that of a
/// virtual machine, say) may be over long after the other side has seen its bytes.
const LATE: Duration = Duration::from_secs(1);

impl Report {
    /// What was expected is what was delivered plus what was counted as lost.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_loss_equation(&self) {
        let lost =
            |(name, value): (&String, &u64)| name.starts_with("exchanges.lost.").then_some(*value);
        let lost: u64 = self.counters.iter().filter_map(lost).sum();
        assert_eq!(
            self.counter("exchanges.seen"),
            self.counter("exchanges.spans") + self.counter("exchanges.open") + lost,
            "{:#?}",
            self.counters
        );
        // An output that cannot keep up loses both alike.
        let left_out = [
            "spans.dropped",
            "spans.not_sampled",
            "spans.existing",
            "logs.dropped",
            "logs.not_sampled",
            "logs.rate_limited",
            "output.lost",
        ];
        assert_eq!(
            (self.spans.len() + self.logs.len()) as u64
                + left_out.into_iter().map(|name| self.counter(name)).sum::<u64>(),
            self.counter("exchanges.spans") + self.counter("logs.records"),
            "{:#?}",
            self.counters
        );
    }

    /// Runs of the sensor's programs that the kernel left out. Where there are none, nothing may be
    /// missing; where there are, spans may be, but no more than [`Self::counted`], and none is wrong.
    #[must_use]
    pub fn runs_missed(&self) -> u64 {
        // Packets of a file were seen by no program.
        self.counters.get("kernel.runs_missed").copied().unwrap_or(0)
    }

    /// The most spans that are missing, as the sensor says itself: exchanges that it knows of and has
    /// no span for, and whatever may have been the beginning of one that it does not know of.
    #[must_use]
    pub fn counted(&self) -> u64 {
        const BEGINNINGS: [&str; 7] = [
            "exchanges.open",
            "exchanges.orphan_responses",
            "kernel.ring_full",
            "kernel.ring_unread",
            "kernel.flow_table_full",
            "kernel.runs_missed",
            "kernel.records_doubtful",
        ];
        let counts = |name: &str| name.starts_with("exchanges.lost.") || BEGINNINGS.contains(&name);
        self.counters.iter().filter(|(name, _)| counts(name)).map(|(_, value)| value).sum()
    }

    /// The most lines of services' logs that are missing, as the sensor says itself.
    #[must_use]
    pub fn lines_counted(&self) -> u64 {
        let counts = |name: &str| {
            name.starts_with("logs.lost.") || ["kernel.lines_lost", "output.lost"].contains(&name)
        };
        self.counters.iter().filter(|(name, _)| counts(name)).map(|(_, value)| value).sum()
    }

    /// There are `spans` spans, and all was delivered; but for what runs that the kernel left out are
    /// the reason of.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_delivered(&self, spans: usize) {
        self.assert_delivered_but(spans, &[]);
    }

    /// The same, but for what the counters `expected` count.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_delivered_but(&self, spans: usize, expected: &[&str]) {
        /// What a run that was left out shows as, where it is noticed at all.
        const CONSEQUENCES: [&str; 10] = [
            "exchanges.lost.gap",
            "exchanges.lost.head_incomplete",
            "exchanges.lost.run_missed",
            "exchanges.open",
            "exchanges.orphan_responses",
            "kernel.bytes_unreadable",
            "kernel.bytes_unseen",
            "kernel.records_doubtful",
            "kernel.runs_missed",
            "streams.gaps",
        ];
        let found = self.spans.len();
        if self.runs_missed() == 0 {
            self.assert_all_delivered_but(expected);
            assert_eq!(found, spans, "{:#?}", self.spans);
            return;
        }
        self.assert_all_delivered_but(&[&CONSEQUENCES, expected].concat());
        assert!(found <= spans, "{found} of {spans}: {:#?}", self.spans);
        let (missing, counted) = ((spans - found) as u64, self.counted());
        assert!(missing <= counted, "{missing} missing, {counted} counted: {:#?}", self.counters);
    }

    /// The two ends of the exchange that a query (its marker) names. None where an end is missing
    /// because the kernel left out runs.
    ///
    /// # Panics
    /// When there is anything else than one span of each side.
    #[must_use]
    pub fn both_ends(&self, query: &str) -> Option<(&SpanJson, &SpanJson)> {
        self.both_ends_of(&self.spans, query)
    }

    /// The same among these spans.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn both_ends_of<'a>(
        &self,
        spans: impl IntoIterator<Item = &'a SpanJson>,
        query: &str,
    ) -> Option<(&'a SpanJson, &'a SpanJson)> {
        let is_it = |span: &&SpanJson| span.get("url.query").is_some_and(|it| it == query);
        let found: Vec<_> = spans.into_iter().filter(is_it).collect();
        match found[..] {
            [a, b] if a.is_server() && b.is_client() => Some((a, b)),
            [a, b] if b.is_server() && a.is_client() => Some((b, a)),
            [] | [_] if self.runs_missed() > 0 => None,
            _ => panic!("not a server and a client span with {query}: {found:#?}"),
        }
    }

    /// The equation, and nothing lost, unseen or left open.
    ///
    /// # Panics
    /// When something was.
    pub fn assert_all_delivered(&self) {
        self.assert_all_delivered_but(&[]);
    }

    /// The same, but for what the counters `expected` count.
    ///
    /// # Panics
    /// When something else was.
    pub fn assert_all_delivered_but(&self, expected: &[&str]) {
        self.assert_loss_equation();
        // Not `kernel.runs_missed`: the end of a connection may be told by an interrupt in the middle of
        // another's, and to miss that need not cost anything. What a run does cost is among these.
        let unseen = [
            "capture.undecodable",
            "capture.processes_unknown",
            "capture.processes_undecided",
            "exchanges.open",
            "exchanges.orphan_responses",
            "streams.gaps",
            "kernel.ring_full",
            "kernel.ring_unread",
            "kernel.records_doubtful",
            "kernel.flow_table_full",
            "kernel.bytes_unseen",
            "kernel.bytes_unreadable",
            "kernel.calls_io_uring",
            "kernel.calls_unknown",
            "kernel.walk_limit",
        ];
        let lost: Vec<_> = self
            .counters
            .iter()
            .filter(|(name, value)| {
                **value > 0
                    && !expected.contains(&name.as_str())
                    && (name.contains(".lost") || unseen.contains(&name.as_str()))
            })
            .collect();
        assert!(lost.is_empty(), "{lost:?}\nof {:#?}", self.counters);
    }
}

/// The two ends, server's and client's, of all exchanges, by the marker that `marker` finds in a span.
///
/// # Panics
/// When there is not exactly one span of each side for one of them, or one without a marker.
pub fn all_ends<'a>(
    spans: &'a [SpanJson],
    marker: impl Fn(&'a SpanJson) -> Option<&'a str>,
) -> BTreeMap<&'a str, (&'a SpanJson, &'a SpanJson)> {
    let mut found = BTreeMap::<&str, Vec<&SpanJson>>::new();
    for span in spans {
        match marker(span) {
            Some(marker) => found.entry(marker).or_default().push(span),
            None => panic!("without a marker: {span:#?}"),
        }
    }
    let ends = |(marker, found): (_, Vec<&'a SpanJson>)| match found[..] {
        [a, b] if a.is_server() && b.is_client() => (marker, (a, b)),
        [a, b] if b.is_server() && a.is_client() => (marker, (b, a)),
        _ => panic!("not a server and a client span of {marker}: {found:#?}"),
    };
    found.into_iter().map(ends).collect()
}

/// Both ends of an exchange saw the same bytes, so they tell the same.
///
/// # Panics
/// When they do not.
pub fn assert_mirrored(server: &SpanJson, client: &SpanJson) {
    assert_eq!([server.kind(), client.kind()], ["server", "client"]);
    for key in [
        "http.request.method",
        "http.request.method_original",
        "url.path",
        "url.query",
        "url.scheme",
        "http.request.body.size",
        "http.response.body.size",
        "http.response.status_code",
        "network.protocol.version",
        "network.transport",
        "network.type",
        "server.address",
        "server.port",
        "user_agent.original",
    ] {
        assert_eq!(server.get(key), client.get(key), "{key} of {server:#?} and {client:#?}");
    }
    for (one, other) in [(server, client), (client, server)] {
        for what in ["address", "port"] {
            assert_eq!(
                one.get(&format!("network.local.{what}")),
                other.get(&format!("network.peer.{what}")),
                "{server:#?}\n{client:#?}"
            );
        }
    }
    if server.str("network.transport") == "tcp" {
        assert_eq!(server.get("client.address"), client.get("network.local.address"));
        assert_eq!(server.get("client.port"), client.get("network.local.port"));
        // A proxy that is asked to connect to a server is not that server.
        if server.method() != "CONNECT" {
            assert_eq!(server.get("server.port"), client.get("network.peer.port"));
        }
    }
    assert_eq!(server.trace_id(), client.trace_id(), "{server:#?}\n{client:#?}");
    assert_ne!(server.span_id(), client.span_id(), "{server:#?}");
    assert_eq!(server.name(), client.name());
    let late = u64::try_from(LATE.as_nanos()).unwrap_or(u64::MAX);
    let began_before = |one: &SpanJson, other: &SpanJson| one.start() <= other.end() + late;
    assert!(
        began_before(server, client) && began_before(client, server),
        "{server:#?} {client:#?}"
    );
}

/// Status and `error.type` follow from the status code (semantic conventions for HTTP spans): an
/// error of the server's span from 500 on, of the client's from 400 on.
///
/// # Panics
/// When they do not.
pub fn assert_status(span: &SpanJson, code: i64) {
    assert_eq!(span.status_code(), code, "{span:#?}");
    let error = code >= if span.is_server() { 500 } else { 400 };
    assert_eq!(span.status(), if error { "error" } else { "unset" }, "{span:#?}");
    let kind = span.get("error.type").and_then(serde_json::Value::as_str);
    assert_eq!(kind, error.then(|| code.to_string()).as_deref(), "{span:#?}");
}
