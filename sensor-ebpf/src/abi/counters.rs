//! Counters that the BPF programs keep, one slot each in a per-CPU array.

/// Declares the counters once: the enum, their number, and what user space prints.
macro_rules! kernel_counters {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// An index into the per-CPU counter array.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum KernelCounter { $($(#[$meta])* $variant,)* }

        /// Every counter with its name, in the order of the array.
        pub const KERNEL_COUNTERS: &[(KernelCounter, &str)] =
            &[$((KernelCounter::$variant, $name),)*];
    };
}

kernel_counters! {
    /// Records delivered to the ring.
    Records = "records",
    /// Records that the ring had no room for.
    RingFull = "ring_full",
    /// Bytes of the streams copied to the ring.
    BytesCopied = "bytes_copied",
    /// Bytes of the streams counted and not copied, as body.
    BytesSkipped = "bytes_skipped",
    /// Flows that could not be tracked: no room in the table.
    FlowTableFull = "flow_table_full",
    /// Flows first seen.
    Flows = "flows",
    /// Flows that speak something else.
    FlowsNotHttp = "flows_not_http",
    /// Flows left alone because they open with a TLS record.
    FlowsTls = "flows_tls",
    /// Flows that were seen to speak HTTP/2.
    FlowsHttp2 = "flows_http2",
    /// Bytes that passed unseen by the hooks: a sequence jump.
    BytesUnseen = "bytes_unseen",
    /// Bytes that could not be read from the caller's memory.
    BytesUnreadable = "bytes_unreadable",
    /// Calls that came by io_uring, whose buffers cannot be found.
    CallsIoUring = "calls_io_uring",
    /// Calls by a way in that is not known.
    CallsUnknown = "calls_unknown",
    /// Streams of HTTP/2 whose goroutine was told by a probe in the program.
    GoStreams = "go_streams",
    /// Requests of which a probe knows who asks, counted when it does.
    GoAsked = "go_asked",
    /// Calls that a probe saw, and could not connect with a socket or a goroutine (one of TLS, for example).
    GoUnlinked = "go_unlinked",
    /// Calls with more parts than the walk takes.
    WalkLimit = "walk_limit",
    /// Message heads beyond the limit.
    HeadTooLarge = "head_too_large",
    /// Directions that lost their place and wait for the next message.
    Resync = "resync",
    /// Bytes of HTTP/2 that went by while the place was lost.
    BytesOutOfPlace = "bytes_out_of_place",
    /// Records of what processes write to their logs, delivered to their ring.
    LinesRecords = "lines_records",
    /// Such records that their ring had no room for.
    LinesLost = "lines_lost",
    /// Bytes written to logs that were copied to that ring.
    LinesBytes = "lines_bytes",
    /// Bytes written to logs that were not: in the records that had no room, beyond the limit of a call, or
    /// unreadable in the caller's memory. With those copied, all that was written.
    LinesBytesLost = "lines_bytes_lost",
}
