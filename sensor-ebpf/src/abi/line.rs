//! What processes write to their logs: records of the second ring.

record! {
    /// What a process has written to its standard output or error, or to a file that it logs to: one call, or a
    /// part of one. `copied` bytes follow.
    pub struct LineRecord {
        /// [`super::RecordKind::Line`].
        pub kind: u32,
        /// Bits of [`line_flag`], and of [`super::segment_flag`] `MULTIPLEXES` and `CAUSE_ALONE`.
        pub flags: u32,
        /// When the call completed, nanoseconds of `CLOCK_MONOTONIC`.
        pub time_ns: u64,
        /// Process (thread group) id of the writer, in the initial PID namespace.
        pub tgid: u32,
        /// Thread id of the writer, in the initial PID namespace.
        pub tid: u32,
        /// See [`super::SegmentRecord::start_ns`].
        pub start_ns: u64,
        /// See [`super::SegmentRecord::execs`].
        pub execs: u32,
        /// Zero.
        pub padding: u32,
        /// The descriptor that was written to.
        pub fd: u32,
        /// One of [`line_stream`].
        pub stream: u32,
        /// Inode number of what was written to.
        pub inode: u64,
        /// `s_dev` of its file system, as the kernel has it.
        pub device: u32,
        /// `i_generation`: an inode's number may be used again, with another generation.
        pub generation: u32,
        /// How many bytes follow this record.
        pub copied: u32,
        /// Bytes of the call that come after those, and that no record has.
        pub lost_after: u32,
        /// Records of lines, of whatever process, that the ring could not take until now.
        pub lost_records: u64,
        /// Goroutine that made the call, or 0.
        pub goroutine: u64,
        /// The goroutine that started that one, or 0.
        pub goroutine_parent: u64,
        /// What the thread acts on: see [`super::SegmentRecord::cause_flow`].
        pub cause_flow: u64,
        /// Where that flow's received direction stood after that.
        pub cause_position: u64,
    } = 112
}

/// Bits of [`LineRecord::flags`]. Those of [`super::segment_flag`] that it shares are none of these.
pub mod line_flag {
    /// The bytes go on where the writer's record before this one ended: a part of the same call.
    pub const CONTINUES: u32 = 1;
    /// User space has not decided yet on what was written to ([`super::line_stream::FILE`]).
    pub const UNDECIDED: u32 = 2;
}

/// Values of [`LineRecord::stream`].
pub mod line_stream {
    /// What the process has as its standard output, by whatever descriptor it was written to.
    pub const STDOUT: u32 = 1;
    /// What it has as its standard error, and not as its standard output.
    pub const STDERR: u32 = 2;
    /// Another file.
    pub const FILE: u32 = 3;
}

/// How much is taken of what processes write ([`super::Config::lines`]).
pub mod lines {
    /// Nothing: the program is not even loaded.
    pub const OFF: u32 = 0;
    /// That of the processes that user space has said so of.
    pub const CHOSEN: u32 = 1;
    /// That of all traced processes, but those that user space has ruled out.
    pub const TRACED: u32 = 2;
}
