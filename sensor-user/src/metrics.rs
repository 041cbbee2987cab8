//! The sensor's own counters: one catalogue, so that every loss has a name and a reason wherever
//! it is shown (the summary, the footer, `status`).
//!
//! The equations that hold for any run (`tests` assert them):
//!
//! - `exchanges.seen = exchanges.spans + exchanges.open + Σ exchanges.lost.*`
//! - `exchanges.spans = spans handed to the exporters + spans.dropped + spans.not_sampled +
//!   spans.existing`
//! - `logs.records = records handed to the exporters + logs.dropped + logs.not_sampled + logs.rate_limited`, and those that
//!   wait until it is known whose they are
//! - per exporter: `offered = sent + queued + Σ lost.*`
//! - `logs.bytes = logs.text_bytes + logs.line_end_bytes + logs.cut_bytes + bytes that wait for more`

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the catalogue once.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal,)*) => {
        /// One counter of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $help])+ $variant,)* }

        /// Every counter with its dotted name and what it counts.
        pub const CATALOGUE: &[(Counter, &str, &str)] =
            &[$((Counter::$variant, $name, concat!($($help),+)),)*];
    };
}

counters! {
    /// Events taken from the capture source.
    Events = "capture.events",
    /// Records that could not be decoded.
    EventsUndecodable = "capture.undecodable",
    /// Processes whose identity could not be read before they ended.
    ProcessesUnknown = "capture.processes_unknown",
    /// Records dropped: their processes had ended before it was known whether they are selected.
    ProcessesUndecided = "capture.processes_undecided",
    /// Processes whose OTEL_RESOURCE_ATTRIBUTES break the grammar: ignored as a whole.
    ProcessAttributesMalformed = "capture.process_attributes_malformed",
    /// Processes that declare attributes which are not theirs to declare (`--trust-resource`): these are refused.
    ProcessAttributesRefused = "capture.process_attributes_refused",
    /// Processes found to run a program written in Go.
    GoProcesses = "golang.processes",
    /// Processes written in Go (or perhaps: they were too many to look at) whose goroutines are not known.
    GoProcessesUnknown = "golang.processes_unknown",
    /// Executables that were not read to the end: damaged, or reading them costs too much. They are not looked
    /// at again.
    GoExecutablesRefused = "golang.executables_refused",
    /// Functions of programs in Go that were probed.
    GoProbes = "golang.probes",
    /// Functions of programs in Go that could not be probed.
    GoProbesFailed = "golang.probes_failed",
    /// Packets read from a packet capture.
    Packets = "capture.packets",
    /// Packets that are not TCP over IP: left out.
    PacketsNotTcp = "capture.packets_not_tcp",
    /// Packets lost: fragments of an IP packet, which are not put together.
    PacketsFragmented = "capture.packets_fragmented",
    /// Packets lost: of an unknown link type, with headers cut or broken, or in a block that cannot be read.
    PacketsUndecodable = "capture.packets_undecodable",
    /// Packets lost: with data for a connection that had ended.
    PacketsAfterClose = "capture.packets_after_close",
    /// Connections of a packet capture forgotten to make room for others.
    PacketFlowsForgotten = "capture.packet_flows_forgotten",
    /// Connections of which at least one segment was seen.
    Connections = "connections.seen",
    /// Connections forgotten to make room for others.
    ConnectionsEvicted = "connections.evicted",
    /// Connections that do not speak HTTP.
    ConnectionsNotHttp = "connections.not_http",
    /// Connections of HTTP/2.
    Http2Connections = "connections.http2",
    /// Connections of HTTP/2 recognised by their frames, as their beginning was not seen.
    Http2Joined = "connections.http2_joined",
    /// Connections of HTTP/2 that were HTTP/1 at first (h2c).
    Http2Upgraded = "connections.http2_upgraded",
    /// Connections given over to another protocol (101 or CONNECT); opaque from there.
    ConnectionsUpgraded = "connections.upgraded",
    /// Bytes missing in a stream that were not skipped on purpose.
    GapBytes = "streams.gap_bytes",
    /// Gaps in streams.
    Gaps = "streams.gaps",
    /// Requests whose first bytes were recognised.
    ExchangesSeen = "exchanges.seen",
    /// Exchanges that became a span, delivered or (`spans.dropped`, `spans.not_sampled` and `spans.existing` of them)
    /// left out by choice.
    ExchangesSpans = "exchanges.spans",
    /// Exchanges lost: bytes of a head are missing.
    ExchangesLostGap = "exchanges.lost.gap",
    /// Exchanges lost: the head is longer than the limit.
    ExchangesLostHeadTooLarge = "exchanges.lost.head_too_large",
    /// Exchanges lost: the head breaks the protocol.
    ExchangesLostUndecodable = "exchanges.lost.undecodable",
    /// Exchanges lost: the connection ended within the request's head.
    ExchangesLostHeadIncomplete = "exchanges.lost.head_incomplete",
    /// Exchanges lost: more requests in flight on one connection than the limit.
    ExchangesLostPipelineFull = "exchanges.lost.pipeline_full",
    /// Exchanges lost: more streams open at once than the limit, on one connection or on all.
    ExchangesLostStreamsFull = "exchanges.lost.streams_full",
    /// Exchanges lost: their connection was forgotten to make room.
    ExchangesLostEvicted = "exchanges.lost.evicted",
    /// Exchanges lost: an event on some Unix socket was missed, perhaps theirs.
    ExchangesLostRunMissed = "exchanges.lost.run_missed",
    /// Responses whose request is not known: it came before the sensor saw the connection, or it is
    /// among those lost.
    ResponsesOrphaned = "exchanges.orphan_responses",
    /// Times that a direction of HTTP/2 lost its place among the frames.
    Http2PlacesLost = "http2.places_lost",
    /// Requests of HTTP/2 that began while the place was lost, by the numbers of the streams before and
    /// after: they are not among those seen.
    Http2RequestsUnseen = "http2.requests_unseen",
    /// Header fields of HTTP/2 that are unknown, in part or as a whole: they refer to what was sent
    /// before the sensor saw the connection, or to what is lost.
    Http2FieldsUnknown = "http2.fields_unknown",
    /// Header blocks of HTTP/2 of which it cannot be told what they belong to.
    Http2BlocksUnplaced = "http2.blocks_unplaced",
    /// Spans that were handed over before it was settled what caused them: too many waited, or for too
    /// long.
    SpansUnsettled = "spans.unsettled",
    /// traceparent headers that break the W3C grammar.
    TraceparentMalformed = "context.traceparent_malformed",
    /// tracestate headers that break the W3C grammar.
    TracestateMalformed = "context.tracestate_malformed",
    /// grpc-trace-bin headers that break the grammar, or came twice: not accepted.
    GrpcTraceBinMalformed = "context.grpc_trace_bin_malformed",
    /// B3 headers (b3, or x-b3-* together) that break the grammar, or b3 twice: not accepted.
    B3Malformed = "context.b3_malformed",
    /// uber-trace-id headers that break the grammar, or came twice: not accepted.
    JaegerMalformed = "context.jaeger_malformed",
    /// x-datadog-* headers that, together, break the grammar, or of which one came twice: not accepted.
    DatadogMalformed = "context.datadog_malformed",
    /// sw8 headers that break the grammar, or came twice: not accepted.
    Sw8Malformed = "context.sw8_malformed",
    /// x-amzn-trace-id headers that break the grammar, or came twice: not accepted.
    XRayMalformed = "context.xray_malformed",
    /// Requests with trace contexts that disagree.
    ContextsConflicting = "context.conflicting",
    /// Requests whose baggage breaks the W3C grammar, or is longer than it has to be passed on: not kept.
    BaggageMalformed = "context.baggage_malformed",
    /// Values of request ids and the like that are no text, or too long to be told.
    IdentifiersUnusable = "context.identifiers_unusable",
    /// Spans that a rule dropped (`--drop`).
    SpansDropped = "spans.dropped",
    /// Spans that sampling left out.
    SpansNotSampled = "spans.not_sampled",
    /// Of these, spans of traces that their callers do not sample.
    SpansNotSampledRemote = "spans.not_sampled_remote",
    /// Spans on which their callers' sampling decision does not count: nothing shows that they are trusted.
    SpansFlagRefused = "spans.flag_refused",
    /// Spans that sampling would have left out, kept as they are errors.
    SpansKeptError = "spans.kept_error",
    /// Spans that sampling would have left out, kept as they took long.
    SpansKeptSlow = "spans.kept_slow",
    /// Spans left out as their processes export their own of the same exchanges.
    SpansExisting = "spans.existing",
    /// Spans that were exported without the secrets that were in them.
    SpansRedacted = "spans.redacted",
    /// Processes that were noticed to export spans of their own.
    ProcessesExporting = "processes.exporting",
    /// Writes lost, to files other than standard output and error: it could not be told which file it was.
    LogWritesLostFile = "logs.lost.file_unknown",
    /// Look-ups in the file systems of processes that were refused: the queue was full, or look-ups were stuck.
    LogLooksRefused = "logs.looks_refused",
    /// Look-ups in the file systems of processes that took longer than two seconds: another thread took over.
    LogLooksStuck = "logs.looks_stuck",
    /// Processes without line capture: they copy lines of others (container runtimes, log agents).
    LogCopiers = "logs.copiers",
    /// Bytes taken of what services wrote to their logs. They are those of records, of ends of lines, those cut
    /// out, and those that wait for more.
    LogBytes = "logs.bytes",
    /// Of these, bytes of records.
    LogTextBytes = "logs.text_bytes",
    /// Of these, bytes of ends of lines that are in no record.
    LogLineEndBytes = "logs.line_end_bytes",
    /// Of these, bytes cut out: their line or record is longer than the limit.
    LogCutBytes = "logs.cut_bytes",
    /// Bytes of services' log lines lost before they were taken, where it is known how many.
    LogLostBytes = "logs.lost_bytes",
    /// Lines taken from what services wrote.
    LogLines = "logs.lines",
    /// Lines of services' logs that are empty, and in no record.
    LogLinesEmpty = "logs.lines_empty",
    /// Records whose beginning or end is not known to be that: something was lost there, the writer stopped
    /// within a line, or it had to make room.
    LogIncomplete = "logs.incomplete",
    /// Records put together by who wrote their parts, as other threads wrote in between.
    LogMixed = "logs.mixed",
    /// Writers of logs with something incomplete, forgotten to make room for others.
    LogWritersEvicted = "logs.writers_evicted",
    /// Records made of them: lines that belong together are one.
    LogRecords = "logs.records",
    /// Of these, records whose trace is known.
    LogRecordsCorrelated = "logs.correlated",
    /// Records that name a trace which no exchange of their process was seen in: not among those correlated.
    LogRecordsClaimed = "logs.claimed",
    /// Records that were handed over before it was known whose they are: too many waited, or for too long.
    LogRecordsUnsettled = "logs.unsettled",
    /// Of these, records that break the schema: they go to the dead-letter stream.
    LogRecordsBroken = "logs.dead_letter",
    /// Records that a rule dropped (`--drop`).
    LogRecordsDropped = "logs.dropped",
    /// Records that sampling left out (`--log-sample`).
    LogRecordsNotSampled = "logs.not_sampled",
    /// Records beyond the rate of their stream (`--log-rate`).
    LogRecordsRateLimited = "logs.rate_limited",
    /// Records that were exported without the secrets that were in them.
    LogRecordsRedacted = "logs.redacted",
    /// Spans offered to OTLP.
    OtlpOffered = "otlp.offered",
    /// Spans accepted by the OTLP backend.
    OtlpSent = "otlp.sent",
    /// Spans lost: the queue was full.
    OtlpLostQueueFull = "otlp.lost.queue_full",
    /// Spans lost: their service or container had its share of the queue.
    OtlpLostShare = "otlp.lost.share",
    /// Spans lost: the backend rejected them (partial success).
    OtlpLostRejected = "otlp.lost.rejected",
    /// Spans lost: not delivered within the retry limit, or refused for good.
    OtlpLostFailed = "otlp.lost.failed",
    /// Requests to the OTLP backend that were tried again.
    OtlpRetries = "otlp.retries",
    /// Log records offered to OTLP.
    OtlpLogsOffered = "otlp.logs.offered",
    /// Log records accepted by the OTLP backend.
    OtlpLogsSent = "otlp.logs.sent",
    /// Log records lost: the queue was full.
    OtlpLogsLostQueueFull = "otlp.logs.lost.queue_full",
    /// Log records lost: their service or container had its share of the queue.
    OtlpLogsLostShare = "otlp.logs.lost.share",
    /// Log records lost: the backend rejected them (partial success).
    OtlpLogsLostRejected = "otlp.logs.lost.rejected",
    /// Log records lost: not delivered within the retry limit, or refused for good.
    OtlpLogsLostFailed = "otlp.logs.lost.failed",
    /// Requests with log records to the OTLP backend that were tried again.
    OtlpLogsRetries = "otlp.logs.retries",
    /// Lines offered to Loki: log records, and one of each server exchange.
    LokiOffered = "loki.offered",
    /// Lines accepted by Loki.
    LokiSent = "loki.sent",
    /// Lines lost: the queue was full.
    LokiLostQueueFull = "loki.lost.queue_full",
    /// Lines lost: their service or container had its share of the queue.
    LokiLostShare = "loki.lost.share",
    /// Lines lost: refused for good, for another reason than the next two.
    LokiLostRejected = "loki.lost.rejected",
    /// Lines lost: Loki has lines of their stream that are newer by too much.
    LokiLostOutOfOrder = "loki.lost.out_of_order",
    /// Lines lost: older than Loki takes.
    LokiLostTooOld = "loki.lost.too_old",
    /// Lines lost: not delivered within the retry limit.
    LokiLostFailed = "loki.lost.failed",
    /// Requests to Loki that were tried again.
    LokiRetries = "loki.retries",
    /// Spans and log records lost: standard output could not take them.
    OutputLost = "output.lost",
}

impl Counter {
    /// Its dotted name, as it is shown.
    pub fn name(self) -> &'static str {
        CATALOGUE[self as usize].1
    }
}

/// The values of all counters. Shared by reference; each addition is one relaxed atomic.
#[derive(Debug)]
pub struct Metrics {
    values: [AtomicU64; CATALOGUE.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        Self { values: [const { AtomicU64::new(0) }; CATALOGUE.len()] }
    }
}

impl Metrics {
    /// Adds to a counter.
    pub fn add(&self, counter: Counter, n: u64) {
        self.values[counter as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one to a counter.
    pub fn inc(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// The value now.
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize].load(Ordering::Relaxed)
    }

    /// Every counter's name and value, in the catalogue's order.
    pub fn snapshot(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CATALOGUE.iter().map(|&(counter, name, _)| (name, self.get(counter)))
    }
}
