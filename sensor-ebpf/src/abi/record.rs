//! Records that the BPF programs put on the ring. Each starts with its [`RecordKind`].

/// Implements the user-space decoding traits where they are wanted.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $ty:ty,)* } = $size:expr) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        const _: () = assert!(core::mem::size_of::<$name>() % 8 == 0);
    };
}

/// What a record on the ring is; the first 32-bit word of each.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A [`SegmentRecord`], followed by `copied` bytes of the stream.
    Segment = 1,
    /// An [`EndRecord`].
    End = 2,
    /// A [`UnixPathRecord`].
    UnixPath = 3,
    /// A [`ProcessRecord`], followed by its `args_len` and `env_len` bytes.
    Process = 4,
    /// A [`GoStreamRecord`].
    GoStream = 5,
    /// A [`super::LineRecord`], followed by its `copied` bytes.
    Line = 6,
}

/// Address family of a flow, as [`FlowIdent::family`] carries it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`; addresses are the first four bytes of the address fields.
    Inet = 1,
    /// `AF_INET6` (a mapped IPv4 peer keeps its mapped form).
    Inet6 = 2,
    /// `AF_UNIX`, `SOCK_STREAM`; no addresses, no ports, no sequence numbers.
    Unix = 3,
}

record! {
    /// Who a flow is between, as the kernel knows it. Read once, when the flow is first seen.
    pub struct FlowIdent {
        /// Identifies this tracking of this socket; never reused while the sensor runs, never 0.
        pub flow: u64,
        /// Socket cookie, or 0 where the engine cannot ask for one (then [`Self::inode`] is set).
        pub cookie: u64,
        /// Local address in network byte order. Of a Unix socket, the first eight bytes name its
        /// connection, in native order: the same number at both ends, not used by another connection at the
        /// same time, and 0 where it is not known.
        pub local: [u8; 16],
        /// Remote address in network byte order.
        pub remote: [u8; 16],
        /// Local port in host byte order; 0 for Unix sockets.
        pub local_port: u16,
        /// Remote port in host byte order; 0 for Unix sockets.
        pub remote_port: u16,
        /// Inode number of the network namespace.
        pub netns: u32,
        /// Inode number of the socket's file, or 0 where it was not read.
        pub inode: u64,
        /// A [`Family`].
        pub family: u8,
        /// 1 when the connection's first byte was seen: the flow is not older than the sensor.
        pub from_start: u8,
        /// Zero.
        pub reserved: [u8; 6],
    } = 72
}

record! {
    /// A part of one direction of a flow: `copied` bytes at `position`, then `skipped_after` bytes
    /// that went by without being copied because they are body.
    ///
    /// The reader expects each direction's `position` to be where the previous record ended, plus
    /// `skipped_before`. What is missing beyond that was lost.
    pub struct SegmentRecord {
        /// [`RecordKind::Segment`].
        pub kind: u32,
        /// Bits of [`segment_flag`].
        pub flags: u32,
        /// When the call completed (or began, with [`segment_flag::TIME_IS_START`]), nanoseconds of `CLOCK_MONOTONIC`.
        pub time_ns: u64,
        /// The flow.
        pub ident: FlowIdent,
        /// Process (thread group) id of the caller, in the initial PID namespace.
        pub tgid: u32,
        /// Thread id of the caller, in the initial PID namespace.
        pub tid: u32,
        /// When the process was started: nanoseconds of `CLOCK_BOOTTIME`
        /// (`task_struct.group_leader.start_boottime`). An exec leaves it as it is.
        pub start_ns: u64,
        /// Counts up with each exec of the process (`task_struct.self_exec_id`). A fork copies it.
        pub execs: u32,
        /// Zero.
        pub padding: u32,
        /// Position of the first copied byte: bytes of this direction since the flow was first seen.
        pub position: u64,
        /// Body bytes that went by uncopied before `position`, in calls since the last record.
        pub skipped_before: u64,
        /// Body bytes of this call that follow the copied ones.
        pub skipped_after: u64,
        /// How many bytes of the stream follow this record.
        pub copied: u32,
        /// TCP sequence number of the byte at `position`, with [`segment_flag::HAS_SEQ`].
        pub tcp_seq: u32,
        /// Records of this direction that the ring could not take since the last one it took.
        pub lost_records: u32,
        /// 0: received by the process; 1: sent by it.
        pub direction: u8,
        /// Zero.
        pub reserved: [u8; 3],
        /// Goroutine that the call is for, or 0: the one that made it, or with
        /// [`segment_flag::GOROUTINE_ASKED`] the one that asked for it.
        pub goroutine: u64,
        /// The goroutine that started that one, or 0.
        pub goroutine_parent: u64,
        /// Sent only: [`FlowIdent::flow`] of what the thread last read, where that is what it acts on
        /// (see [`segment_flag::CAUSE_ALONE`]), or 0.
        pub cause_flow: u64,
        /// Where that flow's received direction stood after that.
        pub cause_position: u64,
    } = 184
}

/// Bits of [`SegmentRecord::flags`].
pub mod segment_flag {
    /// `tcp_seq` is set.
    pub const HAS_SEQ: u32 = 1;
    /// `time_ns` is the start of the call, not its completion.
    pub const TIME_IS_START: u32 = 2;
    /// Bytes before `position` were not seen by any hook (sequence jump: io_uring, another engine's
    /// blind spot, or a process that is not traced).
    pub const UNSEEN_BEFORE: u32 = 4;
    /// The bytes after the copied ones could not be read (not in user memory, a fault, or a limit
    /// of the walk); `skipped_after` counts them, but they may be head bytes.
    pub const UNREADABLE_AFTER: u32 = 8;
    /// The head of this message went beyond [`crate::limits::HEAD_MAX`]; the rest of it is skipped.
    pub const HEAD_TOO_LARGE: u32 = 16;
    /// The byte at `position` is the first of an HTTP/2 frame's header, or of the client's preface:
    /// found by walking all frames since the preface, or since a frame of headers by which an older
    /// connection was recognised, without a gap. Every record that begins so is marked.
    pub const FRAME_START: u32 = 32;
    /// The call was not to wait: the socket is in non-blocking mode, or it said so itself.
    pub const NONBLOCKING: u32 = 64;
    /// The thread waits for several descriptors at once (epoll, poll, select): it serves more than one
    /// exchange at a time.
    pub const MULTIPLEXES: u32 = 128;
    /// Nothing but what `cause_flow` tells of can have caused this: it was all that there was since the
    /// thread last waited. Without this flag it is the last thing that the thread had taken up, and nothing
    /// else since then; with [`MULTIPLEXES`] there was more to come, of which the thread's wait had told.
    pub const CAUSE_ALONE: u32 = 256;
    /// `goroutine` is not the one that made the call, but the one that asked for it: known by a probe in the
    /// program.
    pub const GOROUTINE_ASKED: u32 = 512;
}

record! {
    /// A stream of HTTP/2 is a certain goroutine's: the one that handles it, or that asked for it.
    pub struct GoStreamRecord {
        /// [`RecordKind::GoStream`].
        pub kind: u32,
        /// The stream's number.
        pub stream: u32,
        /// Nanoseconds of `CLOCK_MONOTONIC`.
        pub time_ns: u64,
        /// [`FlowIdent::flow`].
        pub flow: u64,
        /// The goroutine.
        pub goroutine: u64,
        /// The one that started it, or 0.
        pub goroutine_parent: u64,
        /// Process id, in the initial PID namespace.
        pub tgid: u32,
        /// See [`SegmentRecord::execs`].
        pub execs: u32,
        /// See [`SegmentRecord::start_ns`].
        pub start_ns: u64,
    } = 56
}

record! {
    /// A direction, or the whole flow, has ended.
    pub struct EndRecord {
        /// [`RecordKind::End`].
        pub kind: u32,
        /// Bits of [`end_flag`].
        pub flags: u32,
        /// Nanoseconds of `CLOCK_MONOTONIC`.
        pub time_ns: u64,
        /// The flow.
        pub ident: FlowIdent,
        /// Process of the flow's last socket call, in the initial PID namespace.
        pub tgid: u32,
        /// See [`SegmentRecord::execs`].
        pub execs: u32,
        /// See [`SegmentRecord::start_ns`].
        pub start_ns: u64,
        /// Final positions: received, sent.
        pub position: [u64; 2],
        /// Body bytes that went by uncopied since each direction's last record: received, sent.
        pub skipped: [u64; 2],
        /// When each direction's last bytes went by, 0 if never: received, sent.
        pub last_ns: [u64; 2],
        /// Records of each direction that the ring could not take: received, sent.
        pub lost_records: [u32; 2],
    } = 160
}

/// Bits of [`EndRecord::flags`].
pub mod end_flag {
    /// The process has read the end of the stream.
    pub const RECEIVE_EOF: u32 = 1;
    /// Nothing more will be sent: the process closed or shut down its side.
    pub const SEND_EOF: u32 = 2;
    /// The connection is gone, and its tracking with it.
    pub const CLOSED: u32 = 4;
    /// It ended with an error (`sk_err`): reset, timed out.
    pub const ERROR: u32 = 8;
}

record! {
    /// The path of a Unix socket flow: that of the listening side, whichever side this is.
    pub struct UnixPathRecord {
        /// [`RecordKind::UnixPath`].
        pub kind: u32,
        /// Bytes of `path` in use. A first byte of 0 means the abstract namespace.
        pub len: u32,
        /// [`FlowIdent::flow`].
        pub flow: u64,
        /// `sun_path`, not always terminated.
        pub path: [u8; 128],
    } = 144
}

record! {
    /// A process began, changed its program, or ended.
    pub struct ProcessRecord {
        /// [`RecordKind::Process`].
        pub kind: u32,
        /// Bits of [`process_flag`].
        pub flags: u32,
        /// Nanoseconds of `CLOCK_MONOTONIC`.
        pub time_ns: u64,
        /// Process id, in the initial PID namespace.
        pub tgid: u32,
        /// Its parent's. Of a fork, that of the process that was copied.
        pub parent: u32,
        /// See [`SegmentRecord::start_ns`].
        pub start_ns: u64,
        /// The parent's.
        pub parent_start_ns: u64,
        /// See [`SegmentRecord::execs`]. Of a fork, the parent's too.
        pub execs: u32,
        /// Zero.
        pub padding: u32,
        /// Identifier of its cgroup (version 2).
        pub cgroup: u64,
        /// `comm`.
        pub comm: [u8; 16],
        /// Bytes of `argv`, each argument ended by a zero byte (exec only).
        pub args_len: u32,
        /// Bytes of the environment that follow those (exec only).
        pub env_len: u32,
    } = 80
}

/// Bits of [`ProcessRecord::flags`].
pub mod process_flag {
    /// A new process, a copy of `parent`.
    pub const FORK: u32 = 1;
    /// The process now runs another program.
    pub const EXEC: u32 = 2;
    /// Its last thread has ended.
    pub const EXIT: u32 = 4;
    /// The environment was longer than what follows.
    pub const ENV_CUT: u32 = 8;
    /// The arguments were longer than what follows.
    pub const ARGS_CUT: u32 = 16;
}
